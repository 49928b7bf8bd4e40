//! Requests that are passed on, over real sockets, to servers that behave well, badly, or not at all.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/upstream.rs"]
mod support;

use portico_engine::message::spoken::Protocol;
use portico_engine::upstream::address::{Address, Place};
use portico_engine::upstream::balance::Balance;
use portico_engine::upstream::circuit::{CircuitTerms, State};
use portico_engine::upstream::connect::connect;
use portico_engine::upstream::ends::{ResponseSink, SourceGone};
use portico_engine::upstream::failure::Reason;
use portico_engine::upstream::group::{ProbeTerms, Times, Upstream, UpstreamTerms};
use portico_engine::upstream::link::Link;
use portico_engine::upstream::member::{Member, MemberTerms};
use portico_engine::upstream::orders;
use portico_engine::upstream::pool::KeepTerms;
use portico_engine::upstream::probe;
use portico_wire::{ResponseHead, WireError};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc as sync_mpsc};
use support::{Blocks, Blockwise, Client, LONG, MEMBER, Shown, TestServer, member, nobody, run, terms};
use tokio::sync::mpsc;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn times(first_byte_ms: u64, idle_ms: u64) -> UpstreamTerms {
    UpstreamTerms { times: Times { first_byte_ms, idle_ms, ..terms().times }, ..terms() }
}

#[test]
fn a_request_is_passed_on_and_its_response_back() {
    let server = TestServer::echo();
    let client = Client::of(&server);
    run(async {
        let (outcome, shown) = client.ask("POST", b"abc").await;
        let forwarded = outcome.unwrap();
        assert_eq!((forwarded.status, forwarded.has_sent_all, forwarded.was_upgraded), (200, true, false));
        assert_eq!(forwarded.body_bytes, shown.body.len() as u64);
        assert_eq!(shown.body, b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!((shown.status, shown.is_complete), (200, true));
        assert_eq!(shown.headers, [("Content-Length".to_owned(), shown.body.len().to_string())]);
    });
}

#[test]
fn a_connection_is_kept_and_used_again() {
    let server = TestServer::echo();
    let client = Client::of(&server);
    run(async {
        for _ in 0..3 {
            client.get().await;
        }
    });
    assert_eq!(server.accepted(), 1);
    assert_eq!(client.upstream.members()[0].pool.len(), 1);
}

#[test]
fn a_unix_socket_is_a_member_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = vec![0; 28];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(OK).unwrap();
        bytes
    });
    let address = Address::unix(Protocol::Http, path.clone());
    let client = Client::new(terms(), [Member::new(address, 1, MEMBER)]);
    assert_eq!(run(client.get()).body, b"ok");
    assert_eq!(served.join().unwrap(), b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn nothing_is_kept_where_nothing_may_be() {
    let server = TestServer::start(|_, mut peer| {
        let head = peer.read_head().unwrap();
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        peer.send(OK);
    });
    let keep = KeepTerms { max_idle: 0, ..MEMBER.keep };
    let client = Client::new(terms(), [member(server.address, MemberTerms { keep, ..MEMBER })]);
    run(async {
        client.get().await;
        client.get().await;
    });
    assert_eq!(server.accepted(), 2);
}

#[test]
fn a_response_that_closes_is_not_kept() {
    for response in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"[..],
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nok",
    ] {
        let server = TestServer::start(|_, mut peer| {
            peer.read_head();
            peer.send(response);
        });
        let client = Client::of(&server);
        let shown = run(client.get());
        assert_eq!((&shown.body[..], shown.is_complete), (&b"ok"[..], true), "{}", response.escape_ascii());
        assert!(client.upstream.members()[0].pool.is_empty(), "{}", response.escape_ascii());
    }
}

/// The second request reaches a connection whose server closes just then.
fn stale_server() -> TestServer {
    TestServer::start(|number, mut peer| {
        peer.read_request();
        peer.send(OK);
        if number == 0 {
            peer.read_request();
        } else {
            peer.read_to_end();
        }
    })
}

#[test]
fn an_idempotent_request_on_a_stale_connection_is_sent_once_more() {
    for (method, body) in [("GET", &b""[..]), ("PUT", b"abc")] {
        let server = stale_server();
        let client = Client::of(&server);
        run(async {
            client.get().await;
            let (outcome, shown) = client.ask(method, body).await;
            assert_eq!((outcome.unwrap().status, &shown.body[..]), (200, &b"ok"[..]), "{method}");
        });
        assert_eq!(server.accepted(), 2, "{method}");
    }
}

