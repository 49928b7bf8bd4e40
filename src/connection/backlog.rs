//! What a slow reader has not taken of an answer that goes on: a queue of bytes, in memory and then in an unlinked
//! temporary file, which a task writes out. So a slow reader holds a crew thread only once there is no room here.
//!
//! Crew threads add, one task takes; both under the lock of the connection's outgoing side.

use super::{Connection, Outbound};
use crate::budget::Reservation;
use crate::engine::{Engine, lock};
use crate::error_log::Seldom;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use tokio::sync::Notify;

/// Bytes that the task takes at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Room that a piece has at least, so that small blocks share one.
const SMALL_PIECE_BYTES: usize = 4 * 1024;

/// The queue of one answer.
pub struct Backlog {
    engine: &'static Engine,
    /// Goes out before the file: pieces of at most `PIECE_BYTES`.
    memory: VecDeque<Vec<u8>>,
    memory_bytes: usize,
    memory_held: Reservation,
    overflow: Option<Overflow>,
    temporary_held: Reservation,
    file_held: Reservation,
    end: End,
    /// Told when it has become shorter, or never will.
    changed: Arc<Notify>,
}

/// The part on disk, from `read` to `written`.
struct Overflow {
    file: File,
    read: u64,
    written: u64,
}

/// What follows the last byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// More of the answer.
    Open,
    /// The end of the answer; the connection is kept, or not.
    Done { keep: bool },
    /// Nothing: the client is gone.
    Failed,
}

/// Starts a backlog with `parts`; the outgoing side must have none.
pub fn start(connection: &Arc<Connection>, outbound: &mut Outbound, parts: &[&[u8]]) {
    let engine = connection.engine;
    let mut backlog = Box::new(Backlog {
        engine,
        memory: VecDeque::new(),
        memory_bytes: 0,
        memory_held: Reservation::for_answer(&engine.memory),
        overflow: None,
        temporary_held: Reservation::new(&engine.temporary),
        file_held: Reservation::new(&engine.files),
        end: End::Open,
        changed: Arc::default(),
    });
    backlog.push(parts);
    outbound.backlog = Some(backlog);
    connection.watch();
    engine.runtime.spawn(write_out(connection.clone()));
}

/// Whether an answer's first backlog may take `bytes`.
pub fn may_start(engine: &Engine, bytes: usize) -> bool {
    bytes as u64 <= engine.bounds.response_spool_bytes
}

/// Waits, driving I/O, until the backlog has room for `bytes` more, or is gone.
pub fn wait_for_room(connection: &Connection, bytes: usize) {
    let full = || {
        let outbound = lock(&connection.outbound);
        outbound.backlog.as_ref().filter(|backlog| !backlog.has_room(bytes)).map(|backlog| backlog.changed.clone())
    };
    connection.engine.runtime.block_on(async {
        while let Some(changed) = full() {
            changed.notified().await;
        }
    });
}

/// Waits until what the sentinel may have put aside has gone out: only then may anybody else write.
pub async fn drained(connection: &Connection) {
    let open = || {
        let outbound = lock(&connection.outbound);
        outbound.backlog.as_ref().filter(|backlog| backlog.end == End::Open).map(|backlog| backlog.changed.clone())
    };
    while let Some(changed) = open() {
        changed.notified().await;
    }
}

/// Ends an answer: at once, or once the backlog has been written.
pub fn finish(connection: &Arc<Connection>, keep: bool) {
    let mut outbound = lock(&connection.outbound);
    let keep = match &mut outbound.backlog {
        None => keep,
        Some(backlog) if backlog.end == End::Open => {
            backlog.end = End::Done { keep };
            return;
        }
        Some(_) => {
            outbound.backlog = None;
            false
        }
    };
    drop(outbound);
    connection.answer_done(keep);
}

impl Backlog {
    /// Whether `bytes` more may be added.
    pub fn has_room(&self, bytes: usize) -> bool {
        let Engine { bounds, temporary, files, .. } = self.engine;
        let (memory, added) = (self.memory_bytes as u64, bytes as u64);
        match &self.overflow {
            _ if self.end == End::Failed => true,
            // Above its limit memory holds what found no place on disk.
            _ if memory > bounds.response_memory_bytes => false,
            // Read bytes at the file's start still take up space until all of it is read.
            Some(overflow) => overflow.written + added <= bounds.response_spool_bytes && temporary.has(added),
            None if memory + added <= bounds.response_memory_bytes => true,
            None => memory + added <= bounds.response_spool_bytes && temporary.has(added) && files.has(1),
        }
    }

    /// Adds `parts`.
    ///
    /// # Errors
    /// The client is gone.
    pub fn add(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        if self.end == End::Failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.push(parts);
        Ok(())
    }

