//! `traceparent` as a client or a reverse proxy sends it: none, or the one trace that a plain reading of the grammar finds;
//! and what is sent on says the same.

use crate::input::FuzzInput;
use portico_wire::TraceParent;

/// Takes each line of the message for a field of one request.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let fields: Vec<&[u8]> = input.message.split(|byte| *byte == b'\n').collect();
    for field in &fields {
        check_field(field);
    }
    let only = (fields.len() == 1).then(|| TraceParent::read(fields[0])).flatten();
    assert_eq!(TraceParent::read_only(fields.iter().copied()), only, "of {} fields", fields.len());
}

fn check_field(field: &[u8]) {
    let read = TraceParent::read(field);
    assert_eq!(read, plainly(field), "{}", field.escape_ascii());
    let Some(read) = read else { return };
    let sent = read.encode();
    // In version 00, of which it has all flags that are known; nothing else of it has changed.
    assert_eq!(TraceParent::read(&sent), Some(read), "{}", sent.escape_ascii());
    assert_eq!(sent[..3], *b"00-");
    assert_eq!(sent[3..53], field[3..53], "{}", field.escape_ascii());
    assert_eq!(read.is_sampled(), read.flags & 1 == 1);
}

/// The same by W3C Trace Context 3.2.2 as it is written: texts between dashes.
fn plainly(field: &[u8]) -> Option<TraceParent> {
    let text = std::str::from_utf8(field).ok()?;
    let mut parts = text.splitn(5, '-');
    let mut digits = |length: usize| {
        let part = parts.next()?;
        let is_lower_case = part.chars().all(|digit| digit.is_ascii_digit() || ('a'..='f').contains(&digit));
        (part.len() == length && is_lower_case).then(|| u128::from_str_radix(part, 16).ok()).flatten()
    };
    let (version, trace_id, parent_id, flags) = (digits(2)?, digits(32)?, digits(16)?, digits(2)?);
    if version == 255 || version == 0 && parts.next().is_some() || trace_id == 0 || parent_id == 0 {
        return None;
    }
    Some(TraceParent {
        trace_id: trace_id.to_be_bytes(),
        parent_id: u64::try_from(parent_id).ok()?.to_be_bytes(),
        // The second one came with level 2 of version 00 (3.2.2.5.2).
        flags: u8::try_from(flags).ok()? & if version == 0 { 3 } else { 1 },
    })
}
