//! What a full socket has not taken of a response: it goes to the connection's send queue, which a task writes out.
//! Whoever makes the response waits only where the queue has no room.

use crate::blocking::BlockingThreads;
use crate::clock;
use crate::coalescing::Coalesced;
use crate::connection::outbound::Outbound;
use crate::connection::socket::Then;
use crate::connection::{Connection, PIECE_BYTES};
use crate::lock::lock;
use crate::message::block::Block;
use crate::message::framing::{ResponseFraming, Tail};
use crate::message::send_queue::{FileRange, Piece, QueueEnd, SendQueue, Taken};
use crate::message::spooled::Write;
use crate::pace::Patience;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Notify;

/// The same of a file.
const FILE_PIECE_BYTES: u64 = PIECE_BYTES as u64;
/// At most this much by a thread that waits for disks, before another file has its turn there: what a socket takes
/// (tcp_wmem), since to wake the thread costs as much as a quarter of a megabyte.
const THREAD_PIECE_BYTES: u64 = 4 * FILE_PIECE_BYTES;

/// What is left of a block, with what follows it.
pub struct Unsent {
    /// The block, from the first byte on that was not sent.
    pub block: Block,
    /// What closes it.
    pub tail: Tail,
    /// Its response's framing.
    pub framing: ResponseFraming,
    /// Whether the response ends with it.
    pub is_last: bool,
}

/// A part of a body.
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A part of a file.
    File(FileRange),
}

impl Part {
    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File(range) => range.length,
        }
    }
}

impl Coalesced for Connection {
    fn flush(self: Arc<Self>) {
        flush(&self);
    }
}

/// Sends coalesced bytes as far as the socket takes them. Called by the watchdog, and before a response is aborted.
pub fn flush(connection: &Arc<Connection>) {
    let mut outbound = lock(&connection.exchange.outbound);
    outbound.is_coalescing = false;
    if outbound.bytes.is_empty() || outbound.queue.is_some() {
        return;
    }
    // An error shows again where the responder writes next, which is where it is handled.
    if let Ok(sent) = connection.socket.send(&outbound.bytes, Then::More) {
        outbound.take_away(sent);
        outbound.last_send_ns = clock::monotonic_ns();
        if !outbound.bytes.is_empty() {
            // A full socket: the application may not come back for long, so a task has to wait for the client.
            // It fails only where the client is known to be gone, and a new queue knows of nothing.
            let _ = queue_pending(connection, &mut outbound);
        }
    }
}

/// Queues the rest of a block, once the queue has room for it. What of that goes to a file is written by a thread that may
/// wait for a disk: who makes the response may have the thread that drives I/O, or that of an event loop.
///
/// # Errors
/// The client is gone.
pub async fn queue(connection: &Arc<Connection>, block_bytes: usize, rest: Unsent) -> io::Result<()> {
    wait_until(connection, |queue| queue.has_room(block_bytes)).await;
    let (mut is_kept, to_write) = add(connection, rest)?;
    if let Some(to_write) = to_write {
        let there = connection.clone();
        let written = connection.resources.file_threads.wait(move || write(&there, to_write)).await;
        // None where the threads have ended with the server.
        is_kept &= written.ok_or(io::ErrorKind::BrokenPipe)??;
    }
    if !is_kept {
        wait_until(connection, is_over).await;
        check_alive(connection)?;
    }
    Ok(())
}

/// Queues the rest of the last block, whether there is room for it or not.
///
/// # Errors
/// The client is gone.
pub fn queue_at_once(connection: &Arc<Connection>, rest: Unsent) -> io::Result<()> {
    if let (_, Some(to_write)) = add(connection, rest)? {
        write(connection, to_write)?;
    }
    Ok(())
}

/// Adds the rest of a block: whether that may be kept, and what of it is to be written.
fn add(connection: &Arc<Connection>, rest: Unsent) -> io::Result<(bool, Option<Write>)> {
    let mut outbound = lock(&connection.exchange.outbound);
    let queue = queue_pending(connection, &mut outbound)?;
    let is_kept = queue.push_block(rest.block, rest.framing, rest.is_last)?;
    let to_write = queue.begin_write();
    queue.push(rest.tail.as_ref())?;
    Ok((is_kept, to_write))
}

/// Writes what the queue wants to be written; as `SendQueue::wrote`.
fn write(connection: &Connection, to_write: Write) -> io::Result<bool> {
    let result = to_write.run();
    let queue = &mut lock(&connection.exchange.outbound).queue;
    // Nobody takes it any more where there is no queue.
    queue.as_mut().map_or(Ok(true), |queue| queue.wrote(to_write, result))
}

