//! Answers that no application is asked for: requests that break a rule, come too late or find no room, and
//! the health paths. Called from connection tasks and crew threads; never touches Python.

use super::{Body, Connection, Envelope, Inbound, Request};
use crate::access_log::Record;
use crate::clock::{self, DateHeader};
use crate::engine::Engine;
use crate::error_log::{Level, Seldom, log};
use crate::listener::Protocol;
use portico_wire::{WireError, is_forwarded_name, write_content_length, write_header};
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

/// What the access log says of a client that left before its answer; nginx's number, never sent.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;
/// Bytes of a request line in the access log, where the request was not understood.
const LINE_BYTES: usize = 256;
/// Seconds after which a client that found no room may come again.
const RETRY_AFTER: &[u8] = b"1";

/// A request that breaks a rule: the answer, and what the logs need.
pub struct Refusal {
    /// The rule and the status.
    pub error: WireError,
    /// The request as far as it came.
    inbound: Option<Box<Inbound>>,
    /// Whether its head was understood.
    has_head: bool,
    /// When the request began, coarse milliseconds.
    began_ms: u64,
}

/// Why a request finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// `max_in_flight` is reached.
    TooMany,
    /// It has waited for `queue_timeout`.
    WaitedTooLong,
}

/// An answer of the server itself.
struct Answer<'a> {
    envelope: Envelope,
    status: u16,
    body: &'a [u8],
    keep_alive: bool,
    is_head: bool,
    retry_after: bool,
}

impl Refusal {
    /// A refusal of a request whose head was not understood, or has not come.
    pub fn of_head(error: WireError, inbound: Option<Box<Inbound>>, began_ms: u64) -> Refusal {
        Refusal { error, inbound, has_head: false, began_ms }
    }

    /// A refusal of a request whose head was understood.
    pub fn of_request(error: WireError, inbound: Box<Inbound>, began_ms: u64) -> Refusal {
        Refusal { error, inbound: Some(inbound), has_head: true, began_ms }
    }

    /// Sends the answer, which closes the connection, and logs it.
    pub async fn answer(self, connection: &Connection) {
        let Refusal { error, inbound, has_head, began_ms } = self;
        let WireError { status, reason } = error;
        let request = inbound.as_deref().filter(|_| has_head);
        let line = match request {
            Some(request) => request.request_line(),
            None => inbound.as_ref().map(|inbound| inbound.first_line(LINE_BYTES)).unwrap_or_default().into(),
        };
        let peer = connection.peer_text();
        log(Level::Debug, &format!("refused with {status}: {reason} (\"{}\" from {peer})", line.escape_ascii()));
        if let Some(request) = request.filter(|_| error == WireError::FORWARDED) {
            tell_of_forwarded(&peer, request);
        }
        if connection.listener.protocol != Protocol::Http
            && !matches!(error, WireError::UWSGI_MODIFIER)
            && status != 408
        {
            tell_of_front_server(connection, error, line.as_ref());
        }
        // RFC 9110 9.3.2: an answer to HEAD has no body, as far as the request was understood.
        let is_head = inbound.as_ref().is_some_and(|inbound| inbound.head.is_head);
        let told = inbound.as_ref().map(|inbound| inbound.envelope).filter(|envelope| *envelope != Envelope::Http);
        let envelope = told.unwrap_or_else(|| connection.listener.envelope());
        let answer = Answer { envelope, status, body: b"", keep_alive: false, is_head, retry_after: false };
        let (bytes, body_bytes) = answer.encode();
        let duration_ns = clock::coarse_ms().saturating_sub(began_ms) * 1_000_000;
        account(connection, request, &line, status, body_bytes, duration_ns);
        // The peer may be gone; the connection ends either way.
        let _ = connection.send_all(&bytes).await;
    }
}

/// A front server, or who passes for one, breaks a rule of the protocol with `bytes`: its operator has to know.
pub fn tell_of_front_server(connection: &Connection, error: WireError, bytes: &[u8]) {
    const SHOWN_BYTES: usize = 64;
    let shown = bytes.get(..SHOWN_BYTES).unwrap_or(bytes).escape_ascii();
    connection.listener.tell(&connection.peer_text(), &format!("{} (\"{shown}\")", error.reason));
}

/// A trusted front server says something that cannot be: its operator has to know, and only what it sent tells why.
fn tell_of_forwarded(peer: &str, request: &Inbound) {
    static TOLD: Seldom = Seldom::new();
    TOLD.warn(|| {
        let mut said = String::new();
        for header in &request.head.headers {
            let (name, value) = (header.name.of(request.bytes()), header.value.of(request.bytes()));
            if is_forwarded_name(name) {
                // Writing to a String cannot fail.
                let _ = write!(said, " {}: {};", name.escape_ascii(), value.escape_ascii());
            }
        }
        said.truncate(LINE_BYTES);
        format!("the front server at {peer} sends invalid or contradictory headers, answered with 400:{said}")
    });
}

/// Logs a request whose client left before all of it had come.
pub fn log_abandoned(connection: &Connection, inbound: &Inbound, began_ms: u64) {
    let duration_ns = clock::coarse_ms().saturating_sub(began_ms) * 1_000_000;
    account(connection, Some(inbound), &inbound.request_line(), CLIENT_CLOSED_REQUEST, 0, duration_ns);
}

