//! One answer on its way out: head, framing, gathering of small blocks. What a full socket does not take is the matter
//! of `responder/rest.rs`.
//!
//! The first block leaves at once with the head. Small blocks that follow closely are gathered and
//! leave when enough are together, when the answer ends, or at the sentinel's next tick. Runs on a
//! crew thread; knows nothing of Python.

mod rest;

pub use rest::OwnedBlock;

use super::envelope::{Envelope, Tail};
use super::{Body, Connection, Inbound, Outbound, Then, backlog};
use crate::clock::{self, DateHeader};
use crate::engine::lock;
use portico_wire::{
    LAST_CHUNK, ResponseBody, ResponseFacts, ResponsePlan, Version, write_chunk_size, write_content_length,
    write_header,
};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};

/// Blocks up to this size may be gathered.
const SMALL_BLOCK_BYTES: usize = 4 * 1024;
/// Gathered bytes that leave without waiting for more.
const GATHER_BYTES: usize = 16 * 1024;
/// Room for what the server adds to a head: the version, its own fields, the empty line.
const SERVER_FIELDS_BYTES: usize = 160;
/// A block later than this after the last one does not "follow closely": it leaves at once.
const CLOSE_NS: u64 = 1_000_000;

/// A record of an answer holds as much where there is more.
const RECORD_BYTES: usize = 65_528;

/// An answer that is made faster than this is not asked whether its client is still there.
const ABANDON_MS: u64 = 8;

/// The head as the application gave it, already checked and encoded.
#[derive(Default)]
pub struct ApplicationHead {
    /// The status code; 0 before `start_response`.
    pub status: u16,
    /// Status code and reason phrase.
    pub status_line: Vec<u8>,
    /// Encoded header lines, without Content-Length.
    pub fields: Vec<u8>,
    /// The application's Content-Length.
    pub content_length: Option<u64>,
    /// Whether `fields` has a Status, which CGI takes for the status.
    pub has_status: bool,
    /// Whether `fields` has a Date.
    pub has_date: bool,
    /// Whether `fields` has a Server.
    pub has_server: bool,
}

impl ApplicationHead {
    /// As before `start_response`.
    pub fn clear(&mut self) {
        self.status = 0;
        self.status_line.clear();
        self.fields.clear();
        self.content_length = None;
        self.has_status = false;
        self.has_date = false;
        self.has_server = false;
    }
}

/// What became of a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    /// Written or gathered.
    All,
    /// The socket is full: the bytes of the block from this offset on wait.
    Blocked(usize),
    /// Nothing was done: a slow reader has not taken what was before it, and the block has to go behind that.
    Behind,
}

/// One answer.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states in disguise")]
pub struct Responder {
    connection: Arc<Connection>,
    envelope: Envelope,
    version: Version,
    is_head: bool,
    keep_alive: bool,
    /// For a streamed request body: whether all of it has arrived.
    request_complete: Option<Arc<AtomicBool>>,
    plan: Option<ResponsePlan>,
    /// Body bytes accepted from the application.
    pub body_bytes: u64,
    /// When the application was called, coarse milliseconds.
    called_ms: u64,
    /// Whether the client had closed its side before the head left.
    pub is_abandoned: bool,
    /// Whether lines for the front server's log have gone out.
    has_errors: bool,
    /// Whether sending has failed.
    is_broken: bool,
    /// Whether the records that end the answer have been written, or kept.
    is_closed: bool,
    /// Whether the connection has been told of the end.
    is_ended: bool,
}

impl Responder {
    /// An answer to the request `inbound` on `connection`.
    pub fn new(connection: Arc<Connection>, inbound: &Inbound, request_body: &Body, keep_alive: bool) -> Responder {
        let engine = connection.engine;
        let keep_alive = keep_alive && engine.keeps_connections();
        let request_complete = match request_body {
            Body::Streamed(stream) => Some(stream.arriving.complete.clone()),
            _ => None,
        };
        Responder {
            connection,
            envelope: inbound.envelope,
            version: inbound.head.version,
            is_head: inbound.head.is_head,
            keep_alive,
            request_complete,
            plan: None,
            body_bytes: 0,
            called_ms: clock::coarse_ms(),
            is_abandoned: false,
            has_errors: false,
            is_broken: false,
            is_closed: false,
            is_ended: false,
        }
    }

    /// Where the answer goes.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Whether the head has left or is about to.
    pub fn is_started(&self) -> bool {
        self.plan.is_some()
    }