    fn push(&mut self, parts: &[&[u8]]) {
        static TOLD: Seldom = Seldom::new();
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let added = part.len() as u64;
            let fits = self.memory_bytes as u64 + added <= self.engine.bounds.response_memory_bytes;
            if self.overflow.is_none() && fits && self.memory_held.grow(added) {
                self.push_to_memory(part);
                continue;
            }
            if let Err(error) = self.push_to_file(part) {
                TOLD.warn(|| format!("cannot keep an answer in a temporary file: {error}; its reader holds a thread"));
                self.push_anyway(part);
            }
        }
    }

    /// In pieces that are never larger than what is taken at once: so none is copied again, and all go back to the
    /// system one by one.
    fn push_to_memory(&mut self, mut part: &[u8]) {
        self.memory_bytes += part.len();
        while !part.is_empty() {
            let last_has_room = self.memory.back().is_some_and(|piece| piece.len() < piece.capacity());
            if !last_has_room {
                self.memory.push_back(Vec::with_capacity(part.len().clamp(SMALL_PIECE_BYTES, PIECE_BYTES)));
            }
            let Some(piece) = self.memory.back_mut() else { return };
            let (fits, rest) = part.split_at(part.len().min(piece.capacity() - piece.len()));
            piece.extend_from_slice(fits);
            part = rest;
        }
    }

    fn push_to_file(&mut self, part: &[u8]) -> io::Result<()> {
        if !self.temporary_held.grow(part.len() as u64) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "max_temporary is reached"));
        }
        let overflow = match &mut self.overflow {
            Some(overflow) => overflow,
            none => {
                if !self.file_held.grow(1) {
                    return Err(io::Error::new(io::ErrorKind::StorageFull, "there are as many as descriptors allow"));
                }
                none.insert(Overflow { file: tempfile::tempfile()?, read: 0, written: 0 })
            }
        };
        overflow.file.write_all_at(part, overflow.written)?;
        overflow.written += part.len() as u64;
        Ok(())
    }

    /// There is no place on disk: what is there already goes back to memory, and the bytes follow it. The caller has
    /// to wait from now on, since memory is above its limit.
    fn push_anyway(&mut self, part: &[u8]) {
        if let Some(overflow) = self.overflow.take() {
            let mut bytes = vec![0; usize::try_from(overflow.written - overflow.read).unwrap_or(0)];
            if overflow.file.read_exact_at(&mut bytes, overflow.read).is_err() {
                self.end = End::Failed;
            }
            self.push_to_memory(&bytes);
        }
        self.temporary_held.release();
        self.file_held.release();
        self.push_to_memory(part);
    }

    /// Takes the next bytes into `piece`; none if it is empty.
    fn take(&mut self, piece: &mut Vec<u8>) -> io::Result<()> {
        piece.clear();
        if let Some(next) = self.memory.pop_front() {
            *piece = next;
            self.memory_bytes -= piece.len();
            self.memory_held.shrink(piece.len() as u64);
        } else if let Some(overflow) = &mut self.overflow {
            let left = usize::try_from(overflow.written - overflow.read).unwrap_or(usize::MAX);
            piece.resize(left.min(PIECE_BYTES), 0);
            overflow.file.read_exact_at(piece, overflow.read)?;
            overflow.read += piece.len() as u64;
            if overflow.read == overflow.written {
                self.overflow = None;
                self.temporary_held.release();
                self.file_held.release();
            }
        }
        Ok(())
    }
}

/// Writes a connection's backlog until it is empty, and ends the answer if that was all of it.
async fn write_out(connection: Arc<Connection>) {
    let mut patience = connection.patience();
    let mut piece = Vec::new();
    loop {
        let taken = {
            let mut outbound = lock(&connection.outbound);
            let Some(backlog) = &mut outbound.backlog else { return };
            let taken = backlog.take(&mut piece);
            backlog.changed.notify_one();
            if taken.is_ok() && piece.is_empty() {
                let end = backlog.end;
                outbound.backlog = None;
                outbound.last_send_ns = 0;
                drop(outbound);
                if let End::Done { keep } = end {
                    connection.answer_done(keep);
                }
                return;
            }
            taken
        };
        let sent = match taken {
            Ok(()) => connection.send_rest(&mut patience, &piece).await,
            Err(error) => Err(error),
        };
        if sent.is_err() {
            return fail(&connection);
        }
    }
}

/// The client is gone: the application hears of it at its next block.
fn fail(connection: &Arc<Connection>) {
    let mut outbound = lock(&connection.outbound);
    let Some(backlog) = &mut outbound.backlog else { return };
    let was_complete = backlog.end != End::Open;
    backlog.end = End::Failed;
    backlog.changed.notify_one();
    if was_complete {
        outbound.backlog = None;
        drop(outbound);
        connection.answer_done(false);
    }
}
