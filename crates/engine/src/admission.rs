//! Who may come in: connections in all and of one address, and making room when there are as many as may be.
//!
//! Requests have a bound of their own, in portico-crew.

use crate::lock::lock;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use tokio::sync::Notify;

/// Counts connections.
pub struct Admission {
    limit: usize,
    limit_per_address: u64,
    open: AtomicUsize,
    /// Only kept where addresses are limited.
    by_address: Mutex<HashMap<IpAddr, u64>>,
    /// Whether the listener waits for a connection to end.
    is_waited_for: AtomicBool,
    ended: Notify,
}

impl Admission {
    /// At most `limit` connections, and `limit_per_address` of one address.
    pub fn new(limit: usize, limit_per_address: u64) -> Admission {
        Admission {
            limit,
            limit_per_address,
            open: AtomicUsize::new(0),
            by_address: Mutex::default(),
            is_waited_for: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    /// Counts a new connection; false if its address has as many as it may. `counted_peer` is none where addresses
    /// do not count: Unix sockets and trusted reverse proxies. To be followed by `leave` in either case.
    pub fn enter(&self, counted_peer: Option<SocketAddr>) -> bool {
        self.open.fetch_add(1, SeqCst);
        let Some(peer) = counted_peer.filter(|_| self.limit_per_address != u64::MAX) else { return true };
        let mut by_address = lock(&self.by_address);
        let open = by_address.entry(peer.ip()).or_insert(0);
        *open += 1;
        *open <= self.limit_per_address
    }

    /// A connection has ended.
    pub fn leave(&self, counted_peer: Option<SocketAddr>) {
        self.open.fetch_sub(1, SeqCst);
        if let Some(peer) = counted_peer.filter(|_| self.limit_per_address != u64::MAX) {
            let mut by_address = lock(&self.by_address);
            if let Some(open) = by_address.get_mut(&peer.ip()) {
                *open -= 1;
                if *open == 0 {
                    by_address.remove(&peer.ip());
                }
            }
        }
        if self.is_waited_for.swap(false, SeqCst) {
            self.ended.notify_one();
        }
    }

    /// Whether no further connection may come in.
    pub fn is_full(&self) -> bool {
        self.open.load(SeqCst) >= self.limit
    }

    /// Waits until a connection ends.
    pub async fn room(&self) {
        self.is_waited_for.store(true, SeqCst);
        // What ended before the store is seen here.
        if self.is_full() {
            self.ended.notified().await;
        }
    }
}