#[test]
fn a_request_that_is_not_idempotent_is_sent_once() {
    let server = stale_server();
    let client = Client::of(&server);
    run(async {
        client.get().await;
        let (outcome, shown) = client.ask("POST", b"abc").await;
        let unforwarded = outcome.unwrap_err();
        assert_eq!((unforwarded.failure.reason, unforwarded.status), (Reason::Closed, 0));
        assert_eq!(shown, Shown::default());
    });
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_request_whose_body_is_lost_is_sent_once() {
    let server = stale_server();
    let client = Client::of(&server);
    run(async {
        client.get().await;
        let (sender, receiver) = mpsc::channel(1);
        sender.send(Ok(b"abc".to_vec())).await.unwrap();
        let head = "PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
        let outcome = client.pass(head, &mut Blocks(receiver), &mut Shown::default()).await;
        assert_eq!(outcome.unwrap_err().failure.reason, Reason::Closed);
    });
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_connection_that_is_seen_to_be_closed_is_not_used() {
    let (closed, is_closed) = sync_mpsc::channel();
    let closed = Mutex::new(closed);
    let server = TestServer::start(move |_, mut peer| {
        peer.read_request();
        peer.send(OK);
        peer.0.shutdown(Shutdown::Both).unwrap();
        closed.lock().unwrap().send(()).unwrap();
    });
    let member = member(server.address, MEMBER);
    let client = Client::new(terms(), [member.clone()]);
    run(async {
        client.get().await;
        is_closed.recv_timeout(LONG).unwrap();
        let kept = member.pool.take(0).unwrap();
        let Link::Plain(socket) = &kept else { unreachable!("nothing is over TLS here") };
        socket.wait_disconnected().await.unwrap();
        member.pool.keep(kept, u64::MAX);
        // Not idempotent: nothing of it may be sent on the old one.
        let (outcome, _) = client.ask("POST", b"abc").await;
        assert_eq!(outcome.unwrap().status, 200);
    });
    assert_eq!(server.accepted(), 2);
}

#[test]
fn the_newest_connection_is_used_and_old_ones_are_closed() {
    let server = TestServer::echo();
    let keep = KeepTerms { max_idle: 2, idle_ms: 1_000 };
    let member = member(server.address, MemberTerms { keep, ..MEMBER });
    let client = Client::of(&server);
    run(async {
        let connect = async || connect(&member.address, &terms().tls, &client.buffers).await.unwrap();
        for now_ms in [0, 500, 900] {
            member.pool.keep(connect().await, now_ms);
        }
        assert_eq!(member.pool.len(), 2, "the oldest goes where there are too many");
        member.pool.close_old(1_500);
        assert_eq!(member.pool.len(), 1);
        assert!(member.pool.take(1_899).is_some());
        assert!(member.pool.take(1_899).is_none());
        member.pool.keep(connect().await, 2_000);
        assert!(member.pool.take(3_000).is_none(), "too old");
        assert!(member.pool.is_empty());
    });
}

#[test]
fn both_directions_are_streamed_at_a_time() {
    let server = TestServer::start(|_, mut peer| {
        let head = peer.read_head().unwrap();
        assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for block in [&b"3\r\none\r\n"[..], b"3\r\ntwo\r\n", b"0\r\n\r\n"] {
            assert_eq!(peer.read(block.len()), block);
            peer.send(block);
        }
    });
    let client = Client::of(&server);
    run(async {
        let (blocks, source) = mpsc::channel(1);
        let (sink, mut shown) = mpsc::channel(1);
        let head = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (mut source, mut sink) = (Blocks(source), Blockwise(sink));
        let passed = client.pass(head, &mut source, &mut sink);
        let conversation = async {
            // The response begins before the request has a body, and each block is back before the next one goes.
            assert_eq!(shown.recv().await.unwrap(), b"200");
            for block in ["one", "two"] {
                blocks.send(Ok(block.into())).await.unwrap();
                assert_eq!(shown.recv().await.unwrap(), block.as_bytes());
            }
            drop(blocks);
            assert_eq!(shown.recv().await.unwrap(), b"end");
        };
        let (passed, ()) = tokio::join!(passed, conversation);
        assert!(passed.unwrap().has_sent_all);
    });
}

#[test]
fn small_chunks_that_come_together_are_one_block() {
    let server = TestServer::start(|_, mut peer| {
        peer.read_head();
        let chunks = b"1\r\na\r\n".repeat(50);
        peer.send(
            &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunks[..], b"0\r\nX: y\r\n\r\n"].concat(),
        );
    });
    let client = Client::of(&server);
    run(async {
        let (sink, mut shown) = mpsc::channel(100);
        let head = "GET /p HTTP/1.1\r\nHost: a\r\n\r\n";
        client.pass(head, &mut Blocks(mpsc::channel(1).1), &mut Blockwise(sink)).await.unwrap();
        let mut blocks = Vec::new();
        while let Some(block) = shown.recv().await {
            blocks.push(block);
        }
        assert_eq!(blocks, [b"200".to_vec(), vec![b'a'; 50], b"end".to_vec()]);
    });
}

#[test]
fn a_response_before_the_end_of_the_request_ends_the_exchange() {
    let server = TestServer::start(|_, mut peer| {
        peer.read_head();
        peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
        peer.read_to_end();
    });
    let client = Client::of(&server);
    run(async {
        let (blocks, source) = mpsc::channel(1);
        let head = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";
        blocks.send(Ok(b"abc".to_vec())).await.unwrap();
        let forwarded = client.pass(head, &mut Blocks(source), &mut Shown::default()).await.unwrap();
        assert_eq!((forwarded.status, forwarded.has_sent_all), (413, false));
        assert!(client.upstream.members()[0].pool.is_empty(), "the rest of the body would be the next request");
    });
}

/// Waits, with its first bytes, until the server has seen that nobody reads any more.
struct Slow {
    until: Option<tokio::sync::oneshot::Receiver<()>>,
    bytes: usize,
}

impl ResponseSink for Slow {
    async fn interim(&mut self, _: &ResponseHead, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    async fn start(&mut self, _: &ResponseHead, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    async fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len();
        if let Some(until) = self.until.take() {
            until.await.unwrap();
        }
        Ok(())
    }

    async fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_slow_client_does_not_take_is_not_read_from_the_server() {
    const LENGTH: usize = 64 << 20;
    let (full, until) = tokio::sync::oneshot::channel();
    let full = Mutex::new(Some(full));
    let server = TestServer::start(move |_, mut peer| {
        peer.read_head();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes());
        peer.0.set_nonblocking(true).unwrap();
        let (block, mut left) = (vec![b'x'; 1 << 16], LENGTH);
        while left > 0 {
            if let Ok(written) = peer.0.write(&block[..left.min(block.len())]) {
                left -= written;
            } else {
                if let Some(full) = full.lock().unwrap().take() {
                    full.send(()).unwrap();
                }
                std::thread::yield_now();
            }
        }
    });
    let client = Client::of(&server);
    run(async {
        let mut slow = Slow { until: Some(until), bytes: 0 };
        let head = "GET /p HTTP/1.1\r\nHost: a\r\n\r\n";
        client.pass(head, &mut Blocks(mpsc::channel(1).1), &mut slow).await.unwrap();
        assert_eq!(slow.bytes, LENGTH);
    });
}

#[test]
fn interim_responses_are_passed_on() {
    let server = TestServer::start(|_, mut peer| {
        peer.read_head();
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        peer.send(OK);
    });
    let client = Client::of(&server);
    let shown = run(client.get());
    assert_eq!((&shown.interim[..], shown.status, &shown.body[..]), (&[100, 103][..], 200, &b"ok"[..]));
}

#[test]
fn interim_responses_without_end_are_a_failure() {
    let server = TestServer::start(|_, mut peer| {
        peer.read_head();
        peer.send(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000));
        peer.read_to_end();
    });
    let (outcome, _) = run(async { Client::of(&server).ask("GET", b"").await });
    assert!(matches!(outcome.unwrap_err().failure.reason, Reason::Malformed(_)));
}

#[test]
fn a_response_to_head_has_no_body() {
    let server = TestServer::start(|_, mut peer| {
        while peer.read_head().is_some() {
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
        }
    });
    let client = Client::of(&server);
    run(async {
        for _ in 0..2 {
            let (outcome, shown) = client.ask("HEAD", b"").await;
            assert_eq!((outcome.unwrap().body_bytes, shown.is_complete), (0, true));
        }
    });
    assert_eq!(server.accepted(), 1);
}

#[test]
fn what_is_not_a_response_is_a_bad_gateway() {
    for (bytes, error) in [
        (&b"SSH-2.0-OpenSSH\r\n"[..], WireError::STATUS_LINE),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", WireError::LINE_FOLDED.of_response()),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            WireError::UPGRADE_NOT_ASKED,
        ),
    ] {
        let server = TestServer::start(|_, mut peer| {
            peer.read_head();
            peer.send(bytes);
            peer.read_to_end();
        });
        let (outcome, shown) = run(async { Client::of(&server).ask("GET", b"").await });
        let unforwarded = outcome.unwrap_err();
        assert_eq!(unforwarded.failure.reason, Reason::Malformed(error));
        assert_eq!((unforwarded.failure.reason.status(), unforwarded.status), (502, 0));
        assert_eq!(shown, Shown::default());
        assert_eq!(
            unforwarded.failure.to_string(),
            format!("upstream http://{}: sent what is not a response: {}", server.address, error.reason)
        );
    }
}

