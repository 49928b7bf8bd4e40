//! The head of a uwsgi or SCGI request in every way it may arrive: what comes later changes nothing that was decided.

use crate::input::FuzzInput;
use portico_wire::{GatewayHead, WireError};
use std::fmt::Debug;

/// Up to this many bytes every split is tried, beyond it some.
const EVERY_SPLIT_BYTES: usize = 96;
/// How many splits are tried of a longer input.
const SOME_SPLITS: usize = 12;

/// Reads the message whole, truncated and followed by more, into a fresh head and into one that is used again and
/// again; returns what it is whole.
///
/// # Errors
///
/// The reader's own.
pub fn check_splits<T: Clone + Debug + PartialEq>(
    input: &FuzzInput,
    read: impl Fn(&mut GatewayHead, &[u8]) -> Result<Option<T>, WireError>,
) -> Result<Option<T>, WireError> {
    let bytes = input.message;
    let whole = read(&mut GatewayHead::new(), bytes);
    let mut random = input.random();
    let mut splits: Vec<usize> = if bytes.len() <= EVERY_SPLIT_BYTES {
        (0..bytes.len()).collect()
    } else {
        // The first ones lie in what says how long the rest is.
        (0..8).chain((8..SOME_SPLITS).map(|_| random.below(bytes.len()))).collect()
    };
    splits.sort_unstable();
    let mut used = GatewayHead::new();
    let mut is_decided = false;
    for split in splits {
        let outcome = read(&mut used, &bytes[..split]);
        if outcome == Ok(None) {
            assert!(!is_decided, "{split} bytes ask for more, fewer did not");
        } else {
            assert_eq!(outcome, whole, "{split} bytes are read unlike {}", bytes.len());
            is_decided = true;
        }
    }
    assert_eq!(read(&mut used, bytes), whole, "a head that was used before");
    if whole != Ok(None) {
        let followed = [bytes, &b",:0\0\xff\xffGET / HTTP/1.1\r\n"[random.below(20)..]].concat();
        assert_eq!(read(&mut used, &followed), whole, "what follows changes the head");
    }
    whole
}
