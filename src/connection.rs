//! One connection: its socket, the state it shares between its task and the crew, and the waits.
//!
//! The task (`connection/life.rs`, for FastCGI `connection/fastcgi.rs`) reads and parses; a crew thread writes the
//! answer (`connection/responder.rs`). Both run without the interpreter's knowledge. A connection registers
//! with the reactor only when something really has to be waited for: one that closes after its first
//! answer never does.

pub mod arriving;
pub mod backlog;
pub mod body;
pub mod departures;
pub mod envelope;
pub mod fastcgi;
pub mod inbound;
pub mod intake;
pub mod life;
pub mod proxied;
pub mod refusal;
pub mod responder;
pub mod spool;

pub use body::{Body, BodyError};
pub use envelope::Envelope;
pub use inbound::{Inbound, Packet, Request};

use crate::bounds::Patience;
use crate::clock;
use crate::deadlines::{Alarm, Late, Wait};
use crate::descriptor;
use crate::engine::{Engine, lock};
use crate::listener::{Listener, Protocol};
use backlog::Backlog;
use proxied::Proxied;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

/// A connection that has had its only answer within this time is not asked what else its client has sent.
const SHORT_LIFE_NS: u64 = 1_000_000;

/// What a connection does about its answers.
///
/// ```text
///   Ready --push--> Busy --the task has the next request--> Awaited
///     ^  <--answered--'  '--answered, not kept--> Closing <--'
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// No answer is outstanding.
    Ready = 0,
    /// A request is with the crew.
    Busy = 1,
    /// As Busy, and the task waits for its end.
    Awaited = 2,
    /// No further request will be answered.
    Closing = 3,
}

/// A connection, shared by its task and the crew thread that answers.
pub struct Connection {
    /// Dropped before `socket`: the reactor must forget a descriptor before it is closed.
    registration: OnceLock<AsyncFd<RawFd>>,
    socket: OwnedFd,
    /// The worker this belongs to.
    pub engine: &'static Engine,
    /// The listening socket it came from.
    pub listener: &'static Listener,
    /// The other end; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    is_trusted: bool,
    /// Process, user and group of the other end of a Unix socket.
    credentials: OnceLock<Option<(i32, u32, u32)>>,
    /// What a load balancer says of the connection.
    proxied: OnceLock<Arc<Proxied>>,
    /// Monotonic.
    accepted_ns: u64,
    /// Its deadlines.
    pub alarm: Alarm,
    /// Whether a task reads from it: else it closes after its first answer.
    has_task: AtomicBool,
    state: AtomicU8,
    answered: Notify,
    /// Told when the rest of a head or a body is late.
    late: Notify,
    outbound: Mutex<Outbound>,
}

/// What follows a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// More bytes, some time.
    More,
    /// The close, at once: the kernel may keep the bytes until then, so that they and the FIN are one
    /// segment (MSG_MORE, tcp(7)).
    Close,
}

impl Then {
    fn flags(self) -> SendFlags {
        match self {
            Then::More => SendFlags::NOSIGNAL,
            Then::Close => SendFlags::NOSIGNAL | SendFlags::MORE,
        }
    }
}

/// Response bytes that were accepted but not written yet.
#[derive(Default)]
pub struct Outbound {
    bytes: Vec<u8>,
    last_send_ns: u64,
    /// Whether the sentinel knows of these bytes.
    listed: bool,
    /// What a slow reader has not taken of an answer that goes on; a task writes it.
    backlog: Option<Box<Backlog>>,
}

impl Outbound {
    /// Forgets the first `sent` bytes; once all are gone the memory goes too, so that an idle connection
    /// holds none.
    fn take_away(&mut self, sent: usize) {
        if sent >= self.bytes.len() {
            self.bytes = Vec::new();
        } else {
            self.bytes.drain(..sent);
        }
    }
}

