//! tests/corpus/routes: the rows that requests are to be taken by, as `portico routes` finds them, too.

#![allow(clippy::unwrap_used, reason = "tests")]

use portico_wire::{Routed, Routes, percent_decode_into};
use std::path::Path;

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    percent_decode_into(text.as_bytes(), &mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// The path of a target, without its query; of an absolute one, behind its authority.
fn path_of(target: &str) -> &str {
    let path = target.split_once("://").map_or(target, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    path.split('?').next().unwrap()
}

fn run(text: &str, name: &str) -> usize {
    let mut routes = Routes::default();
    let (mut rows, mut requests) = (0, 0);
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["unknown_host", status] => routes = Routes::new(*status != "0"),
            ["row", host, kind, path, ..] => {
                let (host, is_exact) = (if *host == "*" { "" } else { host }, *kind == "exact");
                let path = decoded(path);
                let path = if is_exact { path.as_str() } else { path.trim_end_matches('/') };
                routes.add(host, path, is_exact, rows);
                rows += 1;
            }
            ["request", host, target, expected, rest @ ..] | ["after", _, host, target, expected, rest @ ..] => {
                // The rows have the numbers from 1 on there.
                let first = if words[0] == "after" { words[1].parse().unwrap() } else { 0 };
                let host = if *host == "-" { "" } else { host };
                let expected = match (*expected, rest) {
                    ("404", []) => Routed::NoPath,
                    (_, []) => Routed::UnknownHost,
                    (row, _) => Routed::Row(row.parse::<usize>().unwrap() - 1),
                };
                let found = routes.find_from(first, host.as_bytes(), path_of(target).as_bytes(), true);
                assert_eq!(found, expected, "{name}: {line}");
                requests += 1;
            }
            _ => panic!("{name}: {line}"),
        }
    }
    requests
}

#[test]
fn each_request_is_taken_by_its_row() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/routes");
    let mut requests = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            requests += run(&std::fs::read_to_string(&path).unwrap(), &name);
        }
    }
    assert!(requests > 80, "{requests}");
}
