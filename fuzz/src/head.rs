//! Heads: whatever the bytes, an error or a head that is what its bytes say, and the same in every way the
//! bytes may arrive.

use crate::input::FuzzInput;
use crate::observed::{ObservedHead, read, read_on};
use crate::reference::{is_tchar, is_text, without_blanks};
use portico_wire::{Framing, Limits, RequestHead, TargetForm, Version};

/// Up to this many bytes every split is tried, beyond it some.
const EVERY_SPLIT_BYTES: usize = 96;
/// How many splits are tried of a longer input.
const SOME_SPLITS: usize = 12;

/// Reads the message as a head.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let (bytes, limits) = (input.message, input.limits());
    let whole = read(&mut RequestHead::new(), bytes, &limits);
    if let Ok(Some(head)) = &whole {
        check_meaning(head, bytes, &limits);
        check_bounds(head, bytes, &limits);
    }

    // One head that is read on as more arrives, as a connection does, and a fresh one each time.
    let mut used = RequestHead::new();
    let mut random = input.random();
    let some_splits = if bytes.len() <= EVERY_SPLIT_BYTES { bytes.len() } else { SOME_SPLITS };
    let mut decided_at = None;
    let mut splits: Vec<usize> = (0..some_splits)
        .map(|index| if some_splits == bytes.len() { index } else { random.below(bytes.len()) })
        .collect();
    splits.sort_unstable();
    for split in splits {
        let outcome = read_on(&mut used, &bytes[..split], &limits);
        assert_eq!(outcome, read(&mut RequestHead::new(), &bytes[..split], &limits), "read on, or from the start");
        if outcome == Ok(None) {
            assert_eq!(decided_at, None, "{split} bytes ask for more, fewer did not");
        } else {
            assert_eq!(outcome, whole, "{split} bytes are read unlike {}", bytes.len());
            decided_at = Some(split);
        }
        if let Ok(Some(head)) = &whole {
            assert_eq!(outcome == Ok(None), split < head.length, "a head of {} bytes, split at {split}", head.length);
        }
    }
    if whole != Ok(None) {
        let followed = [bytes, &b"\r\nGET / HTTP/1.1\r\n\0\xff"[random.below(20)..]].concat();
        assert_eq!(read(&mut used, &followed, &limits), whole, "what follows changes the head");
    }
}

