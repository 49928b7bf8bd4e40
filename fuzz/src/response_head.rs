//! Heads of responses: whatever a server sends, an error or heads that are what their bytes say, the same in every way the
//! bytes may arrive; and a body that ends where a second reading says.

use crate::input::FuzzInput;
use crate::reference::{Chunked, is_tchar, is_text, read_chunked, without_blanks};
use portico_wire::{BodyDecoder, BodyStep, Limits, ResponseBody, ResponseHead, ResponseTo, Span, Version, WireError};

/// Up to this many bytes every split is tried, beyond it some.
const EVERY_SPLIT_BYTES: usize = 96;
/// How many splits are tried of a longer input.
const SOME_SPLITS: usize = 12;

type Outcome = Result<Option<(usize, ResponseHead)>, WireError>;

/// Takes the message for what a server sends in response to a request that is chosen.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let (bytes, limits) = (input.message, input.limits());
    let to = ResponseTo { is_head: input.choices & 0x20 != 0, upgrade: input.choices & 4 != 0 };
    let whole = read(&mut ResponseHead::new(), bytes, to, &limits);
    check_splits(&input, to, &whole);
    if let Ok(Some((length, head))) = &whole {
        check_lines(head, &bytes[..*length], &limits);
        check_framing(head, bytes, to);
        check_body(head, &bytes[*length..]);
    }
}

fn read(head: &mut ResponseHead, bytes: &[u8], to: ResponseTo, limits: &Limits) -> Outcome {
    let length = head.read(bytes, to, limits);
    observe(head, bytes, length)
}

fn read_on(head: &mut ResponseHead, bytes: &[u8], to: ResponseTo, limits: &Limits) -> Outcome {
    let length = head.read_on(bytes, to, limits);
    observe(head, bytes, length)
}

fn observe(head: &ResponseHead, bytes: &[u8], length: Result<Option<usize>, WireError>) -> Outcome {
    let length = length.inspect_err(|error| assert_eq!(error.status, 502, "{error}"))?;
    Ok(length.map(|length| {
        assert!(length <= bytes.len());
        let is_within = |span: Span| span.start <= span.end && span.end as usize <= length;
        assert!(is_within(head.reason));
        assert!(head.headers.iter().all(|header| is_within(header.name) && is_within(header.value)));
        (length, head.clone())
    }))
}

fn check_splits(input: &FuzzInput<'_>, to: ResponseTo, whole: &Outcome) {
    let (bytes, limits) = (input.message, input.limits());
    let mut random = input.random();
    let mut splits: Vec<usize> = if bytes.len() <= EVERY_SPLIT_BYTES {
        (0..bytes.len()).collect()
    } else {
        (0..SOME_SPLITS).map(|_| random.below(bytes.len())).collect()
    };
    splits.sort_unstable();
    let mut used = ResponseHead::new();
    let mut is_decided = false;
    for split in splits {
        let outcome = read_on(&mut used, &bytes[..split], to, &limits);
        let afresh = read(&mut ResponseHead::new(), &bytes[..split], to, &limits);
        assert_eq!(outcome, afresh, "read on, or from the start");
        if outcome == Ok(None) {
            assert!(!is_decided, "{split} bytes ask for more, fewer did not");
        } else {
            assert_eq!(outcome, *whole, "{split} bytes are read unlike {}", bytes.len());
            is_decided = true;
        }
        if let Ok(Some((length, _))) = whole {
            assert_eq!(outcome == Ok(None), split < *length, "a head of {length} bytes, split at {split}");
        }
    }
    if *whole != Ok(None) {
        let followed = [bytes, &b"\r\nHTTP/1.1 200 OK\r\n\0\xff"[random.below(20)..]].concat();
        assert_eq!(read(&mut used, &followed, to, &limits), *whole, "what follows changes the head");
    }
}

