//! Receives the text that names one server or client of a chain; hands on its address and port, or that it is hidden.

use super::Client;
use crate::Networks;
use std::net::{IpAddr, Ipv6Addr};

/// One server or client of a chain: `node`, RFC 7239 6.
#[derive(Clone, Copy)]
pub(super) enum Node {
    At(IpAddr, Option<u16>),
    /// A peer on a Unix socket, as nginx writes it.
    Unix,
    /// `unknown`, an obfuscated identifier, or nothing that can be read.
    Hidden,
}

impl Node {
    /// An address with or without a port. IPv6 without brackets is what most servers write in X-Forwarded-For.
    pub(super) fn read(text: &[u8]) -> Self {
        let Ok(text) = str::from_utf8(text) else { return Self::Hidden };
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::At(address.to_canonical(), None);
        }
        if text == "unix:" {
            return Self::Unix;
        }
        let literal = text.strip_prefix('[').and_then(|literal| literal.split_once(']'));
        let (address, port) = if let Some((literal, port)) = literal {
            (literal.parse::<Ipv6Addr>().map(IpAddr::V6).ok(), port)
        } else {
            let (address, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (address.parse().map(IpAddr::V4).ok(), port)
        };
        let port = match port.as_bytes() {
            // RFC 7239 6.3: a port may be obfuscated. Port 0 is no port.
            [] | [b':', b'_', ..] => Some(None),
            [b':', digits @ ..] => read_port(digits).map(|port| (port != 0).then_some(port)),
            _ => None,
        };
        match (address, port) {
            (Some(address), Some(port)) => Self::At(address.to_canonical(), port),
            _ => Self::Hidden,
        }
    }

    pub(super) fn is_in(self, trusted: &Networks) -> bool {
        match self {
            Self::At(address, _) => trusted.contains(address),
            Self::Unix => trusted.contains_unix(),
            Self::Hidden => false,
        }
    }

    pub(super) fn client(self) -> Client {
        match self {
            Self::At(address, port) => Client { address: Some(address), port },
            Self::Unix | Self::Hidden => Client::default(),
        }
    }
}

/// One to five digits that are a port.
pub(crate) fn read_port(digits: &[u8]) -> Option<u16> {
    if digits.len() > 5 { None } else { u16::try_from(read_number(digits)?).ok() }
}

/// A number in plain digits.
pub(super) fn read_number(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}
