//! Why a request of variables may be rejected: only for what is really wrong with them.

use crate::gateway_head::{last, path_of, present};
use crate::reference::{is_tchar, is_text};
use crate::variables::Variables;
use portico_wire::{GatewayLimits, WireError};
use std::net::IpAddr;

/// Looks for what `error` says in the variables; for the grammar of targets and hosts, which the HTTP targets look
/// at, only that there is one.
pub fn check_error(error: WireError, given: &Variables, is_whole: bool, limits: &GatewayLimits) {
    let of = |name: &str| present(given, name);
    let is_justified = match error {
        WireError::TOO_MANY_VARIABLES => given.len() > limits.max_variables,
        WireError::VARIABLE_NAME => given.iter().any(|(name, _)| name.is_empty() || name.contains(&0)),
        WireError::VARIABLE_VALUE => given.iter().any(|(_, value)| value.contains(&0)),
        WireError::FIELD_VALUE => {
            given.iter().any(|(name, value)| is_of_client(name) && !value.iter().all(|&b| is_text(b)))
        }
        WireError::VARIABLE_REPEATED => count(given, "REQUEST_METHOD") > 1,
        WireError::CONTENT_LENGTH_REPEATED => count(given, "CONTENT_LENGTH") > 1,
        WireError::CONTENT_TYPE_REPEATED => count(given, "CONTENT_TYPE") > 1,
        WireError::HOST_REPEATED => count(given, "HTTP_HOST") > 1,
        WireError::METHOD_MISSING => of("REQUEST_METHOD").is_none(),
        WireError::METHOD => of("REQUEST_METHOD").is_some_and(|method| !method.iter().all(|&byte| is_tchar(byte))),
        WireError::METHOD_NOT_ALLOWED => matches!(of("REQUEST_METHOD"), Some(b"CONNECT" | b"TRACE")),
        WireError::TARGET_CHARACTER | WireError::TARGET_FORM | WireError::TARGET_AUTHORITY => {
            of("REQUEST_URI").is_some()
        }
        WireError::HOST_INVALID => of("HTTP_HOST").is_some(),
        WireError::PATH_MISSING | WireError::PATH_INVALID | WireError::PATH_NOT_BELOW => {
            is_path_wrong(error, given, is_whole)
        }
        WireError::VERSION_SYNTAX => {
            !matches!(of("SERVER_PROTOCOL"), None | Some(b"HTTP/1.0" | b"HTTP/1.1" | b"HTTP/2.0" | b"HTTP/3"))
        }
        WireError::SCHEME_INVALID => {
            let wrong = |name, known: [&[u8]; 4]| {
                of(name).is_some_and(|value| !known.contains(&&value.to_ascii_lowercase()[..]))
            };
            wrong("HTTPS", [b"on", b"off", b"0", b"1"])
                || ["UWSGI_SCHEME", "REQUEST_SCHEME"].iter().any(|name| wrong(name, [b"http", b"https", b"ws", b"wss"]))
        }
        WireError::REMOTE_ADDR_INVALID => of("REMOTE_ADDR").is_some_and(|text| text != b"unix:" && !is_address(text)),
        WireError::REMOTE_PORT_INVALID => of("REMOTE_PORT").is_some_and(|port| !is_port(port)),
        WireError::SERVER_PORT_INVALID => of("SERVER_PORT").is_some_and(|port| !is_port(port)),
        WireError::CONTENT_LENGTH_INVALID => of("CONTENT_LENGTH").is_some_and(|digits| number(digits).is_none()),
        _ => false,
    };
    assert!(is_justified, "rejected because {error}");
}

fn count(given: &Variables, name: &str) -> usize {
    given.iter().filter(|(known, _)| known == name.as_bytes()).count()
}

/// Whether the client could be behind a variable.
fn is_of_client(name: &[u8]) -> bool {
    name.starts_with(b"HTTP_") || matches!(name, b"CONTENT_TYPE" | b"QUERY_STRING" | b"SERVER_NAME")
}

fn is_path_wrong(error: WireError, given: &Variables, is_whole: bool) -> bool {
    let of = |name: &str| present(given, name);
    let script = last(given, "SCRIPT_NAME").unwrap_or_default();
    if error == WireError::PATH_NOT_BELOW {
        let mount = &script[..script.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1)];
        let rest = last(given, "PATH_INFO").unwrap_or_default().strip_prefix(mount);
        return is_whole && !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
    }
    let said = [of("PATH_INFO"), of("DOCUMENT_URI"), of("SCRIPT_NAME")];
    if error == WireError::PATH_INVALID {
        return said.into_iter().flatten().any(|path| !path.starts_with(b"/"));
    }
    last(given, "PATH_INFO").is_none()
        && said == [None; 3]
        && of("REQUEST_URI").is_none_or(|uri| path_of(uri).is_empty())
}

fn is_address(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
}

fn is_port(digits: &[u8]) -> bool {
    digits.len() <= 5 && number(digits).is_some_and(|port| port <= 0xffff)
}

/// At most twenty plain digits, and 64 bits.
fn number(digits: &[u8]) -> Option<u64> {
    let is_plain = digits.len() <= 20 && digits.iter().all(u8::is_ascii_digit);
    String::from_utf8_lossy(digits).parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_reason_is_noticed() {
        let given: Variables =
            [(&b"REQUEST_METHOD"[..], &b"GET"[..]), (b"PATH_INFO", b"/apple"), (b"SCRIPT_NAME", b"/app/")]
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .to_vec();
        let limits = GatewayLimits::default();
        check_error(WireError::PATH_NOT_BELOW, &given, true, &limits);
        for error in [
            WireError::PATH_NOT_BELOW,
            WireError::PATH_INVALID,
            WireError::PATH_MISSING,
            WireError::METHOD_MISSING,
            WireError::TOO_MANY_VARIABLES,
            WireError::HOST_REPEATED,
            WireError::CONTENT_LENGTH_INVALID,
            WireError::VARIABLES_LENGTHS,
        ] {
            let noticed = std::panic::catch_unwind(|| check_error(error, &given, false, &limits));
            assert!(noticed.is_err(), "{error} was not noticed");
        }
    }
}
