//! Replays `tests/corpus/responses`: what a server sends in response to one request, as raw bytes, each beside what has to
//! become of it. Every file is fed whole, byte by byte, and split at random, and has to come to exactly the same.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use portico_wire::{BodyDecoder, BodyStep, Limits, ResponseHead, ResponseTo, Version, WireError};
use support::{Random, unescape};

/// How often each file is split at random.
const RANDOM_SPLITS: u64 = 6;

#[test]
fn the_corpus_is_there_in_pairs() {
    let mut cases = 0;
    for folder in ["valid", "invalid"] {
        let files = files_of(folder);
        let with = |extension: &str| -> BTreeSet<PathBuf> {
            let found = files.iter().filter(|path| path.extension().is_some_and(|found| found == extension));
            found.map(|path| path.with_extension("")).collect()
        };
        assert_eq!(with("http"), with("expect"), "a file without its expectation, or the other way round");
        assert_eq!(files.len(), 2 * with("http").len(), "a file that is neither .http nor .expect");
        cases += with("http").len();
    }
    assert!(cases >= 190, "only {cases} files");
}

#[test]
fn valid_responses_are_read_as_expected() {
    replay_folder("valid");
}

#[test]
fn invalid_responses_are_rejected_as_expected() {
    replay_folder("invalid");
}

fn replay_folder(folder: &str) {
    for path in files_of(folder).iter().filter(|path| path.extension().is_some_and(|found| found == "http")) {
        let bytes = fs::read(path).unwrap();
        let (to, expected) = read_expected(&path.with_extension("expect"));
        assert_eq!(expected.is_err(), folder == "invalid", "{}", path.display());

        let check = |replayed: Result<Replayed, WireError>, how: &str| {
            let replayed = replayed.map_err(|error| {
                assert!(error.status == 502, "{error} is not the server's, {}", path.display());
                error.reason.to_owned()
            });
            assert_eq!(replayed, expected, "{}, {how}", path.display());
        };
        check(replay(&bytes, to, || bytes.len()), "whole");
        check(replay(&bytes, to, || 1), "byte by byte");
        for seed in 1..=RANDOM_SPLITS {
            let mut random = Random::new(seed);
            let largest = [2, 7, 40, 300, 5_000, 70_000][random.below(6)];
            let pieces = || 1 + random.below(largest);
            check(replay(&bytes, to, pieces), &format!("split with seed {seed}"));
        }
    }
}

fn files_of(folder: &str) -> BTreeSet<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/responses").join(folder);
    fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// What a server's bytes came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Replayed {
    /// Interim responses and the response.
    heads: Vec<ReplayedHead>,
    body: Vec<u8>,
    /// `kept`, `closes`, `upgraded` or `incomplete`.
    connection: String,
    /// Bytes after the response.
    leftover: Vec<u8>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct ReplayedHead {
    line: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads all that a server sends before it closes, in pieces of the given sizes.
fn replay(bytes: &[u8], to: ResponseTo, mut piece_size: impl FnMut() -> usize) -> Result<Replayed, WireError> {
    let limits = Limits::default();
    let mut head = ResponseHead::new();
    let mut replayed = Replayed { connection: "incomplete".into(), ..Replayed::default() };
    let (mut start, mut end) = (0, 0);
    // Lets the next piece come; false at the end.
    let mut receive = |end: &mut usize| {
        let more = *end < bytes.len();
        *end = (*end + piece_size().max(1)).min(bytes.len());
        more
    };
    loop {
        let mut outcome = head.read(&bytes[start..end], to, &limits)?;
        while outcome.is_none() {
            if !receive(&mut end) {
                return Ok(replayed);
            }
            outcome = head.read_on(&bytes[start..end], to, &limits)?;
        }
        replayed.heads.push(replayed_head(&head, &bytes[start..end]));
        start += outcome.unwrap();
        if !head.is_interim() {
            break;
        }
    }
    let mut decoder = BodyDecoder::of_response(head.body);
    loop {
        let available = &bytes[start..end];
        match decoder.decode(available, &limits).map_err(WireError::of_response)? {
            BodyStep::Data { consumed, data } => {
                replayed.body.extend_from_slice(&available[data]);
                start += consumed;
            }
            BodyStep::End { consumed } => {
                start += consumed;
                let connection = if head.is_upgrade() {
                    "upgraded"
                } else if head.keep_alive {
                    "kept"
                } else {
                    "closes"
                };
                replayed.connection = connection.into();
                replayed.leftover = bytes[start..].to_vec();
                return Ok(replayed);
            }
            BodyStep::NeedMore { consumed } => {
                start += consumed;
                if !receive(&mut end) {
                    if decoder.may_end_with_connection() {
                        assert!(!head.keep_alive);
                        replayed.connection = "closes".into();
                    }
                    return Ok(replayed);
                }
            }
        }
    }
}

fn replayed_head(head: &ResponseHead, bytes: &[u8]) -> ReplayedHead {
    let version = if head.version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let line = [version.as_bytes(), head.status.to_string().as_bytes(), head.reason.of(bytes)].join(&b' ');
    let headers = head.headers.iter();
    let headers = headers.map(|header| (header.name.of(bytes).to_vec(), header.value.of(bytes).to_vec()));
    ReplayedHead { line, headers: headers.collect() }
}

/// Reads lines of `key: value`; all values but the rule are escaped as in Python's bytes literals.
fn read_expected(path: &Path) -> (ResponseTo, Result<Replayed, String>) {
    let mut to = ResponseTo::default();
    let mut replayed = Replayed::default();
    let mut error = None;
    let mut has_rule = false;
    for line in fs::read_to_string(path).unwrap().lines() {
        let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?} in {}", path.display()));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match key {
            "rule" => has_rule = !value.is_empty(),
            "to" => to = ResponseTo { is_head: value == "HEAD", upgrade: value == "upgrade" },
            "error" => error = Some(value.to_owned()),
            "response" => replayed.heads.push(ReplayedHead { line: unescape(value), headers: Vec::new() }),
            "header" => {
                let (name, value) = value.split_once(':').unwrap();
                let value = value.strip_prefix(' ').unwrap_or(value);
                replayed.heads.last_mut().unwrap().headers.push((unescape(name), unescape(value)));
            }
            "body" => replayed.body = unescape(value),
            "connection" => value.clone_into(&mut replayed.connection),
            "leftover" => replayed.leftover = unescape(value),
            _ => panic!("unknown key {key:?} in {}", path.display()),
        }
    }
    assert!(has_rule, "no rule in {}", path.display());
    (to, error.map_or(Ok(replayed), Err))
}
