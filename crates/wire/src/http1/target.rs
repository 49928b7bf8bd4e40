//! What a request target means: its form and its parts, RFC 9112 3.2.

use std::net::Ipv6Addr;

use crate::grammar::{REGISTERED_NAME, hex_digit, is_target};
use crate::{RequestHead, Span, TargetForm, WireError};

/// Fills in `form`, `scheme`, `authority`, `path` and `query` from the method and the target.
pub(crate) fn interpret(head: &mut RequestHead, window: &[u8]) -> Result<(), WireError> {
    let method = head.method.of(window);
    let target = head.target.of(window);
    let start = head.target.start as usize;
    if !is_target(target) {
        return Err(WireError::TARGET_CHARACTER);
    }
    // RFC 9110 9.3.6: there is no tunnel here. 9.3.8: TRACE would show a script the headers that are hidden from it.
    if matches!(method, b"CONNECT" | b"TRACE") {
        return Err(WireError::METHOD_NOT_ALLOWED);
    }
    match target {
        // RFC 9112 3.2.1.
        [b'/', ..] => {
            head.form = TargetForm::Origin;
            set_path_and_query(head, target, start);
        }
        // RFC 9112 3.2.4.
        b"*" if method == b"OPTIONS" => {
            head.form = TargetForm::Asterisk;
            head.path = head.target;
        }
        _ => return interpret_absolute(head, target, start),
    }
    Ok(())
}

/// RFC 9112 3.2.2. Only the schemes this server can be reached by are taken.
fn interpret_absolute(head: &mut RequestHead, target: &[u8], start: usize) -> Result<(), WireError> {
    let scheme_length = memchr::memchr(b':', target).ok_or(WireError::TARGET_FORM)?;
    let (scheme, after_scheme) = target.split_at(scheme_length);
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(WireError::TARGET_FORM);
    }
    let rest = after_scheme.strip_prefix(b"://").ok_or(WireError::TARGET_FORM)?;
    let authority_length = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(authority_length);
    // RFC 9110 4.2.1 and 4.2.4: an empty host, or a user name, makes the target invalid.
    if !is_authority(authority) {
        return Err(WireError::TARGET_AUTHORITY);
    }
    let authority_start = start + scheme_length + b"://".len();
    let authority_end = authority_start + authority_length;
    head.form = TargetForm::Absolute;
    head.scheme = Span::new(start, start + scheme_length);
    head.authority = Span::new(authority_start, authority_end);
    set_path_and_query(head, path_and_query, authority_end);
    Ok(())
}

/// Splits `path_and_query`, found at index `start`, at its first `?`.
fn set_path_and_query(head: &mut RequestHead, path_and_query: &[u8], start: usize) {
    let end = start + path_and_query.len();
    let path_end = memchr::memchr(b'?', path_and_query).map_or(end, |length| start + length);
    head.path = Span::new(start, path_end);
    head.query = Span::new((path_end + 1).min(end), end);
}

/// Whether `authority` is `uri-host [ ":" port ]` with a host that is not empty: RFC 9110 7.2, RFC 3986 3.2.2.
pub(crate) fn is_authority(authority: &[u8]) -> bool {
    let (host_is_valid, after_host) = if let [b'[', literal @ ..] = authority {
        let Some(length) = memchr::memchr(b']', literal) else {
            return false;
        };
        let (address, after) = literal.split_at(length);
        (is_ipv6_address(address), after.get(1..).unwrap_or_default())
    } else {
        let name_length = registered_name_length(authority);
        let (_, after) = authority.split_at(name_length);
        (name_length > 0, after)
    };
    host_is_valid
        && match after_host {
            // RFC 3986 3.2.3: a port may be empty.
            [] | [b':'] => true,
            [b':', digits @ ..] => is_port(digits),
            _ => false,
        }
}

/// An IPv6 address; no zones and no future versions, which no Host ever had.
fn is_ipv6_address(address: &[u8]) -> bool {
    str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// How many bytes at the start are a `reg-name` (which an IPv4 address is too), RFC 3986 3.2.2.
fn registered_name_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    loop {
        let plain = rest.iter().position(|&byte| !REGISTERED_NAME[byte as usize]).unwrap_or(rest.len());
        rest = rest.get(plain..).unwrap_or_default();
        match rest {
            [b'%', high, low, after @ ..] if hex_digit(*high).is_some() && hex_digit(*low).is_some() => rest = after,
            _ => return bytes.len() - rest.len(),
        }
    }
}

/// A decimal number that a port can be.
fn is_port(digits: &[u8]) -> bool {
    const NONE: u32 = u16::MAX as u32 + 1;
    let port = digits
        .iter()
        .try_fold(0u32, |port, byte| byte.is_ascii_digit().then(|| (port * 10 + u32::from(byte - b'0')).min(NONE)));
    port.is_some_and(|port| port < NONE)
}
