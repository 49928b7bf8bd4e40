//! Receives the bytes that a server has sent so far in response to a request of ours; hands on a [`ResponseHead`] and its
//! length, an error, or "need more data". The counterpart of `head`, whose lines and fields it shares: the same result
//! whole as one byte at a time, and no byte beyond a limit is looked at.
//!
//! It is as strict as with requests: what we take for the end of a response and another reader for the middle of one
//! gives a client the response to somebody else's request. Every error here is the server's, hence 502.

use crate::grammar::is_field_value;
use crate::http1::encode::ResponseBody;
use crate::http1::fields::{ConnectionOptions, once, read_framing};
use crate::http1::head::{Section, find_line_feed, max_head_bytes, read_section, read_version};
use crate::message::{HeadProgress, PartialLine, emptied};
use crate::{Framing, Header, Limits, Span, Version, WireError};

/// Bytes of an `HTTP-version`, RFC 9112 2.3.
const VERSION_BYTES: usize = b"HTTP/1.1".len();

/// What a response is to, as far as that says how it has to be read (RFC 9112 6.3).
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct ResponseTo {
    /// Whether the request was HEAD: then there is no body, whatever the fields say.
    pub is_head: bool,
    /// Whether the request has asked for another protocol: else no server may switch to one (RFC 9110 7.8).
    pub upgrade: bool,
}

/// A status line and its header fields. Its contents mean something only after [`ResponseHead::read`] returned
/// `Ok(Some(_))`, and only together with the bytes it was given.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Version of the response.
    pub version: Version,
    /// Status code, from 100 to 599.
    pub status: u16,
    /// Reason phrase; may be empty or hold bytes above 127.
    pub reason: Span,
    /// Field lines, in order, repeats and all.
    pub headers: Vec<Header>,
    /// Where the body ends.
    pub body: ResponseBody,
    /// The Content-Length: of a response without a body, that of the one to GET (RFC 9110 8.6).
    pub content_length: Option<u64>,
    /// Whether the server will read another request on this connection once the body has ended.
    pub keep_alive: bool,
    /// How far an incomplete head was read.
    progress: HeadProgress,
}

impl ResponseHead {
    /// An empty head, to be read into again and again.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a head from the start of `bytes`, in response `to` a request.
    ///
    /// # Returns
    ///
    /// `Ok(Some(length))` when the head is complete, with its length in bytes; `Ok(None)` when more data is needed, see
    /// [`ResponseHead::read_on`].
    ///
    /// # Errors
    ///
    /// The first rule of RFC 9112 that the bytes break, with status 502.
    pub fn read(&mut self, bytes: &[u8], to: ResponseTo, limits: &Limits) -> Result<Option<usize>, WireError> {
        self.progress = HeadProgress::Start;
        self.read_on(bytes, to, limits)
    }

    /// As [`ResponseHead::read`], but where the call before returned `Ok(None)`, goes on where that one stopped.
    /// `bytes` have to be the same ones as then, with more behind them.
    pub fn read_on(&mut self, bytes: &[u8], to: ResponseTo, limits: &Limits) -> Result<Option<usize>, WireError> {
        let window = bytes.get(..max_head_bytes(limits)).unwrap_or(bytes);
        self.read_lines(window, to, limits).map_err(WireError::of_response)
    }

