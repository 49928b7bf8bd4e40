//! Listening sockets, adopted from the supervisor: who may connect to each and what is spoken there; accept, and
//! pause when descriptors run out.
//!
//! The supervisor owns the sockets for ever; a worker only stops accepting.

use crate::connection::{Connection, Envelope, fastcgi, life};
use crate::deadlines::Wait;
use crate::descriptor::{self, borrow};
use crate::engine::Engine;
use crate::error_log::{Level, Seldom, log};
use crate::settings::ListenerSettings;
use portico_wire::Networks;
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

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.
    Http,
    /// uwsgi.
    Uwsgi,
    /// FastCGI.
    FastCgi,
    /// SCGI.
    Scgi,
}

/// A listening socket.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states in disguise")]
pub struct Listener {
    /// Its place among those of the worker.
    pub index: usize,
    /// The socket.
    pub fd: RawFd,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Whether each connection begins with a PROXY protocol header.
    pub has_proxy_header: bool,
    /// Over uwsgi, whether a connection is kept where the end of an answer can be told.
    pub is_persistent: bool,
    /// Over FastCGI, whether `wsgi.errors` goes to the front server.
    pub sends_errors: bool,
    /// How a user would write it.
    pub display: String,
    /// Whether its peers have addresses; those of Unix sockets have not.
    pub is_internet: bool,
    peers: Networks,
    proxies: Networks,
    told: Seldom,
}

/// What CGI tells of the server (RFC 3875 4.1.14, 4.1.15).
pub struct Facts {
    /// SERVER_NAME: the address bound, or the host's name for all addresses.
    pub server_name: String,
    /// SERVER_PORT.
    pub server_port: String,
}

impl Listener {
    /// A listening socket of the settings.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(index: usize, settings: &ListenerSettings) -> Result<Listener, String> {
        let display = settings.display.clone();
        let networks = |what: &str, entries: &[String]| {
            Networks::parse(entries).map_err(|error| format!("{display}: {what}: {error}"))
        };
        let protocol = match settings.protocol.as_str() {
            "http" => Protocol::Http,
            "uwsgi" => Protocol::Uwsgi,
            "fastcgi" => Protocol::FastCgi,
            "scgi" => Protocol::Scgi,
            other => return Err(format!("{display}: expected http, uwsgi, fastcgi or scgi, got {other}")),
        };
        let domain = rustix::net::sockopt::socket_domain(borrow(settings.fd));
        Ok(Listener {
            index,
            fd: settings.fd,
            protocol,
            has_proxy_header: settings.proxy,
            is_persistent: settings.persistent,
            sends_errors: settings.stderr,
            is_internet: domain.is_ok_and(|domain| domain != AddressFamily::UNIX),
            peers: networks("allow_from", &settings.allow_from)?,
            proxies: networks("proxy_allow_from", &settings.proxy_allow_from)?,
            display,
            told: Seldom::new(),
        })
    }

    /// What an answer looks like to a request that was not understood.
    pub fn envelope(&self) -> Envelope {
        match self.protocol {
            Protocol::Http => Envelope::Http,
            Protocol::Uwsgi => Envelope::Uwsgi,
            Protocol::Scgi => Envelope::Scgi,
            // Whoever sends such has sent the number of its request before; 1 is what nearly all use.
            Protocol::FastCgi => Envelope::FastCgi { id: 1 },
        }
    }

    /// Tells what is wrong with what `peer` does here: seldom as a warning, each time for those who look for it.
    pub fn tell(&self, peer: &str, what: &str) {
        let line = format!("{}: {peer}: {what}", self.display);
        log(Level::Debug, &line);
        self.told.warn(|| line);
    }

    /// What environ tells of it.
    pub fn facts(&self) -> Facts {
        let address = rustix::net::getsockname(borrow(self.fd));
        match address.ok().and_then(|address| SocketAddr::try_from(address).ok()) {
            Some(address) if address.ip().is_unspecified() => {
                let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
                Facts { server_name: name, server_port: address.port().to_string() }
            }
            Some(address) => Facts { server_name: address.ip().to_string(), server_port: address.port().to_string() },
            // A Unix socket has neither; PEP 3333 wants both non-empty.
            None => Facts { server_name: "localhost".into(), server_port: "80".into() },
        }
    }

    /// The setting that keeps a peer out, if one does.
    fn bar(&self, peer: Option<SocketAddr>) -> Option<&'static str> {
        let may =
            |networks: &Networks| peer.map_or_else(|| networks.contains_unix(), |peer| networks.contains(peer.ip()));
        match self.protocol {
            _ if self.has_proxy_header && !may(&self.proxies) => Some("proxy_allow_from"),
            Protocol::Http => None,
            _ if may(&self.peers) => None,
            Protocol::Uwsgi => Some("uwsgi_allow_from"),
            Protocol::FastCgi => Some("fastcgi_allow_from"),
            Protocol::Scgi => Some("scgi_allow_from"),
        }
    }
}

/// Accepts connections for ever; dropped when the worker drains.
pub async fn accept(engine: &'static Engine, listener: &'static Listener) {
    let fd = listener.fd;
    let Ok(listening) = descriptor::watch(borrow(fd), Interest::READABLE) else {
        log(Level::Critical, &format!("descriptor {fd} is not a listening socket"));
        return;
    };
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
        match accept_burst(engine, listener) {
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
pub fn accept_waiting(engine: &'static Engine, listener: &'static Listener) {
    while !engine.admission.is_full() && accept_burst(engine, listener).is_ok() {}
}

fn tell_of_address(peer: Option<SocketAddr>) {
    static TOLD: Seldom = Seldom::new();
    let address = peer.map(|peer| peer.ip().to_canonical().to_string()).unwrap_or_default();
    TOLD.warn(|| format!("{address} has as many connections as max_connections_per_address allows; closed one more"));
}

fn accept_burst(engine: &'static Engine, listener: &'static Listener) -> Result<(), Errno> {
    for _ in 0..BURST {
        if engine.admission.is_full() {
            return Ok(());
        }
        match acceptfrom_with(borrow(listener.fd), SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((socket, address)) => {
                let address = address.filter(|_| listener.is_internet);
                let peer = address.and_then(|address| SocketAddr::try_from(address).ok());
                if let Some(setting) = listener.bar(peer) {
                    let peer = peer.map_or_else(|| "a Unix socket".into(), |peer| peer.ip().to_canonical().to_string());
                    listener.tell(&peer, &format!("closed the connection, which {setting} does not allow"));
                    continue;
                }
                let connection = Connection::new(engine, socket, listener, peer);
                if !connection.enter() {
                    tell_of_address(peer);
                    continue;
                }
                match listener.protocol {
                    Protocol::Http | Protocol::Uwsgi | Protocol::Scgi => life::begin(connection),
                    Protocol::FastCgi => fastcgi::begin(connection),
                }
            }
            // The peer was gone before it was accepted, or a signal came: nothing to do with the listener.
            Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
