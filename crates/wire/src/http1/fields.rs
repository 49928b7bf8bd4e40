//! What the fields of a complete head mean to this connection: where the body ends, whether another
//! request follows, and whom it is for. All other fields are the application's.

use crate::forwarded::is_forwarded_name;
use crate::grammar::{is_name, is_token, trim_ows};
use crate::http1::target::is_authority;
use crate::{Framing, RequestHead, Version, WireError};

/// The fields that matter here, found in one pass.
#[derive(Default)]
struct KnownFields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    expects_continue: bool,
    has_upgrade: bool,
    connection: ConnectionOptions,
    has_forwarded: bool,
}

/// Fills in `host`, `framing`, `keep_alive`, `expect_continue` and `upgrade` from the fields.
pub(super) fn interpret(head: &mut RequestHead, window: &[u8]) -> Result<(), WireError> {
    let (mut found, mut host) = (KnownFields::default(), None);
    for header in &head.headers {
        // Most names are told apart by their length alone.
        let name = header.name.of(window);
        let value = header.value.of(window);
        match name.len() {
            // RFC 9112 3.2: more than one Host is an error.
            4 if is_name(name, b"host") => {
                once(&mut found.host, value, WireError::HOST_REPEATED)?;
                host = Some(header.value);
            }
            6 if is_name(name, b"expect") => {
                // RFC 9110 10.1.1: 100-continue is the only expectation there is.
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(WireError::EXPECTATION);
                }
                found.expects_continue = true;
            }
            7 if is_name(name, b"upgrade") => found.has_upgrade = true,
            10 if is_name(name, b"connection") => found.connection.read(value),
            // RFC 9110 8.3 and 5.3: one value; two servers in a row could take different ones of several.
            12 if is_name(name, b"content-type") => {
                once(&mut found.content_type, value, WireError::CONTENT_TYPE_REPEATED)?;
            }
            // RFC 9110 8.6 would let equal repeats pass; nothing honest sends them.
            14 if is_name(name, b"content-length") => {
                once(&mut found.content_length, value, WireError::CONTENT_LENGTH_REPEATED)?;
            }
            17 if is_name(name, b"transfer-encoding") => {
                once(&mut found.transfer_encoding, value, WireError::TRANSFER_ENCODING_REPEATED)?;
            }
            9 | 15..=18 if is_forwarded_name(name) => found.has_forwarded = true,
            _ => {}
        }
    }
    check_host(found.host, head.version)?;
    head.framing = read_framing(found.transfer_encoding, found.content_length, head.version)?;
    head.has_forwarded = found.has_forwarded;
    head.host = host;
    let is_1_1 = head.version == Version::Http11;
    head.keep_alive = found.connection.keeps_alive(head.version);
    // RFC 9110 10.1.1: from HTTP/1.0 it is to be ignored, and without a body there is nothing to wait for.
    head.expect_continue =
        is_1_1 && found.expects_continue && !matches!(head.framing, Framing::Empty | Framing::Length(0));
    // RFC 9110 7.8: Upgrade counts only when Connection names it, and never from HTTP/1.0.
    head.upgrade = is_1_1 && found.has_upgrade && found.connection.upgrade;
    Ok(())
}

/// Stores `value` unless there is one already.
pub(super) fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8], repeated: WireError) -> Result<(), WireError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(repeated),
    }
}

/// What Connection fields say that matters here.
#[derive(Default)]
pub(super) struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    /// Whether the fields called Upgrade count.
    pub(super) upgrade: bool,
}

impl ConnectionOptions {
    /// Reads one Connection field: a list of options in any case, RFC 9110 7.6.1.
    pub(super) fn read(&mut self, value: &[u8]) {
        if value == b"keep-alive" {
            // As browsers and most others send it.
            self.keep_alive = true;
            return;
        }
        for option in value.split(|&byte| byte == b',').map(trim_ows) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// Whether the connection may be used for another request, as far as these say. RFC 9112 9.3, in its order: close,
    /// then the version's default.
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// RFC 9112 3.2: Host is required from HTTP/1.1 on and has to be valid. It may be empty (RFC 9110 7.2), as
/// in the checks of some load balancers.
pub(crate) fn check_host(host: Option<&[u8]>, version: Version) -> Result<(), WireError> {
    match host {
        None if version == Version::Http11 => Err(WireError::HOST_MISSING),
        Some(host) if !host.is_empty() && !is_authority(host) => Err(WireError::HOST_INVALID),
        _ => Ok(()),
    }
}

/// RFC 9112 6.3. Whatever two servers could read in two ways is rejected.
pub(super) fn read_framing(
    transfer_encoding: Option<&[u8]>,
    content_length: Option<&[u8]>,
    version: Version,
) -> Result<Framing, WireError> {
    match (transfer_encoding, content_length) {
        // From HTTP/1.0 too: RFC 1945 8.3 wants a length with each POST, but nginx sends none where there is no body.
        (None, None) => Ok(Framing::Empty),
        (None, Some(length)) => read_content_length(length).map(Framing::Length),
        // RFC 9112 6.1: the usual sign of a smuggled request.
        (Some(_), Some(_)) => Err(WireError::LENGTH_AND_TRANSFER_ENCODING),
        // RFC 9112 6.1: HTTP/1.0 has no transfer codings, so the framing is faulty.
        (Some(_), None) if version == Version::Http10 => Err(WireError::TRANSFER_ENCODING_IN_1_0),
        (Some(codings), None) => check_transfer_encoding(codings).map(|()| Framing::Chunked),
    }
}

/// `1*DIGIT`, RFC 9110 8.6, and nothing else: no sign, no list, no spaces. As many digits as 64 bits need.
///
/// # Errors
///
/// It is anything else.
pub fn read_content_length(value: &[u8]) -> Result<u64, WireError> {
    if value.is_empty() || value.len() > 20 {
        return Err(WireError::CONTENT_LENGTH_INVALID);
    }
    value
        .iter()
        .try_fold(0u64, |length, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            length.checked_mul(10)?.checked_add(digit)
        })
        .ok_or(WireError::CONTENT_LENGTH_INVALID)
}

/// `chunked` alone, RFC 9112 6.1. A well-formed list with another coding is one we do not implement; anything
/// else, `chunked` twice among it (RFC 9112 7.1), is malformed.
fn check_transfer_encoding(value: &[u8]) -> Result<(), WireError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut names_another = false;
    for coding in value.split(|&byte| byte == b',').map(trim_ows) {
        if !is_token(coding) {
            return Err(WireError::TRANSFER_ENCODING_INVALID);
        }
        names_another |= !coding.eq_ignore_ascii_case(b"chunked");
    }
    if names_another { Err(WireError::TRANSFER_ENCODING_UNKNOWN) } else { Err(WireError::TRANSFER_ENCODING_INVALID) }
}
