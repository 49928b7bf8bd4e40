//! From a request's head to the crew: its body is received, the response before it is waited for, then it is queued.
//!
//! The part of a connection's task that is the same for all protocols; `http1` and `fastcgi` read the heads.

use super::end::End;
use super::pass_on_complete::pass_on_complete;
use crate::clock;
use crate::connection::Connection;
use crate::deadline::Wait;
use crate::exchange::body_reader::BodyReader;
use crate::exchange::error_response::{Overload, give_up, reply_instead, shed};
use crate::exchange::file_serving::{Files, Place};
use crate::exchange::request::Request;
use crate::files::error_pages::Whose;
use crate::files::opening::Effort;
use crate::log::RateLimited;
use crate::message::body::{Body, Rest, Stream};
use crate::message::inbound::Inbound;
use crate::message::spool::{Kept, Spool};
use crate::resources::Resources;
use crate::routing::{Aim, Reply};
use crate::server::Server;
use portico_wire::{CONTINUE, Framing, WireError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use tokio::sync::mpsc;

/// Blocks of a streamed body that may wait for the application to read them.
const STREAM_WINDOW: usize = 4;

/// Before an unfinished head is given more memory: where there is none left, somebody else's request has to go.
pub async fn make_room(resources: &Resources) {
    static RATE: RateLimited = RateLimited::new();
    if resources.budgets.memory.is_overdrawn() {
        // One: each that finds the memory used up adds at most one buffer to it.
        resources.wheel.evict(&[Wait::Head, Wait::Body], usize::MAX);
        RATE.warn(|| "max_buffered is reached; closed a connection with an unfinished request".into());
        // Theirs goes back before this one reads on.
        tokio::task::yield_now().await;
    }
}

/// What was read after the first `used` bytes, in a buffer of its own.
pub fn rest_of(connection: &Connection, request: &Inbound, used: usize) -> Option<Box<Inbound>> {
    let rest = request.bytes().get(used..).unwrap_or_default();
    (!rest.is_empty()).then(|| {
        let mut next = connection.resources.buffers.take();
        next.push(rest);
        next
    })
}

/// Reads a body that is not complete in the buffer: spooled up to the limit, streamed beyond it; gives `reader` back,
/// whose feed has what followed. A body that has announced to be larger is no exception, else a client that only
/// announces would hold a crew thread.
pub async fn receive(
    server: &Server,
    connection: &Arc<Connection>,
    mut request: Box<Inbound>,
    mut reader: BodyReader,
) -> Result<BodyReader, End> {
    let resources = &server.resources;
    let settings = &resources.settings;
    let threads = &resources.file_threads;
    let declared = match request.head.framing {
        Framing::Length(length) => Some(length),
        Framing::Empty | Framing::Chunked => None,
    };
    let mut spool = Spool::new(&resources.budgets, settings.body_memory_bytes);
    if request.head.expect_continue && reader.is_untouched() {
        // In its turn: a response before this one may still be on its way.
        if !connection.exchange.turn.wait_idle().await {
            return Err(End::Closing);
        }
        let is_unread = !may_be_read(server, &mut request);
        if is_unread || !resources.admission.has_room() {
            // RFC 9110 10.1.1: its response, and no 100. Nobody can tell whether the body still comes, so it is the last.
            connection.submit(false);
            let request = self::request(connection, request, Body::Empty, false, Some(reader.began_ms));
            if is_unread {
                respond_if_unqueued(hand_on(server, request, Effort::Cached));
            } else {
                shed(request, Overload::TooMany);
            }
            return Err(End::Closing);
        }
        connection.send_all(CONTINUE).await?;
    }
    let mut is_streamed = false;
    loop {
        let block = match reader.next(connection).await {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(error) => return Err(End::of_body(connection, request, error, reader.began_ms)),
        };
        if let Err(error) = spool.push(&block, reader.has_more(), threads).await {
            return Err(no_space(&error, request, &reader));
        }
        is_streamed = spool.len() > settings.bytes_before_call();
        if is_streamed {
            break;
        }
    }
    let kept = match spool.into_kept(threads).await {
        Ok(kept) => kept,
        Err(error) => return Err(no_space(&error, request, &reader)),
    };
    if is_streamed {
        return stream(server, connection, request, reader, kept, declared).await;
    }
    // An empty one that has no length looks the same whenever its end came.
    let body = if kept.is_empty() { Body::Empty } else { Body::Kept(Box::new(kept)) };
    queue(server, connection, request, body, reader.has_leftover(), None).await?;
    Ok(reader)
}

/// Whether somebody may read the body of a request: not where its row has the response, or files alone. A file that stands
/// before an application may be gone when the body has come.
fn may_be_read(server: &Server, request: &mut Inbound) -> bool {
    if server.files.as_ref().is_some_and(|files| files.place_of(request).is_some()) {
        return true;
    }
    match aim(server, request, 0) {
        Aim::Application { entered, .. } => {
            request.leave(entered);
            true
        }
        Aim::Files { next, .. } => next.is_some(),
        Aim::Upstream(_) => true,
        Aim::Reply(_) => false,
    }
}

/// The end of a request whose body there is no place for.
fn no_space(error: &io::Error, request: Box<Inbound>, reader: &BodyReader) -> End {
    static RATE: RateLimited = RateLimited::new();
    RATE.warn(|| format!("cannot keep a request body in a temporary file: {error}; rejected with 507"));
    End::of_request(WireError::TEMPORARY_SPACE, request, reader.began_ms)
}

/// Queues the request and feeds it its body as the application reads. The connection is kept only if
/// all of the body has come when the response's head is made.
async fn stream(
    server: &Server,
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    mut reader: BodyReader,
    before_call: Kept,
    length: Option<u64>,
) -> Result<BodyReader, End> {
    let (sender, receiver) = mpsc::channel(STREAM_WINDOW);
    let complete = Arc::new(AtomicBool::new(false));
    let rest = Rest::new(receiver, length, complete.clone());
    let body = Body::Streamed(Box::new(Stream { before_call, rest }));
    queue(server, connection, request, body, false, None).await?;
    loop {
        let block = match reader.next(connection).await {
            Ok(Some(block)) => Ok(block),
            Ok(None) => {
                complete.store(true, Release);
                return Ok(reader);
            }
            Err(error) => Err(error),
        };
        let failed = block.is_err();
        if reader.is_complete() {
            complete.store(true, Release);
        }
        // The receiver is gone when the application has finished without reading on.
        let is_unwanted = sender.send(block).await.is_err();
        if is_unwanted && reader.is_complete() {
            // All of it had come before the response: the connection may have been promised to the next request.
            return Ok(reader);
        }
        if is_unwanted || failed {
            return Err(End::Closing);
        }
    }
}

/// Waits for the response before this one (responses leave in the order of requests, RFC 9112 9.3.2),
/// then queues the request. `has_more`: the client has sent more after it by now.
pub async fn queue(
    server: &Server,
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    body: Body,
    has_more: bool,
    began_ms: Option<u64>,
) -> Result<(), End> {
    if !connection.exchange.turn.wait_idle().await {
        return Err(End::Closing);
    }
    connection.submit(has_more);
    let keep_alive = request.head.keep_alive;
    push(server, connection, request, body, keep_alive, began_ms);
    Ok(())
}

/// Hands a request to the crew, or to who responds without it, or responds in its place. `began_ms` (coarse) is when it
/// began, where that is not just now.
pub fn push(
    server: &Server,
    connection: &Arc<Connection>,
    inbound: Box<Inbound>,
    body: Body,
    keep_alive: bool,
    began_ms: Option<u64>,
) {
    let request = request(connection, inbound, body, keep_alive, began_ms);
    respond_if_unqueued(hand_on(server, request, Effort::Cached));
}

fn respond_if_unqueued(pushed: Result<(), Unqueued>) {
    match pushed {
        Ok(()) => {}
        Err(Unqueued::NotForTheCrew(request, reply)) => reply_instead(request, &reply),
        Err(Unqueued::NoRoom(request)) => shed(request, Overload::TooMany),
    }
}

/// A request that the crew has not taken, as it was before.
pub enum Unqueued {
    /// As many as may be are in flight.
    NoRoom(Request),
    /// No application is asked for a response.
    NotForTheCrew(Request, Reply),
}

/// As `push`, where a response has just ended, so that nothing here may take long; and responds to nothing.
///
/// # Errors
/// The request, and why it is not for the crew.
pub fn try_push(
    server: &Server,
    connection: &Arc<Connection>,
    inbound: Box<Inbound>,
    body: Body,
    keep_alive: bool,
    began_ms: Option<u64>,
) -> Result<(), Unqueued> {
    hand_on(server, request(connection, inbound, body, keep_alive, began_ms), Effort::Waiting)
}

#[inline]
fn request(
    connection: &Arc<Connection>,
    mut inbound: Box<Inbound>,
    body: Body,
    keep_alive: bool,
    began_ms: Option<u64>,
) -> Request {
    if connection.resources.spans.is_some() {
        connection.begin_span(&mut inbound);
    }
    let arrived_ns = clock::monotonic_ns();
    let mut since_ns = began_ms.map_or(arrived_ns, |began_ms| (began_ms * 1_000_000).min(arrived_ns));
    if matches!(body, Body::Empty | Body::Buffered(_)) {
        // Time in which a body was sent is the client's own.
        let waited_ahead_ns = inbound.waited_ahead_ns(connection.origin.is_trusted());
        since_ns = since_ns.min(arrived_ns.saturating_sub(waited_ahead_ns));
    }
    connection.trace(|| format!("queued: {}", inbound.request_line().escape_ascii()));
    let connection = connection.clone();
    let (application, mounted, whose, room) = (0, 0, Whose::Server, None);
    Request { connection, inbound, body, application, mounted, whose, keep_alive, arrived_ns, since_ns, room }
}

/// Hands a request to who responds to it: the crew, or the files. `effort` is what the latter may take before this
/// returns.
#[inline]
fn hand_on(server: &Server, request: Request, effort: Effort) -> Result<(), Unqueued> {
    if let Some(files) = &server.files
        && let Some(place) = files.place_of(&request.inbound)
    {
        return look_for_file(server, files, request, place, effort, Some(0));
    }
    route(server, request, effort, 0)
}

/// Hands a request for `place` to the files; what is not there is left to the rows from the one with the number `next`
/// on, if to any.
fn look_for_file(
    server: &Server,
    files: &Files,
    mut request: Request,
    place: Place,
    effort: Effort,
    next: Option<usize>,
) -> Result<(), Unqueued> {
    if !take_room(server, &mut request) {
        return Err(Unqueued::NoRoom(request));
    }
    let there = server.this.clone();
    files.serve(request, place, effort, move |request| match (there.upgrade(), next) {
        // On a thread that drives I/O this is what the effort was, and one that waits for disks has its time.
        (Some(server), Some(next)) => respond_if_unqueued(route(&server, request, Effort::Cached, next)),
        (Some(_), None) => reply_instead(request, &Reply::Status(404)),
        (None, _) => give_up(request),
    });
    Ok(())
}

/// Hands a request to who responds to it by the rows from the one with the number `first` on: queues it for its
/// application, looks for a file, or has an upstream respond.
#[inline]
fn route(server: &Server, mut request: Request, effort: Effort, first: usize) -> Result<(), Unqueued> {
    let mut row_of_upstream = None;
    let entered = match aim(server, &mut request.inbound, first) {
        Aim::Application { index, entered } => {
            request.application = index;
            request.whose = Whose::Application(index);
            if server.routing.is_some() {
                request.mounted = entered;
            }
            entered
        }
        Aim::Files { folder, mount_bytes, next } => {
            let Some(files) = &server.files else {
                return Err(Unqueued::NotForTheCrew(request, Reply::Status(404)));
            };
            let place = files.place_in(folder, mount_bytes, &request.inbound);
            request.whose = Whose::Folder(folder);
            return look_for_file(server, files, request, place, effort, next);
        }
        Aim::Upstream(row) => {
            request.whose = Whose::Upstream(row.number);
            row_of_upstream = Some(row);
            0
        }
        Aim::Reply(reply) => return Err(Unqueued::NotForTheCrew(request, reply)),
    };
    if !take_room(server, &mut request) {
        request.inbound.leave(entered);
        return Err(Unqueued::NoRoom(request));
    }
    match row_of_upstream {
        Some(row) => pass_on_complete(request, row),
        None => server.crew.push(request),
    }
    Ok(())
}

/// Gives a request its room among those in flight, if it has none yet; false if there is none.
fn take_room(server: &Server, request: &mut Request) -> bool {
    if request.room.is_none() {
        request.room = server.resources.admission.begin_request();
    }
    request.room.is_some()
}

/// What is to be done with a request: by the routes, or there is one application, perhaps mounted somewhere.
fn aim(server: &Server, inbound: &mut Inbound, first: usize) -> Aim {
    if let Some(routing) = &server.routing {
        return routing.aim(inbound, first);
    }
    let mount = &server.resources.settings.script_name;
    if mount.is_empty() || inbound.is_mounted() {
        return Aim::Application { index: 0, entered: 0 };
    }
    inbound.enter(mount).map_or(Aim::Reply(Reply::Status(404)), |entered| Aim::Application { index: 0, entered })
}
