//! What the tests of upstreams share: servers that do what a test says, sources and sinks that show what they were given.

#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::budget::Budget;
use portico_engine::message::buffers::Buffers;
use portico_engine::message::spoken::Protocol;
use portico_engine::runtime::Runtime;
use portico_engine::timer::timeout;
use portico_engine::upstream::address::Address;
use portico_engine::upstream::balance::Balance;
use portico_engine::upstream::circuit::CircuitTerms;
use portico_engine::upstream::ends::{RequestSource, ResponseSink, SourceGone, WholeBody};
use portico_engine::upstream::forward::{Forwarded, Unforwarded, forward};
use portico_engine::upstream::group::{Times, Upstream, UpstreamTerms};
use portico_engine::upstream::member::{Member, MemberTerms};
use portico_engine::upstream::pool::KeepTerms;
use portico_wire::{
    ForwardedFamily, Forwarding, Limits, PassedConnection, PassedOn, RequestHead, ResponseHead, Scheme,
};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::mpsc;

/// Nothing here takes longer.
pub const LONG: Duration = Duration::from_secs(10);

/// Runs to the end, on a runtime like the engine's.
pub fn run<F: Future>(future: F) -> F::Output {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(timeout(LONG, future)).unwrap()
}

/// A server, whose connections are handled each on a thread.
pub struct TestServer {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl TestServer {
    /// Serves with `handle`, which is given the number of the connection, from 0.
    pub fn start(handle: impl Fn(usize, Peer) + Send + Sync + 'static) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = accepted.clone();
        let handle = Arc::new(handle);
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (handle, number) = (handle.clone(), counted.fetch_add(1, SeqCst));
                std::thread::spawn(move || handle(number, Peer::new(stream.unwrap())));
            }
        });
        TestServer { address, accepted }
    }

    /// Responds to every request with 200, the request's head and its body.
    pub fn echo() -> TestServer {
        TestServer::start(|_, mut peer| {
            while let Some((head, body)) = peer.read_request() {
                let body = [head.as_bytes(), &body].concat();
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
                peer.send(&body);
            }
        })
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }
}

/// The client, as a test server sees it.
pub struct Peer(pub TcpStream);

impl Peer {
    fn new(stream: TcpStream) -> Peer {
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Peer(stream)
    }

    /// Sends bytes; a client that has left is none of a server's business.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// Reads to the end of a head; `None` at the end of the connection.
    pub fn read_head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        Some(String::from_utf8(head).unwrap())
    }

    /// Reads so many bytes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads to the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes);
        bytes
    }

    /// Reads a request with a Content-Length, or without a body.
    pub fn read_request(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.read_head()?;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let body = self.read(length.map_or(0, |length| length.parse().unwrap()));
        Some((head, body))
    }
}

/// What members of tests are like.
pub const MEMBER: MemberTerms = MemberTerms {
    max_in_flight: 0,
    circuit: CircuitTerms { max_failures: 0, back_off_ms: 1_000, max_back_off_ms: 10_000 },
    keep: KeepTerms { max_idle: 4, idle_ms: 60_000 },
};

/// What upstreams of tests are like.
pub fn terms() -> UpstreamTerms {
    UpstreamTerms {
        name: "tests".into(),
        key: "tests".into(),
        counted_as: String::new(),
        balance: Balance::RoundRobin,
        member: MEMBER,
        resolve_ms: Some(60_000),
        probe: None,
        times: Times { connect_ms: 5_000, first_byte_ms: 5_000, idle_ms: 5_000, tunnel_ms: 5_000 },
        limits: Limits::default(),
        variables: Vec::new(),
        tls: Arc::default(),
        max_retries: 1,
        via: String::new(),
    }
}

/// A member at a port.
pub fn member(address: SocketAddr, terms: MemberTerms) -> Arc<Member> {
    Member::new(Address::tcp(Protocol::Http, address), 1, terms)
}

/// A port where nobody is.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A client of an upstream.
pub struct Client {
    pub upstream: Arc<Upstream>,
    pub buffers: Arc<Buffers>,
}

