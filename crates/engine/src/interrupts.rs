//! Interruptions of the crew's first thread: a signal has come, and an interpreter runs the handlers of signals on its
//! first thread only. Within a call, they end a wait for the client.

use crate::lock::lock;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};
use std::task::{Poll, Waker};

/// Whether there is one, and who waits for it.
#[derive(Default)]
pub struct Interrupts {
    /// Whether a signal may come without anybody noticing, because the application listens in the server's place.
    is_doubtful: AtomicBool,
    is_due: AtomicBool,
    waiter: Mutex<Option<Waker>>,
    handler: OnceLock<Handler>,
}

/// Handles the signals that have come, on the calling thread. Says whether the server hears of the next.
pub type Handler = Box<dyn Fn() -> bool + Send + Sync>;

impl Interrupts {
    /// Sets what handles signals, once.
    pub fn on_interrupt(&self, handler: Handler) {
        // A second one would be a second server in this one's place.
        let _ = self.handler.set(handler);
        self.doubt();
    }

    /// Notes that the server may not hear of signals any more.
    pub fn doubt(&self) {
        self.is_doubtful.store(true, Relaxed);
    }

    /// Whether the thread is to be interrupted without any signal, to see whether there is one; asked at each tick.
    pub fn are_due(&self) -> bool {
        self.handler.get().is_some() && self.is_doubtful.swap(false, Relaxed)
    }

    /// Handles the signals that have come. Only on the crew's first thread, with nothing locked.
    pub fn handle(&self) {
        if self.handler.get().is_some_and(|handler| !handler()) {
            self.doubt();
        }
    }

    /// Interrupts the thread, now or in its next wait.
    pub fn interrupt(&self) {
        self.is_due.store(true, SeqCst);
        let waiter = lock(&self.waiter).take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Ends with an interruption, which is over with that. Only one thread waits here.
    pub async fn next(&self) {
        poll_fn(|context| {
            // Noted before the look, so that none is missed.
            *lock(&self.waiter) = Some(context.waker().clone());
            if self.is_due.swap(false, SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
