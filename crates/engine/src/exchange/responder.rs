//! One response on its way out: head, framing, coalescing of small blocks.
//!
//! Head, first block and small blocks that follow closely are coalesced and leave when enough are together, when the
//! response ends, or at the watchdog's next tick; the end of a pipelined response leaves with the next one. What a full
//! socket does not take goes to the send queue (`sending`). Runs on the thread that is in the application; knows nothing
//! of Python.
//!
//! A response ends when its responder is dropped; how, its state says (`state::response`).

use super::block_writer::{BlockWriter, Leave, Position, RECORD_BYTES, SMALL_BLOCK_BYTES, Sent, coalesce};
use super::coded_body;
use super::coding::{Coding, Start};
pub use super::sending::Part;
use super::sending::{self, Unsent};
use super::server_response::ServerResponse;
use crate::access_log::record::{Keeper, Said};
use crate::admission::Room;
use crate::clock::{self, DateHeader};
use crate::connection::Connection;
use crate::connection::socket::Then;
use crate::files::error_pages::{Asking, ErrorPage, Whose};
use crate::files::named_files::NamedFile;
use crate::lock::lock;
use crate::log::{Level, log};
use crate::message::block::{Block, OwnedBlock};
use crate::message::body::Body;
use crate::message::framing::{ResponseFraming, Tail};
use crate::message::inbound::Inbound;
use crate::message::response_head::ResponseHead;
use crate::message::send_queue::FileRange;
use crate::state::response::{Event, State, transition};
use portico_wire::{LAST_CHUNK, ResponseBody, ResponseProperties, Version};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};

/// Room for what the server adds to a head: the version, its own fields, the empty line.
const SERVER_FIELDS_BYTES: usize = 160;
/// A response that is made faster than this is not asked whether its client is still there.
const ABANDON_MS: u64 = 8;

/// One response.
pub struct Responder {
    connection: Arc<Connection>,
    /// The call's cell of the scoreboard; none where it is no call that responds.
    cell: Option<usize>,
    framing: ResponseFraming,
    version: Version,
    is_head: bool,
    keep_alive: bool,
    /// For a streamed request body: whether all of it has come.
    request_complete: Option<Arc<AtomicBool>>,
    state: State,
    /// The request's room among those in flight.
    room: Option<Room>,
    /// How the body is framed, once the head says so.
    body: Option<ResponseBody>,
    held: Held,
    coding: Coding,
    /// Body bytes accepted from the application; where they are compressed, what has come of them.
    pub body_bytes: u64,
    /// When the application was called, coarse milliseconds.
    called_ms: u64,
    /// Whether the client had closed its side before the head left.
    pub is_abandoned: bool,
    /// Lines for the reverse proxy's log.
    stderr: Stderr,
    /// Where what the access line has of the response is kept, if it has something.
    said: Option<Keeper>,
    /// Where there are error pages: what is to be known for the choice of one.
    asking: Option<Box<Asking>>,
}

/// Whether lines for the reverse proxy's log have gone out: then their stream has to be ended too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stderr {
    Unused,
    Used,
}

/// A wait for room in the send queue. If it ends without any, also where nobody waits any more, the response ends in the
/// middle: some of it is nowhere.
struct Queueing<'a> {
    responder: &'a mut Responder,
    is_done: bool,
}

impl Drop for Queueing<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.responder.advance(Event::Abort);
        }
    }
}

/// What the connection holds of a response whose last byte is accepted: queued, or coalesced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    Perhaps,
}

impl Responder {
    /// A response to the request `inbound` on `connection`, by the call in `cell` if it is one.
    #[inline]
    pub fn new(
        connection: Arc<Connection>,
        cell: Option<usize>,
        inbound: &Inbound,
        request_body: &Body,
        keep_alive: bool,
        room: Option<Room>,
        whose: Whose,
    ) -> Responder {
        let keep_alive = keep_alive && connection.resources.settings.keep_alive_s.ms() > 0;
        let request_complete = match request_body {
            Body::Streamed(stream) => Some(stream.rest.complete.clone()),
            _ => None,
        };
        // What the engine itself responds with has its coding, or none.
        let coding = cell.map_or(Coding::None, |_| Coding::of(inbound, &connection.resources.settings));
        let asking = connection.resources.error_pages.as_ref().map(|_| Box::new(Asking::of(whose, Some(inbound))));
        Responder {
            connection,
            cell,
            framing: inbound.response_framing,
            version: inbound.head.version,
            is_head: inbound.head.is_head,
            keep_alive,
            request_complete,
            state: State::Unstarted,
            room,
            body: None,
            held: Held::Perhaps,
            coding,
            body_bytes: 0,
            called_ms: clock::coarse_ms(),
            is_abandoned: false,
            stderr: Stderr::Unused,
            said: None,
            asking,
        }
    }

