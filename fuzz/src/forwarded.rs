//! What reverse proxies say of a request: whatever a client has put into these headers before, an error or values
//! that may go to an application, and nothing on the client's side of the list counts.

use crate::input::FuzzInput;
use crate::observed::{ObservedHead, observe};
use crate::reference::without_blanks;
use portico_wire::{Forwarded, Limits, Networks, RequestHead, Span, WireError, request_start_ns};
use std::net::{IpAddr, SocketAddr};

/// Lists of peers that are trusted; which one is a choice.
const TRUSTED: [&[&str]; 4] = [&["127.0.0.1", "10.0.0.0/8", "::1"], &["10.0.0.0/8", "unix"], &["*"], &["fd00::/8"]];

/// What is looked at: the values, not where they stand.
type Values = Option<(Option<portico_wire::Client>, Option<portico_wire::Scheme>, [Option<Vec<u8>>; 2], Option<u16>)>;

/// Takes the message for the head of a request that a reverse proxy passed on.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let trusted = networks(&input);
    let mut head = RequestHead::new();
    let Ok(Some(length)) = head.read(input.message, &Limits::default()) else { return };
    let _ = request_start_ns(&head, input.message);
    let observed = observe(&head, input.message, length);
    let values = read(&head, input.message, &trusted);
    if let Ok(Some((client, ..))) = &values {
        let named = entries(&observed, "x-forwarded-for");
        let is_standard = !entries(&observed, "forwarded").is_empty();
        let reached = client.and_then(|client| client.address);
        if !is_standard && let Some(expected) = walk(&named, &trusted) {
            assert_eq!(reached, Some(expected), "the walk along X-Forwarded-For");
        }
        // Where the walk has stopped at somebody who is not trusted, more to the left changes nothing.
        let stopped = reached.map_or(!trusted.contains_unix(), |address| !trusted.contains(address));
        for (family, name, invented) in [
            (!named.is_empty(), "X-Forwarded-For", "6.6.6.6, 10.0.0.1"),
            (is_standard, "Forwarded", "for=6.6.6.6;proto=http;host=evil, for=10.0.0.1"),
        ] {
            if family && stopped {
                check_invented(input.message, length, &trusted, &values, &format!("{name}: {invented}\r\n"));
            }
        }
    }
}

/// The trusted peers that an input chooses.
#[must_use]
pub fn networks(input: &FuzzInput) -> Networks {
    let list = TRUSTED[usize::try_from(input.choices >> 8 & 3).unwrap_or(0)];
    Networks::parse(list).expect("valid networks")
}

/// Reads the headers and checks that what the reader returns may be used.
fn read(head: &RequestHead, bytes: &[u8], trusted: &Networks) -> Result<Values, WireError> {
    let Some(forwarded) = Forwarded::read(head, bytes, trusted)? else { return Ok(None) };
    assert!(head.has_forwarded);
    let part = |span: Span| {
        assert!(span.start <= span.end && span.end as usize <= bytes.len());
        span.of(bytes).to_vec()
    };
    let (host, prefix) = (forwarded.host.map(part), forwarded.prefix.map(part));
    if let Some(host) = &host {
        // A comma may stand in a host (RFC 3986 3.2.2, sub-delims).
        let forbidden = |byte: &u8| !byte.is_ascii_graphic() || b"/@?#\"\\<>{}^|`".contains(byte);
        assert!(!host.is_empty() && !host.iter().any(forbidden), "the host {}", host.escape_ascii());
        let name = forwarded.server_name(bytes).unwrap_or_default();
        assert!(!name.is_empty() && host.starts_with(name), "the name {}", name.escape_ascii());
        assert!(forwarded.server_port(bytes).is_some());
    }
    if let Some(prefix) = &prefix {
        assert!(prefix.is_empty() || (prefix.starts_with(b"/") && !prefix.ends_with(b"/")));
        assert!(!prefix.starts_with(b"//") && !prefix.iter().any(u8::is_ascii_control));
    }
    assert_ne!(forwarded.port, Some(0));
    Ok(Some((forwarded.client, forwarded.scheme, [host, prefix], forwarded.server_port(bytes))))
}

/// Entries of a list header, all lines together.
fn entries(head: &ObservedHead, name: &str) -> Vec<Vec<u8>> {
    let named = head.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
    let entries = named.flat_map(|(_, value)| value.split(|&byte| byte == b',').map(without_blanks));
    entries.filter(|entry| !entry.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Whom the walk from the right reaches, where all that it passes is a plain address.
fn walk(entries: &[Vec<u8>], trusted: &Networks) -> Option<IpAddr> {
    let mut reached = None;
    for entry in entries.iter().rev() {
        let text = std::str::from_utf8(entry).ok().filter(|text| !text.contains('%'))?;
        // RFC 7239 6: a port has at most five digits; the library would pass over leading zeros.
        if text.rsplit(':').next().is_some_and(|port| port.len() > 5) && text.parse::<SocketAddr>().is_ok() {
            return None;
        }
        let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|both| both.ip())).ok()?;
        reached = Some(address.to_canonical());
        if !trusted.contains(address) {
            break;
        }
    }
    reached
}

/// Puts a line that a client has invented before all the others: nothing changes.
fn check_invented(bytes: &[u8], length: usize, trusted: &Networks, values: &Result<Values, WireError>, line: &str) {
    let head_bytes = &bytes[..length];
    let is_text = head_bytes.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(0);
    let request_line = head_bytes[is_text..].iter().position(|&byte| byte == b'\n').map_or(0, |end| is_text + end + 1);
    let with_line = [&head_bytes[..request_line], line.as_bytes(), &head_bytes[request_line..]].concat();
    let mut head = RequestHead::new();
    // One line more may be one too many.
    if let Ok(Some(_)) = head.read(&with_line, &Limits::default()) {
        assert_eq!(&read(&head, &with_line, trusted), values, "after {line}");
    }
}
