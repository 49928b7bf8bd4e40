//! What a supervisor tells a server, and what the server says to that.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;
#[path = "support/upstream.rs"]
mod upstream;

use portico_engine::engine::Ended;
use portico_engine::function::{Function, FunctionRequest, FunctionResponse};
use portico_engine::message::spoken::Protocol;
use portico_engine::orders;
use portico_engine::upstream::address::{Address, Place};
use portico_engine::upstream::group::{Upstream, UpstreamTerms};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;
use support::RunningServer;
use upstream::terms;

const READY: &[u8] = b"R\0\0\0\0\x04\0\0\0shop";

fn hello(_: FunctionRequest) -> FunctionResponse {
    FunctionResponse { status: "200 OK", headers: Vec::new(), blocks: vec![b"hello".to_vec()] }
}

fn get(server: &RunningServer, path: &str) -> String {
    server.connect().ask(&format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
}

fn read_exactly(supervisor: &mut UnixStream, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    supervisor.read_exact(&mut received).unwrap();
    assert_eq!(received, expected);
}

#[test]
fn ready_comes_first_and_each_order_is_acknowledged_by_its_number() {
    let (server, mut supervisor) = RunningServer::serve_supervised(Function(hello), READY);
    read_exactly(&mut supervisor, READY);
    // Not complete at first.
    supervisor.write_all(b"D\x02\x01\0\0\0\0").unwrap();
    supervisor.write_all(b"\0\0").unwrap();
    assert_eq!(server.wait(), Ended::InPeace);
    read_exactly(&mut supervisor, b"T\x02\x01\0\0\0\0\0\0");
}

#[test]
fn two_orders_in_one_read_are_both_taken() {
    let (server, mut supervisor) = RunningServer::serve_supervised(Function(hello), READY);
    // What is not known is passed over with its text.
    supervisor.write_all(b"?\x01\0\0\0\x02\0\0\0abD\x02\0\0\0\0\0\0\0Q\x03\0\0\0\0\0\0\0").unwrap();
    assert_eq!(server.wait(), Ended::InPeace);
    read_exactly(&mut supervisor, &[READY, b"T\x02\0\0\0\0\0\0\0", b"T\x03\0\0\0\0\0\0\0"].concat());
}

#[test]
fn a_supervisor_that_is_gone_is_an_order_to_drain() {
    let (server, supervisor) = RunningServer::serve_supervised(Function(hello), READY);
    drop(supervisor);
    assert_eq!(server.wait(), Ended::InPeace);
}

#[test]
fn a_server_that_leaves_by_a_signal_says_so() {
    for (signal, kind) in [(15, b'D'), (2, b'Q'), (3, b'Q')] {
        let (mut server, mut supervisor) = RunningServer::serve_supervised(Function(hello), b"");
        server.signal(signal);
        read_exactly(&mut supervisor, &[b"L\0\0\0\0\x01\0\0\0".as_slice(), &[kind]].concat());
        assert_eq!(server.wait(), Ended::InPeace);
    }
}

#[test]
fn orders_that_are_not_to_leave_are_acknowledged_too() {
    let (server, mut supervisor) = RunningServer::serve_supervised(Function(hello), READY);
    read_exactly(&mut supervisor, READY);
    // A level, one that there is not, and files that have not come along.
    supervisor.write_all(b"V\x01\0\0\0\x04\0\0\0infoV\x02\0\0\0\x04\0\0\0loudO\x03\0\0\0\x02\0\0\0ae").unwrap();
    read_exactly(&mut supervisor, b"T\x01\0\0\0\0\0\0\0T\x02\0\0\0\0\0\0\0T\x03\0\0\0\0\0\0\0");
    assert!(get(&server, "/").ends_with("hello"));
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn members_are_reported_by_the_number_of_the_order_and_however_many_there_are() {
    const COUNT: u32 = 10_000;
    let upstream = Upstream::at(terms(), Vec::new());
    let (server, mut supervisor) = RunningServer::serve_supervised_beside(READY, upstream.clone());
    read_exactly(&mut supervisor, READY);
    supervisor.write_all(b"U\x07\0\0\0\0\0\0\0").unwrap();
    read_exactly(&mut supervisor, b"U\x07\0\0\0\0\0\0\0T\x07\0\0\0\0\0\0\0");
    let text = b"add\0tests\0http://10.0.0.1:80\x003\0";
    supervisor.write_all(&[b"M\x08\0\0\0\x1f\0\0\0", &text[..]].concat()).unwrap();
    read_exactly(&mut supervisor, b"T\x08\0\0\0\0\0\0\0");
    assert_eq!(upstream.members().len(), 1);
    // More than the socket has room for: the rest follows when the supervisor has read.
    upstream.change(|roster| {
        for number in 0..COUNT {
            roster.add(Place::Fixed(Address::tcp(Protocol::Http, (Ipv4Addr::from(number), 80).into())), 1);
        }
    });
    supervisor.write_all(b"U\x09\0\0\0\0\0\0\0").unwrap();
    let mut head = [0; 9];
    supervisor.read_exact(&mut head).unwrap();
    assert_eq!(head[..5], *b"U\x09\0\0\0");
    let mut report = vec![0; u32::from_le_bytes(head[5..].try_into().unwrap()) as usize];
    assert!(report.len() > 300_000, "{}", report.len());
    supervisor.read_exact(&mut report).unwrap();
    assert_eq!(report.split(|byte| *byte == 0).count(), (COUNT as usize + 1) * 8 + 1);
    read_exactly(&mut supervisor, b"T\x09\0\0\0\0\0\0\0");
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn members_that_were_drained_before_the_server_serves_get_no_request() {
    let upstream = Upstream::at(terms(), vec![Place::read("http://127.0.0.1:1").unwrap()]);
    let order = b"M\x01\0\0\0\x20\0\0\0drain\0tests\0http://127.0.0.1:1\0\0";
    let (server, mut supervisor) = RunningServer::serve_ordered_beside(order, READY, upstream.clone());
    read_exactly(&mut supervisor, &[b"T\x01\0\0\0\0\0\0\0", READY].concat());
    assert!(upstream.members()[0].is_draining());
    assert!(get(&server, "/").starts_with("HTTP/1.1 503 "));
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn a_server_waits_for_the_addresses_that_its_supervisor_looks_up() {
    let terms = UpstreamTerms { resolve_ms: None, ..terms() };
    let upstream = Upstream::at(terms, vec![Place::read("http://shop.example:8000").unwrap()]);
    let (server, mut supervisor) = RunningServer::serve_supervised_beside(READY, upstream.clone());
    // It is not ready before.
    supervisor.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert_eq!(supervisor.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    supervisor.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let text = b"found\0tests\0http://shop.example:8000\x00127.0.0.1:1 3 0,[::1]:2 1 5,nonsense\0";
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    supervisor.write_all(&[b"M\x01\0\0\0", &length[..], text].concat()).unwrap();
    read_exactly(&mut supervisor, &[b"T\x01\0\0\0\0\0\0\0", READY].concat());
    let names: Vec<String> = upstream.members().iter().map(|member| member.name.clone()).collect();
    assert_eq!(names, ["http://127.0.0.1:1", "http://[::1]:2"]);
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn access_lines_go_to_the_file_that_has_come_along() {
    let (before, file) = std::io::pipe().unwrap();
    let (server, mut supervisor) = RunningServer::serve_logged(Function(hello), file.into());
    let (reader, writer) = std::io::pipe().unwrap();
    let sent = orders::send_with(supervisor.as_raw_fd(), b"O\x01\0\0\0\x01\0\0\0a", &[writer.as_raw_fd()]);
    assert_eq!(sent.unwrap(), 10);
    drop(writer);
    read_exactly(&mut supervisor, b"T\x01\0\0\0\0\0\0\0");
    assert!(get(&server, "/after").ends_with("hello"));
    assert_eq!(server.stop(), Ended::InPeace);
    let lines = std::io::read_to_string(reader).unwrap();
    assert_eq!(lines.lines().count(), 1);
    assert!(lines.contains("\"GET /after HTTP/1.1\" 200 "), "{lines}");
    assert_eq!(std::io::read_to_string(before).unwrap(), "");
}

#[test]
fn a_connection_comes_with_the_user_who_has_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert!(orders::accept(listener.as_raw_fd()).unwrap().is_none());
    let _client = UnixStream::connect(&path).unwrap();
    let (_connection, user) = orders::accept(listener.as_raw_fd()).unwrap().unwrap();
    assert_eq!(user, rustix::process::geteuid().as_raw());
}

#[test]
fn a_server_whose_end_is_announced_serves_on_and_says_so() {
    let (server, mut supervisor) = RunningServer::serve_supervised(Function(hello), READY);
    read_exactly(&mut supervisor, READY);
    supervisor.write_all(b"A\x01\0\0\0\0\0\0\0").unwrap();
    read_exactly(&mut supervisor, b"T\x01\0\0\0\0\0\0\0");
    for _ in 0..3 {
        let mut client = server.connect();
        client.0.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let response = client.read_to_end();
        assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
        assert!(response.ends_with("hello"), "{response}");
    }
    supervisor.write_all(b"D\x02\0\0\0\0\0\0\0").unwrap();
    assert_eq!(server.wait(), Ended::InPeace);
}

#[test]
fn what_was_pipelined_is_served_although_the_end_is_announced() {
    let (server, mut supervisor) = RunningServer::serve_supervised(Function(hello), READY);
    read_exactly(&mut supervisor, READY);
    supervisor.write_all(b"A\x01\0\0\0\0\0\0\0").unwrap();
    read_exactly(&mut supervisor, b"T\x01\0\0\0\0\0\0\0");
    let mut client = server.connect();
    client.0.write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5)).unwrap();
    let response = client.read_to_end();
    assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 5, "{response}");
    assert_eq!(response.matches("\r\nConnection: close\r\n").count(), 1, "{response}");
    supervisor.write_all(b"D\x02\0\0\0\0\0\0\0").unwrap();
    assert_eq!(server.wait(), Ended::InPeace);
}
