//! What a trusted reverse proxy says of a request, and what a client can make of it: nothing.

use portico_wire::{
    Client, Forwarded, Limits, Networks, RequestHead, Scheme, WireError, is_forwarded_name, request_start_ns,
};
use std::fmt::Write as _;

const REJECTED: Result<Option<Said>, WireError> = Err(WireError::FORWARDED);

/// A [`Forwarded`] as plain values, to be compared as a whole.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
struct Said {
    client: Option<Client>,
    scheme: Option<Scheme>,
    host: Option<String>,
    port: Option<u16>,
    prefix: Option<String>,
}

impl Said {
    /// Says who the client is, by address.
    fn by(address: &str) -> Self {
        Self { client: Some(client(address, None)), ..Self::default() }
    }
}

fn client(address: &str, port: Option<u16>) -> Client {
    Client { address: Some(address.parse().unwrap_or_else(|_| panic!("{address} is an address"))), port }
}

/// Reads a head with these field lines.
fn read_head(lines: &[&str]) -> (RequestHead, Vec<u8>) {
    let mut bytes = String::from("GET / HTTP/1.1\r\nHost: inner\r\n");
    for line in lines {
        let _ = write!(bytes, "{line}\r\n");
    }
    bytes += "\r\n";
    let limits =
        Limits { max_head_bytes: 1 << 20, max_header_bytes: 1 << 20, max_headers: 20_000, ..Limits::default() };
    let mut head = RequestHead::new();
    assert_eq!(head.read(bytes.as_bytes(), &limits), Ok(Some(bytes.len())), "{lines:?}");
    (head, bytes.into_bytes())
}

/// Reads the forwarded headers among `lines` where `trusted` are the reverse proxies.
fn read_within(lines: &[&str], trusted: &[&str]) -> Result<Option<Said>, WireError> {
    let (head, bytes) = read_head(lines);
    let trusted = Networks::parse(trusted).unwrap_or_else(|error| panic!("{error}"));
    let text = |part: &[u8]| part.iter().map(|byte| char::from(*byte)).collect();
    Ok(Forwarded::read(&head, &bytes, &trusted)?.map(|forwarded| Said {
        client: forwarded.client,
        scheme: forwarded.scheme,
        host: forwarded.host.map(|host| text(host.of(&bytes))),
        port: forwarded.port,
        prefix: forwarded.prefix.map(|prefix| text(prefix.of(&bytes))),
    }))
}

/// The same, with the servers in 10.0.0.0/8 and on Unix sockets trusted.
fn read(lines: &[&str]) -> Result<Option<Said>, WireError> {
    read_within(lines, &["10.0.0.0/8", "2001:db8:f::/48", "unix"])
}

