//! Receives the bytes that a server has sent in response to a request of ours; hands on where in them its response and its
//! lines for the log are, the end of the request, an error, or "need more data". It copies and keeps no bytes.
//!
//! A connection has one request at a time. What belongs to no request is passed over; a record of another request, or of a
//! type that no server sends, is an error: who sends it may mix up responses.

use super::record::RecordHeader;
use super::{FastCgiEnd, FastCgiStream, HEADER_BYTES, kind};
use crate::WireError;
use std::ops::Range;

/// Content of an `END_REQUEST`: the application's status (4), that of the protocol, reserved (3).
const END_BYTES: usize = 8;

/// What [`FastCgiResponseReader::read`] found. `consumed` counts from the start of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FastCgiResponseStep {
    /// Call again with what follows and more; less than 300 bytes are left over.
    NeedMore {
        /// Bytes to drop from the input.
        consumed: usize,
    },
    /// Some of a stream.
    Data {
        /// Bytes to drop from the input once the data was used; they include it.
        consumed: usize,
        /// Of which: the response, or lines for the log.
        stream: FastCgiStream,
        /// Where the data is in the input; never empty.
        data: Range<usize>,
    },
    /// The request has ended: nothing more of it follows.
    End {
        /// Bytes to drop from the input.
        consumed: usize,
        /// How.
        end: FastCgiEnd,
    },
}

/// Reads one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FastCgiResponseReader {
    id: u16,
    place: Place,
    has_stdout_ended: bool,
    has_stderr_ended: bool,
}

/// Where the next byte stands.
///
/// ```text
/// Header -> Content -> Skipped -> Header ... -> Done
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the header of a record.
    Header,
    /// In the content of a stream, of which this much is to come.
    Content { stream: FastCgiStream, remaining: u16, padding: u8 },
    /// In what is not looked at: padding, or a record that does not matter.
    Skipped { remaining: usize },
    /// The request has ended.
    Done(FastCgiEnd),
    /// The server broke a rule, and nothing after that can be trusted.
    Failed(WireError),
}

impl FastCgiResponseReader {
    /// A reader of the response to the request with this number.
    #[must_use]
    pub fn new(id: u16) -> Self {
        Self { id, place: Place::Header, has_stdout_ended: false, has_stderr_ended: false }
    }

    /// Finds the next step at the start of `input`. Drop `consumed` bytes of the input after each call.
    ///
    /// # Errors
    ///
    /// The rule of the specification that the bytes break, with status 502, at this and every later call.
    pub fn read(&mut self, input: &[u8]) -> Result<FastCgiResponseStep, WireError> {
        self.next_step(input).map_err(|error| {
            let error = error.of_response();
            self.place = Place::Failed(error);
            error
        })
    }

    fn next_step(&mut self, input: &[u8]) -> Result<FastCgiResponseStep, WireError> {
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            match self.place {
                Place::Failed(error) => return Err(error),
                Place::Done(end) => return Ok(FastCgiResponseStep::End { consumed, end }),
                Place::Content { remaining: 0, padding, .. } => {
                    self.place = Place::Skipped { remaining: usize::from(padding) };
                }
                Place::Skipped { remaining: 0 } => self.place = Place::Header,
                _ if rest.is_empty() => return Ok(FastCgiResponseStep::NeedMore { consumed }),
                Place::Skipped { remaining } => {
                    let taken = rest.len().min(remaining);
                    self.place = Place::Skipped { remaining: remaining - taken };
                    consumed += taken;
                }
                Place::Content { stream, remaining, padding } => {
                    let taken = u16::try_from(rest.len()).unwrap_or(u16::MAX).min(remaining);
                    self.place = Place::Content { stream, remaining: remaining - taken, padding };
                    let data = consumed..consumed + usize::from(taken);
                    return Ok(FastCgiResponseStep::Data { consumed: data.end, stream, data });
                }
                Place::Header => match self.take_record(rest)? {
                    Some(taken) => consumed += taken,
                    None => return Ok(FastCgiResponseStep::NeedMore { consumed }),
                },
            }
        }
    }

    /// Decides what becomes of the record at the start of `rest`; returns how much of it is done with, none if more of it
    /// has to be there first.
    fn take_record(&mut self, rest: &[u8]) -> Result<Option<usize>, WireError> {
        let Some(record) = RecordHeader::read(rest)? else { return Ok(None) };
        let (stream, has_ended) = match record.kind {
            kind::STDOUT => (FastCgiStream::Stdout, &mut self.has_stdout_ended),
            kind::STDERR => (FastCgiStream::Stderr, &mut self.has_stderr_ended),
            kind::END_REQUEST => return self.take_end(record, rest),
            // Replies to what was never asked: of no request, and so of no matter.
            kind::GET_VALUES_RESULT | kind::UNKNOWN_TYPE if record.id == 0 => {
                self.place = Place::Skipped { remaining: usize::from(record.content) + usize::from(record.padding) };
                return Ok(Some(HEADER_BYTES));
            }
            _ => return Err(WireError::RECORD_TYPE),
        };
        if record.id != self.id {
            return Err(WireError::RECORD_REQUEST);
        }
        if *has_ended && record.content > 0 {
            return Err(WireError::RECORD_STREAM);
        }
        *has_ended |= record.content == 0;
        self.place = Place::Content { stream, remaining: record.content, padding: record.padding };
        Ok(Some(HEADER_BYTES))
    }

    /// 5.5. Taken with its padding, so that the next response begins where this ends.
    fn take_end(&mut self, record: RecordHeader, rest: &[u8]) -> Result<Option<usize>, WireError> {
        if record.id != self.id {
            return Err(WireError::RECORD_REQUEST);
        }
        if usize::from(record.content) != END_BYTES {
            return Err(WireError::RECORD_END);
        }
        let length = HEADER_BYTES + END_BYTES + usize::from(record.padding);
        let Some(content) = rest.get(..length).and_then(|record| record.get(HEADER_BYTES..)) else { return Ok(None) };
        let Some([first, second, third, fourth, status, ..]) = content.first_chunk::<END_BYTES>().copied() else {
            return Ok(None);
        };
        self.place = Place::Done(match status {
            0 => FastCgiEnd::Complete { app_status: u32::from_be_bytes([first, second, third, fourth]) },
            1 => FastCgiEnd::CannotMultiplex,
            2 => FastCgiEnd::Overloaded,
            3 => FastCgiEnd::UnknownRole,
            _ => return Err(WireError::RECORD_END),
        });
        Ok(Some(length))
    }
}
