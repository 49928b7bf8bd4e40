//! Read buffers that are kept for reuse: between its requests a connection holds none.

use super::inbound::Inbound;
use crate::budget::Budget;
use crate::lock::lock;
use std::sync::{Arc, Mutex};

/// The most that are kept.
const POOLED: usize = 64;

/// The pool.
pub struct Buffers {
    #[expect(clippy::vec_box, reason = "buffers travel boxed: moving them through queues and tasks stays cheap")]
    idle: Mutex<Vec<Box<Inbound>>>,
    memory: Arc<Budget>,
}

impl Buffers {
    /// An empty pool, whose buffers count in `memory`.
    pub fn new(memory: &Arc<Budget>) -> Buffers {
        Buffers { idle: Mutex::default(), memory: memory.clone() }
    }

    /// An empty read buffer.
    pub fn take(&self) -> Box<Inbound> {
        let pooled = lock(&self.idle).pop();
        pooled.unwrap_or_else(|| Box::new(Inbound::new(&self.memory)))
    }

    /// Gives a read buffer back.
    pub fn give_back(&self, mut buffer: Box<Inbound>) {
        if buffer.reset() {
            let mut idle = lock(&self.idle);
            if idle.len() < POOLED {
                idle.push(buffer);
            }
        }
    }
}
