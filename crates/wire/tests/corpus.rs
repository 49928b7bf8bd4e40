//! Replays `tests/corpus/http1`: connections as raw bytes, each beside what has to become of it. Every file is
//! fed whole, byte by byte, and split at random, and has to come to exactly the same every time.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use portico_wire::{
    BodyDecoder, BodyStep, Framing, Limits, RequestHead, TargetForm, Version, WireError, percent_decode_into,
};
use support::{Random, unescape};

/// How often each file is split at random.
const RANDOM_SPLITS: u64 = 6;
/// The default of `max-request-body`, which the engine checks.
const MAX_REQUEST_BODY: u64 = 1 << 30;

#[test]
fn the_corpus_is_there_in_pairs() {
    let mut cases = 0;
    for folder in ["valid", "invalid"] {
        let names = |extension: &str| -> BTreeSet<PathBuf> {
            let files = files_of(folder).into_iter();
            files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
        };
        let expectations: BTreeSet<PathBuf> = names("expect").iter().map(|path| path.with_extension("http")).collect();
        assert_eq!(names("http"), expectations, "a file without its expectation, or the other way round");
        assert_eq!(files_of(folder).len(), 2 * expectations.len(), "a file that is neither .http nor .expect");
        cases += expectations.len();
    }
    assert!(cases >= 300, "only {cases} files");
}

#[test]
fn valid_connections_are_read_as_expected() {
    replay_folder("valid");
}

#[test]
fn invalid_connections_are_rejected_as_expected() {
    replay_folder("invalid");
}

fn replay_folder(folder: &str) {
    for path in files_of(folder).iter().filter(|path| path.extension().is_some_and(|found| found == "http")) {
        let bytes = fs::read(path).unwrap();
        let expected = Expected::read(&path.with_extension("expect"));
        assert_eq!(expected.status.is_some(), folder == "invalid", "{}", path.display());

        expected.check(&replay(&bytes, || bytes.len()), path, "whole");
        expected.check(&replay(&bytes, || 1), path, "byte by byte");
        for seed in 1..=RANDOM_SPLITS {
            let mut random = Random::new(seed);
            // Small pieces and large ones, so that short files are split as often as long ones.
            let largest = [2, 7, 40, 300, 5_000, 70_000][random.below(6)];
            let pieces = || 1 + random.below(largest);
            expected.check(&replay(&bytes, pieces), path, &format!("split with seed {seed}"));
        }
    }
}

fn files_of(folder: &str) -> BTreeSet<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/http1").join(folder);
    fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// What a connection came to.
#[derive(Debug, PartialEq, Eq)]
struct Replayed {
    /// Requests that were complete.
    requests: Vec<ReplayedRequest>,
    /// Why the rest was rejected.
    rejected: Option<WireError>,
    /// Bytes after the last complete request, unless they were rejected.
    leftover: Vec<u8>,
}

/// A request as an application would see it.
#[derive(Debug, PartialEq, Eq)]
struct ReplayedRequest {
    line: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

/// Reads a whole connection in pieces of the given sizes, as the engine does: head, body, next head, until a
/// request that closes, an error, or the end.
fn replay(bytes: &[u8], mut piece_size: impl FnMut() -> usize) -> Replayed {
    let limits = Limits::default();
    let mut reader = Feed { bytes, start: 0, end: 0 };
    let mut head = RequestHead::new();
    let mut requests = Vec::new();
    let rejected = loop {
        match read_request(&mut reader, &mut head, &limits, &mut piece_size) {
            Ok(Some(request)) => requests.push(request),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
        if !head.keep_alive {
            break None;
        }
    };
    let leftover = if rejected.is_some() { Vec::new() } else { bytes[reader.start..].to_vec() };
    Replayed { requests, rejected, leftover }
}

/// The bytes of a connection, of which those before `end` have come and those before `start` are done with.
struct Feed<'a> {
    bytes: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Feed<'a> {
    /// Lets the next piece come; false at the end.
    fn receive(&mut self, piece_size: &mut impl FnMut() -> usize) -> bool {
        let more = self.end < self.bytes.len();
        self.end = (self.end + piece_size().max(1)).min(self.bytes.len());
        more
    }

    fn available(&self, from: usize) -> &'a [u8] {
        &self.bytes[from..self.end]
    }
}

