//! The life of an HTTP/1 connection: read a head, get its body, queue the request, go on reading.
//!
//! Runs as one small task on whichever thread drives the runtime. It never calls Python and does not
//! write answers, except the ones that no application is asked for (errors in the request, 100 Continue).

use super::responder::write_error;
use super::{Body, BodyError, Connection, Inbound, Request, State};
use crate::clock;
use crate::connection::body::{Spool, Stream};
use crate::error_log::{Level, log};
use portico_wire::{BodyDecoder, BodyStep, CONTINUE, Framing, WireError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use tokio::sync::{Notify, mpsc};

/// How long a client may take to send a head, or to send the next bytes of a body.
const READ_STALL_MS: u64 = 30_000;
/// Blocks of a streamed body that may wait for the application to read them.
const STREAM_WINDOW: usize = 4;

/// Why a connection's task ends.
enum End {
    /// The peer closed, or the socket failed: nothing more to say.
    Gone,
    /// The peer broke the protocol: an answer with this status, then close.
    Refused(WireError),
    /// An answer has gone out, or will, that closes the connection.
    Closing,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        End::Gone
    }
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        End::Refused(error)
    }
}

/// Takes a fresh connection over: reads once without registering, and if that gives a whole last
/// request (as `Connection: close` clients send it) queues it without ever making a task.
pub fn begin(connection: Connection) {
    let engine = connection.engine;
    let mut inbound = engine.take_buffer();
    let first_read = connection.receive(&mut inbound);
    let connection = Arc::new(connection);
    if matches!(first_read, Ok(received) if received > 0)
        && let Ok(Some(head_bytes)) = inbound.read_head(&engine.bounds.wire)
        && !inbound.head.keep_alive
        && inbound.head.framing == Framing::Empty
    {
        inbound.truncate(head_bytes);
        connection.begin();
        push(&connection, inbound, Body::Empty, false);
        return;
    }
    match first_read {
        Ok(0) => return,
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
        _ => {}
    }
    connection.watch();
    let inbound = if inbound.is_empty() {
        engine.return_buffer(inbound);
        None
    } else {
        Some(inbound)
    };
    tokio::spawn(run(connection, inbound));
}

async fn run(connection: Arc<Connection>, inbound: Option<Box<Inbound>>) {
    connection.set_deadline(READ_STALL_MS);
    let end = serve(&connection, inbound).await;
    match end {
        End::Gone => {}
        End::Refused(error) => {
            log(Level::Debug, &format!("refused with {}: {} (from {:?})", error.status, error.reason, connection.peer));
            if connection.state() == State::Ready || connection.wait_answered().await {
                write_error(&connection, error.status).await;
                connection.begin_linger();
                discard(&connection).await;
            }
        }
        End::Closing => {
            connection.wait_answered().await;
            // Also where the answer has begun it: it only did if the connection was registered by then.
            connection.begin_linger();
            discard(&connection).await;
        }
    }
}

/// Reads and throws away until the peer closes or the sweep cuts the connection.
async fn discard(connection: &Connection) {
    let mut inbound = None;
    while let Ok(received) = connection.fill(&mut inbound).await
        && received > 0
    {
        if let Some(buffer) = inbound.take() {
            connection.engine.return_buffer(buffer);
        }
    }
}

async fn serve(connection: &Arc<Connection>, mut inbound: Option<Box<Inbound>>) -> End {
    loop {
        let (request, head_bytes) = match read_head(connection, inbound.take()).await {
            Ok(complete) => complete,
            Err(end) => return end,
        };
        let keep_alive = request.head.keep_alive;
        match read_body(connection, request, head_bytes).await {
            Ok(rest) => inbound = rest,
            Err(end) => return end,
        }
        if !keep_alive {
            return End::Closing;
        }
    }
}

/// Reads until there is a whole head; returns the buffer and the head's length.
async fn read_head(
    connection: &Arc<Connection>,
    mut inbound: Option<Box<Inbound>>,
) -> Result<(Box<Inbound>, usize), End> {
    let limits = &connection.engine.bounds.wire;
    loop {
        if let Some(mut buffer) = inbound.take() {
            if let Some(head_bytes) = buffer.read_head(limits)? {
                return Ok((buffer, head_bytes));
            }
            if connection.state() == State::Ready {
                connection.set_deadline(READ_STALL_MS);
            }
            inbound = Some(buffer);
        }
        if connection.fill(&mut inbound).await? == 0 {
            return Err(End::Gone);
        }
        if connection.state() == State::Closing {
            return Err(End::Closing);
        }
    }
}

/// Gets the body and queues the request; returns what the peer has already sent after it.
async fn read_body(
    connection: &Arc<Connection>,
    mut request: Box<Inbound>,
    head_bytes: usize,
) -> Result<Option<Box<Inbound>>, End> {
    let bounds = &connection.engine.bounds;
    let rest = request.bytes().get(head_bytes..).unwrap_or_default();
    let body_bytes = match request.head.framing {
        Framing::Empty => 0,
        Framing::Length(length) if length > bounds.request_body_bytes => return Err(too_large()),
        Framing::Length(length) if length <= rest.len() as u64 => usize::try_from(length).unwrap_or(0),
        Framing::Length(_) | Framing::Chunked => {
            let mut feed = connection.engine.take_buffer();
            feed.push(rest);
            request.truncate(head_bytes);
            return read_long_body(connection, request, feed).await;
        }
    };
    let rest = rest.get(body_bytes..).unwrap_or_default();
    let next = (!rest.is_empty()).then(|| {
        let mut next = connection.engine.take_buffer();
        next.push(rest);
        next
    });
    let body = if body_bytes == 0 { Body::Empty } else { Body::Buffered(head_bytes..head_bytes + body_bytes) };
    queue(connection, request, body).await?;
    Ok(next)
}