impl Connection {
    /// A connection that was just accepted, not registered yet.
    pub fn new(
        engine: &'static Engine,
        socket: OwnedFd,
        listener: &'static Listener,
        peer: Option<SocketAddr>,
    ) -> Connection {
        engine.slot.connections.fetch_add(1, Ordering::Relaxed);
        engine.slot.connections_total.fetch_add(1, Ordering::Relaxed);
        let is_trusted = engine.bounds.trusts(peer.map(|peer| peer.ip()));
        Connection {
            registration: OnceLock::new(),
            socket,
            engine,
            listener,
            peer,
            is_trusted,
            credentials: OnceLock::new(),
            proxied: OnceLock::new(),
            accepted_ns: clock::monotonic_ns(),
            alarm: Alarm::default(),
            has_task: AtomicBool::new(false),
            state: AtomicU8::new(State::Ready as u8),
            answered: Notify::new(),
            late: Notify::new(),
            outbound: Mutex::default(),
        }
    }

    /// Who sends the requests: as a load balancer says, else the other end. None on a Unix socket.
    pub fn client(&self) -> Option<SocketAddr> {
        self.proxied.get().map_or(self.peer, |proxied| proxied.client)
    }

    /// What a load balancer says of the connection.
    pub fn proxied(&self) -> Option<&Arc<Proxied>> {
        self.proxied.get()
    }

