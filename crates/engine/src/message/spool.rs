//! A request body on its way in: kept in memory up to a limit, then in an unlinked temporary file.
//!
//! Memory and files are counted in the server's budgets for as long as somebody holds the bytes.

use super::temporary_file::TemporaryFile;
use crate::budget::{Budget, Budgets, Reservation};
use std::io;
use std::sync::Arc;

/// The body so far.
pub struct Spool {
    memory: Vec<u8>,
    /// What the bytes in memory are counted in.
    held: Reservation,
    /// Memory may be used up to here.
    memory_limit: u64,
    file: Option<TemporaryFile>,
    temporary: Arc<Budget>,
    files: Arc<Budget>,
}

/// A complete body: the bytes in memory, or a file.
pub struct Kept {
    /// Bytes in memory.
    pub memory: Vec<u8>,
    /// The file, if there is one.
    pub file: Option<TemporaryFile>,
    /// To be dropped with the bytes in memory.
    pub held: Reservation,
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

    /// Adds `bytes`; where memory may not be used any more everything moves to a file.
    ///
    /// # Errors
    /// What the file system says, such as a full disk; `StorageFull` also where the budget of temporary files is
    /// used up.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let added = bytes.len() as u64;
        if self.file.is_none() && (self.len() + added > self.memory_limit || !self.held.grow(added)) {
            self.file = Some(self.move_to_file()?);
        }
        match &mut self.file {
            Some(file) => file.push(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn move_to_file(&mut self) -> io::Result<TemporaryFile> {
        let mut file = TemporaryFile::new(&self.temporary, &self.files)?;
        file.push(&self.memory)?;
        self.memory = Vec::new();
        self.held.release();
        Ok(file)
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.file.as_ref().map_or(self.memory.len() as u64, TemporaryFile::length)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, to be read.
    pub fn into_kept(self) -> Kept {
        let Spool { memory, file, held, .. } = self;
        Kept { memory, file, held }
    }
}
