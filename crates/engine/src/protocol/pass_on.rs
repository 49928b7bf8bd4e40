//! A request that an upstream responds to instead of the crew. The connection's own task passes it on, in its turn, and
//! reads no further request meanwhile: so it has the client's body as it comes, and both directions after an upgrade.
//!
//! What the application's responses have of a `Responder`, these have here: the head is framed for the client, the turn
//! ended, the account settled. No thread of the crew is held, and no cell of the scoreboard.
//!
//! 1. `directions`: what the two directions know of each other.
//! 2. `client_body`: the request's body as it comes; `client_response`: the response as it leaves.

pub mod client_body;
pub mod client_response;
pub mod directions;

use super::end::End;
use crate::access_log::record::CLIENT_CLOSED_REQUEST;
use crate::bounded::{self, MOST_NAME_BYTES};
use crate::clock;
use crate::connection::Connection;
use crate::exchange::account::Account;
use crate::exchange::body_reader::BodyReader;
use crate::exchange::error_response::{Overload, warn_about_overload};
use crate::exchange::sending;
use crate::exchange::server_response::ServerResponse;
use crate::failed_requests::FailedRequest;
use crate::files::error_pages::Whose;
use crate::message::inbound::Inbound;
use crate::os_error::without_number;
use crate::routing::UpstreamRow;
use crate::upstream::failure::{Failure, Reason};
use crate::upstream::forward::{Forwarded, Unforwarded, forward};
use client_body::ClientBody;
use client_response::ClientResponse;
use directions::Shared;
use portico_wire::{ForwardedFamily, Forwarding, PassedConnection, PassedOn, RequestHead, ResponseBody, Scheme};
use std::sync::Arc;

/// Has the upstream of `row` respond to a request, whose body `reader` reads; gives the reader back if another request
/// may follow.
///
/// # Errors
/// The connection's life ends.
pub async fn pass_on(
    connection: &Arc<Connection>,
    row: &UpstreamRow,
    mut request: Box<Inbound>,
    reader: BodyReader,
) -> Result<BodyReader, End> {
    let resources = &connection.resources;
    if resources.spans.is_some() {
        connection.begin_span(&mut request);
    }
    if !connection.exchange.turn.wait_idle().await {
        return Err(End::Closing);
    }
    connection.submit(false);
    // The end of the response before this one.
    sending::flush(connection);
    let arrived_ns = clock::monotonic_ns();
    let began_ms = reader.began_ms;
    let shared = Shared::default();
    let mut source = ClientBody::new(connection, &request, reader, &shared);
    let mut sink = ClientResponse::new(connection, &request, &shared);
    let Some(room) = resources.admission.begin_request() else {
        warn_about_overload(Overload::TooMany);
        return end(connection, row, request, source, sink, arrived_ns, Err(Reason::NoMember)).await;
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
        trace: request.trace.as_ref().map(|trace| trace.passed_on()),
        via: "",
    };
    let outcome = tokio::select! {
        biased;
        outcome = forward(&row.upstream, passed_on, &mut source, &mut sink, &resources.buffers) => outcome,
        () = shared.wait_for_disconnect(connection) => Err(client_gone(row)),
    };
    resources.admission.end_request(room);
    let outcome = outcome.map_err(|Unforwarded { failure, .. }| {
        report(connection, row, (&request.head, request.bytes()), &failure, sink.is_started);
        failure.reason
    });
    if let (Err(Reason::ClientGone), Some(error), false) = (&outcome, source.error, sink.is_started) {
        // The client's own fault, which it is told as with any request.
        connection.exchange.end(true);
        return Err(End::of_body(connection, request, error, began_ms));
    }
    end(connection, row, request, source, sink, arrived_ns, outcome).await
}

/// The client has left before the end of its response.
pub fn client_gone(row: &UpstreamRow) -> Unforwarded {
    let failure = Failure { of: row.upstream.terms.name.clone(), reason: Reason::ClientGone };
    Unforwarded { failure, status: 0 }
}

/// Tells of a request that has no response, or not all of one: the log now and then, the supervisor of each whose status
/// is of a server's fault.
#[cold]
pub fn report(
    connection: &Connection,
    row: &UpstreamRow,
    (head, bytes): (&RequestHead, &[u8]),
    failure: &Failure,
    is_started: bool,
) {
    if failure.reason == Reason::ClientGone {
        return;
    }
    let status = failure.reason.status();
    row.upstream.warn(failure, || {
        if is_started {
            format!("{failure}; its response is not complete")
        } else {
            format!("{failure}; responded with {status}")
        }
    });
    if status >= 500 {
        connection.resources.failed_requests.add(FailedRequest {
            method: bounded::name(head.method.of(bytes), MOST_NAME_BYTES),
            path: bounded::name(head.path.of(bytes), MOST_NAME_BYTES),
            // So those for all of its paths are of one kind, and hide nothing of an application's.
            route: row.upstream.terms.name.clone(),
            // What the client has had before the failure is no status of a server's fault.
            status: if is_started { 0 } else { status },
            error_type: without_number(&failure.to_string()).into_owned(),
            ..FailedRequest::default()
        });
    }
}

/// Ends the exchange: responds if nothing has been, settles the account, and says whether another request may follow.
async fn end(
    connection: &Arc<Connection>,
    row: &UpstreamRow,
    request: Box<Inbound>,
    mut source: ClientBody<'_>,
    sink: ClientResponse<'_>,
    arrived_ns: u64,
    outcome: Result<Forwarded, Reason>,
) -> Result<BodyReader, End> {
    let resources = &connection.resources;
    let is_until_close = matches!(&sink.plan, Some(plan) if plan.body == ResponseBody::UntilClose);
    let ClientResponse { mut status, mut body_bytes, is_started, keep_alive, said, .. } = sink;
    let mut is_kept = match &outcome {
        Ok(forwarded) => keep_alive && forwarded.has_sent_all && !forwarded.was_upgraded,
        Err(_) => false,
    };
    if let Err(reason) = &outcome {
        if !is_started && *reason != Reason::ClientGone {
            status = reason.status();
            let keep_alive = request.head.keep_alive && source.is_all_there() && connection.is_kept();
            let (framing, is_head) = (request.response_framing, request.head.is_head);
            let retry_after = status == 503;
            let page = resources.error_page(Whose::Upstream(row.number), Some(&request), status).map(|page| &**page);
            let usual = ServerResponse::new(framing, status, is_head);
            let response = ServerResponse { page, keep_alive, retry_after, ..usual };
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
        call: None,
        said: said.as_ref(),
    };
    account.settle_as(resources, &row.upstream.terms.counted_as);
    let reader = source.reader;
    resources.buffers.give_back(request);
    connection.end_response(is_kept);
    match reader {
        Some(reader) if is_kept => Ok(reader),
        _ => Err(End::Closing),
    }
}
