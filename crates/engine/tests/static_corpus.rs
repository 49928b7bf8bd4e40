//! Replays `tests/corpus/static` without sockets: requests as bytes, a directory on a disk, and what has to become of
//! them. From the disk, and from files that are kept; as the kernel opens files beneath a directory, and as where it cannot.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::indexing_slicing, reason = "tests")]

mod support;

use portico_engine::blocking::BlockingThreads;
use portico_engine::budget::Budget;
use portico_engine::exchange::file_serving::Files;
use portico_engine::files::file_response::{FileBody, FileResponse};
use portico_engine::files::kept_files::KeptFiles;
use portico_engine::files::opening::{Beneath, Effort};
use portico_engine::files::static_root::Outcome;
use portico_engine::files::validators::{FileMetadata, Validators};
use portico_engine::message::inbound::Inbound;
use portico_engine::message::spoken::Protocol;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use support::settings;

/// When all files were modified.
const MODIFIED_S: u64 = 1_700_000_000;
const NAMES: [&str; 4] = ["conditions", "ranges", "negotiation", "paths"];

/// A case: a line of the corpus.
struct Case {
    text: String,
    /// Request line without the version, and header lines.
    request: Vec<String>,
    /// `app`, or a status.
    outcome: String,
    /// What the response has to have.
    expected: Vec<String>,
}

fn cases(name: &str, folder: &Path) -> Vec<Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/static").join(format!("{name}.txt"));
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| case(&filled_in(line, &folder.join("root")))).collect()
}

fn case(line: &str) -> Case {
    let mut parts = line.split(" | ").map(str::to_owned);
    let mut request = vec![parts.next().unwrap()];
    for part in parts.by_ref() {
        if part == "app" || part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Case { text: line.to_owned(), request, outcome: part, expected: parts.collect() };
        }
        request.push(part);
    }
    panic!("no outcome: {line}");
}

/// Puts entity tags and dates into a line.
fn filled_in(line: &str, root: &Path) -> String {
    let mut line = line.to_owned();
    while let Some(start) = line.find("{etag ") {
        let end = start + line[start..].find('}').unwrap();
        let metadata = fs::metadata(root.join(&line[start + "{etag ".len()..end])).unwrap();
        let metadata = FileMetadata {
            size: metadata.size(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            inode: metadata.ino(),
        };
        line.replace_range(start..=end, &Validators::new(&metadata, u64::MAX).etag);
    }
    line.replace("{date}", "Tue, 14 Nov 2023 22:13:20 GMT")
        .replace("{date+1}", "Tue, 14 Nov 2023 22:13:21 GMT")
        .replace("{date-1}", "Tue, 14 Nov 2023 22:13:19 GMT")
}

/// The directory that README.md of the corpus describes.
fn make_tree(folder: &Path) {
    let root = folder.join("root");
    let table = include_str!("../../../tests/corpus/static/tree.txt");
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (path, content) = line.split_once(" = ").unwrap();
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (content, age_s) = content.strip_suffix(" (older)").map_or((content, 0), |content| (content, 10));
        if let Some(target) = content.strip_prefix("-> ") {
            symlink(target, &path).unwrap();
        } else if content == "(directory)" {
            fs::create_dir_all(&path).unwrap();
        } else {
            let content =
                if content == "(thousand)" { "abcdefghij".repeat(100) } else { content.replace("(empty)", "") };
            fs::write(&path, content).unwrap();
            let modified = UNIX_EPOCH + Duration::new(MODIFIED_S - age_s, 5_000);
            File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        }
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo"), rustix::fs::Mode::RUSR).unwrap();
    drop(UnixListener::bind(root.join("socket")).unwrap());
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        make_tree(folder.path());
        Folder(folder)
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }
}

fn look_up(files: &Files, request: &[String], effort: Effort) -> Outcome {
    let settings = settings(&[]);
    let mut inbound = Inbound::new(&Budget::new(1 << 30));
    let (line, fields) = request.split_first().unwrap();
    let lines = [&[format!("{line} HTTP/1.1"), "Host: a".into()], fields, &[String::new(), String::new()]].concat();
    inbound.push(lines.join("\r\n").as_bytes());
    inbound.read_head(Protocol::Http, false, false, &settings).unwrap().unwrap();
    match files.place_of(&inbound) {
        // What is not in memory is asked for again, with more effort.
        Some(place) => {
            files.look_up(&place, &inbound, effort).unwrap_or_else(|| look_up(files, request, Effort::Waiting))
        }
        None => Outcome::Missing,
    }
}

fn body_of(response: &FileResponse, file: Option<&File>, is_head: bool) -> Vec<u8> {
    let read = |range: &std::ops::Range<u64>| {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        file.unwrap().read_exact_at(&mut bytes, range.start).unwrap();
        bytes
    };
    let body = match &response.body {
        FileBody::Text(text) => text.clone(),
        FileBody::Shared(bytes) => bytes.as_ref().to_vec(),
        FileBody::Range(range) => read(range),
        FileBody::Parts(parts, end) => {
            let parts = parts.iter().flat_map(|(before, range)| [before.clone(), read(range)]);
            [parts.collect::<Vec<_>>().concat(), end.clone()].concat()
        }
    };
    assert!(response.head.content_length.is_none_or(|length| length == body.len() as u64));
    if is_head { Vec::new() } else { body }
}