#[test]
fn a_response_that_ends_too_early_is_not_complete() {
    for response in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    ] {
        let server = TestServer::start(|_, mut peer| {
            peer.read_head();
            peer.send(response);
        });
        let (outcome, shown) = run(async { Client::of(&server).ask("GET", b"").await });
        let unforwarded = outcome.unwrap_err();
        assert_eq!((unforwarded.failure.reason, unforwarded.status), (Reason::Closed, 200));
        assert_eq!((&shown.body[..], shown.is_complete), (&b"ok"[..], false));
        assert_eq!(server.accepted(), 1, "after a byte of a response nothing is sent again");
    }
}

#[test]
fn a_chunked_body_that_is_malformed_is_a_failure_of_the_server() {
    let server = TestServer::start(|_, mut peer| {
        peer.read_head();
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokX");
        peer.read_to_end();
    });
    let (outcome, shown) = run(async { Client::of(&server).ask("GET", b"").await });
    assert_eq!(outcome.unwrap_err().failure.reason, Reason::Malformed(WireError::CHUNK_DATA_END.of_response()));
    assert!(!shown.is_complete);
}

#[test]
fn a_silent_server_is_a_gateway_timeout_and_not_retried() {
    let server = TestServer::start(|_, mut peer| drop(peer.read_to_end()));
    let client = Client::new(times(50, 5_000), [member(server.address, MEMBER), member(nobody(), MEMBER)]);
    let (outcome, _) = run(async { client.ask("GET", b"").await });
    let unforwarded = outcome.unwrap_err();
    assert_eq!((unforwarded.failure.reason.status(), unforwarded.status), (504, 0));
    assert_eq!(unforwarded.failure.reason, Reason::Silent(50));
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_server_that_falls_silent_in_its_response_is_a_failure() {
    let server = TestServer::start(|_, mut peer| {
        peer.read_head();
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok");
        peer.read_to_end();
    });
    let client = Client::new(times(5_000, 50), [member(server.address, MEMBER)]);
    let (outcome, shown) = run(async { client.ask("GET", b"").await });
    let unforwarded = outcome.unwrap_err();
    assert_eq!((unforwarded.failure.reason, unforwarded.status), (Reason::Silent(50), 200));
    assert!(!shown.is_complete);
}

#[test]
fn a_server_owes_nothing_while_the_client_is_waited_for() {
    let server = TestServer::echo();
    let client = Client::new(times(50, 5_000), [member(server.address, MEMBER)]);
    run(async {
        let (blocks, source) = mpsc::channel(1);
        let head = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
        let (mut source, mut shown) = (Blocks(source), Shown::default());
        let slow_client = async {
            // Three times as long as the server may take.
            portico_engine::timer::sleep(std::time::Duration::from_millis(150)).await;
            blocks.send(Ok(b"abc".to_vec())).await.unwrap();
            drop(blocks);
        };
        let (passed, ()) = tokio::join!(client.pass(head, &mut source, &mut shown), slow_client);
        assert_eq!(passed.unwrap().status, 200);
    });
}

#[test]
fn a_client_that_leaves_is_no_failure_of_the_server() {
    let server = TestServer::start(|_, mut peer| drop(peer.read_to_end()));
    let circuit = CircuitTerms { max_failures: 1, ..MEMBER.circuit };
    let client = Client::new(terms(), [member(server.address, MemberTerms { circuit, ..MEMBER })]);
    run(async {
        let (blocks, source) = mpsc::channel(1);
        blocks.send(Err(SourceGone)).await.unwrap();
        let head = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
        let outcome = client.pass(head, &mut Blocks(source), &mut Shown::default()).await;
        assert_eq!(outcome.unwrap_err().failure.reason, Reason::ClientGone);
    });
    let members = client.upstream.members();
    assert_eq!((members[0].circuit(), members[0].in_flight()), (State::default(), 0));
}

#[test]
fn a_member_that_nobody_listens_at_is_passed_over() {
    let server = TestServer::echo();
    for method in ["GET", "POST"] {
        let client = Client::new(terms(), [member(nobody(), MEMBER), member(server.address, MEMBER)]);
        let (outcome, _) = run(async { client.ask(method, b"abc").await });
        assert_eq!(outcome.unwrap().member, format!("http://{}", server.address), "{method}");
    }
    let alone = Client::new(terms(), [member(nobody(), MEMBER)]);
    let failure = run(async { alone.ask("GET", b"").await }).0.unwrap_err().failure;
    assert_eq!(failure.reason.status(), 502);
    assert!(failure.to_string().contains(": cannot connect: "), "{failure}");
}

#[test]
fn a_unix_socket_that_nobody_listens_at_is_a_server_that_is_not_running() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    drop(std::os::unix::net::UnixListener::bind(&gone).unwrap());
    for path in [gone, folder.path().join("never")] {
        let client = Client::new(terms(), [Member::new(Address::unix(Protocol::Http, path), 1, MEMBER)]);
        let failure = run(async { client.ask("GET", b"").await }).0.unwrap_err().failure;
        assert_eq!(failure.reason.status(), 503, "{failure}");
        assert!(failure.to_string().contains(": cannot connect: "), "{failure}");
    }
}