    /// Keeps there what the access line has of the response.
    pub fn keep(&mut self, said: &Option<Keeper>) {
        self.said.clone_from(said);
    }

    /// The page that the client gets with `status`, if that is the server's and there is one.
    pub fn error_page(&self, status: u16) -> Option<Arc<ErrorPage>> {
        self.connection.resources.error_pages.as_ref()?.find(self.asking.as_deref()?, status).cloned()
    }

    /// Where the response goes.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Whether the head has left or is about to.
    pub fn is_started(&self) -> bool {
        self.state != State::Unstarted
    }

    fn advance(&mut self, event: Event) {
        match transition(self.state, event) {
            Ok(next) => self.state = next,
            Err(illegal) => {
                // A mistake of the engine, or of who drives it: the response is of no use any more.
                log(Level::Critical, &format!("a response: {illegal}"));
                self.state = State::Aborted;
            }
        }
    }

    /// Has the connection close after this response: a call that nobody waits for may still read from it.
    pub fn end_keep_alive(&mut self) {
        self.keep_alive = false;
    }

    /// Encodes the head, to leave with the first block. `known_length` is the body's length where the
    /// server knows it.
    pub fn start(&mut self, head: &ResponseHead, known_length: Option<u64>, date: &mut DateHeader) {
        let now_ms = clock::coarse_ms();
        date.see(now_ms);
        // Only after a while in the application: it costs a system call.
        self.is_abandoned = now_ms - self.called_ms >= ABANDON_MS && self.connection.socket.has_disconnected();
        match self.coding.settle(head, known_length, self.is_head, &self.connection.resources) {
            Start::AsItIs => self.write_head(head, known_length, date),
            Start::With(head, known_length) => self.write_head(&head, known_length, date),
            Start::WithBody => {}
        }
        self.advance(Event::Start);
        if let Some(cell) = self.cell {
            let resources = &self.connection.resources;
            let made_ns = resources.wants().head_time.then(clock::monotonic_ns);
            resources.slot.head_made(cell, head.status, made_ns);
        }
        self.connection.trace(|| format!("head sent: {}", head.status));
    }

    /// Has the body sent as it is: it has its coding, or none.
    pub fn has_its_coding(&mut self) {
        self.coding = Coding::None;
    }

    /// What `head` names in place of the body, if it may name files.
    pub fn named_in(&self, head: &ResponseHead) -> Option<NamedFile> {
        self.connection.resources.named_files.as_ref()?.named_in(head)
    }

    /// Whether a body of `length` bytes is going to be compressed, with this head.
    pub fn compresses(&self, head: &ResponseHead, length: u64) -> bool {
        self.coding.compresses(head, length, &self.connection.resources.settings)
    }

    /// Whether blocks are compressed.
    pub fn compresses_blocks(&self) -> bool {
        self.coding.is_coded()
    }

    fn write_head(&mut self, head: &ResponseHead, known_length: Option<u64>, date: &mut DateHeader) {
        let request_complete = self.request_complete.as_ref().is_none_or(|complete| complete.load(Acquire));
        // The worker may have begun to drain during the call: this is the last moment to say so.
        self.keep_alive &= self.connection.is_kept();
        let plan = self.framing.plan(&ResponseProperties {
            version: self.version,
            is_head: self.is_head,
            status: head.status,
            content_length: head.content_length,
            known_length,
            keep_alive: self.keep_alive && request_complete,
        });
        let mut outbound = lock(&self.connection.exchange.outbound);
        // At once, with a small body: to grow bit by bit costs more than all of the head.
        let body_bytes = match plan.body {
            ResponseBody::Length(length) => usize::try_from(length).unwrap_or(0).min(SMALL_BLOCK_BYTES),
            _ => 0,
        };
        outbound.reserve(head.status_line.len() + head.fields.len() + SERVER_FIELDS_BYTES + body_bytes);
        let out = &mut outbound.bytes;
        let resources = &self.connection.resources;
        let (server_header, start) = (resources.settings.server_header.as_bytes(), out.len());
        self.framing.write_head(out, head, &plan, server_header, date);
        self.keep_alive = plan.keep_alive;
        if let Some(said) = &self.said {
            Said::set_head(said, out.get(start..).unwrap_or_default(), resources.wants().whole_head);
        }
        drop(outbound);
        self.body = Some(plan.body);
    }

