//! The response to a request that was passed on, on its way to the client: framed for that one's version and connection.

use super::directions::Shared;
use crate::access_log::record::{Keeper, Said};
use crate::clock::DateHeader;
use crate::connection::Connection;
use crate::message::framing::ResponseFraming;
use crate::message::inbound::Inbound;
use crate::message::response_head::ResponseHead;
use crate::pace::Patience;
use crate::upstream::ends::ResponseSink;
use portico_wire::{
    CRLF, HopByHop, LAST_CHUNK, ResponseBody, ResponsePlan, ResponseProperties, Version, write_chunk_size,
    write_header, write_status_line,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// So much of a response is coalesced before it leaves.
const COALESCED_BYTES: usize = 32 * 1024;

/// The status whose response MUST say by which protocol the request would be accepted (RFC 9110 15.5.22).
const UPGRADE_REQUIRED: u16 = 426;

/// The response, on its way to the client.
pub struct ClientResponse<'a> {
    connection: &'a Arc<Connection>,
    shared: &'a Shared,
    framing: ResponseFraming,
    version: Version,
    is_head: bool,
    /// Whether another request may follow.
    pub keep_alive: bool,
    patience: Patience,
    /// How it is framed; none before its head has come, and after an upgrade.
    pub plan: Option<ResponsePlan>,
    /// What has not been sent yet.
    out: Vec<u8>,
    /// Whether some of it has: until then another response can take its place.
    pub is_started: bool,
    /// 0 before its head has come.
    pub status: u16,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// What the access line has of its head, if it has something.
    pub said: Option<Keeper>,
}

impl<'a> ClientResponse<'a> {
    /// The response to `request`.
    pub fn new(connection: &'a Arc<Connection>, request: &Inbound, shared: &'a Shared) -> ClientResponse<'a> {
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
            said: connection.resources.wants().head_keeper(),
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
        let mut encoded = end_to_end(head, bytes);
        if head.status == UPGRADE_REQUIRED && self.speaks_http11() {
            write_upgrade(&mut encoded.fields, head, bytes);
        }
        self.keep_alive &= self.connection.is_kept() && self.shared.is_complete.load(Relaxed);
        let plan = self.framing.plan(&ResponseProperties {
            version: self.version,
            is_head: self.is_head,
            status: head.status,
            content_length: head.content_length,
            known_length: None,
            keep_alive: self.keep_alive,
        });
        let resources = &self.connection.resources;
        let (server_header, start) = (resources.settings.server_header.as_bytes(), self.out.len());
        self.framing.write_head(&mut self.out, &encoded, &plan, server_header, &mut DateHeader::default());
        if let Some(said) = &self.said {
            Said::set_head(
                said,
                self.out.get(start..).unwrap_or_default(),
                self.connection.resources.wants().whole_head,
            );
        }
        self.keep_alive = plan.keep_alive;
        self.plan = Some(plan);
    }

    /// A head after which the connection is the other protocol's.
    fn encode_upgrade(&mut self, head: &portico_wire::ResponseHead, bytes: &[u8]) {
        let encoded = end_to_end(head, bytes);
        write_status_line(&mut self.out, &encoded.status_line);
        self.out.extend_from_slice(&encoded.fields);
        write_upgrade(&mut self.out, head, bytes);
        self.out.extend_from_slice(CRLF);
        self.keep_alive = false;
    }

    /// Whether the client knows interim responses and upgrades (RFC 9110 15.2 and 7.8).
    fn speaks_http11(&self) -> bool {
        self.version != Version::Http10 && self.framing == ResponseFraming::Http
    }
}

/// The protocols that the server names, for this connection: it speaks them through a tunnel. Not in other responses,
/// where they are only offered: the server and the client need not mean the same by them (`Upgrade: h2c`).
fn write_upgrade(out: &mut Vec<u8>, head: &portico_wire::ResponseHead, bytes: &[u8]) {
    let protocols = head.headers(bytes, "upgrade").collect::<Vec<_>>().join(&b", "[..]);
    if !protocols.is_empty() {
        write_header(out, b"Connection", b"upgrade");
        write_header(out, b"Upgrade", &protocols);
    }
}

impl ResponseSink for ClientResponse<'_> {
    async fn interim(&mut self, head: &portico_wire::ResponseHead, bytes: &[u8]) -> io::Result<()> {
        // Whether a 100 is due is decided where the body is read.
        if head.status == 100 || !self.speaks_http11() {
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
