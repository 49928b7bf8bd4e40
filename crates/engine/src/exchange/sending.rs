//! What a full socket has not taken of a response: it goes to the connection's send queue, which a task writes out.
//! Whoever makes the response waits only where the queue has no room.

use crate::clock;
use crate::coalescing::Coalesced;
use crate::connection::Connection;
use crate::connection::outbound::Outbound;
use crate::connection::socket::Then;
use crate::lock::lock;
use crate::message::framing::{ResponseFraming, Tail};
use crate::message::send_queue::{Block, FileRange, Piece, QueueEnd, SendQueue};
use crate::pace::Patience;
use crate::resources::Waited;
use std::io;
use std::sync::Arc;
use tokio::sync::Notify;

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

/// Queues the rest of a block, waiting, where the queue has no room, for the client. `cell` is the call's. Outside the
/// interpreter: what is kept may go to a file.
///
/// # Errors
/// The client is gone.
pub fn queue(connection: &Arc<Connection>, cell: usize, block_bytes: usize, rest: Unsent) -> io::Result<()> {
    wait_for(connection, cell, |queue| queue.has_room(block_bytes));
    let mut outbound = lock(&connection.exchange.outbound);
    let queue = queue_pending(connection, &mut outbound)?;
    let is_kept = queue.push_block(rest.block, rest.framing, rest.is_last)?;
    queue.push(rest.tail.as_ref())?;
    drop(outbound);
    if !is_kept {
        wait_for(connection, cell, |queue| queue.is_empty() || queue.end() == QueueEnd::Failed);
        let outbound = lock(&connection.exchange.outbound);
        if outbound.queue.as_ref().is_some_and(|queue| queue.end() == QueueEnd::Failed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
    Ok(())
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

/// Waits, driving I/O, until the queue is as wanted, or gone.
fn wait_for(connection: &Connection, cell: usize, is_fine: impl Fn(&SendQueue) -> bool) {
    let unfit = || -> Option<Arc<Notify>> {
        let outbound = lock(&connection.exchange.outbound);
        outbound.queue.as_deref().filter(|queue| !is_fine(queue)).map(SendQueue::changed)
    };
    if unfit().is_none() {
        return;
    }
    let fits = async || {
        while let Some(changed) = unfit() {
            changed.notified().await;
        }
    };
    let resources = &connection.resources;
    while let Waited::Interrupted = resources.wait_in_call(cell, fits()) {
        resources.interrupts.handle();
    }
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
            if matches!(taken, Ok(None)) {
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
            Ok(Some(piece)) => write_piece(&connection, &mut patience, piece).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if written.is_err() {
            return fail(&connection);
        }
    }
}

async fn write_piece(connection: &Connection, patience: &mut Patience, piece: Piece) -> io::Result<()> {
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
async fn write_file(connection: &Connection, patience: &mut Patience, range: FileRange) -> io::Result<()> {
    /// At most this much at a time, so that one large file does not keep the others waiting.
    const PIECE_BYTES: u64 = 1024 * 1024;
    let FileRange { file, mut offset, length } = range;
    let end = offset + length;
    while offset < end {
        let piece = usize::try_from((end - offset).min(PIECE_BYTES)).unwrap_or(usize::MAX);
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
