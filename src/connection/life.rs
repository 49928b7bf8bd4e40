//! The life of a connection over HTTP/1, uwsgi or SCGI: read a head, hand it to `intake`, go on reading.
//!
//! Runs as one small task on whichever thread drives the runtime. It never calls Python and does not
//! write answers, except the ones that no application is asked for (errors in the request, health checks, pings).

use super::intake::{self, End, push, rest_of};
use super::refusal::{self, Refusal};
use super::{Body, Connection, Inbound, Packet, State, proxied};
use crate::bounds::Bounds;
use crate::clock;
use crate::deadlines::Wait;
use crate::listener::Protocol;
use portico_wire::{Framing, Scheme, TargetForm, UWSGI_PONG, UwsgiModifiers, WireError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Takes a fresh connection over: reads once without registering, and if that gives a whole last
/// request and nothing else (as `Connection: close` clients send it) queues it without ever making a task.
pub fn begin(connection: Connection) {
    let engine = connection.engine;
    let mut inbound = engine.take_buffer();
    let first_read = connection.receive(&mut inbound);
    let connection = Arc::new(connection);
    if matches!(first_read, Ok(received) if received > 0)
        && !connection.listener.has_proxy_header
        && let Ok(Some(Packet::Head(head_bytes))) = inbound.read_head(connection.listener, &engine.bounds)
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
    let end = match proxied::read(&connection, inbound).await {
        Ok(inbound) => serve(&connection, inbound).await,
        Err(end) => end,
    };
    intake::see_out(connection, end).await;
}

async fn serve(connection: &Arc<Connection>, mut inbound: Option<Box<Inbound>>) -> End {
    let engine = connection.engine;
    let mut turns = Turns::default();
    loop {
        let came_early = inbound.is_some();
        let (mut request, packet, began_ms) = match read_head(connection, inbound.take()).await {
            Ok(complete) => complete,
            Err(end) => return end,
        };
        let head_bytes = match packet {
            Packet::Head(head_bytes) => head_bytes,
            Packet::Ping(length) => {
                let may_go_on = turns.next(came_early, &engine.bounds) && connection.listener.is_persistent;
                match Box::pin(answer_ping(connection, request, length, may_go_on)).await {
                    Ok(rest) => inbound = rest,
                    Err(end) => return end,
                }
                continue;
            }
            Packet::Foreign(modifiers) => {
                tell_of_foreign(connection, modifiers);
                return End::Refused(Refusal::of_head(WireError::UWSGI_MODIFIER, Some(request), clock::coarse_ms()));
            }
        };
        let is_pipelined = came_early || connection.state() != State::Ready;
        request.head.keep_alive &= turns.next(is_pipelined, &engine.bounds);
        let keep_alive = request.head.keep_alive;
        if request.head.framing.is_empty() && refusal::is_health_check(engine, &request) {
            match Box::pin(answer_health_check(connection, request, head_bytes)).await {
                Ok(rest) => inbound = rest,
                Err(end) => return end,
            }
            continue;
        }
        match intake::read_body(connection, request, head_bytes, began_ms).await {
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

/// Reads until there is a whole head; returns the buffer, what is at its start, and when it began (coarse
/// milliseconds) unless it came in one piece.
async fn read_head(
    connection: &Arc<Connection>,
    mut inbound: Option<Box<Inbound>>,
) -> Result<(Box<Inbound>, Packet, Option<u64>), End> {
    let engine = connection.engine;
    let mut began_ms = None;
    loop {
        if let Some(mut buffer) = inbound.take() {
            let (listener, bounds) = (connection.listener, &engine.bounds);
            let read = if began_ms.is_none() {
                buffer.read_head(listener, bounds)
            } else {
                buffer.read_head_on(listener, bounds)
            };
            match read {
                Ok(None) => {}
                Ok(Some(packet)) => {
                    return match check(connection, &mut buffer) {
                        Ok(()) => Ok((buffer, packet, began_ms)),
                        Err(error) => Err(End::refused(error, buffer, began_ms)),
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
            intake::make_room(engine).await;
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
    if connection.listener.protocol != Protocol::Http {
        return Ok(());
    }
    inbound.read_forwarded(connection)?;
    let head = &inbound.head;
    if head.form == TargetForm::Absolute && head.scheme.len() == b"https".len() {
        let told = inbound.forwarded.as_ref().and_then(|forwarded| forwarded.scheme);
        let is_https = told.map_or_else(|| connection.is_tls(), |scheme| scheme == Scheme::Https);
        return if is_https { Ok(()) } else { Err(WireError::MISDIRECTED) };
    }
    Ok(())
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

/// Answers a ping in its turn; returns what the peer has already sent after it.
async fn answer_ping(
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    length: usize,
    may_go_on: bool,
) -> Result<Option<Box<Inbound>>, End> {
    if connection.state() != State::Ready && !connection.wait_answered().await {
        return Err(End::Closing);
    }
    connection.send_all(&UWSGI_PONG).await?;
    if !may_go_on || !connection.engine.keeps_connections() {
        return Err(End::Closing);
    }
    connection.expect(Wait::Idle, connection.engine.bounds.keep_alive_ms);
    let next = rest_of(connection, &request, length);
    connection.engine.return_buffer(request);
    Ok(next)
}

/// A packet that is not for a WSGI server: its sender is set up wrong, or no front server at all.
fn tell_of_foreign(connection: &Connection, modifiers: UwsgiModifiers) {
    connection.listener.tell(&connection.peer_text(), &format!("refused a packet with {modifiers}"));
}
