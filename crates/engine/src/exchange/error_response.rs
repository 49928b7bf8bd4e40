//! Error responses of the server itself: to requests that break a rule, come too late or find no room. Called from
//! connection tasks and crew threads; never touches Python.

use super::account::{Account, LINE_BYTES};
use super::request::Request;
use super::sending;
use super::server_response::ServerResponse;
use crate::access_log::record::CLIENT_CLOSED_REQUEST;
use crate::bounded::{self, MOST_NAME_BYTES};
use crate::clock;
use crate::connection::Connection;
use crate::files::error_pages::Whose;
use crate::log::{Level, RateLimited, log};
use crate::message::body::Body;
use crate::message::framing::ResponseFraming;
use crate::message::inbound::Inbound;
use crate::message::spoken::Protocol;
use crate::routing::Reply;
use portico_wire::{WireError, is_forwarded_name};
use std::fmt::Write as _;
use std::sync::Arc;

/// A request that breaks a rule: the response, and what the logs need.
pub struct ErrorResponse {
    /// The rule and the status.
    pub error: WireError,
    /// The request as far as it came.
    pub inbound: Option<Box<Inbound>>,
    /// Whether its head was understood.
    pub has_head: bool,
    /// When the request began, coarse milliseconds.
    pub began_ms: u64,
}

/// Why a request finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// `max_in_flight` is reached.
    TooMany,
    /// It has waited for `queue_timeout`.
    WaitedTooLong,
}

impl ErrorResponse {
    /// Sends the response, which closes the connection, and logs it.
    pub async fn send(self, connection: &Arc<Connection>) {
        let ErrorResponse { error, inbound, has_head, began_ms } = self;
        let WireError { status, reason } = error;
        // RFC 9110 9.3.2: a response to HEAD has no body, as far as the request was understood.
        let is_head = inbound.as_ref().is_some_and(|inbound| inbound.head.is_head);
        let framing = inbound.as_ref().map(|inbound| inbound.response_framing);
        let framing = framing.filter(|framing| *framing != ResponseFraming::Http);
        let framing = framing.unwrap_or_else(|| connection.origin.listener.framing());
        let understood = inbound.as_deref().filter(|_| has_head);
        let page = connection.resources.error_page(Whose::Server, understood, status).map(|page| &**page);
        let response = ServerResponse { page, ..ServerResponse::new(framing, status, is_head) };
        let (bytes, body_bytes) = response.encode(&connection.resources.settings);
        let account = Account {
            client: connection.origin.client(),
            inbound: inbound.as_deref(),
            has_head,
            status,
            body_bytes,
            duration_ns: since(began_ms),
            call: None,
            said: None,
        };
        connection.trace(|| format!("rejected: {status}"));
        let line = account.request_line();
        let peer = connection.origin.peer_text();
        let shown = bounded::name(&line, MOST_NAME_BYTES);
        log(Level::Debug, &format!("rejected with {status}: {reason} (\"{shown}\" from {peer})"));
        if let Some(request) = account.inbound.filter(|_| has_head && error == WireError::FORWARDED) {
            warn_about_forwarded(&peer, request);
        }
        if connection.origin.listener.protocol != Protocol::Http
            && !matches!(error, WireError::UWSGI_MODIFIER)
            && status != 408
        {
            warn_about_reverse_proxy(connection, error, line.as_ref());
        }
        account.settle(&connection.resources);
        // The peer may be gone; the connection ends either way.
        let _ = connection.send_all(&bytes).await;
    }
}

/// A reverse proxy, or who passes for one, breaks a rule of the protocol with `bytes`: its operator has to know.
pub fn warn_about_reverse_proxy(connection: &Connection, error: WireError, bytes: &[u8]) {
    const SHOWN_BYTES: usize = 64;
    let shown = bytes.get(..SHOWN_BYTES).unwrap_or(bytes).escape_ascii();
    let origin = &connection.origin;
    origin.listener.warn_about(&origin.peer_text(), &format!("{} (\"{shown}\")", error.reason));
}

