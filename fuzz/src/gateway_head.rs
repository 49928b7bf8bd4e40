//! The head of a uwsgi, FastCGI or SCGI request as plain values, and what has to hold for it whatever the variables:
//! the rules of `crates/wire/src/gateway.rs`, said a second time.

use crate::reference::{is_tchar, is_text};
use crate::variables::Variables;
use portico_wire::{Client, Framing, GatewayHead, GatewayLimits, Scheme, Span, Version};
use std::net::IpAddr;

/// All that [`GatewayHead`] says, independent of the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of GatewayHead
pub struct ObservedGateway {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub script_name: Vec<u8>,
    pub path_info: Vec<u8>,
    pub path_is_encoded: bool,
    pub query: Vec<u8>,
    pub protocol: Vec<u8>,
    pub version: Version,
    pub scheme: Option<Scheme>,
    pub client: Option<Client>,
    pub server_name: Vec<u8>,
    pub server_port: Vec<u8>,
    pub content_type: Vec<u8>,
    pub content_length: Option<u64>,
    pub framing: Framing,
    pub headers: Variables,
    pub variables: Variables,
    pub is_head: bool,
}

/// Variables that become fields of the head, or nothing at all.
const NOT_SHOWN: [&[u8]; 19] = [
    b"REQUEST_METHOD",
    b"CONTENT_LENGTH",
    b"CONTENT_TYPE",
    b"SERVER_PROTOCOL",
    b"REQUEST_URI",
    b"SCRIPT_NAME",
    b"PATH_INFO",
    b"QUERY_STRING",
    b"REMOTE_ADDR",
    b"REMOTE_PORT",
    b"SERVER_NAME",
    b"SERVER_PORT",
    b"UWSGI_SCHEME",
    b"HTTPS",
    b"REQUEST_SCHEME",
    b"SCGI",
    b"GATEWAY_INTERFACE",
    b"SERVER_SOFTWARE",
    b"",
];

/// Headers that are not for the application.
const NO_HEADERS: [&[u8]; 5] =
    [b"HTTP_PROXY", b"HTTP_CONTENT_LENGTH", b"HTTP_CONTENT_TYPE", b"HTTP_TRANSFER_ENCODING", b"HTTP_"];

/// The values of a head that was read from `bytes`; every span has to lie in them.
#[must_use]
pub fn observe(head: &GatewayHead, bytes: &[u8]) -> ObservedGateway {
    let part = |span: Span| {
        assert!(span.start <= span.end && span.end as usize <= bytes.len(), "{span:?} in {} bytes", bytes.len());
        span.of(bytes).to_vec()
    };
    let parts = |list: &[portico_wire::Header]| list.iter().map(|one| (part(one.name), part(one.value))).collect();
    // It looks at a value of the client's, and returns something whatever that is.
    let _ = head.request_start_ns(bytes);
    ObservedGateway {
        method: part(head.method),
        target: part(head.target),
        script_name: part(head.script_name),
        path_info: part(head.path_info),
        path_is_encoded: head.path_is_encoded,
        query: part(head.query),
        protocol: part(head.protocol),
        version: head.version,
        scheme: head.scheme,
        client: head.client,
        server_name: part(head.server_name),
        server_port: part(head.server_port),
        content_type: part(head.content_type),
        content_length: head.content_length,
        framing: head.framing(),
        headers: parts(&head.headers),
        variables: parts(&head.variables),
        is_head: head.is_head,
    }
}

/// Holds a head against the variables that it was made of; `is_whole` says that `PATH_INFO` holds `SCRIPT_NAME` too.
pub fn check_meaning(head: &ObservedGateway, given: &Variables, is_whole: bool, limits: &GatewayLimits) {
    assert!(given.len() <= limits.max_variables, "{} variables", given.len());
    for (name, value) in given {
        assert!(!name.is_empty() && !name.contains(&0) && !value.contains(&0), "a name or value for two readings");
    }
    check_shown(head, given);
    check_request(head, given);
    check_paths(head, given, is_whole);
    check_peers(head, given);
}

/// The last value of a name, which may be empty.
pub(crate) fn last<'a>(given: &'a Variables, name: &str) -> Option<&'a [u8]> {
    given.iter().rfind(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice())
}

/// The last value of a name; an empty one counts as absent.
pub(crate) fn present<'a>(given: &'a Variables, name: &str) -> Option<&'a [u8]> {
    last(given, name).filter(|value| !value.is_empty())
}