impl Client {
    /// Of an upstream of these members.
    pub fn new(terms: UpstreamTerms, members: impl IntoIterator<Item = Arc<Member>>) -> Client {
        let buffers = Arc::new(Buffers::new(&Budget::new(1 << 30)));
        Client { upstream: Upstream::new(terms, members), buffers }
    }

    /// Of an upstream of one server.
    pub fn of(server: &TestServer) -> Client {
        Client::new(terms(), [member(server.address, MEMBER)])
    }

    /// Passes a request on.
    pub async fn pass(
        &self,
        head: &str,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<Forwarded, Unforwarded> {
        let bytes = head.as_bytes();
        let mut head = RequestHead::new();
        assert_eq!(head.read(bytes, &Limits::default()), Ok(Some(bytes.len())));
        let forwarding =
            Forwarding { family: ForwardedFamily::Neither, is_trusted: false, peer: None, scheme: Scheme::Http };
        let framing = head.framing;
        let connection = PassedConnection::Keep;
        let request = PassedOn {
            head: &head,
            bytes,
            target: None,
            prefix: b"",
            host: None,
            framing,
            connection,
            forwarding,
            understood: None,
            trace: None,
            via: "",
        };
        forward(&self.upstream, request, source, sink, &self.buffers).await
    }

    /// Passes on a request of this method, with a body of this length; returns the outcome and what the client got.
    pub async fn ask(&self, method: &str, body: &[u8]) -> (Result<Forwarded, Unforwarded>, Shown) {
        let mut shown = Shown::default();
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{method} /p HTTP/1.1\r\nHost: a\r\n{length}\r\n");
        let outcome = self.pass(&head, &mut WholeBody::new(body.to_vec()), &mut shown).await;
        (outcome, shown)
    }

    /// The status of a GET, which has to succeed.
    pub async fn get(&self) -> Shown {
        let (outcome, shown) = self.ask("GET", b"").await;
        outcome.unwrap();
        shown
    }
}

/// What a client got.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub interim: Vec<u16>,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub is_complete: bool,
}

impl ResponseSink for Shown {
    async fn interim(&mut self, head: &ResponseHead, _: &[u8]) -> io::Result<()> {
        self.interim.push(head.status);
        Ok(())
    }

    async fn start(&mut self, head: &ResponseHead, bytes: &[u8]) -> io::Result<()> {
        let text = |part: &[u8]| String::from_utf8(part.to_vec()).unwrap();
        assert_eq!(self.status, 0, "a second response");
        self.status = head.status;
        let headers = head.headers.iter();
        self.headers = headers.map(|header| (text(header.name.of(bytes)), text(header.value.of(bytes)))).collect();
        Ok(())
    }

    async fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(!bytes.is_empty() && !self.is_complete);
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    async fn end(&mut self) -> io::Result<()> {
        self.is_complete = true;
        Ok(())
    }
}

/// A body that a test sends block by block; dropping the sender ends it, an error says that the client has left.
pub struct Blocks(pub mpsc::Receiver<Result<Vec<u8>, SourceGone>>);

impl RequestSource for Blocks {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, SourceGone> {
        self.0.recv().await.transpose()
    }

    fn is_at_hand(&self) -> bool {
        false
    }

    fn rewind(&mut self) -> bool {
        false
    }

    async fn next_raw(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.recv().await.map(Result::unwrap_or_default))
    }
}

/// A sink that hands a test what it is given.
pub struct Blockwise(pub mpsc::Sender<Vec<u8>>);

impl ResponseSink for Blockwise {
    async fn interim(&mut self, _: &ResponseHead, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    async fn start(&mut self, head: &ResponseHead, _: &[u8]) -> io::Result<()> {
        self.data(head.status.to_string().as_bytes()).await
    }

    async fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.send(bytes.to_vec()).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    async fn end(&mut self) -> io::Result<()> {
        self.data(b"end").await
    }
}
