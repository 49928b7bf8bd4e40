//! What a full socket has not taken of an answer: kept for a task while the application goes on, handed over to one at
//! its end, or waited for. Files go out here too, since no socket takes one at once.

use super::{Responder, Sent, Tail};
use crate::bounds::Patience;
use crate::budget::Reservation;
use crate::clock;
use crate::connection::{Connection, Outbound, backlog};
use crate::crew::Crew;
use crate::engine::lock;
use portico_wire::write_chunk_size;
use std::borrow::Cow;
use std::fs::File;
use std::io;

/// Bytes that outlive the call that made them.
pub type OwnedBlock = Box<dyn AsRef<[u8]> + Send>;

impl Responder {
    /// As `block`, where that was `Behind`. Outside the interpreter: what is kept for a slow reader may go to a file.
    ///
    /// # Errors
    /// The client is gone.
    pub fn block_behind(&mut self, block: &[u8], last: bool) -> io::Result<Sent> {
        let mut outbound = lock(&self.connection.outbound);
        let Outbound { bytes, backlog, .. } = &mut *outbound;
        let Some(backlog) = backlog else {
            // All has been taken meanwhile.
            drop(outbound);
            return self.block(block, last);
        };
        self.body_bytes += block.len() as u64;
        let last = self.is_end(last);
        // What stands there goes before: perhaps the head, where lines for the front server's log came before it.
        let mut ahead = std::mem::take(bytes);
        if self.is_chunked() && !block.is_empty() {
            write_chunk_size(&mut ahead, block.len());
        }
        let tail = self.tail(!block.is_empty(), last);
        let added = backlog.add(&[&ahead, &self.envelope.enclosed(block), tail.as_ref()]);
        self.is_closed = last && self.envelope.is_in_records() && !self.is_short();
        self.is_broken |= added.is_err();
        added.map(|()| Sent::All)
    }

    /// Whether a block of `bytes` has to wait until the client has taken more of those before it.
    pub fn is_behind(&self, bytes: usize) -> bool {
        lock(&self.connection.outbound).backlog.as_ref().is_some_and(|backlog| !backlog.has_room(bytes))
    }

    /// Waits, driving I/O, until a block of `bytes` has room. Outside the interpreter.
    pub fn wait_for_room(&self, bytes: usize) {
        Crew::rest(self.connection.engine.slot, || backlog::wait_for_room(&self.connection, bytes));
    }

    /// Keeps the rest of a blocked block for a task to write, so that the application can go on; false if that is more
    /// than may be kept. `last` is as it was for the block.
    pub fn keep_rest(&self, block: &[u8], offset: usize, last: bool) -> bool {
        let rest = block.get(offset..).unwrap_or_default();
        if !backlog::may_start(self.connection.engine, rest.len()) {
            return false;
        }
        let tail = if rest.is_empty() { Tail::default() } else { self.tail(true, last || self.is_closed) };
        let rest = self.envelope.enclosed(rest);
        let mut outbound = lock(&self.connection.outbound);
        let pending = std::mem::take(&mut outbound.bytes);
        match &mut outbound.backlog {
            // The sentinel was faster with what was gathered. If the client is gone the next block says so.
            Some(backlog) => drop(backlog.add(&[&pending, &rest, tail.as_ref()])),
            None => backlog::start(&self.connection, &mut outbound, &[&pending, &rest, tail.as_ref()]),
        }
        true
    }

    /// Waits, driving I/O, until the rest of a blocked block is written. Outside the interpreter. `last` is as it was
    /// for the block.
    ///
    /// # Errors
    /// The client is gone.
    pub fn wait_sent(&mut self, block: &[u8], offset: usize, last: bool) -> io::Result<()> {
        let tail = if offset < block.len() { self.tail(true, last || self.is_closed) } else { Tail::default() };
        self.connection.watch();
        let pending = std::mem::take(&mut lock(&self.connection.outbound).bytes);
        let engine = self.connection.engine;
        let held = Reservation::for_answer(&engine.memory);
        let block = self.envelope.enclosed(block.get(offset..).unwrap_or_default());
        let rest = Rest { pending, block: Box::new(block), tail, file: None, held };
        let written = Crew::rest(engine.slot, || engine.runtime.block_on(rest.write(&self.connection)));
        self.is_broken |= written.is_err();
        written?;
        lock(&self.connection.outbound).last_send_ns = clock::monotonic_ns();
        Ok(())
    }

