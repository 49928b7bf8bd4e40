//! The life of an HTTP/1 connection: read a head, get its body, queue the request, go on reading.
//!
//! Runs as one small task on whichever thread drives the runtime. It never calls Python and does not
//! write answers, except the ones that no application is asked for (errors in the request, 100 Continue).

use super::arriving::Arriving;
use super::refusal::{self, Overload, Refusal};
use super::spool::Spool;
use super::{Body, BodyError, Connection, Inbound, Request, State, linger};
use crate::bounds::Bounds;
use crate::clock;
use crate::connection::body::{Arrival, Stream};
use crate::deadlines::Wait;
use crate::error_log::Seldom;
use portico_wire::{CONTINUE, Framing, Scheme, TargetForm, WireError, request_start_ns};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::Release};
use tokio::sync::mpsc;

/// Blocks of a streamed body that may wait for the application to read them.
const STREAM_WINDOW: usize = 4;

/// Why a connection's task ends.
enum End {
    /// The peer closed, or the socket failed: nothing more to say.
    Gone,
    /// The peer broke a rule: an answer that says so, then close.
    Refused(Refusal),
    /// An answer has gone out, or will, that closes the connection.
    Closing,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        End::Gone
    }
}

/// Takes a fresh connection over: reads once without registering, and if that gives a whole last
/// request and nothing else (as `Connection: close` clients send it) queues it without ever making a task.
pub fn begin(connection: Connection) {
    let engine = connection.engine;
    let mut inbound = engine.take_buffer();
    let first_read = connection.receive(&mut inbound);
    let connection = Arc::new(connection);
    if matches!(first_read, Ok(received) if received > 0)
        && let Ok(Some(head_bytes)) = inbound.read_head(&engine.bounds.wire)
        // Who sends more although this is the last request is waited for after the answer, and that takes a task.
        && head_bytes == inbound.bytes().len()
        && !inbound.head.keep_alive
        && inbound.head.framing == Framing::Empty
        // What is invalid is refused by the task, which reads the head again.
        && check(&connection, &mut inbound).is_ok()
        && !refusal::is_health_check(engine, &inbound)
    {
        connection.begin();
        push(&connection, inbound, Body::Empty, false, None);
        return;
    }
    match first_read {
        Ok(0) => return,
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
        _ => {}
    }
    connection.watch();
    connection.has_task.store(true, Relaxed);
    let inbound = if inbound.is_empty() {
        engine.return_buffer(inbound);
        connection.expect(Wait::FirstByte, engine.bounds.handshake_ms);
        None
    } else {
        Some(inbound)
    };
    tokio::spawn(run(connection, inbound));
}

async fn run(connection: Arc<Connection>, inbound: Option<Box<Inbound>>) {
    match serve(&connection, inbound).await {
        End::Gone => {}
        End::Refused(refusal) => {
            if connection.state() == State::Ready || connection.wait_answered().await {
                connection.alarm.expect_nothing();
                Box::pin(refusal.answer(&connection)).await;
            }
            Box::pin(linger(connection)).await;
        }
        End::Closing => {
            connection.wait_answered().await;
            // Also where the answer has begun it: it only did if the connection was registered by then.
            Box::pin(linger(connection)).await;
        }
    }
}

async fn serve(connection: &Arc<Connection>, mut inbound: Option<Box<Inbound>>) -> End {
    let engine = connection.engine;
    let mut turns = Turns::default();
    loop {
        let came_early = inbound.is_some();
        let (mut request, head_bytes, began_ms) = match read_head(connection, inbound.take()).await {
            Ok(complete) => complete,
            Err(end) => return end,
        };
        let is_pipelined = came_early || connection.state() != State::Ready;
        request.head.keep_alive &= turns.next(is_pipelined, &engine.bounds);
        let keep_alive = request.head.keep_alive;
        if request.head.framing == Framing::Empty && refusal::is_health_check(engine, &request) {
            match Box::pin(answer_health_check(connection, request, head_bytes)).await {
                Ok(rest) => inbound = rest,
                Err(end) => return end,
            }
            continue;
        }
        match read_body(connection, request, head_bytes, began_ms).await {
            Ok(rest) => inbound = rest,
            Err(end) => return end,
        }
        if !keep_alive {
            return End::Closing;
        }
    }
}

