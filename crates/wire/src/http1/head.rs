//! Receives the bytes a connection has read so far; hands on a [`RequestHead`] and its length, an error, or
//! "need more data". It keeps nothing between calls: while a head is incomplete it is read again from its
//! start, which the limits keep cheap.
//!
//! Checks run in the order the bytes come in, and look at no byte beyond a limit. So a head gives the
//! same answer whole as one byte at a time.

use crate::grammar::TOKEN;
use crate::http1::{fields, target};
use crate::{Header, Limits, RequestHead, Span, Version, WireError};

/// RFC 9112 2.2: a server should ignore at least one empty line before a request line. Some old clients
/// send one after a body; more than two are not a client's mistake any more.
const EMPTY_LINES_SKIPPED: usize = 2;

/// Field lines read into an array on the stack; the few heads with more are read again into the heap.
const HEADERS_ON_STACK: usize = 32;

impl RequestHead {
    /// Reads a head from the start of `bytes`.
    ///
    /// # Returns
    ///
    /// `Ok(Some(length))` when the head is complete, with its length in bytes, which includes
    /// empty lines skipped before it; `Ok(None)` when more data is needed.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 9112 that the bytes break; see the constants of [`WireError`].
    pub fn read(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, WireError> {
        self.clear();
        // Spans hold 32 bits.
        let max_head_bytes = limits.max_head_bytes.min(u32::MAX as usize);
        let window = bytes.get(..max_head_bytes).unwrap_or(bytes);
        let window_is_full = window.len() == max_head_bytes;

        let Some(line_start) = skip_empty_lines(window) else {
            return Ok(None);
        };
        let Some(fields_start) = self.read_request_line(window, line_start, limits)? else {
            return if window_is_full { Err(WireError::REQUEST_LINE_TOO_LONG) } else { Ok(None) };
        };
        let Some(length) = self.read_fields(window, fields_start, limits.max_headers)? else {
            return if window_is_full { Err(WireError::HEAD_TOO_LARGE) } else { Ok(None) };
        };
        fields::interpret(self, window)?;
        Ok(Some(length))
    }

    /// Reads the request line at `line_start`: `method SP request-target SP HTTP-version CRLF`, RFC 9112 3.
    /// Answers where the fields start.
    fn read_request_line(
        &mut self,
        window: &[u8],
        line_start: usize,
        limits: &Limits,
    ) -> Result<Option<usize>, WireError> {
        let rest = window.get(line_start..).unwrap_or_default();
        let max_with_crlf = limits.max_request_line_bytes.saturating_add(2);
        let rest = rest.get(..max_with_crlf).unwrap_or(rest);

        // The method is looked at before the line is complete, so that a TLS hello or any other foreign
        // protocol is refused at once.
        let method_length = rest.iter().position(|&byte| !TOKEN[byte as usize]).unwrap_or(rest.len());
        match rest.get(method_length) {
            None => {}
            Some(b' ' | b'\r') if method_length > 0 => {}
            Some(_) => return Err(WireError::METHOD),
        }

        let Some(line_feed) = memchr::memchr(b'\n', rest) else {
            return if rest.len() == max_with_crlf { Err(WireError::REQUEST_LINE_TOO_LONG) } else { Ok(None) };
        };
        // RFC 9112 2.2 would let a bare LF pass, but then two servers in a row may see different lines.
        let Some([line @ .., b'\r']) = rest.get(..line_feed) else {
            return Err(WireError::LINE_END);
        };

        let Some([b' ', after_method @ ..]) = line.get(method_length..) else {
            return Err(WireError::REQUEST_LINE);
        };
        let Some(target_length) = memchr::memrchr(b' ', after_method) else {
            // RFC 1945 4.1: a line without a version is HTTP/0.9.
            return Err(WireError::VERSION_UNSUPPORTED);
        };
        let (target, version) = after_method.split_at(target_length);
        self.version = read_version(version.get(1..).unwrap_or_default())?;

        let method_end = line_start + method_length;
        self.method = Span::new(line_start, method_end);
        self.target = Span::new(method_end + 1, method_end + 1 + target.len());
        let method = self.method.of(window);
        self.is_head = method == b"HEAD";
        target::interpret(self, window)?;
        Ok(Some(line_start + line_feed + 1))
    }

    /// Reads the field lines at `fields_start` and the empty line after them. Answers the length of the head.
    fn read_fields(
        &mut self,
        window: &[u8],
        fields_start: usize,
        max_headers: usize,
    ) -> Result<Option<usize>, WireError> {
        let mut on_stack = [httparse::EMPTY_HEADER; HEADERS_ON_STACK];
        let slots = on_stack.get_mut(..max_headers.min(HEADERS_ON_STACK)).unwrap_or_default();
        let rest = window.get(fields_start..).unwrap_or_default();
        match httparse::parse_headers(rest, slots) {
            Err(httparse::Error::TooManyHeaders) if max_headers > HEADERS_ON_STACK => {
                // A field line has at least three bytes, so a huge limit reserves no huge memory.
                let slots = max_headers.min(rest.len() / 3 + 1);
                let mut on_heap = vec![httparse::EMPTY_HEADER; slots];
                let parsed = httparse::parse_headers(rest, &mut on_heap);
                self.take_fields(window, fields_start, parsed)
            }
            parsed => self.take_fields(window, fields_start, parsed),
        }
    }

    /// Turns what httparse found into spans, and checks the one thing it lets pass: line ends.
    fn take_fields(
        &mut self,
        window: &[u8],
        fields_start: usize,
        parsed: httparse::Result<(usize, &[httparse::Header<'_>])>,
    ) -> Result<Option<usize>, WireError> {
        let (length, fields) = match parsed {
            Ok(httparse::Status::Complete(complete)) => complete,
            Ok(httparse::Status::Partial) => return Ok(None),
            // Also a continuation line (RFC 9112 5.2) and a space before the colon (5.1).
            Err(httparse::Error::HeaderName) => return Err(WireError::FIELD_NAME),
            Err(httparse::Error::HeaderValue) => return Err(WireError::FIELD_VALUE),
            Err(httparse::Error::TooManyHeaders) => return Err(WireError::TOO_MANY_HEADERS),
            Err(_) => return Err(WireError::LINE_END),
        };
        let base = window.as_ptr().addr();
        self.headers.reserve(fields.len());
        for field in fields {
            let name_start = field.name.as_ptr().addr().wrapping_sub(base);
            let value_start = field.value.as_ptr().addr().wrapping_sub(base);
            // A line ends where the next name begins. RFC 9112 2.2: httparse lets a bare LF pass.
            if !ends_with_crlf(window, name_start) {
                return Err(WireError::LINE_END);
            }
            self.headers.push(Header {
                name: Span::new(name_start, name_start + field.name.len()),
                value: Span::new(value_start, value_start + field.value.len()),
            });
        }
        let head_length = fields_start + length;
        if ends_with_crlf(window, head_length) && ends_with_crlf(window, head_length - 2) {
            Ok(Some(head_length))
        } else {
            Err(WireError::LINE_END)
        }
    }
}

/// Index of the request line, after the empty lines that are skipped; `None` while that is unknown.
fn skip_empty_lines(window: &[u8]) -> Option<usize> {
    let mut start = 0;
    for _ in 0..EMPTY_LINES_SKIPPED {
        match window.get(start..) {
            Some([b'\r', b'\n', ..]) => start += 2,
            Some([b'\r']) => return None,
            _ => break,
        }
    }
    Some(start)
}

/// Reads an `HTTP-version`, RFC 9112 2.3; it is case-sensitive.
fn read_version(version: &[u8]) -> Result<Version, WireError> {
    match version {
        b"HTTP/1.0" => Ok(Version::Http10),
        // RFC 9110 2.5: a later minor version is to be taken as the highest one known of its major.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(Version::Http11),
        // Digits and dots: a version, but not one of ours (`HTTP/2.0`, `HTTP/0.9`, `HTTP/3`).
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', number @ ..]
            if number.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.')) =>
        {
            Err(WireError::VERSION_UNSUPPORTED)
        }
        _ => Err(WireError::VERSION_SYNTAX),
    }
}

/// Whether the two bytes before `end` are CR LF.
fn ends_with_crlf(window: &[u8], end: usize) -> bool {
    window.get(end.wrapping_sub(2)..end) == Some(b"\r\n")
}
