//! Responses of FastCGI servers to requests of ours: whole, split at random and byte by byte the same as a plain reading of
//! the records; an error stays; and the head of CGI in them becomes one of HTTP that says the same.

use crate::input::FuzzInput;
use crate::records::split;
use portico_wire::{
    CgiHead, FastCgiEnd, FastCgiResponseReader, FastCgiResponseStep, FastCgiStream, Limits, ResponseBody, ResponseHead,
    ResponseTo, WireError, is_hop_by_hop,
};

const ID: u16 = 1;

/// What a response came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Exchanged {
    /// Both streams.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// How it has ended, with the bytes up to there; none if it has not.
    end: Option<Result<(FastCgiEnd, usize), WireError>>,
}

/// Takes the message for all that a server sends on a connection.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let whole = read([input.message].into_iter());
    assert_eq!(whole, plainly(input.message), "not what the records say");
    assert_eq!(read(input.random().pieces(input.message).into_iter()), whole, "split at random");
    if input.message.len() <= 600 {
        assert_eq!(read(input.message.chunks(1)), whole, "byte by byte");
    }
    check_head(&input, &whole.stdout);
    // Most messages are no records: so their bytes are a response, too.
    check_head(&input, input.message);
}

/// Reads pieces as they come.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Exchanged {
    let mut reader = FastCgiResponseReader::new(ID);
    let (mut exchanged, mut buffer, mut used) = (Exchanged::default(), Vec::new(), 0);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let step = match reader.read(&buffer) {
                Ok(step) => step,
                Err(error) => {
                    assert_eq!((error.status, reader.read(b"")), (502, Err(error)), "an error stays");
                    exchanged.end = Some(Err(error));
                    return exchanged;
                }
            };
            let consumed = match step {
                FastCgiResponseStep::NeedMore { consumed } => {
                    assert!(buffer.len() - consumed < 300, "much is left to be read again");
                    buffer.drain(..consumed);
                    used += consumed;
                    break;
                }
                FastCgiResponseStep::Data { consumed, stream, data } => {
                    assert!(!data.is_empty() && data.end == consumed);
                    let is_response = stream == FastCgiStream::Stdout;
                    let stream = if is_response { &mut exchanged.stdout } else { &mut exchanged.stderr };
                    stream.extend_from_slice(&buffer[data]);
                    consumed
                }
                FastCgiResponseStep::End { consumed, end } => {
                    exchanged.end = Some(Ok((end, used + consumed)));
                    return exchanged;
                }
            };
            buffer.drain(..consumed);
            used += consumed;
        }
    }
    exchanged
}

/// The same by a plain reading of FastCGI 1.0, 3.3 and 5.
fn plainly(bytes: &[u8]) -> Exchanged {
    let (records, rest) = split(bytes);
    let (mut exchanged, mut has_ended, mut used) = (Exchanged::default(), [false; 2], 0);
    for record in records {
        let padding = usize::from(bytes[used + 6]);
        used += 8 + record.length + padding;
        let is_ours = record.id == ID;
        let error = match record.kind {
            3 | 6 | 7 if !is_ours => Some(WireError::RECORD_REQUEST),
            kind @ (6 | 7) => {
                let ended = &mut has_ended[usize::from(kind == 7)];
                let goes_on = *ended && record.length > 0;
                *ended |= record.length == 0;
                if goes_on {
                    Some(WireError::RECORD_STREAM)
                } else {
                    let stream = if kind == 6 { &mut exchanged.stdout } else { &mut exchanged.stderr };
                    stream.extend_from_slice(record.content);
                    None
                }
            }
            3 if record.length != 8 => Some(WireError::RECORD_END),
            3 if !record.is_complete => return exchanged,
            3 => {
                let app_status = u32::from_be_bytes(record.content[..4].try_into().expect("four bytes"));
                let end = match record.content[4] {
                    0 => FastCgiEnd::Complete { app_status },
                    1 => FastCgiEnd::CannotMultiplex,
                    2 => FastCgiEnd::Overloaded,
                    3 => FastCgiEnd::UnknownRole,
                    _ => {
                        exchanged.end = Some(Err(WireError::RECORD_END));
                        return exchanged;
                    }
                };
                exchanged.end = Some(Ok((end, used)));
                return exchanged;
            }
            10 | 11 if record.id == 0 => None,
            _ => Some(WireError::RECORD_TYPE),
        };
        if let Some(error) = error {
            exchanged.end = Some(Err(error));
            return exchanged;
        }
    }
    if rest.is_err() {
        exchanged.end = Some(Err(WireError::FASTCGI_VERSION.of_response()));
    }
    exchanged
}

