//! One connection: its socket, where it came from, its exchange, its deadlines, and the waits that have one.
//!
//! Shared by the task that reads and parses (`protocol`) and by the thread that responds (`exchange/responder`). Both
//! run without any interpreter.
//!
//! 1. `socket`: reads, writes, waits.
//! 2. `origin`: where it came from.
//! 3. `turn` and `outbound`: whether a response is due, and what of it has not been sent; `exchange` is both.

pub mod exchange;
pub mod origin;
pub mod outbound;
pub mod socket;
pub mod turn;

use crate::clock;
use crate::deadline::{Deadline, Late, Wait};
use crate::listener::Listener;
use crate::log::{self, Level};
use crate::message::inbound::Inbound;
use crate::message::request_reader::Provenance;
use crate::pace::Patience;
use crate::resources::Resources;
use crate::state::turn::State;
use crate::wheel::Timed;
use exchange::Exchange;
use origin::{Origin, Sender};
use portico_wire::Scheme;
use socket::{Socket, Then, Writable};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// A connection that has had its only response within this time is not asked what else its client has sent.
const SHORT_LIFE_NS: u64 = 1_000_000;

/// At most this much of one response is sent at a time, so that a large one does not keep the others waiting, however fast
/// its client takes it.
pub const PIECE_BYTES: usize = 1024 * 1024;

/// A connection.
pub struct Connection {
    /// The socket.
    pub socket: Socket,
    /// Where it came from.
    pub origin: Origin,
    /// The request that a response is due to.
    pub exchange: Exchange,
    /// Its deadlines.
    pub deadline: Deadline,
    /// What it shares with all connections of its server.
    pub resources: Arc<Resources>,
    /// Whether a task reads from it: else it closes after its first response.
    has_task: AtomicBool,
    /// Told when the rest of a head or a body is late.
    late: Notify,
}

impl Connection {
    /// A connection that was just accepted, not registered yet; none if its address has as many as it may.
    pub fn new(
        resources: &Arc<Resources>,
        fd: OwnedFd,
        listener: &Arc<Listener>,
        peer: Option<SocketAddr>,
    ) -> Option<Connection> {
        resources.slot.connections.fetch_add(1, Relaxed);
        resources.slot.connections_total.fetch_add(1, Relaxed);
        let id = resources.next_connection_id();
        let connection = Connection {
            socket: if listener.is_internet { Socket::new(fd) } else { Socket::unix(fd) },
            origin: Origin::new(id, listener, peer, &resources.settings),
            exchange: Exchange::default(),
            deadline: Deadline::default(),
            resources: resources.clone(),
            has_task: AtomicBool::new(false),
            late: Notify::const_new(),
        };
        connection.trace(|| format!("accepted from {} on {}", connection.origin.peer_text(), listener.display));
        // In any case counted, since the end of the connection counts it out.
        resources.admission.enter(connection.origin.counted_peer()).then_some(connection)
    }

    /// Writes a step of the connection's life to the error log, where that is wanted.
    pub fn trace(&self, step: impl FnOnce() -> String) {
        if log::is_on(Level::Trace) {
            log::log(Level::Trace, &format!("connection {}: {}", self.origin.id, step()));
        }
    }

    /// Gives a request its span, where there are any.
    #[cold]
    pub fn begin_span(&self, inbound: &mut Inbound) {
        let Some(spans) = &self.resources.spans else { return };
        let of_connection = if self.origin.is_tls() { Scheme::Https } else { Scheme::Http };
        let scheme = inbound.understood(self.origin.client(), of_connection).scheme;
        // Variables are a reverse proxy's in any case.
        let is_trusted = self.origin.is_trusted() || inbound.gateway().is_some();
        spans.begin(inbound, is_trusted, scheme);
    }

    /// Who sends the requests, as the application is told.
    pub fn sender(&self) -> Sender {
        self.origin.sender(&self.socket)
    }

