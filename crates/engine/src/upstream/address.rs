//! Where a member of an upstream is, as an operator writes it.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

/// The address of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `http://HOST:PORT`.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl Address {
    /// Reads `http://HOST:PORT` (the port may be missing: 80) or `unix:PATH`. A name is looked up, which may take long:
    /// never on a thread that drives I/O.
    ///
    /// # Errors
    /// A sentence: what was expected, or why the name has no address.
    pub fn resolve(text: &str) -> Result<Address, String> {
        let unknown = || format!("expected http://HOST:PORT or unix:PATH, got {text:?}");
        if let Some(path) = text.strip_prefix("unix:") {
            let is_path = !path.is_empty() && !path.contains('\0');
            return if is_path { Ok(Address::Unix(path.into())) } else { Err(unknown()) };
        }
        let authority = text.strip_prefix("http://").ok_or_else(unknown)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(unknown());
        }
        let after_literal = authority.rfind(']').unwrap_or(0);
        let has_port = authority.get(after_literal..).is_some_and(|rest| rest.contains(':'));
        let with_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let mut found = with_port.to_socket_addrs().map_err(|error| format!("{text}: {error}"))?;
        found.next().map(Address::Tcp).ok_or_else(|| format!("{text}: the name has no address"))
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
