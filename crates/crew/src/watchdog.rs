//! The watchdog, as those see it whom it watches: what they share with it, and how it is woken.

use crate::calls::CallCounter;
use crate::sync::{AtomicBool, Mutex, Ordering, Thread, current, lock};

/// What the watchdog shares with those it watches, and how it is woken.
pub struct Watchdog {
    pub(crate) calls: CallCounter,
    /// Whether it pauses, and coalesced bytes or a vacant lead end that.
    is_napping: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

impl Watchdog {
    pub(crate) fn new() -> Watchdog {
        Watchdog { calls: CallCounter::new(), is_napping: AtomicBool::new(false), thread: Mutex::new(None) }
    }

    /// Notes the calling thread as the watchdog.
    pub(crate) fn register(&self) {
        *lock(&self.thread) = Some(current());
    }

    /// Wakes the watchdog if it sleeps or naps. What the calling thread did before, the watchdog sees before it does so
    /// again.
    pub fn wake(&self) {
        // Both in any case: a write, where it sleeps after this, is how it sees what came before. See `CallCounter`.
        let (has_slept, has_napped) = (self.calls.wake(), self.is_napping.swap(false, Ordering::AcqRel));
        if has_slept || has_napped {
            self.unpark();
        }
    }

    /// Before such a pause: who has something for the watchdog wakes it from now on, but for a call that begins.
    pub(crate) fn begin_nap(&self) {
        self.is_napping.swap(true, Ordering::AcqRel);
    }

    /// After it.
    pub(crate) fn end_nap(&self) {
        self.is_napping.store(false, Ordering::Relaxed);
    }

    /// Ends the watchdog's pause in any case.
    pub(crate) fn unpark(&self) {
        if let Some(thread) = &*lock(&self.thread) {
            thread.unpark();
        }
    }
}
