//! Requests that are read before the response to the one before has ended (RFC 9112 9.3.2): whoever ends that queues the
//! next one, on the same thread. The connection's task is woken only when no whole request is left, and so a pipeline
//! costs neither a wake-up nor a look at the reactor for each request.

use super::enqueue::{self, Unqueued};
use crate::connection::Connection;
use crate::connection::exchange::Upcoming;
use crate::message::body::Body;
use crate::message::inbound::Inbound;
use crate::message::request_reader::{Rejection, RequestReader, Step};
use crate::server::Server;
use std::ops::Range;
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;

/// What was read.
pub struct Found {
    /// The bytes, and the head if there is one.
    pub inbound: Box<Inbound>,
    /// What they are.
    pub step: Step,
    /// When it began (coarse milliseconds), unless it came in one piece.
    pub began_ms: Option<u64>,
}

/// What the connection's task gets back: it reads on.
pub struct Returned {
    /// Where the reading stands.
    pub reader: RequestReader,
    /// What has been read and is not done with.
    pub inbound: Option<Box<Inbound>>,
    /// What that begins with, if it has been looked at.
    pub first: Option<Box<Result<Step, Rejection>>>,
}

/// Lends the reading of `connection`, which has `found` a whole request before its turn has come. The task gets it back
/// when no whole request is left; never, if no further request is responded to.
pub fn lend(
    server: &Arc<Server>,
    connection: &Arc<Connection>,
    reader: RequestReader,
    found: Found,
) -> oneshot::Receiver<Returned> {
    let (back, returned) = oneshot::channel();
    let lent = Lent { server: server.clone(), connection: Arc::downgrade(connection), reader, found, back };
    connection.exchange.await_turn(Box::new(lent));
    returned
}

/// The reading of a connection, lent to whoever ends a response on it.
struct Lent {
    server: Arc<Server>,
    /// Weak, since it is the connection that has this.
    connection: Weak<Connection>,
    reader: RequestReader,
    /// A request that is all there.
    found: Found,
    back: oneshot::Sender<Returned>,
}

impl Upcoming for Lent {
    fn go_on(self: Box<Self>) {
        let Lent { server, connection, mut reader, found, back } = *self;
        let Found { inbound, step, began_ms } = found;
        let Some(connection) = connection.upgrade() else { return };
        let Step::Request { body: Some(body), .. } = step.clone() else { return };
        let keep_alive = inbound.head.keep_alive;
        let rest = enqueue::rest_of(&connection, &inbound, body.end);
        connection.submit(rest.is_some());
        match enqueue::try_push(&server, &connection, inbound, whole(body), keep_alive, began_ms) {
            Ok(()) if reader.next(keep_alive) => read_on(server, &connection, reader, rest, back),
            // The last one: `back` is dropped.
            Ok(()) => {}
            Err(Unqueued::NoRoom(request) | Unqueued::NotForTheCrew(request, _)) => {
                // The task tries again, or responds in its place.
                connection.exchange.turn.end(true);
                give_back(back, reader, Some(request.inbound), Some(Ok(step)));
            }
        }
    }
}

/// Reads what follows a request that was queued. A whole request awaits its turn, anything else is the task's.
fn read_on(
    server: Arc<Server>,
    connection: &Arc<Connection>,
    mut reader: RequestReader,
    rest: Option<Box<Inbound>>,
    back: oneshot::Sender<Returned>,
) {
    let Some(mut inbound) = rest else { return give_back(back, reader, None, None) };
    let read = read(&mut reader, connection, &mut inbound, true);
    let is_whole = matches!(read, Ok(Step::Request { body: Some(_), .. })) && server.is_for_crew(&inbound);
    match read {
        Ok(step) if is_whole => {
            let found = Found { inbound, step, began_ms: None };
            let lent = Lent { server, connection: Arc::downgrade(connection), reader, found, back };
            connection.exchange.await_turn(Box::new(lent));
        }
        read => give_back(back, reader, Some(inbound), Some(read)),
    }
}

/// Wakes the task, which reads on. Where the server has ended, nobody takes it.
fn give_back(
    back: oneshot::Sender<Returned>,
    reader: RequestReader,
    inbound: Option<Box<Inbound>>,
    first: Option<Result<Step, Rejection>>,
) {
    let _ = back.send(Returned { reader, inbound, first: first.map(Box::new) });
}

/// A body that is all in the read buffer.
pub fn whole(body: Range<usize>) -> Body {
    if body.is_empty() { Body::Empty } else { Body::Buffered(body) }
}

/// Reads what is at the start of `inbound`; `came_early` says that it was read before the response to the last request.
pub fn read(
    reader: &mut RequestReader,
    connection: &Connection,
    inbound: &mut Inbound,
    came_early: bool,
) -> Result<Step, Rejection> {
    let provenance = connection.provenance(came_early);
    let read = reader.read(inbound, provenance, &connection.resources.settings);
    if let Ok(Step::Request { head_bytes, .. }) = read {
        connection.trace(|| format!("head: {head_bytes} bytes"));
    }
    read
}
