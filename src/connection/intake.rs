//! From a request's head to the crew: its body is gathered, the answer before it is waited for, then it is queued.
//!
//! The part of a connection's task that is the same for all protocols; `life` and `fastcgi` read the heads.

use super::arriving::Arriving;
use super::refusal::{self, Overload, Refusal};
use super::spool::Spool;
use super::{Body, BodyError, Connection, Inbound, Request, State, linger};
use crate::clock;
use crate::connection::body::{Arrival, Stream};
use crate::deadlines::Wait;
use crate::engine::Engine;
use crate::error_log::Seldom;
use portico_wire::{CONTINUE, Framing, WireError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use tokio::sync::mpsc;

/// Blocks of a streamed body that may wait for the application to read them.
const STREAM_WINDOW: usize = 4;

/// Why a connection's task ends.
pub enum End {
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

impl End {
    /// A request whose head was understood breaks a rule.
    pub fn refused(error: WireError, request: Box<Inbound>, began_ms: Option<u64>) -> End {
        End::Refused(Refusal::of_request(error, request, began_ms.unwrap_or_else(clock::coarse_ms)))
    }
}

/// Does what is left to do with a connection whose task ends.
pub async fn see_out(connection: Arc<Connection>, end: End) {
    match end {
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

/// Before an unfinished head is given more memory: where there is none left, somebody else's request has to go.
pub async fn make_room(engine: &'static Engine) {
    static TOLD: Seldom = Seldom::new();
    if engine.memory.is_overdrawn() {
        // One: each that finds the memory used up adds at most one buffer to it.
        engine.deadlines.evict(&[Wait::Head, Wait::Body], usize::MAX);
        TOLD.warn(|| "max_buffered is reached; closed a connection with an unfinished request".into());
        // Theirs goes back before this one reads on.
        tokio::task::yield_now().await;
    }
}

/// What was read after the first `used` bytes, in a buffer of its own.
pub fn rest_of(connection: &Connection, request: &Inbound, used: usize) -> Option<Box<Inbound>> {
    let rest = request.bytes().get(used..).unwrap_or_default();
    (!rest.is_empty()).then(|| {
        let mut next = connection.engine.take_buffer();
        next.push(rest);
        next
    })
}

/// Gets the body and queues the request; returns what the peer has already sent after it.
pub async fn read_body(
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
            return Err(End::refused(WireError::BODY_TOO_LARGE, request, began_ms));
        }
        Framing::Length(length) if length <= rest.len() as u64 => usize::try_from(length).unwrap_or(0),
        Framing::Length(_) | Framing::Chunked => {
            let mut feed = connection.engine.take_buffer();
            feed.push(rest);
            request.truncate(head_bytes);
            // Boxed, as all that is rare: what a task could do has its place in every idle connection's memory.
            let arriving = Arriving::new(connection, request.head.framing, feed, began_ms);
            return Ok(Box::pin(receive(connection, request, arriving)).await?.leftover(connection));
        }
    };
    let next = rest_of(connection, &request, head_bytes + body_bytes);
    let body = if body_bytes == 0 { Body::Empty } else { Body::Buffered(head_bytes..head_bytes + body_bytes) };
    queue(connection, request, body, began_ms).await?;
    Ok(next)
}

/// Reads a body that is not complete in the buffer: spooled up to the limit, streamed beyond it; gives `arriving` back,
/// whose feed has what followed. A body that has announced to be larger is no exception, else a client that only
/// announces would hold a crew thread.
pub async fn receive(
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    mut arriving: Arriving,
) -> Result<Arriving, End> {
    static TOLD: Seldom = Seldom::new();
    let engine = connection.engine;
    let declared = match request.head.framing {
        Framing::Length(length) => Some(length),
        Framing::Empty | Framing::Chunked => None,
    };
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
            Err(error) => return Err(failed(connection, request, error, arriving.began_ms)),
        };
        if let Err(error) = spool.push(&block) {
            TOLD.warn(|| format!("cannot keep a request body in a temporary file: {error}; answered with 507"));
            return Err(End::refused(WireError::TEMPORARY_SPACE, request, Some(arriving.began_ms)));
        }
        if spool.len() > engine.bounds.body_spool_bytes {
            return stream(connection, request, arriving, spool, declared).await;
        }
    }
    // An empty one that has no length looks the same whenever its end came.
    let body = if spool.len() == 0 { Body::Empty } else { Body::Spooled(Box::new(spool)) };
    queue(connection, request, body, None).await?;
    Ok(arriving)
}

/// Queues the request and feeds it its body as the application reads. The connection is kept only if
/// all of the body has arrived when the answer's head is made.
async fn stream(
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    mut arriving: Arriving,
    spooled: Spool,
    length: Option<u64>,
) -> Result<Arriving, End> {
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
                return Ok(arriving);
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
            return Ok(arriving);
        }
        if is_unwanted || failed {
            return Err(End::Closing);
        }
    }
}

/// How a connection ends whose request will never be complete.
pub fn failed(connection: &Connection, request: Box<Inbound>, error: BodyError, began_ms: u64) -> End {
    let Some(error) = rule_of(error) else {
        refusal::log_abandoned(connection, &request, began_ms);
        return End::Gone;
    };
    End::refused(error, request, Some(began_ms))
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
pub async fn queue(
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

/// Hands a request to the crew. `began_ms` (coarse) is when it began, where that is not just now.
pub fn push(connection: &Arc<Connection>, inbound: Box<Inbound>, body: Body, keep_alive: bool, began_ms: Option<u64>) {
    let arrived_ns = clock::monotonic_ns();
    let mut since_ns = began_ms.map_or(arrived_ns, |began_ms| (began_ms * 1_000_000).min(arrived_ns));
    if matches!(body, Body::Empty | Body::Buffered(_)) {
        // Time in which a body was sent is the client's own.
        since_ns = since_ns.min(arrived_ns.saturating_sub(inbound.waited_ahead_ns(connection)));
    }
    let request = Request { connection: connection.clone(), inbound, body, keep_alive, arrived_ns, since_ns };
    if let Err(request) = connection.engine.crew.push(request) {
        refusal::shed(*request, Overload::TooMany);
    }
}
