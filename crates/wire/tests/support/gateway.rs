//! Builds what reverse proxies send, renders what became of it, and replays the corpora of their protocols.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use portico_wire::{BodyDecoder, BodyStep, GatewayHead, GatewayLimits, Limits, Scheme, Span, Version, WireError};

use super::{Random, text};

/// A request as nginx sends it with its `uwsgi_params`.
pub const NGINX: [(&str, &str); 16] = [
    ("QUERY_STRING", "c=d&e"),
    ("REQUEST_METHOD", "POST"),
    ("CONTENT_TYPE", "text/plain"),
    ("CONTENT_LENGTH", "3"),
    ("REQUEST_URI", "/a%20b?c=d&e"),
    ("PATH_INFO", "/a b"),
    ("DOCUMENT_ROOT", "/srv"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "https"),
    ("HTTPS", "on"),
    ("REMOTE_ADDR", "192.0.2.7"),
    ("REMOTE_PORT", "50000"),
    ("SERVER_PORT", "443"),
    ("SERVER_NAME", "example.org"),
    ("HTTP_HOST", "example.org"),
    ("HTTP_X_A", "b"),
];

/// The least that makes a request, with `more` after it.
pub fn least<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("REQUEST_METHOD", "GET"), ("PATH_INFO", "/p")], more].concat()
}

