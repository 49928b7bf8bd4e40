//! Memory that a crowd of slow clients has used goes back to the system when they are gone; so does what the start
//! of the supervisor leaves behind.
//!
//! The C library keeps what is freed for later allocations; after an attack that is many times of what the worker needs.

use crate::budget::Budget;

/// Below this much it is not worth a system call.
const WORTH_BYTES: u64 = 8 * 1024 * 1024;

/// Looks at how much buffers and bodies use, and used before.
#[derive(Default)]
pub struct Heap {
    peak_bytes: u64,
}

impl Heap {
    /// Gives freed memory back once no more than half of what was in use still is.
    pub fn look(&mut self, memory: &Budget) {
        let used = memory.used();
        if used >= self.peak_bytes {
            self.peak_bytes = used;
        } else if self.peak_bytes - used >= WORTH_BYTES.max(self.peak_bytes / 2) {
            self.peak_bytes = used;
            trim();
        }
    }
}

/// Gives what is free back to the system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn trim() {
    #[expect(unsafe_code, reason = "a call into the C library")]
    // SAFETY: malloc_trim(3) is thread-safe and touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Only the GNU library can be asked.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn trim() {}

/// Lets threads share arenas from now on, so that there are no more than processors: more threads do not allocate at the
/// same time, and each arena has pages of its own. Who has said how many there are to be (mallopt(3)) is heard.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn share_arenas() {
    let is_said = |name: &str, part: &str| std::env::var(name).is_ok_and(|value| value.contains(part));
    if is_said("MALLOC_ARENA_MAX", "") || is_said("GLIBC_TUNABLES", "arena_max") {
        return;
    }
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    #[expect(unsafe_code, reason = "a call into the C library")]
    // SAFETY: mallopt(3) is thread-safe, and only arenas that are not there yet are concerned.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, libc::c_int::try_from(processors).unwrap_or(libc::c_int::MAX));
    }
}

/// Only the GNU library has any.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_arenas() {}
