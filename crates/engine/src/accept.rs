//! Accepts connections from one listening socket, until the server drains; pauses when descriptors run out.
//!
//! Runs as one task for each socket. In a worker the supervisor owns the sockets for ever; the worker only stops
//! accepting. Workers that share a socket share its connections:
//!
//! 1. `line`: a new connection wakes one worker.
//! 2. `fairness`: which worker takes it.
//!
//! Where the server has a gate, connections pass it one by one, and what waits when it drains is left to its successor.

mod fairness;
mod line;

use crate::connection::Connection;
use crate::deadline::Wait;
use crate::descriptor;
use crate::listener::Listener;
use crate::log::RateLimited;
use crate::message::spoken::Protocol;
use crate::os_error::without_number;
use crate::protocol::{fastcgi, http1};
use crate::server::Server;
use crate::timer::{sleep, timeout};
use fairness::{Claim, Fairness};
use line::Place;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with, getpeername};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// Connections accepted in one go before other work has its turn.
const BURST: usize = 16;
/// At a limit, one in this many idle connections makes room: looking for them costs a look at all.
const MAKES_ROOM: usize = 64;
/// Pause after a connection was left to others.
const LEAVE: Duration = Duration::from_millis(5);
/// How often a connection is left to a worker with fewer, or an idle one: then none comes, for whatever reason.
const LEAVE_AT_MOST: u32 = 10;
/// Pause after an accept that failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Until when connections are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepting {
    /// As long as they come.
    Open,
    /// Those that wait at this moment are the last ones.
    Last,
    /// None any more.
    Closed,
}

/// Registers a listening socket with the reactor.
///
/// # Errors
/// Which one, and what epoll says.
pub fn listen(listener: &Listener, socket: OwnedFd) -> Result<AsyncFd<OwnedFd>, String> {
    descriptor::watch_owned(socket, Interest::READABLE)
        .map_err(|error| without_number(&format!("{}: cannot listen: {error}", listener.display)).into_owned())
}

/// Accepts until told otherwise, then closes the socket: once the supervisor and all workers have closed it, the port
/// refuses connections instead of taking some that nobody serves.
pub async fn accept(
    server: Arc<Server>,
    listener: Arc<Listener>,
    listening: AsyncFd<OwnedFd>,
    mut accepting: watch::Receiver<Accepting>,
) {
    let until = tokio::select! {
        biased;
        until = accepting.wait_for(|until| *until != Accepting::Open) => {
            until.map_or(Accepting::Closed, |until| *until)
        }
        () = accept_always(&server, &listener, &listening) => Accepting::Closed,
    };
    if until == Accepting::Last && server.gate.is_none() {
        // Connections in the accept queue at the moment of draining are served.
        let admission = &server.resources.admission;
        while !admission.is_full() && accept_some(&server, &listener, listening.get_ref(), BURST, None).is_ok() {}
    }
}

/// Begins the life of a connection that somebody else has accepted. To be called in the runtime.
pub fn take_over(server: &Arc<Server>, listener: &Arc<Listener>, connection: OwnedFd) {
    // None where the peer has left already: then there is nothing to read, and its life ends at once.
    let address = getpeername(&connection).ok().flatten();
    admit(server, listener, connection, address);
}

async fn accept_always(server: &Arc<Server>, listener: &Arc<Listener>, listening: &AsyncFd<OwnedFd>) {
    let socket = listening.get_ref();
    let place = Place::take(socket);
    let mut fairness = Fairness::new(server.resources.slot.clone());
    loop {
        let ready = tokio::select! {
            ready = listening.readable() => ready.map(Some),
            () = fairness.left() => Ok(None),
        };
        let Ok(ready) = ready else { return };
        accept_all(server, listener, socket, &mut fairness).await;
        // What has come since the event is an event of its own.
        if let Some(mut ready) = ready {
            ready.clear_ready();
        }
        if let Some(place) = place.as_ref().filter(|_| fairness.has_more_than_others()) {
            place.go_to_the_end(socket);
        }
    }
}

