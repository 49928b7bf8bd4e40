//! One datagram to a Unix socket, with descriptors: how a service manager is notified (`sd_notify(3)`). Or one message over
//! a socket that keeps messages apart.

use crate::descriptor;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    send as send_now, sendmsg_addr, socket_with,
};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd, RawFd};

/// As many descriptors as one datagram may carry here.
const MOST_SENT: usize = 16;

/// Sends `bytes` to the socket at `address`, and duplicates of `fds` with them; waits for nobody. An address that begins
/// with `@` is abstract.
///
/// # Errors
/// What socket(2) and sendmsg(2) say: nobody is there, or there is no room now (`WouldBlock`); the address is too long; a
/// number is no descriptor, or there are too many of them.
pub fn send(address: &[u8], bytes: &[u8], fds: &[RawFd]) -> io::Result<()> {
    let descriptors: Vec<OwnedFd> = fds.iter().map(|fd| descriptor::duplicate(*fd)).collect::<io::Result<_>>()?;
    let borrowed: Vec<_> = descriptors.iter().map(OwnedFd::as_fd).collect();
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SENT))];
    let mut ancillary = SendAncillaryBuffer::new(&mut room);
    if !borrowed.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(Errno::INVAL.into());
    }
    // A socket for each: there are few, and none is left to the processes that are forked.
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg_addr(&socket, &unix_address(address)?, &[IoSlice::new(bytes)], &mut ancillary, flags)?;
    Ok(())
}

/// Sends `bytes` as one message over `socket`, which is connected, and waits for nobody.
///
/// # Errors
/// What send(2) says: there is no room now (`WouldBlock`), or nobody is there.
pub fn send_over(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    loop {
        match send_now(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return Ok(sent.map(drop)?),
        }
    }
}

fn unix_address(address: &[u8]) -> io::Result<SocketAddrUnix> {
    #[cfg(target_os = "linux")]
    if let Some(name) = address.strip_prefix(b"@") {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    Ok(SocketAddrUnix::new(address)?)
}
