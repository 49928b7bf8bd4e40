//! File descriptors that arrive as numbers, and the reactor's view of a descriptor that somebody else owns: the
//! places where the engine vouches for what the compiler cannot see.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Takes over a descriptor that somebody has handed over as a number: from now on it is closed here.
///
/// # Errors
/// The number is not a descriptor.
pub fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // Also says whether there is one.
    drop(duplicate(fd)?);
    #[expect(unsafe_code, reason = "a descriptor handed over as a number")]
    // SAFETY: it is open, as was just seen, and its owner has given it up by calling this.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor for the same file as the one that somebody else owns.
///
/// # Errors
/// The number is not a descriptor, or there are no more.
pub fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    lend(fd, |fd| fd.try_clone_to_owned())
}

/// Makes system calls with the descriptor `fd` that somebody else owns, who keeps it open meanwhile. Unlike `duplicate`
/// this takes no descriptor, of which there may be none left.
///
/// # Errors
/// What `with` returns; or the number is negative.
pub fn lend<T>(fd: RawFd, with: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<T> {
    if fd < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    #[expect(unsafe_code, reason = "a descriptor handed over as a number")]
    // SAFETY: borrowed for this one call; a number that is no descriptor makes system calls fail, and harms nothing.
    with(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// The user id of the process at the other end of the connected Unix socket `fd`, as the kernel knows it (SO_PEERCRED,
/// unix(7)).
///
/// # Errors
/// It is no such socket.
pub fn peer_user(fd: &OwnedFd) -> io::Result<u32> {
    // Not by rustix: its process ids are never 0, which is what the kernel says of one in another namespace.
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    #[expect(unsafe_code, reason = "an option that no library reads soundly")]
    // SAFETY: both pointers are to variables of this function, which outlive the call; the kernel writes at most `length`
    // bytes, any of which make plain numbers.
    let outcome = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            std::ptr::from_mut(&mut peer).cast(),
            &raw mut length,
        )
    };
    if outcome == 0 { Ok(peer.uid) } else { Err(io::Error::last_os_error()) }
}

/// How many connections to the listening socket `fd` nobody has accepted yet (TCP_INFO, tcp(7)); none if it is not one of
/// TCP.
///
/// # Errors
/// It is no descriptor.
pub fn unaccepted(fd: BorrowedFd<'_>) -> io::Result<Option<u32>> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).unwrap_or(0);
    #[expect(unsafe_code, reason = "an option that no library reads")]
    // SAFETY: both pointers are to variables of this function, which outlive the call; the kernel writes at most `length`
    // bytes. What it does not write stays zero, and any bytes make plain numbers.
    let (outcome, info) = unsafe {
        let (level, option) = (libc::IPPROTO_TCP, libc::TCP_INFO);
        let outcome = libc::getsockopt(fd.as_raw_fd(), level, option, info.as_mut_ptr().cast(), &raw mut length);
        (outcome, info.assume_init())
    };
    // Of a socket that listens, that is the length of its queue.
    let error = io::Error::last_os_error();
    match outcome {
        0 => Ok(Some(info.tcpi_unacked)),
        _ if error.raw_os_error() == Some(libc::EBADF) => Err(error),
        _ => Ok(None),
    }
}

/// Registers a descriptor with the reactor of the runtime that runs the calling task, and keeps it with that.
///
/// # Errors
/// What epoll says, such as too many watches.
pub fn watch_owned(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "the reactor borrows the descriptor")]
    // SAFETY: the registration owns the descriptor, and drops it last.
    unsafe {
        AsyncFd::register_with_interest(fd, interest).map_err(Into::into)
    }
}

/// Registers a descriptor with the reactor of the runtime that runs the calling task. Whoever owns the descriptor drops
/// the registration first.
///
/// # Errors
/// What epoll says, such as too many watches.
pub fn watch(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<AsyncFd<RawFd>> {
    #[expect(unsafe_code, reason = "the registration does not own the descriptor")]
    // SAFETY: a socket drops its registration before its descriptor.
    unsafe {
        AsyncFd::register_with_interest(fd.as_raw_fd(), interest).map_err(Into::into)
    }
}
