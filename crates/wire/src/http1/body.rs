//! Receives the bytes after a head; hands on which of them are the body's data, and where the body
//! ends. It copies and keeps no bytes: a chunk's framing is read byte by byte, so input may be split anywhere.

use std::ops::Range;

use crate::grammar::{TOKEN, hex_digit, is_field_byte};
use crate::http1::chunk_extension::ChunkExtension;
use crate::http1::encode::ResponseBody;
use crate::{Framing, Limits, WireError};

/// RFC 9112 7.1: sizes are unbounded in the grammar; these many digits fill 64 bits, so nothing overflows.
const MAX_SIZE_DIGITS: u8 = 16;

/// What [`BodyDecoder::decode`] found. `consumed` counts from the start of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyStep {
    /// All useful input was consumed; call again with more.
    NeedMore {
        /// Bytes to drop from the input.
        consumed: usize,
    },
    /// Some data of the body; call again with what follows.
    Data {
        /// Bytes to drop from the input once the data was used; they include it.
        consumed: usize,
        /// Where the data is in the input; never empty.
        data: Range<usize>,
    },
    /// The body is complete; what follows in the input is the next request.
    End {
        /// Bytes to drop from the input.
        consumed: usize,
    },
}

/// Reads one body. It keeps a few integers and no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDecoder {
    state: State,
    /// Bytes between sizes and their CRLFs so far, in all chunks: so that many small extensions weigh as
    /// much as a large one.
    extension_bytes: usize,
}

/// Where the next byte stands.
///
/// ```text
///                  +-------------------------------------------+
///                  v                                           |
/// Size -> [SizeSpace] -> [Extension] -> SizeLf -> Data -> DataCr -> DataLf
///                                         |
///                                         | size 0             +-----------------------------+
///                                         v                    v                             |
///                                       TrailerStart -> TrailerName -> TrailerValue -> TrailerLf
///                                         |    ^                                             |
///                                         v    +---------------------------------------------+
///                                       EndLf -> Done
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A body with a Content-Length, of which this much is to come.
    Length { remaining: u64 },
    /// The body of a response that ends with the connection.
    UntilClose,
    /// In the digits of a chunk size.
    Size { size: u64, digits: u8 },
    /// In the space after a chunk size, before the `;` of an extension.
    SizeSpace { size: u64 },
    /// In a chunk extension.
    Extension { size: u64, at: ChunkExtension },
    /// Before the LF of a chunk size.
    SizeLf { size: u64 },
    /// In the data of a chunk, of which this much is to come: at least one byte.
    Data { remaining: u64 },
    /// Before the CR after chunk data.
    DataCr,
    /// Before the LF after chunk data.
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart { bytes: usize },
    /// In the name of a trailer, of which this much is read.
    TrailerName { bytes: usize, name: PartialName },
    /// In the value of a trailer.
    TrailerValue { bytes: usize },
    /// Before the LF of a trailer line.
    TrailerLf { bytes: usize },
    /// Before the very last LF.
    EndLf { bytes: usize },
    /// The body is complete.
    Done { trailer_bytes: usize },
    /// The peer broke a rule, and nothing after that can be trusted.
    Failed(WireError),
}

