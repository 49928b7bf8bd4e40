//! A response that the engine makes itself, on whichever thread and whenever it can: the seam for all that responds in
//! the application's place and has to wait for something else than a crew thread (a disk, another server).
//!
//! `protocol/enqueue` is where requests go that way: it has a complete request whose turn it is, and either queues it for
//! the crew or hands it to somebody else. From then on nothing waits for it but what is pipelined behind it. Whoever has
//! the `Request` looks into it as long as need be, and then
//!
//! * gives it back, to be queued for the crew after all, or
//! * makes an `EngineResponse` of it (and of its body whatever it likes), calls `start` with the head, and ends it: at
//!   once from any thread (`end_with_block`, `end_with_parts`: they never wait, since the send queue's task writes what
//!   a full socket does not take), or block by block in a task (`block`, which waits for the client).
//!
//! However it ends, also when it is just dropped, it is settled: the turn, the room among the requests in flight, the
//! account, the read buffer. One that is dropped before its end closes the connection in the middle, so that the client
//! can tell. It is never made on a thread that has an interpreter, and knows nothing of calls: no cell of the scoreboard
//! is its own.

use super::account::Account;
use super::block_writer::Sent;
use super::request::Request;
use super::responder::{Part, Responder};
use crate::access_log::record::Keeper;
use crate::clock::{self, DateHeader};
use crate::connection::Connection;
use crate::message::body::Body;
use crate::message::inbound::Inbound;
use crate::message::response_head::ResponseHead;
use std::io;
use std::sync::Arc;

/// The response to one request.
pub struct EngineResponse {
    connection: Arc<Connection>,
    /// The request; none once it has been given back to the pool.
    inbound: Option<Box<Inbound>>,
    /// None once the response has ended.
    responder: Option<Responder>,
    arrived_ns: u64,
    status: u16,
    body_bytes: u64,
    /// What the access line has of the response, if it has something.
    said: Option<Keeper>,
}

impl EngineResponse {
    /// The response to `request`, whose turn it is; and the request's body.
    pub fn new(request: Request) -> (EngineResponse, Body) {
        let Request { connection, inbound, body, keep_alive, arrived_ns, room, whose, .. } = request;
        let said = connection.resources.wants().head_keeper();
        let mut responder = Responder::new(connection.clone(), None, &inbound, &body, keep_alive, room, whose);
        responder.keep(&said);
        let (inbound, responder) = (Some(inbound), Some(responder));
        (EngineResponse { connection, inbound, responder, arrived_ns, status: 0, body_bytes: 0, said }, body)
    }

    /// Encodes the head, to leave with the first bytes of the body. `known_length` is the body's length where that is known
    /// and not in the head. Only once.
    pub fn start(&mut self, head: &ResponseHead, known_length: Option<u64>) {
        if let Some(responder) = &mut self.responder {
            responder.start(head, known_length, &mut DateHeader::default());
            self.status = head.status;
        }
    }

    /// Makes `head` and `body`, of a response of the server's, those of its error page, if there is one.
    pub fn put_error_page(&self, head: &mut ResponseHead, body: &mut Vec<u8>) {
        if let Some(page) = self.responder.as_ref().and_then(|responder| responder.error_page(head.status)) {
            page.replace(head);
            body.clone_from(&page.body);
            head.content_length = Some(body.len() as u64);
        }
    }

    /// Whether a body is sent at all (not for HEAD, 204, 304).
    pub fn has_body(&self) -> bool {
        self.responder.as_ref().is_some_and(Responder::has_body)
    }

    /// Whether parts of files can be sent as they are; where they cannot, they have to be read.
    pub fn can_send_file(&self) -> bool {
        self.responder.as_ref().is_some_and(Responder::can_send_file)
    }

    /// Sends the whole body, or the end of it, and ends the response.
    pub fn end_with_block(mut self, block: impl AsRef<[u8]> + Send + Sync + 'static) {
        let Some(mut responder) = self.responder.take() else { return };
        let bytes = if responder.has_body() { block.as_ref() } else { &[] };
        let length = bytes.len();
        if let Ok(Sent::Full(offset)) = responder.block(bytes, true) {
            responder.queue_at_once(Box::new(block), offset, length);
        }
        self.body_bytes = responder.body_bytes;
    }

    /// Sends the whole body, whose length is in the head, and ends the response. On a thread that may wait for a disk.
    pub fn end_with_parts(mut self, parts: Vec<Part>) {
        if !self.has_body() {
            return self.end_with_block(b"");
        }
        if let Some(responder) = self.responder.take() {
            self.body_bytes = responder.send_parts(parts);
        }
    }

    /// Sends a block of the body, waiting for the client where it reads slowly; the response ends with the last. In a
    /// task.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn block(&mut self, block: Vec<u8>, is_last: bool) -> io::Result<()> {
        let Some(responder) = &mut self.responder else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let length = block.len();
        match responder.block(&block, is_last)? {
            Sent::All => Ok(()),
            Sent::Full(offset) => responder.queue(Box::new(block), offset, length, is_last).await,
        }
    }
}

impl Drop for EngineResponse {
    fn drop(&mut self) {
        if let Some(responder) = self.responder.take() {
            self.body_bytes = responder.body_bytes;
            // All of it may have been sent, and then this changes nothing.
            responder.abort();
        }
        let resources = &self.connection.resources;
        let account = Account {
            client: self.connection.origin.client(),
            inbound: self.inbound.as_deref(),
            has_head: true,
            status: self.status,
            body_bytes: self.body_bytes,
            duration_ns: clock::monotonic_ns().saturating_sub(self.arrived_ns),
            call: None,
            said: self.said.as_ref(),
        };
        account.settle(resources);
        if let Some(inbound) = self.inbound.take() {
            resources.buffers.give_back(inbound);
        }
    }
}