    /// Bytes that the application may still send: fewer than unlimited only under a Content-Length.
    pub fn remaining(&self) -> u64 {
        if let Coding::Coded(body) = &self.coding {
            return body.remaining();
        }
        match self.body {
            Some(ResponseBody::Length(length)) => length.saturating_sub(self.body_bytes),
            Some(ResponseBody::Empty) => 0,
            _ => u64::MAX,
        }
    }

    /// Whether a body is sent at all (not for HEAD, 204, 304).
    pub fn has_body(&self) -> bool {
        !matches!(self.body, Some(ResponseBody::Empty))
    }

    /// Whether the response declared a length that has not been sent in full.
    pub fn is_short(&self) -> bool {
        if let Coding::Coded(body) = &self.coding {
            return body.is_short();
        }
        matches!(self.body, Some(ResponseBody::Length(length)) if length > self.body_bytes)
    }

    /// Whether the response declared a length that has been sent in full.
    fn is_all(&self) -> bool {
        if let Coding::Coded(body) = &self.coding {
            return body.is_finished();
        }
        matches!(self.body, Some(ResponseBody::Length(length)) if length == self.body_bytes)
    }

    fn is_chunked(&self) -> bool {
        matches!(self.body, Some(ResponseBody::Chunked))
    }

    /// Sends a block, not larger than `remaining`; `last` says that the response ends with it. What is `Full` has to be
    /// queued.
    ///
    /// # Errors
    /// The client is gone.
    pub fn block(&mut self, block: &[u8], last: bool) -> io::Result<Sent> {
        if self.state == State::Ended && block.is_empty() {
            return Ok(Sent::All);
        }
        if self.state != State::Body {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.coding.is_coded() { self.coded_block(block, last) } else { self.send(block, last) }
    }

    /// Compresses a block and sends that, piece by piece; what is `Full` is a part of the block.
    #[cold]
    fn coded_block(&mut self, block: &[u8], last: bool) -> io::Result<Sent> {
        let mut taken = 0;
        loop {
            let Coding::Coded(body) = &mut self.coding else { return Err(io::ErrorKind::InvalidInput.into()) };
            if body.is_finished() {
                return self.send(b"", last);
            }
            let (encoded, head) = match body.encode(block.get(taken..).unwrap_or_default(), last) {
                Ok(encoded) => (encoded, body.take_head()),
                Err(error) => {
                    self.advance(Event::Abort);
                    return Err(error);
                }
            };
            taken += encoded.taken;
            if let Some(head) = head {
                self.write_head(&head, Some(encoded.bytes.len() as u64), &mut DateHeader::default());
            }
            let is_last = last && encoded.is_complete;
            let sent = if encoded.bytes.is_empty() { Sent::All } else { self.send(&encoded.bytes, is_last)? };
            if let (Sent::Full(offset), Coding::Coded(body)) = (sent, &mut self.coding) {
                body.keep_unsent(coded_body::Unsent { bytes: encoded.bytes, offset, is_last });
                return Ok(Sent::Full(taken));
            }
            if taken >= block.len() {
                return Ok(Sent::All);
            }
        }
    }

    /// Sends bytes of the body.
    fn send(&mut self, block: &[u8], last: bool) -> io::Result<Sent> {
        if !last
            && !block.is_empty()
            && let Some(cell) = self.cell
        {
            self.connection.resources.slot.block_left(cell, self.body_bytes + block.len() as u64);
        }
        let is_first = self.body_bytes == 0;
        self.body_bytes += block.len() as u64;
        let then = if last && !self.keep_alive { Then::Close } else { Then::More };
        if last || self.is_all() {
            self.leave_flight();
        }
        let last = self.is_end(last);
        let tail = self.tail(!block.is_empty(), last);
        let leave = self.leave(is_first, last);
        let sent = self.writer().write(block, tail, Position { is_last: last, then, leave });
        let has_left = last && leave == Leave::Now && matches!(sent, Ok(Sent::All));
        self.held = if has_left { Held::Nothing } else { Held::Perhaps };
        if last && !self.is_short() {
            self.advance(Event::End);
        } else if !block.is_empty() {
            self.advance(Event::Data);
        }
        if sent.is_err() {
            self.is_abandoned |= is_first;
            self.advance(Event::Abort);
        }
        sent
    }

    /// Makes room for another request: the rest of the response is about to leave.
    fn leave_flight(&mut self) {
        if let Some(room) = self.room.take() {
            self.connection.resources.admission.end_request(room);
        }
    }

    /// When a block leaves that was just counted.
    fn leave(&self, is_first: bool, is_last: bool) -> Leave {
        match (is_first, is_last) {
            // Pipelined responses that are ready together leave together.
            (_, true) if self.keep_alive && self.connection.exchange.has_upcoming() => Leave::WithNext,
            (_, true) => Leave::Now,
            // The client waits for no more.
            (true, false) if self.is_all() => Leave::Now,
            // With the second block, or the end, if that is near.
            (true, false) => Leave::WithNext,
            (false, false) => Leave::WithNextIfClose,
        }
    }

    /// What writes blocks in this response's framing.
    fn writer(&self) -> BlockWriter<'_> {
        BlockWriter { connection: &self.connection, framing: self.framing, is_chunked: self.is_chunked() }
    }