#[test]
fn walks_x_forwarded_for_from_the_right() {
    for (list, address) in [
        ("192.0.2.1", "192.0.2.1"),
        // What the client sent stands left of what the server added.
        ("127.0.0.1, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1, 192.0.2.1", "192.0.2.1"),
        ("garbage, , \"quoted, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.66, 192.0.2.1, 10.0.0.9", "192.0.2.1"),
        ("192.0.2.66, 192.0.2.1, 10.0.0.8, 10.0.0.9", "192.0.2.1"),
        ("192.0.2.1, 2001:db8:f::1, [2001:db8:f::2]:80, 10.0.0.9:4711", "192.0.2.1"),
        ("192.0.2.1, unix:", "192.0.2.1"),
        // Servers only: the leftmost made the request.
        ("10.0.0.9", "10.0.0.9"),
        ("10.0.0.1, 10.0.0.9", "10.0.0.1"),
        // Empty elements are none (RFC 9110 5.6.1).
        (",192.0.2.1,,\t , 10.0.0.9 ,", "192.0.2.1"),
        ("192.0.2.1,10.0.0.9", "192.0.2.1"),
        // An address of a server, mapped into IPv6, is that server's.
        ("192.0.2.1, ::ffff:10.0.0.9", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ] {
        let line = format!("X-Forwarded-For: {list}");
        assert_eq!(read(&[&line]), Ok(Some(Said::by(address))), "{list}");
    }
}

#[test]
fn lines_of_one_name_are_one_list() {
    for (lines, address) in [
        (&["X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 192.0.2.1"][..], "192.0.2.1"),
        (&["X-Forwarded-For: 127.0.0.1, 192.0.2.1", "x-forwarded-for: 10.0.0.1"], "192.0.2.1"),
        (&["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For:", "X-FORWARDED-FOR: ,"], "192.0.2.1"),
        (&["Forwarded: for=127.0.0.1", "Forwarded: for=192.0.2.1"], "192.0.2.1"),
        (&["Forwarded: for=127.0.0.1, for=192.0.2.1", "forwarded: for=10.0.0.1"], "192.0.2.1"),
    ] {
        assert_eq!(read(lines), Ok(Some(Said::by(address))), "{lines:?}");
    }
}

#[test]
fn a_list_of_ten_thousand_entries_is_walked_once() {
    let long = "127.0.0.1,".repeat(10_000);
    assert_eq!(read(&[&format!("X-Forwarded-For: {long} 192.0.2.1")]), Ok(Some(Said::by("192.0.2.1"))));
    let servers = "10.0.0.1,".repeat(10_000);
    let all =
        [&*format!("X-Forwarded-For: 192.0.2.1,{servers}"), &*format!("X-Forwarded-Port: 81{}", ",82".repeat(9_999))];
    assert_eq!(read(&all), Ok(Some(Said { port: Some(81), ..Said::by("192.0.2.1") })));
    let elements = format!("Forwarded: {} for=192.0.2.1, for=10.0.0.2", "for=127.0.0.1,".repeat(10_000));
    assert_eq!(read(&[&elements]), Ok(Some(Said::by("192.0.2.1"))));
    let lines = vec!["X-Forwarded-For: 127.0.0.1"; 10_000];
    assert_eq!(read(&[&lines[..], &["X-Forwarded-For: 192.0.2.1"]].concat()), Ok(Some(Said::by("192.0.2.1"))));
    let pairs = format!("Forwarded: for=192.0.2.1{}", ";x=y".repeat(10_000));
    assert_eq!(read(&[&pairs]), Ok(Some(Said::by("192.0.2.1"))));
}

#[test]
fn tells_the_port_only_where_it_is_given() {
    for (node, expected) in [
        ("192.0.2.1:4711", client("192.0.2.1", Some(4711))),
        ("192.0.2.1:65535", client("192.0.2.1", Some(65535))),
        ("192.0.2.1:0", client("192.0.2.1", None)),
        ("192.0.2.1:_gate", client("192.0.2.1", None)),
        ("[2001:db8::1]", client("2001:db8::1", None)),
        ("[2001:db8::1]:4711", client("2001:db8::1", Some(4711))),
        ("[2001:db8::1]:_gate", client("2001:db8::1", None)),
        ("2001:db8::1:4711", client("2001:db8::1:4711", None)),
        ("[::ffff:192.0.2.1]:1", client("192.0.2.1", Some(1))),
    ] {
        let expected = Ok(Some(Said { client: Some(expected), ..Said::default() }));
        assert_eq!(read(&[&format!("X-Forwarded-For: 127.0.0.1, {node}")]), expected, "{node}");
        assert_eq!(read(&[&format!("Forwarded: for=127.0.0.1, For=\"{node}\"")]), expected, "{node}");
    }
}

#[test]
fn of_a_client_that_is_hidden_or_unreadable_nothing_is_said() {
    for node in [
        "unknown",
        "Unknown",
        "_hidden",
        "_",
        "unix",
        "unix:/run/proxy.sock",
        "localhost",
        "192.0.2.256",
        "192.0.2",
        "0300.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:-1",
        "192.0.2.1:+1",
        "192.0.2.1:000080",
        "192.0.2.1:8 0",
        "192.0.2.1 192.0.2.2",
        "[192.0.2.1]",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]4711",
        "[2001:db8::1]:x",
        "[]",
        ":80",
        "fe80::1%eth0",
        "192.0.2.\u{661}",
    ] {
        let expected = Ok(None);
        assert_eq!(read(&[&format!("X-Forwarded-For: 127.0.0.1, {node}")]), expected, "{node}");
        assert_eq!(read(&[&format!("X-Forwarded-For: 127.0.0.1, {node}, 10.0.0.1")]), expected, "{node}");
        assert_eq!(read(&[&format!("Forwarded: for=127.0.0.1, for=\"{node}\"")]), expected, "{node}");
    }
}

