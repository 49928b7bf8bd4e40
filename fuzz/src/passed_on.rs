//! Requests that are passed on: whatever a client sends, the server reads exactly one request, which is the one that was
//! read here, and is told of the client only what we or a believed peer say.

use crate::input::FuzzInput;
use crate::observed::{ObservedHead, observe, read};
use crate::records::split;
use crate::variables;
use portico_wire::{
    ForwardedFamily, Forwarding, Framing, GatewayHead, GatewayLimits, Limits, PassedConnection, PassedOn, RequestHead,
    Scheme, TargetForm, UwsgiPacket, Version, WireError, is_forwarded_name, is_hop_by_hop, percent_decode_into,
};
use std::net::{IpAddr, Ipv4Addr};

/// Our peer; no input has it.
const PEER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 250);

/// Takes the message for a request of a client.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let bytes = input.message;
    let mut head = RequestHead::new();
    let Ok(Some(length)) = head.read(bytes, &Limits::default()) else { return };
    let family = match input.choices & 3 {
        0 => ForwardedFamily::XForwarded,
        1 => ForwardedFamily::Standard,
        _ => ForwardedFamily::Neither,
    };
    let connection = match input.choices >> 2 & 3 {
        0 if head.upgrade => PassedConnection::Upgrade,
        1 => PassedConnection::Close,
        _ => PassedConnection::Keep,
    };
    let is_trusted = input.choices & 0x100 != 0;
    let forwarding = Forwarding { family, is_trusted, peer: Some(IpAddr::V4(PEER)), scheme: Scheme::Http };
    let framing = head.framing;
    let passed_on = PassedOn {
        head: &head,
        bytes,
        target: None,
        prefix: b"",
        host: None,
        framing,
        connection,
        forwarding,
        understood: None,
        trace: None,
        via: "v",
    };
    let mut out = Vec::new();
    passed_on.write(&mut out).expect("a head that was read can be passed on");

    let limits = Limits { max_head_bytes: usize::MAX, max_headers: usize::MAX, ..unbounded() };
    let sent = read(&mut RequestHead::new(), &out, &limits).expect("a valid head").expect("a whole head");
    assert_eq!(sent.length, out.len(), "not one request");
    check_same(&observe(&head, bytes, length), &sent, is_trusted);
    check_said(&sent, forwarding, connection);
    check_variables(&passed_on, &sent);
}

