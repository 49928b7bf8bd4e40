//! What a client has not taken of its response yet: pieces in the order in which they go out, in memory, in an unlinked
//! temporary file, or as the range of a file. Whoever makes the response adds, one task takes.
//!
//! So a slow reader holds a thread of the application only once there is no room here.

use super::block::Block;
use super::framing::ResponseFraming;
use super::spooled::{Next, Spooled, Write};
use crate::blocking::BlockingThreads;
use crate::budget::{Budget, Budgets, Reservation};
use crate::log::RateLimited;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use tokio::sync::Notify;

/// Bytes that the task takes at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Room that a piece has at least, so that small blocks share one.
const SMALL_PIECE_BYTES: usize = 4 * 1024;

/// The queue of one response.
pub struct SendQueue {
    memory_limit: u64,
    /// Of memory and the temporary file together.
    spool_limit: u64,
    pieces: VecDeque<Piece>,
    /// In all pieces that are in memory, those that the task writes at the moment included where they are shared.
    memory_bytes: u64,
    memory: Arc<Budget>,
    memory_held: Reservation,
    temporary: Arc<Budget>,
    files: Arc<Budget>,
    end: QueueEnd,
    /// Told when the queue has become shorter, or never will.
    changed: Arc<Notify>,
    /// Told when what was being written to the file can be taken.
    written: Arc<Notify>,
}

/// A part of the response.
pub enum Piece {
    /// At most `PIECE_BYTES`.
    Bytes(Vec<u8>),
    /// A block of the application's, with what it holds of the memory's budget.
    Shared(Block, Reservation),
    /// A range of a file, to be sent without copying it.
    File(FileRange),
    /// What has found no room in memory. It is taken as bytes.
    Spooled(Box<Spooled>),
}

/// A range of a file.
pub struct FileRange {
    /// The file.
    pub file: Arc<File>,
    /// The first byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
    /// Who waits for the disk, if it is not the thread that drives I/O.
    pub threads: Option<Arc<BlockingThreads>>,
}

/// What was taken.
pub enum Taken {
    /// The next piece.
    Piece(Piece),
    /// The next piece is being written to the file: nothing until this is told.
    Later(Arc<Notify>),
    /// Nothing: the queue is empty.
    Nothing,
}

/// What follows the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueEnd {
    /// More of the response.
    Open,
    /// The end of the response; the connection is kept, or not.
    Done {
        /// Whether it is kept.
        keep: bool,
    },
    /// Nothing: the client is gone.
    Failed,
}

impl SendQueue {
    /// An empty queue: at most `memory_limit` bytes in memory, and `spool_limit` in all.
    pub fn new(budgets: &Budgets, memory_limit: u64, spool_limit: u64) -> SendQueue {
        SendQueue {
            memory_limit,
            spool_limit,
            pieces: VecDeque::new(),
            memory_bytes: 0,
            memory: budgets.memory.clone(),
            memory_held: Reservation::for_response(&budgets.memory),
            temporary: budgets.temporary.clone(),
            files: budgets.files.clone(),
            end: QueueEnd::Open,
            changed: Arc::default(),
            written: Arc::default(),
        }
    }

    /// What follows the last byte.
    pub fn end(&self) -> QueueEnd {
        self.end
    }

    /// The response is complete; false if it was already, or never will be.
    pub fn finish(&mut self, keep: bool) -> bool {
        let is_open = self.end == QueueEnd::Open;
        if is_open {
            self.end = QueueEnd::Done { keep };
        }
        is_open
    }

    /// The client is gone.
    pub fn fail(&mut self) {
        self.end = QueueEnd::Failed;
        self.changed.notify_one();
    }

