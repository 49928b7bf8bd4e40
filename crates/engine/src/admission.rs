//! Who may come in: connections in all and of one address, and making room when there are as many as may be; requests.

use crate::lock::lock;
use crate::scoreboard::SlotRef;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use tokio::sync::Notify;

/// The room of one request among those in flight, given back by `Admission::end_request`.
#[derive(Debug)]
pub struct Room(());

/// Counts connections, and requests that a response is due to.
pub struct Admission {
    limit: usize,
    limit_per_address: u64,
    open: AtomicUsize,
    /// Only kept where addresses are limited.
    by_address: Mutex<HashMap<IpAddr, u64>>,
    /// Whether somebody waits for a connection to end.
    is_waited_for: AtomicBool,
    ended: Notify,
    /// Whether nobody has come since this was set.
    is_still: AtomicBool,
    came: Notify,
    request_limit: u64,
    /// Has the number of requests.
    slot: SlotRef,
}

impl Admission {
    /// At most `limit` connections, and `limit_per_address` of one address; at most `request_limit` requests in flight,
    /// which are counted in `slot`.
    pub fn new(limit: usize, limit_per_address: u64, request_limit: usize, slot: SlotRef) -> Admission {
        Admission {
            limit,
            limit_per_address,
            open: AtomicUsize::new(0),
            by_address: Mutex::default(),
            is_waited_for: AtomicBool::new(false),
            ended: Notify::new(),
            is_still: AtomicBool::new(false),
            came: Notify::new(),
            request_limit: request_limit as u64,
            slot,
        }
    }

    /// Counts a request that waits or is responded to from now on; none if as many as may be are in flight.
    pub fn begin_request(&self) -> Option<Room> {
        let room = Room(());
        if self.slot.active_requests.fetch_add(1, Relaxed) < self.request_limit {
            return Some(room);
        }
        self.end_request(room);
        None
    }

    /// Whether one more request may be in flight now.
    pub fn has_room(&self) -> bool {
        self.slot.active_requests.load(Relaxed) < self.request_limit
    }

    /// The response to a request is about to end: who has all of it may ask again.
    pub fn end_request(&self, _room: Room) {
        self.slot.active_requests.fetch_sub(1, Relaxed);
    }

    /// Counts a new connection; false if its address has as many as it may. `counted_peer` is none where addresses
    /// do not count: Unix sockets and trusted reverse proxies. To be followed by `leave` in either case.
    pub fn enter(&self, counted_peer: Option<SocketAddr>) -> bool {
        self.open.fetch_add(1, SeqCst);
        if self.is_still.load(SeqCst) && self.is_still.swap(false, SeqCst) {
            self.came.notify_one();
        }
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

    /// Whether no connection is open, and none was since this was asked before.
    pub fn is_still(&self) -> bool {
        let was_still = self.is_still.swap(true, SeqCst);
        // Who came before the swap is seen here.
        was_still && self.open.load(SeqCst) == 0
    }

    /// Waits until a connection comes after `is_still` was asked. Only one may wait.
    pub async fn entered(&self) {
        self.came.notified().await;
    }

    /// Waits until a connection ends.
    pub async fn room(&self) {
        self.is_waited_for.store(true, SeqCst);
        // What ended before the store is seen here.
        if self.is_full() {
            self.ended.notified().await;
        }
    }

    /// Waits until no connection is open. Not while somebody waits for room.
    pub async fn emptied(&self) {
        loop {
            self.is_waited_for.store(true, SeqCst);
            // What ended before the store is seen here.
            if self.open.load(SeqCst) == 0 {
                return;
            }
            self.ended.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::Mapping;
    use std::io;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn has_entered(admission: &Admission) -> bool {
        pin!(admission.entered()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn it_is_still_when_nobody_has_come_since_the_last_time_it_was_asked() -> io::Result<()> {
        let slot = SlotRef::new(&Mapping::new(1)?, 0).ok_or(io::ErrorKind::NotFound)?;
        let admission = Admission::new(10, u64::MAX, 10, slot);
        assert!(!admission.is_still());
        assert!(admission.is_still());
        assert!(!has_entered(&admission));
        admission.enter(None);
        assert!(has_entered(&admission));
        assert!(!admission.is_still());
        assert!(!admission.is_still(), "one is open");
        admission.leave(None);
        assert!(admission.is_still());
        // One that has come and gone is noticed all the same.
        admission.enter(None);
        admission.leave(None);
        assert!(!admission.is_still());
        assert!(has_entered(&admission));
        Ok(())
    }
}
