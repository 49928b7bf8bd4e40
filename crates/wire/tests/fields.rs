//! The fields that frame a request and decide about its connection: Host, Content-Length,
//! Transfer-Encoding, Connection, Expect, Upgrade.

mod support;

use portico_wire::{Framing, WireError};
use support::{read_head, read_valid_head, with_fields};

#[test]
fn takes_valid_hosts() {
    for host in [
        "",
        "a",
        "a.b.c",
        "a_b",
        "a-b.",
        "127.0.0.1",
        "a:80",
        "a:",
        "a:65535",
        "[::1]",
        "[::1]:8000",
        "[::ffff:127.0.0.1]",
        "%C3%A9",
        "caf%C3%A9.example",
        "a,b",
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(read_valid_head(bytes.as_bytes()).headers[0].1, host);
    }
    read_valid_head(b"GET / HTTP/1.0\r\n\r\n");
}

#[test]
fn rejects_invalid_hosts() {
    for host in [
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "user@a",
        "a:b",
        "a:-1",
        "a:65536",
        "a:80:80",
        ":80",
        "::1",
        "[::1",
        "[::1]80",
        "[]",
        "[a]",
        "[:]",
        "[:::]",
        "[1:2]",
        "[1:2:3:4:5:6:7:8:9]",
        "[12345::]",
        "[::ffff:127.0.0.256]",
        "[::1%25eth0]",
        "a\\b",
        "\"a\"",
        "<a>",
        "a%",
        "a%zz",
        "caf\u{e9}",
        "a\tb",
    ] {
        for version in ["HTTP/1.0", "HTTP/1.1"] {
            let bytes = format!("GET / {version}\r\nHost: {host}\r\n\r\n");
            assert_eq!(read_head(bytes.as_bytes()), Err(WireError::HOST_INVALID), "{host}");
        }
    }
}

#[test]
fn rejects_a_missing_or_repeated_host() {
    let missing = b"GET / HTTP/1.1\r\nX: y\r\n\r\n";
    assert_eq!(read_head(missing), Err(WireError::HOST_MISSING));
    let missing_in_absolute_form = b"GET http://a/ HTTP/1.1\r\n\r\n";
    assert_eq!(read_head(missing_in_absolute_form), Err(WireError::HOST_MISSING));
    assert_eq!(read_head(&with_fields(b"host: a\r\n")), Err(WireError::HOST_REPEATED));
    let repeated_in_1_0 = b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n";
    assert_eq!(read_head(repeated_in_1_0), Err(WireError::HOST_REPEATED));
}

#[test]
fn takes_framings() {
    let cases: &[(&[u8], Framing)] = &[
        (b"", Framing::Empty),
        (b"Content-Length: 0\r\n", Framing::Length(0)),
        (b"Content-Length:5\r\n", Framing::Length(5)),
        (b"CONTENT-LENGTH: \t5\t \r\n", Framing::Length(5)),
        (b"Content-Length: 010\r\n", Framing::Length(10)),
        (b"Content-Length: 9223372036854775808\r\n", Framing::Length(1 << 63)),
        (b"Content-Length: 18446744073709551615\r\n", Framing::Length(u64::MAX)),
        (b"Transfer-Encoding: chunked\r\n", Framing::Chunked),
        (b"transfer-encoding:ChunKed \r\n", Framing::Chunked),
        (b"Content_Length: 5\r\nTransfer_Encoding: chunked\r\n", Framing::Empty),
    ];
    for (fields, framing) in cases {
        let head = read_valid_head(&with_fields(fields));
        assert_eq!(head.framing, *framing, "{}", fields.escape_ascii());
    }
}

#[test]
fn rejects_content_lengths() {
    for value in [
        "",
        "+5",
        "-5",
        "0x5",
        "5_0",
        "5,5",
        "5, 5",
        "5 5",
        "5.0",
        "5;a",
        "\"5\"",
        "five",
        "1e3",
        "18446744073709551616",
        "18446744073709551621",
        "99999999999999999999",
        "000000000000000000005",
        "\u{b2}",
        "\u{665}",
    ] {
        let fields = format!("Content-Length: {value}\r\n");
        let outcome = read_head(&with_fields(fields.as_bytes()));
        assert_eq!(outcome, Err(WireError::CONTENT_LENGTH_INVALID), "{value}");
    }
    let thousands_of_digits = format!("Content-Length: {}\r\n", "1".repeat(4000));
    assert_eq!(read_head(&with_fields(thousands_of_digits.as_bytes())), Err(WireError::CONTENT_LENGTH_INVALID));
}

