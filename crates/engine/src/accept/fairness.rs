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

/// By how much more a worker whose threads are all in calls is no place for a connection than one that has a free thread,
/// which may only have had no CPU for a moment. Each worker weighs all of them like this, so that never all leave it.
const FULL_NS: u64 = 100_000_000;

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
        let now_ns = clock::monotonic_ns();
        let own = Stuck::of(&self.slot, now_ns);
        let is_away = self.slot.is_loop_away();
        // One that cannot call now is not to take what a worker could have that has just begun to accept.
        self.look_around(own.ns() > 0 || is_away);
        // A dead one has no connections, and looks like the one with most room.
        self.others.retain(SlotRef::is_accepting);
        if self.others.is_empty() {
            return Claim::Own;
        }
        // Who has taken a request more recently will be the sooner to take another; some worker is the first of all, so
        // none waits for ever.
        if own.ns() > 0 && self.others.iter().any(|other| Stuck::of(other, now_ns).is_less_than(own)) {
            return Claim::OfTheFree;
        }
        if clock::coarse_ms() < self.alone_until_ms {
            return Claim::Own;
        }
        // Unlike threads that are all in calls, a loop that is in one does not keep this from accepting.
        let is_idle = |other: &SlotRef| !other.is_loop_away() && Stuck::of(other, now_ns).ns() == 0;
        if is_away && self.others.iter().any(is_idle) {
            return Claim::OfAnIdle;
        }
        let free = self.others.iter().filter(|other| Stuck::of(other, now_ns).ns() < STUCK_NS);
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

/// For how long a worker has been no place for a connection. Its own view is not 0 only where the watchdog drives I/O,
/// because all its threads are in calls, or where somebody keeps the interpreter; on an event loop it drives I/O always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stuck {
    /// All its threads are in calls.
    full_ns: u64,
    /// Somebody keeps the interpreter.
    waiting_ns: u64,
}

impl Stuck {
    fn of(slot: &SlotRef, now_ns: u64) -> Stuck {
        let waiting_ns = slot.waiting_ns(now_ns);
        Stuck { full_ns: slot.stuck_ns(now_ns), waiting_ns: if waiting_ns > STUCK_NS { waiting_ns } else { 0 } }
    }

    /// 0 if it is a place for one.
    fn ns(self) -> u64 {
        self.full_ns.max(self.waiting_ns)
    }

    /// Whether it is much rather a place for one than `other`.
    fn is_less_than(self, other: Stuck) -> bool {
        let weight =
            |one: Stuck, beside: Stuck| one.ns() + if one.full_ns > 0 && beside.full_ns == 0 { FULL_NS } else { 0 };
        weight(self, other) < weight(other, self) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn full(ms: u64) -> Stuck {
        Stuck { full_ns: ms * MS, waiting_ns: 0 }
    }

    fn waiting(ms: u64) -> Stuck {
        Stuck { full_ns: 0, waiting_ns: ms * MS }
    }

    #[test]
    fn a_connection_is_for_who_has_a_free_thread_though_it_had_no_cpu_for_a_moment() {
        assert!(waiting(0).is_less_than(full(1)));
        assert!(waiting(20).is_less_than(full(1)));
        assert!(!full(1).is_less_than(waiting(20)));
        assert!(!waiting(2000).is_less_than(full(1)));
        assert!(full(1).is_less_than(waiting(2000)));
    }

    #[test]
    fn of_those_that_are_full_it_is_for_who_has_taken_a_request_more_recently() {
        assert!(full(4).is_less_than(full(10)));
        assert!(!full(6).is_less_than(full(10)));
    }

    #[test]
    fn no_two_workers_leave_it_to_each_other() {
        let times = [0, 1, 5, 11, 20, 49, 51, 100, 150, 300, 1000, 5000];
        let workers: Vec<Stuck> = times
            .iter()
            .flat_map(|first| times.map(|second| Stuck { full_ns: first * MS, waiting_ns: second * MS }))
            .collect();
        for one in &workers {
            for other in &workers {
                assert!(!(one.is_less_than(*other) && other.is_less_than(*one)), "{one:?} {other:?}");
            }
        }
    }
}