#[test]
fn a_unix_socket_counts_only_where_it_is_trusted() {
    let lines = ["X-Forwarded-For: 192.0.2.1, unix:"];
    assert_eq!(read_within(&lines, &["unix"]), Ok(Some(Said::by("192.0.2.1"))));
    assert_eq!(read_within(&lines, &["192.0.2.0/24"]), Ok(None));
    assert_eq!(read_within(&["X-Forwarded-For: unix:"], &["unix"]), Ok(None));
}

#[test]
fn where_everybody_is_trusted_the_leftmost_is_the_client() {
    let lines = ["X-Forwarded-For: 192.0.2.7, 192.0.2.1, 10.0.0.1"];
    assert_eq!(read_within(&lines, &["*"]), Ok(Some(Said::by("192.0.2.7"))));
    assert_eq!(read_within(&lines, &[]), Ok(Some(Said::by("10.0.0.1"))));
}

#[test]
fn takes_from_the_other_lists_what_the_same_server_wrote() {
    for (skipped, lists, port) in [
        // One reverse proxy, which adds to what the client sent.
        ("", "1, 2, 3", 3),
        // As many entries as servers.
        (", 10.0.0.2", "1, 2, 3", 2),
        (", 10.0.0.2, 10.0.0.3", "1, 2, 3", 1),
        // A shorter list: only the outermost server wrote.
        (", 10.0.0.2, 10.0.0.3", "1, 2", 1),
        (", 10.0.0.2, 10.0.0.3", "1", 1),
        (", 10.0.0.2, , 10.0.0.3", ",, 1, , 2,", 1),
    ] {
        let lines = [
            &*format!("X-Forwarded-For: 127.0.0.1, 192.0.2.1{skipped}"),
            &*format!("X-Forwarded-Port: {lists}"),
            &*format!("X-Forwarded-Prefix: {}", lists.replace(['1', '2', '3'], "/$").replace('$', "p")),
        ];
        let expected = Said { port: Some(port), prefix: Some("/p".into()), ..Said::by("192.0.2.1") };
        assert_eq!(read(&lines), Ok(Some(expected)), "{lines:?}");
    }
    let lines = [
        "X-Forwarded-For: 192.0.2.66, 192.0.2.1, 10.0.0.2",
        "X-Forwarded-Proto: gopher, https, http",
        "X-Forwarded-Host: evil/, example.org:8443, inner",
        "X-Forwarded-Port: 0, 8443, 80",
        "X-Forwarded-Prefix: evil, /shop/, /",
    ];
    let expected = Said {
        scheme: Some(Scheme::Https),
        host: Some("example.org:8443".into()),
        port: Some(8443),
        prefix: Some("/shop".into()),
        ..Said::by("192.0.2.1")
    };
    assert_eq!(read(&lines), Ok(Some(expected)));
}

#[test]
fn without_a_client_the_rightmost_entries_count() {
    let lines = ["X-Forwarded-Proto: https, http", "X-Forwarded-Host: evil.example, example.org"];
    let expected = Said { scheme: Some(Scheme::Http), host: Some("example.org".into()), ..Said::default() };
    assert_eq!(read(&lines), Ok(Some(expected)));
}

