//! The scoreboard: one anonymous shared mapping, made by the supervisor before the first fork.
//!
//! Workers write with atomics, the supervisor reads. It outlives a worker, so a killed request can
//! still be named. Only memory is touched here: no locks, no system calls after the mapping.

use crate::clock;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::io;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Application calls that one worker can show at a time; calls above it share the last cells.
pub const CALLS: usize = 1024;
const WHAT_WORDS: usize = 7;

/// In `started_ns`: the call waits for its client, and the other bits are how long it had taken by then.
const RESTING: u64 = 1 << 63;

/// One call in the application: started (0 = none) and its first line's beginning.
#[repr(C)]
struct CallCell {
    started_ns: AtomicU64,
    what: [AtomicU64; WHAT_WORDS],
}

/// What one worker tells.
#[repr(C)]
pub struct Slot {
    /// Responses finished.
    pub requests: AtomicU64,
    /// Connections open now.
    pub connections: AtomicU64,
    /// Connections accepted since the worker began.
    pub connections_total: AtomicU64,
    /// Response bytes, heads included.
    pub bytes_sent: AtomicU64,
    /// Responses with a status of 500 or more.
    pub errors: AtomicU64,
    calls: [CallCell; CALLS],
}

impl Slot {
    /// Notes that the call in cell `cell` enters the application for `what`, such as `GET /path`.
    pub fn call_started(&self, cell: usize, method: &[u8], path: &[u8], now_ns: u64) {
        let shown = &self.calls[cell.min(CALLS - 1)];
        let mut words = [0_u8; WHAT_WORDS * 8];
        let mut room = words.as_mut_slice();
        for part in [method, b" ", path] {
            let fits = part.len().min(room.len());
            let (place, rest) = room.split_at_mut(fits);
            place.copy_from_slice(&part[..fits]);
            room = rest;
        }
        for (place, word) in shown.what.iter().zip(words.as_chunks::<8>().0) {
            place.store(u64::from_ne_bytes(*word), Relaxed);
        }
        shown.started_ns.store(now_ns, Relaxed);
    }

    /// Notes that the call in cell `cell` has left the application.
    pub fn call_ended(&self, cell: usize) {
        self.calls[cell.min(CALLS - 1)].started_ns.store(0, Relaxed);
    }

    /// Notes that the call in cell `cell` waits for its client: that is not the application's time.
    pub fn call_rests(&self, cell: usize) {
        let started_ns = &self.calls[cell.min(CALLS - 1)].started_ns;
        let started = started_ns.load(Relaxed);
        // Only once, if several threads of the application wait for the same client.
        if started != 0 && started & RESTING == 0 {
            started_ns.store(RESTING | clock::monotonic_ns().saturating_sub(started), Relaxed);
        }
    }

    /// Notes that the call in cell `cell` goes on.
    pub fn call_goes_on(&self, cell: usize) {
        let started_ns = &self.calls[cell.min(CALLS - 1)].started_ns;
        let rested = started_ns.load(Relaxed);
        if rested & RESTING != 0 {
            started_ns.store(clock::monotonic_ns().saturating_sub(rested & !RESTING), Relaxed);
        }
    }

    /// The calls running now: seconds since their start, and what they serve.
    pub fn calls(&self) -> Vec<(f64, String)> {
        let now = clock::monotonic_ns();
        self.calls
            .iter()
            .filter_map(|cell| {
                let started = cell.started_ns.load(Relaxed);
                let started = if started & RESTING == 0 { started } else { now.saturating_sub(started & !RESTING) };
                (started != 0).then(|| (elapsed_s(started, now), cell.text()))
            })
            .collect()
    }

    /// Clears the slot for a new worker.
    pub fn reset(&self) {
        for counter in [&self.requests, &self.connections, &self.connections_total, &self.bytes_sent, &self.errors] {
            counter.store(0, Relaxed);
        }
        // Only cells that were used are written, so that unused pages of the mapping stay unallocated.
        for cell in self.calls.iter().filter(|cell| cell.started_ns.load(Relaxed) != 0) {
            cell.started_ns.store(0, Relaxed);
        }
    }
}

impl CallCell {
    fn text(&self) -> String {
        let bytes: Vec<u8> = self.what.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes[..end].escape_ascii().to_string()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration in seconds needs no 64 bits")]
fn elapsed_s(started_ns: u64, now_ns: u64) -> f64 {
    now_ns.saturating_sub(started_ns) as f64 / 1e9
}

/// The mapping itself: an array of slots, shared with the processes that are forked after it was made.
pub struct Mapping {
    start: NonNull<Slot>,
    length: usize,
}

#[expect(unsafe_code, reason = "a pointer to shared memory")]
// SAFETY: the memory is valid until the drop, wherever that is, and holds atomics only.
unsafe impl Send for Mapping {}
#[expect(unsafe_code, reason = "a pointer to shared memory")]
// SAFETY: as above; nothing in it is changed but through atomics.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps room for `slots` workers, all zero.
    pub fn new(slots: usize) -> io::Result<Arc<Mapping>> {
        let length = slots.max(1);
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: a fresh anonymous mapping overlaps nothing.
        let start = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                size_of::<Slot>() * length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::NORESERVE,
            )?
        };
        let start = NonNull::new(start.cast::<Slot>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Arc::new(Mapping { start, length }))
    }

    /// The slots.
    pub fn slots(&self) -> &[Slot] {
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: the mapping is zeroed, page-aligned, valid for `length` slots and unmapped by the drop only; every
        // field of Slot is an atomic, for which zero is a valid value.
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr(), self.length)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: mapped by `new` with this length, and nobody can borrow from it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), size_of::<Slot>() * self.length) };
        debug_assert!(unmapped.is_ok(), "the mapping is ours");
    }
}

/// One slot, with the mapping that it is in.
#[derive(Clone)]
pub struct SlotRef {
    mapping: Arc<Mapping>,
    index: usize,
}

impl SlotRef {
    /// Slot `index`, if there is one.
    pub fn new(mapping: &Arc<Mapping>, index: usize) -> Option<SlotRef> {
        (index < mapping.length).then(|| SlotRef { mapping: mapping.clone(), index })
    }
}

impl Deref for SlotRef {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        // `new` has looked at the index, so this one never is out of the slice.
        &self.mapping.slots()[self.index]
    }
}
