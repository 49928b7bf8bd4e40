//! A server that is handed one accepted connection and no listening socket: it serves that, and ends by itself.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portico_engine::engine::{Descriptors, Ended, Engine};
use portico_engine::function::{Function, FunctionRequest, FunctionResponse};
use portico_engine::listener::{BoundListener, Options};
use portico_engine::message::spoken::Protocol;
use portico_engine::scoreboard::{Mapping, SlotRef};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use support::{TestClient, settings};

const BODY_BYTES: usize = 20 << 20;
/// Less than a connection would linger.
const PATIENCE: Duration = Duration::from_secs(20);

fn large(_: FunctionRequest) -> FunctionResponse {
    FunctionResponse { status: "200 OK", headers: Vec::new(), blocks: vec![vec![b'x'; BODY_BYTES]] }
}

fn hello(_: FunctionRequest) -> FunctionResponse {
    FunctionResponse { status: "200 OK", headers: Vec::new(), blocks: vec![b"hello".to_vec()] }
}

/// A client whose connection has been accepted, with `first` sent, and the end of the server that serves it.
fn serve_one(
    application: fn(FunctionRequest) -> FunctionResponse,
    first: &[u8],
) -> (TestClient, Receiver<Result<Ended, String>>) {
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listening.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.write_all(first).unwrap();
    let (accepted, _) = listening.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    let connection = BoundListener {
        socket: accepted.into(),
        protocol: Protocol::Http,
        options: Options::default(),
        display: "a test".into(),
        is_connection: true,
    };
    let process = Descriptors { listeners: vec![connection], ..Descriptors::default() };
    let slot = SlotRef::new(&Mapping::new(1).unwrap(), 0).unwrap();
    let engine = Engine::new(settings(&[("keep_alive_s", "0"), ("linger_timeout_s", "60")]), process, slot).unwrap();
    let (ended, served) = channel();
    std::thread::spawn(move || ended.send(engine.serve(Function(application))));
    (TestClient(client), served)
}

#[test]
fn serves_the_connection_and_ends_while_the_client_stays() {
    for connection in ["close", "keep-alive"] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
        let (client, served) = serve_one(hello, request.as_bytes());
        assert_eq!(served.recv_timeout(PATIENCE).unwrap(), Ok(Ended::InPeace));
        assert!(client.read_to_end().ends_with("\r\n\r\nhello"));
    }
}

#[test]
fn waits_for_a_request_that_comes_later() {
    let (mut client, served) = serve_one(hello, b"GET / HT");
    client.send(b"TP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.read_to_end().ends_with("\r\n\r\nhello"));
    assert_eq!(served.recv_timeout(PATIENCE).unwrap(), Ok(Ended::InPeace));
}

#[test]
fn ends_only_after_the_whole_response() {
    let (client, served) = serve_one(large, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.read_to_end();
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), BODY_BYTES);
    assert_eq!(served.recv_timeout(PATIENCE).unwrap(), Ok(Ended::InPeace));
}

#[test]
fn a_client_that_leaves_without_a_word_ends_the_server() {
    let (client, served) = serve_one(hello, b"");
    drop(client);
    assert_eq!(served.recv_timeout(PATIENCE).unwrap(), Ok(Ended::InPeace));
}
