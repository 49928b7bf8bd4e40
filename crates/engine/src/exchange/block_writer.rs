//! How the blocks of a response leave: with the head, coalesced, or at once; what the socket does not take is left to the
//! caller. Knows nothing of where a response begins or ends.

use crate::clock;
use crate::connection::Connection;
use crate::connection::outbound::Outbound;
use crate::connection::socket::Then;
use crate::lock::lock;
use crate::message::framing::{ResponseFraming, Tail};
use portico_wire::write_chunk_size;
use std::io::{self, IoSlice};
use std::sync::{Arc, MutexGuard};

/// Blocks up to this size may be coalesced.
pub const SMALL_BLOCK_BYTES: usize = 4 * 1024;
/// Coalesced bytes that leave without waiting for more.
const COALESCED_BYTES: usize = 16 * 1024;
/// A block later than this after the last one does not "follow closely": it leaves at once.
const CLOSE_NS: u64 = 1_000_000;
/// A record of a response holds as much where there is more.
pub const RECORD_BYTES: usize = 65_528;

/// What became of a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    /// Written or coalesced.
    All,
    /// The socket is full, or a slow reader has not taken what was before: the bytes of the block from this offset on
    /// are to be queued.
    Full(usize),
}

/// Writes blocks of one response.
pub struct BlockWriter<'a> {
    /// Where they go.
    pub connection: &'a Arc<Connection>,
    /// What they look like.
    pub framing: ResponseFraming,
    /// Whether each is a chunk.
    pub is_chunked: bool,
}

/// Where a block stands in its response.
#[derive(Clone, Copy)]
pub struct Position {
    /// Whether the response ends with it.
    pub is_last: bool,
    /// What follows it on the connection.
    pub then: Then,
    /// When it leaves, if it is small.
    pub leave: Leave,
}

/// When a small block leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// At once.
    Now,
    /// With what follows, if it follows closely on the block before; else at once.
    WithNextIfClose,
    /// With what follows.
    WithNext,
}

impl BlockWriter<'_> {
    /// Writes a block in its framing, closed by `tail`, or coalesces it.
    ///
    /// # Errors
    /// The client is gone.
    pub fn write(&self, block: &[u8], tail: Tail, position: Position) -> io::Result<Sent> {
        let Position { is_last, then, leave } = position;
        let is_large = block.len() > SMALL_BLOCK_BYTES;
        let mut outbound = lock(&self.connection.exchange.outbound);
        let is_behind = outbound.queue.is_some();
        if is_large && self.framing.is_in_records() {
            return if is_behind {
                Ok(Sent::Full(0))
            } else {
                self.write_records(&mut outbound, block, tail.as_ref(), then)
            };
        }
        if self.is_chunked && !block.is_empty() {
            write_chunk_size(&mut outbound.bytes, block.len());
        }
        if is_large {
            return if is_behind {
                Ok(Sent::Full(0))
            } else {
                self.write_large(&mut outbound, block, tail.as_ref(), then)
            };
        }
        // Copying a small block costs less than the kernel's handling of a list of buffers.
        self.framing.write(&mut outbound.bytes, block);
        outbound.bytes.extend_from_slice(tail.as_ref());
        if is_behind {
            return Ok(Sent::Full(block.len()));
        }
        let follows_closely = || clock::monotonic_ns().saturating_sub(outbound.last_send_ns) < CLOSE_NS;
        let may_wait = match leave {
            Leave::Now => false,
            Leave::WithNextIfClose => follows_closely(),
            Leave::WithNext => true,
        };
        if may_wait && outbound.bytes.len() < COALESCED_BYTES {
            if leave == Leave::WithNext && !is_last {
                outbound.last_send_ns = clock::monotonic_ns();
            }
            coalesce(self.connection, outbound);
            return Ok(Sent::All);
        }
        if outbound.bytes.is_empty() {
            // The end of a body whose length was declared and has been sent.
            return Ok(Sent::All);
        }
        let sent = self.connection.socket.send(&outbound.bytes, then)?;
        outbound.take_away(sent);
        if !is_last {
            outbound.last_send_ns = clock::monotonic_ns();
        }
        Ok(if outbound.bytes.is_empty() { Sent::All } else { Sent::Full(block.len()) })
    }

    /// Head or coalesced bytes, block and tail in one system call, without copying the block.
    fn write_large(&self, outbound: &mut Outbound, block: &[u8], tail: &[u8], then: Then) -> io::Result<Sent> {
        let pending = outbound.bytes.len();
        let slices = [IoSlice::new(&outbound.bytes), IoSlice::new(block), IoSlice::new(tail)];
        let sent = self.connection.socket.send_slices(&slices, then)?;
        outbound.last_send_ns = clock::monotonic_ns();
        outbound.take_away(sent.min(pending));
        let block_sent = sent.saturating_sub(pending).min(block.len());
        if block_sent < block.len() {
            return Ok(Sent::Full(block_sent));
        }
        // Only framing can be left now: it goes where coalesced bytes go.
        outbound.bytes.extend_from_slice(tail.get(sent - pending - block_sent..).unwrap_or_default());
        Ok(if outbound.bytes.is_empty() { Sent::All } else { Sent::Full(block.len()) })
    }

    /// A block in records, one after the other: the records need copies, and so the whole block would be there twice.
    fn write_records(&self, outbound: &mut Outbound, block: &[u8], tail: &[u8], then: Then) -> io::Result<Sent> {
        let mut end = 0;
        for content in block.chunks(RECORD_BYTES) {
            end += content.len();
            self.framing.write(&mut outbound.bytes, content);
            let is_end = end == block.len();
            if is_end {
                outbound.bytes.extend_from_slice(tail);
            }
            let then = if is_end { then } else { Then::More };
            let sent = self.connection.socket.send(&outbound.bytes, then)?;
            outbound.take_away(sent);
            if !outbound.bytes.is_empty() {
                return Ok(Sent::Full(end));
            }
        }
        outbound.last_send_ns = clock::monotonic_ns();
        Ok(Sent::All)
    }
}

/// The watchdog sends what is coalesced, if nobody else does before.
pub fn coalesce(connection: &Arc<Connection>, mut outbound: MutexGuard<'_, Outbound>) {
    if !std::mem::replace(&mut outbound.is_coalescing, true) {
        drop(outbound);
        connection.resources.coalescing.add(connection.clone());
    }
}
