//! What comes in: the read buffer with the head parsed from it, and the request that the crew gets.

use super::{Body, Connection};
use crate::budget::Budget;
use portico_wire::{Forwarded, RequestHead, WireError};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// First size of a read buffer; a pooled buffer that grew beyond it is freed instead of kept.
const BUFFER_BYTES: usize = 16 * 1024;

/// A read buffer and the head that points into it, reused from request to request.
pub struct Inbound {
    bytes: Vec<u8>,
    filled: usize,
    /// The head parsed from the start of the buffer.
    pub head: RequestHead,
    /// What a trusted front server says of the request.
    pub forwarded: Option<Box<Forwarded>>,
    /// What `bytes` is counted in.
    memory: &'static Budget,
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes.len() as u64);
    }
}

impl Inbound {
    /// An empty buffer, counted in `memory`: without one nothing can be read, so it is granted in any case.
    pub fn new(memory: &'static Budget) -> Inbound {
        memory.overdraw(BUFFER_BYTES as u64);
        Inbound { bytes: vec![0; BUFFER_BYTES], filled: 0, head: RequestHead::new(), forwarded: None, memory }
    }

    /// The bytes read so far.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Room for the next read, in bytes; grows a full buffer (the limit on heads bounds it).
    pub fn room(&mut self) -> usize {
        if self.filled == self.bytes.len() {
            self.memory.overdraw(self.bytes.len() as u64);
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        self.bytes.len() - self.filled
    }

    /// Where the next read goes. The caller tells how much came with `advance`.
    pub fn spare(&mut self) -> &mut [u8] {
        self.room();
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// Counts `received` bytes in.
    pub fn advance(&mut self, received: usize) {
        self.filled = (self.filled + received).min(self.bytes.len());
    }

    /// Adds bytes that were read elsewhere.
    pub fn push(&mut self, bytes: &[u8]) {
        while self.room() < bytes.len() {
            self.memory.overdraw(self.bytes.len() as u64);
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        if let Some(spare) = self.bytes.get_mut(self.filled..self.filled + bytes.len()) {
            spare.copy_from_slice(bytes);
            self.filled += bytes.len();
        }
    }

    /// Forgets the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.bytes.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    /// Forgets all bytes from `end` on.
    pub fn truncate(&mut self, end: usize) {
        self.filled = self.filled.min(end);
    }

    /// Parses the head at the start of the buffer into `head`.
    pub fn read_head(&mut self, limits: &portico_wire::Limits) -> Result<Option<usize>, portico_wire::WireError> {
        let Inbound { bytes, filled, head, .. } = self;
        head.read(bytes.get(..*filled).unwrap_or_default(), limits)
    }

    /// As `read_head`, after one of the same bytes that wanted more: goes on where that stopped, so that a head that
    /// comes in many pieces is not read again from its start for each of them.
    pub fn read_head_on(&mut self, limits: &portico_wire::Limits) -> Result<Option<usize>, portico_wire::WireError> {
        let Inbound { bytes, filled, head, .. } = self;
        head.read_on(bytes.get(..*filled).unwrap_or_default(), limits)
    }

    /// Takes over what the front server says of the parsed head, if the peer of `connection` is one.
    ///
    /// # Errors
    /// What it says is invalid.
    pub fn read_forwarded(&mut self, connection: &Connection) -> Result<(), WireError> {
        self.forwarded = None;
        if self.head.has_forwarded && connection.is_trusted() {
            let trusted = &connection.engine.bounds.trusted;
            self.forwarded = Forwarded::read(&self.head, self.bytes(), trusted)?.map(Box::new);
        }
        Ok(())
    }

    /// Address and port of the client: as a trusted front server says, else those of the `peer`. A Unix socket
    /// has neither.
    pub fn client(&self, peer: Option<SocketAddr>) -> (Option<IpAddr>, Option<u16>) {
        match self.forwarded.as_ref().and_then(|forwarded| forwarded.client) {
            Some(client) => (client.address, client.port),
            // An IPv4 client of a dual-stack socket is shown as what it is.
            None => (peer.map(|peer| peer.ip().to_canonical()), peer.map(|peer| peer.port())),
        }
    }

    /// The request line of the parsed head, as it was on the wire.
    pub fn request_line(&self) -> &[u8] {
        const VERSION_BYTES: usize = " HTTP/1.1".len();
        let (start, end) = (self.head.method.start as usize, self.head.target.end as usize + VERSION_BYTES);
        self.bytes().get(start..end).unwrap_or_default()
    }

    /// The first line as it came, at most `most` bytes of it: for the log, whatever the bytes are.
    pub fn first_line(&self, most: usize) -> &[u8] {
        let start = self.bytes().iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
        let line = self.bytes().get(start..).unwrap_or_default();
        let line = line.get(..most).unwrap_or(line);
        let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(line.len());
        line.get(..end).unwrap_or_default()
    }

    /// Makes the buffer as new; false if it is not worth keeping.
    pub fn reset(&mut self) -> bool {
        self.filled = 0;
        self.head.headers.clear();
        self.forwarded = None;
        self.bytes.len() == BUFFER_BYTES
    }
}

/// A complete request on its way to the application.
pub struct Request {
    /// Where it came from and where the answer goes.
    pub connection: Arc<Connection>,
    /// Its head, and the bytes the head points into.
    pub inbound: Box<Inbound>,
    /// Its body.
    pub body: Body,
    /// Whether the connection may be kept after the answer.
    pub keep_alive: bool,
    /// When it was complete (or, streamed, when its head was), monotonic nanoseconds.
    pub arrived_ns: u64,
    /// Since when its client waits, as far as the queue is concerned, monotonic nanoseconds.
    pub since_ns: u64,
}
