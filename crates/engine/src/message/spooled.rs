//! What of a response has found no room in memory: a temporary file, with what is to follow in it. Somebody who may wait
//! for a disk adds that (`Write`), while what is there already is taken.

use super::block::Block;
use super::temporary_file::TemporaryFile;
use crate::budget::{Budget, Reservation};
use std::io;
use std::sync::Arc;

/// Bytes that are read at a time, and from which on what is to follow in the file is written.
const PIECE_BYTES: usize = 64 * 1024;

/// The file, from `read` on, and what follows.
pub struct Spooled {
    file: Arc<TemporaryFile>,
    read: u64,
    written: u64,
    /// What is to follow in the file; or goes out from here, once all before it has.
    ahead: Vec<u8>,
    /// What that is counted in.
    held: Reservation,
    is_counted: bool,
    /// What is to follow after that: there for no longer than it takes to make a `Write` of it.
    block: Option<Block>,
    is_being_written: bool,
}

/// What comes next out of it.
pub enum Next {
    /// These bytes.
    Bytes(Vec<u8>),
    /// They are being written.
    Later,
    /// Nothing: it may go.
    Nothing,
}

/// Bytes on their way to the file. Whoever has them may wait for the disk, with nothing locked.
pub struct Write {
    file: Arc<TemporaryFile>,
    ahead: Vec<u8>,
    block: Option<Block>,
    _held: Reservation,
}

impl Write {
    /// Writes them.
    ///
    /// # Errors
    /// As `TemporaryFile::push`.
    pub fn run(&self) -> io::Result<()> {
        self.file.push(&self.ahead)?;
        self.block.as_ref().map_or(Ok(()), |block| self.file.push(block.bytes()))
    }

    fn len(&self) -> u64 {
        (self.ahead.len() + self.block.as_ref().map_or(0, |block| block.bytes().len())) as u64
    }
}

impl Spooled {
    /// Nothing yet.
    ///
    /// # Errors
    /// As `TemporaryFile::new`.
    pub fn new(memory: &Arc<Budget>, temporary: &Arc<Budget>, files: &Arc<Budget>) -> io::Result<Spooled> {
        Ok(Spooled {
            file: Arc::new(TemporaryFile::new(temporary, files)?),
            read: 0,
            written: 0,
            ahead: Vec::new(),
            held: Reservation::for_response(memory),
            is_counted: true,
            block: None,
            is_being_written: false,
        })
    }

    /// Bytes that it takes up a place for, also those that were read.
    pub fn length(&self) -> u64 {
        self.file.length() + self.ahead.len() as u64
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.is_counted &= self.held.grow(bytes.len() as u64);
        self.ahead.extend_from_slice(bytes);
    }

    /// Adds a block, of which a `Write` is made at once.
    pub fn push_block(&mut self, block: Block) {
        self.block = Some(block);
    }

    /// What is to be written now, if that is worth it, or has no room in memory. Nothing else is until `wrote`.
    pub fn begin_write(&mut self) -> Option<Write> {
        let is_due = self.block.is_some() || self.ahead.len() >= PIECE_BYTES || !self.is_counted;
        if self.is_being_written || !is_due {
            return None;
        }
        self.is_being_written = true;
        self.is_counted = true;
        Some(Write {
            file: self.file.clone(),
            ahead: std::mem::take(&mut self.ahead),
            block: self.block.take(),
            _held: self.held.take(),
        })
    }

    /// Whether a `Write` of it has begun and not ended.
    pub fn is_being_written(&self) -> bool {
        self.is_being_written
    }

    /// The bytes of a `Write` are in the file.
    pub fn wrote(&mut self, write: &Write) {
        self.is_being_written = false;
        self.written += write.len();
    }

    /// Takes what comes next.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn take(&mut self) -> io::Result<Next> {
        if self.read < self.written {
            let left = usize::try_from(self.written - self.read).unwrap_or(usize::MAX);
            let mut piece = vec![0; left.min(PIECE_BYTES)];
            self.file.read_at(&mut piece, self.read)?;
            self.read += piece.len() as u64;
            return Ok(Next::Bytes(piece));
        }
        if self.is_being_written {
            return Ok(Next::Later);
        }
        self.held.release();
        self.is_counted = true;
        Ok(if self.ahead.is_empty() { Next::Nothing } else { Next::Bytes(std::mem::take(&mut self.ahead)) })
    }

    /// All that has not been read, where there is no place on disk for what is in `write`: the bytes in the file, those
    /// that were to follow, the block that was to, and those after it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn into_memory(self, write: Write) -> io::Result<(Vec<u8>, Option<Block>, Vec<u8>)> {
        let mut bytes = vec![0; usize::try_from(self.written - self.read).unwrap_or(0)];
        self.file.read_at(&mut bytes, self.read)?;
        bytes.extend_from_slice(&write.ahead);
        Ok((bytes, write.block, self.ahead))
    }
}
