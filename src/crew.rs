//! The crew: the threads that call the application, and who of them drives I/O.
//!
//! Connection tasks push parsed requests into the queue. The *leader* drives the runtime until one
//! comes out, leaves it, and calls the application on the same thread: no hand-off, no wake-up. The
//! other threads are *parked*. The *sentinel* is a plain thread without interpreter: it finds a
//! leader stuck in a call and gives the lead to a parked thread (or a new one, up to the limit); when
//! nobody is free it drives I/O itself, so bodies arrive and answers leave while all threads are in
//! the application. It also sends gathered response bytes that nobody else has sent (PEP 3333
//! "Buffering and Streaming": another thread may go on transmitting).
//!
//! ```text
//!             next_request            slow route, or found stuck by the sentinel
//!   parked <------------- leader ----------------------------------------------.
//!     ^  \__ made leader __/  ^                                                v
//!     |                       '---- nobody leads -------- former leader, still in its call
//!     '-------------------------- somebody leads ---------------'
//! ```
//!
//! This file knows threads and the queue; `wsgi` makes the calls.

use crate::clock;
use crate::connection::Request;
use crate::engine::{Engine, lock};
use crate::scoreboard::Slot;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::task::{Poll, Waker};
use std::thread::Thread;
use std::time::Duration;
use tokio::sync::Notify;

/// Nobody leads.
const VACANT: usize = usize::MAX;
/// A route whose calls wait longer than this on average gets the lead handed over before the call.
const SLOW_NS: u32 = 300_000;
/// A single call counts as no longer than this: three slow calls in a row make a route slow, one does not.
const OUTLIER_NS: u32 = 4 * SLOW_NS;
/// Routes told apart by the moving average; two that fall together share it.
const ROUTES: usize = 256;
/// The sentinel's tick while there is something to watch.
const TICK: Duration = Duration::from_micros(900);
/// Ticks without any change after which the sentinel sleeps for good.
const QUIET_TICKS: u32 = 20;

