//! The request line of a record, and its parts: looked for once, by the first field that wants one.

use crate::json_text::is_plain;
use memchr::{memchr, memrchr};
use std::cell::OnceCell;

/// Bytes of a protocol: `HTTP/1.1`.
const PROTOCOL_BYTES: usize = 8;

/// A part of the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `GET`.
    Method,
    /// `/basket?id=7`.
    Target,
    /// `/basket`.
    Path,
    /// `id=7`.
    Query,
    /// `HTTP/1.1`.
    Protocol,
    /// `1.1`.
    Version,
}

/// A request line as it was on the wire, or as far as it came.
pub struct RequestLine<'a> {
    /// All of it.
    pub bytes: &'a [u8],
    /// How long the method is, where the line was understood as one of HTTP/1, and so ends with a protocol.
    method_bytes: Option<usize>,
    parts: OnceCell<Option<Parts<'a>>>,
    is_plain: OnceCell<bool>,
}

/// Those of a line that has all three.
#[derive(Clone, Copy)]
struct Parts<'a> {
    method: &'a [u8],
    target: &'a [u8],
    path: &'a [u8],
    query: Option<&'a [u8]>,
    protocol: &'a [u8],
}

impl<'a> RequestLine<'a> {
    /// The line with these bytes.
    pub fn of(bytes: &'a [u8]) -> RequestLine<'a> {
        RequestLine { bytes, method_bytes: None, parts: OnceCell::new(), is_plain: OnceCell::new() }
    }

    /// A line that was understood as one of HTTP/1, with a method of that length.
    pub fn understood(bytes: &'a [u8], method_bytes: usize) -> RequestLine<'a> {
        RequestLine { bytes, method_bytes: Some(method_bytes), parts: OnceCell::new(), is_plain: OnceCell::new() }
    }

    /// A part of a line that has all three.
    pub fn part(&self, part: Part) -> Option<&'a [u8]> {
        let parts = self.parts()?;
        match part {
            Part::Method => Some(parts.method),
            Part::Target => Some(parts.target),
            Part::Path => Some(parts.path),
            Part::Query => parts.query,
            Part::Protocol => Some(parts.protocol),
            Part::Version => parts.protocol.strip_prefix(b"HTTP/"),
        }
    }

    /// The line without its protocol, where it has one.
    pub fn without_protocol(&self) -> &'a [u8] {
        let length = self.parts().map_or(self.bytes.len(), |parts| parts.method.len() + 1 + parts.target.len());
        self.bytes.get(..length).unwrap_or(self.bytes)
    }

    /// Whether none of its bytes needs an escape in any notation: asked once for all parts that a line has.
    pub fn is_plain(&self) -> bool {
        *self.is_plain.get_or_init(|| is_plain(self.bytes))
    }

    fn parts(&self) -> Option<&Parts<'a>> {
        self.parts
            .get_or_init(|| {
                let (method, target, protocol) = match self.method_bytes {
                    Some(method_bytes) => understood(self.bytes, method_bytes)?,
                    None => split(self.bytes)?,
                };
                Some(Parts::of(method, target, protocol))
            })
            .as_ref()
    }
}

impl<'a> Parts<'a> {
    fn of(method: &'a [u8], target: &'a [u8], protocol: &'a [u8]) -> Parts<'a> {
        let (path, query) = match memchr(b'?', target) {
            Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
            None => (target, None),
        };
        Parts { method, target, path, query, protocol }
    }
}

/// Method, target and protocol of a line that has all three.
fn split(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (method, rest) = split_at(line, memchr(b' ', line)?);
    let (target, protocol) = split_at(rest, memrchr(b' ', rest)?);
    Some((method, target, protocol))
}

/// The same of a line of which is known where they are.
fn understood(line: &[u8], method_bytes: usize) -> Option<(&[u8], &[u8], &[u8])> {
    let (method, rest) = split_at(line, method_bytes);
    let (target, protocol) = split_at(rest, rest.len().checked_sub(PROTOCOL_BYTES + 1)?);
    Some((method, target, protocol))
}

/// What is before and after the byte at `index`.
fn split_at(text: &[u8], index: usize) -> (&[u8], &[u8]) {
    (text.get(..index).unwrap_or_default(), text.get(index + 1..).unwrap_or_default())
}
