//! Request heads: their parts, and the syntax of field lines.

mod support;

use portico_wire::{Framing, Limits, RequestHead, Span, TargetForm, Version, WireError, read_field_lines};
use support::{ReadHead, read_head, with_fields};

#[test]
fn reads_every_part_of_a_head() {
    let bytes = b"POST /a%2Fb//c?d=e&f=? HTTP/1.1\r\nHost: example.org:8000\r\nX-Empty:\r\n\
        x-padded: \t value \t\r\nX-Latin: caf\xe9\r\nContent-Length: 5\r\n\r\n";
    let expected = ReadHead {
        length: bytes.len(),
        method: "POST".into(),
        target: "/a%2Fb//c?d=e&f=?".into(),
        form: TargetForm::Origin,
        path: "/a%2Fb//c".into(),
        query: "d=e&f=?".into(),
        authority: String::new(),
        scheme: String::new(),
        version: Version::Http11,
        headers: [
            ("Host", "example.org:8000"),
            ("X-Empty", ""),
            ("x-padded", "value"),
            ("X-Latin", "caf\u{e9}"),
            ("Content-Length", "5"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        framing: Framing::Length(5),
        keep_alive: true,
        expect_continue: false,
        is_head: false,
        upgrade: false,
    };
    assert_eq!(read_head(bytes), Ok(Some(expected)));
}

#[test]
fn reading_again_forgets_the_head_before() {
    let mut head = RequestHead::new();
    let first = b"HEAD http://a/b?c HTTP/1.1\r\nHost: a\r\nX: y\r\nConnection: close\r\nContent-Length: 1\r\n\r\n";
    let second = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(head.read(first, &Limits::default()), Ok(Some(first.len())));
    let capacity = head.headers.capacity();
    assert_eq!(head.read(second, &Limits::default()), Ok(Some(second.len())));
    assert_eq!(head.headers.capacity(), capacity);
    let mut fresh = RequestHead::new();
    assert_eq!(fresh.read(second, &Limits::default()), Ok(Some(second.len())));
    assert_eq!(head, fresh);
}

#[test]
fn finds_the_first_header_of_a_name_in_any_case() {
    let bytes = with_fields(b"X-Trace: 1\r\nx-trace: 2\r\n");
    let mut head = RequestHead::new();
    head.read(&bytes, &Limits::default()).unwrap();
    assert_eq!(head.header(&bytes, "X-TRACE"), Some(&b"1"[..]));
    assert_eq!(head.header(&bytes, "x-trac"), None);
}

#[test]
fn a_span_outside_the_bytes_is_empty() {
    assert_eq!(Span { start: 2, end: 4 }.of(b"abc"), b"");
    assert_eq!(Span { start: 3, end: 1 }.of(b"abc"), b"");
    assert_eq!(Span { start: 3, end: 1 }.len(), 0);
    assert!(Span { start: 3, end: 1 }.is_empty());
    assert_eq!(Span { start: 1, end: 3 }.of(b"abc"), b"bc");
    assert_eq!(Span { start: 1, end: 3 }.len(), 2);
}

#[test]
fn an_incomplete_head_needs_more_data() {
    for bytes in [
        &b""[..],
        b"\r",
        b"\r\n",
        b"\r\n\r\n",
        b"GET",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r",
    ] {
        assert_eq!(read_head(bytes), Ok(None), "{}", bytes.escape_ascii());
    }
}

#[test]
fn rejects_malformed_field_lines() {
    let cases: &[(&[u8], WireError)] = &[
        (b"X : a\r\n", WireError::FIELD_NAME),
        (b"X\t: a\r\n", WireError::FIELD_NAME),
        (b": a\r\n", WireError::FIELD_NAME),
        (b"X\r\n", WireError::FIELD_NAME),
        (b" X: a\r\n", WireError::LINE_FOLDED),
        (b"X: a\r\n b\r\n", WireError::LINE_FOLDED),
        (b"X: a\r\n\tb\r\n", WireError::LINE_FOLDED),
        (b"X:\r\n b\r\n", WireError::LINE_FOLDED),
        (b"X Y: a\r\n", WireError::FIELD_NAME),
        (b"X\0: a\r\n", WireError::FIELD_NAME),
        (b"X\xe9: a\r\n", WireError::FIELD_NAME),
        (b"X(: a\r\n", WireError::FIELD_NAME),
        (b"X: a\0b\r\n", WireError::FIELD_VALUE),
        (b"X: a\x0bb\r\n", WireError::FIELD_VALUE),
        (b"X: a\x7fb\r\n", WireError::FIELD_VALUE),
        (b"X: 0123456789012345678901234567890123456789\x7f0123456789\r\n", WireError::FIELD_VALUE),
        (b"X: 0123456789012345678901234567890123456789\x010123456789\r\n", WireError::FIELD_VALUE),
        (b"X: 012345678901234567890123456789\x80\xff\x7f\r\n", WireError::FIELD_VALUE),
        (b"X: \x00123456789012345678901234567890123456789\r\n", WireError::FIELD_VALUE),
        (b"X: a\x1b[31m\r\n", WireError::FIELD_VALUE),
        (b"X: a\rb\r\n", WireError::FIELD_VALUE),
        (b"X: a\r\r\n", WireError::FIELD_VALUE),
        (b"X:\rb\r\n", WireError::FIELD_VALUE),
        (b"X: a\nY: b\r\n", WireError::LINE_END),
        (b"X:\nY: b\r\n", WireError::LINE_END),
        (b"X: a\n", WireError::LINE_END),
    ];
    for (fields, error) in cases {
        assert_eq!(read_head(&with_fields(fields)), Err(*error), "{}", fields.escape_ascii());
    }
}

#[test]
fn rejects_line_ends_other_than_crlf_around_the_fields() {
    for bytes in [
        &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\n",
        b"GET / HTTP/1.0\r\n\n",
        b"GET\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\n",
    ] {
        assert_eq!(read_head(bytes), Err(WireError::LINE_END), "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_incomplete_head_is_read_on_where_it_stopped() {
    let fields: Vec<String> = (0..2_000).map(|index| format!("X-{index}: {}\r\n", "v".repeat(1_000))).collect();
    let bytes = with_fields(fields.concat().as_bytes());
    let limits = Limits { max_head_bytes: usize::MAX, max_headers: usize::MAX, ..Limits::default() };
    let mut head = RequestHead::new();
    // Two million reads: from the start each time, this would be a matter of hours.
    for length in 0..bytes.len() {
        assert_eq!(head.read_on(&bytes[..length], &limits), Ok(None));
    }
    assert_eq!(head.read_on(&bytes, &limits), Ok(Some(bytes.len())));
    assert_eq!(head.headers.len(), 2_001);
    let mut at_once = RequestHead::new();
    at_once.read(&bytes, &limits).unwrap();
    assert_eq!(head, at_once);
}

#[test]
fn an_incomplete_head_can_be_given_up() {
    let limits = Limits::default();
    let other = b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut fresh = RequestHead::new();
    fresh.read(other, &limits).unwrap();
    for given_up in [&b"POST / HTTP/1.1\r\nHost: a\r\nContent-Le"[..], b"POST / HTT", b"PO", b"\r\n"] {
        let mut head = RequestHead::new();
        assert_eq!(head.read(given_up, &limits), Ok(None));
        assert_eq!(head.read(other, &limits), Ok(Some(other.len())));
        assert_eq!(head, fresh);
        // Fewer bytes than before cannot be the same ones and more.
        assert_eq!(head.read_on(&[given_up, &[b'a'; 100]].concat(), &limits), Ok(None));
        assert_eq!(head.read_on(other, &limits), Ok(Some(other.len())));
        assert_eq!(head, fresh);
    }
}

#[test]
fn nothing_is_left_of_a_head_that_was_rejected() {
    let limits = Limits { max_head_bytes: 60, ..Limits::default() };
    let next = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let other = [&next[..], &[b'a'; 300]].concat();
    for rejected in [b"GET / HTTP/1.1\r\nX: ".to_vec(), b"POST".to_vec(), b"GET / HTTP/1.1\r\nX y: ".to_vec()] {
        let mut head = RequestHead::new();
        assert_eq!(head.read(&rejected, &limits), Ok(None));
        let whole = [rejected, b"a".repeat(100), b"\r\n".to_vec()].concat();
        assert!(head.read_on(&whole, &limits).is_err());
        assert_eq!(head.read_on(&other, &limits), Ok(Some(next.len())));
    }
}

#[test]
fn memory_for_very_many_headers_is_not_kept() {
    let limits = Limits { max_headers: 10_000, ..Limits::default() };
    let mut head = RequestHead::new();
    head.read(&with_fields(&b"X:\r\n".repeat(5_000)), &limits).unwrap();
    assert_eq!(head.headers.len(), 5_001);
    head.read(&with_fields(b""), &limits).unwrap();
    assert!(head.headers.capacity() < 100);
}

#[test]
fn errors_carry_the_status_of_their_response() {
    for (error, status) in [
        (WireError::METHOD, 400),
        (WireError::FORWARDED, 400),
        (WireError::METHOD_NOT_ALLOWED, 405),
        (WireError::REQUEST_TIMEOUT_HEAD, 408),
        (WireError::REQUEST_TIMEOUT_BODY, 408),
        (WireError::BODY_TOO_LARGE, 413),
        (WireError::REQUEST_LINE_TOO_LONG, 414),
        (WireError::EXPECTATION, 417),
        (WireError::MISDIRECTED, 421),
        (WireError::HEAD_TOO_LARGE, 431),
        (WireError::TOO_MANY_HEADERS, 431),
        (WireError::TRANSFER_ENCODING_UNKNOWN, 501),
        (WireError::VERSION_UNSUPPORTED, 505),
        (WireError::TEMPORARY_SPACE, 507),
    ] {
        assert_eq!(error.status, status, "{error}");
        assert_eq!(error.to_string(), format!("{} ({status})", error.reason));
    }
}

#[test]
fn reads_field_lines_without_a_request_line() {
    let lines = b"A: 1 \r\nb:\r\n";
    let headers = read_field_lines(lines).unwrap();
    let read: Vec<_> = headers.iter().map(|header| (header.name.of(lines), header.value.of(lines))).collect();
    assert_eq!(read, [(&b"A"[..], &b"1"[..]), (b"b", b"")]);
    assert_eq!(read_field_lines(b""), Ok(Vec::new()));
    for (lines, error) in [
        (&b"A: 1"[..], WireError::LINE_END),
        (b"A: 1\n", WireError::LINE_END),
        (b"A : 1\r\n", WireError::FIELD_NAME),
        (b"A: 1\r\n b\r\n", WireError::LINE_FOLDED),
        (b"A: \0\r\n", WireError::FIELD_VALUE),
    ] {
        assert_eq!(read_field_lines(lines), Err(error));
    }
}