#[test]
fn a_connection_that_is_not_made_in_time_is_a_gateway_timeout() {
    // A Unix socket whose queue is full.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let address = SocketAddrUnix::new(&path).unwrap();
    let open = |flags| rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    let listening = open(SocketFlags::empty());
    rustix::net::bind(&listening, &address).unwrap();
    rustix::net::listen(&listening, 0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let socket = open(SocketFlags::NONBLOCK);
        if rustix::net::connect(&socket, &address).is_err() {
            break;
        }
        waiting.push(socket);
    }
    let short = UpstreamTerms { times: Times { connect_ms: 50, ..terms().times }, ..terms() };
    let client = Client::new(short, [Member::new(Address::unix(Protocol::Http, path), 1, MEMBER)]);
    let failure = run(async { client.ask("GET", b"").await }).0.unwrap_err().failure;
    assert_eq!((failure.reason.status(), &failure.reason), (504, &Reason::ConnectTimeout(50)));
}

#[test]
fn a_request_beyond_the_limit_in_flight_finds_no_member() {
    let server = TestServer::start(|_, mut peer| drop(peer.read_to_end()));
    let client = Client::new(terms(), [member(server.address, MemberTerms { max_in_flight: 1, ..MEMBER })]);
    run(async {
        let first = client.ask("GET", b"");
        let second = async {
            while client.upstream.members()[0].in_flight() == 0 {
                tokio::task::yield_now().await;
            }
            client.ask("GET", b"").await.0.unwrap_err()
        };
        tokio::select! {
            _ = first => panic!("the server is silent"),
            unforwarded = second => {
                assert_eq!((unforwarded.failure.reason.status(), unforwarded.status), (503, 0));
                assert_eq!(
                    unforwarded.failure.to_string(),
                    "upstream tests: no member takes requests: all are ejected, draining or at their limit"
                );
            }
        }
    });
    assert_eq!(client.upstream.members()[0].in_flight(), 0, "a request that is given up is over");
}

