//! Where a member of an upstream is, as an operator writes it: an address, or a name that has some.

use super::tls::ServerName;
use crate::message::spoken::Protocol;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

/// Where HTTP is spoken if nothing is said (RFC 9110 4.2.1), and over TLS (4.2.2).
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The address of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where.
    pub endpoint: Endpoint,
    /// Whom the certificate has to be of, where it is spoken over TLS.
    pub server_name: Option<ServerName>,
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
    /// Where SRV records say (RFC 2782), which somebody else looks up.
    Service(Service),
}

/// A name with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Whom a certificate has to be of, where it is spoken over TLS: this very name.
    server_name: Option<ServerName>,
    host: String,
    port: u16,
}

/// A service: `srv+http://NAME` or `srv+https://NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    text: String,
    /// Whom a certificate has to be of, over TLS: the domain that has the service (RFC 9525 2, the source domain), since
    /// what the DNS tells of it, nobody vouches for.
    server_name: Option<ServerName>,
}

impl Address {
    /// The one at a socket of the network.
    pub fn tcp(protocol: Protocol, address: SocketAddr) -> Address {
        Address { protocol, endpoint: Endpoint::Tcp(address), server_name: None }
    }

    /// The one at a Unix socket.
    pub fn unix(protocol: Protocol, path: impl Into<PathBuf>) -> Address {
        Address { protocol, endpoint: Endpoint::Unix(path.into()), server_name: None }
    }
}

impl Place {
    /// Reads `SCHEME://HOST:PORT` (the port may be missing over HTTP: 80, or 443), `unix:PATH` or `SCHEME+unix:PATH`, where
    /// `SCHEME` is `http`, `https` (not with a path), `uwsgi` or `fastcgi`; or `srv+http://NAME`, `srv+https://NAME`.
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
        let authority = rest.strip_prefix("//")?;
        if let Some(scheme) = scheme.strip_prefix("srv+") {
            return Service::parse(text, scheme, authority).map(Place::Service);
        }
        let is_tls = scheme == "https";
        let protocol = if is_tls { Protocol::Http } else { spoken(scheme)? };
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
            None if protocol == Protocol::Http => (authority, if is_tls { HTTPS_PORT } else { HTTP_PORT }),
            None => return None,
        };
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let server_name = if is_tls { Some(ServerName::read(literal)?) } else { None };
        Some(match literal.parse::<IpAddr>() {
            Ok(address) => {
                Place::Fixed(Address { server_name, ..Address::tcp(protocol, SocketAddr::new(address, port)) })
            }
            Err(_) => Place::Named(HostPort { protocol, server_name, host: host.to_owned(), port }),
        })
    }

    /// Where one of its addresses is, if that is not always the same.
    pub fn at(&self, address: SocketAddr) -> Address {
        match self {
            Place::Fixed(address) => address.clone(),
            Place::Named(_) | Place::Service(_) => {
                Address { server_name: self.server_name().cloned(), ..Address::tcp(self.protocol(), address) }
            }
        }
    }

    /// Whether it is spoken over TLS.
    pub fn is_tls(&self) -> bool {
        self.server_name().is_some()
    }

    fn server_name(&self) -> Option<&ServerName> {
        let server_name = match self {
            Place::Fixed(address) => &address.server_name,
            Place::Named(name) => &name.server_name,
            Place::Service(service) => &service.server_name,
        };
        server_name.as_ref()
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

impl Service {
    fn parse(text: &str, scheme: &str, name: &str) -> Option<Service> {
        let is_name = !name.is_empty() && !name.contains(['/', '?', '#', '@', ' ', ':', ',', '\0']);
        let server_name = match scheme {
            "http" => None,
            "https" => {
                let labels = name.split('.').skip_while(|label| label.starts_with('_'));
                Some(ServerName::read(&labels.collect::<Vec<_>>().join("."))?)
            }
            _ => return None,
        };
        is_name.then(|| Service { text: text.to_owned(), server_name })
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
            Place::Service(service) => formatter.write_str(&service.text),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = scheme(self.protocol, self.server_name.as_ref());
        match &self.endpoint {
            Endpoint::Tcp(address) => write!(formatter, "{scheme}://{address}"),
            Endpoint::Unix(path) if self.protocol == Protocol::Http => write!(formatter, "unix:{}", path.display()),
            Endpoint::Unix(path) => write!(formatter, "{scheme}+unix:{}", path.display()),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}:{}", scheme(self.protocol, self.server_name.as_ref()), self.host, self.port)
    }
}

/// What begins an address, where TLS is spoken if there is a name.
fn scheme(protocol: Protocol, server_name: Option<&ServerName>) -> &'static str {
    if server_name.is_some() { "https" } else { protocol.name() }
}
