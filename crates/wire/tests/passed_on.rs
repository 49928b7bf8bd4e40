//! Requests that are passed on: what stays, what goes, what is added, and that nothing makes two requests of one.

use portico_wire::{
    ForwardedFamily, Forwarding, Framing, HopByHop, Limits, PassedConnection, PassedOn, PassedTrace, RequestHead,
    Scheme, Span, TraceParent, WireError,
};
use std::net::IpAddr;

const FROM_CLIENT: Forwarding = Forwarding {
    family: ForwardedFamily::XForwarded,
    is_trusted: false,
    peer: Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7))),
    scheme: Scheme::Http,
};
const SILENT: Forwarding = Forwarding { family: ForwardedFamily::Neither, ..FROM_CLIENT };

fn head_of(bytes: &[u8]) -> RequestHead {
    let mut head = RequestHead::new();
    assert_eq!(head.read(bytes, &Limits::default()), Ok(Some(bytes.len())), "{}", bytes.escape_ascii());
    head
}

fn passed_on<'a>(head: &'a RequestHead, bytes: &'a [u8], forwarding: Forwarding) -> PassedOn<'a> {
    let (framing, connection) = (head.framing, PassedConnection::Keep);
    let understood = None;
    PassedOn {
        head,
        bytes,
        target: None,
        prefix: b"",
        host: None,
        framing,
        connection,
        forwarding,
        understood,
        trace: None,
        via: "",
    }
}