    /// Whether another response to the same request follows (RFC 9110 15.2). That to an upgrade is the last one.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100..=199) && !self.is_upgrade()
    }

    /// Whether the bytes after the head are those of another protocol.
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        self.status == 101
    }

    /// Values of the fields called `name`, in any case; `bytes` are those the head was read from.
    pub fn headers<'a>(&self, bytes: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
        let is_named = |header: &&Header| header.name.of(bytes).eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(is_named).map(|header| header.value.of(bytes))
    }

    fn read_lines(&mut self, window: &[u8], to: ResponseTo, limits: &Limits) -> Result<Option<usize>, WireError> {
        let line = match std::mem::take(&mut self.progress) {
            HeadProgress::Fields(line) if line.searched <= window.len() => {
                return self.read_fields(window, line, to, limits);
            }
            HeadProgress::StartLine(line) if line.searched <= window.len() => line,
            HeadProgress::Start | HeadProgress::StartLine(_) | HeadProgress::Fields(_) => {
                *self = Self { headers: emptied(&mut self.headers), ..Self::default() };
                // RFC 9112 2.2 lets a server skip an empty line, but not a client.
                PartialLine { start: 0, searched: 0 }
            }
        };
        match self.read_status_line(window, line, limits)? {
            Some(start) => self.read_fields(window, PartialLine { start, searched: start }, to, limits),
            None => self.stop(HeadProgress::StartLine(PartialLine { searched: window.len(), ..line }), window, limits),
        }
    }

    /// Reads the status line: `HTTP-version SP status-code SP [ reason-phrase ] CRLF`, RFC 9112 4. Returns where the
    /// fields start.
    fn read_status_line(
        &mut self,
        window: &[u8],
        line: PartialLine,
        limits: &Limits,
    ) -> Result<Option<usize>, WireError> {
        const BEGINNING: &[u8] = b"HTTP/";
        // Looked at before the line is complete, so that a server of another protocol is found out at once.
        let reach = BEGINNING.len().min(window.len()).min(limits.max_header_bytes.saturating_add(2));
        if !BEGINNING.starts_with(window.get(..reach).unwrap_or_default()) {
            return Err(WireError::STATUS_LINE);
        }

        let too_long = WireError::STATUS_LINE_TOO_LONG;
        let Some(line_feed) = find_line_feed(window, line, limits.max_header_bytes, too_long)? else {
            return Ok(None);
        };
        let Some([content @ .., b'\r']) = window.get(..line_feed) else {
            return Err(WireError::LINE_END);
        };
        let (version, after_version) = content.split_at_checked(VERSION_BYTES).ok_or(WireError::STATUS_LINE)?;
        self.version = read_version(version)?;
        let [b' ', code_and_reason @ ..] = after_version else {
            return Err(WireError::STATUS_LINE);
        };
        let (code, reason) = code_and_reason.split_at_checked(3).ok_or(WireError::STATUS_CODE)?;
        self.status = read_status_code(code)?;
        self.reason = match reason {
            // The space is required, but many a server leaves it out with the reason, and nobody reads that otherwise.
            [] => Span::new(line_feed - 1, line_feed - 1),
            [b' ', reason @ ..] if is_field_value(reason) => Span::new(line_feed - 1 - reason.len(), line_feed - 1),
            [b' ', ..] => return Err(WireError::REASON_PHRASE),
            _ => return Err(WireError::STATUS_CODE),
        };
        Ok(Some(line_feed + 1))
    }

    /// Reads field lines from `line` on, and the empty line after them. Returns the length of the head.
    fn read_fields(
        &mut self,
        window: &[u8],
        line: PartialLine,
        to: ResponseTo,
        limits: &Limits,
    ) -> Result<Option<usize>, WireError> {
        match read_section(&mut self.headers, window, line, limits)? {
            Section::Complete(length) => {
                self.interpret(window, to)?;
                Ok(Some(length))
            }
            Section::Partial(line) => self.stop(HeadProgress::Fields(line), window, limits),
        }
    }

    /// Fills in `body`, `content_length` and `keep_alive` from the fields, RFC 9112 6.3 and 9.3.
    fn interpret(&mut self, window: &[u8], to: ResponseTo) -> Result<(), WireError> {
        let (mut content_length, mut transfer_encoding, mut has_upgrade) = (None, None, false);
        let mut connection = ConnectionOptions::default();
        for header in &self.headers {
            let name = header.name.of(window);
            let is = |field_name: &[u8]| name.eq_ignore_ascii_case(field_name);
            let value = header.value.of(window);
            match name.len() {
                7 if is(b"upgrade") => has_upgrade |= !value.is_empty(),
                10 if is(b"connection") => connection.read(value),
                14 if is(b"content-length") => once(&mut content_length, value, WireError::CONTENT_LENGTH_REPEATED)?,
                17 if is(b"transfer-encoding") => {
                    once(&mut transfer_encoding, value, WireError::TRANSFER_ENCODING_REPEATED)?;
                }
                _ => {}
            }
        }
        // In every response, also where no body follows: what is wrong with one is wrong with the next.
        let framing = read_framing(transfer_encoding, content_length, self.version)?;
        self.content_length = match framing {
            Framing::Length(length) => Some(length),
            Framing::Empty | Framing::Chunked => None,
        };
        self.body = match (self.status, framing) {
            // RFC 9110 8.6, RFC 9112 6.1: these announce no body. A length of 0 is harmless, and not rare with 204.
            (100..=199 | 204, Framing::Length(1..) | Framing::Chunked) => return Err(WireError::BODY_NOT_ALLOWED),
            (100..=199 | 204 | 304, _) => ResponseBody::Empty,
            _ if to.is_head => ResponseBody::Empty,
            (_, Framing::Empty) => ResponseBody::UntilClose,
            (_, Framing::Length(length)) => ResponseBody::Length(length),
            (_, Framing::Chunked) => ResponseBody::Chunked,
        };
        // RFC 9110 15.2.2 and 7.8: a protocol is named, and the client has asked for one.
        let may_switch = to.upgrade && has_upgrade && connection.upgrade && self.version == Version::Http11;
        if self.is_upgrade() && !may_switch {
            return Err(WireError::UPGRADE_NOT_ASKED);
        }
        self.keep_alive =
            connection.keeps_alive(self.version) && self.body != ResponseBody::UntilClose && !self.is_upgrade();
        Ok(())
    }

    /// Asks for more data and remembers how far the head was read; an error if no more of it would be looked at.
    fn stop(&mut self, progress: HeadProgress, window: &[u8], limits: &Limits) -> Result<Option<usize>, WireError> {
        if window.len() >= max_head_bytes(limits) {
            return Err(WireError::RESPONSE_HEAD_TOO_LARGE);
        }
        self.progress = progress;
        Ok(None)
    }
}

/// `3DIGIT`, RFC 9112 4, of one of the five classes: others have no meaning (RFC 9110 15).
fn read_status_code(code: &[u8]) -> Result<u16, WireError> {
    match code {
        [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
            Ok(code.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
        }
        _ => Err(WireError::STATUS_CODE),
    }
}
