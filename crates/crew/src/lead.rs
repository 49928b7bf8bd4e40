//! Who leads: one thread, or nobody while every thread is in the application; and how the lead changes hands.
//!
//! Two words tell all. `leader` is the index of the thread that leads, or `VACANT`; it is changed with the threads
//! locked. The watchdog's `calls` counts the starts and ends of the leader's calls. Whoever ends a call there has the
//! lead: the leader itself, or the watchdog that revokes it.
//!
//! ```text
//!                begin_call                revoke
//!   leads <-------------------> in a call ----------> former leader --end_call, somebody leads--> parked
//!     ^          end_call                                 |                                         |
//!     |                                                   '--end_call, vacant--.                    |
//!     '------------------------------------------------------------------------'<---- made leader --'
//! ```

use crate::calls::Count;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, Thread, current, lock, park};
use crate::watchdog::Watchdog;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Nobody leads.
const VACANT: usize = usize::MAX;

/// Starts the crew thread with this index, which begins as the leader; false if it cannot be started. Called with the
/// crew's threads locked: the new thread may ask for other locks only after it has started.
pub type Spawn = Box<dyn Fn(usize) -> bool + Send + Sync>;

/// The lead.
pub struct Lead {
    /// The most threads.
    limit: usize,
    leader: AtomicUsize,
    threads: Mutex<Threads>,
    is_stopping: AtomicBool,
    /// Whether thread 0 has to leave I/O, or its pause, for a moment.
    is_interrupted: AtomicBool,
    /// Looks after a leader that is in a call.
    pub watchdog: Watchdog,
}

struct Threads {
    parked: Vec<usize>,
    /// By index; none before the thread has registered, and after it has resigned.
    handles: Vec<Option<Thread>>,
    spawn: Option<Spawn>,
    /// The watchdog, while it polls because nobody leads.
    fallback: Option<Waker>,
}

/// What a thread that was parked comes back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// It leads.
    Leads,
    /// Thread 0 is interrupted; it may lead besides.
    Interrupted,
    /// The crew stops.
    Stops,
}

/// A call that has begun: the leader's by its count, none for a thread that does not lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(Option<Count>);

impl Lead {
    /// At most `limit` threads, of which thread 0 leads.
    pub fn new(limit: usize) -> Lead {
        Lead {
            limit,
            leader: AtomicUsize::new(0),
            threads: Mutex::new(Threads { parked: Vec::new(), handles: vec![None], spawn: None, fallback: None }),
            is_stopping: AtomicBool::new(false),
            is_interrupted: AtomicBool::new(false),
            watchdog: Watchdog::new(),
        }
    }

    /// Sets how a further thread is started.
    pub fn on_spawn(&self, spawn: Spawn) {
        lock(&self.threads).spawn = Some(spawn);
    }

    /// Notes the calling thread as thread `me`.
    pub fn register(&self, me: usize) {
        if let Some(handle) = lock(&self.threads).handles.get_mut(me) {
            *handle = Some(current());
        }
    }

    /// Thread `me` cannot serve, or no longer: nobody waits for it, and if it leads another does. Its index stays
    /// taken, so that a thread that cannot be prepared is not started again and again.
    pub fn resign(&self, me: usize) {
        let mut threads = lock(&self.threads);
        threads.parked.retain(|parked| *parked != me);
        if let Some(handle) = threads.handles.get_mut(me) {
            *handle = None;
        }
        if self.is_held_by(me) {
            self.give_away(&mut threads);
        }
    }

    /// Whether thread `me` leads.
    pub fn is_held_by(&self, me: usize) -> bool {
        self.leader.load(Ordering::Acquire) == me
    }

    /// Whether nobody leads.
    pub fn is_vacant(&self) -> bool {
        self.leader.load(Ordering::Acquire) == VACANT
    }

    /// Before a call of thread `me`.
    pub fn begin_call(&self, me: usize) -> Token {
        if !self.is_held_by(me) {
            return Token(None);
        }
        let (call, is_watchdog_due) = self.watchdog.calls.begin();
        if is_watchdog_due {
            self.watchdog.unpark();
        }
        Token(Some(call))
    }

