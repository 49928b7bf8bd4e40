//! The deadlines of one connection: two numbers, set with a plain store as often as it likes. What is late is told to
//! the connection by the wheel.
//!
//! Whoever sets a deadline looks afterwards at when the wheel will come by; the wheel notes when it will come by, and
//! looks afterwards at the deadline. One of the two has to see the other, so these four accesses are sequentially
//! consistent: with less, each may see the old value ("store buffering"), and nobody comes by in time.

use crate::sync::{
    AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// What the bytes would be that a connection waits for; it decides what happens when they are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Wait {
    /// The first ones ever: closed silently.
    FirstByte = 1,
    /// The next request: closed silently.
    Idle = 2,
    /// The rest of a head: 408.
    Head = 3,
    /// The rest of a body: 408.
    Body = 4,
    /// None that matter, after the last response: aborted.
    Linger = 5,
}

impl Wait {
    fn of(packed: u64) -> Option<Wait> {
        [Wait::FirstByte, Wait::Idle, Wait::Head, Wait::Body, Wait::Linger]
            .into_iter()
            .find(|wait| *wait as u64 == packed & KIND)
    }
}

const KIND: u64 = 0b111;
const KIND_BITS: u32 = 3;

/// What is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Bytes of a request.
    Receiving(Wait),
    /// A reader of a response.
    Sending,
}

/// The deadlines of one connection, and where the wheel has it.
#[derive(Default)]
pub struct Deadline {
    /// Milliseconds and the kind of wait; 0 = nothing is waited for.
    receiving: AtomicU64,
    /// Milliseconds; 0 = nothing waits to be sent.
    sending: AtomicU64,
    /// The tick whose slot has this connection; 0 = not on the wheel.
    due_tick: AtomicU64,
    place: AtomicUsize,
}

impl Deadline {
    /// What is waited for now.
    pub fn waits_for(&self) -> Option<Wait> {
        Wait::of(self.receiving.load(Relaxed))
    }

    /// Nothing is waited for from the client.
    pub fn expect_nothing(&self) {
        self.receiving.store(0, Relaxed);
    }

    /// Something of this kind is to come by `at_ms`.
    pub(crate) fn expect(&self, wait: Wait, at_ms: u64) {
        self.receiving.store(packed(wait, at_ms), SeqCst);
    }

    /// As `expect`, unless something is waited for already; true if nothing was.
    pub(crate) fn expect_if_nothing(&self, wait: Wait, at_ms: u64) -> bool {
        self.receiving.compare_exchange(0, packed(wait, at_ms), SeqCst, Relaxed).is_ok()
    }

    /// Something is to be taken by `at_ms`; 0 = nothing waits to be sent.
    pub(crate) fn expect_reader(&self, at_ms: u64) {
        self.sending.store(at_ms, SeqCst);
    }

    /// What is late at `now_ms`; only once for each deadline.
    pub(crate) fn take_late(&self, now_ms: u64) -> Option<Late> {
        let sending_ms = self.sending.load(Relaxed);
        if sending_ms != 0 && sending_ms <= now_ms && take(&self.sending, sending_ms) {
            return Some(Late::Sending);
        }
        let receiving = self.receiving.load(Relaxed);
        if receiving >> KIND_BITS > now_ms {
            return None;
        }
        let wait = Wait::of(receiving)?;
        take(&self.receiving, receiving).then_some(Late::Receiving(wait))
    }

    /// Ends the wait for bytes if it is one of `kinds`, and says which.
    pub(crate) fn take_wait(&self, kinds: &[Wait]) -> Option<Wait> {
        let receiving = self.receiving.load(Relaxed);
        let wait = Wait::of(receiving).filter(|wait| kinds.contains(wait))?;
        take(&self.receiving, receiving).then_some(wait)
    }

    /// The earlier of the two deadlines in milliseconds.
    pub(crate) fn earliest_ms(&self) -> Option<u64> {
        let receiving = self.receiving.load(SeqCst);
        let sending = self.sending.load(SeqCst);
        [receiving >> KIND_BITS, sending].into_iter().filter(|ms| *ms != 0).min()
    }

    /// Whether the wheel knows it.
    pub fn is_placed(&self) -> bool {
        self.due_tick() != 0
    }

    /// The tick at which the wheel looks at it; 0 = it is not on the wheel.
    pub(crate) fn due_tick(&self) -> u64 {
        self.due_tick.load(SeqCst)
    }

    /// The wheel will look at it at `tick`.
    pub(crate) fn set_due_tick(&self, tick: u64) {
        self.due_tick.store(tick, SeqCst);
    }

    /// Its place on the wheel.
    pub(crate) fn place(&self) -> usize {
        self.place.load(Relaxed)
    }

    /// Notes its place on the wheel.
    pub(crate) fn set_place(&self, place: usize) {
        self.place.store(place, Relaxed);
    }
}

/// Takes a deadline away, unless the connection has just set another one: then this one has been met.
fn take(deadline: &AtomicU64, seen: u64) -> bool {
    deadline.compare_exchange(seen, 0, Relaxed, Relaxed).is_ok()
}

fn packed(wait: Wait, at_ms: u64) -> u64 {
    at_ms.min(u64::MAX >> KIND_BITS) << KIND_BITS | wait as u64
}