/// The requests that a connection has had.
#[derive(Default)]
struct Turns {
    requests: u64,
    /// Of them, without a break, those that did not wait for the answer before.
    in_a_row: u64,
}

impl Turns {
    /// Counts a request; whether another one may follow it.
    fn next(&mut self, is_pipelined: bool, bounds: &Bounds) -> bool {
        self.requests += 1;
        self.in_a_row = if is_pipelined { self.in_a_row + 1 } else { 1 };
        self.requests < bounds.requests_per_connection && self.in_a_row < bounds.pipelined
    }
}

/// Reads until there is a whole head; returns the buffer, the head's length, and when it began (coarse
/// milliseconds) unless it came in one piece.
async fn read_head(
    connection: &Arc<Connection>,
    mut inbound: Option<Box<Inbound>>,
) -> Result<(Box<Inbound>, usize, Option<u64>), End> {
    static TOLD: Seldom = Seldom::new();
    let engine = connection.engine;
    let mut began_ms = None;
    loop {
        if let Some(mut buffer) = inbound.take() {
            let limits = &engine.bounds.wire;
            let read = if began_ms.is_none() { buffer.read_head(limits) } else { buffer.read_head_on(limits) };
            match read {
                Ok(None) => {}
                Ok(Some(head_bytes)) => {
                    return match check(connection, &mut buffer) {
                        Ok(()) => Ok((buffer, head_bytes, began_ms)),
                        Err(error) => Err(refused(error, buffer, began_ms)),
                    };
                }
                Err(error) => {
                    let began_ms = began_ms.unwrap_or_else(clock::coarse_ms);
                    return Err(End::Refused(Refusal::of_head(error, Some(buffer), began_ms)));
                }
            }
            if began_ms.is_none() {
                // Set once, so that a byte now and then gains nothing.
                began_ms = Some(clock::coarse_ms());
                connection.expect(Wait::Head, engine.bounds.head_ms.min(engine.bounds.request_ms));
            }
            if engine.memory.is_overdrawn() {
                // One: each that finds the memory used up adds at most one buffer to it.
                engine.deadlines.evict(&[Wait::Head, Wait::Body], usize::MAX);
                TOLD.warn(|| "max_buffered is reached; closed a connection with an unfinished request".into());
                // Theirs goes back before this one reads on.
                tokio::task::yield_now().await;
            }
            inbound = Some(buffer);
        }
        let filled = if inbound.is_none() {
            connection.fill(&mut inbound).await
        } else {
            connection.fill_in_time(&mut inbound).await
        };
        match filled {
            Ok(0) => return Err(End::Gone),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let refusal = Refusal::of_head(WireError::REQUEST_TIMEOUT_HEAD, inbound, began_ms.unwrap_or(0));
                return Err(End::Refused(refusal));
            }
            Err(_) => return Err(End::Gone),
        }
        if connection.state() == State::Closing {
            return Err(End::Closing);
        }
    }
}

/// What is not the head's alone to decide: what a front server says of the request, and with it RFC 9110 7.4, a
/// target that asks for https where there was no TLS.
fn check(connection: &Connection, inbound: &mut Inbound) -> Result<(), WireError> {
    inbound.read_forwarded(connection)?;
    let head = &inbound.head;
    if head.form == TargetForm::Absolute && head.scheme.len() == b"https".len() {
        let scheme = inbound.forwarded.as_ref().and_then(|forwarded| forwarded.scheme);
        return if scheme == Some(Scheme::Https) { Ok(()) } else { Err(WireError::MISDIRECTED) };
    }
    Ok(())
}