/// What becomes of a request, with its CRLFs shown as line ends.
fn written(request: &str, change: impl Fn(&mut PassedOn<'_>), forwarding: Forwarding) -> String {
    let bytes = request.replace('\n', "\r\n").into_bytes();
    let head = head_of(&bytes);
    let mut out = Vec::new();
    let mut passed_on = passed_on(&head, &bytes, forwarding);
    change(&mut passed_on);
    passed_on.write(&mut out).unwrap();
    head_of(&out);
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

fn with(fields: &str, forwarding: Forwarding) -> String {
    let request = format!("GET /p?q HTTP/1.1\nHost: a\n{fields}\n");
    let out = written(&request, |_| {}, forwarding);
    out.strip_prefix("GET /p?q HTTP/1.1\nHost: a\n").unwrap().strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn end_to_end_fields_are_passed_on_as_they_came() {
    assert_eq!(with("X-A: b\nx-a:\nCookie: c=\u{e9}\n", SILENT), "X-A: b\nx-a: \nCookie: c=\u{e9}\n");
}

#[test]
fn names_that_look_like_others_are_not_passed_on() {
    assert_eq!(with("X_Forwarded_For: 6.6.6.6\nX-A: b\nA_: c\n", SILENT), "X-A: b\n");
}

#[test]
fn fields_for_one_connection_are_not_passed_on() {
    let fields = "Connection: X-One, keep-alive,, x-TWO\nX-One: 1\nX-Two: 2\nX-Three: 3\nKeep-Alive: 5\nTE: trailers\n\
        Trailer: X\nProxy-Connection: x\nProxy-Authorization: x\nUpgrade: y\nExpect: 100-continue\n";
    assert_eq!(with(fields, SILENT), "X-Three: 3\n");
}

#[test]
fn connection_cannot_remove_what_frames_routes_or_tells() {
    let request = "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nConnection: host, content-length, x-forwarded-for\n\n";
    let out = written(request, |_| {}, FROM_CLIENT);
    assert_eq!(
        out,
        "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\n\
         X-Forwarded-Host: a\n\n"
    );
}

#[test]
fn many_options_are_found_among_many_fields() {
    let options: Vec<String> = (0..2_000).map(|index| format!("x-{index}")).collect();
    let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n", options.join(",")).into_bytes();
    let hop_by_hop = HopByHop::of(&head_of(&bytes).headers, &bytes);
    assert!(options.iter().all(|option| hop_by_hop.contains(option.to_ascii_uppercase().as_bytes())));
    assert!(!hop_by_hop.contains(b"x-2000") && !hop_by_hop.contains(b"") && !hop_by_hop.contains(b"close"));
}

#[test]
fn targets_have_their_origin_form() {
    for (line, target, host) in [
        ("GET /a?b HTTP/1.1", "/a?b", "h"),
        ("GET /a? HTTP/1.1", "/a?", "h"),
        ("GET http://o:1/a?b HTTP/1.1", "/a?b", "o:1"),
        ("GET http://o HTTP/1.1", "/", "o"),
        ("GET http://o?b HTTP/1.1", "/?b", "o"),
        ("OPTIONS * HTTP/1.1", "*", "h"),
        ("OPTIONS http://o HTTP/1.1", "*", "o"),
        ("OPTIONS http://o/ HTTP/1.1", "/", "o"),
    ] {
        let out = written(&format!("{line}\nHost: h\n\n"), |_| {}, SILENT);
        let method = line.split(' ').next().unwrap();
        assert_eq!(out, format!("{method} {target} HTTP/1.1\nHost: {host}\n\n"), "{line}");
    }
}

#[test]
fn an_old_request_becomes_one_of_http_1_1() {
    let out = written("GET / HTTP/1.0\n\n", |_| {}, FROM_CLIENT);
    assert_eq!(out, "GET / HTTP/1.1\nHost: \nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\n\n");
}

#[test]
fn target_host_framing_and_connection_may_be_others() {
    let request = "GET /p HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: x, y\nUpgrade: z\n\n";
    let change = |request: &mut PassedOn<'_>| {
        request.target = Some(b"/other");
        request.host = Some(b"b:1");
        request.framing = Framing::Chunked;
        request.connection = PassedConnection::Upgrade;
        request.via = "portico";
    };
    assert_eq!(
        written(request, change, SILENT),
        "GET /other HTTP/1.1\nHost: b:1\nTransfer-Encoding: chunked\nConnection: upgrade\nUpgrade: x, y, z\n\
         Via: 1.1 portico\n\n"
    );
    let close = |request: &mut PassedOn<'_>| request.connection = PassedConnection::Close;
    assert_eq!(written(request, close, SILENT), "GET /p HTTP/1.1\nHost: a\nConnection: close\n\n");
}

#[test]
fn what_an_unknown_client_says_of_itself_is_left_out() {
    let fields = "X-Forwarded-For: 6.6.6.6\nForwarded: for=6.6.6.6\nX-Forwarded-Host: evil\nX-Forwarded-Port: 1\n\
        X-Forwarded-Prefix: /evil\nX-Request-Start: t=1\n";
    assert_eq!(with(fields, FROM_CLIENT), "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\nX-Forwarded-Host: a\n");
    assert_eq!(with(fields, SILENT), "");
    let of_unix = Forwarding { peer: None, scheme: Scheme::Https, ..FROM_CLIENT };
    assert_eq!(with(fields, of_unix), "X-Forwarded-Proto: https\nX-Forwarded-Host: a\n");
}

#[test]
fn what_a_believed_reverse_proxy_says_is_added_to() {
    let fields = "X-Forwarded-For: 198.51.100.1\nX-Forwarded-Proto: https\nX-Forwarded-For: 198.51.100.2, 10.0.0.1\n\
        X-Forwarded-Host: o\n";
    let trusted = Forwarding { is_trusted: true, ..FROM_CLIENT };
    assert_eq!(
        with(fields, trusted),
        "X-Forwarded-Proto: https\nX-Forwarded-Host: o\nX-Forwarded-For: 198.51.100.1, 198.51.100.2, 10.0.0.1, 192.0.2.7\n"
    );
    let of_unix = Forwarding { peer: None, ..trusted };
    assert_eq!(
        with("X-Forwarded-For: 198.51.100.1\n", of_unix),
        "X-Forwarded-For: 198.51.100.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: a\n"
    );
    assert_eq!(with("X-Forwarded-For: x\n", Forwarding { is_trusted: true, ..SILENT }), "X-Forwarded-For: x\n");
}

#[test]
fn a_believed_reverse_proxy_is_not_contradicted_in_the_other_family() {
    let trusted = Forwarding { is_trusted: true, ..FROM_CLIENT };
    let standard = "Forwarded: for=198.51.100.1;proto=https;host=o\n";
    assert_eq!(with(standard, trusted), "Forwarded: for=198.51.100.1;proto=https;host=o, for=192.0.2.7\n");
    assert_eq!(with(standard, Forwarding { peer: None, ..trusted }), standard);
    assert_eq!(
        with(&format!("X-Forwarded-For: 198.51.100.1\nX-Forwarded-Proto: https\n{standard}"), trusted),
        "X-Forwarded-Proto: https\nX-Forwarded-For: 198.51.100.1, 192.0.2.7\n\
         Forwarded: for=198.51.100.1;proto=https;host=o, for=192.0.2.7\n"
    );
}

#[test]
fn what_was_taken_from_the_path_is_passed_on() {
    let request = "GET /a/b HTTP/1.1\nHost: a\nX-Forwarded-Prefix: /outer\n\n";
    let change = |request: &mut PassedOn<'_>| {
        request.target = Some(b"/b");
        request.prefix = b"/a";
    };
    assert_eq!(written(request, change, SILENT), "GET /b HTTP/1.1\nHost: a\nX-Forwarded-Prefix: /a\n\n");
    let trusted = Forwarding { is_trusted: true, ..SILENT };
    assert_eq!(written(request, change, trusted), "GET /b HTTP/1.1\nHost: a\nX-Forwarded-Prefix: /outer/a\n\n");
}

#[test]
fn the_standard_header_has_one_element_for_each_server() {
    let standard = Forwarding { family: ForwardedFamily::Standard, ..FROM_CLIENT };
    assert_eq!(with("Forwarded: for=6.6.6.6\n", standard), "Forwarded: for=192.0.2.7;proto=http;host=\"a\"\n");
    let trusted = Forwarding { is_trusted: true, peer: Some("2001:db8::1".parse().unwrap()), ..standard };
    assert_eq!(
        with("Forwarded: for=198.51.100.1\n", trusted),
        "Forwarded: for=198.51.100.1, for=\"[2001:db8::1]\";proto=http;host=\"a\"\n"
    );
    assert_eq!(with("", Forwarding { peer: None, ..standard }), "Forwarded: for=unknown;proto=http;host=\"a\"\n");
}

/// Heads as only variables of a reverse proxy could make them.
#[test]
fn nothing_makes_two_requests_of_one() {
    type Falsify = fn(&mut RequestHead, Span);
    let bytes = b"GET /p HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\nevil\r\nX: y";
    let end = u32::try_from(bytes.len()).unwrap();
    let evil = Span { start: end - 10, end };
    assert_eq!(evil.of(bytes), b"evil\r\nX: y");
    let falsify: [(Falsify, WireError); 5] = [
        (|head, evil| head.method = evil, WireError::METHOD),
        (|head, evil| head.target = evil, WireError::TARGET_CHARACTER),
        (|head, evil| head.headers[0].value = evil, WireError::HOST_INVALID),
        (|head, evil| head.headers[1].name = evil, WireError::FIELD_NAME),
        (|head, evil| head.headers[1].value = evil, WireError::FIELD_VALUE),
    ];
    for (falsify, error) in falsify {
        let mut head = RequestHead::new();
        head.read(bytes, &Limits::default()).unwrap();
        falsify(&mut head, evil);
        let mut out = b"before".to_vec();
        assert_eq!(passed_on(&head, bytes, FROM_CLIENT).write(&mut out), Err(error));
        assert_eq!(out, b"before");
    }
    let head = head_of(&bytes[..bytes.len() - 10]);
    let other = |target, host| PassedOn { target, host, ..passed_on(&head, bytes, SILENT) }.write(&mut Vec::new());
    assert_eq!(other(Some(b"/ HTTP/1.1\r\n"), None), Err(WireError::TARGET_CHARACTER));
    assert_eq!(other(None, Some(b"a\r\nX: y")), Err(WireError::HOST_INVALID));
}

#[test]
fn a_trace_of_ours_replaces_what_the_request_came_with() {
    let field = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let fields = "TraceParent: theirs\nTraceState: a=b\ntracestate: c=d\n";
    let with = |trace: Option<PassedTrace>| {
        let request = format!("GET / HTTP/1.1\nHost: a\n{fields}\n");
        let out = written(&request, |passed_on| passed_on.trace = trace, SILENT);
        out.strip_prefix("GET / HTTP/1.1\nHost: a\n").unwrap().strip_suffix('\n').unwrap().to_owned()
    };
    let parent = TraceParent::read(field.as_bytes()).unwrap();
    assert_eq!(with(None), fields);
    let kept = with(Some(PassedTrace { parent, keeps_state: true }));
    assert_eq!(kept, format!("TraceState: a=b\ntracestate: c=d\ntraceparent: {field}\n"));
    assert_eq!(with(Some(PassedTrace { parent, keeps_state: false })), format!("traceparent: {field}\n"));
}
