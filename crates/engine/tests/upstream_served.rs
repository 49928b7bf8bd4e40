//! A running server, some of whose requests an upstream responds to instead of the application.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;
#[path = "support/upstream.rs"]
mod upstream;

use portico_engine::engine::Ended;
use portico_engine::function::{Function, FunctionRequest, FunctionResponse};
use portico_engine::upstream::group::{Times, Upstream, UpstreamTerms};
use portico_engine::upstream::member::MemberTerms;
use portico_engine::upstream::pool::KeepTerms;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Mutex;
use support::{RunningServer, TestClient};
use upstream::{MEMBER, Peer, TestServer, member, nobody, terms};

#[expect(clippy::needless_pass_by_value, reason = "an application owns its request")]
fn application(request: FunctionRequest) -> FunctionResponse {
    let block = [b"application ", &request.target[..]].concat();
    FunctionResponse { status: "200 OK", headers: Vec::new(), blocks: vec![block] }
}

fn serve_with(address: SocketAddr, terms: UpstreamTerms) -> RunningServer {
    let upstream = Upstream::new(terms, [member(address, MEMBER)]);
    RunningServer::serve_beside(Function(application), &[], vec![("/api".to_owned(), upstream)])
}

fn serve(server: &TestServer) -> RunningServer {
    serve_with(server.address, terms())
}

/// A server that sends one response to each request.
fn responds(response: &'static [u8]) -> TestServer {
    TestServer::start(move |_, mut peer| {
        while peer.read_request().is_some() {
            peer.send(response);
        }
    })
}

