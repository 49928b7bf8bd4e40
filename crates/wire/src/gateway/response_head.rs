//! Receives what a server has sent so far in response to a request of ours over FastCGI; hands on the head of HTTP/1 that
//! its head of CGI stands for (RFC 3875 6), to be read as any other.
//!
//! Lines may end with LF alone, as CGI has it. What is for one connection only is left out: the body ends as FastCGI says.

use crate::grammar::is_hop_by_hop;
use crate::http1::encode::{CRLF, write_header, write_status_line};
use crate::http1::head::{max_head_bytes, read_field_line};
use crate::{Limits, WireError};

/// A head that is being read.
#[derive(Clone, Debug, Default)]
pub struct CgiHead {
    /// Where the line begins that is not complete.
    line: usize,
    /// Up to where no end of it was found.
    searched: usize,
    count: usize,
    /// What `Status` says; empty if it does not.
    status: Vec<u8>,
    has_location: bool,
    /// The other fields, as HTTP has them; the whole head once it is complete.
    http: Vec<u8>,
}

impl CgiHead {
    /// Goes on reading: `bytes` are those of before with more behind them.
    ///
    /// # Returns
    ///
    /// `Ok(Some(length))` when the head is complete, with its length in bytes; then [`CgiHead::http`] has it.
    ///
    /// # Errors
    ///
    /// The first rule that the bytes break, with status 502.
    pub fn read_on(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, WireError> {
        self.read_lines(bytes, limits).map_err(WireError::of_response)
    }

    /// The head of HTTP/1.
    #[must_use]
    pub fn http(&self) -> &[u8] {
        &self.http
    }

    fn read_lines(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, WireError> {
        let window = bytes.get(..max_head_bytes(limits)).unwrap_or(bytes);
        while let Some(length) = memchr::memchr(b'\n', window.get(self.searched..).unwrap_or_default()) {
            let end = self.searched + length;
            let content = window.get(self.line..end).unwrap_or_default();
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            (self.line, self.searched) = (end + 1, end + 1);
            if content.is_empty() {
                self.complete()?;
                return Ok(Some(end + 1));
            }
            self.take(content, limits)?;
        }
        self.searched = window.len();
        if window.len() >= max_head_bytes(limits) {
            return Err(WireError::RESPONSE_HEAD_TOO_LARGE);
        }
        if self.searched - self.line > limits.max_header_bytes + CRLF.len() {
            return Err(WireError::HEADER_TOO_LARGE);
        }
        Ok(None)
    }

    /// One field line, without its end.
    fn take(&mut self, content: &[u8], limits: &Limits) -> Result<(), WireError> {
        if content.len() > limits.max_header_bytes {
            return Err(WireError::HEADER_TOO_LARGE);
        }
        self.count += 1;
        if self.count > limits.max_headers {
            return Err(WireError::TOO_MANY_HEADERS);
        }
        let field = read_field_line(content, 0)?;
        let (name, value) = (field.name.of(content), field.value.of(content));
        if name.eq_ignore_ascii_case(b"status") {
            if !self.status.is_empty() {
                return Err(WireError::CGI_STATUS_REPEATED);
            }
            // RFC 3875 6.3.3; there is but one response, so none is interim, and no other protocol is spoken.
            if !matches!(value, [b'2'..=b'5', ..]) {
                return Err(WireError::STATUS_CODE);
            }
            self.status = value.to_vec();
        } else if !is_hop_by_hop(name) || name.eq_ignore_ascii_case(b"upgrade") {
            // The last is left out further on, unless the response has to have it (RFC 9110 15.5.22).
            self.has_location |= name.eq_ignore_ascii_case(b"location") && !value.is_empty();
            write_header(&mut self.http, name, value);
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<(), WireError> {
        // RFC 3875 6.2: at least one field says what kind of response it is.
        if self.count == 0 {
            return Err(WireError::CGI_FIELDS);
        }
        let status = match (&*self.status, self.has_location) {
            // 6.2.3 and, since the client comes back for it where it is a path, 6.2.2.
            (b"", true) => b"302 Found",
            (b"", false) => &b"200 OK"[..],
            (status, _) => status,
        };
        let mut http = Vec::with_capacity(self.http.len() + 64);
        write_status_line(&mut http, status);
        http.extend_from_slice(&self.http);
        http.extend_from_slice(CRLF);
        self.http = http;
        Ok(())
    }
}