/// What a server of uwsgi or FastCGI is told is the request that one of HTTP is sent.
fn check_variables(request: &PassedOn<'_>, sent: &ObservedHead) {
    let passed = match request.variables(&[]) {
        Ok(passed) => passed,
        // A NUL in the path.
        Err(error) => return assert_eq!(error, WireError::VARIABLE_VALUE),
    };
    let (mut packet, mut records) = (Vec::new(), Vec::new());
    passed.write_fastcgi(&mut records, 1, true);
    let content: Vec<u8> = split(&records).0[1..].iter().flat_map(|record| record.content.to_vec()).collect();
    let over_fastcgi = variables::read_fastcgi(&content).expect("lengths that add up");
    if let Err(error) = passed.write_uwsgi(&mut packet) {
        assert_eq!((error, packet.len()), (WireError::VARIABLES_TOO_LARGE, 0));
        return assert_eq!(variables::write_uwsgi(0, &over_fastcgi), None);
    }
    let over_uwsgi = variables::read_uwsgi(&packet[4..]).expect("lengths that add up");
    assert_eq!(over_fastcgi, over_uwsgi);
    let value = |name: &str| -> Option<&[u8]> {
        let mut named = over_uwsgi.iter().filter(|(known, _)| known == name.as_bytes());
        let found = named.next().map(|(_, value)| &value[..]);
        assert!(named.next().is_none(), "{name} comes twice");
        found
    };
    for (name, _) in &over_uwsgi {
        let _ = value(std::str::from_utf8(name).expect("a name of ASCII"));
        assert!(name.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_')) && name != b"HTTP_PROXY");
        if let Some(header) = name.strip_prefix(b"HTTP_") {
            let header: String =
                header.iter().map(|byte| if *byte == b'_' { '-' } else { char::from(*byte) }).collect();
            assert!(!is_hop_by_hop(header.as_bytes()) && !named(sent, &header).is_empty(), "{header} was not sent");
        }
    }
    assert_eq!(value("REQUEST_METHOD"), Some(&sent.method[..]));
    let mut path = Vec::new();
    percent_decode_into(&sent.path, &mut path);
    assert_eq!((value("PATH_INFO"), value("QUERY_STRING")), (Some(&path[..]), Some(&sent.query[..])));
    let length = match sent.framing {
        Framing::Length(length) => Some(length.to_string()),
        Framing::Empty | Framing::Chunked => None,
    };
    assert_eq!(value("CONTENT_LENGTH"), length.as_deref().map(str::as_bytes));
    let mut read = GatewayHead::new();
    let limits = GatewayLimits { max_variables: usize::MAX, ..GatewayLimits::default() };
    // Our own listener takes it, but for what it rejects in any request: then it says why.
    if let Ok(packet_read) = read.read_uwsgi(&packet, &limits) {
        assert_eq!(packet_read, Some(UwsgiPacket::Request { length: packet.len() }));
        assert_eq!((read.method.of(&packet), read.framing()), (&sent.method[..], framing_passed(sent.framing)));
    }
}

/// That of a body whose length is not known is another matter over these protocols.
fn framing_passed(framing: Framing) -> Framing {
    if framing == Framing::Chunked { Framing::Empty } else { framing }
}

/// Lines grow by what is added to them.
fn unbounded() -> Limits {
    Limits { max_request_line_bytes: usize::MAX / 4, max_header_bytes: usize::MAX / 4, ..Limits::default() }
}

/// The server reads the request that was read here.
fn check_same(came: &ObservedHead, sent: &ObservedHead, is_trusted: bool) {
    assert_eq!((&came.method, came.framing, sent.version), (&sent.method, sent.framing, Version::Http11));
    assert_eq!(came.query, sent.query);
    assert_ne!(sent.form, TargetForm::Absolute);
    match &came.path[..] {
        [] => assert!(matches!(&sent.path[..], b"/" | b"*")),
        path => assert_eq!(path, &sent.path[..]),
    }
    if came.form == TargetForm::Absolute {
        assert_eq!(named(sent, "host"), [&came.authority[..]]);
    } else {
        assert_eq!(named(sent, "host"), [named(came, "host").first().copied().unwrap_or_default()]);
    }
    // What is neither ours nor said of this connection is passed on, in order, and nothing else.
    let options: Vec<Vec<u8>> = named(came, "connection")
        .iter()
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|option| option.trim_ascii().to_ascii_lowercase())
        .collect();
    let is_ours = |name: &[u8]| {
        let name = name.to_ascii_lowercase();
        matches!(&name[..], b"host" | b"expect" | b"content-length" | b"proxy-connection" | b"via")
            || is_hop_by_hop(&name)
            || is_forwarded_name(&name)
            // CGI cannot tell these from others.
            || name.contains(&b'_')
    };
    let kept = |head: &ObservedHead, is_named: &dyn Fn(&[u8]) -> bool| -> Vec<(Vec<u8>, Vec<u8>)> {
        let fields = head.headers.iter();
        fields.filter(|(name, _)| !is_ours(name) && !is_named(name)).cloned().collect()
    };
    let is_option = |name: &[u8]| options.contains(&name.to_ascii_lowercase());
    assert_eq!(kept(came, &is_option), kept(sent, &|_| false));
    if !is_trusted {
        // What says the same as we is no invention.
        let peer = PEER.to_string();
        let is_invented = |value: &[u8]| value.len() > 8 && !String::from_utf8_lossy(value).contains(&peer);
        let invented = came.headers.iter().filter(|(name, value)| is_forwarded_name(name) && is_invented(value));
        for (name, value) in invented {
            let is_said = sent.headers.iter().any(|(other, said)| is_forwarded_name(other) && said == value);
            let hosts = named(sent, "host");
            assert!(!is_said || hosts == [&value[..]], "what a client invents as {}", name.escape_ascii());
        }
    }
}

/// What is said of the client and of the connection.
fn check_said(sent: &ObservedHead, forwarding: Forwarding, connection: PassedConnection) {
    let peer = PEER.to_string();
    let ends = |name: &str, with: &str| {
        let values = named(sent, name);
        assert!(matches!(&values[..], [one] if one.ends_with(with.as_bytes())), "{name}: {values:?}");
    };
    match forwarding.family {
        // A believed peer that speaks the other family is added to there.
        ForwardedFamily::XForwarded if !named(sent, "forwarded").is_empty() => {
            ends("forwarded", &format!("for={peer}"));
        }
        ForwardedFamily::XForwarded => ends("x-forwarded-for", &peer),
        ForwardedFamily::Standard => {
            let host = String::from_utf8_lossy(named(sent, "host").first().copied().unwrap_or_default()).into_owned();
            let host = if host.is_empty() { host } else { format!(";host=\"{host}\"") };
            ends("forwarded", &format!("for={peer};proto=http{host}"));
        }
        ForwardedFamily::Neither => {}
    }
    let expected: &[&[u8]] = match connection {
        PassedConnection::Keep => &[],
        PassedConnection::Close => &[b"close"],
        PassedConnection::Upgrade => &[b"upgrade"],
    };
    assert_eq!(named(sent, "connection"), expected);
    assert_eq!(named(sent, "upgrade").len(), usize::from(connection == PassedConnection::Upgrade));
    let [keep_alive, _, _, upgrade] = sent.flags;
    assert_eq!((keep_alive, upgrade), (connection != PassedConnection::Close, connection == PassedConnection::Upgrade));
    assert!(matches!(sent.framing, Framing::Empty | Framing::Length(_) | Framing::Chunked));
}

/// The values of all fields of a name.
fn named<'a>(head: &'a ObservedHead, name: &str) -> Vec<&'a [u8]> {
    let fields = head.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
    fields.map(|(_, value)| &value[..]).collect()
}
