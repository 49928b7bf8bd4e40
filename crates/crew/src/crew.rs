//! The crew: the queue and the lead together, and a crew thread's life, which joins them to the application.

use crate::driver::Driver;
use crate::lead::{Lead, Spawn, Token};
use crate::queue::{Job, Queue};
use crate::routes::{RoutePace, Routes};
use crate::sync::panicking;
use crate::watch;
use crate::watchdog::Watchdog;

/// In a batch of calls, a pause after which the leader drives I/O.
const DRIVE_EVERY_NS: u64 = 1_000_000;

/// What a crew may do.
#[derive(Clone, Copy)]
pub struct Terms {
    /// The most threads, at least one.
    pub threads: usize,
    /// Jobs running or waiting, at most.
    pub in_flight: usize,
    /// How long a job may wait, in nanoseconds.
    pub queue_ns: u64,
    /// The clock of the calling thread's CPU time, in nanoseconds.
    pub thread_cpu_ns: fn() -> u64,
}

/// The crew of one server.
pub struct Crew<J> {
    queue: Queue<J>,
    lead: Lead,
    routes: Routes,
    thread_cpu_ns: fn() -> u64,
}

/// One thread's means to call the application.
pub trait JobHandler<J> {
    /// Runs `wait`, which may take long, holding nothing that other threads need (such as an interpreter's lock).
    fn outside<T: Send>(&mut self, wait: impl FnOnce() -> T + Send) -> T;

    /// Calls the application for `job`, on thread `me`, between `Crew::begin` and `Running::end`. Returns when that ended,
    /// in nanoseconds.
    fn call(&mut self, me: usize, job: J) -> u64;
}

/// A call of the application that has begun. Dropped, it ends as one that has not waited.
pub struct Running<'a, J: Job> {
    crew: &'a Crew<J>,
    me: usize,
    route: usize,
    token: Token,
    /// The thread's CPU time at the start, where it is measured.
    cpu_ns: Option<u64>,
    waited_ns: u64,
}

impl<J: Job> Crew<J> {
    /// A crew whose thread 0 leads.
    pub fn new(terms: Terms) -> Crew<J> {
        Crew {
            queue: Queue::new(terms.in_flight, terms.queue_ns),
            lead: Lead::new(terms.threads.max(1)),
            routes: Routes::new(),
            thread_cpu_ns: terms.thread_cpu_ns,
        }
    }

    /// Sets how a further crew thread is started.
    pub fn on_spawn(&self, spawn: Spawn) {
        self.lead.on_spawn(spawn);
    }

    /// Queues a job.
    ///
    /// # Errors
    /// The job, if as many as may be are in flight.
    pub fn push(&self, job: J) -> Result<(), J> {
        self.queue.push(job)
    }

    /// Whether `job` has waited longer than it may.
    pub fn is_expired(&self, job: &J, now_ns: u64) -> bool {
        self.queue.is_expired(job, now_ns)
    }

    /// Takes out what has waited longer than it may.
    pub fn take_expired(&self, now_ns: u64) -> Vec<J> {
        self.queue.take_expired(now_ns)
    }

    /// Jobs that wait for a thread.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Jobs with a thread: from the moment they leave the queue until `JobHandler::call` returns.
    pub fn running(&self) -> usize {
        self.queue.running()
    }

    /// Whether nothing is queued and nothing is running.
    pub fn is_idle(&self) -> bool {
        self.queue.is_idle()
    }

    /// The watchdog, to be woken when bytes are coalesced.
    pub fn watchdog(&self) -> &Watchdog {
        &self.lead.watchdog
    }

    /// The watchdog's life: returns when the crew stops.
    pub fn watch(&self, driver: &impl Driver) {
        watch::watch(&self.lead, driver);
    }

    /// The life of crew thread `me`: lead, call, park. Returns when the crew stops.
    pub fn serve(&self, me: usize, driver: &impl Driver, caller: &mut impl JobHandler<J>) {
        self.lead.register(me);
        while let Some(job) = caller.outside(|| self.wait(me, driver)) {
            let mut driven_ns = self.call(me, job, caller);
            while let Some(job) = self.next_of_batch(me) {
                let ended_ns = self.call(me, job, caller);
                // However many short calls are queued, others are read and responded to meanwhile.
                if ended_ns.saturating_sub(driven_ns) >= DRIVE_EVERY_NS && self.lead.is_held_by(me) {
                    caller.outside(|| driver.poll());
                    driven_ns = ended_ns;
                }
            }
        }
    }

    /// The next job for thread `me` without waiting, if it still leads.
    fn next_of_batch(&self, me: usize) -> Option<J> {
        if self.lead.is_held_by(me) { self.queue.try_next() } else { None }
    }

    /// The next job for thread `me` as soon as it leads; `None` if the crew stops.
    fn wait(&self, me: usize, driver: &impl Driver) -> Option<J> {
        if !self.lead.park(me) {
            return None;
        }
        driver.before_wait();
        driver.drive(self.queue.next())
    }

    fn call(&self, me: usize, job: J, caller: &mut impl JobHandler<J>) -> u64 {
        let _guard = PanicGuard { crew: self, me };
        let ended_ns = caller.call(me, job);
        self.queue.call_ended();
        ended_ns
    }

    /// Before a call on `route` by thread `me`: hands the lead over if such calls usually wait long, and tells the
    /// watchdog.
    pub fn begin(&self, me: usize, route: usize) -> Running<'_, J> {
        let pace = self.routes.pace(route);
        let cpu_ns = pace.is_measured().then(self.thread_cpu_ns);
        let token = self.lead.begin_call(me, pace == RoutePace::Slow);
        Running { crew: self, me, route, token, cpu_ns, waited_ns: 0 }
    }

    /// Thread `me`, which was spawned, cannot serve: another leads in its place.
    pub fn resign(&self, me: usize) {
        self.lead.resign(me);
    }

    /// Lets every thread leave as soon as it is out of the application.
    pub fn stop(&self) {
        self.lead.stop();
        self.queue.close();
    }
}

impl<J: Job> Running<'_, J> {
    /// Ends the call, which has taken `duration_ns`.
    pub fn end(mut self, duration_ns: u64) {
        let computed_ns = self.cpu_ns.map_or(0, |before| (self.crew.thread_cpu_ns)().saturating_sub(before));
        self.waited_ns = duration_ns.saturating_sub(computed_ns);
    }
}

impl<J: Job> Drop for Running<'_, J> {
    fn drop(&mut self) {
        self.crew.routes.account(self.route, self.waited_ns);
        self.crew.lead.end_call(self.me, self.token);
    }
}

/// Held during a call. A panic that leaves `JobHandler::call` ends the thread, which must not take the lead with it,
/// nor its place among the jobs in flight.
struct PanicGuard<'a, J: Job> {
    crew: &'a Crew<J>,
    me: usize,
}

impl<J: Job> Drop for PanicGuard<'_, J> {
    fn drop(&mut self) {
        if panicking() {
            self.crew.queue.call_ended();
            self.crew.resign(self.me);
        }
    }
}
