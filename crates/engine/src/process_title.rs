//! What `ps`, `top` and `htop` call a process: "portico: worker 3 shop.wsgi" in place of its command line.
//!
//! In Rust, because each worker does it, and what Python runs for it would be in each worker's own memory.

use libc::{c_void, iovec};
use rustix::thread::set_name;
use std::ffi::{CString, OsStr};
use std::fs::{OpenOptions, read};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;

/// Of /proc/self/stat: the fields 48 and 49 (proc_pid_stat(5)), counted from the third, after the name.
const ARG_START: usize = 48 - 3;

/// Calls this process `title` where command lines are shown, and `name` where there is room for less.
///
/// The kernel keeps 15 bytes of `name` (prctl(2), PR_SET_NAME), for `top` and `ps -o comm`; of `title` there remain as
/// many as the command line had. Linux only: elsewhere, and where /proc is not there, a process keeps the title that it has.
pub fn set(name: &str, title: &OsStr) {
    if let Ok(name) = CString::new(name) {
        let _ = set_name(&name);
    }
    let _ = set_title(title.as_bytes());
}

fn set_title(title: &[u8]) -> Option<()> {
    let (start, end) = arguments(&read("/proc/self/stat").ok()?)?;
    // One byte is left for the end of the string.
    let room = usize::try_from(end.checked_sub(start)?).ok()?.checked_sub(1)?;
    let mut bytes = title.get(..room).unwrap_or(title).to_vec();
    bytes.resize(room + 1, 0);
    // What is shown is this memory (proc_pid_cmdline(5)). Nobody else reads it any more, since the interpreter has copied
    // the arguments (`sys.orig_argv`). The kernel writes for us, so it takes no pointer and no unsafe code, and what it
    // does not allow is an error. An exec with a first argument of our own would not do: by that Python finds itself, and
    // a forked worker has no exec.
    write_to_memory(start, &bytes).or_else(|| write_as_another(start, &bytes))
}

fn write_to_memory(start: u64, bytes: &[u8]) -> Option<()> {
    let mut memory = OpenOptions::new().write(true).open("/proc/self/mem").ok()?;
    memory.seek(SeekFrom::Start(start)).ok()?;
    memory.write_all(bytes).ok()
}

/// What is in /proc of a process that has given up its privileges is root's, until it has an exec. A process may write to its
/// own memory all the same as if it were another's (process_vm_writev(2)); some old seccomp filters of containers do not let
/// it, so this is the second way.
fn write_as_another(start: u64, bytes: &[u8]) -> Option<()> {
    let from = iovec { iov_base: bytes.as_ptr().cast_mut().cast::<c_void>(), iov_len: bytes.len() };
    let to =
        iovec { iov_base: std::ptr::with_exposed_provenance_mut(usize::try_from(start).ok()?), iov_len: bytes.len() };
    #[expect(unsafe_code, reason = "a call into the C library")]
    // SAFETY: the kernel reads `bytes`, which live, and writes where it has said that the arguments are: what is no memory of
    // this process, or may not be written, is an error. Nothing of Rust's lies there, and nobody reads it any more.
    let written = unsafe { libc::process_vm_writev(libc::getpid(), &raw const from, 1, &raw const to, 1, 0) };
    (usize::try_from(written) == Ok(bytes.len())).then_some(())
}

/// Where the arguments of a process begin and end in its memory; none where that is secret, and they are 0.
fn arguments(fields: &[u8]) -> Option<(u64, u64)> {
    // The name is in parentheses and may itself hold any of them.
    let after_name = fields.rsplit(|byte| *byte == b')').next()?;
    let mut numbers = std::str::from_utf8(after_name).ok()?.split_ascii_whitespace().skip(ARG_START);
    let (start, end) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    (start < end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::arguments;

    fn stat(name: &str, start: &str, end: &str) -> Vec<u8> {
        let before: Vec<String> = (3..48).map(|field: u32| field.to_string()).collect();
        format!("7 ({name}) {} {start} {end} 50 51 52\n", before.join(" ")).into_bytes()
    }

    #[test]
    fn arguments_are_found_behind_any_name() {
        for name in ["portico", "a b", "a) (b", ")"] {
            assert_eq!(arguments(&stat(name, "4096", "4200")), Some((4096, 4200)), "{name}");
        }
    }

    #[test]
    fn what_is_secret_or_no_number_is_nowhere() {
        for (start, end) in [("0", "0"), ("5", "5"), ("6", "5"), ("a", "5")] {
            assert_eq!(arguments(&stat("a", start, end)), None, "{start} {end}");
        }
        assert_eq!(arguments(b""), None);
        assert_eq!(arguments(b"7 (a) S 1 2"), None);
    }
}