/// Whether nothing of a queue is left that could be waited for.
fn is_over(queue: &SendQueue) -> bool {
    queue.is_empty() || queue.end() == QueueEnd::Failed
}

fn check_alive(connection: &Connection) -> io::Result<()> {
    let outbound = lock(&connection.exchange.outbound);
    let is_failed = outbound.queue.as_ref().is_some_and(|queue| queue.end() == QueueEnd::Failed);
    if is_failed { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
}

/// Queues a range of a file as the rest of a response.
///
/// # Errors
/// The client is gone.
pub fn queue_file(connection: &Arc<Connection>, range: FileRange) -> io::Result<()> {
    let mut outbound = lock(&connection.exchange.outbound);
    queue_pending(connection, &mut outbound)?.push_file(range);
    Ok(())
}

/// Sends a body in parts: of a file that it begins with, what the socket takes at once, by this thread, which may wait
/// for the disk; the rest is queued.
///
/// # Errors
/// The client is gone.
pub fn send_parts(connection: &Arc<Connection>, mut parts: Vec<Part>) -> io::Result<()> {
    if let Some(Part::File(range)) = parts.first_mut()
        && range.threads.is_some()
        && send_pending(connection)?
    {
        // Nobody else writes: the turn is this response's, and there is no queue.
        send_at_once(connection, &range.file, &mut range.offset, &mut range.length)?;
        if range.length == 0 {
            parts.remove(0);
        }
    }
    if parts.is_empty() {
        return Ok(());
    }
    let mut outbound = lock(&connection.exchange.outbound);
    let queue = queue_pending(connection, &mut outbound)?;
    for part in parts {
        match part {
            Part::Bytes(bytes) => queue.push(&bytes)?,
            Part::File(range) => queue.push_file(range),
        }
    }
    Ok(())
}

/// Sends what is coalesced, in one segment with what follows; whether all of it has left.
fn send_pending(connection: &Connection) -> io::Result<bool> {
    let mut outbound = lock(&connection.exchange.outbound);
    if outbound.queue.is_some() {
        return Ok(false);
    }
    let sent = connection.socket.send(&outbound.bytes, Then::Close)?;
    outbound.take_away(sent);
    Ok(outbound.bytes.is_empty())
}

/// Sends a range of a file until it has been sent or the socket is full; what is left of it moves on.
fn send_at_once(connection: &Connection, file: &File, offset: &mut u64, length: &mut u64) -> io::Result<u64> {
    let whole = *length;
    while *length > 0 {
        let piece = usize::try_from((*length).min(FILE_PIECE_BYTES)).unwrap_or(usize::MAX);
        let sent = connection.socket.send_file(file, offset, piece)?;
        if sent == 0 {
            break;
        }
        *length = length.saturating_sub(sent as u64);
    }
    Ok(whole - *length)
}

/// Moves what is coalesced to the queue, which begins with that if there was none.
fn queue_pending<'a>(connection: &Arc<Connection>, outbound: &'a mut Outbound) -> io::Result<&'a mut SendQueue> {
    let pending = std::mem::take(&mut outbound.bytes);
    let queue = outbound.queue.get_or_insert_with(|| {
        let resources = &connection.resources;
        let settings = &resources.settings;
        connection.watch();
        resources.handle.spawn(write_out(connection.clone()));
        let (memory_limit, spool_limit) = (settings.response_memory_bytes, settings.response_spool_bytes);
        Box::new(SendQueue::new(&resources.budgets, memory_limit, spool_limit))
    });
    queue.push(&pending)?;
    Ok(queue)
}

/// Waits until the queue is as wanted, or gone.
async fn wait_until(connection: &Connection, is_fine: impl Fn(&SendQueue) -> bool) {
    while let Some(changed) = unfit(connection, &is_fine) {
        changed.notified().await;
    }
}

/// What tells of changes of a queue that is there and not as wanted.
fn unfit(connection: &Connection, is_fine: &impl Fn(&SendQueue) -> bool) -> Option<Arc<Notify>> {
    let outbound = lock(&connection.exchange.outbound);
    outbound.queue.as_deref().filter(|queue| !is_fine(queue)).map(SendQueue::changed)
}