#[test]
fn takes_valid_values() {
    for (line, said) in [
        ("X-Forwarded-Proto: HTTPS", Said { scheme: Some(Scheme::Https), ..Said::default() }),
        ("X-Forwarded-Proto: wss", Said { scheme: Some(Scheme::Https), ..Said::default() }),
        ("X-Forwarded-Proto: WSS", Said { scheme: Some(Scheme::Https), ..Said::default() }),
        ("X-Forwarded-Proto: ws", Said { scheme: Some(Scheme::Http), ..Said::default() }),
        ("Forwarded: proto=wss", Said { scheme: Some(Scheme::Https), ..Said::default() }),
        ("Forwarded: Proto=\"Ws\"", Said { scheme: Some(Scheme::Http), ..Said::default() }),
        ("X-Forwarded-Proto: http", Said { scheme: Some(Scheme::Http), ..Said::default() }),
        ("X-Forwarded-Host: [2001:db8::1]:80", Said { host: Some("[2001:db8::1]:80".into()), ..Said::default() }),
        ("X-Forwarded-Host: a_b.example:", Said { host: Some("a_b.example:".into()), ..Said::default() }),
        ("X-Forwarded-Port: 1", Said { port: Some(1), ..Said::default() }),
        ("X-Forwarded-Port: 65535", Said { port: Some(65535), ..Said::default() }),
        ("X-Forwarded-Prefix: /", Said { prefix: Some(String::new()), ..Said::default() }),
        ("X-Forwarded-Prefix: /a/b//", Said { prefix: Some("/a/b".into()), ..Said::default() }),
        ("X-Forwarded-Prefix: /\u{e9}%20x", Said { prefix: Some("/\u{c3}\u{a9}%20x".into()), ..Said::default() }),
    ] {
        assert_eq!(read(&[line]), Ok(Some(said)), "{line}");
    }
}

#[test]
fn rejects_invalid_values() {
    for line in [
        "X-Forwarded-Proto: wsss",
        "X-Forwarded-Proto: w",
        "X-Forwarded-Proto: wss:",
        "X-Forwarded-Proto: https://",
        "X-Forwarded-Proto: \"https\"",
        "X-Forwarded-Proto: http https",
        "X-Forwarded-Host: a b",
        "X-Forwarded-Host: a/b",
        "X-Forwarded-Host: user@a",
        "X-Forwarded-Host: a:65536",
        "X-Forwarded-Host: a:x",
        "X-Forwarded-Host: :80",
        "X-Forwarded-Host: [::1",
        "X-Forwarded-Host: \u{e9}",
        "X-Forwarded-Host: a\tb",
        "X-Forwarded-Port: 0",
        "X-Forwarded-Port: 65536",
        "X-Forwarded-Port: +80",
        "X-Forwarded-Port: 80x",
        "X-Forwarded-Port: 000080",
        "X-Forwarded-Prefix: shop",
        "X-Forwarded-Prefix: //evil.example",
        "X-Forwarded-Prefix: /\\evil.example",
        "X-Forwarded-Prefix: //",
        "X-Forwarded-Prefix: /a\tb",
        "X-Forwarded-Prefix: http://evil.example/",
        "Forwarded: proto=sw",
        "Forwarded: proto=\"\"",
        "Forwarded: host=\"a/b\"",
        "Forwarded: host=\"\"",
        "Forwarded: host=\"a:b\"",
        "Forwarded: host=\"exa\\mple.org\"",
        "Forwarded: proto=\"htt\\ps\"",
    ] {
        assert_eq!(read(&[line]), REJECTED, "{line}");
    }
}

#[test]
fn control_characters_do_not_even_come_this_far() {
    for byte in (0..0x20u8).chain([0x7f]).filter(|byte| *byte != b'\t') {
        for line in [b"X-Forwarded-For: 192.0.2.1".to_vec(), b"Forwarded: for=\"192.0.2.1".to_vec()] {
            let bytes = [b"GET / HTTP/1.1\r\nHost: a\r\n", &*line, &[byte], b"x\"\r\n\r\n"].concat();
            let outcome = RequestHead::new().read(&bytes, &Limits::default());
            assert!(outcome.is_err(), "{byte:#x}: {outcome:?}");
        }
    }
}

