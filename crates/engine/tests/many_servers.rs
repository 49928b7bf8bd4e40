//! Many servers in one process, one after the other and at once: threads, descriptors and memory are as before.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portico_engine::engine::Ended;
use portico_engine::function::{Function, FunctionRequest, FunctionResponse};
use std::time::{Duration, Instant};
use support::RunningServer;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn hello(_: FunctionRequest) -> FunctionResponse {
    FunctionResponse { status: "200 OK", headers: Vec::new(), blocks: vec![b"hello".to_vec()] }
}

/// What a server could leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProcessUse {
    threads: usize,
    descriptors: usize,
}

fn held() -> ProcessUse {
    let count = |path| std::fs::read_dir(path).unwrap().count();
    ProcessUse { threads: count("/proc/self/task"), descriptors: count("/proc/self/fd") }
}

/// Resident memory in KiB.
fn memory_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A thread that has ended is gone from /proc a moment later.
fn wait_until_held(before: ProcessUse) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while held() != before {
        assert!(Instant::now() < deadline, "{:?} instead of {before:?}", held());
        std::thread::yield_now();
    }
}

/// A life in which each kind of thing is used: connections that stay, a rejected one, a body on disk, a second thread.
fn live() {
    let server = RunningServer::serve(Function(hello), &[("body_memory_bytes", "10"), ("threads", "2")]);
    let _idle = server.connect();
    let mut kept = server.connect();
    kept.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(kept.read_response().1, b"hello");
    assert!(server.connect().ask(REQUEST).ends_with("hello"));
    assert!(server.connect().ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let mut upload = server.connect();
    upload.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    upload.send(&[b'x'; 100]);
    assert_eq!(upload.read_response().1, b"hello");
    // Quickly: a graceful stop waits for requests that may be on their way.
    assert_eq!(server.stop_quickly(), Ended::InPeace);
}

#[test]
fn a_thousand_servers_in_a_row_and_fifty_at_once_leave_nothing_behind() {
    // The first ones fill what the C library and the test keep.
    (0..50).for_each(|_| live());
    let (before, memory_before) = (held(), memory_kib());
    (0..1000).for_each(|_| live());
    wait_until_held(before);
    let grown_kib = memory_kib().saturating_sub(memory_before);
    // A page per server would be 4,000 KiB.
    assert!(grown_kib < 1_000, "{grown_kib} KiB more after 1,000 servers");

    let servers: Vec<_> = (0..50).map(|_| RunningServer::serve(Function(hello), &[])).collect();
    for server in &servers {
        assert!(server.connect().ask(REQUEST).ends_with("hello"));
    }
    assert!(servers.into_iter().all(|server| server.stop() == Ended::InPeace));
    wait_until_held(before);
}
