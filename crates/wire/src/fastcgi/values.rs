//! Name-value pairs (FastCGI 1.0, 3.4), and the values that a reverse proxy may ask for (4.1).

use super::Span;
use crate::WireError;

/// Reads the pair at index `at`: both lengths, then both strings.
pub(super) fn read_pair(bytes: &[u8], at: usize) -> Result<(Span, Span), WireError> {
    let (name_length, at) = read_length(bytes, at)?;
    let (value_length, name_start) = read_length(bytes, at)?;
    let error = WireError::VARIABLES_LENGTHS;
    let value_start = name_start.checked_add(name_length).ok_or(error)?;
    let end = value_start.checked_add(value_length).filter(|end| *end <= bytes.len()).ok_or(error)?;
    Ok((Span::new(name_start, value_start), Span::new(value_start, end)))
}

/// A length of one byte, or of four with the highest bit set; returns where it ends.
fn read_length(bytes: &[u8], at: usize) -> Result<(usize, usize), WireError> {
    match bytes.get(at..).unwrap_or_default() {
        [length @ 0..=0x7f, ..] => Ok((usize::from(*length), at + 1)),
        [first, second, third, fourth, ..] => {
            let length = u32::from_be_bytes([first & 0x7f, *second, *third, *fourth]);
            Ok((length as usize, at + 4))
        }
        _ => Err(WireError::VARIABLES_LENGTHS),
    }
}

/// The content of a `GET_VALUES_RESULT`: the values that `query` names and that are known, once. How many connections
/// and requests there may be is not said: that depends on how many workers there are, which may change.
pub(super) fn result(query: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut is_multiplexing_queried = false;
    let mut at = 0;
    while at < query.len() {
        let (name, value) = read_pair(query, at)?;
        is_multiplexing_queried |= name.of(query) == b"FCGI_MPXS_CONNS";
        at = value.end as usize;
    }
    Ok(if is_multiplexing_queried { b"\x0f\x01FCGI_MPXS_CONNS0".to_vec() } else { Vec::new() })
}
