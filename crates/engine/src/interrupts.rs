//! Interruptions of the crew's first thread: a signal has come, and an interpreter runs the handlers of signals on its
//! first thread only. Within a call, they end a wait for the client.

use crate::lock::lock;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};
use std::task::{Poll, Waker};

/// Whether there is one, and who waits for it.
#[derive(Default)]
pub struct Interrupts {
    /// Whether the server hears of signals: `SURE`, `DOUBTFUL` or `DEAF`.
    hearing: AtomicU8,
    /// Ticks so far.
    ticks: AtomicU32,
    is_due: AtomicBool,
    waiter: Mutex<Option<Waker>>,
    handler: OnceLock<Handler>,
}

/// A signal interrupts the thread as soon as it comes.
const SURE: u8 = 0;
/// The thread has called the application since, which may listen in the server's place now.
const DOUBTFUL: u8 = 1;
/// The application listens in the server's place: the thread has to look for itself.
const DEAF: u8 = 2;
/// Of so many ticks one is for a doubt.
const DOUBTED_EVERY: u32 = 4;

/// Handles the signals that have come, on the calling thread. Says whether the server hears of the next.
pub type Handler = Box<dyn Fn() -> bool + Send + Sync>;

impl Interrupts {
    /// Sets what handles signals, once.
    pub fn on_interrupt(&self, handler: Handler) {
        // A second one would be a second server in this one's place.
        let _ = self.handler.set(handler);
        self.hearing.store(DEAF, Relaxed);
    }

    /// Notes that the server may not hear of signals any more.
    pub fn doubt(&self) {
        if self.hearing.load(Relaxed) == SURE {
            self.hearing.store(DOUBTFUL, Relaxed);
        }
    }

    /// Whether the thread is to be interrupted without any signal, to see whether there is one; asked at each tick.
    pub fn are_due(&self) -> bool {
        let is_turn_of_doubts = self.ticks.fetch_add(1, Relaxed).is_multiple_of(DOUBTED_EVERY);
        let hearing = self.hearing.load(Relaxed);
        self.handler.get().is_some() && (hearing == DEAF || hearing == DOUBTFUL && is_turn_of_doubts)
    }

    /// Whether the thread has to look for signals at some tick.
    pub fn is_looking(&self) -> bool {
        self.handler.get().is_some() && self.hearing.load(Relaxed) != SURE
    }

    /// Handles the signals that have come. Only on the crew's first thread, with nothing locked.
    pub fn handle(&self) {
        if let Some(handler) = self.handler.get() {
            self.hearing.store(if handler() { SURE } else { DEAF }, Relaxed);
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
        poll_fn(|context| if self.is_due(context.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Whether there is an interruption, which is over with that; `waker` is woken by the next.
    pub fn is_due(&self, waker: &Waker) -> bool {
        // Noted before the look, so that none is missed.
        let mut waiter = lock(&self.waiter);
        match &mut *waiter {
            Some(before) => before.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        drop(waiter);
        self.is_due.swap(false, SeqCst)
    }
}