#[test]
fn reads_elements_as_rfc_7239_writes_them() {
    let by = |address| Said::by(address);
    for (field, said) in [
        // Section 4 and 7.1.
        ("for=\"_gazonk\"", Said::default()),
        (
            "For=\"[2001:db8:cafe::17]:4711\"",
            Said { client: Some(client("2001:db8:cafe::17", Some(4711))), ..Said::default() },
        ),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", Said { scheme: Some(Scheme::Http), ..by("192.0.2.60") }),
        ("for=192.0.2.43, for=198.51.100.17", by("198.51.100.17")),
        ("for=192.0.2.43, for=\"[2001:db8:cafe::17]\"", by("2001:db8:cafe::17")),
        ("for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown", Said::default()),
        // The element of the client, and no other, tells how it came.
        (
            "for=192.0.2.1;host=example.org;proto=https, for=10.0.0.1;proto=http;host=inner",
            Said { scheme: Some(Scheme::Https), host: Some("example.org".into()), ..by("192.0.2.1") },
        ),
        ("for=192.0.2.1, for=10.0.0.1;proto=https", by("192.0.2.1")),
        (
            "for=192.0.2.66;proto=https, for=192.0.2.1;proto=http",
            Said { scheme: Some(Scheme::Http), ..by("192.0.2.1") },
        ),
        // An element without `for` is not a server's that is trusted: the walk ends there.
        ("for=192.0.2.66;proto=http, proto=https", Said { scheme: Some(Scheme::Https), ..Said::default() }),
        // Quotes hide delimiters, also escaped ones.
        ("for=192.0.2.1;x=\", for=127.0.0.1;\"", by("192.0.2.1")),
        ("for=192.0.2.1;x=\"\\\", for=127.0.0.1\"", by("192.0.2.1")),
        ("for=127.0.0.1;x=\"\\\\\", for=192.0.2.1", by("192.0.2.1")),
        ("for=\"192.0.2.\\1\"", Said::default()),
        ("for=\"\"", Said::default()),
        ("host=\"example.org:8080\"", Said { host: Some("example.org:8080".into()), ..Said::default() }),
        // Empty pairs, empty elements, spaces.
        (";for=192.0.2.1;;proto=http;", Said { scheme: Some(Scheme::Http), ..by("192.0.2.1") }),
        (",, for=192.0.2.1 ,\t,", by("192.0.2.1")),
        ("for=192.0.2.1 ; proto=https", Said { scheme: Some(Scheme::Https), ..by("192.0.2.1") }),
        ("FOR=192.0.2.1;PROTO=Https;secret=x", Said { scheme: Some(Scheme::Https), ..by("192.0.2.1") }),
    ] {
        let expected = Some(said).filter(|said| *said != Said::default());
        assert_eq!(read(&[&format!("Forwarded: {field}")]), Ok(expected), "{field}");
    }
}

#[test]
fn rejects_malformed_elements_wherever_they_stand() {
    for malformed in [
        "for",
        "for=",
        "=192.0.2.1",
        "for =192.0.2.1",
        "for= 192.0.2.1",
        "for=192.0.2.1 x",
        "for=192.0.2.1:80",
        "for=[2001:db8::1]",
        "for=\"192.0.2.1",
        "for=\"192.0.2.1\\\"",
        "for=\"192.0.2.1\\",
        "for=\"192.0.2.1\"x",
        "for=192.0.2.1\"",
        "for=192.0.2.1;proto=http;for=192.0.2.1",
        "proto=http;Proto=http",
        "host=a;host=a",
        "by=a;by=a",
        "for=192.0.2.1/proto=http",
        "192.0.2.1",
        "\u{e9}=1",
    ] {
        for field in
            [malformed.to_owned(), format!("{malformed}, for=192.0.2.1"), format!("for=192.0.2.1, {malformed}")]
        {
            assert_eq!(read(&[&format!("Forwarded: {field}")]), REJECTED, "{field}");
        }
        assert_eq!(read(&[&format!("Forwarded: {malformed}"), "Forwarded: for=192.0.2.1"]), REJECTED, "{malformed}");
    }
}

#[test]
fn a_quote_that_a_client_leaves_open_hides_nothing() {
    // What follows the comma is what the reverse proxy adds, to the same line or as one of its own.
    for added in
        ["for=192.0.2.1", "for=192.0.2.1;by=\"_x\"", "for=\"[2001:db8::1]\"", "for=\"[2001:db8::1]:80\";proto=http"]
    {
        for sent in ["for=127.0.0.1;x=\"", "for=127.0.0.1;x=\"\\", "x=\"", "\"", "for=\"127.0.0.1"] {
            assert_eq!(read(&[&format!("Forwarded: {sent}, {added}")]), REJECTED, "{sent}, {added}");
            assert_eq!(
                read(&[&format!("Forwarded: {sent}"), &format!("Forwarded: {added}")]),
                REJECTED,
                "{sent} | {added}"
            );
        }
    }
}

