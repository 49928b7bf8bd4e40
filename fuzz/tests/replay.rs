//! Every target on every input that is kept: the corpus of raw requests, the seeds, and what a fuzzer has found.
//! It needs no fuzzer, and takes seconds.

use portico_fuzz::{
    access_line, body, chunked, connection, fastcgi, fastcgi_member, fastcgi_response, forwarded, gateway, head,
    passed_on, proxy, response, response_head, scgi, splits, trace_context, uwsgi,
};
use std::fs;
use std::path::{Path, PathBuf};

type Check = fn(&[u8]);

const HTTP_TARGETS: [(&str, Check); 11] = [
    ("head", head::check),
    ("body", body::check),
    ("chunked", chunked::check),
    ("connection", connection::check),
    ("response", response::check),
    ("splits", splits::check),
    ("forwarded", forwarded::check),
    ("passed_on", passed_on::check),
    ("response_head", response_head::check),
    ("access_line", access_line::check),
    ("trace_context", trace_context::check),
];

/// What reverse proxies speak beside HTTP; the first ones have a corpus of their own.
const GATEWAY_TARGETS: [(&str, Check); 7] = [
    ("uwsgi", uwsgi::check),
    ("scgi", scgi::check),
    ("fastcgi", fastcgi::check),
    ("proxy", proxy::check),
    ("fastcgi_member", fastcgi_member::check),
    ("gateway", gateway::check),
    ("fastcgi_response", fastcgi_response::check),
];

/// The last eight bytes of an input, see `input`: default limits, small ones, a small body limit, reverse proxies.
const CHOICES: [u64; 10] = [0, 4, 0x3020_1001, 0x0304_0202, 0x2003, 8, 0x1f, 0x20, 0x120, 0x304];

/// Longer messages are about the default limits; they take long in many splits.
const SHORT_BYTES: usize = 4096;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
    found.sort();
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The lines of a file of `seeds/`: escaped as in Python's bytes literals.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder("seeds").join(name)).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(unescape).collect()
}

fn unescape(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        bytes.push(match (character, (character == '\\').then(|| rest.next()).flatten()) {
            (_, Some('r')) => b'\r',
            (_, Some('n')) => b'\n',
            (_, Some('t')) => b'\t',
            (_, Some('\\')) => b'\\',
            (_, Some('x')) => u8::from_str_radix(&rest.by_ref().take(2).collect::<String>(), 16).unwrap(),
            (_, Some(other)) => panic!("the escape {other} in {line}"),
            (plain, None) => u8::try_from(plain).unwrap(),
        });
    }
    bytes
}

/// Hands a message to a target, with all choices if it is short.
fn run(target: &str, check: Check, message: &[u8], from: &str) {
    let choices = if message.len() <= SHORT_BYTES { &CHOICES[..] } else { &CHOICES[..1] };
    for choice in choices {
        // Shown when the check panics.
        println!("{target} {choice:#x} {from}");
        check(&[message, &choice.to_le_bytes()].concat());
    }
}

#[test]
fn the_seeds_break_no_invariant() {
    for (target, check) in HTTP_TARGETS.into_iter().chain(GATEWAY_TARGETS) {
        let name = match target {
            "body" | "chunked" => "chunked.txt",
            "response" | "fastcgi_response" => "response.txt",
            "forwarded" | "passed_on" => "forwarded.txt",
            "gateway" => "gateway.txt",
            "trace_context" => "trace_context.txt",
            _ => "requests.txt",
        };
        for seed in seeds(name) {
            run(target, check, &seed, &seed.escape_ascii().to_string());
        }
    }
}

#[test]
fn the_corpus_breaks_no_invariant() {
    let mut corpus = Vec::new();
    files(&folder("../tests/corpus/http1"), &mut corpus);
    let messages = corpus.iter().filter(|path| path.extension().is_some_and(|extension| extension == "http"));
    for path in messages {
        let message = fs::read(path).unwrap();
        let head_bytes = message.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |start| start + 4);
        for (target, check) in HTTP_TARGETS {
            let is_body = matches!(target, "body" | "chunked");
            run(target, check, &message[if is_body { head_bytes } else { 0 }..], &path.display().to_string());
        }
    }
}

#[test]
fn the_corpus_of_responses_breaks_no_invariant() {
    let mut corpus = Vec::new();
    files(&folder("../tests/corpus/responses"), &mut corpus);
    corpus.retain(|path| path.extension().is_some_and(|extension| extension == "http"));
    assert!(corpus.len() > 190, "{} files", corpus.len());
    for path in corpus {
        run("response_head", response_head::check, &fs::read(&path).unwrap(), &path.display().to_string());
    }
}

#[test]
fn the_corpora_of_reverse_proxies_break_no_invariant() {
    for (target, check) in &GATEWAY_TARGETS[..5] {
        let mut corpus = Vec::new();
        files(&folder("../tests/corpus").join(target), &mut corpus);
        corpus.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
        assert!(corpus.len() > 20, "{} files for {target}", corpus.len());
        for path in corpus {
            run(target, *check, &fs::read(&path).unwrap(), &path.display().to_string());
        }
    }
}

#[test]
fn what_was_found_stays_fixed() {
    let mut found = Vec::new();
    files(&folder("found"), &mut found);
    for path in found {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut targets = HTTP_TARGETS.into_iter().chain(GATEWAY_TARGETS);
        if let Some((_, check)) = targets.find(|(target, _)| name.starts_with(&format!("{target}-"))) {
            println!("{}", path.display());
            check(&fs::read(&path).unwrap());
        }
    }
}
