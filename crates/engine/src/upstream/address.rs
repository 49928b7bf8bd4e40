//! Where a member of an upstream is, as an operator writes it: an address, or a name that has some.

use crate::message::spoken::Protocol;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

/// The address of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where.
    pub endpoint: Endpoint,
}

/// Where a member listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `HOST:PORT`.
    Tcp(SocketAddr),
    /// `unix:PATH`, or `unix:@NAME` without a file (unix(7), abstract).
    Unix(PathBuf),
}

/// What an operator writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address.
    Fixed(Address),
    /// A name that has to be looked up, and may have others in time.
    Named(HostPort),
    /// `srv+http://NAME`: where SRV records say (RFC 2782), which somebody else looks up.
    Service(String),
}

/// A name with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// What is spoken there.
    pub protocol: Protocol,
    host: String,
    port: u16,
}

impl Address {
    /// The one at a socket of the network.
    pub fn tcp(protocol: Protocol, address: SocketAddr) -> Address {
        Address { protocol, endpoint: Endpoint::Tcp(address) }
    }

    /// The one at a Unix socket.
    pub fn unix(protocol: Protocol, path: impl Into<PathBuf>) -> Address {
        Address { protocol, endpoint: Endpoint::Unix(path.into()) }
    }
}

impl Place {
    /// Reads `SCHEME://HOST:PORT` (the port may be missing over HTTP: 80), `unix:PATH` or `SCHEME+unix:PATH`, where
    /// `SCHEME` is `http`, `uwsgi` or `fastcgi`; or `srv+http://NAME`.
    ///
    /// # Errors
    /// A sentence: what was expected.
    pub fn read(text: &str) -> Result<Place, String> {
        Place::parse(text).ok_or_else(|| format!("expected SCHEME://HOST:PORT or SCHEME+unix:PATH, got {text:?}"))
    }

    fn parse(text: &str) -> Option<Place> {
        let (scheme, rest) = text.split_once(':')?;
        if let Some(scheme) = scheme.strip_suffix("unix") {
            let protocol = if scheme.is_empty() { Protocol::Http } else { spoken(scheme.strip_suffix('+')?)? };
            let is_path = !rest.is_empty() && !rest.contains('\0');
            return is_path.then(|| Place::Fixed(Address::unix(protocol, rest)));
        }
        if scheme == "srv+http" {
            let name = rest.strip_prefix("//")?;
            let is_name = !name.is_empty() && !name.contains(['/', '?', '#', '@', ' ', ':', ',', '\0']);
            return is_name.then(|| Place::Service(text.to_owned()));
        }
        let protocol = spoken(scheme)?;
        let authority = rest.strip_prefix("//")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return None;
        }
        let after_literal = authority.rfind(']').unwrap_or(0);
        let colon = authority.get(after_literal..).and_then(|rest| rest.find(':')).map(|at| after_literal + at);
        let (host, port) = match colon {
            Some(colon) => (
                authority.get(..colon).unwrap_or_default(),
                authority.get(colon + 1..).unwrap_or_default().parse().ok()?,
            ),
            // The others have none that everybody knows.
            None if protocol == Protocol::Http => (authority, 80),
            None => return None,
        };
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(match literal.parse::<IpAddr>() {
            Ok(address) => Place::Fixed(Address::tcp(protocol, SocketAddr::new(address, port))),
            Err(_) => Place::Named(HostPort { protocol, host: host.to_owned(), port }),
        })
    }

    /// Where one of its addresses is, if that is not always the same.
    pub fn at(&self, address: SocketAddr) -> Address {
        match self {
            Place::Fixed(address) => address.clone(),
            Place::Named(_) | Place::Service(_) => Address::tcp(self.protocol(), address),
        }
    }

    /// What is spoken there.
    pub fn protocol(&self) -> Protocol {
        match self {
            Place::Fixed(address) => address.protocol,
            Place::Named(name) => name.protocol,
            Place::Service(_) => Protocol::Http,
        }
    }
}

/// What is spoken with members: SCGI is not.
fn spoken(scheme: &str) -> Option<Protocol> {
    Protocol::named(scheme).filter(|protocol| *protocol != Protocol::Scgi)
}

impl HostPort {
    /// The addresses that it has now. May take long: never on a thread that drives I/O. Where it has some of both families
    /// they are those of IPv4, since who listens at a name (`localhost`) often does so there alone.
    ///
    /// # Errors
    /// Why it has none.
    pub fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let mut found: Vec<_> = (&*self.host, self.port).to_socket_addrs()?.collect();
        if found.iter().any(SocketAddr::is_ipv4) {
            found.retain(SocketAddr::is_ipv4);
        }
        found.sort_unstable();
        found.dedup();
        if found.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(found) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Fixed(address) => address.fmt(formatter),
            Place::Named(name) => name.fmt(formatter),
            Place::Service(name) => formatter.write_str(name),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.protocol.name();
        match &self.endpoint {
            Endpoint::Tcp(address) => write!(formatter, "{scheme}://{address}"),
            Endpoint::Unix(path) if self.protocol == Protocol::Http => write!(formatter, "unix:{}", path.display()),
            Endpoint::Unix(path) => write!(formatter, "{scheme}+unix:{}", path.display()),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}:{}", self.protocol.name(), self.host, self.port)
    }
}