    /// Memory for a block that a task is to write; none if answers have as much as they may.
    pub fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let mut held = Reservation::for_answer(&self.connection.engine.memory);
        held.grow(bytes as u64).then_some(held)
    }

    /// Leaves the rest of the last block, and the end of the answer, to a task; `held` is what was reserved for it.
    pub fn hand_over(self, block: OwnedBlock, offset: usize, held: Reservation) {
        let rest = From { block, offset };
        let tail = if rest.as_ref().is_empty() { Tail::default() } else { self.tail(true, true) };
        let rest: Box<dyn AsRef<[u8]> + Send> = match self.envelope.enclosed(rest.as_ref()) {
            Cow::Owned(records) => Box::new(records),
            Cow::Borrowed(_) => Box::new(rest),
        };
        self.hand_over_rest(rest, tail, None, held);
    }

    /// Whether a file can be sent without copying it.
    pub fn can_send_file(&self) -> bool {
        !self.envelope.is_in_records()
    }

    /// Sends `length` bytes of `file` from `offset` on as the whole body, without copying them.
    pub fn send_file(mut self, file: File, offset: u64, length: u64) {
        self.body_bytes += length;
        // A file that is shorter than the declared length leaves the answer incomplete.
        self.keep_alive &= !self.is_short();
        // Framing of a file is a length or the close of the connection: no tail.
        let nothing = Reservation::for_answer(&self.connection.engine.memory);
        self.hand_over_rest(Box::new([]), Tail::default(), Some((file, offset, length)), nothing);
    }

    fn hand_over_rest(
        mut self,
        block: Box<dyn AsRef<[u8]> + Send>,
        tail: Tail,
        file: Option<(File, u64, u64)>,
        held: Reservation,
    ) {
        self.connection.watch();
        let pending = std::mem::take(&mut lock(&self.connection.outbound).bytes);
        let rest = Rest { pending, block, tail, file, held };
        self.is_ended = true;
        let (connection, keep_alive) = (self.connection.clone(), self.keep_alive);
        let runtime = &connection.engine.runtime;
        runtime.spawn(async move {
            let written = rest.write(&connection).await;
            connection.answer_done(written.is_ok() && keep_alive);
        });
    }
}

struct From {
    block: OwnedBlock,
    offset: usize,
}

impl AsRef<[u8]> for From {
    fn as_ref(&self) -> &[u8] {
        (*self.block).as_ref().get(self.offset..).unwrap_or_default()
    }
}

/// What a full socket did not take.
struct Rest<'a> {
    pending: Vec<u8>,
    block: Box<dyn AsRef<[u8]> + Send + 'a>,
    tail: Tail,
    file: Option<(File, u64, u64)>,
    /// For `block`; none where a crew thread waits with it.
    held: Reservation,
}

impl Rest<'_> {
    async fn write(self, connection: &Connection) -> io::Result<()> {
        backlog::drained(connection).await;
        let mut patience = connection.patience();
        connection.send_rest(&mut patience, &self.pending).await?;
        connection.send_rest(&mut patience, (*self.block).as_ref()).await?;
        if let Some((file, offset, length)) = self.file {
            send_file(connection, &mut patience, &file, offset, length).await?;
        }
        connection.send_rest(&mut patience, self.tail.as_ref()).await?;
        drop(self.held);
        Ok(())
    }
}

/// Sends a range of a file with sendfile(2).
async fn send_file(
    connection: &Connection,
    patience: &mut Patience,
    file: &File,
    mut offset: u64,
    length: u64,
) -> io::Result<()> {
    /// At most this much at a time, so that one large file does not keep the others waiting.
    const PIECE_BYTES: u64 = 1024 * 1024;
    let end = offset + length;
    while offset < end {
        let piece = usize::try_from((end - offset).min(PIECE_BYTES)).unwrap_or(usize::MAX);
        let mut write = || match rustix::fs::sendfile(&connection.socket, file, Some(&mut offset), piece) {
            // The file became shorter: the promised length cannot be kept.
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => Ok(sent),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        };
        let sent = write()?;
        if sent == 0 {
            connection.write_when_ready(patience, write).await?;
        } else {
            patience.moved(sent as u64);
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
