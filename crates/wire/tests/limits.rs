//! How far a head may go: up to each limit, and not one byte further.

mod support;

use portico_wire::{Limits, WireError};
use support::{read_head_within, with_fields, with_line};

#[test]
fn a_request_line_may_be_as_long_as_the_limit() {
    let limits = Limits { max_request_line_bytes: 40, ..Limits::default() };
    let line = |length: usize| format!("GET /{} HTTP/1.1", "a".repeat(length - 14));
    let at_limit = with_line(line(40).as_bytes());
    assert!(matches!(read_head_within(&at_limit, &limits), Ok(Some(_))));
    let above = with_line(line(41).as_bytes());
    assert_eq!(read_head_within(&above, &limits), Err(WireError::REQUEST_LINE_TOO_LONG));
    // The line end is not waited for, and what is wrong after the limit is not seen.
    assert_eq!(read_head_within(&above[..42], &limits), Err(WireError::REQUEST_LINE_TOO_LONG));
    let method_alone = [b'A'; 100];
    assert_eq!(read_head_within(&method_alone, &limits), Err(WireError::REQUEST_LINE_TOO_LONG));
    let with_carriage_return = [b"A".repeat(41), b"\rB C\r\n".to_vec()].concat();
    assert_eq!(read_head_within(&with_carriage_return, &limits), Err(WireError::REQUEST_LINE_TOO_LONG));
}

#[test]
fn a_request_line_larger_than_a_head_is_too_long() {
    let limits = Limits { max_head_bytes: 100, ..Limits::default() };
    assert_eq!(read_head_within(&with_line(&b"A".repeat(200)), &limits), Err(WireError::REQUEST_LINE_TOO_LONG));
}

#[test]
fn a_head_may_be_as_large_as_the_limit() {
    let bytes = with_fields(b"X: 0123456789\r\n");
    let limits = |max_head_bytes| Limits { max_head_bytes, ..Limits::default() };
    assert!(matches!(read_head_within(&bytes, &limits(bytes.len())), Ok(Some(_))));
    for max_head_bytes in 30..bytes.len() {
        assert_eq!(
            read_head_within(&bytes, &limits(max_head_bytes)),
            Err(WireError::HEAD_TOO_LARGE),
            "{max_head_bytes}"
        );
    }
    let endless = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'a'; 300]].concat();
    assert_eq!(read_head_within(&endless, &limits(256)), Err(WireError::HEAD_TOO_LARGE));
}

#[test]
fn a_head_may_have_as_many_headers_as_the_limit() {
    for max_headers in [0, 1, 2, 31, 32, 33, 100] {
        let limits = Limits { max_headers, ..Limits::default() };
        let head = |count: usize| {
            let fields: Vec<String> = (0..count).map(|index| format!("X-{index}: {index}\r\n")).collect();
            let fields = fields.concat();
            format!("GET / HTTP/1.0\r\n{fields}\r\n").into_bytes()
        };
        let outcome = read_head_within(&head(max_headers), &limits);
        let headers = outcome.unwrap().unwrap().headers;
        assert_eq!(headers.len(), max_headers);
        for (index, (name, value)) in headers.iter().enumerate() {
            assert_eq!((&**name, &**value), (&*format!("X-{index}"), &*index.to_string()));
        }
        assert_eq!(read_head_within(&head(max_headers + 1), &limits), Err(WireError::TOO_MANY_HEADERS));
    }
}

#[test]
fn a_header_may_be_as_large_as_the_limit() {
    let limits = Limits { max_header_bytes: 20, ..Limits::default() };
    for field in ["X-0: 012345678901234", "X-0:\t0123456789    \t", "X-0123456789012345678:"] {
        let at_limit = with_fields(format!("{}\r\n", &field[..20]).as_bytes());
        let outcome = read_head_within(&at_limit, &limits);
        assert_ne!(outcome, Err(WireError::HEADER_TOO_LARGE), "{field:?}");
        for more in ["5", " ", "\r", "5\0", "5678\n"] {
            let above = with_fields(format!("{}{more}\r\n", &field[..20]).as_bytes());
            assert_eq!(read_head_within(&above, &limits), Err(WireError::HEADER_TOO_LARGE), "{field:?}{more:?}");
        }
    }
    // What is wrong before the limit is seen only with its line, what is wrong in a line before it earlier.
    let wrong_before = with_fields(b"X: \0\r\nX: 012345678901234567890123456789\r\n");
    assert_eq!(read_head_within(&wrong_before, &limits), Err(WireError::FIELD_VALUE));
    let wrong_after = with_fields(b"X: 012345678901234567890123456789\r\nX: \0\r\n");
    assert_eq!(read_head_within(&wrong_after, &limits), Err(WireError::HEADER_TOO_LARGE));
    let endless = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'a'; 300]].concat();
    assert_eq!(read_head_within(&endless, &limits), Err(WireError::HEADER_TOO_LARGE));
}

#[test]
fn limits_may_be_as_large_as_numbers_go() {
    let limits = Limits {
        max_head_bytes: usize::MAX,
        max_headers: usize::MAX,
        max_request_line_bytes: usize::MAX,
        max_header_bytes: usize::MAX,
        max_chunk_extension_bytes: usize::MAX,
        max_trailer_bytes: usize::MAX,
    };
    let fields = b"X:\r\n".repeat(200);
    let head = read_head_within(&with_fields(&fields), &limits).unwrap().unwrap();
    assert_eq!(head.headers.len(), 201);
}