/// Takes `bytes` for a head of CGI with a body behind it.
fn check_head(input: &FuzzInput<'_>, bytes: &[u8]) {
    let limits = input.limits();
    let mut head = CgiHead::default();
    let whole = head.read_on(bytes, &limits);
    let (mut pieced, mut come) = (CgiHead::default(), 0);
    let mut outcome = Ok(None);
    for piece in input.random().pieces(bytes) {
        come += piece.len();
        outcome = pieced.read_on(&bytes[..come], &limits);
        if outcome != Ok(None) {
            break;
        }
    }
    // Where lines are too large, how many of them are read before that is noticed is open.
    assert_eq!(outcome.is_err(), whole.is_err(), "{outcome:?}, {whole:?}");
    let Ok(Some(length)) = whole else { return };
    assert_eq!((outcome, pieced.http()), (whole, head.http()));
    assert!(length <= limits.max_head_bytes && length <= bytes.len());

    let lines: Vec<&[u8]> = bytes[..length].split(|byte| *byte == b'\n').collect();
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    assert_eq!(lines[lines.len() - 2..], [b"", b""], "the head ends at its first empty line");
    let fields: Vec<(Vec<u8>, &[u8])> = lines[..lines.len() - 2]
        .iter()
        .map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').expect("a colon in a field line");
            (line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii())
        })
        .collect();
    let named = |name: &str| -> Vec<&[u8]> {
        fields.iter().filter(|field| field.0 == name.as_bytes()).map(|field| field.1).collect()
    };
    let mut http = ResponseHead::new();
    let wide = Limits { max_head_bytes: usize::MAX, max_header_bytes: usize::MAX / 4, ..limits };
    let Ok(read) = http.read(head.http(), ResponseTo::default(), &wide) else { return };
    assert_eq!(read, Some(head.http().len()), "not one head");
    let has_location = named("location").iter().any(|value| !value.is_empty());
    match named("status")[..] {
        [] => assert_eq!(http.status, if has_location { 302 } else { 200 }),
        [status] => assert_eq!(&status[..3], http.status.to_string().as_bytes()),
        _ => panic!("a status that is given more than once"),
    }
    assert!((200..600).contains(&http.status) && http.body != ResponseBody::Chunked);
    // Upgrade is for who passes the response on: one with 426 has to have it.
    let is_kept = |name: &[u8]| name == b"upgrade" || (name != b"status" && !is_hop_by_hop(name));
    let kept: Vec<(Vec<u8>, &[u8])> = fields.iter().filter(|field| is_kept(&field.0)).cloned().collect();
    let found: Vec<(Vec<u8>, &[u8])> = http
        .headers
        .iter()
        .map(|field| (field.name.of(head.http()).to_ascii_lowercase(), field.value.of(head.http())))
        .collect();
    assert_eq!(kept, found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readings_know_a_response() {
        let bytes = b"\x01\x06\0\x01\0\x09\x01\0X: y\r\n\r\nz.\x01\x03\0\x01\0\x08\0\0\0\0\0\x02\0\0\0\0+";
        let end = Some(Ok((FastCgiEnd::Complete { app_status: 2 }, 34)));
        let expected = Exchanged { stdout: b"X: y\r\n\r\nz".to_vec(), stderr: Vec::new(), end };
        assert_eq!(read([&bytes[..]].into_iter()), expected);
        assert_eq!(plainly(bytes), expected);
        check(&[&bytes[..], &[0; 8]].concat());
    }
}
