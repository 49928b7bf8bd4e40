//! The word that the leader and the watchdog share: the starts and ends of the leader's calls, counted, and whether the
//! watchdog sleeps.
//!
//! ```text
//!            begin (wakes)                    end, by whoever is first: the leader or the watchdog
//!   even, asleep ----------> odd: in a call ----------------> even
//!        ^ '---- wake -----.                                   | ^
//!        '---------------- fall_asleep, if nothing has begun --' '- begin: odd
//! ```
//!
//! One word, because whoever changes it knows at once what the other side has done: the watchdog falls asleep only if
//! the count is still what it last saw, and the leader learns from the same exchange that begins its call whether there
//! is somebody to be woken. Two words would need a full fence on both sides ("store buffering"), also in every call.

use crate::sync::{AtomicU64, Ordering};

/// Set while the watchdog sleeps; the rest of the word is the count.
const ASLEEP: u64 = 1 << 63;

/// The word.
pub struct CallCounter(AtomicU64);

/// Starts and ends so far. Odd: the leader is in a call, of which this value is the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(u64);

impl Count {
    /// Whether the leader is in a call.
    pub fn is_in_call(self) -> bool {
        self.0 % 2 == 1
    }

    /// Whether no call has begun since `before`, and none runs.
    pub fn has_only_ended_since(self, before: Count) -> bool {
        !self.is_in_call() && self.0 - before.0 <= before.0 % 2
    }
}

impl CallCounter {
    /// No call has begun, and the watchdog is awake.
    pub fn new() -> CallCounter {
        CallCounter(AtomicU64::new(0))
    }

    /// Starts and ends so far.
    pub fn count(&self) -> Count {
        Count(self.0.load(Ordering::Acquire) & !ASLEEP)
    }

    /// Begins a call of the leader; true if the watchdog slept and is to be unparked.
    pub fn begin(&self) -> (Count, bool) {
        // Outside of calls only the leader, which this is, changes the count.
        let call = (self.0.load(Ordering::Relaxed) & !ASLEEP) + 1;
        let before = self.0.swap(call, Ordering::AcqRel);
        debug_assert!(Count(call).is_in_call(), "a call begins in a call: {call}");
        (Count(call), before & ASLEEP != 0)
    }

    /// Ends `call`; false if somebody else has. Whoever ends it has the lead.
    pub fn end(&self, call: Count) -> bool {
        // The watchdog does not sleep during a call, so the count is the whole word.
        self.0.compare_exchange(call.0, call.0 + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Lets the watchdog sleep if nothing has begun or ended since it saw `count`; never during a call.
    pub fn fall_asleep(&self, count: Count) -> bool {
        !count.is_in_call()
            && self.0.compare_exchange(count.0, count.0 | ASLEEP, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Ends the watchdog's sleep; true if it slept and is to be unparked.
    pub fn wake(&self) -> bool {
        // In any case a write, also where nobody sleeps: if the watchdog falls asleep later, it has seen all that came
        // before this.
        self.0.fetch_and(!ASLEEP, Ordering::AcqRel) & ASLEEP != 0
    }
}