#[test]
fn a_request_below_the_path_is_passed_on_and_others_are_not() {
    let there = TestServer::echo();
    let server = serve(&there);
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(
            b"GET /api/x?q HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: x-hop\r\nX-Hop: y\r\n\r\n",
        );
        let (line, body) = client.read_response();
        assert_eq!(line, "HTTP/1.1 200 OK");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "GET /api/x?q HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\
             X-Forwarded-Host: a\r\n\r\n",
        );
        client.send(b"GET /apix HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.read_response().1, b"application /apix");
    }
    assert_eq!(there.accepted(), 1);
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn pipelined_requests_are_responded_to_in_order() {
    let server = serve(&TestServer::echo());
    let mut client = server.connect();
    let paths = ["/1", "/api/2", "/api/3", "/4", "/5", "/api/6"];
    let requests = paths.iter().map(|path| format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
    client.send(requests.collect::<String>().as_bytes());
    for path in paths {
        let body = String::from_utf8(client.read_response().1).unwrap();
        let expected = if path.starts_with("/api") { format!("PUT {path} ") } else { format!("application {path}") };
        assert!(body.starts_with(&expected), "{body}");
        assert_eq!(body.ends_with("\r\n\r\nabc"), path.starts_with("/api"), "{body}");
    }
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn a_client_that_closes_gets_a_response_that_says_so() {
    let server = serve(&TestServer::echo());
    let response = server.connect().ask("GET /api HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(response.contains("\r\nConnection: close\r\n") && response.contains("\r\n\r\nGET /api "), "{response}");
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn a_chunked_response_is_framed_for_the_client() {
    let there =
        responds(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    let server = serve(&there);
    let mut client = server.connect();
    client.send(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\nGET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let response = client.read_to_end();
    assert!(response.contains("\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n"), "{response}");
    assert!(response.contains("\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"), "{response}");
    let old = server.connect().ask("GET /api HTTP/1.0\r\n\r\n");
    assert!(old.ends_with("\r\n\r\nabc") && !old.contains("chunked"), "{old}");
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn the_client_is_asked_for_a_body_that_it_waits_with() {
    let server = serve(&TestServer::echo());
    let mut client = server.connect();
    client.send(b"PUT /api HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    let mut interim = vec![0; 25];
    client.0.read_exact(&mut interim).unwrap();
    assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(b"abc");
    assert!(client.read_response().1.ends_with(b"\r\n\r\nabc"));
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn large_bodies_are_streamed_both_ways() {
    const LENGTH: usize = 20 << 20;
    let there = TestServer::start(|_, mut peer: Peer| {
        peer.read_head();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes());
        let mut block = vec![0; 1 << 16];
        let mut left = LENGTH;
        while left > 0 {
            let count = peer.0.read(&mut block).unwrap();
            peer.send(&block[..count]);
            left -= count;
        }
    });
    let server = serve(&there);
    let mut client = server.connect();
    client.send(format!("POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes());
    let mut writing = client.0.try_clone().unwrap();
    let body: Vec<u8> = (0..LENGTH).map(|index| u8::try_from(index * 7 % 251).unwrap()).collect();
    let sent = body.clone();
    let writer = std::thread::spawn(move || writing.write_all(&sent).unwrap());
    assert!(client.read_response().1 == body);
    writer.join().unwrap();
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn what_nobody_responds_to_has_a_status_and_the_connection_is_kept() {
    let silent = TestServer::start(|_, mut peer| drop(peer.read_to_end()));
    let short = UpstreamTerms { times: Times { first_byte_ms: 50, ..terms().times }, ..terms() };
    let malformed = responds(b"nonsense\r\n\r\n");
    let malformed_chunk = responds(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX");
    for (address, terms, status) in [
        (nobody(), terms(), "502 Bad Gateway"),
        (malformed.address, terms(), "502 Bad Gateway"),
        // All of it has come at once, and nothing has been passed on yet.
        (malformed_chunk.address, terms(), "502 Bad Gateway"),
        (silent.address, short, "504 Gateway Timeout"),
    ] {
        let server = serve_with(address, terms);
        let mut client = server.connect();
        client.send(b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        let (line, body) = client.read_response();
        assert_eq!((line, body), (format!("HTTP/1.1 {status}"), format!("{status}\n").into_bytes()));
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.read_response().1, b"application /");
        assert_eq!(server.stop(), Ended::InPeace);
    }
}

#[test]
fn a_response_that_is_not_complete_is_seen_to_be_so() {
    for (response, whole) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"[..], "\r\n\r\nabc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "\r\n\r\n3\r\nabc\r\n"),
    ] {
        let there = TestServer::start(move |_, mut peer| {
            peer.read_head();
            peer.send(response);
        });
        let server = serve(&there);
        let mut client = server.connect();
        client.send(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.read_to_end();
        assert!(response.ends_with(whole) && !response.ends_with("0\r\n\r\n"), "{response}");
        server.stop();
    }
}

#[test]
fn a_body_that_breaks_a_rule_is_the_clients_fault() {
    let server = serve(&TestServer::echo());
    let mut client = server.connect();
    client.send(b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n");
    let response = client.read_to_end();
    assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
    server.stop();
}

#[test]
fn a_web_socket_is_tunnelled() {
    let there = TestServer::start(|_, mut peer| {
        let head = peer.read_head().unwrap();
        assert!(head.contains("\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"), "{head}");
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-A: b\r\n\r\n");
        let frame = peer.read(5);
        peer.send(&frame);
        assert_eq!(peer.read_to_end(), b"");
        peer.send(b"bye");
    });
    let server = serve(&there);
    let mut client = server.connect();
    // The first frame comes with the head.
    client.send(b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
    let head = "HTTP/1.1 101 Switching Protocols\r\nX-A: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello";
    let mut bytes = vec![0; head.len()];
    client.0.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), head);
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.read_to_end(), "bye");
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn a_request_that_is_passed_on_holds_no_thread() {
    let (entered, has_entered) = std::sync::mpsc::channel();
    let (opens, gate) = std::sync::mpsc::channel::<()>();
    let (entered, gate) = (Mutex::new(entered), Mutex::new(gate));
    let there = TestServer::start(move |_, mut peer| {
        peer.read_head();
        entered.lock().unwrap().send(()).unwrap();
        gate.lock().unwrap().recv_timeout(upstream::LONG).unwrap();
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n");
    });
    let upstream = Upstream::new(terms(), [member(there.address, MEMBER)]);
    let server =
        RunningServer::serve_beside(Function(application), &[("threads", "1")], vec![("/api".to_owned(), upstream)]);
    let mut waits: TestClient = server.connect();
    waits.send(b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    has_entered.recv_timeout(upstream::LONG).unwrap();
    let mut other = server.connect();
    other.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(other.read_response().1, b"application /");
    opens.send(()).unwrap();
    assert!(waits.read_to_end().starts_with("HTTP/1.1 204 No Content\r\n"));
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn connections_that_are_kept_for_too_long_are_closed() {
    let (closed, is_closed) = std::sync::mpsc::channel();
    let closed = Mutex::new(closed);
    let there = TestServer::start(move |_, mut peer| {
        peer.read_request();
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n");
        closed.lock().unwrap().send(peer.read_to_end()).unwrap();
    });
    let keep = KeepTerms { idle_ms: 50, ..MEMBER.keep };
    let upstream = Upstream::new(terms(), [member(there.address, MemberTerms { keep, ..MEMBER })]);
    let server = RunningServer::serve_beside(Function(application), &[], vec![("/api".to_owned(), upstream.clone())]);
    let mut client = server.connect();
    client.send(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(client.read_to_end().starts_with("HTTP/1.1 204 No Content\r\n"));
    assert_eq!(is_closed.recv_timeout(upstream::LONG).unwrap(), b"");
    assert!(upstream.members()[0].pool.is_empty());
    assert_eq!(server.stop(), Ended::InPeace);
}
