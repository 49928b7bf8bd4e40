//! What the tests of the engine share: settings, a running server, a client.

#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::engine::{Application, Descriptors, Ended, Engine};
use portico_engine::function::Function;
use portico_engine::listener::{BoundListener, Options};
use portico_engine::message::spoken::Protocol;
use portico_engine::orders::OrderDescriptors;
use portico_engine::routing::{Routing, Target, UpstreamRow};
use portico_engine::scoreboard::{Mapping, SlotRef};
use portico_engine::settings::{Lines, Settings};
use portico_engine::upstream::group::Upstream;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The defaults of the table of settings, written by docs/generate_defaults.py.
const DEFAULTS: &str = include_str!("settings.txt");

/// Reads settings with these values beside the defaults.
pub fn read_settings(values: &[(&str, &str)]) -> Result<Settings, String> {
    let mut lines = DEFAULTS.to_owned();
    for (name, value) in values {
        lines.extend([*name, " = ", *value, "\n"]);
    }
    Settings::read(&Lines(&lines))
}

/// Settings with these values beside the defaults.
pub fn settings(values: &[(&str, &str)]) -> Settings {
    read_settings(values).unwrap()
}

/// A server on a port of its own.
pub struct RunningServer {
    /// Where it listens.
    pub address: SocketAddr,
    signals: std::io::PipeWriter,
    thread: JoinHandle<Result<Ended, String>>,
}

impl RunningServer {
    /// Serves `application` with these settings on a thread of its own.
    pub fn serve(application: impl Application, values: &[(&str, &str)]) -> RunningServer {
        RunningServer::serve_with(application, values, Descriptors::default()).0
    }

    /// The same with a supervisor at the other end of a socket.
    pub fn serve_supervised(application: impl Application, ready: &[u8]) -> (RunningServer, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let orders =
            OrderDescriptors { supervisor: Some(theirs.into()), ready: ready.to_vec(), ..OrderDescriptors::default() };
        (RunningServer::serve_with(application, &[], Descriptors { orders, ..Descriptors::default() }).0, ours)
    }

    /// The same with an access log in `file`.
    pub fn serve_logged(application: impl Application, file: OwnedFd) -> (RunningServer, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let orders = OrderDescriptors { supervisor: Some(theirs.into()), ..OrderDescriptors::default() };
        let process = Descriptors { orders, access_log: Some((file, false)), ..Descriptors::default() };
        (RunningServer::serve_with(application, &[], process).0, ours)
    }

    /// The same with routes.
    pub fn serve_routed(application: impl Application, routing: Routing) -> RunningServer {
        let process = Descriptors { routing: Some(routing), ..Descriptors::default() };
        RunningServer::serve_with(application, &[], process).0
    }

    /// The same, but for requests below paths that upstreams respond to.
    pub fn serve_beside(
        application: impl Application,
        values: &[(&str, &str)],
        upstreams: Vec<(String, Arc<Upstream>)>,
    ) -> RunningServer {
        let mut routing = Routing::default();
        let rows = upstreams.into_iter().map(|(path, upstream)| {
            routing.upstreams.push(upstream.clone());
            (path, Target::Upstream(Arc::new(UpstreamRow { upstream, number: 0, mount: "".into() })))
        });
        let rows: Vec<_> = rows.collect();
        let application_row = (String::new(), Target::Application { index: 0, mount: "".into() });
        for (path, target) in rows.into_iter().chain([application_row]) {
            routing.routes.add("", &path, false, routing.targets.len());
            routing.targets.push(target);
        }
        RunningServer::serve_with(application, values, Descriptors { routing: Some(routing), ..Descriptors::default() })
            .0
    }

    /// The same with a supervisor, for requests all of which an upstream responds to.
    pub fn serve_supervised_beside(ready: &[u8], upstream: Arc<Upstream>) -> (RunningServer, UnixStream) {
        RunningServer::serve_ordered_beside(b"", ready, upstream)
    }

    /// The same, where the supervisor has said something before.
    pub fn serve_ordered_beside(order: &[u8], ready: &[u8], upstream: Arc<Upstream>) -> (RunningServer, UnixStream) {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        ours.write_all(order).unwrap();
        let orders = OrderDescriptors {
            supervisor: Some(theirs.into()),
            ready: ready.to_owned(),
            ..OrderDescriptors::default()
        };
        let mut routing = Routing { upstreams: vec![upstream.clone()], ..Routing::default() };
        routing.routes.add("", "", false, 0);
        routing.targets.push(Target::Upstream(Arc::new(UpstreamRow { upstream, number: 0, mount: "".into() })));
        let process = Descriptors { orders, routing: Some(routing), ..Descriptors::default() };
        let application = Function(|_| unreachable!("all is passed on"));
        (RunningServer::serve_with(application, &[], process).0, ours)
    }

    /// The same with a gate, whose keeper is at the other end of a socket; and the listening socket, which stays open.
    pub fn serve_gated(
        application: impl Application,
        values: &[(&str, &str)],
    ) -> (RunningServer, UnixStream, TcpListener) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let process = Descriptors { gate: Some(theirs.into()), ..Descriptors::default() };
        let (server, listening) = RunningServer::serve_with(application, values, process);
        (server, ours, listening)
    }

    fn serve_with(
        application: impl Application,
        values: &[(&str, &str)],
        process: Descriptors,
    ) -> (RunningServer, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listening = listener.try_clone().unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (reader, signals) = std::io::pipe().unwrap();
        let bound = BoundListener {
            socket: listener.into(),
            protocol: Protocol::Http,
            options: Options::default(),
            display: format!("http://{address}"),
            is_connection: false,
        };
        let orders = OrderDescriptors { signals: Some(reader.into()), ..process.orders };
        let process = Descriptors { listeners: vec![bound], orders, ..process };
        let slot = SlotRef::new(&Mapping::new(1).unwrap(), 0).unwrap();
        let engine = Engine::new(settings(values), process, slot).unwrap();
        let thread = std::thread::spawn(move || engine.serve(application));
        (RunningServer { address, signals, thread }, listening)
    }

    /// A connection to it.
    pub fn connect(&self) -> TestClient {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        TestClient(stream)
    }

    /// Stops gracefully (TERM) and waits for the end.
    pub fn stop(self) -> Ended {
        self.stop_by(15)
    }

    /// Stops quickly (INT) and waits for the end.
    pub fn stop_quickly(self) -> Ended {
        self.stop_by(2)
    }

    fn stop_by(mut self, signal: u8) -> Ended {
        self.signal(signal);
        self.wait()
    }

    /// Lets a signal come.
    pub fn signal(&mut self, signal: u8) {
        self.signals.write_all(&[signal]).unwrap();
    }

    /// Waits for the end.
    pub fn wait(self) -> Ended {
        self.thread.join().unwrap().unwrap()
    }
}

/// A client.
pub struct TestClient(pub TcpStream);

impl TestClient {
    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Sends a request and reads to the end of the connection.
    pub fn ask(mut self, request: &str) -> String {
        self.send(request.as_bytes());
        self.read_to_end()
    }

    /// Reads to the end of the connection.
    pub fn read_to_end(mut self) -> String {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads a head, to the empty line behind it.
    pub fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads a response with a Content-Length; returns its status line and its body.
    pub fn read_response(&mut self) -> (String, Vec<u8>) {
        let head = self.read_head();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (head.lines().next().unwrap().to_owned(), body)
    }
}
