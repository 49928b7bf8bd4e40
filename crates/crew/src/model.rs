//! What the standard library has and loom has not, or not quite: only in the model of the hand-over.
//!
//! loom's own `park` loses a token when the thread yields or waits for a lock before it parks, and its `unpark` lets a
//! thread run that waits for a lock. So here a thread parks on a lock and a condition of its own.

use loom::sync::{Condvar, Mutex};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A thread, to be unparked.
#[derive(Clone)]
pub struct Thread(Arc<Parker>);

#[derive(Default)]
struct Parker {
    /// Whether `unpark` has been called since the last pause.
    has_token: Mutex<bool>,
    unparked: Condvar,
}

loom::thread_local! {
    static CURRENT: Thread = Thread(Arc::default());
}

impl Thread {
    /// Ends the thread's pause, or its next one.
    pub fn unpark(&self) {
        *self.0.has_token.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.unparked.notify_one();
    }
}

/// The calling thread.
pub fn current() -> Thread {
    CURRENT.with(Thread::clone)
}

/// Pauses until the calling thread is unparked.
pub fn park() {
    let parker = current().0;
    let mut has_token = parker.has_token.lock().unwrap_or_else(PoisonError::into_inner);
    while !*has_token {
        has_token = parker.unparked.wait(has_token).unwrap_or_else(PoisonError::into_inner);
    }
    *has_token = false;
}

/// There is no time in a model: a pause is over as soon as another thread has had its turn.
pub fn park_timeout(_pause: Duration) {
    loom::thread::yield_now();
    *current().0.has_token.lock().unwrap_or_else(PoisonError::into_inner) = false;
}

/// A panic in a model is loom's report of what went wrong. A destructor that went on with the model would bury it.
pub fn panicking() -> bool {
    false
}