/// A trusted reverse proxy says something that cannot be: its operator has to know, and only what it sent tells why.
fn warn_about_forwarded(peer: &str, request: &Inbound) {
    static RATE: RateLimited = RateLimited::new();
    RATE.warn(|| {
        let mut said = String::new();
        for header in &request.head.headers {
            let (name, value) = (header.name.of(request.bytes()), header.value.of(request.bytes()));
            if is_forwarded_name(name) {
                // Writing to a String cannot fail.
                let _ = write!(said, " {}: {};", name.escape_ascii(), value.escape_ascii());
            }
        }
        said.truncate(LINE_BYTES);
        format!("the reverse proxy at {peer} sends invalid or contradictory headers, rejected with 400:{said}")
    });
}

/// Logs a request whose client left before all of it had come.
pub fn log_abandoned(connection: &Connection, inbound: &Inbound, began_ms: u64) {
    let account = Account {
        client: connection.origin.client(),
        inbound: Some(inbound),
        has_head: true,
        status: CLIENT_CLOSED_REQUEST,
        body_bytes: 0,
        duration_ns: since(began_ms),
        call: None,
        said: None,
    };
    account.settle(&connection.resources);
}

/// Sheds a request that finds no room, with 503; the connection is kept where its next request can be found.
pub fn shed(request: Request, why: Overload) {
    warn_about_overload(why);
    request.connection.trace(|| format!("shed: {why:?}"));
    respond_instead(request, 503);
}

/// Tells of a request that finds no room.
pub fn warn_about_overload(why: Overload) {
    static RATE: RateLimited = RateLimited::new();
    RATE.warn(|| {
        let limit = match why {
            Overload::TooMany => "as many requests as max_in_flight allows are running or waiting",
            Overload::WaitedTooLong => "a request has waited for a thread as long as queue_timeout allows",
        };
        format!("overloaded: {limit}; responded with 503")
    });
}

/// Responds with 503 to a request that nobody will call the application for: the server ends.
pub fn give_up(request: Request) {
    respond_instead(request, 503);
}

/// Gives a complete request whose turn it is a response of the server's in place of the application's.
fn respond_instead(request: Request, status: u16) {
    reply_instead(request, &Reply::Status(status));
}

/// The same, for a request that no application is asked for, with what its route says.
pub fn reply_instead(request: Request, reply: &Reply) {
    let Request { connection, inbound, body, keep_alive, arrived_ns, room, whose, .. } = request;
    let resources = &connection.resources;
    if let Some(room) = room {
        resources.admission.end_request(room);
    }
    let keep_alive = keep_alive && !matches!(body, Body::Streamed(_)) && connection.is_kept();
    let (framing, is_head) = (inbound.response_framing, inbound.head.is_head);
    let status = reply.status();
    let is_own = matches!(reply, Reply::Status(_));
    let response = ServerResponse {
        headers: reply.headers(),
        body: reply.body(),
        page: resources.error_page(whose, Some(&inbound), status).filter(|_| is_own).map(|page| &**page),
        keep_alive,
        retry_after: status == 503 && is_own,
        ..ServerResponse::new(framing, status, is_head)
    };
    let (bytes, body_bytes) = response.encode(&resources.settings);
    let account = Account {
        client: connection.origin.client(),
        inbound: Some(&inbound),
        has_head: true,
        status,
        body_bytes,
        duration_ns: clock::monotonic_ns().saturating_sub(arrived_ns),
        call: None,
        said: None,
    };
    account.settle(resources);
    resources.buffers.give_back(inbound);
    // The end of the response before this one may still wait to leave with it.
    sending::send_whole(&connection, &bytes, keep_alive);
}

fn since(began_ms: u64) -> u64 {
    clock::coarse_ms().saturating_sub(began_ms) * 1_000_000
}
