//! The request line of a record, and its parts: looked for once, by the first field that wants one.

use memchr::{memchr, memrchr};
use std::cell::OnceCell;

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
    parts: OnceCell<Option<Parts<'a>>>,
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
        RequestLine { bytes, parts: OnceCell::new() }
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

    fn parts(&self) -> Option<&Parts<'a>> {
        self.parts.get_or_init(|| Parts::of(self.bytes)).as_ref()
    }
}

impl<'a> Parts<'a> {
    fn of(line: &'a [u8]) -> Option<Parts<'a>> {
        let (method, rest) = split_at(line, memchr(b' ', line)?);
        let (target, protocol) = split_at(rest, memrchr(b' ', rest)?);
        let (path, query) = match memchr(b'?', target) {
            Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
            None => (target, None),
        };
        Some(Parts { method, target, path, query, protocol })
    }
}

/// What is before and after the byte at `index`.
fn split_at(text: &[u8], index: usize) -> (&[u8], &[u8]) {
    (text.get(..index).unwrap_or_default(), text.get(index + 1..).unwrap_or_default())
}
