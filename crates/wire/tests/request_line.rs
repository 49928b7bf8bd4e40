//! Request lines: methods, targets and versions; what is taken, and what is rejected with which status.

mod support;

use portico_wire::{TargetForm, Version, WireError};
use support::{read_head, read_valid_head, with_line};

#[test]
fn takes_targets_of_every_form() {
    use TargetForm::{Absolute, Asterisk, Origin};
    // line; form, path, query, authority, scheme
    let cases: &[(&str, TargetForm, [&str; 4])] = &[
        ("GET / HTTP/1.1", Origin, ["/", "", "", ""]),
        ("GET //a//b HTTP/1.1", Origin, ["//a//b", "", "", ""]),
        ("GET /? HTTP/1.1", Origin, ["/", "", "", ""]),
        ("GET /a?b?c HTTP/1.1", Origin, ["/a", "b?c", "", ""]),
        ("GET /http://b/c HTTP/1.1", Origin, ["/http://b/c", "", "", ""]),
        ("GET /%00%2f%c0%af HTTP/1.1", Origin, ["/%00%2f%c0%af", "", "", ""]),
        ("GET /\"<>[]{}|\\^`%zz HTTP/1.1", Origin, ["/\"<>[]{}|\\^`%zz", "", "", ""]),
        ("GET http://b HTTP/1.1", Absolute, ["", "", "b", "http"]),
        ("GET http://b?c HTTP/1.1", Absolute, ["", "c", "b", "http"]),
        ("GET http://b/c?d HTTP/1.1", Absolute, ["/c", "d", "b", "http"]),
        ("GET HTTPS://b:443/ HTTP/1.1", Absolute, ["/", "", "b:443", "HTTPS"]),
        ("GET http://[::1]:80/ HTTP/1.1", Absolute, ["/", "", "[::1]:80", "http"]),
        ("OPTIONS * HTTP/1.1", Asterisk, ["*", "", "", ""]),
        ("OPTIONS /a HTTP/1.1", Origin, ["/a", "", "", ""]),
    ];
    for (line, form, parts) in cases {
        let head = read_valid_head(&with_line(line.as_bytes()));
        assert_eq!(head.form, *form, "{line}");
        assert_eq!([&*head.path, &head.query, &head.authority, &head.scheme], *parts, "{line}");
        assert_eq!(line.split(' ').nth(1), Some(&*head.target));
    }
}

#[test]
fn takes_any_token_as_method() {
    for method in ["GET", "get", "PROPFIND", "M-SEARCH", "!#$%&'*+-.^_`|~09", "X", "connect", "Trace"] {
        let head = read_valid_head(&with_line(format!("{method} / HTTP/1.1").as_bytes()));
        assert_eq!(head.method, method);
        assert!(!head.is_head);
    }
    assert!(read_valid_head(&with_line(b"HEAD / HTTP/1.1")).is_head);
    assert!(!read_valid_head(&with_line(b"head / HTTP/1.1")).is_head);
}

#[test]
fn takes_later_minor_versions_as_1_1() {
    for (version, expected) in [
        ("HTTP/1.0", Version::Http10),
        ("HTTP/1.1", Version::Http11),
        ("HTTP/1.2", Version::Http11),
        ("HTTP/1.9", Version::Http11),
    ] {
        let head = read_valid_head(&with_line(format!("GET / {version}").as_bytes()));
        assert_eq!(head.version, expected, "{version}");
        assert_eq!(head.headers.len(), 1);
    }
}

#[test]
fn skips_up_to_two_empty_lines_before_the_request_line() {
    for empty_lines in [&b"\r\n"[..], b"\r\n\r\n"] {
        let head = read_valid_head(&[empty_lines, &with_line(b"GET /a HTTP/1.1")].concat());
        assert_eq!((&*head.method, &*head.path), ("GET", "/a"));
    }
}