/// Sends a whole response, and ends it.
pub fn send_whole(connection: &Arc<Connection>, bytes: &[u8], keep: bool) {
    let mut outbound = lock(&connection.exchange.outbound);
    outbound.bytes.extend_from_slice(bytes);
    if outbound.queue.is_some() {
        // It fails only where the client is gone.
        let _ = queue_pending(connection, &mut outbound);
    }
    drop(outbound);
    flush(connection);
    finish(connection, keep);
}

/// Ends a response: at once, or once the queue has been written.
pub fn finish(connection: &Arc<Connection>, keep: bool) {
    let mut outbound = lock(&connection.exchange.outbound);
    let mut keep = keep;
    if let Some(queue) = &mut outbound.queue {
        if queue.finish(keep) {
            return;
        }
        // The client is gone: nobody writes it any more.
        outbound.queue = None;
        keep = false;
    }
    drop(outbound);
    connection.end_response(keep);
}

/// Writes a connection's queue until it is empty, and ends the response if that was all of it.
async fn write_out(connection: Arc<Connection>) {
    let mut patience = connection.patience();
    loop {
        let taken = {
            let mut outbound = lock(&connection.exchange.outbound);
            let Some(queue) = &mut outbound.queue else { return };
            let taken = queue.take();
            if matches!(taken, Ok(Taken::Nothing)) {
                let end = queue.end();
                outbound.queue = None;
                outbound.last_send_ns = 0;
                drop(outbound);
                if let QueueEnd::Done { keep } = end {
                    connection.end_response(keep);
                }
                return;
            }
            taken
        };
        let written = match taken {
            Ok(Taken::Piece(piece)) => write_piece(&connection, &mut patience, piece).await,
            Ok(Taken::Later(written)) => {
                written.notified().await;
                Ok(())
            }
            Ok(Taken::Nothing) => Ok(()),
            Err(error) => Err(error),
        };
        if written.is_err() {
            return fail(&connection);
        }
    }
}

async fn write_piece(connection: &Arc<Connection>, patience: &mut Patience, piece: Piece) -> io::Result<()> {
    match piece {
        Piece::File(range) => write_file(connection, patience, range).await,
        Piece::Shared(block, held) => {
            connection.send_rest(patience, block.bytes()).await?;
            let held_bytes = block.held_bytes();
            drop((block, held));
            if let Some(queue) = &mut lock(&connection.exchange.outbound).queue {
                queue.release(held_bytes);
            }
            Ok(())
        }
        Piece::Bytes(_) | Piece::Spooled(_) => connection.send_rest(patience, piece.bytes()).await,
    }
}

/// Sends a range of a file with sendfile(2).
async fn write_file(connection: &Arc<Connection>, patience: &mut Patience, range: FileRange) -> io::Result<()> {
    let FileRange { file, mut offset, length, threads } = range;
    if let Some(threads) = threads {
        return write_file_elsewhere(connection, patience, &threads, &file, offset..offset + length).await;
    }
    let end = offset + length;
    while offset < end {
        let piece = usize::try_from((end - offset).min(FILE_PIECE_BYTES)).unwrap_or(usize::MAX);
        let mut write = || connection.socket.send_file(&file, &mut offset, piece);
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

/// As `write_file`, where the disk is waited for by other threads: they send, each time until the socket is full, and
/// this waits until it no longer is.
async fn write_file_elsewhere(
    connection: &Arc<Connection>,
    patience: &mut Patience,
    threads: &BlockingThreads,
    file: &Arc<File>,
    mut range: Range<u64>,
) -> io::Result<()> {
    while range.start < range.end {
        let writable = connection.wait_writable(patience).await?;
        let (there, file) = (connection.clone(), file.clone());
        let mut offset = range.start;
        let piece_bytes = (range.end - range.start).min(THREAD_PIECE_BYTES);
        let write = move || {
            let mut length = piece_bytes;
            send_at_once(&there, &file, &mut offset, &mut length)
        };
        // None where the threads have ended with the server.
        let sent = threads.wait(write).await.ok_or(io::ErrorKind::BrokenPipe)??;
        if sent < piece_bytes {
            writable.is_full();
        }
        if sent > 0 {
            range.start += sent;
            patience.moved(sent);
        }
    }
    Ok(())
}

/// The client is gone: the application hears of it at its next block.
fn fail(connection: &Arc<Connection>) {
    let mut outbound = lock(&connection.exchange.outbound);
    let Some(queue) = &mut outbound.queue else { return };
    let was_complete = queue.end() != QueueEnd::Open;
    queue.fail();
    if was_complete {
        outbound.queue = None;
        drop(outbound);
        connection.end_response(false);
    }
}
