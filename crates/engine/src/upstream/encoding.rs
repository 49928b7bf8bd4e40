//! A request's head as a member is sent it: of HTTP/1, a packet of uwsgi, or the records of FastCGI up to its body.

use crate::message::spoken::Protocol;
use portico_wire::{CRLF, LAST_CHUNK};
use portico_wire::{
    FastCgiStream, Framing, PassedConnection, PassedOn, WireError, fastcgi_record_header, write_chunk_size,
    write_fastcgi_stream,
};

/// The number of the only request that a connection over FastCGI has at a time.
pub const REQUEST_ID: u16 = 1;

/// The head of `request` over `protocol`; `given` are variables that an operator adds.
///
/// # Errors
/// What the request has that cannot be passed on in this way.
pub fn encode(request: &PassedOn<'_>, protocol: Protocol, given: &[(String, String)]) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(512);
    match protocol {
        Protocol::Http | Protocol::Scgi => request.write(&mut out)?,
        // A packet says how long the body is that follows it, or there is none.
        Protocol::Uwsgi if request.framing == Framing::Chunked => return Err(WireError::LENGTH_REQUIRED),
        Protocol::Uwsgi => request.variables(given)?.write_uwsgi(&mut out)?,
        Protocol::FastCgi => {
            let keep = request.connection == PassedConnection::Keep;
            request.variables(given)?.write_fastcgi(&mut out, REQUEST_ID, keep);
            if request.framing == Framing::Empty {
                BodyEncoding::Records.end(&mut out);
            }
        }
    }
    Ok(out)
}

/// How the blocks of a body are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEncoding {
    /// As they are.
    Plain,
    /// As chunks (RFC 9112 7.1).
    Chunks,
    /// As records of FastCGI.
    Records,
}

impl BodyEncoding {
    /// That of a body with this framing over `protocol`.
    pub fn of(protocol: Protocol, framing: Framing) -> BodyEncoding {
        match (protocol, framing) {
            (Protocol::FastCgi, _) => BodyEncoding::Records,
            (_, Framing::Chunked) => BodyEncoding::Chunks,
            (_, Framing::Empty | Framing::Length(_)) => BodyEncoding::Plain,
        }
    }

    /// Appends a block.
    pub fn wrap(self, out: &mut Vec<u8>, block: &[u8]) {
        match self {
            BodyEncoding::Plain => out.extend_from_slice(block),
            BodyEncoding::Chunks => {
                write_chunk_size(out, block.len());
                out.extend_from_slice(block);
                out.extend_from_slice(CRLF);
            }
            BodyEncoding::Records => write_fastcgi_stream(out, FastCgiStream::Stdin, REQUEST_ID, block),
        }
    }

    /// Appends the end of the body.
    pub fn end(self, out: &mut Vec<u8>) {
        match self {
            BodyEncoding::Plain => {}
            BodyEncoding::Chunks => out.extend_from_slice(LAST_CHUNK),
            BodyEncoding::Records => {
                out.extend_from_slice(&fastcgi_record_header(FastCgiStream::Stdin, REQUEST_ID, 0).0);
            }
        }
    }
}
