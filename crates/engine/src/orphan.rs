//! A process that is not the child of who makes it, but of the nearest process above that has asked for those (a
//! supervisor): fork(2) twice, and the process between ends at once.

use rustix::io::{Errno, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::io;
use std::os::fd::OwnedFd;

/// What the process between says: the number of the new process, or, negative, why there is none.
type Outcome = i32;

/// Lets processes below this one whose parents end become children of this one (`PR_SET_CHILD_SUBREAPER`), instead of
/// those of the first process of the system. That outlives an exec, and is not inherited.
///
/// # Errors
/// What prctl(2) says.
#[cfg(target_os = "linux")]
pub fn adopt_orphans() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Only Linux has that.
#[cfg(not(target_os = "linux"))]
pub fn adopt_orphans() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes such a process: returns its number here, and 0 there. Once it has returned here, the process has its new parent.
///
/// No thread but this one is there, as after every fork; handlers for the time around it are the caller's to run.
///
/// # Errors
/// There can be no pipe or no process more.
pub fn fork_orphan() -> io::Result<i32> {
    let (from_between, to_here) = pipe_with(PipeFlags::CLOEXEC)?;
    match fork()? {
        0 => match fork() {
            Ok(0) => Ok(0),
            outcome => {
                let number = outcome.unwrap_or_else(|error| -error.raw_os_error().unwrap_or(libc::EAGAIN));
                end_between(&to_here, number)
            }
        },
        between => {
            drop(to_here);
            let outcome = hear(&from_between);
            wait_for(between);
            match outcome {
                Some(pid) if pid > 0 => Ok(pid),
                Some(error) => Err(io::Error::from_raw_os_error(-error)),
                // Somebody has killed it.
                None => Err(io::Error::from_raw_os_error(libc::ECHILD)),
            }
        }
    }
}

fn fork() -> io::Result<i32> {
    #[expect(unsafe_code, reason = "a call into the C library")]
    // SAFETY: fork(2) may be called by anybody; what the new process may do then is the same as here where this is the
    // only thread, and else what is safe in a handler of signals: both processes that are made go on with system calls,
    // or return to who has asked for a fork.
    let pid = unsafe { libc::fork() };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
}

/// Says so, and ends this process without running anything that is for the end of a program.
fn end_between(to_here: &OwnedFd, outcome: Outcome) -> ! {
    let _ = write(to_here, &outcome.to_ne_bytes());
    #[expect(unsafe_code, reason = "a call into the C library")]
    // SAFETY: _exit(2) ends the process, and runs nothing of it.
    unsafe {
        libc::_exit(0)
    }
}

fn hear(from_between: &OwnedFd) -> Option<Outcome> {
    let mut outcome = [0; size_of::<Outcome>()];
    loop {
        match read(from_between, &mut outcome) {
            // As few bytes are written, and come, in one piece.
            Ok(count) => return (count == outcome.len()).then(|| Outcome::from_ne_bytes(outcome)),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// Waits for the process between, which ends at once. An application may have seen to it that nobody has to.
fn wait_for(between: i32) {
    let Some(pid) = Pid::from_raw(between) else { return };
    while matches!(waitpid(Some(pid), WaitOptions::empty()), Err(Errno::INTR)) {}
}
