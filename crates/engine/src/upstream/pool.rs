//! Connections to one member that are kept for further requests. The one that was used last is used next, so that those
//! which are not needed grow old and are closed.

use super::link::Link;
use crate::lock::lock;
use std::sync::Mutex;

/// How many are kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepTerms {
    /// Idle connections to one member; 0 keeps none.
    pub max_idle: usize,
    /// How long one may be idle, in milliseconds: less than the member keeps its own.
    pub idle_ms: u64,
}

/// The pool.
pub struct ConnectionPool {
    terms: KeepTerms,
    /// With the time since when each is idle, the oldest first.
    idle: Mutex<Vec<(Link, u64)>>,
}

impl ConnectionPool {
    /// An empty pool.
    pub fn new(terms: KeepTerms) -> ConnectionPool {
        ConnectionPool { terms, idle: Mutex::default() }
    }

    /// Whether connections are kept at all.
    pub fn keeps(&self) -> bool {
        self.terms.max_idle > 0
    }

    /// The connection that was used last, unless it is too old: then all are.
    pub fn take(&self, now_ms: u64) -> Option<Link> {
        let mut idle = lock(&self.idle);
        let (link, since_ms) = idle.pop()?;
        if !self.is_old(since_ms, now_ms) {
            return Some(link);
        }
        let all = std::mem::take(&mut *idle);
        drop(idle);
        // Closed without the lock.
        drop((link, all));
        None
    }

    /// Keeps a connection whose response has ended, in place of the oldest one where there are as many as may be.
    pub fn keep(&self, link: Link, now_ms: u64) {
        if !self.keeps() {
            return;
        }
        let mut idle = lock(&self.idle);
        let surplus = (idle.len() >= self.terms.max_idle).then(|| idle.remove(0));
        idle.push((link, now_ms));
        drop(idle);
        // Closed without the lock.
        drop(surplus);
    }

    /// Closes those that have been idle for too long.
    pub fn close_old(&self, now_ms: u64) {
        let mut idle = lock(&self.idle);
        let old = idle.iter().take_while(|(_, since_ms)| self.is_old(*since_ms, now_ms)).count();
        let old: Vec<_> = idle.drain(..old).collect();
        drop(idle);
        drop(old);
    }

    /// Closes all.
    pub fn close_all(&self) {
        let all = std::mem::take(&mut *lock(&self.idle));
        drop(all);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.idle).len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_old(&self, since_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(since_ms) >= self.terms.idle_ms
    }
}
