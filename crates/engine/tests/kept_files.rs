//! Small files that are kept for a second: for how long, how many, and what threads see of a file that changes meanwhile.
//! Without sockets.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portico_engine::blocking::BlockingThreads;
use portico_engine::budget::Budget;
use portico_engine::exchange::file_serving::Files;
use portico_engine::files::file_response::FileBody;
use portico_engine::files::kept_files::{KeptFile, KeptFiles, Key, Representation};
use portico_engine::files::opening::Effort;
use portico_engine::files::relative_path::RelativePath;
use portico_engine::files::static_root::Outcome;
use portico_engine::files::validators::Validators;
use portico_engine::message::inbound::Inbound;
use portico_engine::message::spoken::Protocol;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use support::settings;

const FILE_BYTES: usize = 32 * 1024;
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// When a file was looked for, in milliseconds.
const LOOKED_MS: u64 = 1_000_000;

fn key(number: usize) -> Key {
    let path = RelativePath { path: format!("{number}.txt").into_bytes(), has_slash: false };
    Key { root: 0, path, codings: Vec::new() }
}

fn file(content: &[u8], looked_ms: u64) -> Arc<KeptFile> {
    let representation = Representation {
        content_type: "text/plain",
        coding: None,
        varies: false,
        is_hashed: false,
        size: content.len() as u64,
        validators: Validators { etag: "\"1\"".into(), modified_s: 0 },
        seen_s: 0,
    };
    Arc::new(KeptFile { representation, content: Arc::new(content.to_vec()), looked_ms })
}

/// What is kept for a key at a time.
fn content(kept: &KeptFiles, number: usize, now_ms: u64) -> Option<Vec<u8>> {
    kept.get(&key(number), now_ms).map(|file| file.content.to_vec())
}

#[test]
fn a_file_is_kept_for_a_second_from_when_somebody_looked_for_it() {
    let kept = KeptFiles::new(&Budget::new(1 << 30));
    kept.keep(key(1), &file(b"as it was", LOOKED_MS));
    assert_eq!(content(&kept, 1, LOOKED_MS + 900).unwrap(), b"as it was");
    assert_eq!(content(&kept, 1, LOOKED_MS + 1_000 - 10), None, "the clock may be 10 ms behind");
    assert_eq!(content(&kept, 2, LOOKED_MS), None);
}

#[test]
fn the_choice_of_a_file_depends_on_directory_and_codings() {
    let kept = KeptFiles::new(&Budget::new(1 << 30));
    kept.keep(key(1), &file(b"plain", LOOKED_MS));
    let compressed = Key { codings: vec![portico_wire::ContentCoding::Gzip], ..key(1) };
    let elsewhere = Key { root: 1, ..key(1) };
    let directory = Key { path: RelativePath { has_slash: true, ..key(1).path }, ..key(1) };
    for other in [compressed, elsewhere, directory] {
        assert!(kept.get(&other, LOOKED_MS).is_none(), "{other:?}");
    }
}

#[test]
fn what_was_seen_earlier_does_not_replace_what_was_seen_later() {
    let kept = KeptFiles::new(&Budget::new(1 << 30));
    kept.keep(key(1), &file(b"later", LOOKED_MS + 1));
    kept.keep(key(1), &file(b"earlier, from a slow disk", LOOKED_MS));
    assert_eq!(content(&kept, 1, LOOKED_MS + 1).unwrap(), b"later");
}

#[test]
fn all_files_together_are_bounded_and_counted_until_they_are_old() {
    let memory = Budget::new(1 << 30);
    let kept = KeptFiles::new(&memory);
    assert_eq!(memory.used(), 0);
    for _ in 0..2 {
        for number in 0..1_000 {
            kept.keep(key(number), &file(&vec![b'x'; FILE_BYTES], LOOKED_MS));
        }
    }
    let are_kept = (0..1_000).filter(|number| content(&kept, *number, LOOKED_MS).is_some()).count();
    assert!((100..=128).contains(&are_kept), "{are_kept}");
    assert!((MOST_BYTES * 9 / 10..=MOST_BYTES).contains(&memory.used()), "{}", memory.used());
    assert!(!kept.forget_old(LOOKED_MS + 500));
    assert!(memory.used() > 0);
    assert!(kept.forget_old(LOOKED_MS + 1_000));
    assert_eq!(memory.used(), 0);
}

#[test]
fn nothing_is_kept_where_requests_have_used_the_memory_up() {
    let memory = Budget::new(100_000);
    let kept = KeptFiles::new(&memory);
    memory.overdraw(90_000);
    kept.keep(key(1), &file(b"small", LOOKED_MS));
    assert_eq!(content(&kept, 1, LOOKED_MS), None);
    assert_eq!(memory.used(), 90_000);
}

// --- From a disk

fn served(root: &Path, memory: &Arc<Budget>) -> Files {
    let directories = settings(&[("static_directories", &format!("/={}", root.display()))]).static_directories;
    let kept = Some(KeptFiles::new(memory));
    Files::open(&directories, &[], &Arc::new(BlockingThreads::new(1)), kept).unwrap().unwrap()
}

/// Entity tag and body of what there is at `target`.
fn get(files: &Files, target: &str) -> Option<(String, Vec<u8>)> {
    let settings = settings(&[]);
    let mut inbound = Inbound::new(&Budget::new(1 << 30));
    inbound.push(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    inbound.read_head(Protocol::Http, false, false, &settings).unwrap().unwrap();
    let place = files.place_of(&inbound).unwrap();
    let found = files.look_up(&place, &inbound, Effort::Cached);
    match found.or_else(|| files.look_up(&place, &inbound, Effort::Waiting)).unwrap() {
        Outcome::Missing => None,
        Outcome::Response(response, _) => {
            let fields = String::from_utf8(response.head.fields).unwrap();
            let etag = fields.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().to_owned();
            let FileBody::Shared(bytes) = response.body else { unreachable!("{:?}", response.body) };
            Some((etag, bytes.as_ref().to_vec()))
        }
    }
}

#[test]
fn threads_that_ask_while_a_file_is_replaced_get_one_of_both_whole() {
    let folder = tempfile::tempdir().unwrap();
    let [path, next] = ["a.txt", "next.txt"].map(|name| folder.path().join(name));
    // Their length says which they are, and the tag has the length in it.
    let contents = [vec![b'a'; 10_000], vec![b'b'; 20_000]];
    fs::write(&path, &contents[0]).unwrap();
    let memory = Budget::new(1 << 30);
    let files = served(folder.path(), &memory);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    let (etag, body) = get(&files, "/a.txt").unwrap();
                    assert!(contents.contains(&body), "{} bytes", body.len());
                    assert!(etag.contains(&format!("-{:x}-", body.len())), "{etag} of {} bytes", body.len());
                    // As if a second had passed.
                    files.forget_old(u64::MAX);
                }
            });
        }
        for number in 0..500 {
            fs::write(&next, &contents[number % 2]).unwrap();
            fs::rename(&next, &path).unwrap();
        }
        is_over.store(true, Relaxed);
    });
    files.forget_old(u64::MAX);
    assert_eq!(memory.used(), 0);
}
