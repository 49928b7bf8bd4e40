//! Where a member of an upstream is, as an operator writes it: an address, or a name that has some.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

/// The address of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `http://HOST:PORT`.
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
    host: String,
    port: u16,
}

impl Place {
    /// Reads `http://HOST:PORT` (the port may be missing: 80), `srv+http://NAME` or `unix:PATH`.
    ///
    /// # Errors
    /// A sentence: what was expected.
    pub fn read(text: &str) -> Result<Place, String> {
        let unknown = || format!("expected http://HOST:PORT or unix:PATH, got {text:?}");
        if let Some(path) = text.strip_prefix("unix:") {
            let is_path = !path.is_empty() && !path.contains('\0');
            return if is_path { Ok(Place::Fixed(Address::Unix(path.into()))) } else { Err(unknown()) };
        }
        if let Some(name) = text.strip_prefix("srv+http://") {
            let is_name = !name.is_empty() && !name.contains(['/', '?', '#', '@', ' ', ':', ',', '\0']);
            return if is_name { Ok(Place::Service(text.to_owned())) } else { Err(unknown()) };
        }
        let authority = text.strip_prefix("http://").ok_or_else(unknown)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(unknown());
        }
        let after_literal = authority.rfind(']').unwrap_or(0);
        let colon = authority.get(after_literal..).and_then(|rest| rest.find(':')).map(|at| after_literal + at);
        let (host, port) = match colon {
            Some(colon) => (
                authority.get(..colon).unwrap_or_default(),
                authority.get(colon + 1..).unwrap_or_default().parse().map_err(|_| unknown())?,
            ),
            None => (authority, 80),
        };
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(match literal.parse::<IpAddr>() {
            Ok(address) => Place::Fixed(Address::Tcp(SocketAddr::new(address, port))),
            Err(_) => Place::Named(HostPort { host: host.to_owned(), port }),
        })
    }

    /// Where one of its addresses is, if that is not always the same.
    pub fn at(&self, address: SocketAddr) -> Address {
        match self {
            Place::Fixed(address) => address.clone(),
            Place::Named(_) | Place::Service(_) => Address::Tcp(address),
        }
    }
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
        match self {
            Address::Tcp(address) => write!(formatter, "http://{address}"),
            Address::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}:{}", self.host, self.port)
    }
}
