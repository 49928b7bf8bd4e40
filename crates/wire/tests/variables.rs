//! Requests that are passed on as variables: what they say, and how they are carried.

mod support;

use portico_wire::{
    ForwardedFamily, Forwarding, Framing, GatewayHead, GatewayLimits, Limits, PassedConnection, PassedOn, RequestHead,
    Scheme, Understood, UwsgiPacket, Variables, WireError,
};
use support::gateway::render;
use support::text;

/// The variables of a request, whose framing is that of its head.
fn variables(bytes: &[u8], change: impl FnOnce(&mut PassedOn<'_>)) -> Result<Variables, WireError> {
    let mut head = RequestHead::new();
    let limits = Limits { max_head_bytes: usize::MAX, ..Limits::default() };
    assert_eq!(head.read(bytes, &limits), Ok(Some(bytes.len())));
    let forwarding =
        Forwarding { family: ForwardedFamily::Neither, is_trusted: false, peer: None, scheme: Scheme::Http };
    let mut request = PassedOn {
        head: &head,
        bytes,
        target: None,
        prefix: b"",
        host: None,
        framing: head.framing,
        connection: PassedConnection::Keep,
        forwarding,
        understood: None,
        trace: None,
        via: "",
    };
    change(&mut request);
    request.variables(&[])
}

fn lines(variables: &Variables) -> Vec<String> {
    variables.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect()
}

fn value<'a>(variables: &'a Variables, name: &str) -> Option<&'a [u8]> {
    let mut named = variables.iter().filter(|(known, _)| *known == name.as_bytes());
    let found = named.next().map(|(_, value)| value);
    assert_eq!(named.next(), None, "{name} comes twice");
    found
}

#[test]
fn a_request_is_said_whole() {
    let bytes = b"POST /a%20b/%C3%A9?c=d?e HTTP/1.1\r\nHost: example.org:81\r\nContent-Length: 3\r\n\
        Content-Type: text/plain\r\nX-A: 1\r\nCookie: a=b\r\nx-a: 2\r\ncookie: c=d\r\n\r\n";
    let passed = variables(bytes, |request| {
        request.understood = Some(Understood {
            address: Some("::ffff:192.0.2.1".parse().unwrap()),
            port: Some(4711),
            scheme: Scheme::Https,
            host: b"example.org:81",
            prefix: b"/front",
        });
    });
    assert_eq!(
        lines(&passed.unwrap()),
        [
            "REQUEST_METHOD=POST",
            "REQUEST_URI=/a%20b/%C3%A9?c=d?e",
            "SCRIPT_NAME=/front",
            "PATH_INFO=/a b/\u{c3}\u{a9}",
            "QUERY_STRING=c=d?e",
            "SERVER_PROTOCOL=HTTP/1.1",
            "SERVER_NAME=example.org",
            "SERVER_PORT=81",
            "REQUEST_SCHEME=https",
            "HTTPS=on",
            "REMOTE_ADDR=192.0.2.1",
            "REMOTE_PORT=4711",
            "CONTENT_LENGTH=3",
            "HTTP_HOST=example.org:81",
            "CONTENT_TYPE=text/plain",
            "HTTP_COOKIE=a=b; c=d",
            "HTTP_X_A=1, 2",
        ]
    );
}

#[test]
fn nothing_is_said_that_could_be_taken_for_something_else() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nProxy: x\r\nContent_Length: 9\r\nX_A: 1\r\nX.B: 1\r\nX!: 1\r\n\
        Connection: X-C\r\nX-C: 1\r\nX-Forwarded-Prefix: /p\r\nExpect: 100-continue\r\nTE: a\r\n\r\n";
    let passed = variables(bytes, |request| {
        request.forwarding.is_trusted = true;
        request.forwarding.family = ForwardedFamily::XForwarded;
    });
    let passed = passed.unwrap();
    let headers: Vec<String> = lines(&passed).into_iter().filter(|line| line.starts_with("HTTP_")).collect();
    assert_eq!(headers, ["HTTP_HOST=a", "HTTP_X_FORWARDED_HOST=a", "HTTP_X_FORWARDED_PROTO=http"]);
    assert_eq!(value(&passed, "CONTENT_LENGTH"), None);
}

