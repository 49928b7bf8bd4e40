//! Which of several workers takes a connection that waits: one that has a thread for it, and no more connections than
//! others. What it goes by is in the scoreboard.

use crate::clock;
use crate::descriptor;
use crate::scoreboard::SlotRef;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long it may take until a worker that has begun to accept is noticed.
const LOOK_EVERY_MS: u64 = 100;
/// A worker whose threads have all been in one call for so long, or one of whose threads has waited so long for the
/// interpreter, is no place for a connection.
const STUCK_NS: u64 = 10_000_000;

/// For how long nothing is left to workers with fewer connections, or idle ones, after none of these has come: it stands
/// still, or is dead and nobody has noticed yet.
const ALONE_MS: u64 = 1000;

/// Whose a connection is that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This worker's.
    Own,
    /// That of a worker with fewer connections, if it comes for it.
    OfFewer,
    /// That of any worker that can call: this one cannot.
    OfTheFree,
    /// That of one that does nothing, if it comes for it: this one is in a call, which may be a long one.
    OfAnIdle,
}

/// The workers that accept from the same sockets, as one of them sees the others.
pub struct Fairness {
    slot: SlotRef,
    others: Vec<SlotRef>,
    looked_ms: Option<u64>,
    alone_until_ms: u64,
    left: Option<AsyncFd<OwnedFd>>,
}

impl Fairness {
    /// The view of the worker in `slot`. To be called in the runtime.
    pub fn new(slot: SlotRef) -> Fairness {
        let left = slot.left_connections().and_then(|left| descriptor::watch_owned(left, Interest::READABLE).ok());
        Fairness { slot, others: Vec::new(), looked_ms: None, alone_until_ms: 0, left }
    }

    /// Who should take what waits.
    pub fn claim(&mut self) -> Claim {
        let is_away = self.slot.is_loop_away();
        // One that cannot call now is not to take what a worker could have that has just begun to accept.
        self.look_around(is_away);
        // A dead one has no connections, and looks like the one with most room.
        self.others.retain(SlotRef::is_accepting);
        if self.others.is_empty() {
            return Claim::Own;
        }
        let now_ns = clock::monotonic_ns();
        // Who has taken a request more recently will be the sooner to take another; some worker is the first of all, so
        // none waits for ever.
        let stuck_ns = stuck_ns(&self.slot, now_ns);
        if stuck_ns > 0 && self.others.iter().any(|other| self::stuck_ns(other, now_ns) < stuck_ns / 2) {
            return Claim::OfTheFree;
        }
        if clock::coarse_ms() < self.alone_until_ms {
            return Claim::Own;
        }
        // Unlike threads that are all in calls, a loop that is in one does not keep this from accepting.
        let is_idle = |other: &SlotRef| !other.is_loop_away() && self::stuck_ns(other, now_ns) == 0;
        if is_away && self.others.iter().any(is_idle) {
            return Claim::OfAnIdle;
        }
        let free = self.others.iter().filter(|other| self::stuck_ns(other, now_ns) < STUCK_NS);
        match free.map(SlotRef::connections).min() {
            Some(least) if self.slot.connections() > least + least / 8 + 1 => Claim::OfFewer,
            _ => Claim::Own,
        }
    }

    /// Whether another worker has fewer connections.
    pub fn has_more_than_others(&self) -> bool {
        let least = self.others.iter().map(SlotRef::connections).min();
        least.is_some_and(|least| self.slot.connections() > least)
    }

    /// Notes that a connection was left to a worker with fewer, or an idle one, and none has come for it.
    pub fn nobody_came(&mut self) {
        self.alone_until_ms = clock::coarse_ms() + ALONE_MS;
    }

    /// Tells the others that a connection waits for one of them.
    pub fn leave(&self) {
        self.slot.leave_connection();
    }

    /// Waits until another worker leaves a connection.
    pub async fn left(&self) {
        match &self.left {
            Some(left) => match left.readable().await {
                // Never read: each further one is an event all the same.
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    fn look_around(&mut self, is_urgent: bool) {
        let now_ms = clock::coarse_ms();
        if is_urgent || self.looked_ms.is_none_or(|looked_ms| now_ms - looked_ms >= LOOK_EVERY_MS) {
            self.looked_ms = Some(now_ms);
            self.others = self.slot.others_that_accept();
        }
    }
}

/// For how long a worker has been no place for a connection; 0 if it is one. Its own view is not 0 only where the watchdog
/// drives I/O, because all its threads are in calls, or where somebody keeps the interpreter.
fn stuck_ns(slot: &SlotRef, now_ns: u64) -> u64 {
    let waiting_ns = slot.waiting_ns(now_ns);
    slot.stuck_ns(now_ns).max(if waiting_ns > STUCK_NS { waiting_ns } else { 0 })
}