    /// Encodes the head, to leave with the first block. `known_length` is the body's length where the
    /// server knows it.
    pub fn start(&mut self, head: &ApplicationHead, known_length: Option<u64>, date: &mut DateHeader) {
        // Only after a while in the application: it costs a system call.
        self.is_abandoned = clock::coarse_ms() - self.called_ms >= ABANDON_MS && self.connection.has_departed();
        let request_complete = self.request_complete.as_ref().is_none_or(|complete| complete.load(Acquire));
        // The worker may have begun to drain during the call: this is the last moment to say so.
        self.keep_alive &= self.connection.engine.keeps_connections();
        let plan = self.envelope.plan(&ResponseFacts {
            version: self.version,
            is_head: self.is_head,
            status: head.status,
            content_length: head.content_length,
            known_length,
            keep_alive: self.keep_alive && request_complete,
        });
        let mut outbound = lock(&self.connection.outbound);
        let out = &mut outbound.bytes;
        let start = out.len();
        // At once, with a small body: to grow bit by bit costs more than all of the head.
        let body_bytes = match plan.body {
            ResponseBody::Length(length) => usize::try_from(length).unwrap_or(0).min(SMALL_BLOCK_BYTES),
            _ => 0,
        };
        out.reserve(head.status_line.len() + head.fields.len() + SERVER_FIELDS_BYTES + body_bytes);
        self.envelope.write_status(out, &head.status_line);
        self.envelope.write_fields(out, head);
        if let Some(length) = head.content_length.filter(|_| !plan.drop_content_length).or(plan.add_content_length) {
            write_content_length(out, length);
        }
        if plan.add_chunked {
            write_header(out, b"Transfer-Encoding", b"chunked");
        }
        if let Some(connection) = plan.connection {
            write_header(out, b"Connection", connection.as_bytes());
        }
        if !head.has_date {
            write_header(out, b"Date", date.text());
        }
        if !head.has_server {
            write_header(out, b"Server", b"portico");
        }
        out.extend_from_slice(b"\r\n");
        self.envelope.enclose(out, start);
        self.keep_alive = plan.keep_alive;
        drop(outbound);
        self.plan = Some(plan);
    }

    /// Body bytes that may still be sent: fewer than unlimited only under a Content-Length.
    pub fn remaining(&self) -> u64 {
        match self.plan.as_ref().map(|plan| &plan.body) {
            Some(ResponseBody::Length(length)) => length.saturating_sub(self.body_bytes),
            Some(ResponseBody::Empty) => 0,
            _ => u64::MAX,
        }
    }

    /// Whether a body is sent at all (not for HEAD, 204, 304).
    pub fn has_body(&self) -> bool {
        !matches!(self.plan.as_ref().map(|plan| &plan.body), Some(ResponseBody::Empty))
    }

    /// Whether the answer declared a length that has not been sent in full.
    pub fn is_short(&self) -> bool {
        matches!(self.plan.as_ref().map(|plan| &plan.body), Some(ResponseBody::Length(length)) if *length > self.body_bytes)
    }

    /// Whether the answer declared a length that has been sent in full.
    fn is_all(&self) -> bool {
        matches!(self.plan.as_ref().map(|plan| &plan.body), Some(ResponseBody::Length(length)) if *length == self.body_bytes)
    }

    fn is_chunked(&self) -> bool {
        matches!(self.plan.as_ref().map(|plan| &plan.body), Some(ResponseBody::Chunked))
    }

    /// Sends a block, not larger than `remaining`; `last` says that the answer ends with it.
    ///
    /// # Errors
    /// The client is gone.
    pub fn block(&mut self, block: &[u8], last: bool) -> io::Result<Sent> {
        if self.is_closed && block.is_empty() {
            return Ok(Sent::All);
        }
        let mut outbound = lock(&self.connection.outbound);
        if outbound.backlog.is_some() {
            return Ok(Sent::Behind);
        }
        let first = self.body_bytes == 0;
        self.body_bytes += block.len() as u64;
        let then = if last && !self.keep_alive { Then::Close } else { Then::More };
        let last = self.is_end(last);
        self.is_closed = last && self.envelope.is_in_records() && !self.is_short();
        if self.envelope.is_in_records() && block.len() > SMALL_BLOCK_BYTES {
            let sent = self.send_records(&mut outbound, block, last, then);
            self.is_abandoned |= first && sent.is_err();
            self.is_broken |= sent.is_err();
            return sent;
        }
        if self.is_chunked() && !block.is_empty() {
            write_chunk_size(&mut outbound.bytes, block.len());
        }
        let tail = self.tail(!block.is_empty(), last);
        if block.len() > SMALL_BLOCK_BYTES {
            let sent = self.send_large(&mut outbound, block, tail.as_ref(), then);
            self.is_abandoned |= first && sent.is_err();
            self.is_broken |= sent.is_err();
            return sent;
        }
        // Copying a small block costs less than the kernel's handling of a list of buffers.
        self.envelope.write(&mut outbound.bytes, block);
        outbound.bytes.extend_from_slice(tail.as_ref());
        let follows_closely = || clock::monotonic_ns().saturating_sub(outbound.last_send_ns) < CLOSE_NS;
        if !last && !first && outbound.bytes.len() < GATHER_BYTES && follows_closely() {
            if !outbound.listed {
                outbound.listed = true;
                drop(outbound);
                self.tell_sentinel();
            }
            return Ok(Sent::All);
        }
        if outbound.bytes.is_empty() {
            // The end of a body whose length was declared and has been sent.
            return Ok(Sent::All);
        }
        let sent = self.connection.send(&outbound.bytes, then);
        self.is_abandoned |= first && sent.is_err();
        self.is_broken |= sent.is_err();
        outbound.take_away(sent?);
        if !last {
            outbound.last_send_ns = clock::monotonic_ns();
        }
        Ok(if outbound.bytes.is_empty() { Sent::All } else { Sent::Blocked(block.len()) })
    }