    /// Queues the rest of a block of `length` bytes that was `Full` at `offset`; `last` is as it was for the block.
    /// Ends once there is room. Outside the interpreter: what is kept may go to a file.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn queue(&mut self, owned: OwnedBlock, offset: usize, length: usize, last: bool) -> io::Result<()> {
        if self.coding.is_coded() {
            self.queue_coded((*owned).as_ref().get(..length).unwrap_or_default(), offset, last).await
        } else {
            self.queue_bytes(owned, offset, length, last).await
        }
    }

    /// Queues what has come of the first `taken` bytes of a block, and then of the others.
    #[cold]
    async fn queue_coded(&mut self, block: &[u8], mut taken: usize, last: bool) -> io::Result<()> {
        while let Coding::Coded(body) = &mut self.coding
            && let Some(coded_body::Unsent { bytes, offset, is_last }) = body.take_unsent()
        {
            let length = bytes.len();
            self.queue_bytes(Box::new(bytes), offset, length, is_last).await?;
            let rest = block.get(taken..).unwrap_or_default();
            if !rest.is_empty()
                && let Sent::Full(more) = self.coded_block(rest, last)?
            {
                taken += more;
            }
        }
        Ok(())
    }

    async fn queue_bytes(&mut self, owned: OwnedBlock, offset: usize, length: usize, last: bool) -> io::Result<()> {
        let rest = self.unsent(owned, offset, length, last);
        let mut queueing = Queueing { responder: self, is_done: false };
        let queued = sending::queue(&queueing.responder.connection, length, rest).await;
        queueing.is_done = queued.is_ok();
        queued
    }

    /// As `queue`, for the last block, of a bounded size: whether there is room or not.
    pub fn queue_at_once(&mut self, owned: OwnedBlock, offset: usize, length: usize) {
        let rest = self.unsent(owned, offset, length, true);
        if sending::queue_at_once(&self.connection, rest).is_err() {
            self.advance(Event::Abort);
        }
    }

    /// What is left of a block of `length` bytes from `offset` on, with what follows it.
    fn unsent(&self, owned: OwnedBlock, offset: usize, length: usize, last: bool) -> Unsent {
        let is_last = self.is_end(last);
        // Otherwise the tail was written with the block.
        let tail = if offset < length { self.tail(true, is_last) } else { Tail::default() };
        Unsent { block: Block { owned, range: offset..length }, tail, framing: self.framing, is_last }
    }

    /// Whether a file can be sent without copying it.
    pub fn can_send_file(&self) -> bool {
        !self.framing.is_in_records()
    }

    /// Sends a range of a file as the whole body, without copying it.
    pub fn send_file(mut self, range: FileRange) {
        self.body_bytes += range.length;
        // A file that is shorter than the declared length leaves the response incomplete.
        self.keep_alive &= !self.is_short();
        // Framing of a file is a length or the close of the connection: no tail.
        let queued = sending::queue_file(&self.connection, range);
        self.advance(if queued.is_ok() { Event::End } else { Event::Abort });
    }

    /// Sends the whole body, whose length the head has declared, in parts; returns its length. On a thread that may wait
    /// for a disk, where one of them is a file's.
    pub fn send_parts(mut self, parts: Vec<Part>) -> u64 {
        self.body_bytes += parts.iter().map(Part::length).sum::<u64>();
        self.keep_alive &= !self.is_short();
        self.leave_flight();
        let queued = sending::send_parts(&self.connection, parts);
        self.advance(if queued.is_ok() { Event::End } else { Event::Abort });
        self.body_bytes
    }

    /// Sends lines for the reverse proxy's log, with the next bytes of the response or soon; false if they cannot be.
    pub fn send_errors(&mut self, lines: &[u8]) -> bool {
        let mut outbound = lock(&self.connection.exchange.outbound);
        let is_over = matches!(self.state, State::Ended | State::Aborted);
        if is_over || outbound.queue.is_some() || outbound.bytes.len() + lines.len() > RECORD_BYTES {
            return false;
        }
        let is_taken = self.framing.write_errors(&mut outbound.bytes, lines);
        if is_taken {
            coalesce(&self.connection, outbound);
            self.stderr = Stderr::Used;
        }
        is_taken
    }

    /// Whether the response ends with a block that has just been counted, which is not the `last` for that. Reverse
    /// proxies take the length for the end too: what ends the records must not come apart from it. Where the connection
    /// closes, not from the close either, or the next request is sent in between: both come last then.
    fn is_end(&self, last: bool) -> bool {
        let can_end = if self.framing.is_in_records() { self.keep_alive } else { self.coding.is_coded() };
        last || can_end && self.is_all()
    }

    /// What closes the chunk, and with it the body.
    fn tail(&self, has_block: bool, last: bool) -> Tail {
        match (self.is_chunked(), has_block, last) {
            (true, true, true) => Tail::Fixed(b"\r\n0\r\n\r\n"),
            (true, true, false) => Tail::Fixed(b"\r\n"),
            (true, false, true) => Tail::Fixed(LAST_CHUNK),
            // What is incomplete must not look as if it were not.
            (false, _, true) if !self.is_short() => self.framing.end(self.stderr == Stderr::Used),
            _ => Tail::default(),
        }
    }

    /// Ends in place of a response what the application has made of the connection itself, and begun with `head`.
    pub fn end_upgraded(self, head: &[u8]) {
        if let Some(said) = &self.said {
            let kept = &mut lock(said).head;
            kept.clear();
            kept.extend_from_slice(head);
        }
        self.abort();
    }

    /// Ends a response in the middle, so that the client can tell that it is not complete: what was already accepted is
    /// sent, then the connection closes without the body's end. If everything was sent, what went wrong after that is
    /// nothing that the client could be told.
    pub fn abort(mut self) {
        if self.state != State::Ended && !(self.state == State::Body && self.is_all()) {
            self.advance(Event::Abort);
        }
    }
}

