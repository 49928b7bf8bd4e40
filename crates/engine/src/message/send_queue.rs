//! What a client has not taken of its response yet: pieces in the order in which they go out, in memory, in an unlinked
//! temporary file, or as the range of a file. Whoever makes the response adds, one task takes.
//!
//! So a slow reader holds a thread of the application only once there is no room here.

use super::framing::ResponseFraming;
use super::temporary_file::TemporaryFile;
use crate::blocking::BlockingThreads;
use crate::budget::{Budget, Budgets, Reservation};
use crate::log::RateLimited;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Notify;

/// Bytes that the task takes at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Room that a piece has at least, so that small blocks share one.
const SMALL_PIECE_BYTES: usize = 4 * 1024;

/// Bytes that outlive the call that made them.
pub type OwnedBlock = Box<dyn AsRef<[u8]> + Send + Sync>;

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
}

/// A part of the response.
pub enum Piece {
    /// At most `PIECE_BYTES`.
    Bytes(Vec<u8>),
    /// A block of the application's, with what it holds of the memory's budget.
    Shared(Block, Reservation),
    /// A range of a file, to be sent without copying it.
    File(FileRange),
    /// What has found no room in memory.
    Spooled(Spooled),
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

/// A temporary file, from `read` on.
pub struct Spooled {
    file: TemporaryFile,
    read: u64,
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

/// A block that outlives the call that made it, or the part of it that is to be sent.
pub struct Block {
    /// The block.
    pub owned: OwnedBlock,
    /// The part.
    pub range: Range<usize>,
}

impl Block {
    /// The bytes to be sent.
    pub fn bytes(&self) -> &[u8] {
        (*self.owned).as_ref().get(self.range.clone()).unwrap_or_default()
    }

    /// Bytes of memory that it keeps alive.
    pub fn held_bytes(&self) -> u64 {
        (*self.owned).as_ref().len() as u64
    }

    /// The same bytes as `framing` wants them.
    fn enclosed(self, framing: ResponseFraming) -> Block {
        let records = match framing.enclosed(self.bytes()) {
            Cow::Borrowed(_) => return self,
            Cow::Owned(records) => records,
        };
        let range = 0..records.len();
        Block { owned: Box::new(records), range }
    }
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
            Some(Piece::Spooled(spooled)) => {
                spooled.file.length() + added <= self.spool_limit && self.temporary.has(added)
            }
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
        if !is_kept && added <= self.spool_limit && self.keep(block.bytes()) {
            return Ok(true);
        }
        self.memory_bytes += block.held_bytes();
        self.pieces.push_back(Piece::Shared(block, held));
        Ok(is_kept)
    }

    /// Adds a range of a file.
    pub fn push_file(&mut self, range: FileRange) {
        self.pieces.push_back(Piece::File(range));
    }

    /// Adds `bytes` to memory or to a file, within all limits; false if there is no room or the file fails.
    fn keep(&mut self, bytes: &[u8]) -> bool {
        static RATE: RateLimited = RateLimited::new();
        let added = bytes.len() as u64;
        let is_spooling = matches!(self.pieces.back(), Some(Piece::Spooled(_)));
        let fits = self.memory_bytes + added <= self.memory_limit;
        if !is_spooling && fits && self.memory_held.grow(added) {
            self.push_to_memory(bytes);
            return true;
        }
        let spooled = self.push_to_file(bytes);
        if let Err(error) = &spooled {
            RATE.warn(|| format!("cannot keep a response in a temporary file: {error}; its reader holds a thread"));
            self.unspool();
        }
        spooled.is_ok()
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

    fn push_to_file(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !matches!(self.pieces.back(), Some(Piece::Spooled(_))) {
            let file = TemporaryFile::new(&self.temporary, &self.files)?;
            self.pieces.push_back(Piece::Spooled(Spooled { file, read: 0 }));
        }
        match self.pieces.back_mut() {
            Some(Piece::Spooled(spooled)) => spooled.file.push(bytes),
            _ => Ok(()),
        }
    }

    /// There is no place on disk: what is there already goes back to memory. The response's maker has to wait from now
    /// on, since memory is above its limit.
    fn unspool(&mut self) {
        if !matches!(self.pieces.back(), Some(Piece::Spooled(_))) {
            return;
        }
        if let Some(Piece::Spooled(spooled)) = self.pieces.pop_back() {
            let mut bytes = vec![0; usize::try_from(spooled.left()).unwrap_or(0)];
            if spooled.file.read_at(&mut bytes, spooled.read).is_err() {
                self.end = QueueEnd::Failed;
            }
            self.push_to_memory(&bytes);
        }
    }

    /// Takes the next piece; none if the queue is empty. Memory that a shared block takes stays counted until
    /// `release`.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub fn take(&mut self) -> io::Result<Option<Piece>> {
        let taken = match self.pieces.front_mut() {
            Some(Piece::Spooled(spooled)) => {
                let piece = spooled.next_piece()?;
                if spooled.left() == 0 {
                    self.pieces.pop_front();
                }
                Some(Piece::Bytes(piece))
            }
            _ => self.pieces.pop_front().inspect(|piece| {
                if let Piece::Bytes(bytes) = piece {
                    self.memory_bytes -= bytes.len() as u64;
                    self.memory_held.shrink(bytes.len() as u64);
                }
            }),
        };
        self.changed.notify_one();
        Ok(taken)
    }

    /// A shared block that has held `bytes` of memory has been written.
    pub fn release(&mut self, bytes: u64) {
        self.memory_bytes = self.memory_bytes.saturating_sub(bytes);
        self.changed.notify_one();
    }
}

impl Spooled {
    fn left(&self) -> u64 {
        self.file.length() - self.read
    }

    fn next_piece(&mut self) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
        let mut piece = vec![0; left.min(PIECE_BYTES)];
        self.file.read_at(&mut piece, self.read)?;
        self.read += piece.len() as u64;
        Ok(piece)
    }
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
