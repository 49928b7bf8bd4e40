//! Bodies with a Content-Length: exactly so many bytes, however they arrive, and not one of the next request.

use crate::input::FuzzInput;
use portico_wire::{BodyDecoder, BodyStep, Framing};

/// Takes the choices for the length and the message for what is sent.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let mut random = input.random();
    // Around the length of the message, where the boundary is; or anything, up to 64 bits.
    let declared = match input.choices & 3 {
        0 => input.message.len() as u64,
        1 => random.below(input.message.len() + 3) as u64,
        2 => input.choices >> 2,
        _ => u64::MAX - (input.choices >> 2 & 3),
    };
    let pieces = random.pieces(input.message);
    for pieces in [&pieces[..], &[input.message][..]] {
        check_pieces(declared, pieces);
    }
}

fn check_pieces(declared: u64, pieces: &[&[u8]]) {
    let limits = portico_wire::Limits::default();
    let sent = pieces.concat();
    let mut decoder = BodyDecoder::new(Framing::Length(declared));
    let (mut data, mut end, mut start) = (Vec::new(), 0, 0);
    let mut ended = false;
    for piece in pieces {
        end += piece.len();
        while !ended {
            assert_eq!(decoder.remaining(), Some(declared - data.len() as u64));
            assert_eq!(decoder.is_done(), data.len() as u64 == declared);
            let available = &sent[start..end];
            match decoder.decode(available, &limits).expect("a length has no errors") {
                BodyStep::Data { consumed, data: range } => {
                    assert!(!range.is_empty() && range.end == consumed && consumed <= available.len());
                    data.extend_from_slice(&available[range]);
                    start += consumed;
                }
                BodyStep::NeedMore { consumed } => {
                    assert_eq!(consumed, available.len());
                    start += consumed;
                    break;
                }
                BodyStep::End { consumed } => {
                    assert_eq!(consumed, 0, "what follows the data is the next request's");
                    ended = true;
                }
            }
        }
    }
    let expected = usize::try_from(declared).map_or(sent.len(), |declared| declared.min(sent.len()));
    assert_eq!(data, sent[..expected]);
    assert_eq!(start, expected, "consumed is the body and nothing else");
    if decoder.is_done() {
        assert_eq!(decoder.decode(&sent, &limits), Ok(BodyStep::End { consumed: 0 }), "an end stays an end");
    }
}