impl BodyDecoder {
    /// A decoder for the body of a request whose head said `framing`.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty => State::Done { trailer_bytes: 0 },
            Framing::Length(remaining) => State::Length { remaining },
            Framing::Chunked => State::Size { size: 0, digits: 0 },
        };
        Self { state, extension_bytes: 0 }
    }

    /// A decoder for the body of a response whose head said `body`.
    #[must_use]
    pub fn of_response(body: ResponseBody) -> Self {
        match body {
            ResponseBody::Empty => Self::new(Framing::Empty),
            ResponseBody::Length(length) => Self::new(Framing::Length(length)),
            ResponseBody::Chunked => Self::new(Framing::Chunked),
            ResponseBody::UntilClose => Self { state: State::UntilClose, extension_bytes: 0 },
        }
    }

    /// Finds the next piece of the body at the start of `input`.
    ///
    /// Drop `consumed` bytes of the input after each call. Data may come any number of times, then
    /// [`BodyStep::End`]; after that the decoder has no more use, and says `End` with nothing consumed.
    ///
    /// # Errors
    ///
    /// The rule of RFC 9112 7.1 that a chunked body breaks, at this and every later call.
    pub fn decode(&mut self, input: &[u8], limits: &Limits) -> Result<BodyStep, WireError> {
        let mut consumed = 0;
        loop {
            match self.state {
                State::Done { .. } | State::Length { remaining: 0 } => {
                    return Ok(BodyStep::End { consumed });
                }
                State::Failed(error) => return Err(error),
                State::Length { remaining } => {
                    let (step, remaining) = take_data(input, consumed, remaining);
                    self.state = State::Length { remaining };
                    return Ok(step);
                }
                State::UntilClose => return Ok(take_data(input, consumed, u64::MAX).0),
                State::Data { remaining } => {
                    let (step, remaining) = take_data(input, consumed, remaining);
                    self.state = match remaining {
                        0 => State::DataCr,
                        _ => State::Data { remaining },
                    };
                    return Ok(step);
                }
                framing => {
                    let Some(&byte) = input.get(consumed) else {
                        return Ok(BodyStep::NeedMore { consumed });
                    };
                    consumed += 1;
                    self.state = next_state(framing, byte, limits)
                        .and_then(|state| self.count_extension(state, limits))
                        .unwrap_or_else(State::Failed);
                }
            }
        }
    }

    /// Counts the byte that led to `state`, if it is one between a chunk size and its CRLF.
    fn count_extension(&mut self, state: State, limits: &Limits) -> Result<State, WireError> {
        if matches!(state, State::SizeSpace { .. } | State::Extension { .. }) {
            let max = limits.max_chunk_extension_bytes;
            self.extension_bytes = count(self.extension_bytes, max, WireError::CHUNK_EXTENSIONS_TOO_LARGE)?;
        }
        Ok(state)
    }

    /// Whether no more bytes belong to the body. True from the start for a body that is empty.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done { .. } | State::Length { remaining: 0 })
    }

    /// Whether the end of the connection is the end of the body, and of a complete one (RFC 9112 8).
    #[must_use]
    pub fn may_end_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose) || self.is_done()
    }

    /// How many bytes the trailer lines of a complete body have, with their CRLFs: they stand before the CRLF that
    /// ends it.
    #[must_use]
    pub fn trailer_bytes(&self) -> usize {
        match self.state {
            State::Done { trailer_bytes } => trailer_bytes,
            _ => 0,
        }
    }

    /// How many bytes are still to come of a body with a Content-Length; `None` for other bodies.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length { remaining } => Some(remaining),
            _ => None,
        }
    }
}

/// Takes up to `remaining` bytes at `start`; returns the step and how much remains after it.
fn take_data(input: &[u8], start: usize, remaining: u64) -> (BodyStep, u64) {
    let available = input.len().saturating_sub(start);
    if available == 0 {
        return (BodyStep::NeedMore { consumed: start }, remaining);
    }
    let taken = usize::try_from(remaining).map_or(available, |remaining| available.min(remaining));
    let end = start + taken;
    let step = BodyStep::Data { consumed: end, data: start..end };
    (step, remaining - taken as u64)
}

