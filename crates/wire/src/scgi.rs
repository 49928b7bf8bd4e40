//! Receives the bytes of an SCGI connection; hands on a [`GatewayHead`] and its length, an error, or "need more data".
//!
//! ```text
//! head      = length ":" *variable ","                   ; a netstring
//! variable  = name NUL value NUL
//! ```
//!
//! `CONTENT_LENGTH` comes first and is always there, `SCGI` is `1`. The body follows raw. One request per connection.

use crate::gateway::{Collector, PathInfo};
use crate::{GatewayHead, GatewayLimits, Span, WireError};

impl GatewayHead {
    /// Reads a head from the start of `bytes`.
    ///
    /// # Returns
    ///
    /// `Ok(Some(length))` when it is complete; `Ok(None)` when more data is needed: call again with all bytes and
    /// more of them.
    ///
    /// # Errors
    ///
    /// The rule that the head or its variables break; see the constants of [`WireError`].
    pub fn read_scgi(&mut self, bytes: &[u8], limits: &GatewayLimits) -> Result<Option<usize>, WireError> {
        let Some((start, size)) = read_netstring_length(bytes, limits)? else {
            return Ok(None);
        };
        let end = start + size;
        let Some(head) = bytes.get(..end) else {
            return Ok(None);
        };
        match bytes.get(end) {
            None => return Ok(None),
            Some(b',') => {}
            Some(_) => return Err(WireError::SCGI_NETSTRING),
        }
        self.read_scgi_variables(head, start, limits)?;
        Ok(Some(end + 1))
    }

    fn read_scgi_variables(&mut self, head: &[u8], start: usize, limits: &GatewayLimits) -> Result<(), WireError> {
        let mut collector = Collector::new(self, head, limits);
        let mut names = Vec::new();
        let mut is_scgi = false;
        let mut at = start;
        while at < head.len() {
            let name = read_string(head, at)?;
            let value = read_string(head, name.end as usize + 1)?;
            let key = name.of(head);
            if at == start && key != b"CONTENT_LENGTH" {
                return Err(WireError::SCGI_CONTENT_LENGTH);
            }
            is_scgi |= key == b"SCGI" && value.of(head) == b"1";
            // The specification has no repeats, but nginx before 1.23 sends those of the client's headers.
            if !key.starts_with(b"HTTP_") {
                names.push(key);
            }
            collector.add(name, value)?;
            at = value.end as usize + 1;
        }
        if !is_scgi {
            return Err(WireError::SCGI_VERSION);
        }
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(WireError::VARIABLE_REPEATED);
        }
        collector.finish(PathInfo::Split)?;
        // Present, but without a number.
        if self.content_length.is_none() {
            return Err(WireError::SCGI_CONTENT_LENGTH);
        }
        Ok(())
    }
}

/// The length before a netstring's colon, and where the string starts: digits, none of them a leading zero.
fn read_netstring_length(bytes: &[u8], limits: &GatewayLimits) -> Result<Option<(usize, usize)>, WireError> {
    let mut size = 0usize;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b':' if index > 0 => return Ok(Some((index + 1, size))),
            b'0'..=b'9' if index == 0 || size > 0 => {
                size = size.saturating_mul(10).saturating_add(usize::from(byte - b'0'));
            }
            _ => return Err(WireError::SCGI_NETSTRING),
        }
        // Spans hold 32 bits.
        if size > limits.max_variables_bytes.min(u32::MAX as usize / 2) {
            return Err(WireError::VARIABLES_TOO_LARGE);
        }
    }
    Ok(None)
}

/// A string at index `at`, which a NUL ends.
fn read_string(head: &[u8], at: usize) -> Result<Span, WireError> {
    let length = memchr::memchr(0, head.get(at..).unwrap_or_default()).ok_or(WireError::VARIABLES_LENGTHS)?;
    Ok(Span::new(at, at + length))
}