fn refused(error: WireError, request: Box<Inbound>, began_ms: Option<u64>) -> End {
    End::Refused(Refusal::of_request(error, request, began_ms.unwrap_or_else(clock::coarse_ms)))
}

/// Answers a health check in its turn; returns what the peer has already sent after it.
async fn answer_health_check(
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    head_bytes: usize,
) -> Result<Option<Box<Inbound>>, End> {
    if connection.state() != State::Ready && !connection.wait_answered().await {
        return Err(End::Closing);
    }
    let keep_alive = refusal::answer_health_check(connection, &request);
    connection.alarm.expect_nothing();
    connection.answer_done(keep_alive);
    let next = rest_of(connection, &request, head_bytes);
    connection.engine.return_buffer(request);
    if keep_alive { Ok(next) } else { Err(End::Closing) }
}

/// What was read after the first `used` bytes, in a buffer of its own.
fn rest_of(connection: &Connection, request: &Inbound, used: usize) -> Option<Box<Inbound>> {
    let rest = request.bytes().get(used..).unwrap_or_default();
    (!rest.is_empty()).then(|| {
        let mut next = connection.engine.take_buffer();
        next.push(rest);
        next
    })
}

/// Gets the body and queues the request; returns what the peer has already sent after it.
async fn read_body(
    connection: &Arc<Connection>,
    mut request: Box<Inbound>,
    head_bytes: usize,
    began_ms: Option<u64>,
) -> Result<Option<Box<Inbound>>, End> {
    let bounds = &connection.engine.bounds;
    let rest = request.bytes().get(head_bytes..).unwrap_or_default();
    let body_bytes = match request.head.framing {
        Framing::Empty => 0,
        Framing::Length(length) if length > bounds.request_body_bytes => {
            return Err(refused(WireError::BODY_TOO_LARGE, request, began_ms));
        }
        Framing::Length(length) if length <= rest.len() as u64 => usize::try_from(length).unwrap_or(0),
        Framing::Length(_) | Framing::Chunked => {
            let mut feed = connection.engine.take_buffer();
            feed.push(rest);
            request.truncate(head_bytes);
            // Boxed, as all that is rare: what a task could do has its place in every idle connection's memory.
            return Box::pin(read_long_body(connection, request, feed, began_ms)).await;
        }
    };
    let next = rest_of(connection, &request, head_bytes + body_bytes);
    let body = if body_bytes == 0 { Body::Empty } else { Body::Buffered(head_bytes..head_bytes + body_bytes) };
    queue(connection, request, body, began_ms).await?;
    Ok(next)
}

/// Reads a body that is not complete in the buffer: spooled up to the limit, streamed beyond it. A body that has
/// announced to be larger is no exception, else a client that only announces would hold a crew thread.
async fn read_long_body(
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    feed: Box<Inbound>,
    began_ms: Option<u64>,
) -> Result<Option<Box<Inbound>>, End> {
    static TOLD: Seldom = Seldom::new();
    let engine = connection.engine;
    let declared = match request.head.framing {
        Framing::Length(length) => Some(length),
        Framing::Empty | Framing::Chunked => None,
    };
    let mut arriving = Arriving::new(connection, request.head.framing, feed, began_ms);
    let mut spool = Spool::new(engine);
    if request.head.expect_continue && arriving.is_untouched() {
        // In its turn: an answer before this one may still be on its way.
        if connection.state() != State::Ready && !connection.wait_answered().await {
            return Err(End::Closing);
        }
        connection.send_all(CONTINUE).await?;
    }
    loop {
        let block = match arriving.next(connection).await {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(error) => {
                let Some(error) = rule_of(error) else {
                    refusal::log_abandoned(connection, &request, arriving.began_ms);
                    return Err(End::Gone);
                };
                return Err(refused(error, request, Some(arriving.began_ms)));
            }
        };
        if let Err(error) = spool.push(&block) {
            TOLD.warn(|| format!("cannot keep a request body in a temporary file: {error}; answered with 507"));
            return Err(refused(WireError::TEMPORARY_SPACE, request, Some(arriving.began_ms)));
        }
        if spool.len() > engine.bounds.body_spool_bytes {
            return stream(connection, request, arriving, spool, declared).await;
        }
    }
    queue(connection, request, Body::Spooled(Box::new(spool)), None).await?;
    Ok(arriving.leftover(connection))
}