    /// Head or gathered bytes, block and tail in one system call, without copying the block.
    fn send_large(&self, outbound: &mut Outbound, block: &[u8], tail: &[u8], then: Then) -> io::Result<Sent> {
        let pending = outbound.bytes.len();
        let slices = [IoSlice::new(&outbound.bytes), IoSlice::new(block), IoSlice::new(tail)];
        let sent = self.connection.send_slices(&slices, then)?;
        outbound.last_send_ns = clock::monotonic_ns();
        outbound.take_away(sent.min(pending));
        let block_sent = sent.saturating_sub(pending).min(block.len());
        if block_sent < block.len() {
            return Ok(Sent::Blocked(block_sent));
        }
        // Only framing can be left now: it goes where gathered bytes go.
        outbound.bytes.extend_from_slice(tail.get(sent - pending - block_sent..).unwrap_or_default());
        Ok(if outbound.bytes.is_empty() { Sent::All } else { Sent::Blocked(block.len()) })
    }

    /// Sends lines for the front server's log, with the next bytes of the answer or soon; false if they cannot be.
    pub fn send_errors(&mut self, lines: &[u8]) -> bool {
        let mut outbound = lock(&self.connection.outbound);
        if self.is_closed || outbound.backlog.is_some() || outbound.bytes.len() + lines.len() > RECORD_BYTES {
            return false;
        }
        self.has_errors = self.envelope.write_errors(&mut outbound.bytes, lines);
        if self.has_errors && !std::mem::replace(&mut outbound.listed, true) {
            drop(outbound);
            self.tell_sentinel();
        }
        self.has_errors
    }

    /// Whether the answer ends with a block that has just been counted, which is not the `last` for that. Front servers
    /// take the length for the end too: what ends the records must not come apart from it. Where the connection closes,
    /// not from the close either, or the next request is sent in between: both come last then.
    fn is_end(&self, last: bool) -> bool {
        last || self.envelope.is_in_records() && self.keep_alive && self.is_all()
    }

    /// A block in records, one after the other: the records need copies, and so the whole block would be there twice.
    fn send_records(&self, outbound: &mut Outbound, block: &[u8], last: bool, then: Then) -> io::Result<Sent> {
        let mut end = 0;
        for content in block.chunks(RECORD_BYTES) {
            end += content.len();
            self.envelope.write(&mut outbound.bytes, content);
            let is_end = end == block.len();
            if is_end {
                outbound.bytes.extend_from_slice(self.tail(true, last).as_ref());
            }
            let then = if is_end { then } else { Then::More };
            let sent = self.connection.send(&outbound.bytes, then)?;
            outbound.take_away(sent);
            if !outbound.bytes.is_empty() {
                return Ok(Sent::Blocked(end));
            }
        }
        outbound.last_send_ns = clock::monotonic_ns();
        Ok(Sent::All)
    }

    /// What closes the chunk, and with it the body.
    fn tail(&self, has_block: bool, last: bool) -> Tail {
        match (self.is_chunked(), has_block, last) {
            (true, true, true) => Tail::Fixed(b"\r\n0\r\n\r\n"),
            (true, true, false) => Tail::Fixed(b"\r\n"),
            (true, false, true) => Tail::Fixed(LAST_CHUNK),
            // What is incomplete must not look as if it were not.
            (false, _, true) if !self.is_short() => self.envelope.end(self.has_errors),
            _ => Tail::default(),
        }
    }

    fn tell_sentinel(&self) {
        let engine = self.connection.engine;
        if engine.gathered.add(self.connection.clone()) {
            engine.crew.wake_sentinel();
        }
    }

    /// Ends an answer whose bytes have all been written.
    pub fn done(mut self) {
        self.finish(self.keep_alive);
    }

    fn finish(&mut self, keep: bool) {
        self.is_ended = true;
        backlog::finish(&self.connection, keep);
    }

    /// Ends an answer in the middle, so that the client can tell that it is not complete: what was
    /// already accepted is sent, then the connection closes without the body's end.
    pub fn cut(mut self) {
        self.break_off();
    }

    fn break_off(&mut self) {
        self.connection.send_gathered();
        if !self.is_broken && (self.is_closed || self.is_all()) {
            // Everything was sent: what went wrong after that is nothing that the client could be told.
            return self.finish(self.keep_alive);
        }
        let ends_with_connection = !self.envelope.is_in_records();
        if ends_with_connection && matches!(self.plan.as_ref().map(|plan| &plan.body), Some(ResponseBody::UntilClose)) {
            // Where the close is the end of the body, only a reset tells that it is not (RFC 9112 8).
            self.connection.reset();
        }
        self.finish(false);
    }
}

impl Drop for Responder {
    /// Nobody has ended the answer: the client has to be able to tell, and the connection does not wait for ever.
    fn drop(&mut self) {
        if !self.is_ended {
            self.break_off();
        }
    }
}