#[test]
fn both_families_have_to_agree() {
    let full = Said {
        client: Some(client("192.0.2.1", Some(4711))),
        scheme: Some(Scheme::Https),
        host: Some("Example.org".into()),
        ..Said::default()
    };
    let agreeing = [
        "Forwarded: for=\"192.0.2.1:4711\";proto=https;host=example.org",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: HTTPS",
        "X-Forwarded-Host: Example.org",
    ];
    assert_eq!(read(&agreeing), Ok(Some(full)));
    for (forwarded, other) in [
        ("for=127.0.0.1", "X-Forwarded-For: 192.0.2.1"),
        ("for=192.0.2.1", "X-Forwarded-For: 127.0.0.1"),
        ("for=_hidden", "X-Forwarded-For: 192.0.2.1"),
        ("for=192.0.2.1", "X-Forwarded-For: unknown"),
        ("for=\"192.0.2.1:1\"", "X-Forwarded-For: 192.0.2.1:2"),
        ("for=127.0.0.1, for=10.0.0.1", "X-Forwarded-For: 192.0.2.1"),
        ("proto=https", "X-Forwarded-Proto: http"),
        ("for=192.0.2.1;proto=https, for=10.0.0.1;proto=http", "X-Forwarded-Proto: http"),
        ("host=evil.example", "X-Forwarded-Host: example.org"),
        ("host=\"example.org:80\"", "X-Forwarded-Host: example.org"),
    ] {
        let lines = [&*format!("Forwarded: {forwarded}"), other];
        assert_eq!(read(&lines), REJECTED, "{lines:?}");
        assert_eq!(read(&[lines[1], lines[0]]), REJECTED, "{lines:?}");
    }
    // What only one says stands.
    let lines =
        ["Forwarded: for=192.0.2.1;proto=https", "X-Forwarded-For: 192.0.2.66, 192.0.2.1", "X-Forwarded-Host: a"];
    let expected = Said { scheme: Some(Scheme::Https), host: Some("a".into()), ..Said::by("192.0.2.1") };
    assert_eq!(read(&lines), Ok(Some(expected)));
    // The other lists follow the walk of whichever names the servers.
    let lines = ["Forwarded: for=192.0.2.1, for=10.0.0.1", "X-Forwarded-Port: 1, 2, 3"];
    assert_eq!(read(&lines), Ok(Some(Said { port: Some(2), ..Said::by("192.0.2.1") })));
}

#[test]
fn says_nothing_where_nothing_is_said() {
    for lines in [
        &[][..],
        &["X-Forwarded-For:"],
        &["X-Forwarded-For: , ,"],
        &["X-Forwarded-Proto:", "X-Forwarded-Host: ,", "X-Forwarded-Port:", "X-Forwarded-Prefix:", "Forwarded:"],
        &["Forwarded: ,"],
        &["Forwarded: ;by=_gate"],
        &["X_Forwarded_For: 192.0.2.1"],
        &["X-Forwarded-Server: a", "X-Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1"],
        &["X-Request-Start: t=1"],
    ] {
        assert_eq!(read(lines), Ok(None), "{lines:?}");
    }
}

#[test]
fn a_head_tells_whether_any_of_the_headers_is_there() {
    for name in [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "X-Request-Start",
    ] {
        for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
            assert!(is_forwarded_name(name.as_bytes()), "{name}");
            assert!(read_head(&["A: b", &format!("{name}: x"), "C: d"]).0.has_forwarded, "{name}");
        }
    }
    for name in [
        "Forward",
        "Forwardex",
        "X-Forwarded-Fox",
        "X-Forwarded-Hosx",
        "X-Forwarded-Porx",
        "X-Forwarded-Protx",
        "X-Forwarded-Prefiy",
        "X-Request-Starx",
        "X_Forwarded_For",
        "X-Forwarded_For",
        "X-Forwarded-Server",
        "X-Request-ID",
        "Accept-Encoding",
        "Accept-Language",
        "Transfer-Encodinh",
        "If-Modified-Since",
        "F",
        "X",
        "",
    ] {
        assert!(!is_forwarded_name(name.as_bytes()), "{name}");
        if !name.is_empty() {
            assert!(!read_head(&[&format!("{name}: x")]).0.has_forwarded, "{name}");
        }
    }
    // A head that is read again forgets.
    let (mut head, _) = read_head(&["Forwarded: for=_x"]);
    let next = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!((head.read(next, &Limits::default()), head.has_forwarded), (Ok(Some(next.len())), false));
}

