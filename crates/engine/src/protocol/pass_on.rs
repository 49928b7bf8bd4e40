//! A request that an upstream responds to instead of the crew. The connection's own task passes it on, in its turn, and
//! reads no further request meanwhile: so it has the client's body as it comes, and both directions after an upgrade.
//!
//! What the application's responses have of a `Responder`, these have here: the head is framed for the client, the turn
//! ended, the account settled. No thread of the crew is held, and no cell of the scoreboard.

use super::end::End;
use crate::clock::{self, DateHeader};
use crate::connection::Connection;
use crate::exchange::account::{Account, CLIENT_CLOSED_REQUEST};
use crate::exchange::body_reader::BodyReader;
use crate::exchange::error_response::{Overload, warn_about_overload};
use crate::exchange::sending;
use crate::exchange::server_response::ServerResponse;
use crate::message::body::BodyError;
use crate::message::framing::ResponseFraming;
use crate::message::inbound::Inbound;
use crate::message::response_head::ResponseHead;
use crate::pace::Patience;
use crate::routing::UpstreamRow;
use crate::upstream::ends::{RequestSource, ResponseSink, SourceGone};
use crate::upstream::failure::{Failure, Reason};
use crate::upstream::forward::{Forwarded, Unforwarded, forward};
use portico_wire::{
    CONTINUE, CRLF, ForwardedFamily, Forwarding, HopByHop, LAST_CHUNK, PassedConnection, PassedOn, ResponseBody,
    ResponsePlan, ResponseProperties, Scheme, Version, write_chunk_size, write_header, write_status_line,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Mutex;

/// What of a request's body is kept so that it can be sent once more.
const KEPT_BYTES: usize = 64 * 1024;
/// Between two looks at whether all of a body has come.
const LOOK: Duration = Duration::from_millis(50);
/// So much of a response is coalesced before it leaves.
const COALESCED_BYTES: usize = 32 * 1024;

/// Has the upstream of `row` respond to a request, whose body `reader` reads; gives the reader back if another request
/// may follow.
///
/// # Errors
/// The connection's life ends.
pub async fn pass_on(
    connection: &Arc<Connection>,
    row: &UpstreamRow,
    request: Box<Inbound>,
    reader: BodyReader,
) -> Result<BodyReader, End> {
    let resources = &connection.resources;
    if !connection.exchange.turn.wait_idle().await {
        return Err(End::Closing);
    }
    connection.submit();
    // The end of the response before this one.
    sending::flush(connection);
    let arrived_ns = clock::monotonic_ns();
    let began_ms = reader.began_ms;
    let shared = Shared::default();
    let mut source = ClientBody::new(connection, &request, reader, &shared);
    let mut sink = ClientResponse::new(connection, &request, &shared);
    let Some(room) = resources.admission.begin_request() else {
        warn_about_overload(Overload::TooMany);
        return end(connection, request, source, sink, arrived_ns, Err(Reason::NoMember)).await;
    };
    let peer = connection.origin.client();
    let scheme = if connection.origin.is_tls() { Scheme::Https } else { Scheme::Http };
    let target = row.target(&request);
    let passed_on = PassedOn {
        head: &request.head,
        bytes: request.bytes(),
        prefix: if target.is_some() { row.mount.as_bytes() } else { b"" },
        target: target.as_deref(),
        host: None,
        framing: request.head.framing,
        connection: PassedConnection::Keep,
        forwarding: Forwarding {
            family: ForwardedFamily::XForwarded,
            is_trusted: connection.origin.is_trusted(),
            peer: peer.map(|peer| peer.ip()),
            scheme,
        },
        understood: row.upstream.has_variables().then(|| request.understood(peer, scheme)),
        via: "",
    };
    let outcome = tokio::select! {
        biased;
        outcome = forward(&row.upstream, passed_on, &mut source, &mut sink, &resources.buffers) => outcome,
        () = shared.wait_for_disconnect(connection) => Err(client_gone(row)),
    };
    resources.admission.end_request(room);
    let outcome = outcome.map_err(|Unforwarded { failure, .. }| {
        warn(row, &failure, sink.is_started);
        failure.reason
    });
    if let (Err(Reason::ClientGone), Some(error), false) = (&outcome, source.error, sink.is_started) {
        // The client's own fault, which it is told as with any request.
        connection.exchange.end(true);
        return Err(End::of_body(connection, request, error, began_ms));
    }
    end(connection, request, source, sink, arrived_ns, outcome).await
}

/// The client has left before the end of its response.
pub fn client_gone(row: &UpstreamRow) -> Unforwarded {
    let failure = Failure { of: row.upstream.terms.name.clone(), reason: Reason::ClientGone };
    Unforwarded { failure, status: 0 }
}

/// Tells of a request that has no response, or not all of one.
pub fn warn(row: &UpstreamRow, failure: &Failure, is_started: bool) {
    if failure.reason != Reason::ClientGone {
        row.upstream.warn(failure, || match failure.reason.status() {
            _ if is_started => format!("{failure}; its response is not complete"),
            status => format!("{failure}; responded with {status}"),
        });
    }
}

/// Ends the exchange: responds if nothing has been, settles the account, and says whether another request may follow.
async fn end(
    connection: &Arc<Connection>,
    request: Box<Inbound>,
    mut source: ClientBody<'_>,
    sink: ClientResponse<'_>,
    arrived_ns: u64,
    outcome: Result<Forwarded, Reason>,
) -> Result<BodyReader, End> {
    let resources = &connection.resources;
    let is_until_close = matches!(&sink.plan, Some(plan) if plan.body == ResponseBody::UntilClose);
    let ClientResponse { mut status, mut body_bytes, is_started, keep_alive, .. } = sink;
    let mut is_kept = match &outcome {
        Ok(forwarded) => keep_alive && forwarded.has_sent_all && !forwarded.was_upgraded,
        Err(_) => false,
    };
    if let Err(reason) = &outcome {
        if !is_started && *reason != Reason::ClientGone {
            status = reason.status();
            let keep_alive = request.head.keep_alive && resources.keeps_connections() && source.is_all_there();
            let (framing, is_head) = (request.response_framing, request.head.is_head);
            let retry_after = status == 503;
            let response =
                ServerResponse { framing, keep_alive, retry_after, ..ServerResponse::new(framing, status, is_head) };
            let (bytes, length) = response.encode(&resources.settings);
            body_bytes = length;
            is_kept = connection.send_all(&bytes).await.is_ok() && keep_alive;
        } else if is_until_close {
            // Only a reset tells that it is not complete (RFC 9112 8).
            connection.socket.reset();
        }
    }
    let account = Account {
        client: connection.origin.client(),
        inbound: Some(&request),
        has_head: true,
        status: if status == 0 { CLIENT_CLOSED_REQUEST } else { status },
        body_bytes,
        duration_ns: clock::monotonic_ns().saturating_sub(arrived_ns),
    };
    account.settle(resources);
    let reader = source.reader;
    resources.buffers.give_back(request);
    connection.end_response(is_kept);
    match reader {
        Some(reader) if is_kept => Ok(reader),
        _ => Err(End::Closing),
    }
}

/// What the two directions know of each other.
#[derive(Default)]
struct Shared {
    /// Whether the response has begun: after that no interim response is sent. Locked while one of them is written.
    is_responding: Mutex<bool>,
    /// Whether all of the request's body has come.
    is_complete: AtomicBool,
    /// Whether another protocol is spoken: who has closed its side may still listen.
    has_upgraded: AtomicBool,
}

impl Shared {
    /// Waits until the client has left that waits for its response: who closes its side does so, as far as the
    /// application is told, too. Before its body is complete the reader of that learns of it.
    async fn wait_for_disconnect(&self, connection: &Connection) {
        while !self.is_complete.load(Relaxed) {
            tokio::time::sleep(LOOK).await;
        }
        disconnected(connection).await;
        if self.has_upgraded.load(Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

/// Waits until the client of a complete request has left.
pub async fn disconnected(connection: &Connection) {
    // A connection that is broken has no client either.
    let _ = connection.socket.wait_disconnected().await;
}

/// The request's body, on its way in.
struct ClientBody<'a> {
    connection: &'a Arc<Connection>,
    /// None after an upgrade.
    reader: Option<BodyReader>,
    shared: &'a Shared,
    /// Whether the client waits for a 100 before it sends.
    expects_continue: bool,
    /// What has come so far, if it is not too much.
    kept: Vec<Vec<u8>>,
    kept_bytes: usize,
    /// Blocks of `kept` that were handed on since it last began.
    handed_on: usize,
    /// What the client has sent after an upgrade, not handed on yet.
    raw: Option<Box<Inbound>>,
    error: Option<BodyError>,
}

impl<'a> ClientBody<'a> {
    fn new(
        connection: &'a Arc<Connection>,
        request: &Inbound,
        reader: BodyReader,
        shared: &'a Shared,
    ) -> ClientBody<'a> {
        shared.is_complete.store(reader.is_complete(), Relaxed);
        ClientBody {
            connection,
            expects_continue: request.head.expect_continue && reader.is_untouched(),
            reader: Some(reader),
            shared,
            kept: Vec::new(),
            kept_bytes: 0,
            handed_on: 0,
            raw: None,
            error: None,
        }
    }

    /// Whether all of it has come, also what nobody has asked for.
    fn is_all_there(&mut self) -> bool {
        let reader = self.reader.as_mut();
        let is_at_hand = || reader.is_some_and(|reader| matches!(reader.at_hand(self.connection), Ok(Some(_))));
        self.shared.is_complete.load(Relaxed) || is_at_hand()
    }

    /// Has a client that waits for it send its body (RFC 9110 10.1.1), unless it has its response already.
    async fn send_continue(&mut self) -> io::Result<()> {
        let is_responding = self.shared.is_responding.lock().await;
        if std::mem::take(&mut self.expects_continue) && !*is_responding {
            self.connection.send_all(CONTINUE).await?;
        }
        Ok(())
    }
}

impl RequestSource for ClientBody<'_> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, SourceGone> {
        if let Some(block) = self.kept.get(self.handed_on) {
            self.handed_on += 1;
            return Ok(Some(block.clone()));
        }
        if self.expects_continue {
            self.send_continue().await.map_err(|_| SourceGone)?;
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let read = reader.next(self.connection).await;
        self.shared.is_complete.store(reader.is_complete(), Relaxed);
        let block = read.map_err(|error| {
            self.error = Some(error);
            SourceGone
        })?;
        if let Some(block) = &block {
            self.kept_bytes = self.kept_bytes.saturating_add(block.len());
            if self.kept_bytes <= KEPT_BYTES {
                self.kept.push(block.clone());
                self.handed_on += 1;
            } else {
                self.kept = Vec::new();
                self.handed_on = 0;
            }
        }
        Ok(block)
    }

    fn is_at_hand(&self) -> bool {
        let has_come = || self.reader.as_ref().is_none_or(|reader| reader.is_complete() || !reader.is_untouched());
        self.handed_on < self.kept.len() || has_come()
    }

    fn rewind(&mut self) -> bool {
        self.handed_on = 0;
        self.kept_bytes <= KEPT_BYTES
    }

    async fn next_raw(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(reader) = self.reader.take() {
            self.raw = reader.into_leftover(self.connection);
        }
        if self.raw.is_none() && self.connection.fill(&mut self.raw).await? == 0 {
            return Ok(None);
        }
        let Some(buffer) = self.raw.take() else { return Ok(None) };
        let bytes = buffer.bytes().to_vec();
        self.connection.resources.buffers.give_back(buffer);
        Ok(Some(bytes))
    }
}

/// The response, on its way to the client.
struct ClientResponse<'a> {
    connection: &'a Arc<Connection>,
    shared: &'a Shared,
    framing: ResponseFraming,
    version: Version,
    is_head: bool,
    keep_alive: bool,
    patience: Patience,
    plan: Option<ResponsePlan>,
    /// What has not been sent yet.
    out: Vec<u8>,
    /// Whether some of it has: until then another response can take its place.
    is_started: bool,
    /// 0 before its head has come.
    status: u16,
    body_bytes: u64,
}

