//! A connection at the moments at which two threads meet on it: its task, its responder, the wheel.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portico_engine::account_terms::AccountTerms;
use portico_engine::connection::Connection;
use portico_engine::connection::socket::{Socket, Then};
use portico_engine::deadline::{Late, Wait};
use portico_engine::listener::{BoundListener, Listener, Options};
use portico_engine::message::spoken::Protocol;
use portico_engine::resources::Resources;
use portico_engine::runtime::Runtime;
use portico_engine::scoreboard::{Mapping, SlotRef};
use portico_engine::wheel::Timed as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::time::Duration;
use support::settings;

fn runtime() -> Arc<Runtime> {
    Arc::new(Runtime::new().unwrap())
}

/// A connection that was accepted, and its client.
fn connect(runtime: &Arc<Runtime>) -> (Arc<Connection>, TcpStream) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (accepted, peer) = socket.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    let bound = BoundListener {
        socket: socket.into(),
        protocol: Protocol::Http,
        options: Options::default(),
        display: "a test".into(),
        is_connection: false,
    };
    let (listener, _) = Listener::new(0, bound);
    let slot = SlotRef::new(&Mapping::new(1).unwrap(), 0).unwrap();
    let resources = Resources::new(settings(&[]), slot, (None, None), AccountTerms::default(), None, None, runtime);
    let connection = Connection::new(&resources, accepted.into(), &Arc::new(listener), Some(peer)).unwrap();
    (Arc::new(connection), client)
}

/// The task waits for nothing yet, and will not look at the turn once it does.
#[test]
fn a_response_that_closes_before_the_task_reads_on_ends_the_connection() {
    let runtime = runtime();
    let (connection, mut client) = connect(&runtime);
    connection.begin_task();
    connection.submit(false);
    connection.socket.send(b"response", Then::More).unwrap();
    connection.end_response(false);

    let task = std::thread::spawn(move || {
        let mut inbound = None;
        let received = runtime.block_on(connection.fill(&mut inbound));
        received.unwrap()
    });
    let mut response = Vec::new();
    client.read_to_end(&mut response).unwrap();
    assert_eq!(response, b"response");
    drop(client);
    assert_eq!(task.join().unwrap(), 0);
}

#[test]
fn a_request_that_comes_as_its_connection_is_found_idle_is_responded_to() {
    for late in [Wait::Idle, Wait::FirstByte] {
        let (connection, mut client) = connect(&runtime());
        connection.begin_task();
        client.write_all(b"request").unwrap();
        connection.submit(false);
        connection.on_deadline(Late::Receiving(late));
        connection.socket.send(b"response", Then::More).unwrap();
        connection.end_response(false);
        drop(connection);

        let mut response = [0; 8];
        client.read_exact(&mut response).unwrap();
        assert_eq!(&response, b"response", "{late:?}");
    }
}

#[test]
fn an_idle_connection_ends_when_it_is_late() {
    for late in [Wait::Idle, Wait::FirstByte, Wait::Linger] {
        let runtime = runtime();
        let (connection, _client) = connect(&runtime);
        connection.begin_task();
        connection.on_deadline(Late::Receiving(late));
        let mut inbound = None;
        assert_eq!(runtime.block_on(connection.fill(&mut inbound)).unwrap(), 0, "{late:?}");
    }
}

/// The reactor takes a descriptor once.
#[test]
fn two_threads_that_wait_first_for_one_socket_both_wait() {
    let runtime = runtime();
    for _ in 0..2_000 {
        let (_client, there) = std::os::unix::net::UnixStream::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        let socket = Socket::new(there.into());
        let barrier = Barrier::new(2);
        let wait = || {
            barrier.wait();
            runtime.block_on(socket.write_when_ready(|| Ok(1)))
        };
        let results = std::thread::scope(|scope| {
            let other = scope.spawn(wait);
            [wait(), other.join().unwrap()]
        });
        assert_eq!(results.map(Result::unwrap), [1, 1]);
    }
}
