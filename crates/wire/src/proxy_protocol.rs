//! Receives the first bytes of a connection that a load balancer passes on; hands on the header in which it tells of
//! the client (PROXY protocol, versions 1 and 2), an error, or "need more data".
//!
//! Nothing is guessed: the caller knows from its configuration that there has to be a header, and anything else is
//! rejected at the first byte that differs. Never call it for peers that are not listed as load balancers: they could
//! say anything.
//!
//! # How a connection uses it
//!
//! Before anything else, TLS too: [`ProxyHeader::read`] on the read buffer, again with more bytes while it wants more;
//! then take the client from `endpoints` in the place of the socket's peer, and drop `length` bytes. On an error say it
//! in the log and close without a response: the peer does not speak HTTP yet.

mod crc32c;
mod v1;
mod v2;

pub use v2::ProxyTls;

use std::net::SocketAddr;

use crate::{Span, WireError};

/// How large a header of version 2 may be by default; above it, an error. The addresses and TLVs of HAProxy make less
/// than 600 bytes.
pub const PROXY_MAX_BYTES: usize = 4096;

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A PROXY protocol header; spans are of the bytes that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// How many bytes it has; the client's follow.
    pub length: usize,
    /// Between whom the connection is.
    pub endpoints: ProxyEndpoints,
    /// The protocol that was agreed on by ALPN (RFC 7301), such as `h2`.
    pub alpn: Option<Span>,
    /// The host name that the client asked for (SNI), without control characters.
    pub authority: Option<Span>,
    /// The load balancer's name for the connection: any bytes, at most 128.
    pub unique_id: Option<Span>,
    /// What is known of the client's TLS.
    pub tls: Option<ProxyTls>,
}

/// Between whom a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyEndpoints {
    /// The load balancer's own, such as a health check: the socket's peer is the client.
    Local,
    /// Not stated, because the client's protocol has no such addresses: the socket's peer has to do.
    Unknown,
    /// TCP.
    Ip {
        /// The client.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
    /// Unix sockets. An abstract name begins with NUL; a client's is usually empty.
    Unix {
        /// Path of the client's socket.
        source: Span,
        /// Path of the socket that it connected to.
        destination: Span,
    },
}

impl ProxyHeader {
    /// Reads a header from the start of `bytes`; one of version 2 may have `max_bytes`.
    ///
    /// # Returns
    ///
    /// `Ok(None)` when more data is needed: call again with all bytes and more of them.
    ///
    /// # Errors
    ///
    /// What is wrong with the header; see the `PROXY_*` constants of [`WireError`].
    pub fn read(bytes: &[u8], max_bytes: usize) -> Result<Option<Self>, WireError> {
        let starts_like = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
        if starts_like(V1_START) {
            return v1::read(bytes);
        }
        if starts_like(V2_START) {
            return v2::read(bytes, max_bytes);
        }
        Err(WireError::PROXY_SIGNATURE)
    }

    /// A header that tells no more than this.
    fn new(length: usize, endpoints: ProxyEndpoints) -> Self {
        Self { length, endpoints, alpn: None, authority: None, unique_id: None, tls: None }
    }
}
