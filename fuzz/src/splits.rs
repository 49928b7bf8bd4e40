//! The parser fed whole, fed in random pieces and fed byte by byte: every way has to give the same requests,
//! the same error and the same bytes left over.

use crate::input::FuzzInput;
use crate::life::{ConnectionTerms, Life};

/// Up to this many bytes the message is also fed byte by byte (heads are read again at each byte).
const BYTE_BY_BYTE: usize = 256;

/// Takes the message for all that a client sends on one connection.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let message = input.message;
    let run = |pieces: &[&[u8]]| Life::of(pieces, ConnectionTerms::of(&input));
    let whole = run(&[message]);
    let mut random = input.random();
    let at = random.below(message.len() + 1);
    let mut ways = vec![random.pieces(message), random.pieces(message), vec![&message[..at], &message[at..]]];
    if message.len() <= BYTE_BY_BYTE {
        ways.push(message.chunks(1).collect());
    }
    for pieces in ways {
        let split = run(&pieces);
        let lengths = pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>();
        assert_eq!(split.events, whole.events, "pieces of {lengths:?}");
        assert_eq!(split.is_over(), whole.is_over(), "pieces of {lengths:?}");
        if !whole.is_over() {
            assert_eq!((split.consumed, split.waiting()), (whole.consumed, whole.waiting()), "pieces of {lengths:?}");
        }
    }
}
