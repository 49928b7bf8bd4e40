//! Receives what is known about a response; hands on how its body is framed, and its bytes.

use crate::Version;

/// End of a line, and of a head.
pub const CRLF: &[u8] = b"\r\n";

/// The last chunk of a chunked body, with an empty trailer section (RFC 9112 7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The interim response a client with `Expect: 100-continue` waits for (RFC 9110 10.1.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How a response's body is framed (RFC 9112 6.3).
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// No byte of a body may be sent: the request was HEAD, or the status is 1xx, 204 or 304.
    #[default]
    Empty,
    /// Exactly this many bytes.
    Length(u64),
    /// Chunks, then [`LAST_CHUNK`].
    Chunked,
    /// Bytes until the connection is closed.
    UntilClose,
}

/// What is known about a response when its head is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseProperties {
    /// Version of the request.
    pub version: Version,
    /// Whether the request was HEAD.
    pub is_head: bool,
    /// Status code of the response.
    pub status: u16,
    /// The application's own Content-Length.
    pub content_length: Option<u64>,
    /// Length of the whole body, if the server knows it.
    pub known_length: Option<u64>,
    /// Whether the request allows another one on this connection, and the server wants it.
    pub keep_alive: bool,
}

/// What follows from [`ResponseProperties`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePlan {
    /// How the body is framed.
    pub body: ResponseBody,
    /// Whether the connection stays open after the response.
    pub keep_alive: bool,
    /// Content-Length to be added.
    pub add_content_length: Option<u64>,
    /// Whether `Transfer-Encoding: chunked` is to be added.
    pub add_chunked: bool,
    /// Value of the Connection header to be added.
    pub connection: Option<&'static str>,
    /// Whether the application's Content-Length is to be left out.
    pub drop_content_length: bool,
}

/// Decides how a response is framed: RFC 9112 6.3 and 9.3, RFC 9110 6.4.1 and 8.6.
#[must_use]
pub fn plan_response(properties: &ResponseProperties) -> ResponsePlan {
    // RFC 9110 8.6: no Content-Length with 1xx and 204.
    let drop_content_length = matches!(properties.status, 100..=199 | 204);
    let content_length = properties.content_length.filter(|_| !drop_content_length);
    let mut add_content_length = None;
    let body = if drop_content_length || properties.status == 304 || properties.is_head {
        // RFC 9110 8.6: with HEAD, only the length that GET would have. That a body made for
        // HEAD is empty says nothing about it.
        if properties.is_head && !drop_content_length && properties.status != 304 && content_length.is_none() {
            add_content_length = properties.known_length.filter(|&length| length > 0);
        }
        ResponseBody::Empty
    } else if let Some(length) = content_length {
        ResponseBody::Length(length)
    } else if let Some(length) = properties.known_length {
        add_content_length = Some(length);
        ResponseBody::Length(length)
    } else if properties.version == Version::Http11 {
        ResponseBody::Chunked
    } else {
        // RFC 9112 6.1: HTTP/1.0 does not know chunks, so the end of the connection ends the body.
        ResponseBody::UntilClose
    };
    let keep_alive = properties.keep_alive && body != ResponseBody::UntilClose;
    ResponsePlan {
        body,
        keep_alive,
        add_content_length,
        add_chunked: body == ResponseBody::Chunked,
        connection: connection_option(keep_alive, properties.version),
        drop_content_length,
    }
}

/// RFC 9112 9.3: what differs from the default of the client's version has to be said. `close` is said to
/// HTTP/1.0 too, for the sake of proxies.
fn connection_option(keep_alive: bool, version: Version) -> Option<&'static str> {
    match (keep_alive, version) {
        (false, _) => Some("close"),
        (true, Version::Http10) => Some("keep-alive"),
        (true, Version::Http11) => None,
    }
}

/// Appends a status line; `status_and_reason` is like `200 OK`. The version is the server's own, not the
/// request's (RFC 9110 2.5).
pub fn write_status_line(out: &mut Vec<u8>, status_and_reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status_and_reason);
    out.extend_from_slice(CRLF);
}

/// Appends a field line. The name and the value have to be checked already.
pub fn write_header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + b": \r\n".len());
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(CRLF);
}

/// Appends a Content-Length field line.
pub fn write_content_length(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    out.extend_from_slice(CRLF);
}

/// Appends the line before a chunk's data: its size of `n` bytes in hexadecimal, RFC 9112 7.1. `n` must not be
/// zero, which would end the body; after the data comes [`CRLF`].
pub fn write_chunk_size(out: &mut Vec<u8>, n: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - n.leading_zeros()).div_ceil(4).max(1);
    for position in (0..digits).rev() {
        out.push(DIGITS[(n >> (4 * position)) & 0xf]);
    }
    out.extend_from_slice(CRLF);
}
