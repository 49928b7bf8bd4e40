//! SCGI heads: the same in every split, netstrings to the letter, and what their variables say.

use crate::gateway_head::{ObservedGateway, check_meaning, observe};
use crate::input::FuzzInput;
use crate::splits_of_head::check_splits;
use crate::variables;
use portico_wire::{GatewayHead, GatewayLimits, WireError};

type ScgiOutcome = Result<Option<(Box<ObservedGateway>, usize)>, WireError>;

/// A netstring at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Netstring<'a> {
    Complete(&'a [u8]),
    Incomplete,
    TooLarge,
    Malformed,
}

/// Takes the message for what an SCGI connection begins with.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let (bytes, limits) = (input.message, input.gateway_limits());
    let whole = check_splits(&input, |head, bytes| read(head, bytes, &limits));
    let netstring = read_netstring(bytes, limits.max_variables_bytes);
    match whole {
        Ok(None) => assert_eq!(netstring, Netstring::Incomplete),
        Ok(Some((head, length))) => {
            let Netstring::Complete(content) = netstring else { panic!("{netstring:?} was read") };
            assert_eq!(&bytes[..length], [format!("{}:", content.len()).as_bytes(), content, b","].concat());
            let given = variables::read_scgi(content).expect("strings that end");
            assert!(head.content_length.is_some() && given[0].0 == b"CONTENT_LENGTH", "a length, and first");
            assert!(given.iter().any(|(name, value)| (&name[..], &value[..]) == (b"SCGI", b"1")));
            let mut names: Vec<_> =
                given.iter().map(|(name, _)| name).filter(|name| !name.starts_with(b"HTTP_")).collect();
            names.sort();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a name twice");
            check_meaning(&head, &given, false, &limits);
        }
        Err(WireError::VARIABLES_TOO_LARGE) => assert_eq!(netstring, Netstring::TooLarge),
        Err(WireError::SCGI_NETSTRING) => assert_eq!(netstring, Netstring::Malformed),
        Err(error) => {
            let Netstring::Complete(content) = netstring else { panic!("{netstring:?} is rejected for {error}") };
            assert!(error != WireError::VARIABLES_LENGTHS || variables::read_scgi(content).is_none(), "{error}");
        }
    }
}

fn read(head: &mut GatewayHead, bytes: &[u8], limits: &GatewayLimits) -> ScgiOutcome {
    Ok(head.read_scgi(bytes, limits)?.map(|length| (Box::new(observe(head, &bytes[..length])), length)))
}

/// The netstring, read plainly; a length may be rejected as soon as it is too large, before it is complete.
fn read_netstring(bytes: &[u8], most: usize) -> Netstring<'_> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (length, rest) = bytes.split_at(digits);
    if length.len() > 1 && length[0] == b'0' {
        return Netstring::Malformed;
    }
    let length = length.iter().try_fold(0usize, |length, digit| {
        let length = length.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
        (length <= most).then_some(length)
    });
    match (length, rest) {
        (None, _) => Netstring::TooLarge,
        (Some(_), []) => Netstring::Incomplete,
        (Some(length), [b':', rest @ ..]) if digits > 0 => match rest.get(length) {
            Some(b',') => Netstring::Complete(&rest[..length]),
            Some(_) => Netstring::Malformed,
            None => Netstring::Incomplete,
        },
        _ => Netstring::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_netstrings() {
        for (bytes, expected) in [
            (&b"3:abc,rest"[..], Netstring::Complete(b"abc")),
            (b"0:,", Netstring::Complete(b"")),
            (b"", Netstring::Incomplete),
            (b"3", Netstring::Incomplete),
            (b"3:abc", Netstring::Incomplete),
            (b"3:abcd", Netstring::Malformed),
            (b"03:abc,", Netstring::Malformed),
            (b":abc,", Netstring::Malformed),
            (b"3 :abc,", Netstring::Malformed),
            (b"10", Netstring::TooLarge),
        ] {
            assert_eq!(read_netstring(bytes, 9), expected, "{}", bytes.escape_ascii());
        }
    }
}
