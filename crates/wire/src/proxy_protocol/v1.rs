//! Version 1: `PROXY TCP4 source destination source-port destination-port CRLF`, with single spaces.

use std::net::{IpAddr, SocketAddr};

use super::{ProxyEndpoints, ProxyHeader, V1_START};
use crate::WireError;
use crate::forwarded::read_port;

/// The longest line that the specification has, with its CRLF.
const MAX_LINE_BYTES: usize = 107;

/// Reads a line that begins like [`V1_START`], as far as it has come.
pub(super) fn read(bytes: &[u8]) -> Result<Option<ProxyHeader>, WireError> {
    let window = bytes.get(..MAX_LINE_BYTES).unwrap_or(bytes);
    let Some(line_feed) = memchr::memchr(b'\n', window) else {
        return if window.len() < MAX_LINE_BYTES { Ok(None) } else { Err(WireError::PROXY_LINE) };
    };
    let Some([content @ .., b'\r']) = window.get(V1_START.len()..line_feed) else {
        return Err(WireError::PROXY_LINE);
    };
    let endpoints = match content {
        // The rest of the line is to be ignored.
        b"UNKNOWN" | [b'U', b'N', b'K', b'N', b'O', b'W', b'N', b' ', ..] => ProxyEndpoints::Unknown,
        _ => read_endpoints(content).ok_or(WireError::PROXY_LINE)?,
    };
    Ok(Some(ProxyHeader::new(line_feed + 1, endpoints)))
}

fn read_endpoints(content: &[u8]) -> Option<ProxyEndpoints> {
    let mut words = str::from_utf8(content).ok()?.split(' ');
    let family = words.next()?;
    let mut address = || {
        let address = words.next()?;
        match family {
            "TCP4" => address.parse().map(IpAddr::V4).ok(),
            "TCP6" => address.parse().map(IpAddr::V6).ok(),
            _ => None,
        }
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || match words.next()?.as_bytes() {
        // No leading zeros.
        [b'0', _, ..] => None,
        digits => read_port(digits),
    };
    let endpoints = ProxyEndpoints::Ip {
        source: SocketAddr::new(source, port()?),
        destination: SocketAddr::new(destination, port()?),
    };
    words.next().is_none().then_some(endpoints)
}
