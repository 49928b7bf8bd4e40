//! The outgoing side of a connection: bytes that were accepted and have not been sent.

use crate::message::send_queue::SendQueue;

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
    /// Forgets the first `sent` bytes; once all are gone the memory goes too, so that an idle connection
    /// holds none.
    pub fn take_away(&mut self, sent: usize) {
        if sent >= self.bytes.len() {
            self.bytes = Vec::new();
        } else {
            self.bytes.drain(..sent);
        }
    }
}
