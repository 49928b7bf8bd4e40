//! FastCGI records read a second time (FastCGI 1.0, sections 3 to 5), by code that shares nothing with portico-wire,
//! for whole input only: what a server has to make of them, and what a reverse proxy reads in a response.

use portico_wire::{FastCgiReply, WireError};

/// A record, and how much of it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Type.
    pub kind: u8,
    /// Number of its request.
    pub id: u16,
    /// How long its content is.
    pub length: usize,
    /// As much of its content as there is.
    pub content: &'a [u8],
    /// Whether content and padding are all there.
    pub is_complete: bool,
}

/// The records of `bytes`, the last of which may be truncated; bytes that are less than a header are left over. An
/// error where a record has another version.
pub fn split(mut bytes: &[u8]) -> (Vec<Record<'_>>, Result<usize, WireError>) {
    let mut records = Vec::new();
    loop {
        match *bytes {
            [] => return (records, Ok(0)),
            [1, ..] => {}
            _ => return (records, Err(WireError::FASTCGI_VERSION)),
        }
        let Some((header, rest)) = bytes.split_first_chunk::<8>() else { return (records, Ok(bytes.len())) };
        let [_, kind, id_high, id_low, high, low, padding, _] = *header;
        let (id, length) = (u16::from_be_bytes([id_high, id_low]), usize::from(u16::from_be_bytes([high, low])));
        let size = length + usize::from(padding);
        let is_complete = rest.len() >= size;
        records.push(Record { kind, id, length, content: &rest[..length.min(rest.len())], is_complete });
        bytes = &rest[size.min(rest.len())..];
    }
}

/// What a server is to do, in order; consecutive data is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordEvent {
    /// A request begins.
    Begin {
        /// Its number.
        id: u16,
        /// Whether the connection is to be kept.
        keep_connection: bool,
    },
    /// Some of its variables.
    Params(Vec<u8>),
    /// All of them were there.
    ParamsEnd,
    /// Some of its body.
    Stdin(Vec<u8>),
    /// All of it was there.
    StdinEnd,
    /// Nobody wants a response any more.
    Abort,
    /// A record for the reverse proxy.
    Reply(FastCgiReply),
    /// A rule was broken: nothing after that.
    Rejected(WireError),
}

/// Adds an event; data to that before.
pub fn join(events: &mut Vec<RecordEvent>, event: RecordEvent) {
    match (events.last_mut(), event) {
        (Some(RecordEvent::Params(before)), RecordEvent::Params(data))
        | (Some(RecordEvent::Stdin(before)), RecordEvent::Stdin(data)) => {
            before.extend(data);
        }
        (_, RecordEvent::Params(data) | RecordEvent::Stdin(data)) if data.is_empty() => {}
        (_, event) => events.push(event),
    }
}

/// How the caller of a reader behaves.
#[derive(Clone, Copy, Debug)]
pub struct Conduct {
    /// `max_variables_size`.
    pub max_params_bytes: usize,
    /// What `CONTENT_LENGTH` says, of every request.
    pub body_length: Option<u64>,
    /// Whether a request is finished at its abort, as it is at its end.
    pub finishes_aborted: bool,
    /// Whether a request is finished once its variables are complete.
    pub finishes_early: bool,
}

/// The request that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Params(usize),
    Stdin(Option<u64>),
    Aborted,
}

/// The events of a connection.
#[must_use]
pub fn events(bytes: &[u8], conduct: Conduct) -> Vec<RecordEvent> {
    let (records, end) = split(bytes);
    let mut events = Vec::new();
    let mut open = None;
    for record in records {
        match take(record, &mut open, conduct, &mut events) {
            Ok(true) => {}
            Ok(false) => return events,
            Err(error) => {
                events.push(RecordEvent::Rejected(error));
                return events;
            }
        }
    }
    if let Err(error) = end {
        events.push(RecordEvent::Rejected(error));
    }
    events
}

/// Takes one record; false if more of it has to come.
fn take(
    record: Record,
    open: &mut Option<(u16, Open)>,
    conduct: Conduct,
    events: &mut Vec<RecordEvent>,
) -> Result<bool, WireError> {
    let Record { kind, id, length, content, .. } = record;
    let of_open = open.filter(|(open_id, _)| *open_id == id).map(|(_, open)| open);
    match kind {
        1 if length != 8 => return Err(WireError::FASTCGI_BEGIN),
        1 if id == 0 || of_open.is_some() => return Err(WireError::FASTCGI_REQUEST_ID),
        9 if id != 0 => return Err(WireError::FASTCGI_REQUEST_ID),
        9 if length > 512 => return Err(WireError::FASTCGI_GET_VALUES),
        1 | 9 if content.len() < length => return Ok(false),
        1 if open.is_some() => events.push(RecordEvent::Reply(FastCgiReply::CannotMultiplex { id })),
        1 if content[..2] != [0, 1] => events.push(RecordEvent::Reply(FastCgiReply::UnknownRole { id })),
        1 => {
            *open = Some((id, Open::Params(0)));
            events.push(RecordEvent::Begin { id, keep_connection: content[2] & 1 == 1 });
        }
        9 => events.push(RecordEvent::Reply(FastCgiReply::Values(values(content)?))),
        2 | 4 | 5 | 8 if id == 0 => return Err(WireError::FASTCGI_REQUEST_ID),
        2 | 4 | 5 | 8 => {
            let Some(state) = of_open else { return Ok(true) };
            *open = take_part(record, state, conduct, events)?.map(|state| (id, state));
        }
        kind => events.push(RecordEvent::Reply(FastCgiReply::UnknownType { kind })),
    }
    Ok(true)
}