    /// What the reader of its requests has to know of it.
    pub fn provenance(&self, came_early: bool) -> Provenance {
        Provenance {
            is_trusted: self.origin.is_trusted(),
            is_tls: self.origin.is_tls(),
            is_pipelined: came_early || self.exchange.turn.state() != State::Idle,
        }
    }

    /// A task reads from it from now on: puts the connection on the wheel.
    pub fn begin_task(self: &Arc<Self>) {
        self.watch();
        self.has_task.store(true, Relaxed);
    }

    /// Puts the connection on the wheel of deadlines, before the first wait on it.
    pub fn watch(self: &Arc<Self>) {
        if !self.deadline.is_placed() {
            let weak: Weak<Connection> = Arc::downgrade(self);
            self.resources.wheel.add(weak, &self.deadline);
        }
    }

    /// The client has to send something of this kind within `after_ms`.
    pub fn expect(&self, wait: Wait, after_ms: u64) {
        self.resources.wheel.expect(&self.deadline, wait, after_ms);
    }

    /// Waits for bytes, without a deadline of its own.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn fill<'a>(&'a self, inbound: &'a mut Option<Box<Inbound>>) -> impl Future<Output = io::Result<usize>> + 'a {
        self.socket.fill(inbound, &self.resources.buffers)
    }

    /// As `fill`, for the rest of something that has a deadline.
    ///
    /// # Errors
    /// The connection is broken; `TimedOut` if the rest is late.
    pub async fn fill_in_time(&self, inbound: &mut Option<Box<Inbound>>) -> io::Result<usize> {
        loop {
            tokio::select! {
                biased;
                // Where something is waited for, this was for an earlier deadline that was met at the last moment.
                () = self.late.notified() => if self.deadline.waits_for().is_none() {
                    return Err(io::ErrorKind::TimedOut.into());
                },
                filled = self.fill(inbound) => return filled,
            }
        }
    }

    /// What a reader of one response starts with.
    pub fn patience(&self) -> Patience {
        Patience::new(self.resources.settings.response_pace())
    }

    /// Waits until the socket may take bytes again, then runs `write` (which returns 0 for "full").
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn write_when_ready(
        &self,
        patience: &mut Patience,
        mut write: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let wheel = &self.resources.wheel;
        loop {
            wheel.expect_reader(&self.deadline, patience.left_ms());
            let began_ms = clock::coarse_ms();
            let written = self.socket.write_when_ready(&mut write).await?;
            patience.waited(clock::coarse_ms() - began_ms);
            if written > 0 {
                wheel.expect_reader(&self.deadline, 0);
                patience.moved(written as u64);
                return Ok(written);
            }
        }
    }

    /// Waits until the socket may take bytes again, for who writes them on another thread; the time counts as the
    /// client's.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn wait_writable(&self, patience: &mut Patience) -> io::Result<Writable<'_>> {
        let wheel = &self.resources.wheel;
        wheel.expect_reader(&self.deadline, patience.left_ms());
        let began_ms = clock::coarse_ms();
        let writable = self.socket.wait_writable().await?;
        patience.waited(clock::coarse_ms() - began_ms);
        wheel.expect_reader(&self.deadline, 0);
        Ok(writable)
    }

    /// Sends `bytes` to the end, waiting where needed.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.send_rest(&mut self.patience(), bytes).await
    }

    /// As `send_all`, for one of several parts of one response.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send_rest(&self, patience: &mut Patience, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let piece = bytes.get(..PIECE_BYTES).unwrap_or(bytes);
            let mut sent = self.socket.send(piece, Then::More)?;
            if sent == 0 {
                sent = self.write_when_ready(patience, || self.socket.send(piece, Then::More)).await?;
            } else {
                patience.moved(sent as u64);
            }
            bytes = bytes.get(sent..).unwrap_or_default();
            if sent == piece.len() && !bytes.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// A request is complete, and a response to it due. `has_more`: the client has sent more after it by now.
    pub fn submit(&self, has_more: bool) {
        self.deadline.expect_nothing();
        self.exchange.note_more(has_more);
        self.exchange.turn.submit();
    }

    /// Whether another request may follow the one that a response is due to. Where the server ends that is one that has been
    /// read by now: it is not given up, and the response to it will say so.
    pub fn is_kept(&self) -> bool {
        self.resources.keeps_connections() || self.exchange.has_more()
    }

    /// The response is complete, or never will be.
    pub fn end_response(self: &Arc<Self>, keep: bool) {
        self.trace(|| format!("done, the connection is {}", if keep { "kept" } else { "not kept" }));
        if keep {
            // Unless the next request has already begun, and has a deadline of its own.
            let keep_alive_ms = self.resources.settings.keep_alive_s.ms();
            self.resources.wheel.expect_if_nothing(&self.deadline, Wait::Idle, keep_alive_ms);
        } else if self.origin.listener.is_connection {
            // Whoever has accepted it closes it, and need not wait for the peer: its task, if any, ends by itself.
            self.socket.end_sending();
            self.socket.end_receiving();
        } else if !self.has_task.load(Relaxed) {
            if self.has_lived_long() && self.socket.has_unread() {
                // Closing now would be a reset, and the response, not sent yet, lost with it (RFC 9112 9.6).
                self.watch();
                self.resources.handle.spawn(linger(self.clone()));
            }
        } else {
            // Its task reads, or is about to, and may not look at the turn before the client closes.
            self.begin_linger();
        }
        self.exchange.end(keep);
    }

    /// Whether there was time for more than what was read at once. To ask the kernel costs a short response 4 %, and
    /// bytes behind a last request may come after the close as well as before it.
    fn has_lived_long(&self) -> bool {
        clock::monotonic_ns() - self.origin.accepted_ns > SHORT_LIFE_NS
    }

    /// Says that no more will be sent, and bounds how long the peer may still send.
    pub fn begin_linger(&self) {
        self.expect(Wait::Linger, self.resources.settings.linger_timeout_s.ms());
        // RFC 9112 9.6: close the sending side, go on reading for a while, then close fully.
        self.socket.end_sending();
    }
}

