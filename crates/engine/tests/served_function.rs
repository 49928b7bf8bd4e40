//! A Rust function, served over real sockets without any interpreter.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portico_engine::engine::Ended;
use portico_engine::function::{Function, FunctionRequest, FunctionResponse};
use std::io::Read as _;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use support::RunningServer;

/// Says what it was asked.
fn echo(request: FunctionRequest) -> FunctionResponse {
    let mut said = [request.method, request.target].join(&b' ');
    said.push(b'\n');
    said.extend(request.body);
    FunctionResponse { status: "200 OK", headers: vec![("X-Made-By", "echo".into())], blocks: vec![said] }
}

#[test]
fn a_function_is_served_over_http() {
    let server = RunningServer::serve(Function(echo), &[]);
    let response = server.connect().ask("GET /a?b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\nX-Made-By: echo\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nGET /a?b\n"), "{response}");
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn pipelined_requests_are_responded_to_in_order() {
    let server = RunningServer::serve(Function(echo), &[]);
    let mut client = server.connect();
    client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    let bodies: Vec<_> = (0..3).map(|_| client.read_response().1).collect();
    assert_eq!(bodies, [&b"GET /1\n"[..], b"POST /2\nabc", b"GET /3\n"]);
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn a_chunked_body_that_comes_in_pieces_is_put_together() {
    let server = RunningServer::serve(Function(echo), &[]);
    let mut client = server.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab");
    client.send(b"c\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.read_response().1, b"POST /\nabcde");
    server.stop();
}

#[test]
fn a_body_beyond_the_spool_is_streamed_to_the_function() {
    let server = RunningServer::serve(Function(echo), &[("body_memory_bytes", "1024"), ("body_spool_bytes", "4096")]);
    let mut client = server.connect();
    let body = vec![b'x'; 300_000];
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    client.send(&body);
    assert_eq!(client.read_response().1.len(), "POST /\n".len() + body.len());
    server.stop();
}

#[test]
fn a_request_that_breaks_a_rule_is_rejected_without_the_function() {
    let server = RunningServer::serve(Function(|_| -> FunctionResponse { panic!("called") }), &[]);
    let response = server.connect().ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
    server.stop();
}

#[test]
fn a_slow_reader_gets_all_of_a_large_response_while_another_request_is_served() {
    let large = 20 << 20;
    let function = move |request: FunctionRequest| FunctionResponse {
        status: "200 OK",
        headers: Vec::new(),
        blocks: if request.target == b"/large" { vec![vec![b'y'; large / 4]; 4] } else { vec![b"small".to_vec()] },
    };
    let server = RunningServer::serve(Function(function), &[("threads", "1")]);
    let mut slow = server.connect();
    slow.send(b"GET /large HTTP/1.0\r\n\r\n");
    let mut quick = server.connect();
    quick.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(quick.read_response().1, b"small");
    let response = slow.read_to_end();
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), large);
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn a_call_that_blocks_does_not_keep_another_thread_from_serving() {
    let (opens, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let function = move |request: FunctionRequest| {
        match &*request.target {
            b"/waits" => gate.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap(),
            _ => opens.send(()).unwrap(),
        }
        FunctionResponse { status: "204 No Content", headers: Vec::new(), blocks: Vec::new() }
    };
    let server = RunningServer::serve(Function(function), &[("threads", "2")]);
    let mut waits = server.connect();
    waits.send(b"GET /waits HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let opened = server.connect().ask("GET /opens HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(opened.starts_with("HTTP/1.1 204 No Content\r\n"), "{opened}");
    assert!(waits.read_to_end().starts_with("HTTP/1.1 204 No Content\r\n"));
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn health_checks_need_no_function() {
    let server =
        RunningServer::serve(Function(|_| -> FunctionResponse { panic!("called") }), &[("health_paths", "/livez")]);
    let response = server.connect().ask("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nok\n"), "{response}");
    server.stop();
}

#[test]
fn a_client_that_half_closes_gets_its_response() {
    let server = RunningServer::serve(Function(echo), &[]);
    let mut client = server.connect();
    client.send(b"GET /half HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.0.shutdown(Shutdown::Write).unwrap();
    let mut response = String::new();
    client.0.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("GET /half\n"), "{response}");
    server.stop();
}

#[test]
fn a_function_that_panics_is_one_500_and_the_next_request_is_served() {
    let function = |request: FunctionRequest| match &*request.target {
        b"/panics" => panic!("on purpose"),
        _ => echo(request),
    };
    let server = RunningServer::serve(Function(function), &[("threads", "1")]);
    let response = server.connect().ask("GET /panics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\n500 Internal Server Error\n"), "{response}");
    let next = server.connect().ask("GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(next.ends_with("GET /next\n"), "{next}");
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn a_health_check_is_not_behind_a_batch_of_short_calls() {
    const CALLS: usize = 300;
    let (opens, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let called = Arc::new(AtomicUsize::new(0));
    let there = called.clone();
    let function = move |request: FunctionRequest| {
        if request.target == b"/first" {
            gate.lock().unwrap().recv_timeout(Duration::from_secs(30)).unwrap();
        } else {
            // Long enough together, each too short for the watchdog.
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(500) {}
        }
        there.fetch_add(1, SeqCst);
        echo(request)
    };
    let server = RunningServer::serve(Function(function), &[("threads", "1"), ("health_paths", "/livez")]);
    let mut first = server.connect();
    first.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut queued: Vec<_> = (0..CALLS).map(|_| server.connect()).collect();
    for client in &mut queued {
        client.send(b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let mut health = server.connect();
    // While the first call waits the watchdog drives I/O: after this all that was sent before it is queued.
    health.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
    health.read_response();
    opens.send(()).unwrap();
    while called.load(SeqCst) < 10 {
        std::thread::yield_now();
    }
    health.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
    health.read_response();
    let called = called.load(SeqCst);
    assert!(called < CALLS / 2, "{called} calls before the health check");
    assert_eq!(server.stop_quickly(), Ended::InPeace);
}
