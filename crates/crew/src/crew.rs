//! The crew: the queue and the lead together, and a crew thread's life, which joins them to the application.

use crate::driver::Driver;
use crate::lead::{Lead, Parked, Spawn, Token};
use crate::queue::{Job, Queue};
use crate::routes::{RoutePace, Routes};
use crate::sync::{AtomicBool, Ordering, panicking};
use crate::watch;
use crate::watchdog::Watchdog;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};

/// In a batch of calls, a pause after which the leader drives I/O.
const DRIVE_EVERY_NS: u64 = 1_000_000;

/// What a crew may do.
#[derive(Clone, Copy)]
pub struct Terms {
    /// The most threads, at least one.
    pub threads: usize,
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
    /// Whether calls compute at the same time: then other threads gain by a call that computes as by one that waits.
    is_parallel: AtomicBool,
}

/// One thread's means to call the application.
pub trait JobHandler<J> {
    /// Runs `wait`, which may take long, holding nothing that other threads need (such as an interpreter's lock).
    fn outside<T: Send>(&mut self, wait: impl FnOnce() -> T + Send) -> T;

    /// Does what only thread 0 can do, such as to run handlers of signals, after `Crew::interrupt`.
    fn interrupted(&mut self) {}

    /// Calls the application for `job`, on thread `me`.
    fn call(&mut self, me: usize, job: J) -> Called;
}

/// When a call of the application began and ended, in nanoseconds of the clock that deadlines are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called {
    /// Its start.
    pub started_ns: u64,
    /// Its end.
    pub ended_ns: u64,
}

/// A job that a thread has taken out of the queue. The thread counts as in a call from then on: it may have to wait for
/// an interpreter before it can call, and the watchdog sees to it that I/O is driven meanwhile.
pub struct Taken<'a, J: Job> {
    job: J,
    running: Running<'a, J>,
}

/// What a thread has to do next.
enum Next<'a, J: Job> {
    /// To call the application.
    Call(Taken<'a, J>),
    /// To do what it was interrupted for, which counts as a call.
    Aside(Token),
    /// To leave.
    Stop,
}

/// What has ended a leader's wait.
enum Woken<J> {
    /// A job, or that there is none any more.
    ByQueue(Option<J>),
    /// `Crew::interrupt`.
    ByInterrupt,
}

/// A call of the application that has begun.
pub struct Running<'a, J: Job> {
    crew: &'a Crew<J>,
    me: usize,
    route: usize,
    token: Token,
    pace: RoutePace,
}

impl<J: Job> Crew<J> {
    /// A crew whose thread 0 leads.
    pub fn new(terms: Terms) -> Crew<J> {
        Crew {
            queue: Queue::new(terms.queue_ns),
            lead: Lead::new(terms.threads.max(1)),
            routes: Routes::new(),
            thread_cpu_ns: terms.thread_cpu_ns,
            is_parallel: AtomicBool::new(false),
        }
    }

    /// Calls compute at the same time, since no interpreter's lock is in the way: a leader hands the lead over before its
    /// call if more jobs are queued, or if such calls usually take long, whether they wait or compute.
    pub fn compute_in_parallel(&self) {
        self.is_parallel.store(true, Ordering::Relaxed);
    }

    /// Sets how a further crew thread is started.
    pub fn on_spawn(&self, spawn: Spawn) {
        self.lead.on_spawn(spawn);
    }

    /// Queues a job.
    pub fn push(&self, job: J) {
        self.queue.push(job);
    }

    /// Whether `job` has waited longer than it may.
    pub fn is_expired(&self, job: &J, now_ns: u64) -> bool {
        self.queue.is_expired(job, now_ns)
    }

    /// The next job for who is none of the crew's threads, such as a loop that has many calls on one thread; `None` once
    /// the crew stops. Counts as running until `call_ended`. Where there is none yet, `waker` is woken by the next.
    pub fn poll_next(&self, waker: &Waker) -> Poll<Option<J>> {
        self.queue.poll_next(waker)
    }

    /// Whether `poll_next` would not have to wait; if it would, `waker` is woken once it would not.
    pub fn is_ready(&self, waker: &Waker) -> bool {
        self.queue.is_ready(waker)
    }

    /// Whether the crew has stopped.
    pub fn has_stopped(&self) -> bool {
        self.queue.is_closed()
    }

    /// The call of a job has ended that `poll_next` has given.
    pub fn call_ended(&self) {
        self.queue.call_ended();
    }

    /// Takes out what has waited longer than it may.
    pub fn take_expired(&self, now_ns: u64) -> Vec<J> {
        self.queue.take_expired(now_ns)
    }

    /// Takes out all that waits.
    pub fn take_all(&self) -> Vec<J> {
        self.queue.take_all()
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

    /// Thread `me`, which was spawned, leads until it has a job; `None` if the crew stops. Needs no interpreter: the
    /// thread attaches once it has something to call.
    pub fn first(&self, me: usize, driver: &impl Driver) -> Option<Taken<'_, J>> {
        self.lead.register(me);
        match self.wait(me, driver) {
            Next::Call(taken) => Some(taken),
            // Only thread 0 is ever interrupted.
            Next::Aside(_) | Next::Stop => None,
        }
    }