    /// Gives the lead to another thread in a call that has begun, unless it has been revoked meanwhile.
    pub fn hand_over(&self, token: Token) -> Token {
        if let (Some(call), true) = (token.0, self.limit > 1) {
            self.revoke(call);
            return Token(None);
        }
        token
    }

    /// After a call of thread `me`: it leads (still, or again), or else it counts as parked.
    pub fn end_call(&self, me: usize, token: Token) {
        if token.0.is_some_and(|call| self.watchdog.calls.end(call)) {
            return;
        }
        let mut threads = lock(&self.threads);
        if !self.is_vacant() {
            threads.parked.push(me);
            return;
        }
        self.leader.store(me, Ordering::Release);
        let fallback = threads.fallback.take();
        drop(threads);
        if let Some(fallback) = fallback {
            fallback.wake();
        }
    }

    /// Takes the lead from the leader if it is still in `call`.
    pub fn revoke(&self, call: Count) {
        // Locked first: the former leader, at the end of its call, finds out who leads now only after that is settled.
        let mut threads = lock(&self.threads);
        if self.watchdog.calls.end(call) {
            self.give_away(&mut threads);
        }
    }

    /// Parks thread `me` until it is made leader, is interrupted, or the crew stops.
    pub fn park(&self, me: usize) -> Parked {
        loop {
            if self.is_stopping() {
                return Parked::Stops;
            }
            if self.takes_interrupt(me) {
                return Parked::Interrupted;
            }
            if self.is_held_by(me) {
                return Parked::Leads;
            }
            park();
        }
    }

    /// Has thread 0 come back from its pause. Where it leads, whoever calls this wakes it too.
    pub fn interrupt(&self) {
        self.is_interrupted.store(true, Ordering::Release);
        if let Some(thread) = lock(&self.threads).handles.first().and_then(Option::as_ref) {
            thread.unpark();
        }
    }

    /// Whether thread `me` is interrupted; it is so once.
    pub fn takes_interrupt(&self, me: usize) -> bool {
        me == 0 && self.is_interrupted.load(Ordering::Acquire) && self.is_interrupted.swap(false, Ordering::AcqRel)
    }

    /// Before thread `me`, which is interrupted, does what may take as long as a call: nobody gives the lead to it
    /// meanwhile, and if it has the lead the watchdog looks after that.
    pub fn begin_aside(&self, me: usize) -> Token {
        lock(&self.threads).parked.retain(|parked| *parked != me);
        self.begin_call(me)
    }

    /// Ends as soon as somebody leads, or the crew stops. Only the watchdog waits here.
    pub async fn taken(&self) {
        poll_fn(|context| {
            let mut threads = lock(&self.threads);
            if !self.is_vacant() || self.is_stopping() {
                return Poll::Ready(());
            }
            threads.fallback = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether the crew is to leave.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Lets every thread leave as soon as it is out of the application, and starts no other.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        let mut threads = lock(&self.threads);
        let (spawn, fallback) = (threads.spawn.take(), threads.fallback.take());
        for thread in threads.handles.iter().flatten() {
            thread.unpark();
        }
        drop(threads);
        // What it holds may be the last of its kind, so not under the lock.
        drop(spawn);
        if let Some(fallback) = fallback {
            fallback.wake();
        }
        self.watchdog.unpark();
    }

    /// Gives the lead to a parked thread, a new one, or nobody: then the watchdog drives I/O until a call ends.
    fn give_away(&self, threads: &mut MutexGuard<'_, Threads>) {
        if let Some(next) = threads.parked.pop() {
            self.leader.store(next, Ordering::Release);
            if let Some(thread) = threads.handles.get(next).and_then(Option::as_ref) {
                thread.unpark();
            }
            return;
        }
        let next = threads.handles.len();
        if next < self.limit && threads.spawn.is_some() {
            threads.handles.push(None);
            self.leader.store(next, Ordering::Release);
            if threads.spawn.as_ref().is_some_and(|spawn| spawn(next)) {
                return;
            }
            threads.handles.pop();
        }
        self.leader.store(VACANT, Ordering::Release);
        self.watchdog.wake();
    }
}
