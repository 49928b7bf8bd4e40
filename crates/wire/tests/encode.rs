//! Responses: how they are framed, and their bytes.

use portico_wire::{
    CONTINUE, CRLF, LAST_CHUNK, ResponseBody, ResponsePlan, ResponseProperties, Version, plan_response,
    write_chunk_size, write_content_length, write_header, write_status_line,
};

const PROPERTIES: ResponseProperties = ResponseProperties {
    version: Version::Http11,
    is_head: false,
    status: 200,
    content_length: None,
    known_length: None,
    keep_alive: true,
};

const PLAN: ResponsePlan = ResponsePlan {
    body: ResponseBody::Empty,
    keep_alive: true,
    add_content_length: None,
    add_chunked: false,
    connection: None,
    drop_content_length: false,
};

/// Plans for properties, with the behaviour each shows.
type Cases<'a> = &'a [(&'a str, ResponseProperties, ResponsePlan)];

fn check(cases: Cases<'_>) {
    for (behaviour, properties, plan) in cases {
        assert_eq!(plan_response(properties), *plan, "{behaviour}");
    }
}

#[test]
fn plans_responses_with_a_body() {
    check(&[
        (
            "the application's length goes before the one the server knows",
            ResponseProperties { content_length: Some(5), known_length: Some(6), ..PROPERTIES },
            ResponsePlan { body: ResponseBody::Length(5), ..PLAN },
        ),
        (
            "a known length is added",
            ResponseProperties { known_length: Some(6), ..PROPERTIES },
            ResponsePlan { body: ResponseBody::Length(6), add_content_length: Some(6), ..PLAN },
        ),
        (
            "a known length of nothing is added",
            ResponseProperties { known_length: Some(0), ..PROPERTIES },
            ResponsePlan { body: ResponseBody::Length(0), add_content_length: Some(0), ..PLAN },
        ),
        (
            "an unknown length is chunked",
            PROPERTIES,
            ResponsePlan { body: ResponseBody::Chunked, add_chunked: true, ..PLAN },
        ),
        (
            "a closing connection can be chunked too",
            ResponseProperties { keep_alive: false, ..PROPERTIES },
            ResponsePlan {
                body: ResponseBody::Chunked,
                add_chunked: true,
                keep_alive: false,
                connection: Some("close"),
                ..PLAN
            },
        ),
    ]);
}

#[test]
fn plans_responses_to_http_1_0() {
    check(&[
        (
            "an unknown length closes HTTP/1.0",
            ResponseProperties { version: Version::Http10, ..PROPERTIES },
            ResponsePlan { body: ResponseBody::UntilClose, keep_alive: false, connection: Some("close"), ..PLAN },
        ),
        (
            "a length keeps HTTP/1.0 alive",
            ResponseProperties { version: Version::Http10, content_length: Some(5), ..PROPERTIES },
            ResponsePlan { body: ResponseBody::Length(5), connection: Some("keep-alive"), ..PLAN },
        ),
        (
            "HTTP/1.0 closes unless asked",
            ResponseProperties { version: Version::Http10, content_length: Some(5), keep_alive: false, ..PROPERTIES },
            ResponsePlan { body: ResponseBody::Length(5), keep_alive: false, connection: Some("close"), ..PLAN },
        ),
    ]);
}

#[test]
fn plans_responses_to_head() {
    check(&[
        (
            "HEAD keeps the application's length",
            ResponseProperties { is_head: true, content_length: Some(5), known_length: Some(6), ..PROPERTIES },
            PLAN,
        ),
        (
            "HEAD gets a known length",
            ResponseProperties { is_head: true, known_length: Some(6), ..PROPERTIES },
            ResponsePlan { add_content_length: Some(6), ..PLAN },
        ),
        (
            "HEAD does not get the length of the body that was left out",
            ResponseProperties { is_head: true, known_length: Some(0), ..PROPERTIES },
            PLAN,
        ),
        (
            "HEAD without a length keeps even HTTP/1.0 alive",
            ResponseProperties { is_head: true, version: Version::Http10, ..PROPERTIES },
            ResponsePlan { connection: Some("keep-alive"), ..PLAN },
        ),
    ]);
}

#[test]
fn plans_responses_with_a_status_that_has_no_body() {
    check(&[
        (
            "304 keeps the application's length",
            ResponseProperties { status: 304, content_length: Some(5), ..PROPERTIES },
            PLAN,
        ),
        ("304 gets no length", ResponseProperties { status: 304, known_length: Some(0), ..PROPERTIES }, PLAN),
        (
            "204 loses its length",
            ResponseProperties { status: 204, content_length: Some(0), ..PROPERTIES },
            ResponsePlan { drop_content_length: true, ..PLAN },
        ),
        (
            "204 gets no length, and HEAD changes nothing",
            ResponseProperties { status: 204, is_head: true, known_length: Some(6), ..PROPERTIES },
            ResponsePlan { drop_content_length: true, ..PLAN },
        ),
        (
            "1xx loses its length",
            ResponseProperties { status: 101, content_length: Some(5), known_length: Some(5), ..PROPERTIES },
            ResponsePlan { drop_content_length: true, ..PLAN },
        ),
    ]);
}

#[test]
fn writes_a_response() {
    let mut out = Vec::new();
    write_status_line(&mut out, b"200 OK");
    write_header(&mut out, b"X-Empty", b"");
    write_header(&mut out, b"Server", b"portico");
    write_content_length(&mut out, u64::MAX);
    out.extend_from_slice(CRLF);
    assert_eq!(
        out.escape_ascii().to_string(),
        b"HTTP/1.1 200 OK\r\nX-Empty: \r\nServer: portico\r\nContent-Length: 18446744073709551615\r\n\r\n"
            .escape_ascii()
            .to_string()
    );
}

#[test]
fn writes_chunk_sizes_in_hexadecimal() {
    for size in [0, 1, 9, 10, 15, 16, 255, 256, 4095, 65536, 0xdead_beef, usize::MAX] {
        let mut out = Vec::new();
        write_chunk_size(&mut out, size);
        assert_eq!(out, format!("{size:x}\r\n").as_bytes());
    }
}

#[test]
fn constants_are_whole_messages() {
    assert_eq!(LAST_CHUNK, b"0\r\n\r\n");
    assert!(CONTINUE.ends_with(b"\r\n\r\n"));
}
