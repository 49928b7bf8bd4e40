//! What there is to know of a listening socket: what is spoken there, who may connect, and what CGI tells of it. The
//! socket itself is `accept`'s.

use crate::log::{Level, RateLimited, log};
use crate::message::framing::ResponseFraming;
use crate::message::spoken::Protocol;
use crate::settings::{Settings, is_among};
use rustix::net::AddressFamily;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// A listening socket as whoever made it describes it.
pub struct BoundListener {
    /// The socket, non-blocking; the engine closes it when it drains, or once the connection has ended.
    pub socket: OwnedFd,
    /// What is spoken there.
    pub protocol: Protocol,
    /// What its address asks for beside that.
    pub options: Options,
    /// How a user would write it.
    pub display: String,
    /// Whether the socket is a connection that somebody else has accepted: the only one that comes from there.
    pub is_connection: bool,
}

/// What the address of a listening socket asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether each connection begins with a PROXY protocol header.
    pub proxy: bool,
    /// Over uwsgi, whether a connection is kept where the end of a response can be told.
    pub persistent: bool,
    /// Over FastCGI, whether `wsgi.errors` goes to the reverse proxy.
    pub stderr: bool,
}

/// A listening socket without the socket.
pub struct Listener {
    /// Its place among those of the server.
    pub index: usize,
    /// What is spoken there.
    pub protocol: Protocol,
    /// What its address asks for beside that.
    pub options: Options,
    /// How a user would write it.
    pub display: String,
    /// Whether it is a connection that somebody else has accepted.
    pub is_connection: bool,
    /// Whether its peers have addresses; those of Unix sockets have not.
    pub is_internet: bool,
    /// What CGI tells of it.
    pub identity: ServerIdentity,
    warnings: RateLimited,
}

/// What CGI tells of the server (RFC 3875 4.1.14, 4.1.15).
pub struct ServerIdentity {
    /// SERVER_NAME: the address bound, or the host's name for all addresses.
    pub server_name: String,
    /// SERVER_PORT.
    pub server_port: String,
}

impl Listener {
    /// The listening socket `bound`, at `index` among those of the server; with its socket.
    pub fn new(index: usize, bound: BoundListener) -> (Listener, OwnedFd) {
        let BoundListener { socket, protocol, options, display, is_connection } = bound;
        let domain = rustix::net::sockopt::socket_domain(&socket);
        let is_internet = domain.is_ok_and(|domain| domain != AddressFamily::UNIX);
        let identity = ServerIdentity::of(&socket);
        let warnings = RateLimited::new();
        (Listener { index, protocol, options, display, is_connection, is_internet, identity, warnings }, socket)
    }

    /// What a response looks like to a request that was not understood.
    pub fn framing(&self) -> ResponseFraming {
        match self.protocol {
            Protocol::Http => ResponseFraming::Http,
            Protocol::Uwsgi => ResponseFraming::Uwsgi,
            Protocol::Scgi => ResponseFraming::Scgi,
            // Whoever sends such has sent the number of its request before; 1 is what nearly all use.
            Protocol::FastCgi => ResponseFraming::FastCgi { id: 1 },
        }
    }

    /// Warns about what `peer` does here: rarely as a warning, each time for those who look for it.
    pub fn warn_about(&self, peer: &str, what: &str) {
        let line = format!("{}: {peer}: {what}", self.display);
        log(Level::Debug, &line);
        self.warnings.warn(|| line);
    }

    /// The setting that keeps a peer out, if one does.
    pub fn barred_by(&self, settings: &Settings, peer: Option<SocketAddr>) -> Option<&'static str> {
        let may = |networks| is_among(networks, peer.map(|peer| peer.ip()));
        match self.protocol {
            _ if self.options.proxy && !may(&settings.proxy_allow_from) => Some("proxy_allow_from"),
            Protocol::Uwsgi if !may(&settings.uwsgi_allow_from) => Some("uwsgi_allow_from"),
            Protocol::FastCgi if !may(&settings.fastcgi_allow_from) => Some("fastcgi_allow_from"),
            Protocol::Scgi if !may(&settings.scgi_allow_from) => Some("scgi_allow_from"),
            // Whoever reaches an HTTP socket may speak; what of its headers is believed is another question.
            Protocol::Http | Protocol::Uwsgi | Protocol::FastCgi | Protocol::Scgi => None,
        }
    }
}

impl ServerIdentity {
    /// What the address of a listening socket says.
    fn of(socket: impl AsFd) -> ServerIdentity {
        let address = rustix::net::getsockname(socket);
        match address.ok().and_then(|address| SocketAddr::try_from(address).ok()) {
            Some(address) if address.ip().is_unspecified() => {
                let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
                ServerIdentity { server_name: name, server_port: address.port().to_string() }
            }
            Some(address) => {
                ServerIdentity { server_name: address.ip().to_string(), server_port: address.port().to_string() }
            }
            // A Unix socket has neither; PEP 3333 wants both non-empty.
            None => ServerIdentity { server_name: "localhost".into(), server_port: "80".into() },
        }
    }
}