/// Takes a record of the open request; returns what the request is then, if it is not finished.
fn take_part(
    record: Record,
    open: Open,
    conduct: Conduct,
    events: &mut Vec<RecordEvent>,
) -> Result<Option<Open>, WireError> {
    let Record { kind, length, content, .. } = record;
    Ok(Some(match (open, kind, length) {
        (Open::Aborted, ..) => open,
        (_, 2, _) => {
            events.push(RecordEvent::Abort);
            return Ok((!conduct.finishes_aborted).then_some(Open::Aborted));
        }
        (Open::Params(_), 4, 0) => {
            events.push(RecordEvent::ParamsEnd);
            return Ok((!conduct.finishes_early).then_some(Open::Stdin(conduct.body_length)));
        }
        (Open::Params(before), 4, length) => {
            if before + length > conduct.max_params_bytes {
                return Err(WireError::VARIABLES_TOO_LARGE);
            }
            join(events, RecordEvent::Params(content.to_vec()));
            Open::Params(before + length)
        }
        (Open::Stdin(left), 5, 0) => {
            if left.is_some_and(|left| left > 0) {
                return Err(WireError::FASTCGI_BODY_SHORT);
            }
            events.push(RecordEvent::StdinEnd);
            return Ok(None);
        }
        (Open::Stdin(left), 5, length) => {
            let longer = || WireError::FASTCGI_BODY_LONG;
            let left = left.map(|left| left.checked_sub(length as u64).ok_or_else(longer)).transpose()?;
            join(events, RecordEvent::Stdin(content.to_vec()));
            Open::Stdin(left)
        }
        _ => return Err(WireError::FASTCGI_ORDER),
    }))
}

/// The reply to a query for values.
fn values(query: &[u8]) -> Result<Vec<u8>, WireError> {
    let names = crate::variables::read_fastcgi(query).ok_or(WireError::VARIABLES_LENGTHS)?;
    let is_queried = names.iter().any(|(name, _)| name == b"FCGI_MPXS_CONNS");
    let known = (b"FCGI_MPXS_CONNS".to_vec(), b"0".to_vec());
    Ok(crate::variables::write_fastcgi(&is_queried.then_some(known).into_iter().collect(), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Conduct =
        Conduct { max_params_bytes: 100, body_length: None, finishes_aborted: true, finishes_early: false };

    #[test]
    fn splits_records() {
        let bytes = b"\x01\x04\x00\x02\x00\x03\x02\x00abc\0\0\x01\x05\x00\x02\x00\x03\x00\x00a";
        let (records, end) = split(bytes);
        assert_eq!(records[0], Record { kind: 4, id: 2, length: 3, content: b"abc", is_complete: true });
        assert_eq!(records[1], Record { kind: 5, id: 2, length: 3, content: b"a", is_complete: false });
        assert_eq!((records.len(), end), (2, Ok(0)));
        assert_eq!(split(b"\x01\x04").1, Ok(2));
        assert_eq!(split(b"\x02").1, Err(WireError::FASTCGI_VERSION));
    }

    #[test]
    fn reads_a_connection() {
        let bytes = b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\0\0\0\0\0\x01\x04\x00\x01\x00\x01\x00\x00a\
            \x01\x04\x00\x01\x00\x01\x01\x00bP\x01\x04\x00\x01\x00\x00\x00\x00\x01\x63\x00\x00\x00\x00\x00\x00\
            \x01\x05\x00\x01\x00\x01\x00\x00c\x01\x05\x00\x01\x00\x00\x00\x00\x01\x04\x00\x00\x00\x00\x00\x00";
        let expected = [
            RecordEvent::Begin { id: 1, keep_connection: true },
            RecordEvent::Params(b"ab".to_vec()),
            RecordEvent::ParamsEnd,
            RecordEvent::Reply(FastCgiReply::UnknownType { kind: 99 }),
            RecordEvent::Stdin(b"c".to_vec()),
            RecordEvent::StdinEnd,
            RecordEvent::Rejected(WireError::FASTCGI_REQUEST_ID),
        ];
        assert_eq!(events(bytes, PLAIN), expected);
        let short = events(bytes, Conduct { body_length: Some(2), ..PLAIN });
        assert_eq!(short[5..], [RecordEvent::Rejected(WireError::FASTCGI_BODY_SHORT)]);
        let long = events(bytes, Conduct { body_length: Some(0), ..PLAIN });
        assert_eq!(long[4..], [RecordEvent::Rejected(WireError::FASTCGI_BODY_LONG)]);
        let large = events(bytes, Conduct { max_params_bytes: 1, ..PLAIN });
        assert_eq!(large[2..], [RecordEvent::Rejected(WireError::VARIABLES_TOO_LARGE)]);
    }
}
