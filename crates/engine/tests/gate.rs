//! Who is asked before a connection is accepted, and what becomes of those that are not let in.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use portico_engine::engine::Ended;
use portico_engine::function::{Function, FunctionRequest, FunctionResponse};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{RunningServer, TestClient};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
/// Long enough for a server that would ask again.
const MOMENT: Duration = Duration::from_millis(150);

fn hello(_: FunctionRequest) -> FunctionResponse {
    FunctionResponse { status: "200 OK", headers: Vec::new(), blocks: vec![b"hello".to_vec()] }
}

fn asked(keeper: &mut UnixStream) {
    let mut byte = [0];
    keeper.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"?");
}

fn is_not_asked(keeper: &mut UnixStream) {
    keeper.set_read_timeout(Some(MOMENT)).unwrap();
    assert_eq!(keeper.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    keeper.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
}

fn sent(server: &RunningServer) -> TestClient {
    let mut client = server.connect();
    client.send(REQUEST.as_bytes());
    client
}

/// A function that says when it is called, and returns when it is told to.
fn stuck() -> (Function<impl Fn(FunctionRequest) -> FunctionResponse>, Receiver<()>, Sender<()>) {
    let (begun, begins) = channel();
    let (go_on, goes_on) = channel();
    let goes_on = Arc::new(Mutex::new(goes_on));
    let call = move |request: FunctionRequest| {
        begun.send(()).unwrap();
        goes_on.lock().unwrap().recv().unwrap();
        hello(request)
    };
    (Function(call), begins, go_on)
}

#[test]
fn each_connection_is_asked_for_and_let_in_by_a_byte() {
    let (server, mut keeper, _) = RunningServer::serve_gated(Function(hello), &[]);
    for _ in 0..3 {
        let client = sent(&server);
        asked(&mut keeper);
        keeper.write_all(b"!").unwrap();
        assert!(client.read_to_end().ends_with("\r\n\r\nhello"));
    }
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn who_is_not_let_in_waits_in_the_queue_of_the_kernel_when_the_server_has_drained() {
    let (server, mut keeper, listening) = RunningServer::serve_gated(Function(hello), &[]);
    let client = sent(&server);
    asked(&mut keeper);
    assert_eq!(server.stop(), Ended::InPeace);
    let (mut accepted, _) = listening.accept().unwrap();
    let mut received = vec![0; REQUEST.len()];
    accepted.read_exact(&mut received).unwrap();
    assert_eq!(received, REQUEST.as_bytes());
    drop((accepted, client));
}

#[test]
fn nobody_is_asked_for_while_all_threads_are_in_calls() {
    let (function, begins, go_on) = stuck();
    let (server, mut keeper, _) = RunningServer::serve_gated(function, &[("threads", "1")]);
    let first = sent(&server);
    asked(&mut keeper);
    keeper.write_all(b"!").unwrap();
    begins.recv().unwrap();
    let second = sent(&server);
    is_not_asked(&mut keeper);
    go_on.send(()).unwrap();
    assert!(first.read_to_end().ends_with("\r\n\r\nhello"));
    asked(&mut keeper);
    keeper.write_all(b"!").unwrap();
    begins.recv().unwrap();
    go_on.send(()).unwrap();
    assert!(second.read_to_end().ends_with("\r\n\r\nhello"));
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn a_keeper_that_is_gone_lets_nobody_in() {
    let (server, keeper, listening) = RunningServer::serve_gated(Function(hello), &[]);
    drop(keeper);
    let _client = sent(&server);
    assert_eq!(server.stop(), Ended::InPeace);
    assert!(listening.accept().is_ok());
}
