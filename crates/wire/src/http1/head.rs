//! Receives the bytes a connection has read so far; hands on a [`RequestHead`] and its length, an error, or
//! "need more data". A head that is incomplete is read on where it stopped ([`HeadProgress`]), so its cost is that of
//! its bytes, in whatever pieces they come.
//!
//! Everything is decided line by line: a line counts once its LF is there, or once it is longer than its limit,
//! and no byte beyond a limit is looked at. So a head gives the same result whole as one byte at a time. The one
//! exception is the method, which is looked at byte by byte, to reject foreign protocols at once.

use crate::grammar::{TOKEN, is_field_value, trim_ows, trim_ows_start};
use crate::http1::{fields, target};
use crate::message::{HeadProgress, PartialLine};
use crate::{Header, Limits, RequestHead, Span, Version, WireError};

/// RFC 9112 2.2: a server should ignore at least one empty line before a request line. Some old clients
/// send one after a body; more than two are not a client's mistake any more.
const EMPTY_LINES_SKIPPED: usize = 2;

impl RequestHead {
    /// Reads a head from the start of `bytes`.
    ///
    /// # Returns
    ///
    /// `Ok(Some(length))` when the head is complete, with its length in bytes, which includes
    /// empty lines skipped before it; `Ok(None)` when more data is needed, see [`RequestHead::read_on`].
    ///
    /// # Errors
    ///
    /// The first rule of RFC 9112 that the bytes break; see the constants of [`WireError`].
    pub fn read(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, WireError> {
        self.progress = HeadProgress::Start;
        self.read_on(bytes, limits)
    }

    /// As [`RequestHead::read`], but where the call before returned `Ok(None)`, goes on where that one stopped.
    /// `bytes` have to be the same ones as then, with more behind them.
    pub fn read_on(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, WireError> {
        let window = bytes.get(..max_head_bytes(limits)).unwrap_or(bytes);
        let line = match std::mem::take(&mut self.progress) {
            HeadProgress::Fields(line) if line.searched <= window.len() => {
                return self.read_fields(window, line, limits);
            }
            HeadProgress::StartLine(line) if line.searched <= window.len() => line,
            HeadProgress::Start | HeadProgress::StartLine(_) | HeadProgress::Fields(_) => {
                self.clear();
                let Some(start) = skip_empty_lines(window) else {
                    return self.stop(HeadProgress::Start, window, limits);
                };
                PartialLine { start, searched: start }
            }
        };
        match self.read_request_line(window, line, limits)? {
            Some(start) => self.read_fields(window, PartialLine { start, searched: start }, limits),
            None => self.stop(HeadProgress::StartLine(PartialLine { searched: window.len(), ..line }), window, limits),
        }
    }

    /// Reads the request line: `method SP request-target SP HTTP-version CRLF`, RFC 9112 3. Returns where the
    /// fields start.
    fn read_request_line(
        &mut self,
        window: &[u8],
        line: PartialLine,
        limits: &Limits,
    ) -> Result<Option<usize>, WireError> {
        // The method is looked at before the line is complete, so that a TLS hello or any other foreign
        // protocol is rejected at once.
        let reach = line.start.saturating_add(limits.max_request_line_bytes).saturating_add(2).min(window.len());
        if self.method.is_empty() {
            let unread = window.get(line.searched..reach).unwrap_or_default();
            if let Some(length) = unread.iter().position(|&byte| !TOKEN[byte as usize]) {
                self.method = Span::new(line.start, line.searched + length);
                if self.method.is_empty() || !matches!(unread.get(length), Some(b' ' | b'\r' | b'\n')) {
                    return Err(WireError::METHOD);
                }
            }
        }

        let too_long = WireError::REQUEST_LINE_TOO_LONG;
        let Some(line_feed) = find_line_feed(window, line, limits.max_request_line_bytes, too_long)? else {
            return Ok(None);
        };
        // RFC 9112 2.2 would let a bare LF pass, but then two servers in a row may see different lines.
        let Some([content @ .., b'\r']) = window.get(line.start..line_feed) else {
            return Err(WireError::LINE_END);
        };
        let Some([b' ', after_method @ ..]) = content.get(self.method.len()..) else {
            return Err(WireError::REQUEST_LINE);
        };
        let target = if let Some(target) = after_method.strip_suffix(b" HTTP/1.1") {
            // Nearly always.
            self.version = Version::Http11;
            target
        } else {
            let Some(target_length) = memchr::memrchr(b' ', after_method) else {
                // RFC 1945 4.1: a line without a version is HTTP/0.9.
                return Err(WireError::VERSION_UNSUPPORTED);
            };
            let (target, version) = after_method.split_at(target_length);
            self.version = read_version(version.get(1..).unwrap_or_default())?;
            target
        };
        let target_start = self.method.end as usize + 1;
        self.target = Span::new(target_start, target_start + target.len());
        self.is_head = self.method.of(window) == b"HEAD";
        target::interpret(self, window)?;
        Ok(Some(line_feed + 1))
    }

    /// Reads field lines from `line` on, and the empty line after them. Returns the length of the head.
    fn read_fields(&mut self, window: &[u8], line: PartialLine, limits: &Limits) -> Result<Option<usize>, WireError> {
        match read_section(&mut self.headers, window, line, limits)? {
            Section::Complete(length) => {
                fields::interpret(self, window)?;
                Ok(Some(length))
            }
            Section::Partial(line) => self.stop(HeadProgress::Fields(line), window, limits),
        }
    }

    /// Asks for more data and remembers how far the head was read; an error if no more of it would be looked at.
    fn stop(&mut self, progress: HeadProgress, window: &[u8], limits: &Limits) -> Result<Option<usize>, WireError> {
        if window.len() < max_head_bytes(limits) {
            self.progress = progress;
            return Ok(None);
        }
        Err(match progress {
            HeadProgress::Start | HeadProgress::StartLine(_) => WireError::REQUEST_LINE_TOO_LONG,
            HeadProgress::Fields(_) => WireError::HEAD_TOO_LARGE,
        })
    }
}

/// What there is of the fields of a head.
pub(super) enum Section {
    /// All of them; the head has so many bytes.
    Complete(usize),
    /// The lines before this one.
    Partial(PartialLine),
}

/// Reads field lines from `line` on into `headers`, and the empty line after them.
#[inline]
pub(super) fn read_section(
    headers: &mut Vec<Header>,
    window: &[u8],
    mut line: PartialLine,
    limits: &Limits,
) -> Result<Section, WireError> {
    loop {
        if window.get(line.start..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
            return Ok(Section::Complete(line.start + 2));
        }
        let too_large = WireError::HEADER_TOO_LARGE;
        let Some(line_feed) = find_line_feed(window, line, limits.max_header_bytes, too_large)? else {
            return Ok(Section::Partial(PartialLine { searched: window.len(), ..line }));
        };
        let Some([content @ .., b'\r']) = window.get(line.start..line_feed) else {
            return Err(WireError::LINE_END);
        };
        if headers.len() >= limits.max_headers {
            return Err(WireError::TOO_MANY_HEADERS);
        }
        headers.push(read_field_line(content, line.start)?);
        line = PartialLine { start: line_feed + 1, searched: line_feed + 1 };
    }
}

/// How much of a head is looked at. Spans hold 32 bits.
pub(crate) fn max_head_bytes(limits: &Limits) -> usize {
    limits.max_head_bytes.min(u32::MAX as usize)
}

/// Index of the LF that ends `line`, whose content may have `max_bytes`; `None` while it has not come.
pub(super) fn find_line_feed(
    window: &[u8],
    line: PartialLine,
    max_bytes: usize,
    too_long: WireError,
) -> Result<Option<usize>, WireError> {
    let max_end = line.start.saturating_add(max_bytes).saturating_add(2);
    let unsearched = window.get(line.searched..max_end.min(window.len())).unwrap_or_default();
    match memchr::memchr(b'\n', unsearched) {
        Some(length) => Ok(Some(line.searched + length)),
        None if window.len() >= max_end => Err(too_long),
        None => Ok(None),
    }
}

/// Reads a field line at index `start`, without its CRLF: `field-name ":" OWS field-value OWS`, RFC 9112 5.
pub(crate) fn read_field_line(content: &[u8], start: usize) -> Result<Header, WireError> {
    let name_length = content.iter().position(|&byte| !TOKEN[byte as usize]).unwrap_or(content.len());
    let value = match content.get(name_length..) {
        // RFC 9112 5.1: no space before the colon.
        Some([b':', value @ ..]) if name_length > 0 => value,
        // RFC 9112 5.2 and 2.2: a folded line, or a space before the first field.
        Some([b' ' | b'\t', ..]) if name_length == 0 => return Err(WireError::LINE_FOLDED),
        _ => return Err(WireError::FIELD_NAME),
    };
    if !is_field_value(value) {
        return Err(WireError::FIELD_VALUE);
    }
    let from_first = trim_ows_start(value);
    let value_start = start + content.len() - from_first.len();
    let value_length = trim_ows(from_first).len();
    Ok(Header {
        name: Span::new(start, start + name_length),
        value: Span::new(value_start, value_start + value_length),
    })
}

/// Reads whole field lines, each with its CRLF, as the trailer section of a body has them (RFC 9112 7.1.2).
pub fn read_field_lines(lines: &[u8]) -> Result<Vec<Header>, WireError> {
    let mut start = 0;
    let mut headers = Vec::new();
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let [content @ .., b'\r', b'\n'] = line else {
            return Err(WireError::LINE_END);
        };
        headers.push(read_field_line(content, start)?);
        start += line.len();
    }
    Ok(headers)
}

/// Index of the request line, after the empty lines that are skipped; `None` while that is unknown.
fn skip_empty_lines(window: &[u8]) -> Option<usize> {
    let mut start = 0;
    for _ in 0..EMPTY_LINES_SKIPPED {
        match window.get(start..) {
            Some([b'\r', b'\n', ..]) => start += 2,
            Some([] | [b'\r']) => return None,
            _ => break,
        }
    }
    Some(start)
}

/// Reads an `HTTP-version`, RFC 9112 2.3: `"HTTP/" DIGIT "." DIGIT`, in this case.
pub(super) fn read_version(version: &[u8]) -> Result<Version, WireError> {
    match version {
        b"HTTP/1.0" => Ok(Version::Http10),
        // RFC 9110 2.5: a later minor version is to be taken as the highest one known of its major.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(Version::Http11),
        // A version, but not one of ours (`HTTP/2.0`, `HTTP/0.9`).
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(WireError::VERSION_UNSUPPORTED),
        _ => Err(WireError::VERSION_SYNTAX),
    }
}