#[test]
fn rejects_request_lines() {
    let cases: &[(&[u8], WireError)] = &[
        // Methods.
        (b" GET / HTTP/1.1", WireError::METHOD),
        (b"\tGET / HTTP/1.1", WireError::METHOD),
        (b"G(T / HTTP/1.1", WireError::METHOD),
        (b"GET\t/ HTTP/1.1", WireError::METHOD),
        (b"GET\0 / HTTP/1.1", WireError::METHOD),
        (b"G\xc3\x89T / HTTP/1.1", WireError::METHOD),
        // Lines.
        (b"GET", WireError::REQUEST_LINE),
        (b"GET\r/ / HTTP/1.1", WireError::REQUEST_LINE),
        (b"GET / HTTP/1.1 ", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/1.1\t", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/1.1 HTTP/1.1", WireError::TARGET_CHARACTER),
        (b"GET / HTTP/1.1\r", WireError::VERSION_SYNTAX),
        // Versions.
        (b"GET /", WireError::VERSION_UNSUPPORTED),
        (b"GET ", WireError::VERSION_UNSUPPORTED),
        (b"GET / ", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/0.9", WireError::VERSION_UNSUPPORTED),
        (b"GET / HTTP/2.0", WireError::VERSION_UNSUPPORTED),
        (b"GET / HTTP/9.9", WireError::VERSION_UNSUPPORTED),
        (b"GET / HTTP/3", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/1", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/1.", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/1.10", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/1.32", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/1.01", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/01.1", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/1.1.1", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/2.00", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/11", WireError::VERSION_SYNTAX),
        (b"PRI * HTTP/2.0", WireError::VERSION_UNSUPPORTED),
        (b"GET / http/1.1", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/1.x", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/-1.1", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/", WireError::VERSION_SYNTAX),
        (b"GET / FTP/1.1", WireError::VERSION_SYNTAX),
        (b"GET / HTTP/\xb11.1", WireError::VERSION_SYNTAX),
        (b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2", WireError::VERSION_SYNTAX),
        // Targets.
        (b"GET  HTTP/1.1", WireError::TARGET_CHARACTER),
        (b"GET  / HTTP/1.1", WireError::TARGET_CHARACTER),
        (b"GET /a b HTTP/1.1", WireError::TARGET_CHARACTER),
        (b"GET /a\tb HTTP/1.1", WireError::TARGET_CHARACTER),
        (b"GET /a\0b HTTP/1.1", WireError::TARGET_CHARACTER),
        (b"GET /a\rb HTTP/1.1", WireError::TARGET_CHARACTER),
        (b"GET /a\x7fb HTTP/1.1", WireError::TARGET_CHARACTER),
        (b"GET /caf\xe9 HTTP/1.1", WireError::TARGET_CHARACTER),
        (b"GET /a#b HTTP/1.1", WireError::TARGET_CHARACTER),
        (b"GET a/b HTTP/1.1", WireError::TARGET_FORM),
        (b"GET ?a HTTP/1.1", WireError::TARGET_FORM),
        (b"GET * HTTP/1.1", WireError::TARGET_FORM),
        (b"OPTIONS ** HTTP/1.1", WireError::TARGET_FORM),
        (b"GET b:443 HTTP/1.1", WireError::TARGET_FORM),
        (b"GET ftp://b/ HTTP/1.1", WireError::TARGET_FORM),
        (b"GET http:/b HTTP/1.1", WireError::TARGET_FORM),
        (b"GET http:b HTTP/1.1", WireError::TARGET_FORM),
        (b"GET http:///a HTTP/1.1", WireError::TARGET_AUTHORITY),
        (b"GET http://?a HTTP/1.1", WireError::TARGET_AUTHORITY),
        (b"GET http://:80/ HTTP/1.1", WireError::TARGET_AUTHORITY),
        (b"GET http://user@b/ HTTP/1.1", WireError::TARGET_AUTHORITY),
        (b"GET http://user:secret@b/ HTTP/1.1", WireError::TARGET_AUTHORITY),
        (b"GET http://b\\c/ HTTP/1.1", WireError::TARGET_AUTHORITY),
        (b"GET http://[::1/ HTTP/1.1", WireError::TARGET_AUTHORITY),
        (b"GET http://[1:2]/ HTTP/1.1", WireError::TARGET_AUTHORITY),
        // Methods that are understood and not wanted.
        (b"CONNECT b:443 HTTP/1.1", WireError::METHOD_NOT_ALLOWED),
        (b"CONNECT [::1]:443 HTTP/1.0", WireError::METHOD_NOT_ALLOWED),
        (b"CONNECT / HTTP/1.1", WireError::METHOD_NOT_ALLOWED),
        (b"TRACE / HTTP/1.1", WireError::METHOD_NOT_ALLOWED),
        (b"TRACE http://b/ HTTP/1.1", WireError::METHOD_NOT_ALLOWED),
    ];
    for (line, error) in cases {
        assert_eq!(read_head(&with_line(line)), Err(*error), "{}", line.escape_ascii());
    }
}

#[test]
fn rejects_a_third_empty_line() {
    let bytes = [b"\r\n\r\n\r\n", &with_line(b"GET / HTTP/1.1")[..]].concat();
    assert_eq!(read_head(&bytes), Err(WireError::METHOD));
}

#[test]
fn rejects_foreign_protocols_at_their_first_byte() {
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..], // TLS hello
        b"\0\x10\0\0",                // uwsgi packet
        b"\x01\x01\0\x01\0\x08\0\0",  // FastCGI
        b"\n",
        b"\r\r",
        b"\0\0\0\0",
    ] {
        assert_eq!(read_head(bytes), Err(WireError::METHOD), "{}", bytes.escape_ascii());
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(read_head(preface), Err(WireError::VERSION_UNSUPPORTED));
}
