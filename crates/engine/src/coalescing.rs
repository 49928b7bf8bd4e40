//! Responses with coalesced bytes that nobody has sent yet: the watchdog sends them at its next tick.

use crate::lock::lock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};

/// Whatever has coalesced bytes.
pub trait Coalesced: Send + Sync {
    /// Sends them, as far as the client takes them.
    fn flush(self: Arc<Self>);
}

/// All that have coalesced bytes.
#[derive(Default)]
pub struct Coalescing {
    waiting: Mutex<Vec<Arc<dyn Coalesced>>>,
    is_any: AtomicBool,
    /// Wakes whoever flushes.
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Coalescing {
    /// Sets who is woken when the first bytes wait; once, before the first request.
    pub fn on_first(&self, wake: Box<dyn Fn() + Send + Sync>) {
        // A second call would be a mistake of this crate; the first one stays.
        let _ = self.wake.set(wake);
    }

    /// Adds one.
    pub fn add(&self, coalesced: Arc<dyn Coalesced>) {
        lock(&self.waiting).push(coalesced);
        if !self.is_any.swap(true, SeqCst)
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }

    /// Whether any wait.
    pub fn is_any(&self) -> bool {
        self.is_any.load(SeqCst)
    }

    /// Flushes all; true if there were any.
    pub fn flush(&self) -> bool {
        if !self.is_any.swap(false, SeqCst) {
            return false;
        }
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let were_any = !waiting.is_empty();
        for coalesced in waiting {
            coalesced.flush();
        }
        were_any
    }
}