    /// Told when the queue has become shorter, or never will.
    pub fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.memory_bytes == 0
    }

    /// Whether a block of `bytes` may be added. An empty queue takes any.
    pub fn has_room(&self, bytes: usize) -> bool {
        let (memory, added) = (self.memory_bytes, bytes as u64);
        if self.end == QueueEnd::Failed || self.is_empty() {
            return true;
        }
        match self.pieces.back() {
            // Above its limit memory holds what found no place on disk.
            _ if memory > self.memory_limit => false,
            // Read bytes at the file's start still take up space until all of it is read.
            Some(Piece::Spooled(spooled)) => spooled.length() + added <= self.spool_limit && self.temporary.has(added),
            _ if memory + added <= self.memory_limit => true,
            _ => memory + added <= self.spool_limit && self.temporary.has(added) && self.files.has(1),
        }
    }

    /// Adds bytes that are not a block of the application's: heads, framing, coalesced blocks.
    ///
    /// # Errors
    /// The client is gone.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.end == QueueEnd::Failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !bytes.is_empty() && !self.keep(bytes) {
            self.push_to_memory(bytes);
        }
        Ok(())
    }

    /// Adds a block, in its response's `framing`; `is_last` says that the response ends with it. False if that is more
    /// than may be kept: then whoever has made it has to wait until the queue is empty.
    ///
    /// # Errors
    /// The client is gone.
    pub fn push_block(&mut self, block: Block, framing: ResponseFraming, is_last: bool) -> io::Result<bool> {
        if self.end == QueueEnd::Failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let block = block.enclosed(framing);
        let added = block.bytes().len() as u64;
        if added == 0 {
            return Ok(true);
        }
        // The last block, and with it the whole of nearly every response: by reference, without a file.
        let mut held = Reservation::for_response(&self.memory);
        let is_kept = is_last && held.grow(block.held_bytes());
        let block = if is_kept || added > self.spool_limit { Some(block) } else { self.keep_block(block) };
        let Some(block) = block else { return Ok(true) };
        self.memory_bytes += block.held_bytes();
        self.pieces.push_back(Piece::Shared(block, held));
        Ok(is_kept)
    }

    /// Adds a range of a file.
    pub fn push_file(&mut self, range: FileRange) {
        self.pieces.push_back(Piece::File(range));
    }

    /// Adds `bytes` to memory or to what is to follow in a file, within all limits; false if there is no room.
    fn keep(&mut self, bytes: &[u8]) -> bool {
        if self.keep_in_memory(bytes) {
            return true;
        }
        let spooled = self.spooled();
        spooled.map(|spooled| spooled.push(bytes)).is_some()
    }

    /// The same with a block, which is returned if there is no room.
    fn keep_block(&mut self, block: Block) -> Option<Block> {
        if self.keep_in_memory(block.bytes()) {
            return None;
        }
        match self.spooled() {
            None => Some(block),
            Some(spooled) => {
                spooled.push_block(block);
                None
            }
        }
    }

    fn keep_in_memory(&mut self, bytes: &[u8]) -> bool {
        let added = bytes.len() as u64;
        let is_spooling = matches!(self.pieces.back(), Some(Piece::Spooled(_)));
        let fits = !is_spooling && self.memory_bytes + added <= self.memory_limit && self.memory_held.grow(added);
        if fits {
            self.push_to_memory(bytes);
        }
        fits
    }

    /// What goes to a file, at the end of the queue; none if there can be none.
    fn spooled(&mut self) -> Option<&mut Spooled> {
        if !matches!(self.pieces.back(), Some(Piece::Spooled(_))) {
            match Spooled::new(&self.memory, &self.temporary, &self.files) {
                Ok(spooled) => self.pieces.push_back(Piece::Spooled(Box::new(spooled))),
                Err(error) => warn_about_disk(&error),
            }
        }
        match self.pieces.back_mut() {
            Some(Piece::Spooled(spooled)) => Some(spooled),
            _ => None,
        }
    }

    /// What is to be written to the file now, by who has added it and may wait for a disk; `wrote` is told of the end.
    pub fn begin_write(&mut self) -> Option<Write> {
        match self.pieces.back_mut() {
            Some(Piece::Spooled(spooled)) => spooled.begin_write(),
            _ => None,
        }
    }

    /// A write has ended so. False if there is no place on disk: what is there already goes back to memory with what was to
    /// be written, and the response's maker has to wait from now on, since memory is above its limit.
    ///
    /// # Errors
    /// What is there already cannot be read: the response cannot go on.
    pub fn wrote(&mut self, write: Write, result: io::Result<()>) -> io::Result<bool> {
        self.written.notify_one();
        let is_it = |piece: &Piece| matches!(piece, Piece::Spooled(spooled) if spooled.is_being_written());
        let Some(index) = self.pieces.iter().rposition(is_it) else { return Ok(true) };
        let Err(error) = result else {
            if let Some(Piece::Spooled(spooled)) = self.pieces.get_mut(index) {
                spooled.wrote(&write);
            }
            return Ok(true);
        };
        warn_about_disk(&error);
        let others = self.pieces.split_off(index + 1);
        if let Some(Piece::Spooled(spooled)) = self.pieces.pop_back() {
            let (before, block, after) = spooled.into_memory(write).inspect_err(|_| self.fail())?;
            self.push_to_memory(&before);
            if let Some(block) = block {
                self.memory_bytes += block.held_bytes();
                self.pieces.push_back(Piece::Shared(block, Reservation::for_response(&self.memory)));
            }
            self.push_to_memory(&after);
        }
        self.pieces.extend(others);
        Ok(false)
    }

    /// In pieces that are never larger than what is taken at once: so none is copied again, and all go back to the
    /// system one by one.
    fn push_to_memory(&mut self, mut bytes: &[u8]) {
        self.memory_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let has_room = matches!(self.pieces.back(), Some(Piece::Bytes(piece)) if piece.len() < piece.capacity());
            if !has_room {
                let capacity = bytes.len().clamp(SMALL_PIECE_BYTES, PIECE_BYTES);
                self.pieces.push_back(Piece::Bytes(Vec::with_capacity(capacity)));
            }
            let Some(Piece::Bytes(piece)) = self.pieces.back_mut() else { return };
            let (fits, rest) = bytes.split_at(bytes.len().min(piece.capacity() - piece.len()));
            piece.extend_from_slice(fits);
            bytes = rest;
        }
    }

    /// Takes the next piece. Memory that a shared block takes stays counted until `release`.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub fn take(&mut self) -> io::Result<Taken> {
        if let Some(Piece::Spooled(spooled)) = self.pieces.front_mut() {
            match spooled.take()? {
                Next::Bytes(piece) => {
                    self.changed.notify_one();
                    return Ok(Taken::Piece(Piece::Bytes(piece)));
                }
                Next::Later => return Ok(Taken::Later(self.written.clone())),
                Next::Nothing => drop(self.pieces.pop_front()),
            }
        }
        let taken = self.pieces.pop_front();
        if let Some(Piece::Bytes(bytes)) = &taken {
            self.memory_bytes -= bytes.len() as u64;
            self.memory_held.shrink(bytes.len() as u64);
        }
        self.changed.notify_one();
        Ok(taken.map_or(Taken::Nothing, Taken::Piece))
    }

    /// A shared block that has held `bytes` of memory has been written.
    pub fn release(&mut self, bytes: u64) {
        self.memory_bytes = self.memory_bytes.saturating_sub(bytes);
        self.changed.notify_one();
    }
}

fn warn_about_disk(error: &io::Error) {
    static RATE: RateLimited = RateLimited::new();
    RATE.warn(|| format!("cannot keep a response in a temporary file: {error}; its reader holds a thread"));
}

impl Piece {
    /// The bytes of a piece that is in memory.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Piece::Bytes(bytes) => bytes,
            Piece::Shared(block, _) => block.bytes(),
            Piece::File(_) | Piece::Spooled(_) => &[],
        }
    }
}
