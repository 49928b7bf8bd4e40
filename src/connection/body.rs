//! Request bodies as the application will read them: in the read buffer, in memory, in an unlinked
//! temporary file, or streamed while it reads.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::mpsc::Receiver;

/// Why a body will never be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The client closed the connection, or was too slow.
    Cut,
    /// The bytes break the framing.
    Malformed(&'static str),
    /// The body is larger than the configured limit.
    TooLarge,
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BodyError::Cut => formatter.write_str("the client went away before the end of the request body"),
            BodyError::Malformed(why) => write!(formatter, "malformed request body: {why}"),
            BodyError::TooLarge => formatter.write_str("the request body is larger than max_request_body"),
        }
    }
}

/// A request body.
pub enum Body {
    /// There is none.
    Empty,
    /// Complete, a range of the read buffer.
    Buffered(Range<usize>),
    /// Complete, in memory or in a temporary file.
    Spooled(Spool),
    /// Still arriving: what was spooled first, then what the receiver gives.
    Streamed(Stream),
}

/// A body that arrives while the application reads it.
pub struct Stream {
    /// What had arrived before the call.
    pub spooled: Spool,
    /// The rest; it ends with `None` after the last byte.
    pub receiver: Receiver<Result<Vec<u8>, BodyError>>,
    /// Its length if the client has declared it.
    pub length: Option<u64>,
    /// Set once the last byte has arrived: only then may the connection be kept.
    pub complete: Arc<AtomicBool>,
    /// Told at the first read, if the client waits for `100 Continue`.
    pub wanted: Option<Arc<tokio::sync::Notify>>,
}

/// A temporary file at its start, and its length.
pub type SpoolFile = (File, u64);

/// Bytes kept in memory up to a limit, then in an unlinked temporary file.
#[derive(Default)]
pub struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
}

impl Spool {
    /// Adds `bytes`; above `memory_limit` everything moves to a file.
    ///
    /// # Errors
    /// What the file system says, such as a full disk.
    pub fn push(&mut self, bytes: &[u8], memory_limit: u64) -> io::Result<()> {
        let length = self.length + bytes.len() as u64;
        if self.file.is_none() && length > memory_limit {
            let mut file = tempfile::tempfile()?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.length = length;
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// The bytes in memory; or the file at its start, with its length.
    ///
    /// # Errors
    /// What the file system says.
    pub fn into_parts(self) -> io::Result<(Vec<u8>, Option<SpoolFile>)> {
        let Spool { memory, file, length } = self;
        let Some(mut file) = file else { return Ok((memory, None)) };
        file.rewind()?;
        Ok((memory, Some((file, length))))
    }
}