    /// The life of crew thread `me`: lead, call, park. It begins with a call if `first` says so. Returns when the crew
    /// stops.
    pub fn serve<'a>(
        &'a self,
        me: usize,
        first: Option<Taken<'a, J>>,
        driver: &impl Driver,
        caller: &mut impl JobHandler<J>,
    ) {
        self.lead.register(me);
        let mut next = match first {
            Some(taken) => Next::Call(taken),
            None => caller.outside(|| self.wait(me, driver)),
        };
        let mut driven_ns = None;
        loop {
            let is_due = match next {
                Next::Call(taken) => {
                    let Called { started_ns, ended_ns } = taken.call(caller);
                    // However many short calls are queued, others are read and responded to meanwhile.
                    ended_ns.saturating_sub(*driven_ns.get_or_insert(started_ns)) >= DRIVE_EVERY_NS
                }
                Next::Aside(token) => {
                    caller.interrupted();
                    self.lead.end_call(me, token);
                    true
                }
                Next::Stop => return,
            };
            if !is_due && let Some(taken) = self.next_of_batch(me) {
                next = Next::Call(taken);
                continue;
            }
            driven_ns = None;
            next = caller.outside(|| {
                // Where a job waits, the wait for it drives nothing.
                if is_due && self.lead.is_held_by(me) && self.queued() > 0 {
                    driver.poll();
                }
                self.wait(me, driver)
            });
        }
    }

    /// The next job for thread `me` without waiting, if it still leads.
    fn next_of_batch(&self, me: usize) -> Option<Taken<'_, J>> {
        let job = if self.lead.is_held_by(me) { self.queue.try_next() } else { None };
        job.map(|job| self.take(me, job))
    }

    /// What thread `me` has to do next: a job as soon as it leads.
    fn wait(&self, me: usize, driver: &impl Driver) -> Next<'_, J> {
        match self.lead.park(me) {
            Parked::Leads => {}
            Parked::Interrupted => return Next::Aside(self.lead.begin_aside(me)),
            Parked::Stops => return Next::Stop,
        }
        driver.before_wait();
        let woken = driver.drive(async {
            let mut next = pin!(self.queue.next());
            poll_fn(|context| match next.as_mut().poll(context) {
                Poll::Ready(job) => Poll::Ready(Woken::ByQueue(job)),
                // After the queue has noted whom to wake: so no interrupt is missed.
                Poll::Pending if self.lead.takes_interrupt(me) => Poll::Ready(Woken::ByInterrupt),
                Poll::Pending => Poll::Pending,
            })
            .await
        });
        // Out of I/O: the lead may be handed over here.
        match woken {
            Woken::ByQueue(Some(job)) => Next::Call(self.take(me, job)),
            Woken::ByQueue(None) => Next::Stop,
            Woken::ByInterrupt => Next::Aside(self.lead.begin_aside(me)),
        }
    }

    fn take(&self, me: usize, job: J) -> Taken<'_, J> {
        let running = self.prepare(me, job.route());
        Taken { job, running }
    }

    /// Before a call on `route` by thread `me`, which may have to wait for an interpreter: tells the watchdog.
    fn prepare(&self, me: usize, route: usize) -> Running<'_, J> {
        let pace = self.routes.pace(route);
        let token = self.lead.begin_call(me);
        Running { crew: self, me, route, token, pace }
    }

    /// A call on `route` by thread `me` begins.
    pub fn begin(&self, me: usize, route: usize) -> Running<'_, J> {
        let mut running = self.prepare(me, route);
        running.enter();
        running
    }

    /// Has thread 0 do what only it can do (`JobHandler::interrupted`), as soon as it is not in a call: also where it is
    /// parked, or drives I/O.
    pub fn interrupt(&self) {
        self.lead.interrupt();
        self.queue.wake_leader();
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

impl<J: Job> Taken<'_, J> {
    /// Leaves the job to another thread.
    pub fn put_back(self) {
        let Taken { job, running } = self;
        running.crew.queue.put_back(job);
        running.end(0);
    }

    /// Calls the application.
    fn call(self, caller: &mut impl JobHandler<J>) -> Called {
        let Taken { job, mut running } = self;
        let crew = running.crew;
        running.enter();
        // Measured here: the wait for an interpreter is the fault of whoever held it, and no other thread would help.
        // Where calls compute at the same time nothing is taken off.
        let is_measured = running.pace.is_measured() && !crew.is_parallel.load(Ordering::Relaxed);
        let before_ns = is_measured.then(crew.thread_cpu_ns);
        let times = caller.call(running.me, job);
        let duration_ns = times.ended_ns.saturating_sub(times.started_ns);
        let computed_ns = before_ns.map_or(0, |before| (crew.thread_cpu_ns)().saturating_sub(before));
        running.end(duration_ns.saturating_sub(computed_ns));
        crew.queue.call_ended();
        times
    }
}

impl<J: Job> Running<'_, J> {
    /// Hands the lead over if such calls usually wait long, or another thread has something to compute meanwhile. Not
    /// before the thread has the interpreter: it would only wait for the next leader's calls.
    fn enter(&mut self) {
        let crew = self.crew;
        if self.pace == RoutePace::Slow || crew.is_parallel.load(Ordering::Relaxed) && crew.queued() > 0 {
            self.token = crew.lead.hand_over(self.token);
        }
    }

    /// Ends the call, which has left other threads `waited_ns`.
    pub fn end(self, waited_ns: u64) {
        self.crew.routes.account(self.route, waited_ns);
        self.crew.lead.end_call(self.me, self.token);
    }
}

impl<J: Job> Drop for Running<'_, J> {
    /// A panic that leaves `JobHandler::call` ends the thread, which must not take the lead with it, nor count as
    /// running for ever.
    fn drop(&mut self) {
        if panicking() {
            self.crew.lead.end_call(self.me, self.token);
            self.crew.queue.call_ended();
            self.crew.lead.resign(self.me);
        }
    }
}