impl<'a> ClientResponse<'a> {
    fn new(connection: &'a Arc<Connection>, request: &Inbound, shared: &'a Shared) -> ClientResponse<'a> {
        ClientResponse {
            connection,
            shared,
            framing: request.response_framing,
            version: request.head.version,
            is_head: request.head.is_head,
            keep_alive: request.head.keep_alive,
            patience: connection.patience(),
            plan: None,
            out: Vec::new(),
            is_started: false,
            status: 0,
            body_bytes: 0,
        }
    }

    async fn send(&mut self) -> io::Result<()> {
        self.is_started |= self.status != 0;
        let out = std::mem::take(&mut self.out);
        self.connection.send_rest(&mut self.patience, &out).await?;
        self.out = out;
        self.out.clear();
        Ok(())
    }

    fn encode(&mut self, head: &portico_wire::ResponseHead, bytes: &[u8]) {
        let encoded = end_to_end(head, bytes);
        self.keep_alive &= self.connection.resources.keeps_connections() && self.shared.is_complete.load(Relaxed);
        let plan = self.framing.plan(&ResponseProperties {
            version: self.version,
            is_head: self.is_head,
            status: head.status,
            content_length: head.content_length,
            known_length: None,
            keep_alive: self.keep_alive,
        });
        let server_header = self.connection.resources.settings.server_header.as_bytes();
        self.framing.write_head(&mut self.out, &encoded, &plan, server_header, &mut DateHeader::default());
        self.keep_alive = plan.keep_alive;
        self.plan = Some(plan);
    }

    /// A head after which the connection is the other protocol's.
    fn encode_upgrade(&mut self, head: &portico_wire::ResponseHead, bytes: &[u8]) {
        let encoded = end_to_end(head, bytes);
        write_status_line(&mut self.out, &encoded.status_line);
        self.out.extend_from_slice(&encoded.fields);
        write_header(&mut self.out, b"Connection", b"upgrade");
        write_header(&mut self.out, b"Upgrade", head.header(bytes, "upgrade").unwrap_or_default());
        self.out.extend_from_slice(CRLF);
        self.keep_alive = false;
    }
}

