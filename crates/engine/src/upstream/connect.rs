//! A new connection to a member: a socket of the engine's own, connected without a thread that waits; over TLS with a
//! session.

use super::address::{Address, Endpoint};
use super::link::Link;
use super::session::Session;
use super::tls::TlsTerms;
use crate::connection::socket::Socket;
use crate::message::buffers::Buffers;
use crate::timer::sleep;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, getpeername, sockopt};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

/// Between two tries at a Unix socket whose queue is full: connect(2) does not wait there, and nothing can be watched.
const FULL: Duration = Duration::from_millis(5);

/// Connects to `address`. Takes as long as the system and the other end like: the caller has a time of its own.
///
/// # Errors
/// There is nobody, it is not who it is to be, or the process has no descriptors left.
pub async fn connect(address: &Address, tls: &TlsTerms, buffers: &Buffers) -> io::Result<Link> {
    let socket = connect_socket(address).await?;
    let Some(server_name) = &address.server_name else { return Ok(Link::Plain(socket)) };
    let session = Box::pin(Session::open(socket, tls, server_name, buffers)).await?;
    Ok(Link::Tls(Box::new(session)))
}

async fn connect_socket(address: &Address) -> io::Result<Socket> {
    match &address.endpoint {
        Endpoint::Tcp(address) => connect_tcp(address).await,
        Endpoint::Unix(path) => {
            let address = match path.as_os_str().as_bytes() {
                [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
                _ => SocketAddrUnix::new(path)?,
            };
            let fd = open(AddressFamily::UNIX)?;
            loop {
                match rustix::net::connect(&fd, &address) {
                    Ok(()) => return Ok(Socket::unix(fd)),
                    Err(Errno::AGAIN) => sleep(FULL).await,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

async fn connect_tcp(address: &SocketAddr) -> io::Result<Socket> {
    let fd = open(if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 })?;
    // A head that waits for the acknowledgement of the body before it is what makes proxies slow.
    sockopt::set_tcp_nodelay(&fd, true)?;
    let begun = rustix::net::connect(&fd, address);
    let socket = Socket::new(fd);
    match begun {
        Ok(()) => return Ok(socket),
        // After a signal the connection is made all the same (connect(2)).
        Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    loop {
        let is_connected = socket.write_when_ready(|| {
            sockopt::socket_error(socket.as_fd())??;
            match getpeername(socket.as_fd()) {
                Ok(_) => Ok(1),
                Err(Errno::NOTCONN) => Ok(0),
                Err(error) => Err(error.into()),
            }
        });
        if is_connected.await? > 0 {
            return Ok(socket);
        }
    }
}

fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}
