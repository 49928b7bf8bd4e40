//! The character classes of RFC 9110 and RFC 3986, and the few functions that are nothing but grammar.

/// A set of bytes, as a table.
pub(crate) type ByteSet = [bool; 256];

/// The bytes of `include`, and the ASCII letters and digits.
const fn alphanumeric_and(include: &[u8]) -> ByteSet {
    let mut set = [false; 256];
    let mut byte = 0;
    while byte < 128u8 {
        set[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < include.len() {
        set[include[index] as usize] = true;
        index += 1;
    }
    set
}

/// `tchar`, RFC 9110 5.6.2.
pub(crate) const TOKEN: ByteSet = alphanumeric_and(b"!#$%&'*+-.^_`|~");

/// `unreserved` and `sub-delims`, RFC 3986 2.2 and 2.3: what a registered name may hold besides escapes.
pub(crate) const REGISTERED_NAME: ByteSet = alphanumeric_and(b"-._~!$&'()*+,;=");

/// Whether `bytes` is a `token`, RFC 9110 5.6.2: one or more `tchar`.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    match bytes.len() {
        0 => false,
        8..=16 if are_letters_and_hyphens(bytes) => true,
        _ => bytes.iter().all(|&byte| TOKEN[byte as usize]),
    }
}

/// For 8 to 16 bytes, as names of fields usually are: in two blocks, which may overlap. No early exit, and of a fixed size:
/// so the compiler makes vector instructions of each.
fn are_letters_and_hyphens(name: &[u8]) -> bool {
    let all = |block: &[u8; 8]| {
        block.iter().fold(true, |good, &byte| good & ((byte | 0x20).is_ascii_lowercase() || byte == b'-'))
    };
    name.first_chunk().is_some_and(all) && name.last_chunk().is_some_and(all)
}

/// Whether `name`, a token, is `lower_case`, which has letters and hyphens, in any case. No early exit, and of a fixed size,
/// as above.
#[must_use]
pub fn is_name<const LENGTH: usize>(name: &[u8], lower_case: &[u8; LENGTH]) -> bool {
    // The bit makes a small letter of a large one, and nothing else of a token a small letter or a hyphen.
    let differs =
        |name: &[u8; LENGTH]| name.iter().zip(lower_case).fold(0, |bits, (one, other)| bits | (one | 0x20) ^ other);
    name.try_into().is_ok_and(|name| differs(name) == 0)
}

/// A byte that may stand in a field value: `field-vchar`, SP or HTAB, RFC 9110 5.5. Bytes above 127
/// (`obs-text`) are opaque, but allowed.
pub(crate) const fn is_field_byte(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

/// Whether every byte may stand in a field value.
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    match value.len() {
        16.. => are_field_bytes(value),
        _ => are_visible(value) || value.iter().all(|&byte| is_field_byte(byte)),
    }
}

/// For values of at least 16 bytes. No early exit, and blocks of a fixed size: so the compiler makes
/// vector instructions of it. The last block may overlap the one before.
fn are_field_bytes(value: &[u8]) -> bool {
    let all = |block: &[u8; 16]| block.iter().fold(true, |good, &byte| good & is_field_byte(byte));
    value.as_chunks().0.iter().fold(true, |good, block| good & all(block)) & value.last_chunk().is_some_and(all)
}

/// Whether no byte of a short value is a control, not even a tab: in two words, which may overlap.
fn are_visible(value: &[u8]) -> bool {
    if let (Some(first), Some(last)) = (value.first_chunk(), value.last_chunk()) {
        return !has_control(u64::from_le_bytes(*first)) && !has_control(u64::from_le_bytes(*last));
    }
    match (value.first_chunk(), value.last_chunk()) {
        (Some(first), Some(last)) => {
            !has_control(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)))
        }
        _ => false,
    }
}

/// Whether one of eight bytes is below 0x20, or 0x7f: each is looked at by the borrow that a subtraction takes from its
/// upper bit. Bytes above 127 have that bit, and are none.
const fn has_control(word: u64) -> bool {
    const EACH: u64 = u64::MAX / 255;
    let below_space = word.wrapping_sub(EACH * 0x20) & !word;
    let other = word ^ (EACH * 0x7f);
    let delete = other.wrapping_sub(EACH) & !other;
    (below_space | delete) & (EACH * 0x80) != 0
}

/// Whether every byte may stand in a request target. RFC 9112 3.2 allows fewer; the printable rest
/// (`"<>[]\^{|}` and the backquote) is sent by browsers and harmless, since it delimits nothing here. A
/// fragment is never sent (RFC 9110 7.1).
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    // No early exit: so the compiler makes vector instructions of it.
    !bytes.is_empty() && bytes.iter().fold(true, |good, &byte| good & is_target_byte(byte))
}

/// A printable ASCII byte that does not begin a fragment.
const fn is_target_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && byte != b'#'
}

/// `bytes` without spaces and tabs at either end: `OWS`, RFC 9110 5.6.3.
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// `bytes` without spaces and tabs before them.
pub(crate) fn trim_ows_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether an application may use `name` for a header: a token, RFC 9110 5.1.
#[must_use]
pub fn check_response_header_name(name: &[u8]) -> bool {
    is_token(name)
}

/// Whether an application may use `value` for a header: no CR, LF, NUL or other control but the tab,
/// RFC 9110 5.5.
#[must_use]
pub fn check_response_header_value(value: &[u8]) -> bool {
    is_field_value(value)
}

/// Whether `name`, in any case, is a header between two neighbours only, which an application must
/// not send (PEP 3333 "Other HTTP Features"; the list is that of RFC 2616 13.5.1, with `Trailer` as RFC 9110 spells it).
#[must_use]
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    let lower_case: &[u8] = match name.len() {
        2 => b"te",
        7 if name.first().is_some_and(|byte| byte | 0x20 == b't') => b"trailer",
        7 => b"upgrade",
        10 if name.first().is_some_and(|byte| byte | 0x20 == b'c') => b"connection",
        10 => b"keep-alive",
        17 => b"transfer-encoding",
        18 => b"proxy-authenticate",
        19 => b"proxy-authorization",
        _ => return false,
    };
    name.eq_ignore_ascii_case(lower_case)
}

/// Appends `path` to `out` with its `%XX` escapes decoded once, `%2F` too. What is not an escape
/// stays as it is: RFC 3986 2.4 leaves such paths without a meaning, and applications expect them whole.
pub fn percent_decode_into(path: &[u8], out: &mut Vec<u8>) {
    let mut rest = path;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        let (literal, escape) = rest.split_at(percent);
        out.extend_from_slice(literal);
        if let [_, high, low, after @ ..] = escape
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(b'%');
            rest = escape.get(1..).unwrap_or_default();
        }
    }
    out.extend_from_slice(rest);
}

/// How much of `path` is the `mount`: none where it does not begin with it, segment by segment. The path may have its
/// escapes still (`is_encoded`), the mount has none; an escaped slash is part of a segment.
#[must_use]
pub fn mount_length(path: &[u8], mount: &[u8], is_encoded: bool) -> Option<usize> {
    let mut rest = path;
    for &byte in mount {
        rest = match rest {
            [b'%', high, low, after @ ..] if is_encoded && byte != b'/' => {
                let decoded = hex_digit(*high)? << 4 | hex_digit(*low)?;
                if decoded == byte { after } else { return None }
            }
            [first, after @ ..] if *first == byte => after,
            _ => return None,
        }
    }
    matches!(rest, [] | [b'/', ..]).then_some(path.len() - rest.len())
}

/// Value of a hexadecimal digit, `HEXDIG` of RFC 5234 B.1 in either case.
pub(crate) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