/// Answers a request that finds no room with 503; the connection is kept where its next request can be found.
pub fn shed(request: Request, why: Overload) {
    static TOLD: Seldom = Seldom::new();
    let Request { connection, inbound, body, keep_alive, arrived_ns, .. } = request;
    let engine = connection.engine;
    TOLD.warn(|| {
        let limit = match why {
            Overload::TooMany => "as many requests as max_in_flight allows are running or waiting",
            Overload::WaitedTooLong => "a request has waited for a thread as long as queue_timeout allows",
        };
        format!("overloaded: {limit}; answered with 503")
    });
    let keep_alive = keep_alive && !matches!(body, Body::Streamed(_)) && engine.keeps_connections();
    let (envelope, is_head) = (inbound.envelope, inbound.head.is_head);
    let answer = Answer { envelope, status: 503, body: b"", keep_alive, is_head, retry_after: true };
    let (bytes, body_bytes) = answer.encode();
    let duration_ns = clock::monotonic_ns().saturating_sub(arrived_ns);
    account(&connection, Some(&inbound), &inbound.request_line(), 503, body_bytes, duration_ns);
    engine.return_buffer(inbound);
    // All answers before this one have left, so a few hundred bytes fit; where they do not, nobody is reading.
    let sent = connection.send(&bytes, super::Then::More);
    connection.answer_done(keep_alive && sent.is_ok_and(|sent| sent == bytes.len()));
}

/// Whether a complete request is for a health path.
pub fn is_health_check(engine: &Engine, inbound: &Inbound) -> bool {
    let paths = &engine.bounds.health_paths;
    if paths.is_empty() {
        return false;
    }
    let (bytes, head) = (inbound.bytes(), &inbound.head);
    let path = head.path.of(bytes);
    matches!(head.method.of(bytes), b"GET" | b"HEAD") && paths.iter().any(|health_path| health_path == path)
}

/// Answers a health check: 200 while the worker takes requests, 503 while it drains. Not logged. Answers whether
/// the connection is kept.
pub fn answer_health_check(connection: &Connection, inbound: &Inbound) -> bool {
    let engine = connection.engine;
    let (status, body): (u16, &[u8]) = if engine.is_draining() { (503, b"draining\n") } else { (200, b"ok\n") };
    let keep_alive = inbound.head.keep_alive && engine.keeps_connections();
    let (envelope, is_head) = (inbound.envelope, inbound.head.is_head);
    let answer = Answer { envelope, status, body, keep_alive, is_head, retry_after: false };
    let (bytes, _) = answer.encode();
    connection.send(&bytes, super::Then::More).is_ok_and(|sent| sent == bytes.len()) && keep_alive
}

impl Answer<'_> {
    /// The bytes, and how many of them are the body.
    fn encode(&self) -> (Vec<u8>, u64) {
        let reason = reason_phrase(self.status);
        let line = format!("{} {reason}", self.status);
        let sentence = line.clone() + "\n";
        let body = if self.body.is_empty() { sentence.as_bytes() } else { self.body };
        let mut out = Vec::with_capacity(256);
        self.envelope.write_status(&mut out, line.as_bytes());
        write_header(&mut out, b"Content-Type", b"text/plain; charset=utf-8");
        write_content_length(&mut out, body.len() as u64);
        if self.status == 405 {
            // RFC 9110 15.5.6 wants the list. What the application allows is not known here: these never reach it.
            write_header(&mut out, b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        }
        if self.retry_after {
            write_header(&mut out, b"Retry-After", RETRY_AFTER);
        }
        if self.envelope == Envelope::Http {
            // Said in both cases, since the request's version is not always known.
            write_header(&mut out, b"Connection", if self.keep_alive { b"keep-alive" } else { b"close" });
        }
        write_header(&mut out, b"Date", DateHeader::default().text());
        write_header(&mut out, b"Server", b"portico");
        out.extend_from_slice(b"\r\n");
        let body = if self.is_head { b"" } else { body };
        out.extend_from_slice(body);
        self.envelope.enclose(&mut out, 0);
        out.extend_from_slice(self.envelope.end(false).as_ref());
        (out, body.len() as u64)
    }
}

fn account(
    connection: &Connection,
    inbound: Option<&Inbound>,
    line: &[u8],
    status: u16,
    body_bytes: u64,
    duration_ns: u64,
) {
    let slot = connection.engine.slot;
    slot.requests.fetch_add(1, Relaxed);
    slot.bytes_sent.fetch_add(body_bytes, Relaxed);
    if status >= 500 {
        slot.errors.fetch_add(1, Relaxed);
    }
    let header = |name| inbound.and_then(|inbound| inbound.header(name));
    connection.engine.log_access(&Record {
        client: inbound.map_or_else(
            || connection.client().map(|client| client.ip()),
            |inbound| inbound.client(connection.client()).0,
        ),
        request_line: line,
        status,
        body_bytes,
        referer: header("referer"),
        user_agent: header("user-agent"),
        duration_ns,
    });
}

/// The standard reason phrase of the statuses that the server itself answers (RFC 9110 15).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Error",
    }
}
