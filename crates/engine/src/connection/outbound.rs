//! The outgoing side of a connection: bytes that were accepted and have not been sent.

use crate::message::send_queue::SendQueue;
use std::cell::Cell;

/// What a thread keeps for the next response is no larger: a head with a small body.
const KEPT_BYTES: usize = 8 * 1024;

thread_local! {
    /// Memory of what the thread has sent last.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Response bytes that were accepted but not written yet.
#[derive(Default)]
pub struct Outbound {
    /// Coalesced bytes: a head, framing, small blocks.
    pub bytes: Vec<u8>,
    /// When something was last sent, or a first block began to wait; monotonic nanoseconds.
    pub last_send_ns: u64,
    /// Whether the watchdog knows of `bytes`.
    pub is_coalescing: bool,
    /// What a slow reader has not taken; a task writes it, and nobody else writes meanwhile.
    pub queue: Option<Box<SendQueue>>,
}

impl Outbound {
    /// Makes room for so many bytes more.
    pub fn reserve(&mut self, bytes: usize) {
        if self.bytes.capacity() == 0 {
            // None on a thread that is at its end.
            self.bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        self.bytes.reserve(bytes);
    }

    /// Forgets the first `sent` bytes; once all are gone the memory goes too, so that an idle connection
    /// holds none.
    pub fn take_away(&mut self, sent: usize) {
        if sent >= self.bytes.len() {
            let mut spare = std::mem::take(&mut self.bytes);
            if spare.capacity() <= KEPT_BYTES {
                spare.clear();
                let _ = SPARE.try_with(|kept| kept.set(spare));
            }
        } else {
            self.bytes.drain(..sent);
        }
    }
}