/// Accepts until nobody waits.
async fn accept_all(server: &Arc<Server>, listener: &Arc<Listener>, socket: &OwnedFd, fairness: &mut Fairness) {
    let mut left = 0;
    let most = if server.gate.is_some() { 1 } else { BURST };
    loop {
        if server.gate.is_some() && !has_waiting(socket) {
            return;
        }
        let _passage = server.pass_gate().await;
        if server.resources.admission.is_full() {
            if !has_waiting(socket) {
                return;
            }
            wait_for_room(server).await;
        } else if is_left(fairness, left) {
            if !has_waiting(socket) {
                return;
            }
            fairness.leave();
            left += 1;
            sleep(LEAVE).await;
        } else {
            left = 0;
            match accept_some(server, listener, socket, most, Some(fairness)) {
                Ok(()) => tokio::task::yield_now().await,
                Err(Errno::AGAIN) => return,
                // Without descriptors the kernel says so even if nobody waits.
                Err(_) if !has_waiting(socket) => return,
                Err(error) => pause(server, error).await,
            }
        }
    }
}

/// Whether a connection is left to others, and was `left` so often before.
fn is_left(fairness: &mut Fairness, left: u32) -> bool {
    match fairness.claim() {
        Claim::Own => false,
        Claim::OfFewer | Claim::OfAnIdle if left < LEAVE_AT_MOST => true,
        Claim::OfFewer | Claim::OfAnIdle => {
            fairness.nobody_came();
            false
        }
        // Here it would wait no less.
        Claim::OfTheFree => true,
    }
}

/// Whether somebody waits to be accepted.
fn has_waiting(socket: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// As many connections as may be are open: those without a request make room, else somebody has to leave first.
async fn wait_for_room(server: &Server) {
    static RATE: RateLimited = RateLimited::new();
    let wheel = &server.resources.wheel;
    let mut closed = wheel.evict(&[Wait::FirstByte, Wait::Idle, Wait::Head, Wait::Linger], MAKES_ROOM);
    if closed == 0 {
        closed = wheel.evict(&[Wait::Body], MAKES_ROOM);
    }
    RATE.warn(|| match closed {
        0 => "max_connections is reached; new connections wait until others end".into(),
        _ => format!("max_connections is reached; closed {closed} idle or slow connections to make room"),
    });
    // Their tasks have to run before they are gone; a limit of time, since others may be in the way.
    let _ = timeout(PAUSE, server.resources.admission.room()).await;
}

/// No descriptors or no memory: what is idle makes room, and the listener rests, since it would only fail again.
async fn pause(server: &Server, error: Errno) {
    static RATE: RateLimited = RateLimited::new();
    RATE.warn(|| format!("cannot accept connections for now: {error}"));
    server.resources.wheel.evict(&[Wait::FirstByte, Wait::Idle, Wait::Linger], MAKES_ROOM);
    sleep(PAUSE).await;
}

fn warn_about_address(peer: Option<SocketAddr>) {
    static RATE: RateLimited = RateLimited::new();
    let address = peer.map(|peer| peer.ip().to_canonical().to_string()).unwrap_or_default();
    RATE.warn(|| format!("{address} has as many connections as max_connections_per_address allows; closed one more"));
}

/// Accepts at most `most`: the first in any case, others as long as they are not for other workers.
fn accept_some(
    server: &Arc<Server>,
    listener: &Arc<Listener>,
    socket: &OwnedFd,
    most: usize,
    mut fairness: Option<&mut Fairness>,
) -> Result<(), Errno> {
    for accepted in 0..most {
        let is_for_others = accepted > 0 && fairness.as_mut().is_some_and(|fairness| fairness.claim() != Claim::Own);
        if is_for_others || server.resources.admission.is_full() {
            return Ok(());
        }
        match acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((fd, address)) => {
                admit(server, listener, fd, address);
            }
            // The peer was gone before it was accepted, or a signal came: nothing to do with the listener.
            Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Begins the life of a connection, unless its peer may not come in.
fn admit(server: &Arc<Server>, listener: &Arc<Listener>, fd: OwnedFd, address: Option<SocketAddrAny>) {
    let address = address.filter(|_| listener.is_internet);
    let peer = address.and_then(|address| SocketAddr::try_from(address).ok());
    if let Some(setting) = listener.barred_by(&server.resources.settings, peer) {
        let peer = peer.map_or_else(|| "a Unix socket".into(), |peer| peer.ip().to_canonical().to_string());
        return listener.warn_about(&peer, &format!("closed the connection, which {setting} does not allow"));
    }
    match Connection::new(&server.resources, fd, listener, peer) {
        None => warn_about_address(peer),
        Some(connection) => match listener.protocol {
            Protocol::Http | Protocol::Uwsgi | Protocol::Scgi => http1::begin(server, connection),
            Protocol::FastCgi => fastcgi::begin(server, connection),
        },
    }
}
