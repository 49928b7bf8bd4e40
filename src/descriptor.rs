//! File descriptors that arrive as numbers, and the reactor's view of a descriptor: the two places
//! where the engine vouches for what the compiler cannot see.
//!
//! The supervisor opens the listening sockets, the signal pipe, the lifeline and the logs. A worker keeps
//! them open for its whole life, but for the listening sockets, which it closes when it drains and does
//! not touch again; so a borrow of one of them never outlives it.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor of the worker's settings.
pub fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    #[expect(unsafe_code, reason = "a descriptor handed over as a number")]
    // SAFETY: only descriptors of Settings come here, and none of them after it was closed.
    unsafe {
        BorrowedFd::borrow_raw(fd)
    }
}

/// Closes a listening socket, after the task that accepted from it has ended.
pub fn close_listener(fd: RawFd) {
    #[expect(unsafe_code, reason = "a descriptor handed over as a number")]
    // SAFETY: the worker inherited this descriptor for itself; `drain` closes each one once and is its last user.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// Registers a descriptor with the reactor of the runtime that runs the calling task.
///
/// # Errors
/// What epoll says, such as too many watches.
pub fn watch(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<AsyncFd<RawFd>> {
    #[expect(unsafe_code, reason = "the registration does not own the descriptor")]
    // SAFETY: the descriptors of Settings stay open; a connection drops its registration before its socket.
    unsafe {
        AsyncFd::register_with_interest(fd.as_raw_fd(), interest).map_err(Into::into)
    }
}