impl ResponseSink for ClientResponse<'_> {
    async fn interim(&mut self, head: &portico_wire::ResponseHead, bytes: &[u8]) -> io::Result<()> {
        // RFC 9110 15.2: not to HTTP/1.0. Whether a 100 is due is decided where the body is read.
        if head.status == 100 || self.version == Version::Http10 || self.framing != ResponseFraming::Http {
            return Ok(());
        }
        let _is_responding = self.shared.is_responding.lock().await;
        let encoded = end_to_end(head, bytes);
        write_status_line(&mut self.out, &encoded.status_line);
        self.out.extend_from_slice(&encoded.fields);
        self.out.extend_from_slice(CRLF);
        self.send().await
    }

    async fn start(&mut self, head: &portico_wire::ResponseHead, bytes: &[u8]) -> io::Result<()> {
        *self.shared.is_responding.lock().await = true;
        self.status = head.status;
        if head.is_upgrade() {
            self.shared.has_upgraded.store(true, Relaxed);
            self.encode_upgrade(head, bytes);
        } else {
            self.encode(head, bytes);
        }
        Ok(())
    }

    async fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.body_bytes += bytes.len() as u64;
        let is_chunked = matches!(&self.plan, Some(plan) if plan.body == ResponseBody::Chunked);
        if is_chunked {
            write_chunk_size(&mut self.out, bytes.len());
        }
        self.out.extend_from_slice(bytes);
        if is_chunked {
            self.out.extend_from_slice(CRLF);
        }
        if self.out.len() >= COALESCED_BYTES { self.send().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() { Ok(()) } else { self.send().await }
    }

    async fn end(&mut self) -> io::Result<()> {
        match &self.plan {
            // After an upgrade: the server has closed its side.
            None => {
                self.flush().await?;
                self.connection.socket.end_sending();
                return Ok(());
            }
            Some(plan) if plan.body == ResponseBody::Chunked => self.out.extend_from_slice(LAST_CHUNK),
            Some(_) => {}
        }
        self.flush().await
    }
}

/// A server's head without what was for its connection to us.
pub fn end_to_end(head: &portico_wire::ResponseHead, bytes: &[u8]) -> ResponseHead {
    let status_line = [head.status.to_string().as_bytes(), b" ", head.reason.of(bytes)].concat();
    let mut encoded = ResponseHead { status: head.status, status_line, ..ResponseHead::default() };
    encoded.content_length = head.content_length;
    let hop_by_hop = HopByHop::of(&head.headers, bytes);
    for header in &head.headers {
        let (name, value) = (header.name.of(bytes), header.value.of(bytes));
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        if hop_by_hop.contains(name) || is(b"content-length") {
            continue;
        }
        encoded.has_date |= is(b"date");
        encoded.has_server |= is(b"server");
        encoded.has_status |= is(b"status");
        write_header(&mut encoded.fields, name, value);
    }
    encoded
}
