//! Budgets: amounts of something that all connections of a server share (memory, temporary files), each with a
//! bound. What a connection holds of one is a `Reservation`, which goes back when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes in use, and how many may be.
pub struct Budget {
    used: AtomicU64,
    limit: u64,
}

impl Budget {
    /// An untouched budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Budget> {
        Arc::new(Budget { used: AtomicU64::new(0), limit })
    }

    /// Takes `bytes` if no more than `limit` are in use then.
    fn take(&self, bytes: u64, limit: u64) -> bool {
        let before = self.used.fetch_add(bytes, Relaxed);
        let fits = before.saturating_add(bytes) <= limit;
        if !fits {
            self.used.fetch_sub(bytes, Relaxed);
        }
        fits
    }

    /// Takes `bytes` in any case: for what must be there to serve at all.
    pub fn overdraw(&self, bytes: u64) {
        self.used.fetch_add(bytes, Relaxed);
    }

    /// Gives `bytes` back.
    pub fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
    }

    /// Whether `bytes` are left, as things are now.
    pub fn has(&self, bytes: u64) -> bool {
        self.used.load(Relaxed).saturating_add(bytes) <= self.limit
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Whether more is in use than should be.
    pub fn is_overdrawn(&self) -> bool {
        self.used.load(Relaxed) > self.limit
    }
}

/// The budgets of one server.
pub struct Budgets {
    /// Memory of read buffers, bodies and responses, in bytes.
    pub memory: Arc<Budget>,
    /// Bytes in temporary files of bodies and responses.
    pub temporary: Arc<Budget>,
    /// The temporary files themselves: each is a descriptor.
    pub files: Arc<Budget>,
}

/// One holder's part of a budget.
pub struct Reservation {
    budget: Arc<Budget>,
    /// What may be in use, by all, when this one grows.
    limit: u64,
    bytes: u64,
}

impl Reservation {
    /// Nothing yet.
    pub fn new(budget: &Arc<Budget>) -> Reservation {
        Reservation { budget: budget.clone(), limit: budget.limit, bytes: 0 }
    }

    /// Nothing yet, and no more than leaves a quarter of the budget to others: responses that nobody reads must not
    /// keep requests from coming in.
    pub fn for_response(budget: &Arc<Budget>) -> Reservation {
        Reservation { budget: budget.clone(), limit: budget.limit - budget.limit / 4, bytes: 0 }
    }

    /// Takes `bytes` more; false, and nothing taken, if they are not left.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let is_granted = self.budget.take(bytes, self.limit);
        if is_granted {
            self.bytes += bytes;
        }
        is_granted
    }

    /// Another one, which holds all that this one did.
    #[must_use]
    pub fn take(&mut self) -> Reservation {
        Reservation { budget: self.budget.clone(), limit: self.limit, bytes: std::mem::take(&mut self.bytes) }
    }

    /// What it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives `bytes` of it back.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give_back(bytes);
    }

    /// Gives all of it back.
    pub fn release(&mut self) {
        self.budget.give_back(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}