#[test]
fn a_member_that_fails_is_ejected_and_tried_again_by_one_request() {
    let is_well = Arc::new(AtomicBool::new(false));
    let server = TestServer::start({
        let is_well = is_well.clone();
        move |_, mut peer| {
            peer.read_head();
            peer.send(if is_well.load(SeqCst) { OK } else { b"nonsense" });
        }
    });
    let circuit = CircuitTerms { max_failures: 2, back_off_ms: 100, max_back_off_ms: 1_000 };
    let for_ever = CircuitTerms { max_failures: 1, back_off_ms: u64::MAX, max_back_off_ms: u64::MAX };
    // It is not the only one, which is never ejected.
    let ejected = member(nobody(), MemberTerms { circuit: for_ever, ..MEMBER });
    assert!(ejected.begin(0).unwrap().fail(0, false));
    let client = Client::new(terms(), [member(server.address, MemberTerms { circuit, ..MEMBER }), ejected]);
    let status =
        async || client.ask("GET", b"").await.0.map_or_else(|failed| failed.failure.reason.status(), |ok| ok.status);
    run(async {
        assert_eq!((status().await, status().await, status().await), (502, 502, 503));
        assert!(matches!(client.upstream.members()[0].circuit(), State::Open { ejections: 1, .. }));
        // One trial, which fails.
        while status().await == 503 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.accepted(), 3);
        assert!(matches!(client.upstream.members()[0].circuit(), State::Open { ejections: 2, .. }));
        is_well.store(true, SeqCst);
        while status().await == 503 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(client.upstream.members()[0].circuit(), State::Closed { .. }));
        assert_eq!(status().await, 200);
    });
}

#[test]
fn a_trial_that_is_given_up_leaves_room_for_another() {
    let server = TestServer::start(|_, mut peer| drop(peer.read_head()));
    let circuit = CircuitTerms { max_failures: 1, back_off_ms: 100, max_back_off_ms: 1_000 };
    let member = member(server.address, MemberTerms { circuit, ..MEMBER });
    assert!(member.begin(0).unwrap().fail(0, false), "ejected");
    assert!(member.begin(99).is_none());
    let trial = member.begin(100).unwrap();
    assert!(member.begin(100).is_none(), "one at a time");
    drop(trial);
    member.begin(100).unwrap().succeed(100);
    assert_eq!(member.circuit(), State::Closed { failures: 0, ejections: 1 });
}

#[test]
fn what_began_before_an_ejection_does_not_end_it() {
    let circuit = CircuitTerms { max_failures: 1, back_off_ms: 100, max_back_off_ms: 1_000 };
    let member = member(nobody(), MemberTerms { circuit, ..MEMBER });
    let (mut old, mut older) = (member.begin(0).unwrap(), member.begin(0).unwrap());
    member.begin(0).unwrap().fail(0, false);
    old.succeed(50);
    let mut trial = member.begin(100).unwrap();
    older.succeed(100);
    assert!(member.circuit().is_trial());
    trial.fail(100, false);
    assert!(matches!(member.circuit(), State::Open { ejections: 2, .. }));
}

