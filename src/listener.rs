//! Listening sockets, adopted from the supervisor: accept, and pause when descriptors run out.
//!
//! The supervisor owns the sockets for ever; a worker only stops accepting.

use crate::connection::{Connection, http1};
use crate::deadlines::Wait;
use crate::descriptor::{self, borrow};
use crate::engine::Engine;
use crate::error_log::{Level, Seldom, log};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, acceptfrom_with};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::Duration;
use tokio::io::Interest;

/// Connections accepted in one go before other work has its turn.
const BURST: usize = 16;
/// At a limit, one in this many idle connections makes room: looking for them costs a look at all.
const MAKES_ROOM: usize = 64;
/// Pause after an accept that failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// What CGI tells of the server (RFC 3875 4.1.14, 4.1.15).
pub struct Facts {
    /// SERVER_NAME: the address bound, or the host's name for all addresses.
    pub server_name: String,
    /// SERVER_PORT.
    pub server_port: String,
}

/// The facts of a listening socket.
pub fn facts(fd: RawFd) -> Facts {
    let address = rustix::net::getsockname(borrow(fd)).ok().and_then(|address| SocketAddr::try_from(address).ok());
    match address {
        Some(address) if address.ip().is_unspecified() => {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            Facts { server_name: name, server_port: address.port().to_string() }
        }
        Some(address) => Facts { server_name: address.ip().to_string(), server_port: address.port().to_string() },
        // A Unix socket has neither; PEP 3333 wants both non-empty.
        None => Facts { server_name: "localhost".into(), server_port: "80".into() },
    }
}

/// Accepts connections for ever; dropped when the worker drains.
pub async fn accept(engine: &'static Engine, fd: RawFd, index: usize) {
    let Ok(listening) = descriptor::watch(borrow(fd), Interest::READABLE) else {
        log(Level::Critical, &format!("descriptor {fd} is not a listening socket"));
        return;
    };
    let is_internet = rustix::net::sockopt::socket_domain(borrow(fd)).is_ok_and(|domain| domain != AddressFamily::UNIX);
    if is_internet {
        // Inherited by every connection: what a client does not take in this time the kernel gives up too, also after
        // the close, where nobody else is left to do so (tcp(7)). Where it cannot be set the kernel's own limits hold.
        let write_ms = u32::try_from(engine.bounds.write.grace_ms).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(borrow(fd), write_ms);
    }
    loop {
        let Ok(mut ready) = listening.readable().await else { return };
        if engine.admission.is_full() {
            if has_waiting(fd) {
                wait_for_room(engine).await;
            } else {
                ready.clear_ready();
            }
            continue;
        }
        match accept_burst(engine, fd, index, is_internet) {
            Ok(()) => tokio::task::yield_now().await,
            Err(Errno::AGAIN) => ready.clear_ready(),
            // Without descriptors the kernel says so even if nobody waits.
            Err(_) if !has_waiting(fd) => ready.clear_ready(),
            Err(error) => pause(engine, error).await,
        }
    }
}

/// Whether somebody waits to be accepted.
fn has_waiting(fd: RawFd) -> bool {
    let listening = borrow(fd);
    let mut polled = [PollFd::new(&listening, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// As many connections as may be are open: those without a request make room, else somebody has to leave first.
async fn wait_for_room(engine: &'static Engine) {
    static TOLD: Seldom = Seldom::new();
    let mut closed = engine.deadlines.evict(&[Wait::FirstByte, Wait::Idle, Wait::Head, Wait::Linger], MAKES_ROOM);
    if closed == 0 {
        closed = engine.deadlines.evict(&[Wait::Body], MAKES_ROOM);
    }
    TOLD.warn(|| match closed {
        0 => "max_connections is reached; new connections wait until others end".into(),
        _ => format!("max_connections is reached; closed {closed} idle or slow connections to make room"),
    });
    // Their tasks have to run before they are gone; a limit of time, since others may be in the way.
    let _ = tokio::time::timeout(PAUSE, engine.admission.room()).await;
}

/// No descriptors or no memory: what is idle makes room, and the listener rests, since it would only fail again.
async fn pause(engine: &'static Engine, error: Errno) {
    static TOLD: Seldom = Seldom::new();
    TOLD.warn(|| format!("cannot accept connections for now: {error}"));
    engine.deadlines.evict(&[Wait::FirstByte, Wait::Idle, Wait::Linger], MAKES_ROOM);
    tokio::time::sleep(PAUSE).await;
}

/// Accepts what waits, once more: connections in the accept queue at the moment of draining are served.
pub fn accept_waiting(engine: &'static Engine, fd: RawFd, index: usize) {
    let is_internet = rustix::net::sockopt::socket_domain(borrow(fd)).is_ok_and(|domain| domain != AddressFamily::UNIX);
    while !engine.admission.is_full() && accept_burst(engine, fd, index, is_internet).is_ok() {}
}

fn tell_of_address(peer: Option<SocketAddr>) {
    static TOLD: Seldom = Seldom::new();
    let address = peer.map(|peer| peer.ip().to_canonical().to_string()).unwrap_or_default();
    TOLD.warn(|| format!("{address} has as many connections as max_connections_per_address allows; closed one more"));
}

fn accept_burst(engine: &'static Engine, fd: RawFd, index: usize, is_internet: bool) -> Result<(), Errno> {
    for _ in 0..BURST {
        if engine.admission.is_full() {
            return Ok(());
        }
        match acceptfrom_with(borrow(fd), SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((socket, address)) => {
                let peer = address.filter(|_| is_internet).and_then(|address| SocketAddr::try_from(address).ok());
                let connection = Connection::new(engine, socket, index, peer);
                if connection.enter() {
                    http1::begin(connection);
                } else {
                    tell_of_address(peer);
                }
            }
            // The peer was gone before it was accepted, or a signal came: nothing to do with the listener.
            Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