impl Responder {
    /// The application's thread panics before any of the response has left: the client is told so.
    fn send_panic(&mut self) {
        let (framing, is_head) = (self.framing, self.is_head);
        let response = ServerResponse::new(framing, 500, is_head);
        let (bytes, _) = response.encode(&self.connection.resources.settings);
        sending::flush(&self.connection);
        // A client that does not take a few hundred bytes is not reading.
        let _ = self.connection.socket.send(&bytes, Then::More);
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.leave_flight();
        if self.state == State::Unstarted && std::thread::panicking() {
            self.send_panic();
        }
        if self.state == State::Ended && self.held == Held::Nothing {
            // Without a look at what nobody else puts there before the next response.
            return self.connection.end_response(self.keep_alive);
        }
        if self.state == State::Ended {
            return sending::finish(&self.connection, self.keep_alive);
        }
        sending::flush(&self.connection);
        if self.state == State::Body && self.is_all() {
            return sending::finish(&self.connection, self.keep_alive);
        }
        let is_until_close = matches!(self.body, Some(ResponseBody::UntilClose));
        if is_until_close && !self.framing.is_in_records() {
            // Where the close is the end of the body, only a reset tells that it is not (RFC 9112 8).
            self.connection.socket.reset();
        }
        sending::finish(&self.connection, false);
    }
}
