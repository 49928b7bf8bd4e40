//! Where a connection came from: facts that do not change, some of which are found out when they are first needed.

use super::socket::Socket;
use crate::clock;
use crate::listener::Listener;
use crate::message::spoken::Protocol;
use crate::settings::Settings;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

/// Process, user and group of the other end of a Unix socket.
pub type Credentials = (i32, u32, u32);

/// The origin of one connection.
pub struct Origin {
    /// The number of the connection, for log lines.
    pub id: u64,
    /// The listening socket it came from.
    pub listener: Arc<Listener>,
    /// The other end; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Whether the other end is a reverse proxy whose forwarded headers are believed.
    is_trusted: bool,
    credentials: OnceLock<Option<Credentials>>,
    /// What a load balancer says of the connection.
    proxied: OnceLock<Arc<Proxied>>,
    /// Monotonic.
    pub accepted_ns: u64,
}

/// What a load balancer says of a connection (PROXY protocol).
pub struct Proxied {
    /// The client; none where it has no address.
    pub client: Option<SocketAddr>,
    /// Whether the client is a reverse proxy whose forwarded headers are believed.
    pub is_trusted: bool,
    /// Whether the client's connection is encrypted.
    pub is_tls: bool,
    /// More about the connection, for the application: names and values.
    pub attributes: Vec<(&'static str, Vec<u8>)>,
}

/// Who sends the requests of a connection, as the application is told: outlives the connection.
pub struct Sender {
    /// Index of the listening socket.
    pub listener: usize,
    /// Who sends them; none on a Unix socket.
    pub client: Option<SocketAddr>,
    /// Whether that is a reverse proxy whose forwarded headers are believed.
    pub is_trusted: bool,
    /// Process, user and group of the peer on a Unix socket.
    pub credentials: Option<Credentials>,
    /// What a load balancer says of the connection.
    pub proxied: Option<Arc<Proxied>>,
    /// Whether `wsgi.errors` goes to the reverse proxy.
    pub takes_errors: bool,
}

impl Origin {
    /// The origin of connection `id`, which was just accepted from `listener`.
    pub fn new(id: u64, listener: &Arc<Listener>, peer: Option<SocketAddr>, settings: &Settings) -> Origin {
        Origin {
            id,
            listener: listener.clone(),
            peer,
            is_trusted: settings.trusts(peer.map(|peer| peer.ip())),
            credentials: OnceLock::new(),
            proxied: OnceLock::new(),
            accepted_ns: clock::monotonic_ns(),
        }
    }

    /// Takes over what a load balancer says; only the first time counts.
    pub fn set_proxied(&self, proxied: Proxied) {
        // There is one header, so there is no second time.
        let _ = self.proxied.set(Arc::new(proxied));
    }

    /// Who sends the requests: as a load balancer says, else the other end. None on a Unix socket.
    pub fn client(&self) -> Option<SocketAddr> {
        self.proxied.get().map_or(self.peer, |proxied| proxied.client)
    }

    /// Whether a load balancer says that the client's connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.proxied.get().is_some_and(|proxied| proxied.is_tls)
    }

    /// Whether the requests come from a reverse proxy whose forwarded headers are believed.
    pub fn is_trusted(&self) -> bool {
        self.proxied.get().map_or(self.is_trusted, |proxied| proxied.is_trusted)
    }

    /// The other end, for log lines.
    pub fn peer_text(&self) -> String {
        self.peer.map_or_else(|| "a Unix socket".into(), |peer| peer.to_string())
    }

    /// The other end's address as far as connections of one address are counted: not those of reverse proxies.
    pub fn counted_peer(&self) -> Option<SocketAddr> {
        let is_client = self.listener.protocol == Protocol::Http && !self.listener.options.proxy;
        self.peer.filter(|_| is_client && !self.is_trusted)
    }

    /// Who sends the requests, as the application is told.
    pub fn sender(&self, socket: &Socket) -> Sender {
        let credentials =
            if self.listener.is_internet { None } else { *self.credentials.get_or_init(|| socket.peer_credentials()) };
        Sender {
            listener: self.listener.index,
            client: self.client(),
            is_trusted: self.is_trusted(),
            credentials,
            proxied: self.proxied.get().cloned(),
            takes_errors: self.listener.options.stderr,
        }
    }
}

impl Sender {
    /// Whether a load balancer says that the client's connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.proxied.as_ref().is_some_and(|proxied| proxied.is_tls)
    }
}