/// The table of a chunked body's framing: state and byte to state, or the rule that was broken.
fn next_state(state: State, byte: u8, limits: &Limits) -> Result<State, WireError> {
    match (state, byte) {
        // chunk-size, RFC 9112 7.1: digits only, no sign, prefix or space before.
        (State::Size { size, digits: 1.. }, b'\r') => Ok(State::SizeLf { size }),
        (State::Size { size, digits: 1.. } | State::SizeSpace { size }, b';') => {
            Ok(State::Extension { size, at: ChunkExtension::BeforeName })
        }
        (State::Size { size, digits: 1.. } | State::SizeSpace { size }, b' ' | b'\t') => Ok(State::SizeSpace { size }),
        (State::Size { size, digits }, _) => {
            let digit = hex_digit(byte).ok_or(WireError::CHUNK_SIZE)?;
            if digits == MAX_SIZE_DIGITS {
                return Err(WireError::CHUNK_SIZE);
            }
            Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
        }
        // chunk-ext, RFC 9112 7.1.1: space only before a `;`. Extensions are skipped, but bounded, and held against
        // their grammar: a line end or a quote left open within them has been read in two ways.
        (State::SizeSpace { .. }, _) => Err(WireError::CHUNK_SIZE),
        (State::Extension { size, at }, b'\r') if at.may_end() => Ok(State::SizeLf { size }),
        (State::Extension { size, at }, _) => {
            at.after(byte).map(|at| State::Extension { size, at }).ok_or(WireError::CHUNK_EXTENSION)
        }
        // last-chunk, RFC 9112 7.1: a size of zero.
        (State::SizeLf { size: 0 }, b'\n') => Ok(State::TrailerStart { bytes: 0 }),
        (State::SizeLf { size }, b'\n') => Ok(State::Data { remaining: size }),
        (State::SizeLf { .. }, _) => Err(WireError::CHUNK_LINE_END),
        (State::DataCr, b'\r') => Ok(State::DataLf),
        (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
        (State::DataCr | State::DataLf, _) => Err(WireError::CHUNK_DATA_END),
        // trailer-section, RFC 9112 7.1.2: fields as in a head, checked by the same rules, and dropped. RFC 9110
        // 6.5.1: never merged, and what would frame or route the request is an attempt to do so.
        (State::TrailerStart { bytes }, b'\r') => Ok(State::EndLf { bytes }),
        (State::TrailerName { name, .. }, b':') if name.is_forbidden() => Err(WireError::TRAILER_FORBIDDEN),
        (State::TrailerName { bytes, .. }, b':') => trailer(bytes, limits, |bytes| State::TrailerValue { bytes }),
        (State::TrailerStart { bytes }, _) if TOKEN[byte as usize] => {
            trailer(bytes, limits, |bytes| State::TrailerName { bytes, name: PartialName::new().with(byte) })
        }
        (State::TrailerName { bytes, name }, _) if TOKEN[byte as usize] => {
            trailer(bytes, limits, |bytes| State::TrailerName { bytes, name: name.with(byte) })
        }
        (State::TrailerValue { bytes }, b'\r') => trailer(bytes, limits, |bytes| State::TrailerLf { bytes }),
        (State::TrailerValue { bytes }, _) if is_field_byte(byte) => {
            trailer(bytes, limits, |bytes| State::TrailerValue { bytes })
        }
        (State::TrailerLf { bytes }, b'\n') => trailer(bytes, limits, |bytes| State::TrailerStart { bytes }),
        (State::EndLf { bytes }, b'\n') => Ok(State::Done { trailer_bytes: bytes }),
        // Whatever is left is a trailer section with a byte where it may not be. The states that
        // hold data or an outcome never come here.
        _ => Err(WireError::TRAILER),
    }
}

/// The state `next` makes after one more byte of the trailer section.
fn trailer(bytes: usize, limits: &Limits, next: impl Fn(usize) -> State) -> Result<State, WireError> {
    count(bytes, limits.max_trailer_bytes, WireError::TRAILERS_TOO_LARGE).map(next)
}

/// One more than `bytes`, unless that is more than `max`.
fn count(bytes: usize, max: usize, too_many: WireError) -> Result<usize, WireError> {
    if bytes < max { Ok(bytes + 1) } else { Err(too_many) }
}

/// Trailers that are rejected: they frame a message, route it, or are about the connection only.
const FORBIDDEN_TRAILERS: [&[u8]; 8] =
    [b"connection", b"content-length", b"host", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"];

/// The name of a trailer as far as it is read: its length, and which forbidden names begin with it, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PartialName {
    length: usize,
    candidates: u8,
}

impl PartialName {
    /// No byte read yet.
    const fn new() -> Self {
        Self { length: 0, candidates: u8::MAX }
    }

    /// The name with one more byte.
    fn with(self, byte: u8) -> Self {
        let is_next = |name: &[u8]| name.get(self.length) == Some(&byte.to_ascii_lowercase());
        Self { length: self.length + 1, candidates: self.matching(is_next) }
    }

    /// Whether it is one of the forbidden names.
    fn is_forbidden(self) -> bool {
        self.matching(|name| name.len() == self.length) != 0
    }

    /// The candidates for which `test` holds.
    fn matching(self, test: impl Fn(&[u8]) -> bool) -> u8 {
        let bits = FORBIDDEN_TRAILERS.iter().enumerate();
        bits.filter(|(_, name)| test(name)).fold(0, |bits, (index, _)| bits | 1 << index) & self.candidates
    }
}