thread_local! {
    /// The index of this crew thread.
    static ME: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Starts the crew thread with this index, which begins as the leader; false if it cannot be started.
pub type Recruit = Box<dyn Fn(usize) -> bool + Send + Sync>;

/// The crew of one worker.
pub struct Crew {
    limit: usize,
    /// Requests running or waiting, at most.
    in_flight_limit: usize,
    /// How long a request may wait.
    queue_limit_ns: u64,
    queue: Mutex<Queue>,
    leader: AtomicUsize,
    roster: Mutex<Roster>,
    /// Call starts and ends of the leader: odd = the leader is inside the application.
    calls: AtomicU64,
    in_calls: AtomicUsize,
    averages_ns: [AtomicU32; ROUTES],
    stopping: AtomicBool,
    sentinel: OnceLock<Thread>,
    sentinel_asleep: AtomicBool,
    lead_taken: Notify,
    recruit: OnceLock<Recruit>,
}

/// A call that has begun.
#[derive(Clone, Copy)]
pub struct CallStart {
    /// The leader's word; 0 for a thread that does not lead.
    token: u64,
    /// The thread's CPU time at the start; 0 where the route is fast enough not to ask for it.
    cpu_ns: u64,
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    leader: Option<Waker>,
}

struct Roster {
    parked: Vec<usize>,
    threads: Vec<Option<Thread>>,
}

impl Crew {
    /// A crew of at most `limit` threads, led by thread 0, with a queue bounded in number and time.
    pub fn new(limit: usize, in_flight_limit: usize, queue_limit_ns: u64) -> Crew {
        Crew {
            limit,
            in_flight_limit,
            queue_limit_ns,
            queue: Mutex::default(),
            leader: AtomicUsize::new(0),
            roster: Mutex::new(Roster { parked: Vec::new(), threads: vec![None] }),
            calls: AtomicU64::new(0),
            in_calls: AtomicUsize::new(0),
            averages_ns: [const { AtomicU32::new(0) }; ROUTES],
            stopping: AtomicBool::new(false),
            sentinel: OnceLock::new(),
            sentinel_asleep: AtomicBool::new(false),
            lead_taken: Notify::new(),
            recruit: OnceLock::new(),
        }
    }

    /// Sets how a further crew thread is started; once, before the first request.
    pub fn on_recruit(&self, recruit: Recruit) {
        // A second call would be a mistake of this crate; the first one stays.
        let _ = self.recruit.set(recruit);
    }

    /// Notes the calling thread as crew thread `me`.
    pub fn enlist(&self, me: usize) {
        ME.set(Some(me));
        if let Some(place) = lock(&self.roster).threads.get_mut(me) {
            *place = Some(std::thread::current());
        }
    }

    /// Queues a request; called by connection tasks.
    ///
    /// # Errors
    /// The request, if as many as may be are in flight.
    pub fn push(&self, request: Request) -> Result<(), Box<Request>> {
        let mut queue = lock(&self.queue);
        if queue.requests.len() + self.running() >= self.in_flight_limit {
            return Err(Box::new(request));
        }
        queue.requests.push_back(request);
        if let Some(leader) = queue.leader.take() {
            drop(queue);
            leader.wake();
        }
        Ok(())
    }

    /// Whether a request has waited longer than it may.
    pub fn is_expired(&self, request: &Request, now_ns: u64) -> bool {
        now_ns.saturating_sub(request.since_ns) > self.queue_limit_ns
    }

    /// Takes out what has waited longer than it may: also where no thread comes to take anything.
    pub fn take_expired(&self) -> Vec<Request> {
        let now_ns = clock::monotonic_ns();
        let mut queue = lock(&self.queue);
        // Not only from the front: a trusted X-Request-Start makes some older than those before them.
        if !queue.requests.iter().any(|request| self.is_expired(request, now_ns)) {
            return Vec::new();
        }
        let (expired, waiting): (VecDeque<_>, VecDeque<_>) =
            queue.requests.drain(..).partition(|request| self.is_expired(request, now_ns));
        queue.requests = waiting;
        drop(queue);
        expired.into()
    }

    /// The next request without waiting.
    pub fn try_next(&self) -> Option<Request> {
        lock(&self.queue).requests.pop_front()
    }

    /// The next request; `None` once the crew stops. Only the leader waits here, driving I/O meanwhile.
    pub async fn next_request(&self) -> Option<Request> {
        poll_fn(|context| {
            let mut queue = lock(&self.queue);
            if let Some(request) = queue.requests.pop_front() {
                return Poll::Ready(Some(request));
            }
            if self.is_stopping() {
                return Poll::Ready(None);
            }
            match &mut queue.leader {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }

    /// Whether nothing is queued and nothing is in the application.
    pub fn is_idle(&self) -> bool {
        lock(&self.queue).requests.is_empty() && self.in_calls.load(Ordering::SeqCst) == 0
    }

    /// Requests that wait for a thread.
    pub fn queued(&self) -> usize {
        lock(&self.queue).requests.len()
    }

    /// Calls in the application now.
    pub fn running(&self) -> usize {
        self.in_calls.load(Ordering::SeqCst)
    }

    /// Before a call on `route`: hands the lead over if such calls usually wait long, and tells the sentinel.
    /// Returns what `after_call` wants.
    pub fn before_call(&self, me: usize, route: usize) -> CallStart {
        self.in_calls.fetch_add(1, Ordering::Relaxed);
        let average_ns = self.averages_ns[route % ROUTES].load(Ordering::Relaxed);
        let cpu_ns = if average_ns > SLOW_NS / 2 { clock::thread_cpu_ns() } else { 0 };
        CallStart { token: self.begin_call(me, average_ns), cpu_ns }
    }

    /// The word that marks the leader's call; 0 if the calling thread does not lead, or no longer.
    fn begin_call(&self, me: usize, average_ns: u32) -> u64 {
        if self.leader.load(Ordering::Relaxed) != me {
            return 0;
        }
        if self.limit > 1 && average_ns > SLOW_NS {
            self.give_lead_away(&mut lock(&self.roster));
            return 0;
        }
        let token = self.calls.load(Ordering::Relaxed) | 1;
        // Sequentially consistent on both sides: either the sentinel sees this call before it sleeps, or it is woken.
        self.calls.swap(token, Ordering::SeqCst);
        if self.sentinel_asleep.load(Ordering::SeqCst) {
            self.wake_sentinel();
        }
        token
    }

    /// After a call of `duration_ns`; true if the calling thread leads (still, or again).
    pub fn after_call(&self, me: usize, route: usize, start: CallStart, duration_ns: u64) -> bool {
        self.in_calls.fetch_sub(1, Ordering::Relaxed);
        let CallStart { token, cpu_ns } = start;
        // What counts is waiting: a call that computes gains nothing from other threads, which would only
        // contend for the interpreter.
        let computed_ns = if cpu_ns == 0 { 0 } else { clock::thread_cpu_ns().saturating_sub(cpu_ns) };
        let duration_ns = duration_ns.saturating_sub(computed_ns);
        let average = &self.averages_ns[route % ROUTES];
        let before = average.load(Ordering::Relaxed);
        // Bounded, so that one call that the scheduler interrupted does not make its route slow.
        let now = u32::try_from(duration_ns).unwrap_or(u32::MAX).min(OUTLIER_NS);
        average.store(before - before / 8 + now / 8, Ordering::Relaxed);
        if token != 0 && self.calls.compare_exchange(token, token + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return true;
        }
        let mut roster = lock(&self.roster);
        if self.leader.load(Ordering::Relaxed) == VACANT {
            self.leader.store(me, Ordering::Release);
            self.lead_taken.notify_one();
            return true;
        }
        roster.parked.push(me);
        false
    }

    /// Runs `wait`, which waits for the client, on a thread that is in the application: the call's time stands still.
    pub fn rest<T>(slot: &Slot, wait: impl FnOnce() -> T) -> T {
        // A thread of the application's own has no call on the scoreboard.
        let Some(me) = ME.get() else { return wait() };
        slot.call_rests(me);
        let waited = wait();
        slot.call_goes_on(me);
        waited
    }

    /// Whether thread `me` leads.
    pub fn leads(&self, me: usize) -> bool {
        self.leader.load(Ordering::Relaxed) == me
    }

    /// Parks thread `me` until it is made leader (true) or the crew stops (false).
    pub fn park(&self, me: usize) -> bool {
        loop {
            if self.is_stopping() {
                return false;
            }
            if self.leader.load(Ordering::Acquire) == me {
                return true;
            }
            std::thread::park();
        }
    }

    /// Whether the crew is to leave.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Lets every thread leave as soon as it is out of the application.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(leader) = lock(&self.queue).leader.take() {
            leader.wake();
        }
        for thread in lock(&self.roster).threads.iter().flatten() {
            thread.unpark();
        }
        self.lead_taken.notify_one();
        self.wake_sentinel();
    }

    /// Gives the lead to a parked thread, a new one, or nobody.
    fn give_lead_away(&self, roster: &mut Roster) {
        if let Some(next) = roster.parked.pop() {
            self.leader.store(next, Ordering::Release);
            if let Some(thread) = roster.threads.get(next).and_then(Option::as_ref) {
                thread.unpark();
            }
        } else if roster.threads.len() < self.limit
            && let Some(recruit) = self.recruit.get()
        {
            let next = roster.threads.len();
            roster.threads.push(None);
            self.leader.store(next, Ordering::Release);
            if !recruit(next) {
                roster.threads.pop();
                self.leave_vacant();
            }
        } else {
            self.leave_vacant();
        }
    }

    /// Nobody leads until a call ends: the sentinel drives I/O meanwhile.
    fn leave_vacant(&self) {
        self.leader.store(VACANT, Ordering::Release);
        self.wake_sentinel();
    }

    /// A new thread that was made leader cannot serve: as if it had never been.
    pub fn resign(&self, me: usize) {
        let mut roster = lock(&self.roster);
        if let Some(place) = roster.threads.get_mut(me) {
            *place = None;
        }
        if self.leader.load(Ordering::Relaxed) == me {
            self.give_lead_away(&mut roster);
        }
    }

    /// Wakes the sentinel if it sleeps.
    pub fn wake_sentinel(&self) {
        if self.sentinel_asleep.swap(false, Ordering::AcqRel)
            && let Some(sentinel) = self.sentinel.get()
        {
            sentinel.unpark();
        }
    }

    /// The sentinel's life: returns when the crew stops.
    pub fn watch(&self, engine: &'static Engine) {
        // The engine starts one sentinel.
        let _ = self.sentinel.set(std::thread::current());
        let (mut last_seen, mut quiet_ticks) = (0, 0);
        while !self.is_stopping() {
            let sent = send_gathered(engine);
            let seen = self.calls.load(Ordering::Acquire);
            if seen == last_seen && seen & 1 == 1 {
                self.depose(seen);
            }
            if self.leader.load(Ordering::Acquire) == VACANT {
                self.stand_in(engine);
                quiet_ticks = 0;
            }
            quiet_ticks = if seen == last_seen && !sent { quiet_ticks + 1 } else { 0 };
            last_seen = seen;
            if quiet_ticks < QUIET_TICKS {
                // While answers gather blocks, twice as often: none is to wait for a whole millisecond.
                std::thread::park_timeout(if sent { TICK / 2 } else { TICK });
            } else {
                self.sentinel_asleep.store(true, Ordering::SeqCst);
                // What changed between the last look and going to sleep is seen here.
                let changed = self.calls.load(Ordering::SeqCst) != seen
                    || self.leader.load(Ordering::SeqCst) == VACANT
                    || engine.gathered.is_any();
                if !changed && !self.is_stopping() {
                    std::thread::park();
                }
                self.sentinel_asleep.store(false, Ordering::SeqCst);
            }
        }
    }

    /// Takes the lead from a leader that has been inside one call for a whole tick.
    fn depose(&self, token: u64) {
        let mut roster = lock(&self.roster);
        if self.calls.compare_exchange(token, token + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.give_lead_away(&mut roster);
        }
    }

    /// Drives I/O until a crew thread takes the lead.
    fn stand_in(&self, engine: &'static Engine) {
        while self.leader.load(Ordering::Acquire) == VACANT && !self.is_stopping() {
            // A tick that ends by time only sends what was gathered meanwhile.
            let _ = engine.runtime.block_on(async { tokio::time::timeout(TICK * 4, self.lead_taken.notified()).await });
            send_gathered(engine);
        }
    }
}

/// Sends what responses have gathered; true if there was any.
fn send_gathered(engine: &'static Engine) -> bool {
    let waiting = engine.gathered.take();
    for connection in &waiting {
        connection.send_gathered();
    }
    !waiting.is_empty()
}