#[test]
fn after_an_upgrade_bytes_go_both_ways() {
    let server = TestServer::start(|_, mut peer| {
        let head = peer.read_head().unwrap();
        assert!(head.contains("\r\nConnection: upgrade\r\nUpgrade: echo\r\n"), "{head}");
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello");
        let mut byte = [0];
        while peer.0.read(&mut byte).unwrap() > 0 {
            peer.send(&byte.repeat(2));
        }
        peer.send(b"bye");
    });
    let client = Client::of(&server);
    run(async {
        let (blocks, source) = mpsc::channel(1);
        let (sink, mut shown) = mpsc::channel(100);
        let head = "GET /p HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        let (mut source, mut sink) = (Blocks(source), Blockwise(sink));
        let passed = client.pass(head, &mut source, &mut sink);
        let conversation = async {
            assert_eq!(shown.recv().await.unwrap(), b"101");
            assert_eq!(shown.recv().await.unwrap(), b"hello");
            for byte in [b"a", b"b"] {
                blocks.send(Ok(byte.to_vec())).await.unwrap();
                assert_eq!(shown.recv().await.unwrap(), byte.repeat(2));
            }
            // One side closes, the other is still heard.
            drop(blocks);
            assert_eq!(shown.recv().await.unwrap(), b"bye");
            assert_eq!(shown.recv().await.unwrap(), b"end");
        };
        let (passed, ()) = tokio::join!(passed, conversation);
        assert!(passed.unwrap().was_upgraded);
    });
    assert!(client.upstream.members()[0].pool.is_empty());
}

#[test]
fn an_idle_tunnel_is_closed() {
    let server = TestServer::start(|_, mut peer| {
        peer.read_head();
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        peer.read_to_end();
    });
    let short = UpstreamTerms { times: Times { tunnel_ms: 50, ..terms().times }, ..terms() };
    let client = Client::new(short, [member(server.address, MEMBER)]);
    run(async {
        let (_blocks, source) = mpsc::channel(1);
        let (sink, _shown) = mpsc::channel(100);
        let head = "GET /p HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        client.pass(head, &mut Blocks(source), &mut Blockwise(sink)).await.unwrap();
    });
}

#[test]
fn members_come_drain_and_go() {
    let (one, other) = (TestServer::echo(), TestServer::echo());
    let client = Client::of(&one);
    run(async {
        client.get().await;
        let members = client.upstream.members();
        client.upstream.change(|roster| roster.drain(&members[0].name));
        assert!(members[0].pool.is_empty());
        assert_eq!(client.ask("GET", b"").await.0.unwrap_err().failure.reason, Reason::NoMember);
        client.upstream.change(|roster| roster.add(Place::Fixed(Address::tcp(Protocol::Http, other.address)), 1));
        assert_eq!(client.ask("GET", b"").await.0.unwrap().member, format!("http://{}", other.address));
        client.upstream.change(|roster| roster.remove(&members[0].name));
        assert_eq!(client.upstream.members().len(), 1);
    });
    assert_eq!((one.accepted(), other.accepted()), (1, 1));
}

#[test]
fn a_member_that_fails_its_probes_gets_no_requests_until_it_is_well() {
    let is_well = Arc::new(AtomicBool::new(false));
    let server = TestServer::start({
        let is_well = is_well.clone();
        move |_, mut peer| {
            let head = peer.read_head().unwrap();
            assert!(head.starts_with("GET /livez HTTP/1.1\r\nHost: probe\r\n"), "{head}");
            let status = if is_well.load(SeqCst) { "204 No Content" } else { "503 Service Unavailable" };
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
        }
    });
    let client = Client::of(&server);
    let (path, host) = ("/livez".to_owned(), "probe".to_owned());
    let variables = Vec::new();
    let probes = ProbeTerms { path, host, variables, interval_ms: 1, timeout_ms: 5_000, ill_after: 2, well_after: 2 };
    run(async {
        let member = client.upstream.members()[0].clone();
        let watch = probe::watch(Arc::downgrade(&client.upstream), probes.clone(), client.buffers.clone());
        let watch = tokio::spawn(watch);
        let becomes = async |wanted| {
            while member.is_well() != wanted {
                tokio::task::yield_now().await;
            }
        };
        becomes(false).await;
        assert!(server.accepted() >= 2);
        assert_eq!(client.ask("GET", b"").await.0.unwrap_err().failure.reason, Reason::NoMember);
        is_well.store(true, SeqCst);
        becomes(true).await;
        watch.abort();
        let (nobody, terms) = (support::member(nobody(), MEMBER), terms());
        assert!(!probe::is_well(&nobody, &probes, &terms.tls, &terms.limits, &client.buffers).await);
    });
}

