//! Receives the parts of a response, or of a request of ours; hands on the records that carry them (FastCGI 1.0, 3.3 and
//! 5).

use super::{FastCgiReply, HEADER_BYTES, VERSION, kind};
use crate::Variables;

/// The most that one record can hold.
pub const FASTCGI_MAX_CONTENT: usize = 0xffff;

/// The most that a record holds here if there is more: so that all but the last need no padding.
const FULL_CONTENT: usize = FASTCGI_MAX_CONTENT - FASTCGI_MAX_CONTENT % 8;

/// The only role that is asked for, 6.2.
const ROLE_RESPONDER: u8 = 1;

/// What to take the padding of a record from.
pub const FASTCGI_PADDING: [u8; 7] = [0; 7];

/// A stream of a request or of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastCgiStream {
    /// The variables of a request.
    Params,
    /// The body of a request.
    Stdin,
    /// The response: a head as CGI has it, and the body.
    Stdout,
    /// Lines for the reverse proxy's log.
    Stderr,
}

impl FastCgiStream {
    const fn kind(self) -> u8 {
        match self {
            Self::Params => kind::PARAMS,
            Self::Stdin => kind::STDIN,
            Self::Stdout => kind::STDOUT,
            Self::Stderr => kind::STDERR,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastCgiEnd {
    /// The response is complete; 0, or what the reverse proxy is to note as a failure.
    Complete {
        /// The application's status, as of a program that exits.
        app_status: u32,
    },
    /// Rejected: another request is open on the connection.
    CannotMultiplex,
    /// Rejected: there is no room for it.
    Overloaded,
    /// Rejected: it is not for a responder.
    UnknownRole,
}

/// Header of a record of a stream with `length` bytes of content, and how many bytes of [`FASTCGI_PADDING`] follow the
/// content. A `length` of 0 ends the stream; one above [`FASTCGI_MAX_CONTENT`] counts as that.
///
/// ```
/// use portico_wire::{FastCgiStream, fastcgi_record_header};
///
/// let (header, padding) = fastcgi_record_header(FastCgiStream::Stdout, 1, 5);
/// assert_eq!((header, padding), ([1, 6, 0, 1, 0, 5, 3, 0], 3));
/// ```
#[must_use]
pub fn fastcgi_record_header(stream: FastCgiStream, id: u16, length: usize) -> ([u8; 8], usize) {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    // 3.3 recommends records that end at a multiple of 8.
    let padding = length.wrapping_neg().to_be_bytes()[1] & 7;
    (header(stream.kind(), id, length, padding), usize::from(padding))
}

/// Appends `data` as records of a stream; nothing for no data, which would end it.
pub fn write_fastcgi_stream(out: &mut Vec<u8>, stream: FastCgiStream, id: u16, data: &[u8]) {
    out.reserve(data.len() + (data.len() / FULL_CONTENT + 1) * (HEADER_BYTES + FASTCGI_PADDING.len()));
    for content in data.chunks(FULL_CONTENT) {
        let (header, padding) = fastcgi_record_header(stream, id, content.len());
        out.extend_from_slice(&header);
        out.extend_from_slice(content);
        out.extend_from_slice(FASTCGI_PADDING.get(..padding).unwrap_or_default());
    }
}

/// Appends the end of a request, 5.5. Before it the streams that were used have to be ended, by
/// [`fastcgi_record_header`] of no content.
pub fn write_end_request(out: &mut Vec<u8>, id: u16, end: FastCgiEnd) {
    let (app_status, protocol_status) = match end {
        FastCgiEnd::Complete { app_status } => (app_status, 0),
        FastCgiEnd::CannotMultiplex => (0, 1),
        FastCgiEnd::Overloaded => (0, 2),
        FastCgiEnd::UnknownRole => (0, 3),
    };
    out.extend_from_slice(&header(kind::END_REQUEST, id, 8, 0));
    out.extend_from_slice(&app_status.to_be_bytes());
    out.extend_from_slice(&[protocol_status, 0, 0, 0]);
}

impl Variables {
    /// Appends the start of a request: that it begins, for a responder, and all of the variables.
    pub fn write_fastcgi(&self, out: &mut Vec<u8>, id: u16, keep_connection: bool) {
        out.extend_from_slice(&header(kind::BEGIN_REQUEST, id, 8, 0));
        out.extend_from_slice(&[0, ROLE_RESPONDER, u8::from(keep_connection), 0, 0, 0, 0, 0]);
        let mut content = Vec::with_capacity(1024);
        for (name, value) in self.iter() {
            let start = content.len();
            write_length(&mut content, name.len());
            write_length(&mut content, value.len());
            content.extend_from_slice(name);
            content.extend_from_slice(value);
            // Some servers want a pair to be in one record, as far as that can be.
            if start > 0 && content.len() > FULL_CONTENT {
                let pair = content.split_off(start);
                write_fastcgi_stream(out, FastCgiStream::Params, id, &content);
                content = pair;
            }
        }
        write_fastcgi_stream(out, FastCgiStream::Params, id, &content);
        out.extend_from_slice(&fastcgi_record_header(FastCgiStream::Params, id, 0).0);
    }
}

/// The length of a name or value, 3.4.
fn write_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(length @ ..=0x7f) => out.push(length),
        // What was read has lengths of 32 bits, and heads are far below 31.
        _ => out.extend_from_slice(&(u32::try_from(length).unwrap_or(0x7fff_ffff) | 1 << 31).to_be_bytes()),
    }
}

impl FastCgiReply {
    /// Appends the record.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::CannotMultiplex { id } => write_end_request(out, *id, FastCgiEnd::CannotMultiplex),
            Self::UnknownRole { id } => write_end_request(out, *id, FastCgiEnd::UnknownRole),
            Self::UnknownType { kind } => {
                out.extend_from_slice(&header(kind::UNKNOWN_TYPE, 0, 8, 0));
                out.extend_from_slice(&[*kind, 0, 0, 0, 0, 0, 0, 0]);
            }
            Self::Values(content) => {
                let length = u16::try_from(content.len()).unwrap_or(0);
                out.extend_from_slice(&header(kind::GET_VALUES_RESULT, 0, length, 0));
                out.extend_from_slice(content);
            }
        }
    }
}

fn header(kind: u8, id: u16, length: u16, padding: u8) -> [u8; 8] {
    let ([id_high, id_low], [high, low]) = (id.to_be_bytes(), length.to_be_bytes());
    [VERSION, kind, id_high, id_low, high, low, padding, 0]
}
