//! Health checks: requests for a health path, to which the server itself responds, also while all threads are busy.

use super::server_response::ServerResponse;
use crate::connection::Connection;
use crate::connection::socket::Then;
use crate::message::inbound::Inbound;
use crate::settings::Settings;
use std::sync::Arc;

/// Whether a complete request is for a health path.
pub fn is_health_check(settings: &Settings, inbound: &Inbound) -> bool {
    if settings.health_paths.is_empty() || !inbound.head.framing.is_empty() {
        return false;
    }
    let (bytes, head) = (inbound.bytes(), &inbound.head);
    matches!(head.method.of(bytes), b"GET" | b"HEAD") && settings.health_paths.contains(head.path.of(bytes))
}

/// Responds to a health check whose turn it is: 200 while the server takes requests, 503 from the
/// moment that its end is announced. Not logged. `has_more`: the client has sent more after it by now.
/// Returns whether the connection is kept.
pub fn respond(connection: &Arc<Connection>, inbound: &Inbound, has_more: bool) -> bool {
    let resources = &connection.resources;
    let (status, body): (u16, &[u8]) = if resources.is_draining() { (503, b"draining\n") } else { (200, b"ok\n") };
    connection.submit(has_more);
    let keep_alive = inbound.head.keep_alive && connection.is_kept();
    let (framing, is_head) = (inbound.response_framing, inbound.head.is_head);
    let response = ServerResponse { body: Some(body), keep_alive, ..ServerResponse::new(framing, status, is_head) };
    let (bytes, _) = response.encode(&resources.settings);
    let sent = connection.socket.send(&bytes, Then::More);
    let is_kept = keep_alive && sent.is_ok_and(|sent| sent == bytes.len());
    connection.end_response(is_kept);
    is_kept
}
