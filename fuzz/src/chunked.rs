//! Chunked bodies: the decoder and the plain reading of `reference` say the same, however the bytes
//! arrive.

use crate::input::FuzzInput;
use crate::reference::{self, Chunked};
use portico_wire::{BodyDecoder, BodyStep, Framing, Limits, WireError};

/// Takes the message for a chunked body and what follows it.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let limits = input.limits();
    let whole = decode(&[input.message], &limits);
    let pieces = input.random().pieces(input.message);
    assert_eq!(decode(&pieces, &limits), whole, "in {} pieces", pieces.len());

    let expected = reference::read_chunked(input.message);
    match &whole {
        // An error because of a limit says nothing about the grammar.
        Err(WireError::TRAILERS_TOO_LARGE | WireError::CHUNK_EXTENSIONS_TOO_LARGE) => {}
        Err(_) => assert_eq!(expected, Chunked::Malformed),
        Ok(outcome) => assert_eq!(outcome, &expected),
    }
}

/// Decodes a body that arrives in `pieces`.
///
/// # Errors
///
/// The decoder's own.
pub fn decode(pieces: &[&[u8]], limits: &Limits) -> Result<Chunked, WireError> {
    let sent = pieces.concat();
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut data, mut start, mut end) = (Vec::new(), 0, 0);
    for piece in std::iter::once(&&b""[..]).chain(pieces) {
        end += piece.len();
        loop {
            let available = &sent[start..end];
            match decoder.decode(available, limits) {
                Ok(BodyStep::Data { consumed, data: range }) => {
                    assert!(!range.is_empty() && range.end == consumed && consumed <= available.len());
                    data.extend_from_slice(&available[range]);
                    start += consumed;
                }
                Ok(BodyStep::NeedMore { consumed }) => {
                    assert_eq!(consumed, available.len(), "all that is there is used");
                    assert!(!decoder.is_done());
                    start += consumed;
                    break;
                }
                Ok(BodyStep::End { consumed }) => {
                    assert!(consumed <= available.len() && decoder.is_done());
                    assert_eq!(decoder.decode(&sent, limits), Ok(BodyStep::End { consumed: 0 }));
                    return Ok(Chunked::Complete { data, length: start + consumed });
                }
                Err(error) => {
                    assert_eq!(decoder.decode(b"0\r\n\r\n", limits), Err(error), "an error stays an error");
                    assert!((400..=599).contains(&error.status));
                    return Err(error);
                }
            }
        }
    }
    Ok(Chunked::Incomplete { data })
}
