//! Receives a head that a trusted reverse proxy passed on; hands on when that server took the request.

use super::{Message, read_number};
use crate::RequestHead;

/// When a trusted reverse proxy took the request, in nanoseconds since 1970: `X-Request-Start`, a number after
/// `t=` or alone, in seconds, milliseconds or microseconds, told apart by their magnitude.
///
/// # Returns
///
/// `None` where there is none, or none that can be read: it only serves to measure.
#[must_use]
pub fn request_start_ns(head: &RequestHead, bytes: &[u8]) -> Option<u64> {
    if !head.has_forwarded {
        return None;
    }
    // The last one is the nearest server's.
    let text = Message { head, bytes }.entries_from_right("x-request-start").next()?;
    read_request_start(text)
}

/// As [`request_start_ns`], of the header's text.
pub(crate) fn read_request_start(text: &[u8]) -> Option<u64> {
    /// Seconds up to the year 5138, milliseconds from 1973 to 5138, microseconds likewise.
    const UNITS: [(u64, u64); 3] =
        [(100_000_000_000, 1_000_000_000), (100_000_000_000_000, 1_000_000), (u64::MAX, 1_000)];
    let number = text.strip_prefix(b"t=").unwrap_or(text);
    let dot = memchr::memchr(b'.', number).unwrap_or(number.len());
    let (whole, fraction) = number.split_at(dot);
    let whole = read_number(whole)?;
    let (_, unit_ns) = UNITS.into_iter().find(|(limit, _)| whole < *limit)?;
    let fraction_ns = match fraction {
        [] => 0,
        [b'.', digits @ ..] => read_fraction(digits, unit_ns)?,
        _ => return None,
    };
    whole.checked_mul(unit_ns)?.checked_add(fraction_ns)
}

/// `0.DIGITS` of a unit, in nanoseconds; digits that are too small to count are only checked.
fn read_fraction(digits: &[u8], unit_ns: u64) -> Option<u64> {
    let (mut place_ns, mut sum_ns) = (unit_ns, 0);
    for byte in digits {
        place_ns /= 10;
        sum_ns += place_ns * byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
    }
    (!digits.is_empty()).then_some(sum_ns)
}