impl Timed for Connection {
    fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    fn on_deadline(&self, late: Late) {
        self.trace(|| format!("late: {late:?}"));
        match late {
            Late::Receiving(Wait::Head | Wait::Body) => self.late.notify_one(),
            Late::Receiving(wait) => self.end_wait(wait),
            // A plain close would leave what the client does not take in the kernel.
            Late::Sending => self.socket.reset(),
        }
    }

    fn is_responding(&self) -> bool {
        self.exchange.turn.state() != State::Idle
    }

    fn end_wait(&self, wait: Wait) {
        match wait {
            // A request that comes at this very moment, or has just been read, is still responded to.
            Wait::FirstByte | Wait::Idle => self.socket.end_receiving(),
            Wait::Head | Wait::Body | Wait::Linger => self.socket.abort(),
        }
    }

    fn end_upgrade(&self) {
        if let Some(upgrade) = self.exchange.offered() {
            upgrade.close();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.trace(|| "closed".into());
        self.resources.slot.connections.fetch_sub(1, Relaxed);
        self.resources.wheel.remove(&self.deadline);
        self.resources.admission.leave(self.origin.counted_peer());
    }
}

/// Says that no more will be sent, and throws away what still comes until the peer closes or is aborted.
pub async fn linger(connection: Arc<Connection>) {
    if connection.deadline.waits_for() != Some(Wait::Linger) {
        connection.begin_linger();
    }
    let mut inbound = None;
    while let Ok(received) = connection.fill(&mut inbound).await
        && received > 0
    {
        if let Some(buffer) = inbound.take() {
            connection.resources.buffers.give_back(buffer);
        }
    }
}