#[test]
fn rejects_ambiguous_framings() {
    let cases: &[(&[u8], WireError)] = &[
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", WireError::CONTENT_LENGTH_REPEATED),
        (b"Content-Length: 5\r\ncontent-length: 6\r\n", WireError::CONTENT_LENGTH_REPEATED),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", WireError::LENGTH_AND_TRANSFER_ENCODING),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", WireError::LENGTH_AND_TRANSFER_ENCODING),
        (b"Transfer-Encoding: x\r\nContent-Length: 5\r\n", WireError::LENGTH_AND_TRANSFER_ENCODING),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", WireError::TRANSFER_ENCODING_REPEATED),
        (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", WireError::TRANSFER_ENCODING_REPEATED),
        (b"Transfer-Encoding:\r\n", WireError::TRANSFER_ENCODING_INVALID),
        (b"Transfer-Encoding: chunked, chunked\r\n", WireError::TRANSFER_ENCODING_INVALID),
        (b"Transfer-Encoding: ,chunked\r\n", WireError::TRANSFER_ENCODING_INVALID),
        (b"Transfer-Encoding: chunked,\r\n", WireError::TRANSFER_ENCODING_INVALID),
        (b"Transfer-Encoding: \"chunked\"\r\n", WireError::TRANSFER_ENCODING_INVALID),
        (b"Transfer-Encoding: chunked;a=b\r\n", WireError::TRANSFER_ENCODING_INVALID),
        (b"Transfer-Encoding: chunked gzip\r\n", WireError::TRANSFER_ENCODING_INVALID),
        (b"Transfer-Encoding: \xa0chunked\r\n", WireError::TRANSFER_ENCODING_INVALID),
        (b"Transfer-Encoding: \x0bchunked\r\n", WireError::FIELD_VALUE),
        (b"Transfer-Encoding: chunked\0\r\n", WireError::FIELD_VALUE),
        (b"Transfer-Encoding:\r\n chunked\r\n", WireError::LINE_FOLDED),
        (b"Transfer-Encoding : chunked\r\n", WireError::FIELD_NAME),
        (b"Transfer-Encoding: gzip\r\n", WireError::TRANSFER_ENCODING_UNKNOWN),
        (b"Transfer-Encoding: gzip, chunked\r\n", WireError::TRANSFER_ENCODING_UNKNOWN),
        (b"Transfer-Encoding: chunked, identity\r\n", WireError::TRANSFER_ENCODING_UNKNOWN),
        (b"Transfer-Encoding: xchunked\r\n", WireError::TRANSFER_ENCODING_UNKNOWN),
    ];
    for (fields, error) in cases {
        assert_eq!(read_head(&with_fields(fields)), Err(*error), "{}", fields.escape_ascii());
    }
    let in_1_0 = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(read_head(in_1_0), Err(WireError::TRANSFER_ENCODING_IN_1_0));
}

#[test]
fn without_a_length_a_body_is_empty_whatever_the_method_and_the_version() {
    for (line, framing) in [
        ("POST / HTTP/1.0", Framing::Empty),
        ("PUT / HTTP/1.0", Framing::Empty),
        ("PATCH / HTTP/1.0", Framing::Empty),
        ("DELETE / HTTP/1.0", Framing::Empty),
        ("PROPFIND / HTTP/1.0", Framing::Empty),
        ("GET / HTTP/1.0", Framing::Empty),
        ("POST / HTTP/1.0\r\nContent-Length: 0", Framing::Length(0)),
        ("POST / HTTP/1.1", Framing::Empty),
        ("PUT / HTTP/1.1", Framing::Empty),
    ] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n");
        let read = read_head(bytes.as_bytes()).map(|head| head.unwrap().framing);
        assert_eq!(read, Ok(framing), "{line}");
    }
}

#[test]
fn keeps_connections_by_version_and_connection_options() {
    let cases: &[(&str, &str, bool)] = &[
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: keep-alive\r\n", true),
        ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: Close\r\n", false),
        ("HTTP/1.1", "Connection: keep-alive, close\r\n", false),
        ("HTTP/1.1", "Connection: TE,\tclose ,\r\n", false),
        ("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("HTTP/1.1", "Connection: closed\r\n", true),
        ("HTTP/1.1", "Connection:\r\n", true),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: close, keep-alive\r\n", false),
    ];
    for (version, fields, keep_alive) in cases {
        let bytes = format!("GET / {version}\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(read_valid_head(bytes.as_bytes()).keep_alive, *keep_alive, "{bytes:?}");
    }
}

#[test]
fn expects_continue_only_from_1_1_with_a_body() {
    let cases: &[(&str, &str, bool)] = &[
        ("HTTP/1.1", "Expect: 100-Continue\r\nContent-Length: 5\r\n", true),
        ("HTTP/1.1", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", true),
        ("HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", false),
        ("HTTP/1.1", "Expect: 100-continue\r\n", false),
        ("HTTP/1.1", "Content-Length: 5\r\n", false),
        ("HTTP/1.0", "Expect: 100-continue\r\nContent-Length: 5\r\n", false),
    ];
    for (version, fields, expected) in cases {
        let bytes = format!("PATCH / {version}\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(read_valid_head(bytes.as_bytes()).expect_continue, *expected, "{bytes:?}");
    }
    for value in ["", "200-ok", "100-continue, x", "100-continued"] {
        let fields = format!("Expect: {value}\r\n");
        assert_eq!(read_head(&with_fields(fields.as_bytes())), Err(WireError::EXPECTATION), "{value}");
    }
}

#[test]
fn an_upgrade_has_to_be_named_by_connection() {
    let cases: &[(&str, &str, bool)] = &[
        ("HTTP/1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", true),
        ("HTTP/1.1", "Upgrade: websocket\r\n", false),
        ("HTTP/1.1", "Connection: upgrade\r\n", false),
        ("HTTP/1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", false),
    ];
    for (version, fields, expected) in cases {
        let bytes = format!("GET / {version}\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(read_valid_head(bytes.as_bytes()).upgrade, *expected, "{bytes:?}");
    }
}