/// What becomes of the other variables: exactly those that may be shown, in order, whole.
fn check_shown(head: &ObservedGateway, given: &Variables) {
    let is_plain = |name: &[u8]| name.iter().all(|byte| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_".contains(byte));
    let is_header = |name: &[u8]| name.starts_with(b"HTTP_") && is_plain(name) && !NO_HEADERS.contains(&name);
    let is_variable = |name: &[u8]| {
        is_plain(name) && !name.starts_with(b"HTTP_") && !name.starts_with(b"UWSGI_") && !NOT_SHOWN.contains(&name)
    };
    let chosen = |wanted: &dyn Fn(&[u8]) -> bool| -> Variables {
        given.iter().filter(|(name, _)| wanted(name)).cloned().collect()
    };
    assert_eq!(head.headers, chosen(&is_header));
    assert_eq!(head.variables, chosen(&is_variable));
    for (name, value) in &head.headers {
        assert!(value.iter().all(|byte| is_text(*byte)), "a control character in {}", name.escape_ascii());
    }
    for name in ["REQUEST_METHOD", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST"] {
        assert!(given.iter().filter(|(known, _)| known == name.as_bytes()).count() <= 1, "{name} twice");
    }
    if let Some(host) = present(given, "HTTP_HOST") {
        let forbidden = |byte: &u8| !byte.is_ascii_graphic() || b"/@?#\"\\<>{}^|`".contains(byte);
        assert!(!host.iter().any(forbidden), "the host {}", host.escape_ascii());
    }
}

fn check_request(head: &ObservedGateway, given: &Variables) {
    assert_eq!(Some(&head.method[..]), present(given, "REQUEST_METHOD"));
    assert!(head.method.iter().all(|byte| is_tchar(*byte)));
    assert!(!matches!(&head.method[..], b"CONNECT" | b"TRACE"), "a method that is not allowed");
    assert_eq!(head.is_head, head.method == b"HEAD");
    assert_eq!(head.target, last(given, "REQUEST_URI").unwrap_or_default());
    assert!(head.target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#'));
    let behind = head.target.iter().position(|byte| *byte == b'?').map_or(&b""[..], |at| &head.target[at + 1..]);
    assert_eq!(head.query, last(given, "QUERY_STRING").unwrap_or(behind));
    assert_eq!(head.content_type, last(given, "CONTENT_TYPE").unwrap_or_default());
    for value in [&head.query, &head.content_type, &head.server_name] {
        assert!(value.iter().all(|byte| is_text(*byte)), "a control character in {}", value.escape_ascii());
    }
    let length = present(given, "CONTENT_LENGTH").map(|digits| {
        assert!(digits.iter().all(u8::is_ascii_digit), "the length {}", digits.escape_ascii());
        String::from_utf8_lossy(digits).parse::<u64>().expect("a length of 64 bits")
    });
    assert_eq!(head.content_length, length);
    assert_eq!(head.framing, length.map_or(Framing::Empty, Framing::Length), "framing is that of the length");
    assert_eq!(head.protocol, last(given, "SERVER_PROTOCOL").unwrap_or_default());
    let is_old = matches!(&head.protocol[..], b"HTTP/1.0" | b"HTTP/0.9");
    assert_eq!(head.version, if is_old { Version::Http10 } else { Version::Http11 });
}

/// Where the application is mounted and the path below are parts of what the reverse proxy said, never of the target
/// that the client chose, unless nothing else was said.
fn check_paths(head: &ObservedGateway, given: &Variables, is_whole: bool) {
    let (script, path) = (&head.script_name[..], &head.path_info[..]);
    assert!(script.is_empty() || (script.starts_with(b"/") && !script.ends_with(b"/")), "{}", script.escape_ascii());
    let is_asterisk = path == b"*" && head.method == b"OPTIONS";
    assert!(path.is_empty() || path.starts_with(b"/") || is_asterisk, "{}", path.escape_ascii());
    let said = last(given, "SCRIPT_NAME").unwrap_or_default();
    let end = said.iter().rposition(|byte| *byte != b'/').map_or(0, |end| end + 1);
    let mount = &said[..end];
    assert!(script == mount || script.is_empty());
    let both = [script, path].concat();
    match (last(given, "PATH_INFO"), present(given, "DOCUMENT_URI")) {
        (Some(whole), _) if is_whole => assert_eq!((&both[..], script), (whole, mount)),
        (Some(below), Some(document)) if below == document && below == said => {
            assert_eq!((script, path), (&b""[..], below));
        }
        (Some(below), _) => assert_eq!((script, path), (mount, below)),
        (None, Some(document)) => {
            assert_eq!(both, document);
            let is_below = document.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
            assert_eq!(script, if is_below && document != said { mount } else { b"" });
        }
        (None, None) if !said.is_empty() => assert_eq!((script, path), (&b""[..], said)),
        (None, None) => assert_eq!((script, path), (&b""[..], path_of(&head.target))),
    }
    let is_given = ["PATH_INFO", "DOCUMENT_URI", "SCRIPT_NAME"].iter().any(|name| present(given, name).is_some());
    assert_eq!(head.path_is_encoded, !is_given && last(given, "PATH_INFO").is_none(), "only a target has escapes");
}

/// Path of a target, of any form.
pub(crate) fn path_of(target: &[u8]) -> &[u8] {
    let rest = if matches!(target.first(), Some(b'/' | b'*')) {
        target
    } else {
        let colon = target.iter().position(|byte| *byte == b':').expect("a scheme");
        let rest = &target[colon + b"://".len()..];
        &rest[rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len())..]
    };
    &rest[..rest.iter().position(|byte| *byte == b'?').unwrap_or(rest.len())]
}

fn check_peers(head: &ObservedGateway, given: &Variables) {
    let names = ["UWSGI_SCHEME", "HTTPS", "REQUEST_SCHEME"];
    let said = names.iter().find_map(|name| present(given, name)).map(<[u8]>::to_ascii_lowercase);
    let scheme = said.map(|said| match &said[..] {
        b"https" | b"wss" | b"on" | b"1" => Scheme::Https,
        b"http" | b"ws" | b"off" | b"0" => Scheme::Http,
        other => panic!("the scheme {}", other.escape_ascii()),
    });
    assert_eq!(head.scheme, scheme);
    assert_eq!(head.server_name, last(given, "SERVER_NAME").unwrap_or_default());
    assert_eq!(head.server_port, last(given, "SERVER_PORT").unwrap_or_default());
    let port = |digits: &[u8]| {
        assert!(digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit), "the port {}", digits.escape_ascii());
        String::from_utf8_lossy(digits).parse::<u16>().expect("a port")
    };
    present(given, "SERVER_PORT").map(port);
    let address = present(given, "REMOTE_ADDR");
    let client = address.map(|address| match address {
        b"unix:" => Client::default(),
        address => {
            let address: IpAddr = String::from_utf8_lossy(address).parse().expect("an address");
            let port = present(given, "REMOTE_PORT").map(port).filter(|port| *port != 0);
            Client { address: Some(address.to_canonical()), port }
        }
    });
    assert_eq!(head.client, client);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::write_fastcgi;

    fn given() -> Variables {
        let given: [(&[u8], &[u8]); 14] = [
            (b"REQUEST_METHOD", b"POST"),
            (b"REQUEST_URI", b"/app/x%20y?q"),
            (b"SCRIPT_NAME", b"/app/"),
            (b"PATH_INFO", b"/x y"),
            (b"CONTENT_LENGTH", b"3"),
            (b"SERVER_PROTOCOL", b"HTTP/1.0"),
            (b"HTTPS", b"on"),
            (b"REMOTE_ADDR", b"192.0.2.7"),
            (b"REMOTE_PORT", b"50000"),
            (b"HTTP_HOST", b"a"),
            (b"HTTP_PROXY", b"evil"),
            (b"wsgi.input", b"evil"),
            (b"UWSGI_FILE", b"evil"),
            (b"REMOTE_USER", b"u"),
        ];
        given.map(|(name, value)| (name.to_vec(), value.to_vec())).to_vec()
    }

    fn observed() -> ObservedGateway {
        let params = write_fastcgi(&given(), false);
        let mut head = GatewayHead::new();
        head.read_fastcgi(&params, &GatewayLimits::default()).unwrap();
        observe(&head, &params)
    }

    #[test]
    fn a_true_head_passes() {
        check_meaning(&observed(), &given(), false, &GatewayLimits::default());
    }

    /// Each of these is what a wrong reader might say.
    #[test]
    fn a_false_head_is_noticed() {
        type Falsify = fn(&mut ObservedGateway);
        let falsify: [(&str, Falsify); 13] = [
            ("method", |head| head.method.push(b'T')),
            ("target", |head| head.target.clear()),
            ("query", |head| head.query.clear()),
            ("mount", |head| head.script_name.clear()),
            ("mount's slash", |head| head.script_name.push(b'/')),
            ("path", |head| head.path_info = b"/x%20y".to_vec()),
            ("length", |head| head.content_length = None),
            ("framing", |head| head.framing = Framing::Empty),
            ("version", |head| head.version = Version::Http11),
            ("scheme", |head| head.scheme = None),
            ("client", |head| head.client = None),
            ("header", |head| head.headers.push((b"HTTP_PROXY".to_vec(), b"evil".to_vec()))),
            ("key", |head| head.variables.push((b"wsgi.input".to_vec(), b"evil".to_vec()))),
        ];
        for (what, falsify) in falsify {
            let mut head = observed();
            falsify(&mut head);
            let noticed = std::panic::catch_unwind(|| check_meaning(&head, &given(), false, &GatewayLimits::default()));
            assert!(noticed.is_err(), "a wrong {what} was not noticed");
        }
        let limits = GatewayLimits { max_variables: 13, ..GatewayLimits::default() };
        assert!(std::panic::catch_unwind(|| check_meaning(&observed(), &given(), false, &limits)).is_err());
        assert!(std::panic::catch_unwind(|| check_meaning(&observed(), &given(), true, &limits)).is_err());
    }
}
