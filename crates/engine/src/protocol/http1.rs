//! The life of a connection over HTTP/1, uwsgi or SCGI: read a request, hand it to `enqueue`, go on reading.
//!
//! Runs as one small task. It writes no responses, except the ones that no application is asked for (errors in the
//! request, health checks, pings).

use super::end::{End, finish, now_unless};
use super::pipelining::{Found, Returned, lend, read, whole};
use super::{enqueue, pass_on, proxy_header, upgrade};
use crate::clock;
use crate::connection::Connection;
use crate::deadline::Wait;
use crate::exchange::body_reader::BodyReader;
use crate::exchange::health;
use crate::listener::Listener;
use crate::message::body::Body;
use crate::message::inbound::Inbound;
use crate::message::incoming_body::IncomingBody;
use crate::message::request_reader::{Rejection, RequestReader, Step};
use crate::routing::UpstreamRow;
use crate::server::Server;
use crate::state::turn;
use portico_wire::{Framing, UWSGI_PONG, UwsgiModifiers, WireError};
use std::io;
use std::sync::Arc;

/// Takes a fresh connection over: reads once without registering, and if that gives a whole last
/// request and nothing else (as `Connection: close` clients send it) queues it without ever making a task.
pub fn begin(server: &Arc<Server>, connection: Connection) {
    let resources = connection.resources.clone();
    let mut inbound = resources.buffers.take();
    let first_read = connection.socket.receive(&mut inbound);
    let connection = Arc::new(connection);
    let Listener { protocol, options, .. } = *connection.origin.listener;
    let mut reader = RequestReader::new(protocol, options.persistent);
    let mut first = None;
    match first_read {
        Ok(0) => return resources.buffers.give_back(inbound),
        Ok(_) if options.proxy => {}
        Ok(_) => {
            let read = read(&mut reader, &connection, &mut inbound, true);
            if is_short_life(server, &inbound, &read) {
                connection.submit(false);
                return enqueue::push(server, &connection, inbound, Body::Empty, false, None);
            }
            first = Some(Box::new(read));
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(_) => return resources.buffers.give_back(inbound),
    }
    connection.begin_task();
    let inbound = if inbound.is_empty() {
        resources.buffers.give_back(inbound);
        connection.expect(Wait::FirstByte, resources.settings.handshake_timeout_s.ms());
        None
    } else {
        Some(inbound)
    };
    tokio::spawn(Life { server: server.clone(), connection, reader, inbound, first }.run());
}

/// Whether the first bytes are a whole last request that goes to the application, without a body, and nothing else. Who
/// sends more although this is the last request is waited for after the response, and that takes a task.
fn is_short_life(server: &Server, inbound: &Inbound, read: &Result<Step, Rejection>) -> bool {
    matches!(read, Ok(Step::Request { head_bytes, .. }) if *head_bytes == inbound.bytes().len())
        && !inbound.head.keep_alive
        && inbound.head.framing == Framing::Empty
        && server.is_for_crew(inbound)
}

/// What a connection's task has. A field and not a variable is what the task keeps while it waits, since that has its
/// place in every idle connection's memory; what is rare is boxed.
struct Life {
    server: Arc<Server>,
    connection: Arc<Connection>,
    reader: RequestReader,
    /// What has been read and is not done with.
    inbound: Option<Box<Inbound>>,
    /// What the connection's first bytes were, if they have been looked at.
    first: Option<Box<Result<Step, Rejection>>>,
}

impl Life {
    // Not an `async fn`: that would keep its arguments twice.
    #[expect(clippy::manual_async_fn, reason = "smaller: the life is in the task once")]
    fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            let end = match proxy_header::read(&self.connection, self.inbound.take()).await {
                Ok(inbound) => {
                    self.inbound = inbound;
                    self.serve().await
                }
                Err(end) => end,
            };
            finish(self.connection, end).await;
        }
    }

    async fn serve(&mut self) -> End {
        loop {
            let found = match self.read_request().await {
                Ok(found) => found,
                Err(end) => return end,
            };
            let (is_health_check, row) = match found.step {
                Step::Request { .. } => {
                    (self.is_health_check(&found), self.server.upstream_for(&found.inbound).cloned())
                }
                _ => (false, None),
            };
            let taken = match found.step {
                Step::Request { body: Some(_), .. }
                    if !is_health_check && row.is_none() && !self.server.offers_socket(&found.inbound) =>
                {
                    if self.connection.exchange.turn.state() == turn::State::Idle {
                        self.enqueue(found)
                    } else {
                        Box::pin(self.lend(found)).await
                    }
                }
                _ => Box::pin(self.take_rare(found, is_health_check, row)).await,
            };
            match taken {
                Ok(rest) => self.inbound = rest,
                Err(end) => return end,
            }
        }
    }

    fn is_health_check(&self, found: &Found) -> bool {
        health::is_health_check(&self.server.resources.settings, &found.inbound)
    }

    /// Leaves the reading to whoever ends the response that is due, as long as whole requests have been read; returns
    /// what the peer has sent after them.
    async fn lend(&mut self, found: Found) -> Result<Option<Box<Inbound>>, End> {
        let returned = lend(&self.server, &self.connection, self.reader.clone(), found);
        let Returned { reader, inbound, first } = returned.await.map_err(|_| End::Closing)?;
        (self.reader, self.first) = (reader, first);
        Ok(inbound)
    }

    /// Reads until there is a whole head.
    async fn read_request(&mut self) -> Result<Found, End> {
        let came_early = self.inbound.is_some();
        let mut began_ms = None;
        loop {
            if let Some(mut inbound) = self.inbound.take() {
                let read = match self.first.take() {
                    Some(read) => *read,
                    None => read(&mut self.reader, &self.connection, &mut inbound, came_early),
                };
                match read {
                    Ok(Step::NeedMore) => {}
                    Ok(step) => return Ok(Found { inbound, step, began_ms }),
                    Err(rejection) => return Err(rejected(rejection, inbound, began_ms)),
                }
                self.inbound = Some(inbound);
                if began_ms.is_none() {
                    // Set once, so that a byte now and then gains nothing.
                    began_ms = Some(clock::coarse_ms());
                    self.connection.expect(Wait::Head, self.server.resources.settings.head_ms());
                }
                enqueue::make_room(&self.server.resources).await;
            }
            if self.inbound.is_none() && self.server.resources.is_draining() {
                // While a response is due nothing more is read: that can be the last one then.
                self.end_turn().await?;
            }
            let filled = if self.inbound.is_none() {
                self.connection.fill(&mut self.inbound).await
            } else {
                self.connection.fill_in_time(&mut self.inbound).await
            };
            match filled {
                Ok(0) => return Err(End::Gone),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    let inbound = self.inbound.take();
                    return Err(End::of_head(WireError::REQUEST_TIMEOUT_HEAD, inbound, began_ms.unwrap_or(0)));
                }
                Err(_) => return Err(End::Gone),
            }
            if self.connection.exchange.turn.state() == turn::State::MustClose {
                return Err(End::Closing);
            }
        }
    }

    /// Waits for the end of the response that is due, if one is.
    async fn end_turn(&self) -> Result<(), End> {
        let turn = &self.connection.exchange.turn;
        if turn.state() == turn::State::Idle || Box::pin(turn.wait_idle()).await { Ok(()) } else { Err(End::Closing) }
    }

    /// Queues a request that is all there, whose turn it is; returns what the peer has already sent after it.
    fn enqueue(&mut self, found: Found) -> Result<Option<Box<Inbound>>, End> {
        let Found { inbound, step, began_ms } = found;
        let Step::Request { body: Some(body), .. } = step else { return Ok(Some(inbound)) };
        let keep_alive = inbound.head.keep_alive;
        let rest = enqueue::rest_of(&self.connection, &inbound, body.end);
        self.connection.submit(rest.is_some());
        enqueue::push(&self.server, &self.connection, inbound, whole(body), keep_alive, began_ms);
        if self.reader.next(keep_alive) { Ok(rest) } else { Err(End::Closing) }
    }

    /// Does what is to be done with all else that was read; returns what the peer has already sent after it.
    async fn take_rare(
        &mut self,
        found: Found,
        is_health_check: bool,
        row: Option<Arc<UpstreamRow>>,
    ) -> Result<Option<Box<Inbound>>, End> {
        if let Step::Request { head_bytes, body: Some(_) } = found.step
            && !is_health_check
            && row.is_none()
            && self.server.offers_socket(&found.inbound)
        {
            let rest = upgrade::offer(&self.server, &self.connection, found, head_bytes).await?;
            return if self.reader.next(true) { Ok(rest) } else { Err(End::Closing) };
        }
        let Found { inbound, step, began_ms } = found;
        match step {
            Step::Request { head_bytes, body } => {
                let keep_alive = inbound.head.keep_alive;
                let rest = if is_health_check {
                    self.respond_to_health_check(inbound, head_bytes).await?
                } else if let Some(row) = row {
                    self.pass_on(&row, inbound, head_bytes, body.is_some(), began_ms).await?
                } else {
                    self.receive(inbound, head_bytes, began_ms).await?
                };
                if self.reader.next(keep_alive) { Ok(rest) } else { Err(End::Closing) }
            }
            Step::Ping { length, may_go_on } => {
                let rest = self.respond_to_ping(inbound, length, may_go_on).await?;
                self.reader.next(true);
                Ok(rest)
            }
            Step::Foreign(modifiers) => {
                warn_about_foreign(&self.connection, modifiers);
                Err(End::of_head(WireError::UWSGI_MODIFIER, Some(inbound), clock::coarse_ms()))
            }
            // `read_request` reads on.
            Step::NeedMore => Ok(Some(inbound)),
        }
    }

    /// Receives a body that is not all there, and queues the request.
    async fn receive(
        &mut self,
        mut inbound: Box<Inbound>,
        head_bytes: usize,
        began_ms: Option<u64>,
    ) -> Result<Option<Box<Inbound>>, End> {
        let connection = &self.connection;
        let reader = body_reader(connection, &mut inbound, head_bytes, began_ms);
        match enqueue::receive(&self.server, connection, inbound, reader).await {
            Ok(reader) => {
                self.reader.end_body();
                Ok(reader.into_leftover(connection))
            }
            Err(end) => {
                self.reader.reject_body();
                Err(end)
            }
        }
    }

    /// Has an upstream respond to a request; `is_at_hand` says that its body is all there.
    async fn pass_on(
        &mut self,
        row: &UpstreamRow,
        mut inbound: Box<Inbound>,
        head_bytes: usize,
        is_at_hand: bool,
        began_ms: Option<u64>,
    ) -> Result<Option<Box<Inbound>>, End> {
        let connection = &self.connection;
        let reader = body_reader(connection, &mut inbound, head_bytes, began_ms);
        let passed_on = pass_on::pass_on(connection, row, inbound, reader).await;
        match (&passed_on, is_at_hand) {
            (_, true) => {}
            (Ok(_), false) => self.reader.end_body(),
            (Err(_), false) => self.reader.reject_body(),
        }
        Ok(passed_on?.into_leftover(connection))
    }

    /// Responds to a health check in its turn.
    async fn respond_to_health_check(
        &self,
        inbound: Box<Inbound>,
        head_bytes: usize,
    ) -> Result<Option<Box<Inbound>>, End> {
        let connection = &self.connection;
        if !connection.exchange.turn.wait_idle().await {
            return Err(End::Closing);
        }
        let rest = enqueue::rest_of(connection, &inbound, head_bytes);
        let is_kept = health::respond(connection, &inbound, rest.is_some());
        connection.resources.buffers.give_back(inbound);
        if is_kept { Ok(rest) } else { Err(End::Closing) }
    }

    /// Responds to a ping in its turn.
    async fn respond_to_ping(
        &self,
        inbound: Box<Inbound>,
        length: usize,
        may_go_on: bool,
    ) -> Result<Option<Box<Inbound>>, End> {
        let connection = &self.connection;
        if !connection.exchange.turn.wait_idle().await {
            return Err(End::Closing);
        }
        connection.send_all(&UWSGI_PONG).await?;
        if !may_go_on || !connection.resources.keeps_connections() {
            return Err(End::Closing);
        }
        connection.expect(Wait::Idle, connection.resources.settings.keep_alive_s.ms());
        let rest = enqueue::rest_of(connection, &inbound, length);
        connection.resources.buffers.give_back(inbound);
        Ok(rest)
    }
}

/// What reads a body whose first bytes stand behind the head, which is left alone in `inbound`.
fn body_reader(connection: &Connection, inbound: &mut Inbound, head_bytes: usize, began_ms: Option<u64>) -> BodyReader {
    let mut feed = connection.resources.buffers.take();
    feed.push(inbound.bytes().get(head_bytes..).unwrap_or_default());
    inbound.truncate(head_bytes);
    let body = IncomingBody::new(inbound.head.framing, feed);
    BodyReader::new(connection, body, now_unless(began_ms))
}

/// How a connection ends whose request was rejected.
fn rejected(rejection: Rejection, inbound: Box<Inbound>, began_ms: Option<u64>) -> End {
    let began_ms = now_unless(began_ms);
    if rejection.has_head {
        End::of_request(rejection.error, inbound, began_ms)
    } else {
        End::of_head(rejection.error, Some(inbound), began_ms)
    }
}

/// A packet that is not for a WSGI server: its sender is set up wrong, or no reverse proxy at all.
fn warn_about_foreign(connection: &Connection, modifiers: UwsgiModifiers) {
    let origin = &connection.origin;
    origin.listener.warn_about(&origin.peer_text(), &format!("rejected a packet with {modifiers}"));
}
