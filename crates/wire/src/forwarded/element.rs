//! Receives a field of `Forwarded`; hands on its elements one by one, still as text, or says that it is malformed
//! (RFC 7239 4).

use crate::WireError;
use crate::grammar::{TOKEN, trim_ows};

/// One `forwarded-element` as it was written. A value is a token, or what stands between the quotes: escapes are
/// left in it, since only quotes and backslashes need one (RFC 9110 5.6.4), and no address, scheme or host has either.
#[derive(Clone, Copy, Default)]
pub(super) struct Pairs<'a> {
    pub(super) node: Option<&'a [u8]>,
    pub(super) by: Option<&'a [u8]>,
    pub(super) host: Option<&'a [u8]>,
    pub(super) proto: Option<&'a [u8]>,
}

/// Reads the next element of a Forwarded field and returns it with what follows; `None` at the end. RFC 7239 4:
/// `[ pair ] *( ";" [ pair ] )`, with the spaces around `;` that some servers write.
pub(super) fn read_element(field: &[u8]) -> Result<Option<(Pairs<'_>, &[u8])>, WireError> {
    let mut rest = field;
    while let [b',' | b' ' | b'\t', after @ ..] = rest {
        rest = after;
    }
    if rest.is_empty() {
        return Ok(None);
    }
    let mut pairs = Pairs::default();
    loop {
        rest = trim_ows(rest);
        if !matches!(rest, [] | [b',' | b';', ..]) {
            let ((name, value), after) = read_pair(rest)?;
            rest = trim_ows(after);
            let known = match name {
                name if name.eq_ignore_ascii_case(b"for") => &mut pairs.node,
                name if name.eq_ignore_ascii_case(b"by") => &mut pairs.by,
                name if name.eq_ignore_ascii_case(b"host") => &mut pairs.host,
                name if name.eq_ignore_ascii_case(b"proto") => &mut pairs.proto,
                _ => &mut None,
            };
            // RFC 7239 4: each parameter at most once in an element.
            if known.replace(value).is_some() {
                return Err(WireError::FORWARDED);
            }
        }
        match rest {
            [b';', after @ ..] => rest = after,
            [] | [b',', ..] => return Ok(Some((pairs, rest))),
            _ => return Err(WireError::FORWARDED),
        }
    }
}

/// A name and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// `token "=" ( token / quoted-string )`, and what follows.
fn read_pair(text: &[u8]) -> Result<(Pair<'_>, &[u8]), WireError> {
    let (name, after) = split_token(text);
    match after {
        _ if name.is_empty() => Err(WireError::FORWARDED),
        [b'=', b'"', quoted @ ..] => {
            let end = find_quote(quoted).ok_or(WireError::FORWARDED)?;
            let (value, after) = quoted.split_at(end);
            Ok(((name, value), after.get(1..).unwrap_or_default()))
        }
        [b'=', after @ ..] => {
            let (value, after) = split_token(after);
            if value.is_empty() { Err(WireError::FORWARDED) } else { Ok(((name, value), after)) }
        }
        _ => Err(WireError::FORWARDED),
    }
}

/// Index of the quote that ends a quoted string; one after a backslash does not.
fn find_quote(quoted: &[u8]) -> Option<usize> {
    let mut index = 0;
    loop {
        match quoted.get(index)? {
            b'"' => return Some(index),
            b'\\' => index += 2,
            _ => index += 1,
        }
    }
}

fn split_token(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !TOKEN[*byte as usize]).unwrap_or(text.len()))
}