#[test]
fn server_name_and_port_follow_from_what_is_said() {
    for (lines, name, port) in [
        (
            &["X-Forwarded-Host: example.org:8443", "X-Forwarded-Port: 1", "X-Forwarded-Proto: https"][..],
            Some("example.org"),
            Some(1),
        ),
        (&["X-Forwarded-Host: example.org:8443", "X-Forwarded-Proto: https"], Some("example.org"), Some(8443)),
        (&["X-Forwarded-Host: example.org", "X-Forwarded-Proto: https"], Some("example.org"), Some(443)),
        (&["X-Forwarded-Host: example.org:", "X-Forwarded-Proto: https"], Some("example.org"), Some(443)),
        (&["X-Forwarded-Host: example.org"], Some("example.org"), Some(80)),
        (&["X-Forwarded-Host: [2001:db8::1]:8080"], Some("[2001:db8::1]"), Some(8080)),
        (&["X-Forwarded-Host: [2001:db8::1]"], Some("[2001:db8::1]"), Some(80)),
        (&["X-Forwarded-Proto: https"], None, Some(443)),
        (&["X-Forwarded-Proto: http"], None, Some(80)),
        (&["X-Forwarded-Port: 8080"], None, Some(8080)),
        (&["X-Forwarded-For: 192.0.2.1:4711"], None, None),
    ] {
        let (head, bytes) = read_head(lines);
        let forwarded = Forwarded::read(&head, &bytes, &Networks::default());
        let Ok(Some(forwarded)) = forwarded else { panic!("{lines:?}: {forwarded:?}") };
        let got = (forwarded.server_name(&bytes), forwarded.server_port(&bytes));
        assert_eq!(got, (name.map(str::as_bytes), port), "{lines:?}");
    }
}

#[test]
fn reads_a_request_start_in_each_unit() {
    for (value, expected) in [
        ("t=1700000000", Some(1_700_000_000_000_000_000)),
        ("1700000000", Some(1_700_000_000_000_000_000)),
        ("t=1700000000.123", Some(1_700_000_000_123_000_000)),
        ("t=1700000000.123456789", Some(1_700_000_000_123_456_789)),
        ("t=1700000000.1234567899999", Some(1_700_000_000_123_456_789)),
        ("t=1700000000123", Some(1_700_000_000_123_000_000)),
        ("t=1700000000123.5", Some(1_700_000_000_123_500_000)),
        ("t=1700000000123456", Some(1_700_000_000_123_456_000)),
        ("t=1700000000123456.7", Some(1_700_000_000_123_456_700)),
        ("1700000000.0", Some(1_700_000_000_000_000_000)),
        ("t=0", Some(0)),
        // The last one is the nearest server's.
        ("t=1, t=1700000000", Some(1_700_000_000_000_000_000)),
        ("", None),
        ("t=", None),
        ("t=.5", None),
        ("t=5.", None),
        ("t=-5", None),
        ("t=+5", None),
        ("t=5e3", None),
        ("t=0x5", None),
        ("t=1.5.5", None),
        ("t=1.5x", None),
        ("t=1 5", None),
        ("T=1700000000", None),
        ("x=1700000000", None),
        ("now", None),
        ("t=1700000000123456789", None),
        ("t=18446744073709551615", None),
        ("t=99999999999999999999999999", None),
    ] {
        let (head, bytes) = read_head(&[&format!("X-Request-Start: {value}")]);
        assert_eq!(request_start_ns(&head, &bytes), expected, "{value}");
    }
    let (head, bytes) = read_head(&["X-Request-Start: t=1", "X-Request-Start: t=2"]);
    assert_eq!(request_start_ns(&head, &bytes), Some(2_000_000_000));
    let (head, bytes) = read_head(&["X-Request-ID: t=1"]);
    assert_eq!(request_start_ns(&head, &bytes), None);
}
