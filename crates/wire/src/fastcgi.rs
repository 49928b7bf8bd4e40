//! Receives the bytes of a FastCGI connection; hands on where in them a request's variables and body are, replies that
//! are due to the reverse proxy, an error, or "need more data". It copies and keeps no bytes: records may be
//! split anywhere, and a variable may be split across them.
//!
//! One request at a time, in the responder's role. A reverse proxy that begins another one meanwhile is told that this
//! connection cannot multiplex, records for requests that are not open are skipped, and a record of a type that is
//! unknown here gets the reply `UNKNOWN_TYPE`, all as the specification has it (FastCGI 1.0, sections 3 to 6).
//!
//! # How a connection uses it
//!
//! Feed bytes, drop what was `consumed`, and on
//! * `Begin`: empty the buffer for the variables;
//! * `Params`: append the data to it;
//! * `ParamsEnd`: [`GatewayHead::read_fastcgi`] on the buffer, then [`FastCgiReader::expect_body`] with its
//!   `content_length`. If the head is rejected, send the error response in the open request, as the application's;
//! * `Stdin`, `StdinEnd`: the body, which may be read before it is complete;
//! * `Reply`: send it, at the latest before the next record of a response;
//! * `Abort`: the client is gone; stop, end the request.
//!
//! The response is STDOUT records, an empty one, and [`write_end_request`]. Call [`FastCgiReader::finish`] before the
//! last of these is sent: the next request may follow it at once, and often with the same number. The connection is
//! kept if `Begin` said so. On an error: say it in the log, close.
//!
//! # The other side
//!
//! A request that is passed on to a FastCGI server is [`Variables::write_fastcgi`](crate::Variables::write_fastcgi), its
//! body as a stream and the end of that; a [`FastCgiResponseReader`] takes the response apart.

mod encode;
mod reader;
mod record;
mod response_reader;
mod values;

pub use encode::{
    FASTCGI_MAX_CONTENT, FASTCGI_PADDING, FastCgiEnd, FastCgiStream, fastcgi_record_header, write_end_request,
    write_fastcgi_stream,
};

pub use reader::FastCgiReader;
pub use response_reader::{FastCgiResponseReader, FastCgiResponseStep};

use std::ops::Range;

use crate::gateway::{Collector, PathInfo};
use crate::{GatewayHead, GatewayLimits, Span, WireError};

/// Header of a record: version, type, request (2), length of the content (2), length of the padding, reserved.
const HEADER_BYTES: usize = 8;
/// The only version there is.
const VERSION: u8 = 1;

/// Types of records.
mod kind {
    pub(super) const BEGIN_REQUEST: u8 = 1;
    pub(super) const ABORT_REQUEST: u8 = 2;
    pub(super) const END_REQUEST: u8 = 3;
    pub(super) const PARAMS: u8 = 4;
    pub(super) const STDIN: u8 = 5;
    pub(super) const STDOUT: u8 = 6;
    pub(super) const STDERR: u8 = 7;
    /// Of the filter role, which is not served.
    pub(super) const DATA: u8 = 8;
    pub(super) const GET_VALUES: u8 = 9;
    pub(super) const GET_VALUES_RESULT: u8 = 10;
    pub(super) const UNKNOWN_TYPE: u8 = 11;
}

/// What [`FastCgiReader::read`] found. `consumed` counts from the start of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FastCgiStep {
    /// Call again with what follows and more; less than 1 KiB is left over.
    NeedMore {
        /// Bytes to drop from the input.
        consumed: usize,
    },
    /// A request begins.
    Begin {
        /// Bytes to drop from the input.
        consumed: usize,
        /// Number of the request, to be given in the records of the response.
        id: u16,
        /// Whether the reverse proxy wants to use the connection again.
        keep_connection: bool,
    },
    /// Some of the variables.
    Params {
        /// Bytes to drop from the input once the data was used; they include it.
        consumed: usize,
        /// Where the data is in the input; never empty.
        data: Range<usize>,
    },
    /// The variables are complete.
    ParamsEnd {
        /// Bytes to drop from the input.
        consumed: usize,
    },
    /// Some of the body.
    Stdin {
        /// Bytes to drop from the input once the data was used; they include it.
        consumed: usize,
        /// Where the data is in the input; never empty.
        data: Range<usize>,
    },
    /// The body is complete.
    StdinEnd {
        /// Bytes to drop from the input.
        consumed: usize,
    },
    /// The reverse proxy wants no response any more; the request has to be ended none the less.
    Abort {
        /// Bytes to drop from the input.
        consumed: usize,
    },
    /// A record that has to be sent to the reverse proxy.
    Reply {
        /// Bytes to drop from the input.
        consumed: usize,
        /// What to send.
        reply: FastCgiReply,
    },
}

impl FastCgiStep {
    /// Bytes to drop from the input.
    #[must_use]
    pub fn consumed(&self) -> usize {
        match self {
            Self::NeedMore { consumed }
            | Self::Begin { consumed, .. }
            | Self::Params { consumed, .. }
            | Self::ParamsEnd { consumed }
            | Self::Stdin { consumed, .. }
            | Self::StdinEnd { consumed }
            | Self::Abort { consumed }
            | Self::Reply { consumed, .. } => *consumed,
        }
    }
}

/// A record for the reverse proxy that is not part of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FastCgiReply {
    /// The second request of those open at the same time.
    CannotMultiplex {
        /// Its number.
        id: u16,
    },
    /// A request for an authorizer, a filter or something unknown.
    UnknownRole {
        /// Its number.
        id: u16,
    },
    /// A record that nothing is known of.
    UnknownType {
        /// Its type.
        kind: u8,
    },
    /// Values of this server that were queried, as the content of a record.
    Values(Vec<u8>),
}

impl GatewayHead {
    /// Reads the variables of a request from all of its `Params`. Spans are of `params`.
    ///
    /// # Errors
    ///
    /// The rule that the variables break; see the constants of [`WireError`].
    pub fn read_fastcgi(&mut self, params: &[u8], limits: &GatewayLimits) -> Result<(), WireError> {
        let mut collector = Collector::new(self, params, limits);
        let mut at = 0;
        while at < params.len() {
            let (name, value) = values::read_pair(params, at)?;
            collector.add(name, value)?;
            at = value.end as usize;
        }
        collector.finish(PathInfo::Split)
    }
}