/// Reads a body that is not complete in the buffer: spooled up to the limit, streamed beyond it.
async fn read_long_body(
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    feed: Box<Inbound>,
) -> Result<Option<Box<Inbound>>, End> {
    let bounds = &connection.engine.bounds;
    let declared = match request.head.framing {
        Framing::Length(length) => Some(length),
        Framing::Empty | Framing::Chunked => None,
    };
    let mut arriving = Arriving { decoder: BodyDecoder::new(request.head.framing), feed: Some(feed), received: 0 };
    let mut spool = Spool::default();
    let expects = request.head.expect_continue && arriving.is_untouched();
    if declared.is_some_and(|length| length > bounds.body_spool_bytes) {
        let wanted = expects.then(|| Arc::new(Notify::new()));
        return stream(connection, request, arriving, spool, declared, wanted).await;
    }
    if expects {
        connection.send_all(CONTINUE).await?;
    }
    while let Some(block) = arriving.next(connection).await.map_err(refusal)? {
        if let Err(error) = spool.push(&block, bounds.body_memory_bytes) {
            log(Level::Error, &format!("cannot keep a request body in a temporary file: {error}"));
            return Err(End::Refused(WireError { status: 507, reason: "no space for the request body" }));
        }
        if spool.len() > bounds.body_spool_bytes {
            return stream(connection, request, arriving, spool, declared, None).await;
        }
    }
    queue(connection, request, Body::Spooled(spool)).await?;
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
    wanted: Option<Arc<Notify>>,
) -> Result<Option<Box<Inbound>>, End> {
    let (sender, receiver) = mpsc::channel(STREAM_WINDOW);
    let complete = Arc::new(AtomicBool::new(false));
    let body = Body::Streamed(Stream { spooled, receiver, length, complete: complete.clone(), wanted: wanted.clone() });
    queue(connection, request, body).await?;
    if let Some(wanted) = wanted {
        tokio::select! {
            () = wanted.notified() => connection.send_all(CONTINUE).await?,
            () = sender.closed() => return Err(End::Closing),
        }
    }
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
        if arriving.decoder.is_done() {
            complete.store(true, Release);
        }
        // The receiver is gone when the application has finished without reading on.
        if sender.send(block).await.is_err() || failed {
            return Err(End::Closing);
        }
    }
}

/// A body on its way in.
struct Arriving {
    decoder: BodyDecoder,
    feed: Option<Box<Inbound>>,
    received: u64,
}

impl Arriving {
    fn is_untouched(&self) -> bool {
        self.feed.as_ref().is_none_or(|feed| feed.is_empty())
    }

    /// The next bytes of the body; `None` after its end.
    async fn next(&mut self, connection: &Arc<Connection>) -> Result<Option<Vec<u8>>, BodyError> {
        let bounds = &connection.engine.bounds;
        loop {
            if let Some(feed) = &mut self.feed
                && !self.decoder.is_done()
            {
                let malformed = |error: WireError| BodyError::Malformed(error.reason);
                match self.decoder.decode(feed.bytes(), &bounds.wire).map_err(malformed)? {
                    BodyStep::Data { consumed, data } => {
                        let block = feed.bytes().get(data).unwrap_or_default().to_vec();
                        feed.consume(consumed);
                        self.received += block.len() as u64;
                        if self.received > bounds.request_body_bytes {
                            return Err(BodyError::TooLarge);
                        }
                        return Ok(Some(block));
                    }
                    BodyStep::End { consumed } => {
                        feed.consume(consumed);
                        return Ok(None);
                    }
                    BodyStep::NeedMore { consumed } => feed.consume(consumed),
                }
            }
            if self.decoder.is_done() {
                return Ok(None);
            }
            connection.set_deadline(READ_STALL_MS);
            let filled = connection.fill(&mut self.feed).await;
            connection.set_deadline(0);
            if !matches!(filled, Ok(received) if received > 0) {
                return Err(BodyError::Cut);
            }
        }
    }

    /// What came after the body's end.
    fn leftover(self, connection: &Connection) -> Option<Box<Inbound>> {
        let feed = self.feed?;
        if feed.is_empty() {
            connection.engine.return_buffer(feed);
            return None;
        }
        Some(feed)
    }
}

fn too_large() -> End {
    End::Refused(WireError { status: 413, reason: "the request body is larger than max_request_body" })
}

fn refusal(error: BodyError) -> End {
    match error {
        BodyError::Cut => End::Gone,
        BodyError::TooLarge => too_large(),
        BodyError::Malformed(reason) => End::Refused(WireError { status: 400, reason }),
    }
}

/// Waits for the answer before this one (responses leave in the order of requests, RFC 9112 9.3.2),
/// then queues the request.
async fn queue(connection: &Arc<Connection>, request: Box<Inbound>, body: Body) -> Result<(), End> {
    if connection.state() != State::Ready && !connection.wait_answered().await {
        return Err(End::Closing);
    }
    connection.begin();
    let keep_alive = request.head.keep_alive;
    push(connection, request, body, keep_alive);
    Ok(())
}

fn push(connection: &Arc<Connection>, inbound: Box<Inbound>, body: Body, keep_alive: bool) {
    let arrived_ns = clock::monotonic_ns();
    connection.engine.crew.push(Request { connection: connection.clone(), inbound, body, keep_alive, arrived_ns });
}