/// Queues the request and feeds it its body as the application reads. The connection is kept only if
/// all of the body has arrived when the answer's head is made.
async fn stream(
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    mut arriving: Arriving,
    spooled: Spool,
    length: Option<u64>,
) -> Result<Option<Box<Inbound>>, End> {
    let (sender, receiver) = mpsc::channel(STREAM_WINDOW);
    let complete = Arc::new(AtomicBool::new(false));
    let arrival = Arrival { receiver, length, complete: complete.clone() };
    let body = Body::Streamed(Box::new(Stream { spooled, arriving: arrival }));
    queue(connection, request, body, None).await?;
    loop {
        let block = match arriving.next(connection).await {
            Ok(Some(block)) => Ok(block),
            Ok(None) => {
                complete.store(true, Release);
                return Ok(arriving.leftover(connection));
            }
            Err(error) => Err(error),
        };
        let failed = block.is_err();
        if arriving.is_complete() {
            complete.store(true, Release);
        }
        // The receiver is gone when the application has finished without reading on.
        let is_unwanted = sender.send(block).await.is_err();
        if is_unwanted && arriving.is_complete() {
            // All of it had come before the answer: the connection may have been promised to the next request.
            return Ok(arriving.leftover(connection));
        }
        if is_unwanted || failed {
            return Err(End::Closing);
        }
    }
}

/// The rule that a body has broken; none if its client is gone.
fn rule_of(error: BodyError) -> Option<WireError> {
    match error {
        BodyError::Cut => None,
        BodyError::Slow => Some(WireError::REQUEST_TIMEOUT_BODY),
        BodyError::TooLarge => Some(WireError::BODY_TOO_LARGE),
        BodyError::Malformed(error) => Some(error),
    }
}

/// Waits for the answer before this one (responses leave in the order of requests, RFC 9112 9.3.2),
/// then queues the request.
async fn queue(
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    body: Body,
    began_ms: Option<u64>,
) -> Result<(), End> {
    if connection.state() != State::Ready && !connection.wait_answered().await {
        return Err(End::Closing);
    }
    connection.begin();
    let keep_alive = request.head.keep_alive;
    push(connection, request, body, keep_alive, began_ms);
    Ok(())
}

/// How long a trusted front server says that it has had the request. Another machine's clock is compared here, which
/// only the wall clock can do; what looks like the future or like more than an hour is a clock that is wrong.
fn waited_ahead_ns(inbound: &Inbound) -> u64 {
    const CREDIBLE_NS: u64 = 3_600_000_000_000;
    let start_ns = request_start_ns(&inbound.head, inbound.bytes());
    let waited_ns = start_ns.map_or(0, |start_ns| clock::wall_ns().saturating_sub(start_ns));
    if waited_ns <= CREDIBLE_NS { waited_ns } else { 0 }
}

/// Hands a request to the crew. `began_ms` (coarse) is when it began, where that is not just now.
fn push(connection: &Arc<Connection>, inbound: Box<Inbound>, body: Body, keep_alive: bool, began_ms: Option<u64>) {
    let arrived_ns = clock::monotonic_ns();
    let mut since_ns = began_ms.map_or(arrived_ns, |began_ms| (began_ms * 1_000_000).min(arrived_ns));
    if inbound.head.has_forwarded && connection.is_trusted() {
        since_ns = since_ns.min(arrived_ns.saturating_sub(waited_ahead_ns(&inbound)));
    }
    let request = Request { connection: connection.clone(), inbound, body, keep_alive, arrived_ns, since_ns };
    if let Err(request) = connection.engine.crew.push(request) {
        refusal::shed(*request, Overload::TooMany);
    }
}
