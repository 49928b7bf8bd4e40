//! Receives the bytes after a request head; hands on which of them are the body's data, and where the body
//! ends. It copies and keeps no bytes: a chunk's framing is read byte by byte, so input may be cut anywhere.

use std::ops::Range;

use crate::grammar::{TOKEN, hex_digit, is_field_byte};
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

/// Reads one request body. It keeps a few integers and no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDecoder {
    state: State,
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
    /// In the digits of a chunk size.
    Size { size: u64, digits: u8 },
    /// In the space after a chunk size, before the `;` of an extension.
    SizeSpace { size: u64, line_bytes: usize },
    /// In a chunk extension.
    Extension { size: u64, line_bytes: usize },
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
    /// In the name of a trailer, after its first byte.
    TrailerName { bytes: usize },
    /// In the value of a trailer.
    TrailerValue { bytes: usize },
    /// Before the LF of a trailer line.
    TrailerLf { bytes: usize },
    /// Before the very last LF.
    EndLf,
    /// The body is complete.
    Done,
    /// The peer broke a rule, and nothing after that can be trusted.
    Failed(WireError),
}

impl BodyDecoder {
    /// A decoder for the body of a request whose head said `framing`.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty => State::Done,
            Framing::Length(remaining) => State::Length { remaining },
            Framing::Chunked => State::Size { size: 0, digits: 0 },
        };
        Self { state }
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
                State::Done | State::Length { remaining: 0 } => {
                    return Ok(BodyStep::End { consumed });
                }
                State::Failed(error) => return Err(error),
                State::Length { remaining } => {
                    let (step, remaining) = take_data(input, consumed, remaining);
                    self.state = State::Length { remaining };
                    return Ok(step);
                }
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
                    self.state = match next_state(framing, byte, limits) {
                        Ok(state) => state,
                        Err(error) => State::Failed(error),
                    };
                }
            }
        }
    }

    /// Whether no more bytes belong to the body. True from the start for a body that is empty.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done | State::Length { remaining: 0 })
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

/// Takes up to `remaining` bytes at `start`; answers the step and how much remains after it.
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
        (State::Size { size, digits }, b';' | b' ' | b'\t' | b'\r') if digits > 0 => match byte {
            b'\r' => Ok(State::SizeLf { size }),
            b';' => extension(size, usize::from(digits), limits),
            _ => size_space(size, usize::from(digits), limits),
        },
        (State::Size { size, digits }, _) => {
            let digit = hex_digit(byte).ok_or(WireError::CHUNK_SIZE)?;
            if digits == MAX_SIZE_DIGITS {
                return Err(WireError::CHUNK_SIZE);
            }
            Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
        }
        // chunk-ext, RFC 9112 7.1.1: space only before a `;`. Extensions are skipped, but bounded, and a
        // line end within them, which others have read in two ways, is an error.
        (State::SizeSpace { size, line_bytes }, b' ' | b'\t') => size_space(size, line_bytes, limits),
        (State::SizeSpace { size, line_bytes }, b';') => extension(size, line_bytes, limits),
        (State::SizeSpace { .. }, _) => Err(WireError::CHUNK_SIZE),
        (State::Extension { size, .. }, b'\r') => Ok(State::SizeLf { size }),
        (State::Extension { size, line_bytes }, _) if is_field_byte(byte) => extension(size, line_bytes, limits),
        (State::Extension { .. }, _) => Err(WireError::CHUNK_EXTENSION),
        // last-chunk, RFC 9112 7.1: a size of zero.
        (State::SizeLf { size: 0 }, b'\n') => Ok(State::TrailerStart { bytes: 0 }),
        (State::SizeLf { size }, b'\n') => Ok(State::Data { remaining: size }),
        (State::SizeLf { .. }, _) => Err(WireError::CHUNK_LINE_END),
        (State::DataCr, b'\r') => Ok(State::DataLf),
        (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
        (State::DataCr | State::DataLf, _) => Err(WireError::CHUNK_DATA_END),
        // trailer-section, RFC 9112 7.1.2: fields as in a head, checked by the same rules, and dropped.
        (State::TrailerStart { .. }, b'\r') => Ok(State::EndLf),
        (State::TrailerName { bytes }, b':') => trailer(bytes, limits, |bytes| State::TrailerValue { bytes }),
        (State::TrailerStart { bytes } | State::TrailerName { bytes }, _) if TOKEN[byte as usize] => {
            trailer(bytes, limits, |bytes| State::TrailerName { bytes })
        }
        (State::TrailerValue { bytes }, b'\r') => trailer(bytes, limits, |bytes| State::TrailerLf { bytes }),
        (State::TrailerValue { bytes }, _) if is_field_byte(byte) => {
            trailer(bytes, limits, |bytes| State::TrailerValue { bytes })
        }
        (State::TrailerLf { bytes }, b'\n') => trailer(bytes, limits, |bytes| State::TrailerStart { bytes }),
        (State::EndLf, b'\n') => Ok(State::Done),
        // Whatever is left is a trailer section with a byte where it may not be. The states that
        // hold data or an outcome never come here.
        _ => Err(WireError::TRAILER),
    }
}

/// The state after one more byte of space behind a chunk size.
fn size_space(size: u64, line_bytes: usize, limits: &Limits) -> Result<State, WireError> {
    let line_bytes = count(line_bytes, limits.max_chunk_line_bytes, WireError::CHUNK_LINE_TOO_LONG)?;
    Ok(State::SizeSpace { size, line_bytes })
}

/// The state after one more byte of a chunk extension.
fn extension(size: u64, line_bytes: usize, limits: &Limits) -> Result<State, WireError> {
    let line_bytes = count(line_bytes, limits.max_chunk_line_bytes, WireError::CHUNK_LINE_TOO_LONG)?;
    Ok(State::Extension { size, line_bytes })
}

/// The state `next` makes after one more byte of the trailer section.
fn trailer(bytes: usize, limits: &Limits, next: impl Fn(usize) -> State) -> Result<State, WireError> {
    count(bytes, limits.max_trailer_bytes, WireError::TRAILERS_TOO_LARGE).map(next)
}

/// One more than `bytes`, unless that is more than `max`.
fn count(bytes: usize, max: usize, too_many: WireError) -> Result<usize, WireError> {
    if bytes < max { Ok(bytes + 1) } else { Err(too_many) }
}