/// Holds a head against its own bytes, read by other means.
fn check_meaning(head: &ObservedHead, bytes: &[u8], limits: &Limits) {
    let head_bytes = &bytes[..head.length];
    assert!(head_bytes.ends_with(b"\r\n\r\n"));
    let mut lines: Vec<&[u8]> = head_bytes.split(|&byte| byte == b'\n').collect();
    assert_eq!(lines.pop(), Some(&b""[..]));
    let mut lines = lines.into_iter().map(|line| {
        let line = line.strip_suffix(b"\r").expect("a line that ends with CRLF");
        assert!(line.iter().all(|&byte| is_text(byte)), "a control character");
        line
    });
    let request_line = lines.by_ref().find(|line| !line.is_empty()).expect("a request line");
    assert!(request_line.len() <= limits.max_request_line_bytes);

    let parts: Vec<&[u8]> = request_line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts[..] else { panic!("a request line of {} parts", parts.len()) };
    assert_eq!((&head.method[..], &head.target[..]), (method, target));
    assert!(!method.is_empty() && method.iter().all(|&byte| is_tchar(byte)));
    assert!(!target.is_empty() && target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#'));
    match version {
        b"HTTP/1.0" => assert_eq!(head.version, Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => assert_eq!(head.version, Version::Http11),
        other => panic!("the version {}", other.escape_ascii()),
    }
    assert!(!matches!(method, b"CONNECT" | b"TRACE"), "a method that is not allowed");
    assert_eq!(head.flags[2], method == b"HEAD");
    check_target(head);

    let mut fields = head.headers.iter();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (name, value) = fields.next().expect("a field for every line");
        assert!(line.len() <= limits.max_header_bytes);
        let colon = line.iter().position(|&byte| byte == b':').expect("a colon in a field line");
        assert_eq!((&name[..], &value[..]), (&line[..colon], without_blanks(&line[colon + 1..])));
        assert!(!name.is_empty() && name.iter().all(|&byte| is_tchar(byte)));
    }
    assert_eq!((fields.next(), lines.next()), (None, None), "fields and lines are as many");
    check_framing(head);
}

fn check_bounds(head: &ObservedHead, bytes: &[u8], limits: &Limits) {
    assert!(head.length <= bytes.len() && head.length <= limits.max_head_bytes);
    assert!(head.headers.len() <= limits.max_headers);
}

/// The parts of the target put together are the target.
fn check_target(head: &ObservedHead) {
    let path_and_query = match (&head.path[..], &head.query[..]) {
        (path, []) => path.to_vec(),
        (path, query) => [path, b"?", query].concat(),
    };
    let rest = match head.form {
        TargetForm::Origin => {
            assert_eq!(head.path.first(), Some(&b'/'));
            &head.target[..]
        }
        TargetForm::Absolute => {
            let scheme = [&head.scheme[..], b"://", &head.authority].concat();
            assert!(!head.authority.is_empty());
            head.target.strip_prefix(&scheme[..]).expect("the scheme and the authority at the start")
        }
        TargetForm::Asterisk => {
            assert_eq!((&head.method[..], &head.target[..]), (&b"OPTIONS"[..], &b"*"[..]));
            return;
        }
    };
    // A `?` with nothing behind it is not told apart from none.
    assert_eq!(rest.strip_suffix(b"?").unwrap_or(rest), path_and_query.strip_suffix(b"?").unwrap_or(&path_and_query));
    assert!(!head.path.contains(&b'?'));
}

/// Where the body ends, by RFC 9112 6.3 and the narrowings of portico: one way to say it, said once.
fn check_framing(head: &ObservedHead) {
    let all = |name: &str| -> Vec<&[u8]> {
        let named = head.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value.as_slice()).collect()
    };
    let hosts = all("host").len();
    assert!(hosts == 1 || (hosts == 0 && head.version == Version::Http10), "{hosts} Host fields");
    match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => assert_eq!(head.framing, Framing::Empty),
        ([length], []) => {
            assert!(!length.is_empty() && length.iter().all(u8::is_ascii_digit));
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            assert_eq!(Some(head.framing), length.map(Framing::Length));
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked") && head.version == Version::Http11);
            assert_eq!(head.framing, Framing::Chunked);
        }
        both => panic!("framing said more than once: {both:?}"),
    }
    let [keep_alive, expect_continue, _, _] = head.flags;
    let options: Vec<Vec<u8>> = all("connection")
        .iter()
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|option| without_blanks(option).to_ascii_lowercase())
        .collect();
    let says = |option: &[u8]| options.iter().any(|known| known == option);
    assert_eq!(keep_alive, !says(b"close") && (head.version == Version::Http11 || says(b"keep-alive")));
    assert!(!expect_continue || (head.version == Version::Http11 && !all("expect").is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(bytes: &[u8]) -> ObservedHead {
        read(&mut RequestHead::new(), bytes, &Limits::default()).unwrap().unwrap()
    }

    const BYTES: &[u8] = b"\r\nPOST http://a/b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";

    #[test]
    fn a_true_head_passes() {
        check_meaning(&observed(BYTES), BYTES, &Limits::default());
    }

    /// Each of these is what a wrong reader might say.
    #[test]
    fn a_false_head_is_noticed() {
        type Falsify = fn(&mut ObservedHead);
        let falsify: [(&str, Falsify); 8] = [
            ("framing", |head| head.framing = Framing::Length(4)),
            ("chunked", |head| head.framing = Framing::Chunked),
            ("keep-alive", |head| head.flags[0] = true),
            ("method", |head| head.method.push(b'T')),
            ("path", |head| head.path = b"/".to_vec()),
            ("authority", |head| head.authority = b"b".to_vec()),
            ("header lost", |head| drop(head.headers.pop())),
            ("header value", |head| head.headers[0].1.push(b' ')),
        ];
        for (what, falsify) in falsify {
            let mut head = observed(BYTES);
            falsify(&mut head);
            let noticed = std::panic::catch_unwind(|| check_meaning(&head, BYTES, &Limits::default()));
            assert!(noticed.is_err(), "a wrong {what} was not noticed");
        }
    }
}