#[test]
fn addresses_are_urls_and_paths() {
    for (text, shown) in [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1", "http://127.0.0.1:80"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("http://[::1]", "http://[::1]:80"),
        ("unix:/run/a b.sock", "unix:/run/a b.sock"),
        ("unix:@a", "unix:@a"),
        ("http://a.example:81", "http://a.example:81"),
        ("http://a.example/", "http://a.example:80"),
        ("srv+http://_http._tcp.a.example", "srv+http://_http._tcp.a.example"),
        ("http+unix:/a", "unix:/a"),
        ("https://127.0.0.1", "https://127.0.0.1:443"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
        ("https://a.example", "https://a.example:443"),
        ("https://a_b.example.:8443", "https://a_b.example.:8443"),
        ("srv+https://_https._tcp.a.example", "srv+https://_https._tcp.a.example"),
        ("srv+https://a", "srv+https://a"),
        ("uwsgi://127.0.0.1:3031", "uwsgi://127.0.0.1:3031"),
        ("uwsgi+unix:@a", "uwsgi+unix:@a"),
        ("fastcgi://php:9000", "fastcgi://php:9000"),
        ("fastcgi+unix:/run/php:1.sock", "fastcgi+unix:/run/php:1.sock"),
    ] {
        assert_eq!(Place::read(text).unwrap().to_string(), shown);
    }
    for text in [
        "",
        "127.0.0.1:80",
        "https://",
        "https://a..b",
        "https+unix:/a",
        "srv+https://_https._tcp",
        "srv+uwsgi://a",
        "http://",
        "http:///",
        "http://a/b",
        "http://u@a",
        "http://a:x",
        "unix:",
        "unix:a\0b",
        "srv+http://",
        "srv+http://a:80",
        "uwsgi://a",
        "fastcgi+unix:",
        "scgi://a:1",
        "scgi+unix:/a",
        "xunix:/a",
    ] {
        let error = Place::read(text).unwrap_err();
        assert_eq!(error, format!("expected SCHEME://HOST:PORT or SCHEME+unix:PATH, got {text:?}"));
    }
}

#[test]
fn the_addresses_of_a_name_come_and_leave() {
    let name = match Place::read("http://a.example:80").unwrap() {
        Place::Named(name) => name,
        other => unreachable!("{other}"),
    };
    let fixed = Place::Fixed(Address::tcp(Protocol::Http, nobody()));
    let upstream = Upstream::at(terms(), vec![Place::Named(name.clone()), fixed]);
    let at = |last: u8| SocketAddr::from(([10, 0, 0, last], 80));
    let at_address = |last: u8| {
        let address = Address::tcp(Protocol::Http, at(last));
        upstream.members().iter().find(|member| member.address == address).cloned()
    };
    assert_eq!(upstream.members_of(&name), 0);
    upstream.set_addresses(&name, &[at(1), at(2)]);
    let (first, second) = (at_address(1).unwrap(), at_address(2).unwrap());
    upstream.set_addresses(&name, &[at(2), at(3)]);
    assert!(first.is_draining() && at_address(1).is_none() && at_address(3).is_some());
    // The one that stays is the same as before, with its connections and what is known of it.
    assert!(Arc::ptr_eq(&second, &at_address(2).unwrap()));
    assert_eq!((upstream.members_of(&name), upstream.members().len()), (2, 3));
}

#[test]
fn a_member_that_is_alone_for_a_while_is_not_ejected_meanwhile() {
    let circuit = CircuitTerms { max_failures: 1, ..MEMBER.circuit };
    let (gone, other) =
        (Place::Fixed(Address::tcp(Protocol::Http, nobody())), Place::Fixed(Address::tcp(Protocol::Http, nobody())));
    let terms = UpstreamTerms { member: MemberTerms { circuit, ..MEMBER }, ..terms() };
    let client = Client { upstream: Upstream::at(terms, vec![gone.clone()]), ..Client::new(support::terms(), []) };
    let status = async || client.ask("GET", b"").await.0.unwrap_err().failure.reason.status();
    run(async {
        assert_eq!((status().await, status().await), (502, 502));
        client.upstream.change(|roster| roster.add(other.clone(), 1));
        client.upstream.change(|roster| roster.drain(&other.to_string()));
        // One that gets nothing is nobody that its requests could go to.
        assert_eq!((status().await, status().await), (502, 502));
        client.upstream.change(|roster| roster.take_back(&other.to_string(), None));
        // Nor is one that is ill.
        let is_other = |member: &&Arc<Member>| member.name == other.to_string();
        let ill = client.upstream.members().iter().find(is_other).cloned().unwrap();
        ill.set_well(false);
        assert_eq!((status().await, status().await), (502, 502));
        ill.set_well(true);
        assert_eq!((status().await, status().await), (502, 503));
    });
}

#[test]
fn requests_and_failures_are_counted_and_a_member_that_has_gone_is_reported_as_long_as_it_has_some() {
    let (server, barrier) = (TestServer::echo(), Arc::new(Barrier::new(2)));
    let slow = TestServer::start({
        let barrier = barrier.clone();
        move |_, mut peer| {
            peer.read_request().unwrap();
            barrier.wait();
            barrier.wait();
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let client = Client::new(terms(), [member(slow.address, MEMBER)]);
    let report = || orders::report(std::slice::from_ref(&client.upstream));
    let line = |name: &str, of: &str, rest: &str| format!("tests\0{name}\0{of}\0{}\0", rest.replace(' ', "\0"));
    run(async {
        let held = format!("http://{}", slow.address);
        let asked = client.get();
        let changed = async {
            tokio::task::spawn_blocking({
                let barrier = barrier.clone();
                move || barrier.wait()
            })
            .await
            .unwrap();
            assert_eq!(report(), line(&held, "", "up 1 1 1 0"));
            let order =
                format!("add\0tests\0http://{}\04\0remove\0tests\0{held}\0\0drain\0others\0a\0\0", server.address);
            orders::take(std::slice::from_ref(&client.upstream), &order, &|_, name| panic!("{name}"));
            let there = line(&format!("http://{}", server.address), "", "up 4 0 0 0");
            assert_eq!(report(), there.clone() + &line(&held, "", "leaving 1 1 1 0"));
            tokio::task::spawn_blocking(move || barrier.wait()).await.unwrap();
            there
        };
        let (_, there) = tokio::join!(asked, changed);
        assert_eq!(report(), there);
        drop(client.get().await);
        assert_eq!(report(), line(&format!("http://{}", server.address), "", "up 4 0 1 0"));
        // What cannot be read is passed over, as is the rest of what is not complete.
        let mut followed = Vec::new();
        let names = std::cell::RefCell::new(&mut followed);
        let order = "add\0tests\0nonsense\0\0what\0tests\0a\0\0add\0tests\0http://a.example\0\0add\0tests";
        orders::take(std::slice::from_ref(&client.upstream), order, &|_, name| {
            names.borrow_mut().push(name.to_string());
        });
        assert_eq!(followed, ["http://a.example:80"]);
        assert_eq!(client.upstream.names().len(), 1);
    });
}

#[test]
fn the_only_member_is_never_ejected() {
    let circuit = CircuitTerms { max_failures: 1, ..MEMBER.circuit };
    for (count, last) in [(1, Reason::Unreachable(String::new())), (2, Reason::NoMember)] {
        let places = (0..count).map(|_| Place::Fixed(Address::tcp(Protocol::Http, nobody()))).collect();
        let member = MemberTerms { circuit, ..MEMBER };
        let client =
            Client { upstream: Upstream::at(UpstreamTerms { member, ..terms() }, places), ..Client::new(terms(), []) };
        run(async {
            assert_eq!(client.ask("GET", b"").await.0.unwrap_err().failure.reason.status(), 502);
            let reason = client.ask("GET", b"").await.0.unwrap_err().failure.reason;
            assert_eq!(reason.status(), last.status(), "{count}: {reason:?}");
        });
    }
}

/// The members of `upstream` that `count` requests are given to, each of which has ended before the next.
fn given_to(upstream: &Upstream, count: usize) -> Vec<usize> {
    let members = upstream.members();
    let one = |_| {
        let flight = upstream.begin(None, &[], 0).unwrap();
        members.iter().position(|member| Arc::ptr_eq(member, &flight.member)).unwrap()
    };
    (0..count).map(one).collect()
}

#[test]
fn members_that_are_alike_are_chosen_in_turn_whoever_of_them_is_out() {
    let places = [1, 2, 3, 4].map(|host| Place::read(&format!("http://10.0.0.{host}:1")).unwrap());
    let upstream = Upstream::at(UpstreamTerms { balance: Balance::RoundRobin, ..terms() }, places.to_vec());
    assert_eq!(given_to(&upstream, 5), [0, 1, 2, 3, 0]);
    upstream.change(|roster| roster.drain("http://10.0.0.2:1"));
    assert_eq!(given_to(&upstream, 5), [2, 3, 0, 2, 3]);
    upstream.change(|roster| roster.take_back("http://10.0.0.1:1", Some(2)));
    // By shares, once they have some.
    let given = given_to(&upstream, 40);
    assert_eq!([0, 1, 2, 3].map(|which| given.iter().filter(|index| **index == which).count()), [20, 0, 10, 10]);
}

#[test]
fn members_that_are_alike_have_one_request_each_before_anybody_has_two() {
    let places = [1, 2, 3].map(|host| Place::read(&format!("http://10.0.0.{host}:1")).unwrap());
    let upstream = Upstream::at(UpstreamTerms { balance: Balance::LeastRequests, ..terms() }, places.to_vec());
    let flights: Vec<_> = (0..6).map(|_| upstream.begin(None, &[], 0).unwrap()).collect();
    assert!(upstream.members().iter().all(|member| member.in_flight() == 2));
    let one = flights.into_iter().next().unwrap();
    // All others have ended.
    for _ in 0..2 {
        assert!(!Arc::ptr_eq(&upstream.begin(None, &[], 0).unwrap().member, &one.member));
    }
}
