//! A request head, once read. It borrows nothing: every part is a [`Span`] of the bytes it was read
//! from, so one `RequestHead` per connection is reused and nothing is allocated for the usual request.

/// A range of the bytes a head was read from.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the first byte.
    pub start: u32,
    /// Index after the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes of this span within `bytes`; empty if it lies outside, never a panic.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// A span of indices known to fit, because a head is never larger than `u32::MAX`.
    #[allow(clippy::cast_possible_truncation)] // `RequestHead::read` looks at no more than `u32::MAX` bytes
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }
}

/// One field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name, a token, in the case the peer used.
    pub name: Span,
    /// Value without surrounding spaces and tabs; may be empty or hold bytes above 127.
    pub value: Span,
}

/// Version of a request.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, and any later 1.x, which is to be served as the highest one known (RFC 9110 2.5).
    #[default]
    Http11,
}

/// Where a request's body ends (RFC 9112 6.3).
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Neither Content-Length nor Transfer-Encoding: no body.
    #[default]
    Empty,
    /// After this many bytes, which may be none.
    Length(u64),
    /// After the last chunk and its trailers.
    Chunked,
}

/// Form of a request target (RFC 9112 3.2). The authority form belongs to CONNECT, which is rejected.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`.
    #[default]
    Origin,
    /// `http://host:port/path?query`.
    Absolute,
    /// `*`, of OPTIONS only.
    Asterisk,
}

/// A request line and its header fields. Its contents mean something only after
/// [`RequestHead::read`] returned `Ok(Some(_))`, and only together with the bytes it was given.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Method, a token; names are case-sensitive (RFC 9110 9.1).
    pub method: Span,
    /// The whole request target as sent.
    pub target: Span,
    /// Form of the target.
    pub form: TargetForm,
    /// Path, not decoded. Empty in absolute form without a path, which means `/` (RFC 9110
    /// 4.2.3); `*` in asterisk form.
    pub path: Span,
    /// Query, not decoded, without its `?`; empty if there is none.
    pub query: Span,
    /// Host and port of an absolute form, else empty. It goes before Host (RFC 9112 3.2.2).
    pub authority: Span,
    /// `http` or `https`, in any case, of an absolute form, else empty.
    pub scheme: Span,
    /// Value of Host, if there is one: it is wanted more often than others. Variables have none here.
    pub host: Option<Span>,
    /// Version of the request.
    pub version: Version,
    /// Field lines, in order, repeats and all.
    pub headers: Vec<Header>,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the client will use the connection for another request (RFC 9112 9.3).
    pub keep_alive: bool,
    /// Whether the client waits for a 100 before it sends the body there is; never for HTTP/1.0 and
    /// never without a body (RFC 9110 10.1.1).
    pub expect_continue: bool,
    /// Whether the method is HEAD, so that the response has no body.
    pub is_head: bool,
    /// Whether an upgrade is asked for: `Upgrade`, and `upgrade` in Connection (RFC 9110 7.8).
    pub upgrade: bool,
    /// Whether there is a header for which [`is_forwarded_name`](crate::is_forwarded_name) is true.
    pub has_forwarded: bool,
    /// How far an incomplete head was read.
    pub(crate) progress: HeadProgress,
}

/// How far an incomplete head was read, so that one that comes byte by byte is not read from its start each
/// time: complete lines are done with, and the search for the end of the next one goes on where it stopped.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) enum HeadProgress {
    /// Not at all: what comes next is the start of a head.
    #[default]
    Start,
    /// Into the first line.
    StartLine(PartialLine),
    /// Into one of the lines after it.
    Fields(PartialLine),
}

/// A line that begins at index `start` and does not end before index `searched`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartialLine {
    pub(crate) start: usize,
    pub(crate) searched: usize,
}

/// Memory for this many headers is kept from head to head; more is an exception, not worth keeping.
const HEADERS_KEPT: usize = 256;

impl Framing {
    /// Whether it is known that there are no bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Length(0))
    }
}

impl RequestHead {
    /// An empty head, to be read into again and again.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Value of the first field called `name`, in any case; `bytes` are those the head was read from.
    #[must_use]
    pub fn header<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.headers
            .iter()
            .find(|header| header.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()))
            .map(|header| header.value.of(bytes))
    }

    /// Forgets everything but the memory for `headers`, and how far an incomplete head was read.
    pub(crate) fn clear(&mut self) {
        *self = Self { headers: emptied(&mut self.headers), ..Self::default() };
    }
}

/// The memory of `headers` for those of another head, unless it is too much to be kept.
pub(crate) fn emptied(headers: &mut Vec<Header>) -> Vec<Header> {
    let mut headers = std::mem::take(headers);
    headers.clear();
    if headers.capacity() > HEADERS_KEPT { Vec::new() } else { headers }
}
