//! A request body on its way in: kept in memory up to a limit, then in an unlinked temporary file.
//!
//! Memory and files are counted in the server's budgets for as long as somebody holds the bytes.

use super::temporary_file::TemporaryFile;
use crate::blocking::BlockingThreads;
use crate::budget::{Budget, Budgets, Reservation};
use std::io;
use std::sync::Arc;

/// From here on bytes are written by a thread that may wait for a disk: a system that is behind with its writes holds up who
/// writes much, and who drives I/O must not be held up. So large that a body in such pieces costs less than in those of a
/// read, although a thread has to be woken for each.
const MUCH_BYTES: usize = 256 * 1024;

/// The body so far.
pub struct Spool {
    /// All of it; or, where there is a file, what is to follow in that.
    memory: Vec<u8>,
    /// What the bytes in memory are counted in.
    held: Reservation,
    /// Memory may be used up to here.
    memory_limit: u64,
    file: Option<TemporaryFile>,
    temporary: Arc<Budget>,
    files: Arc<Budget>,
}

/// A complete body, or its beginning: the bytes in memory, or a file.
pub struct Kept {
    /// Bytes in memory.
    pub memory: Vec<u8>,
    /// The file, if there is one.
    pub file: Option<TemporaryFile>,
    /// To be dropped with the bytes in memory.
    pub held: Reservation,
}

impl Kept {
    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.file.as_ref().map_or(self.memory.len() as u64, TemporaryFile::length)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Spool {
    /// Nothing yet.
    ///
    /// Memory may be used up to `memory_limit` bytes.
    pub fn new(budgets: &Budgets, memory_limit: u64) -> Spool {
        Spool {
            memory: Vec::new(),
            held: Reservation::new(&budgets.memory),
            memory_limit,
            file: None,
            temporary: budgets.temporary.clone(),
            files: budgets.files.clone(),
        }
    }

    /// Adds `bytes`; where memory may not be used any more everything goes to a file, together with what comes next if that
    /// is at hand (`has_more`), and by one of `threads` if it is much.
    ///
    /// # Errors
    /// What the file system says, such as a full disk; `StorageFull` also where the budget of temporary files is
    /// used up.
    pub async fn push(&mut self, bytes: &[u8], has_more: bool, threads: &BlockingThreads) -> io::Result<()> {
        let added = bytes.len() as u64;
        let is_granted = self.held.grow(added);
        if self.file.is_none() && (self.len() + added > self.memory_limit || !is_granted) {
            self.file = Some(TemporaryFile::new(&self.temporary, &self.files)?);
        }
        self.memory.extend_from_slice(bytes);
        if self.file.is_some() && (!has_more || !is_granted || self.memory.len() >= MUCH_BYTES) {
            self.write(threads).await?;
        }
        Ok(())
    }

    /// Writes what is to follow in the file.
    async fn write(&mut self, threads: &BlockingThreads) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.memory);
        let Some(file) = self.file.take() else { return Ok(()) };
        if bytes.len() < MUCH_BYTES {
            file.push(&bytes)?;
            self.file = Some(file);
        } else {
            let written = threads.wait(move || file.push(&bytes).map(|()| file)).await;
            self.file = Some(written.unwrap_or_else(|| Err(io::Error::other("the server has ended")))?);
        }
        self.held.release();
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.file.as_ref().map_or(0, TemporaryFile::length) + self.memory.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, to be read.
    ///
    /// # Errors
    /// As `push`.
    pub async fn into_kept(mut self, threads: &BlockingThreads) -> io::Result<Kept> {
        if self.file.is_some() && !self.memory.is_empty() {
            self.write(threads).await?;
        }
        let Spool { memory, file, held, .. } = self;
        Ok(Kept { memory, file, held })
    }
}
