//! The watchdog, as those see it whom it watches: what they share with it, and how it is woken.

use crate::calls::CallCounter;
use crate::sync::{Mutex, Thread, current, lock};

/// What the watchdog shares with those it watches, and how it is woken.
pub struct Watchdog {
    pub(crate) calls: CallCounter,
    thread: Mutex<Option<Thread>>,
}

impl Watchdog {
    pub(crate) fn new() -> Watchdog {
        Watchdog { calls: CallCounter::new(), thread: Mutex::new(None) }
    }

    /// Notes the calling thread as the watchdog.
    pub(crate) fn register(&self) {
        *lock(&self.thread) = Some(current());
    }

    /// Wakes the watchdog if it sleeps for good. What the calling thread did before, the watchdog sees before it sleeps
    /// again.
    pub fn wake_if_asleep(&self) {
        if self.calls.wake() {
            self.unpark();
        }
    }

    /// Ends the watchdog's pause in any case.
    pub(crate) fn unpark(&self) {
        if let Some(thread) = &*lock(&self.thread) {
            thread.unpark();
        }
    }
}