    /// Whether a load balancer says that the client's connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.proxied.get().is_some_and(|proxied| proxied.is_tls)
    }

    /// Whether the requests come from a front server whose forwarded headers are believed.
    pub fn is_trusted(&self) -> bool {
        self.proxied.get().map_or(self.is_trusted, |proxied| proxied.is_trusted)
    }

    /// The other end, for log lines.
    pub fn peer_text(&self) -> String {
        self.peer.map_or_else(|| "a Unix socket".into(), |peer| peer.to_string())
    }

    /// Process, user and group of the other end of a Unix socket (SO_PEERCRED, unix(7)).
    pub fn peer_credentials(&self) -> Option<(i32, u32, u32)> {
        if self.listener.is_internet {
            return None;
        }
        *self.credentials.get_or_init(|| {
            let credentials = rustix::net::sockopt::socket_peercred(&self.socket).ok()?;
            Some((credentials.pid.as_raw_nonzero().get(), credentials.uid.as_raw(), credentials.gid.as_raw()))
        })
    }

    /// The other end's address as far as connections of one address are counted: not those of front servers.
    fn counted_peer(&self) -> Option<SocketAddr> {
        let is_client = self.listener.protocol == Protocol::Http && !self.listener.has_proxy_header;
        self.peer.filter(|_| is_client && !self.is_trusted)
    }

    /// Counts the connection in; false if its address has as many as it may.
    pub fn enter(&self) -> bool {
        self.engine.admission.enter(self.counted_peer())
    }

    /// Whether the client has closed its side, or the connection is broken.
    pub fn has_departed(&self) -> bool {
        const GONE: PollFlags = PollFlags::RDHUP.union(PollFlags::HUP).union(PollFlags::ERR);
        let mut polled = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        // An error is no answer: it is asked again, or a write says more.
        rustix::event::poll(&mut polled, Some(&Timespec::default())).is_ok()
            && polled.iter().any(|polled| polled.revents().intersects(GONE))
    }

    /// Puts the connection on the wheel of deadlines, before the first wait on it.
    pub fn watch(self: &Arc<Self>) {
        if !self.alarm.is_placed() {
            self.engine.deadlines.add(self);
        }
    }

    /// The client has to send something of this kind within `after_ms`.
    fn expect(&self, wait: Wait, after_ms: u64) {
        self.engine.deadlines.expect(&self.alarm, wait, after_ms);
    }

    /// A deadline has passed.
    pub fn ring(&self, late: Late) {
        match late {
            Late::Receiving(Wait::Head | Wait::Body) => self.late.notify_one(),
            Late::Receiving(Wait::FirstByte | Wait::Idle | Wait::Linger) => self.cut(),
            // A plain close would leave what the client does not take in the kernel.
            Late::Sending => self.reset(),
        }
    }

    /// Ends the connection now, in both directions.
    pub fn cut(&self) {
        // It may be gone already; the descriptor itself is closed by the last owner.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }

    /// The client is gone, although the connection to the front server that says so is not: from now on that looks as
    /// if it had ended.
    fn abandon(&self) {
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Read);
    }

    /// Ends the connection so that the peer sees an error and not an end of file: on TCP a reset.
    fn reset(&self) {
        if rustix::net::connect_unspec(&self.socket).is_err() {
            self.cut();
        }
    }

    /// Whether there was time for more than what was read at once. To ask the kernel costs a short answer 4 %, and
    /// bytes behind a last request may come after the close as well as before it.
    fn has_lived_long(&self) -> bool {
        clock::monotonic_ns() - self.accepted_ns > SHORT_LIFE_NS
    }

    /// Whether bytes have come that nobody has read.
    fn has_unread(&self) -> bool {
        rustix::io::ioctl_fionread(&self.socket).is_ok_and(|unread| unread > 0)
    }

    /// The state as the task or the crew left it.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Ready,
            1 => State::Busy,
            2 => State::Awaited,
            _ => State::Closing,
        }
    }

    /// Ready -> Busy, just before a request is pushed.
    fn begin(&self) {
        self.alarm.expect_nothing();
        self.state.store(State::Busy as u8, Ordering::Release);
    }

    /// Waits until no answer is outstanding; false if the connection is to close.
    async fn wait_answered(&self) -> bool {
        loop {
            match self.state() {
                State::Ready => return true,
                State::Closing => return false,
                State::Busy | State::Awaited => {}
            }
            let (busy, awaited) = (State::Busy as u8, State::Awaited as u8);
            // Failing means that the answer ended, or that Awaited stands already: the loop looks again.
            if self.state.compare_exchange(busy, awaited, Ordering::AcqRel, Ordering::Acquire).is_ok()
                || self.state() == State::Awaited
            {
                self.answered.notified().await;
            }
        }
    }

    /// Busy -> Ready or Closing: the answer is complete, or never will be.
    pub fn answer_done(self: &Arc<Self>, keep: bool) {
        let next = if keep { State::Ready } else { State::Closing };
        if keep {
            // Unless the next request has already begun, and has a deadline of its own.
            self.engine.deadlines.expect_if_nothing(&self.alarm, Wait::Idle, self.engine.bounds.keep_alive_ms);
        } else if self.registration.get().is_some() {
            self.begin_linger();
        }
        if !keep && !self.has_task.load(Ordering::Relaxed) && self.has_lived_long() && self.has_unread() {
            // Closing now would be a reset, and the answer, not sent yet, lost with it (RFC 9112 9.6).
            self.watch();
            self.engine.runtime.spawn(linger(self.clone()));
        }
        if self.state.swap(next as u8, Ordering::AcqRel) == State::Awaited as u8 {
            self.answered.notify_one();
        }
    }

    /// Says that no more will be sent, and bounds how long the peer may still send.
    fn begin_linger(&self) {
        self.expect(Wait::Linger, self.engine.bounds.linger_ms);
        // RFC 9112 9.6: close the sending side, go on reading for a while, then close fully.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Write);
    }

    fn registration(&self) -> io::Result<&AsyncFd<RawFd>> {
        if let Some(registration) = self.registration.get() {
            return Ok(registration);
        }
        let both = Interest::READABLE | Interest::WRITABLE;
        let registration = descriptor::watch(self.socket.as_fd(), both)?;
        Ok(self.registration.get_or_init(|| registration))
    }

    /// Reads what is there now into `inbound`; `Ok(0)` is the end of file.
    fn receive(&self, inbound: &mut Inbound) -> io::Result<usize> {
        loop {
            match rustix::net::recv(&self.socket, inbound.spare(), RecvFlags::empty()) {
                Ok((received, _)) => {
                    inbound.advance(received);
                    return Ok(received);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for bytes; a buffer is taken from the pool only once there are some, so that an idle
    /// connection holds none.
    async fn fill(&self, inbound: &mut Option<Box<Inbound>>) -> io::Result<usize> {
        let registration = self.registration()?;
        loop {
            let mut ready = registration.readable().await?;
            let buffer = inbound.get_or_insert_with(|| self.engine.take_buffer());
            let room = buffer.room();
            match self.receive(buffer) {
                Ok(received) => {
                    if received < room {
                        // A short read means that the socket is empty: no extra read to find out (epoll(7), edge-triggered).
                        ready.clear_ready();
                    }
                    return Ok(received);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    if buffer.is_empty()
                        && let Some(buffer) = inbound.take()
                    {
                        self.engine.return_buffer(buffer);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// As `fill`, for the rest of something that has a deadline: late is an error.
    async fn fill_in_time(&self, inbound: &mut Option<Box<Inbound>>) -> io::Result<usize> {
        loop {
            tokio::select! {
                biased;
                // Where something is waited for, the word was for an earlier deadline that was met at the last moment.
                () = self.late.notified() => if self.alarm.waits_for().is_none() {
                    return Err(io::ErrorKind::TimedOut.into());
                },
                filled = self.fill(inbound) => return filled,
            }
        }
    }

    /// Writes as much as the socket takes now; `Ok(0)` if it is full.
    fn send(&self, bytes: &[u8], then: Then) -> io::Result<usize> {
        written(|| rustix::net::send(&self.socket, bytes, then.flags()))
    }

    /// As `send`, from several places.
    fn send_slices(&self, slices: &[IoSlice<'_>], then: Then) -> io::Result<usize> {
        let mut control = SendAncillaryBuffer::default();
        written(|| rustix::net::sendmsg(&self.socket, slices, &mut control, then.flags()))
    }

    /// Waits until the socket may take bytes again, then runs `write` (which answers 0 for "full").
    async fn write_when_ready(
        &self,
        patience: &mut Patience,
        mut write: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let registration = self.registration()?;
        let deadlines = &self.engine.deadlines;
        loop {
            deadlines.expect_reader(&self.alarm, patience.left_ms());
            let began_ms = clock::coarse_ms();
            let mut ready = registration.writable().await?;
            patience.waited(clock::coarse_ms() - began_ms);
            let written = write()?;
            if written > 0 {
                deadlines.expect_reader(&self.alarm, 0);
                patience.moved(written as u64);
                return Ok(written);
            }
            ready.clear_ready();
        }
    }

    /// What a reader of one answer starts with.
    fn patience(&self) -> Patience {
        Patience::new(self.engine.bounds.write)
    }

    /// Sends `bytes` to the end, waiting where needed.
    async fn send_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.send_rest(&mut self.patience(), bytes).await
    }

    /// As `send_all`, for one of several parts of one answer.
    async fn send_rest(&self, patience: &mut Patience, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut sent = self.send(bytes, Then::More)?;
            if sent == 0 {
                sent = self.write_when_ready(patience, || self.send(bytes, Then::More)).await?;
            } else {
                patience.moved(sent as u64);
            }
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// The sentinel's part: sends gathered bytes as far as the socket takes them.
    pub fn send_gathered(self: &Arc<Self>) {
        let mut outbound = lock(&self.outbound);
        outbound.listed = false;
        if outbound.bytes.is_empty() || outbound.backlog.is_some() {
            return;
        }
        // An error shows again where the crew thread writes next, which is where it is handled.
        if let Ok(sent) = self.send(&outbound.bytes, Then::More) {
            outbound.take_away(sent);
            outbound.last_send_ns = clock::monotonic_ns();
            if !outbound.bytes.is_empty() {
                // A full socket: the application may not come back for long, so a task has to wait for the client.
                let rest = std::mem::take(&mut outbound.bytes);
                backlog::start(self, &mut outbound, &[&rest]);
            }
        }
    }
}

/// Says that no more will be sent, and throws away what still comes until the peer closes or is cut.
async fn linger(connection: Arc<Connection>) {
    connection.begin_linger();
    let mut inbound = None;
    while let Ok(received) = connection.fill(&mut inbound).await
        && received > 0
    {
        if let Some(buffer) = inbound.take() {
            connection.engine.return_buffer(buffer);
        }
    }
}

/// Repeats a write that a signal interrupted; a full socket has written nothing.
fn written(mut write: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Ok(sent) => return Ok(sent),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.engine.slot.connections.fetch_sub(1, Ordering::Relaxed);
        self.engine.deadlines.remove(&self.alarm);
        self.engine.admission.leave(self.counted_peer());
    }
}