#[test]
fn the_mount_is_script_name() {
    let passed = variables(b"GET /m/x?y HTTP/1.1\r\nHost: a\r\n\r\n", |request| {
        (request.target, request.prefix) = (Some(&b"/x?y"[..]), b"/m");
    });
    let passed = passed.unwrap();
    let named = ["REQUEST_URI", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"].map(|name| value(&passed, name).unwrap());
    assert_eq!(named, [&b"/m/x?y"[..], b"/m", b"/x", b"y"]);
}

#[test]
fn name_and_port_of_the_server_are_never_empty() {
    for (host, scheme, expected) in [
        ("a", Scheme::Http, ["a", "80"]),
        ("a", Scheme::Https, ["a", "443"]),
        ("a:8000", Scheme::Https, ["a", "8000"]),
        ("a:", Scheme::Http, ["a", "80"]),
        ("[::1]", Scheme::Http, ["[::1]", "80"]),
        ("[::1]:81", Scheme::Http, ["[::1]", "81"]),
        ("", Scheme::Http, ["localhost", "80"]),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let passed = variables(bytes.as_bytes(), |request| request.forwarding.scheme = scheme).unwrap();
        let named = ["SERVER_NAME", "SERVER_PORT"].map(|name| text(value(&passed, name).unwrap()));
        assert_eq!(named, expected, "{host}");
        assert_eq!(value(&passed, "REMOTE_ADDR"), Some(&b"unix:"[..]));
    }
}

#[test]
fn a_nul_in_the_path_is_rejected() {
    let read = variables(b"GET /a%00.css HTTP/1.1\r\nHost: a\r\n\r\n", |_| {});
    assert_eq!(read.unwrap_err(), WireError::VARIABLE_VALUE);
    // Elsewhere it is not decoded.
    assert!(variables(b"GET /a?%00 HTTP/1.1\r\nHost: a\r\n\r\n", |_| {}).is_ok());
}

#[test]
fn what_an_operator_gives_replaces_ours() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n";
    let mut head = RequestHead::new();
    head.read(bytes, &Limits::default()).unwrap();
    let forwarding =
        Forwarding { family: ForwardedFamily::Neither, is_trusted: false, peer: None, scheme: Scheme::Http };
    let request = PassedOn {
        head: &head,
        bytes,
        target: None,
        prefix: b"",
        host: None,
        framing: Framing::Empty,
        connection: PassedConnection::Keep,
        forwarding,
        understood: None,
        trace: None,
        via: "",
    };
    let given =
        [("SERVER_NAME", "shop"), ("HTTP_X_A", "c"), ("X", "")].map(|(name, value)| (name.into(), value.into()));
    let passed = request.variables(&given).unwrap();
    let named = ["SERVER_NAME", "HTTP_X_A", "X"].map(|name| value(&passed, name).unwrap());
    assert_eq!(named, [&b"shop"[..], b"c", b""]);
}

/// A request with so many bytes of headers.
fn with_headers(bytes: usize) -> Vec<u8> {
    let fields: Vec<String> =
        (0..bytes / 10_000).map(|index| format!("X-{index}: {}\r\n", "v".repeat(9_990))).collect();
    let fields = fields.concat();
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}X: {}\r\n\r\n", "w".repeat(bytes % 10_000)).into_bytes()
}

#[test]
fn a_packet_is_read_again() {
    let passed = variables(b"PUT /a%2Fb?c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-A: b\r\n\r\n", |_| {}).unwrap();
    let mut packet = b"before".to_vec();
    passed.write_uwsgi(&mut packet).unwrap();
    let (packet, mut head) = (&packet[6..], GatewayHead::new());
    let read = head.read_uwsgi(packet, &GatewayLimits::default());
    assert_eq!(read, Ok(Some(UwsgiPacket::Request { length: packet.len() })));
    let expected = ["request: PUT", "target: /a%2Fb?c", "path: /a/b", "query: c", "protocol: HTTP/1.1", "scheme: http"];
    assert_eq!(render(&head, packet)[..6], expected);
}

#[test]
fn what_does_not_fit_into_a_packet_is_rejected() {
    let length = |bytes: usize| {
        let mut out = Vec::new();
        variables(&with_headers(bytes), |_| {}).unwrap().write_uwsgi(&mut out).map(|()| out.len())
    };
    let most = (64_900..65_535).rev().find(|bytes| length(*bytes).is_ok()).unwrap();
    assert_eq!(length(most).unwrap(), 4 + 65_535);
    let mut out = b"before".to_vec();
    let passed = variables(&with_headers(most + 1), |_| {}).unwrap();
    assert_eq!(passed.write_uwsgi(&mut out), Err(WireError::VARIABLES_TOO_LARGE));
    assert_eq!(out, b"before");
}

#[test]
fn records_hold_whole_pairs() {
    let passed = variables(&with_headers(140_000), |_| {}).unwrap();
    let mut out = Vec::new();
    passed.write_fastcgi(&mut out, 1, true);
    assert_eq!(out[..16], [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
    let (mut rest, mut params, mut records) = (&out[16..], Vec::new(), 0);
    while let [1, 4, 0, 1, high, low, padding, 0, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let mut head = GatewayHead::new();
        let read = head.read_fastcgi(&after[..length], &GatewayLimits::default());
        assert_ne!(read, Err(WireError::VARIABLES_LENGTHS), "a pair in two records");
        params.extend_from_slice(&after[..length]);
        records += usize::from(length > 0);
        rest = &after[length + usize::from(*padding)..];
    }
    assert_eq!((rest.len(), out.len() % 8, &out[out.len() - 8..]), (0, 0, &[1, 4, 0, 1, 0, 0, 0, 0][..]));
    assert!(records >= 3);
    let mut head = GatewayHead::new();
    let limits = GatewayLimits { max_variables_bytes: usize::MAX, ..GatewayLimits::default() };
    head.read_fastcgi(&params, &limits).unwrap();
    assert_eq!(head.header(&params, "HTTP_X_0").map(<[u8]>::len), Some(9_990));
}
