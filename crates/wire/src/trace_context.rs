//! Receives the `traceparent` fields of a request; hands on which trace it is a part of, and the field that is sent on
//! (W3C Trace Context).
//!
//! What is not well-formed is as good as none: a new trace begins then, and `tracestate` goes with the old one (4.3).

use std::ops::Range;

/// How long the field is (3.2.2.2); one of a later version may be longer.
pub const TRACEPARENT_BYTES: usize = 55;
const TRACE_ID: Range<usize> = 3..35;
const PARENT_ID: Range<usize> = 36..52;
const FLAGS: Range<usize> = 53..55;
const DASHES: [usize; 3] = [2, 35, 52];

/// What a `traceparent` says: the trace, and the span in it that whatever is done next is a child of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not all zero.
    pub trace_id: [u8; 16],
    /// The span of who sends it; not all zero.
    pub parent_id: [u8; 8],
    /// The flags that are known: `SAMPLED` and `RANDOM`.
    pub flags: u8,
}

impl TraceParent {
    /// Who has sent it may have recorded the trace (3.2.2.5.1).
    pub const SAMPLED: u8 = 1;
    /// The lower seven bytes of the trace's number are random (level 2, 3.2.2.5.2).
    pub const RANDOM: u8 = 2;

    /// What the only one of `fields` says; several are none (3.2.1).
    #[must_use]
    pub fn read_only<'a>(mut fields: impl Iterator<Item = &'a [u8]>) -> Option<TraceParent> {
        let field = fields.next()?;
        if fields.next().is_some() { None } else { TraceParent::read(field) }
    }

    /// What a field says, if it is well-formed (3.2.2).
    #[must_use]
    pub fn read(field: &[u8]) -> Option<TraceParent> {
        let [version] = decode(field.get(..2)?)?;
        let rest = field.get(TRACEPARENT_BYTES..)?;
        // Version 255 is none; what a later one adds begins with a dash (3.2.2.1, 4.3).
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        if !is_whole || DASHES.iter().any(|at| field.get(*at) != Some(&b'-')) {
            return None;
        }
        let (trace_id, parent_id): ([u8; 16], [u8; 8]) =
            (decode(field.get(TRACE_ID)?)?, decode(field.get(PARENT_ID)?)?);
        let [flags] = decode(field.get(FLAGS)?)?;
        let known = if version == 0 { Self::SAMPLED | Self::RANDOM } else { Self::SAMPLED };
        (trace_id != [0; 16] && parent_id != [0; 8]).then_some(TraceParent {
            trace_id,
            parent_id,
            flags: flags & known,
        })
    }

    /// Whether what is done for it is to be recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// The field, in version 00.
    #[must_use]
    pub fn encode(&self) -> [u8; TRACEPARENT_BYTES] {
        let mut field = [b'-'; TRACEPARENT_BYTES];
        let parts: [(Range<usize>, &[u8]); 4] =
            [(0..2, &[0]), (TRACE_ID, &self.trace_id), (PARENT_ID, &self.parent_id), (FLAGS, &[self.flags])];
        for (place, bytes) in parts {
            for (digits, byte) in field.get_mut(place).unwrap_or_default().chunks_mut(2).zip(bytes) {
                digits.copy_from_slice(&hexadecimal(*byte));
            }
        }
        field
    }
}

/// The two digits of a byte, in lower case.
#[must_use]
pub fn hexadecimal(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

/// The bytes that so many pairs of digits stand for, which have to be of lower case (3.2.2.3).
fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let [high, low] = *pair;
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