/// `variables` in a uwsgi packet.
pub fn uwsgi(modifier1: u8, variables: &[(&str, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    for part in variables.iter().flat_map(|(name, value)| [name, value]) {
        data.extend(u16::try_from(part.chars().count()).unwrap().to_le_bytes());
        data.extend(part.chars().map(|char| u8::try_from(char).unwrap()));
    }
    let mut packet = vec![modifier1];
    packet.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
    packet.push(0);
    [packet, data].concat()
}

/// A head as lines of `name: value`, without what is empty; the path is decoded.
pub fn render(head: &GatewayHead, bytes: &[u8]) -> Vec<String> {
    let mut path = Vec::new();
    if head.path_is_encoded {
        portico_wire::percent_decode_into(head.path_info.of(bytes), &mut path);
    } else {
        path.extend_from_slice(head.path_info.of(bytes));
    }
    let part = |span: Span| text(span.of(bytes));
    let client = head.client.map_or(String::new(), |client| {
        let address = client.address.map_or_else(|| "unknown".into(), |address| address.to_string());
        format!("{address} {}", client.port.unwrap_or_default())
    });
    let scheme = match head.scheme {
        None => "",
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) => "https",
    };
    assert_eq!(head.is_head, head.method.of(bytes) == b"HEAD");
    let mut lines = vec![format!("request: {}", part(head.method))];
    for (name, value) in [
        ("target", part(head.target)),
        ("script_name", part(head.script_name)),
        ("path", text(&path)),
        ("query", part(head.query)),
        ("protocol", part(head.protocol)),
        ("version", if head.version == Version::Http10 { "1.0".into() } else { String::new() }),
        ("scheme", scheme.into()),
        ("client", client),
        ("server", format!("{}:{}", part(head.server_name), part(head.server_port)).trim_matches(':').into()),
        ("type", part(head.content_type)),
        ("length", head.content_length.map_or(String::new(), |length| length.to_string())),
    ] {
        if !value.is_empty() {
            lines.push(format!("{name}: {value}"));
        }
    }
    lines.extend(head.headers.iter().map(|header| format!("header: {}: {}", part(header.name), part(header.value))));
    lines.extend(head.variables.iter().map(|other| format!("variable: {}: {}", part(other.name), part(other.value))));
    lines
}

/// What one reading of a head comes to: the rendered head, with its length.
pub type Read = Result<Option<(Vec<String>, usize)>, WireError>;

/// Reads a head whole, byte by byte, and followed by more, always into the same head.
pub fn read_in_every_way(bytes: &[u8], read: impl Fn(&mut GatewayHead, &[u8]) -> Read) -> Read {
    let mut head = GatewayHead::new();
    let whole = read(&mut head, bytes);
    let byte_by_byte = (0..=bytes.len())
        .map(|length| read(&mut head, &bytes[..length]))
        .find(|outcome| *outcome != Ok(None))
        .unwrap_or(Ok(None));
    assert_eq!(byte_by_byte, whole, "byte by byte: {}", bytes.escape_ascii());
    if whole != Ok(None) {
        for trailing in [&b"\0\xff"[..], b",:1", b"GET / HTTP/1.1\r\n\r\n"] {
            let followed = [bytes, trailing].concat();
            assert_eq!(read(&mut head, &followed), whole, "followed: {}", followed.escape_ascii());
        }
    }
    whole
}

/// Reads variables that a uwsgi packet carries.
pub fn read_variables(variables: &[(&str, &str)]) -> Result<Vec<String>, WireError> {
    read_variables_with(0, variables)
}

/// As [`read_variables`], with this modifier.
pub fn read_variables_with(modifier1: u8, variables: &[(&str, &str)]) -> Result<Vec<String>, WireError> {
    let packet = uwsgi(modifier1, variables);
    let mut head = GatewayHead::new();
    head.read_uwsgi(&packet, &GatewayLimits::default()).map(|read| {
        assert!(read.is_some(), "incomplete");
        render(&head, &packet)
    })
}

/// Appends the body after a head, and what follows it.
pub fn render_body(lines: &mut Vec<String>, head: &GatewayHead, mut rest: &[u8]) {
    let mut decoder = BodyDecoder::new(head.framing());
    let mut body = Vec::new();
    loop {
        match decoder.decode(rest, &Limits::default()).unwrap() {
            BodyStep::Data { consumed, data } => {
                body.extend_from_slice(&rest[data]);
                rest = &rest[consumed..];
            }
            BodyStep::End { .. } => break,
            BodyStep::NeedMore { .. } => return lines.push("incomplete body".into()),
        }
    }
    for (name, bytes) in [("body", body.as_slice()), ("leftover", rest)] {
        if !bytes.is_empty() {
            lines.push(format!("{name}: {}", bytes.escape_ascii()));
        }
    }
}

/// Replays both folders of a protocol's corpus: whole, byte by byte, and split at random. `replay` is given the bytes
/// and the sizes of the pieces that they come in, and renders what they came to.
pub fn replay_corpus(protocol: &str, replay: impl Fn(&[u8], &mut dyn FnMut() -> usize) -> Vec<String>) {
    for folder in ["valid", "invalid"] {
        let files = files_of(protocol, folder);
        let names = |extension: &str| -> BTreeSet<PathBuf> {
            files
                .iter()
                .filter(|path| path.extension().unwrap() == extension)
                .map(|path| path.with_extension(""))
                .collect()
        };
        assert_eq!(names("bin"), names("expect"), "a file without its expectation, or the other way round");
        assert!(names("bin").len() >= 5, "too few files in {protocol}/{folder}");
        for name in names("bin") {
            let bytes = fs::read(name.with_extension("bin")).unwrap();
            let expectation = fs::read_to_string(name.with_extension("expect")).unwrap();
            let (rule, expected) = expectation.split_once('\n').unwrap();
            assert!(rule.starts_with("rule: "), "no rule in {}", name.display());
            let is_rejected = expected.lines().last().is_some_and(|line| line.starts_with("rejected: "));
            assert_eq!(is_rejected, folder == "invalid", "{}", name.display());
            let check = |how: &str, pieces: &mut dyn FnMut() -> usize| {
                let lines: Vec<String> =
                    replay(&bytes, pieces).iter().map(|line| line.escape_default().to_string()).collect();
                assert_eq!(lines.join("\n"), expected.trim_end_matches('\n'), "{}, {how}", name.display());
            };
            check("whole", &mut || bytes.len());
            check("byte by byte", &mut || 1);
            for seed in 1..=6 {
                let mut random = Random::new(seed);
                let largest = [2, 7, 40, 300][random.below(4)];
                check(&format!("split with seed {seed}"), &mut || 1 + random.below(largest));
            }
        }
    }
}

/// Up to this many bytes a file is split at every byte; in a longer one the middle is all alike.
const EVERY_SPLIT_BYTES: usize = 2048;

/// Splits each file of a protocol's corpus at every byte. The first part gives what it gives in the whole file, and
/// then asks for more, or gives the same error: never another error, and never another request.
pub fn replay_truncated_corpus(protocol: &str, replay: impl Fn(&[u8], &mut dyn FnMut() -> usize) -> Vec<String>) {
    for path in ["valid", "invalid"].into_iter().flat_map(|folder| files_of(protocol, folder)) {
        if path.extension().unwrap() != "bin" {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let whole = replay(&bytes, &mut || bytes.len());
        let middle = EVERY_SPLIT_BYTES / 2..bytes.len().saturating_sub(EVERY_SPLIT_BYTES / 2);
        for length in (0..bytes.len()).filter(|length| !middle.contains(length) || length % 251 == 0) {
            let mut lines = replay(&bytes[..length], &mut || bytes.len());
            // Nothing at all, of a connection that may begin with anything.
            let Some(last) = lines.pop() else { continue };
            let at = lines.len();
            let message =
                || format!("{}, the first {length} bytes: {lines:?}, {last}; whole: {whole:?}", path.display());
            assert!(whole.starts_with(&lines), "{}", message());
            let same = whole.get(at).map_or("", String::as_str);
            let is_shorter = last.starts_with("leftover: ") && same.starts_with(&last);
            assert!(last == same || is_shorter || last.starts_with("incomplete"), "{}", message());
        }
    }
}

fn files_of(protocol: &str, folder: &str) -> BTreeSet<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus").join(protocol).join(folder);
    fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// `bytes` with one to three bytes replaced, inserted, removed or truncated.
pub fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\0\0\x01\x02\x03\x04\x05\x7f\x80\xff\xff019:, /=A_a%\r\n\t";
    let mut mutated = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(mutated.len());
        let byte = TELLING[random.below(TELLING.len())];
        match random.below(8) {
            0..=2 if !mutated.is_empty() => mutated[at] = byte,
            3..=4 => mutated.insert(at, byte),
            5..=6 if !mutated.is_empty() => drop(mutated.remove(at)),
            _ => mutated.truncate(at),
        }
    }
    mutated
}
