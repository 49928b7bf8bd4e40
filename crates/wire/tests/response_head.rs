//! Heads of responses beyond the corpus: limits at the limit and one above, reading on, what is kept from head to head.

use portico_wire::{Limits, ResponseBody, ResponseHead, ResponseTo, Version, WireError};

const HEAD: &[u8] = b"HTTP/1.1 200 Fine\r\nContent-Length: 3\r\nX-A: b\r\n\r\n";

fn read_within(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, WireError> {
    ResponseHead::new().read(bytes, ResponseTo::default(), limits)
}

#[test]
fn reads_a_head() {
    let mut head = ResponseHead::new();
    assert_eq!(head.read(HEAD, ResponseTo::default(), &Limits::default()), Ok(Some(HEAD.len())));
    assert_eq!((head.status, head.version, head.reason.of(HEAD)), (200, Version::Http11, &b"Fine"[..]));
    assert_eq!((head.body, head.content_length, head.keep_alive), (ResponseBody::Length(3), Some(3), true));
    assert_eq!(head.headers(HEAD, "x-a").collect::<Vec<_>>(), [&b"b"[..]]);
    assert_eq!(head.headers(HEAD, "x-b").count(), 0);
    assert!(!head.is_interim() && !head.is_upgrade());
}

#[test]
fn a_response_to_head_keeps_its_length() {
    let mut head = ResponseHead::new();
    let to = ResponseTo { is_head: true, ..ResponseTo::default() };
    head.read(HEAD, to, &Limits::default()).unwrap();
    assert_eq!((head.body, head.content_length, head.keep_alive), (ResponseBody::Empty, Some(3), true));
}

#[test]
fn limits_hold_at_the_limit_and_not_above() {
    let line_bytes = b"HTTP/1.1 200 Fine".len();
    let field_bytes = b"Content-Length: 3".len();
    let all = Limits::default();
    for (limits, above) in [
        (Limits { max_head_bytes: HEAD.len(), ..all }, WireError::RESPONSE_HEAD_TOO_LARGE),
        (Limits { max_header_bytes: line_bytes.max(field_bytes), ..all }, WireError::STATUS_LINE_TOO_LONG),
        (Limits { max_headers: 2, ..all }, WireError::TOO_MANY_HEADERS.of_response()),
    ] {
        // At the limit only the head's own end may stand after it.
        assert_eq!(read_within(HEAD, &limits), Ok(Some(HEAD.len())), "{limits:?}");
        let less = Limits {
            max_head_bytes: if limits.max_head_bytes == all.max_head_bytes {
                all.max_head_bytes
            } else {
                HEAD.len() - 1
            },
            max_header_bytes: if limits.max_header_bytes == all.max_header_bytes { all.max_header_bytes } else { 16 },
            max_headers: if limits.max_headers == all.max_headers { all.max_headers } else { 1 },
            ..all
        };
        assert_eq!(read_within(HEAD, &less), Err(above), "{less:?}");
    }
}

#[test]
fn an_incomplete_head_is_read_on_where_it_stopped() {
    let fields: Vec<String> = (0..500).map(|index| format!("X-{index}: {}\r\n", "v".repeat(1_000))).collect();
    let bytes = [b"HTTP/1.1 200 OK\r\n", fields.concat().as_bytes(), b"\r\n"].concat();
    let limits = Limits { max_head_bytes: usize::MAX, max_headers: usize::MAX, ..Limits::default() };
    let to = ResponseTo::default();
    let mut head = ResponseHead::new();
    // From the start each time, these half a million reads would take many minutes.
    for length in 0..bytes.len() {
        assert_eq!(head.read_on(&bytes[..length], to, &limits), Ok(None));
    }
    assert_eq!(head.read_on(&bytes, to, &limits), Ok(Some(bytes.len())));
    let mut at_once = ResponseHead::new();
    at_once.read(&bytes, to, &limits).unwrap();
    assert_eq!(head, at_once);
}

#[test]
fn nothing_is_left_of_a_head_that_was_given_up_or_rejected() {
    let (to, limits) = (ResponseTo::default(), Limits::default());
    let mut fresh = ResponseHead::new();
    fresh.read(HEAD, to, &limits).unwrap();
    for given_up in
        [&b"HTTP/1.0 404 No\r\nConnection: close\r\nX"[..], b"HTTP/1.", b"nonsense", b"HTTP/1.1 204 x\r\nX y\r\n"]
    {
        let mut head = ResponseHead::new();
        let _ = head.read(given_up, to, &limits);
        assert_eq!(head.read(HEAD, to, &limits), Ok(Some(HEAD.len())));
        assert_eq!(head, fresh);
    }
}

#[test]
fn every_error_is_a_bad_gateway() {
    for bytes in [&b"HTTX"[..], b"HTTP/2.0 200 OK\r\n", b"HTTP/1.1 200 OK\n", b"HTTP/1.1 200 OK\r\n: x\r\n"] {
        assert_eq!(read_within(bytes, &Limits::default()).unwrap_err().status, 502);
    }
}