/// Reads one request, and says where it ends by `reader.start`; `None` if it is incomplete.
fn read_request(
    reader: &mut Feed<'_>,
    head: &mut RequestHead,
    limits: &Limits,
    piece_size: &mut impl FnMut() -> usize,
) -> Result<Option<ReplayedRequest>, WireError> {
    let mut outcome = head.read(reader.available(reader.start), limits)?;
    let head_bytes = loop {
        if let Some(length) = outcome {
            break length;
        }
        if !reader.receive(piece_size) {
            return Ok(None);
        }
        outcome = head.read_on(reader.available(reader.start), limits)?;
    };
    let bytes = &reader.bytes[reader.start..reader.start + head_bytes];
    // What the engine knows and this crate does not: the connection, and how large a body may be.
    if head.scheme.of(bytes).eq_ignore_ascii_case(b"https") {
        return Err(WireError::MISDIRECTED);
    }
    if matches!(head.framing, Framing::Length(length) if length > MAX_REQUEST_BODY) {
        return Err(WireError::BODY_TOO_LARGE);
    }
    let mut decoder = BodyDecoder::new(head.framing);
    let mut body = Vec::new();
    let mut at = reader.start + head_bytes;
    loop {
        let available = reader.available(at);
        match decoder.decode(available, limits)? {
            BodyStep::Data { consumed, data } => {
                body.extend_from_slice(&available[data]);
                at += consumed;
            }
            BodyStep::End { consumed } => {
                reader.start = at + consumed;
                return Ok(Some(request(head, bytes, body)));
            }
            BodyStep::NeedMore { consumed } => {
                at += consumed;
                if !reader.receive(piece_size) {
                    return Ok(None);
                }
            }
        }
    }
}

fn request(head: &RequestHead, bytes: &[u8], body: Vec<u8>) -> ReplayedRequest {
    let version: &[u8] = match head.version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    };
    let mut path = Vec::new();
    percent_decode_into(head.path.of(bytes), &mut path);
    if path.is_empty() && head.form == TargetForm::Absolute {
        path.push(b'/');
    }
    if head.form == TargetForm::Asterisk {
        path.clear();
    }
    ReplayedRequest {
        line: [head.method.of(bytes), head.target.of(bytes), version].join(&b' '),
        path,
        query: head.query.of(bytes).to_vec(),
        headers: head
            .headers
            .iter()
            .map(|header| (header.name.of(bytes).to_vec(), header.value.of(bytes).to_vec()))
            .collect(),
        body,
    }
}

/// What an `.expect` file says.
#[derive(Default)]
struct Expected {
    status: Option<u16>,
    after: usize,
    requests: Vec<ReplayedRequest>,
    leftover: Vec<u8>,
}

impl Expected {
    /// Reads lines of `key: value`; all values but numbers and the rule are escaped as in Python's bytes literals.
    fn read(path: &Path) -> Self {
        let mut expected = Self::default();
        let mut has_rule = false;
        for line in fs::read_to_string(path).unwrap().lines() {
            let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?} in {}", path.display()));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match key {
                "rule" => has_rule = !value.is_empty(),
                "status" => expected.status = Some(value.parse().unwrap()),
                "after" => expected.after = value.parse().unwrap(),
                "leftover" => expected.leftover = unescape(value),
                "request" => expected.requests.push(ReplayedRequest {
                    line: unescape(value),
                    path: Vec::new(),
                    query: Vec::new(),
                    headers: Vec::new(),
                    body: Vec::new(),
                }),
                part => expected.requests.last_mut().unwrap().set(part, value),
            }
        }
        assert!(has_rule, "no rule in {}", path.display());
        expected
    }

    fn check(&self, replayed: &Replayed, path: &Path, how: &str) {
        let name = path.file_stem().unwrap().display();
        assert_eq!(replayed.rejected.map(|error| error.status), self.status, "{name}, {how}: {replayed:?}");
        if self.status.is_some() {
            assert_eq!(replayed.requests.len(), self.after, "requests before the rejected one of {name}, {how}");
        } else {
            assert_eq!(replayed.requests, self.requests, "{name}, {how}");
            assert_eq!(replayed.leftover, self.leftover, "leftover of {name}, {how}");
        }
    }
}

impl ReplayedRequest {
    fn set(&mut self, part: &str, value: &str) {
        match part {
            "path" => self.path = unescape(value),
            "query" => self.query = unescape(value),
            "body" => self.body = unescape(value),
            "header" => {
                let (name, value) = value.split_once(':').unwrap();
                self.headers.push((unescape(name), unescape(value.strip_prefix(' ').unwrap_or(value))));
            }
            _ => panic!("unknown key {part:?}"),
        }
    }
}
