//! A request body on its way in: kept in memory up to a limit, then in an unlinked temporary file.
//!
//! Memory and files are counted in the server's budgets for as long as somebody holds the bytes.

use crate::budget::{Budgets, Reservation};
use std::fs::File;
use std::io::{self, Seek as _, Write as _};

/// The body so far.
pub struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
    /// Memory may be used up to here.
    memory_limit: u64,
    held: Held,
}

/// What a body holds of the server's budgets.
pub struct Held {
    memory: Reservation,
    temporary: Reservation,
    files: Reservation,
}

/// A complete body: the bytes in memory, or a file at its start with its length.
pub struct Kept {
    /// Bytes in memory.
    pub memory: Vec<u8>,
    /// The file, if there is one.
    pub file: Option<(File, u64)>,
    /// To be dropped with the bytes.
    pub held: Held,
}

impl Spool {
    /// Nothing yet.
    ///
    /// Memory may be used up to `memory_limit` bytes.
    pub fn new(budgets: &Budgets, memory_limit: u64) -> Spool {
        let held = Held {
            memory: Reservation::new(&budgets.memory),
            temporary: Reservation::new(&budgets.temporary),
            files: Reservation::new(&budgets.files),
        };
        Spool { memory: Vec::new(), file: None, length: 0, memory_limit, held }
    }

    /// Adds `bytes`; where memory may not be used any more everything moves to a file.
    ///
    /// # Errors
    /// What the file system says, such as a full disk; `StorageFull` also where the budget of temporary files is
    /// used up.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let added = bytes.len() as u64;
        let length = self.length + added;
        if self.file.is_none() && (length > self.memory_limit || !self.held.memory.grow(added)) {
            self.file = Some(self.move_to_file()?);
        }
        match &mut self.file {
            Some(file) => {
                reserve(&mut self.held.temporary, added)?;
                file.write_all(bytes)?;
            }
            None => self.memory.extend_from_slice(bytes),
        }
        self.length = length;
        Ok(())
    }

    fn move_to_file(&mut self) -> io::Result<File> {
        if !self.held.files.grow(1) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "there are as many as descriptors allow"));
        }
        reserve(&mut self.held.temporary, self.length)?;
        let mut file = tempfile::tempfile()?;
        file.write_all(&self.memory)?;
        self.memory = Vec::new();
        self.held.memory.release();
        Ok(file)
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes, to be read from their start.
    ///
    /// # Errors
    /// What the file system says.
    pub fn into_kept(self) -> io::Result<Kept> {
        let Spool { memory, file, length, held, .. } = self;
        let file = match file {
            Some(mut file) => {
                file.rewind()?;
                Some((file, length))
            }
            None => None,
        };
        Ok(Kept { memory, file, held })
    }
}

fn reserve(temporary: &mut Reservation, bytes: u64) -> io::Result<()> {
    if temporary.grow(bytes) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::StorageFull, "max_temporary is reached"))
}