/// Holds the parts of a head against its bytes, taken apart by other means.
fn check_lines(head: &ResponseHead, bytes: &[u8], limits: &Limits) {
    assert!(bytes.len() <= limits.max_head_bytes && head.headers.len() <= limits.max_headers);
    let content = bytes.strip_suffix(b"\r\n\r\n").expect("an empty line at the end");
    let mut lines = content.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status_line = lines.next().expect("a status line");
    assert!(status_line.len() <= limits.max_header_bytes);
    match &status_line[..9] {
        b"HTTP/1.0 " => assert_eq!(head.version, Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9', b' '] => assert_eq!(head.version, Version::Http11),
        other => panic!("the version {}", other.escape_ascii()),
    }
    assert_eq!(&status_line[9..12], head.status.to_string().as_bytes());
    assert!((100..600).contains(&head.status));
    assert_eq!(status_line.get(13..).unwrap_or_default(), head.reason.of(bytes));
    assert!(status_line.iter().all(|&byte| is_text(byte)) && matches!(status_line.get(12), None | Some(b' ')));

    let mut fields = head.headers.iter();
    for line in lines {
        let header = fields.next().expect("a field for every line");
        assert!(line.len() <= limits.max_header_bytes && line.iter().all(|&byte| is_text(byte)));
        let colon = line.iter().position(|&byte| byte == b':').expect("a colon in a field line");
        assert!(colon > 0 && line[..colon].iter().all(|&byte| is_tchar(byte)));
        assert_eq!(header.name.of(bytes), &line[..colon]);
        assert_eq!(header.value.of(bytes), without_blanks(&line[colon + 1..]));
    }
    assert_eq!(fields.next(), None, "fields and lines are as many");
}

/// Where the body ends and whether the connection is kept, by RFC 9112 6.3 and 9.3 and the narrowings of portico.
fn check_framing(head: &ResponseHead, bytes: &[u8], to: ResponseTo) {
    let all = |name: &str| -> Vec<&[u8]> {
        let named = head.headers.iter().filter(|header| header.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()));
        named.map(|header| header.value.of(bytes)).collect()
    };
    let announced = match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => ResponseBody::UntilClose,
        ([length], []) => {
            assert!(!length.is_empty() && length.iter().all(u8::is_ascii_digit));
            ResponseBody::Length(std::str::from_utf8(length).unwrap().parse().expect("a length of 64 bits"))
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked") && head.version == Version::Http11);
            ResponseBody::Chunked
        }
        both => panic!("framing said more than once: {both:?}"),
    };
    let has_none = head.status < 200 || matches!(head.status, 204 | 304) || to.is_head;
    assert_eq!(head.body, if has_none { ResponseBody::Empty } else { announced });
    let says_nothing = matches!(announced, ResponseBody::UntilClose | ResponseBody::Length(0));
    assert!(says_nothing || !(head.status < 200 || head.status == 204), "a body where there is none");
    let length = if let ResponseBody::Length(length) = announced { Some(length) } else { None };
    assert_eq!(head.content_length, length);

    let options: Vec<Vec<u8>> = all("connection")
        .iter()
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|option| without_blanks(option).to_ascii_lowercase())
        .collect();
    let says = |option: &[u8]| options.iter().any(|known| known == option);
    let is_asked = !says(b"close") && (head.version == Version::Http11 || says(b"keep-alive"));
    assert_eq!(head.keep_alive, is_asked && head.body != ResponseBody::UntilClose && head.status != 101);
    if head.status == 101 {
        assert!(to.upgrade && says(b"upgrade") && all("upgrade").iter().any(|value| !value.is_empty()));
    }
    assert_eq!(head.is_interim(), head.status < 200 && head.status != 101);
}

/// The bytes after the head, decoded and read a second time.
fn check_body(head: &ResponseHead, rest: &[u8]) {
    let mut decoder = BodyDecoder::of_response(head.body);
    let (mut data, mut start) = (Vec::new(), 0);
    let ended = loop {
        match decoder.decode(&rest[start..], &Limits::default()) {
            Ok(BodyStep::Data { consumed, data: range }) => {
                data.extend_from_slice(&rest[start..][range]);
                start += consumed;
            }
            Ok(BodyStep::NeedMore { consumed }) => {
                start += consumed;
                break Ok(false);
            }
            Ok(BodyStep::End { consumed }) => {
                start += consumed;
                break Ok(true);
            }
            Err(error) => break Err(error),
        }
    };
    let shorter = |length: u64| usize::try_from(length).map_or(rest.len(), |length| length.min(rest.len()));
    match head.body {
        ResponseBody::Empty => assert_eq!((ended, start), (Ok(true), 0)),
        ResponseBody::Length(length) => {
            assert_eq!((ended, start), (Ok(length <= rest.len() as u64), shorter(length)));
            assert_eq!(data, rest[..start]);
        }
        ResponseBody::UntilClose => {
            assert_eq!((ended, &data[..]), (Ok(false), rest));
            assert!(decoder.may_end_with_connection());
        }
        ResponseBody::Chunked => match read_chunked(rest) {
            Chunked::Complete { data: expected, length } => {
                // Beyond our limits there is an error.
                assert!(ended.is_err() || (ended, start, data) == (Ok(true), length, expected));
            }
            Chunked::Incomplete { .. } => assert_ne!(ended, Ok(true)),
            Chunked::Malformed => assert!(ended.is_err()),
        },
    }
    assert_eq!(
        ended.is_ok() && decoder.may_end_with_connection(),
        ended == Ok(true) || head.body == ResponseBody::UntilClose
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = b"HTTP/1.1 200 Fine\r\nContent-Length: 3\r\nX-A: b\r\n\r\n";

    fn check_all(head: &ResponseHead) {
        check_lines(head, BYTES, &Limits::default());
        check_framing(head, BYTES, ResponseTo::default());
        check_body(head, b"abcdef");
    }

    fn head() -> ResponseHead {
        let mut head = ResponseHead::new();
        head.read(BYTES, ResponseTo::default(), &Limits::default()).unwrap();
        head
    }

    #[test]
    fn a_true_head_passes() {
        check_all(&head());
    }

    /// Each of these is what a wrong reader might say.
    #[test]
    fn a_false_head_is_noticed() {
        type Falsify = fn(&mut ResponseHead);
        let falsify: [(&str, Falsify); 8] = [
            ("status", |head| head.status = 201),
            ("status without a body", |head| head.status = 304),
            ("reason", |head| head.reason.end -= 1),
            ("version", |head| head.version = Version::Http10),
            ("length", |head| head.body = ResponseBody::Length(4)),
            ("content length", |head| head.content_length = None),
            ("keep-alive", |head| head.keep_alive = false),
            ("header lost", |head| head.headers.truncate(1)),
        ];
        for (what, falsify) in falsify {
            let mut head = head();
            falsify(&mut head);
            assert!(std::panic::catch_unwind(|| check_all(&head)).is_err(), "a wrong {what} was not noticed");
        }
    }
}