fn check(case: &Case, files: &Files, effort: Effort) {
    let text = &case.text;
    let (response, file) = match look_up(files, &case.request, effort) {
        Outcome::Missing => return assert_eq!(case.outcome, "app", "{text}"),
        Outcome::Response(response, file) => (response, file),
    };
    assert_eq!(response.head.status.to_string(), case.outcome, "{text}");
    let body = body_of(&response, file.as_ref(), case.request[0].starts_with("HEAD "));
    let mut fields = String::from_utf8(response.head.fields.clone()).unwrap();
    if let Some(length) = response.head.content_length {
        fields.extend(["Content-Length: ", &length.to_string(), "\r\n"]);
    }
    let has = |name: &str| fields.lines().any(|line| line.starts_with(&format!("{name}: ")));
    for expected in &case.expected {
        if let Some(parts) = expected.strip_prefix("=parts ") {
            let expected: String = parts.split(',').map(part_of_thousand).collect();
            let text = String::from_utf8(body.clone()).unwrap();
            let boundary = fields.lines().find_map(|line| line.split_once("boundary=")).unwrap().1;
            assert_eq!(
                text,
                expected.replace("BOUNDARY", boundary) + &format!("\r\n--{boundary}--\r\n"),
                "{}",
                case.text
            );
        } else if let Some(expected) = expected.strip_prefix('=') {
            assert_eq!(String::from_utf8_lossy(&body).trim_end_matches('\n'), expected, "{text}");
        } else if let Some(name) = expected.strip_prefix('!') {
            assert!(!has(name), "{text}: {fields}");
        } else if let Some(start) = expected.strip_suffix('*').filter(|start| start.ends_with('=')) {
            assert!(fields.lines().any(|line| line.starts_with(start)), "{text}: {fields}");
        } else {
            assert!(fields.lines().any(|line| line == expected), "{text}: {fields}");
        }
    }
}

/// A part of the file of a thousand bytes, as RFC 9110 14.6 has it.
fn part_of_thousand(range: &str) -> String {
    let (first, last) = range.split_once('-').unwrap();
    let content = &"abcdefghij".repeat(100)[first.parse().unwrap()..=last.parse().unwrap()];
    format!(
        "\r\n--BOUNDARY\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {range}/1000\r\n\r\n{content}"
    )
}

#[test]
fn the_corpus_has_its_cases() {
    let folder = Folder::new();
    let count: usize = NAMES.iter().map(|name| cases(name, folder.0.path()).len()).sum();
    assert!(count >= 320, "only {count}");
}

/// The directories of the corpus, served.
fn served(folder: &Folder, kept: Option<KeptFiles>) -> Files {
    let directories = format!("/static={0},/static/deep={0}/../deep", folder.root().display());
    let directories = settings(&[("static_directories", &directories)]).static_directories;
    Files::open(&directories, &[], &Arc::new(BlockingThreads::new(1)), kept).unwrap().unwrap()
}

#[test]
fn each_request_gets_what_the_corpus_says() {
    let folder = Folder::new();
    let files = served(&folder, None);
    for name in NAMES {
        for case in cases(name, folder.0.path()) {
            check(&case, &files, Effort::Waiting);
            check(&case, &files, Effort::Cached);
        }
    }
}

#[test]
fn each_request_gets_the_same_of_a_file_that_is_kept() {
    let folder = Folder::new();
    let memory = Budget::new(1 << 30);
    let files = served(&folder, Some(KeptFiles::new(&memory)));
    for name in NAMES {
        for case in cases(name, folder.0.path()) {
            let is_for_the_choice = |field: &&String| field.to_ascii_lowercase().starts_with("accept-encoding");
            let get = format!("GET {}", case.request[0].split_once(' ').unwrap().1);
            let whole: Vec<_> =
                [get].into_iter().chain(case.request.iter().filter(is_for_the_choice).cloned()).collect();
            look_up(&files, &whole, Effort::Waiting);
            check(&case, &files, Effort::Waiting);
            check(&case, &files, Effort::Cached);
        }
    }
    assert!(memory.used() > 0);
}

#[test]
fn without_openat2_nothing_leads_out_and_links_are_not_followed() {
    let folder = Folder::new();
    let beneath = Beneath::open(&folder.root()).unwrap().walking();
    let read = |path: &str| {
        let mut text = String::new();
        beneath.get(path.as_bytes(), Effort::Waiting).and_then(|mut file| file.read_to_string(&mut text)).map(|_| text)
    };
    assert_eq!(read("ten.txt").unwrap(), "0123456789");
    assert_eq!(read("docs/index.html").unwrap(), "index of docs");
    for path in
        ["link.txt", "same/index.html", "out.txt", "up/secret.txt", "../secret.txt", "docs/../../secret.txt", ".."]
    {
        assert_eq!(read(path).unwrap_err().kind(), std::io::ErrorKind::NotFound, "{path}");
    }
    assert!(beneath.get(b"", Effort::Waiting).unwrap().metadata().unwrap().is_dir());
}
