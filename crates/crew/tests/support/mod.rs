//! A crew of real threads: jobs are closures, and I/O is waiting for a wake-up.

#![allow(dead_code, reason = "no test file uses all of it")]

use portico_crew::sync::lock;
use portico_crew::{Called, Crew, Driver, Job, JobHandler, Terms};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// A deadline for what takes milliseconds.
pub const SOON: Duration = Duration::from_secs(10);

/// A job: its call learns on which thread it runs, and returns how long it says that it has taken, in nanoseconds.
pub struct Task {
    since_ns: u64,
    /// Whether the caller catches what the call panics with.
    is_caught: bool,
    call: Box<dyn FnOnce(usize) -> u64 + Send>,
}

impl Job for Task {
    fn waiting_since_ns(&self) -> u64 {
        self.since_ns
    }

    fn route(&self) -> usize {
        0
    }
}

impl Task {
    /// A job whose call takes no time worth speaking of.
    pub fn new(call: impl FnOnce(usize) + Send + 'static) -> Task {
        Task::lasting(0, call)
    }

    /// A job whose call says that it has lasted for `duration_ns`.
    pub fn lasting(duration_ns: u64, call: impl FnOnce(usize) + Send + 'static) -> Task {
        let call = move |me| {
            call(me);
            duration_ns
        };
        Task { since_ns: 0, is_caught: false, call: Box::new(call) }
    }

    /// A job that somebody has waited for since `since_ns`.
    pub fn waiting_since(since_ns: u64) -> Task {
        Task { since_ns, ..Task::new(|_| {}) }
    }

    /// A job whose call panics, without a word from the panic hook, once it is released.
    pub fn panicking() -> (Task, Stuck) {
        let (task, stuck) = Task::stuck();
        let call = |me| {
            (task.call)(me);
            resume_unwind(Box::new("the application's"))
        };
        (Task::new(call), stuck)
    }

    /// This job, with a caller that catches what the call panics with.
    pub fn caught(self) -> Task {
        Task { is_caught: true, ..self }
    }

    /// A job whose call lasts until it is released.
    pub fn stuck() -> (Task, Stuck) {
        let (begins, began) = channel();
        let (release, released) = channel::<()>();
        let task = Task::new(move |me| {
            begins.send(me).unwrap();
            // An error is a release, too: a test that has failed.
            let _ = released.recv();
        });
        (task, Stuck { began, release })
    }

    /// A job whose call only tells on which thread it runs.
    pub fn reported() -> (Task, Receiver<usize>) {
        let (tell, reported) = channel();
        (Task::new(move |me| tell.send(me).unwrap()), reported)
    }
}

/// A call that lasts until this is dropped.
pub struct Stuck {
    began: Receiver<usize>,
    release: Sender<()>,
}

impl Stuck {
    /// Waits until the call has begun, and tells on which thread.
    pub fn thread(&self) -> usize {
        self.began.recv_timeout(SOON).expect("the call has not begun")
    }

    /// Lets the call return.
    pub fn release(self) {
        drop(self.release);
    }
}

/// What happens outside of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The watchdog drives I/O.
    FellBack,
    /// Coalesced bytes have been flushed.
    Flushed,
    /// A crew thread has returned from `serve`.
    ThreadLeft(usize),
    /// The watchdog has returned from `watch`.
    WatchdogLeft,
}

/// A crew and its surroundings.
pub struct World {
    pub crew: Crew<Task>,
    /// Waits of a leader that have begun.
    pub waits: AtomicUsize,
    /// How often I/O was driven in a batch of calls.
    pub polls: AtomicUsize,
    /// The clock of the calls: how long all of them say that they have lasted.
    clock_ns: AtomicU64,
    /// Held by whoever drives I/O.
    io: Mutex<()>,
    /// What a thread has to have before it calls.
    pub interpreter: Mutex<()>,
    has_unflushed: AtomicBool,
    events: Sender<Event>,
}

impl World {
    /// A crew that nobody serves yet, and what happens to it. Further threads start if they `can_spawn`.
    pub fn new(terms: Terms, can_spawn: bool) -> (Arc<World>, Receiver<Event>) {
        let (events, reported) = channel();
        let world = Arc::new(World {
            crew: Crew::new(terms),
            waits: AtomicUsize::new(0),
            polls: AtomicUsize::new(0),
            clock_ns: AtomicU64::new(0),
            io: Mutex::default(),
            interpreter: Mutex::default(),
            has_unflushed: AtomicBool::new(false),
            events,
        });
        let there = world.clone();
        world.crew.on_spawn(Box::new(move |me| {
            if can_spawn {
                there.start(me);
            }
            can_spawn
        }));
        (world, reported)
    }

    /// A crew of at most `threads` at work, with a watchdog.
    pub fn at_work(threads: usize) -> (Arc<World>, Receiver<Event>) {
        let (world, reported) = World::new(terms(threads), true);
        world.start(0);
        world.watch();
        (world, reported)
    }

    /// Starts crew thread `me`.
    pub fn start(self: &Arc<World>, me: usize) {
        let there = self.clone();
        thread::spawn(move || there.serve(me));
    }

    /// Starts the watchdog.
    pub fn watch(self: &Arc<World>) {
        let there = self.clone();
        thread::spawn(move || {
            there.crew.watch(&*there);
            there.tell(Event::WatchdogLeft);
        });
    }

    /// The life of crew thread `me`, on the calling thread.
    pub fn serve(&self, me: usize) {
        self.crew.serve(me, None, self, &mut CrewThread { world: self, is_outside: false });
        self.tell(Event::ThreadLeft(me));
    }

    /// Queues a job.
    pub fn push(&self, task: Task) {
        self.crew.push(task);
    }

    /// As an application that has coalesced bytes.
    pub fn coalesce(&self) {
        self.has_unflushed.store(true, SeqCst);
        self.crew.watchdog().wake();
    }

    fn tell(&self, event: Event) {
        // An error is a test that has seen enough.
        let _ = self.events.send(event);
    }
}

/// Jobs wait for as long as it takes.
pub fn terms(threads: usize) -> Terms {
    Terms { threads, queue_ns: u64::MAX, thread_cpu_ns: || 0 }
}

/// The next event.
pub fn next(reported: &Receiver<Event>) -> Event {
    reported.recv_timeout(SOON).expect("nothing happens")
}

/// The next event, unless it is that the watchdog drives I/O: on a busy machine any call may seem stuck.
pub fn next_else(reported: &Receiver<Event>) -> Event {
    next_that(reported, |event| event != Event::FellBack)
}

/// Waits until the watchdog drives I/O.
pub fn wait_for_fallback(reported: &Receiver<Event>) {
    next_that(reported, |event| event == Event::FellBack);
}

fn next_that(reported: &Receiver<Event>, is_that: impl Fn(Event) -> bool) -> Event {
    let deadline = Instant::now() + SOON;
    loop {
        let event = next(reported);
        if is_that(event) {
            return event;
        }
        assert!(Instant::now() < deadline, "{event:?} again and again");
    }
}

/// Waits for what no message tells.
pub fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never is");
        thread::yield_now();
    }
}

impl Driver for World {
    fn drive<F: Future + Send>(&self, until: F) -> F::Output
    where
        F::Output: Send,
    {
        let _io = lock(&self.io);
        match block_on(until, None) {
            Some(output) => output,
            None => unreachable!("there is no deadline"),
        }
    }

    fn drive_for<F: Future<Output = ()> + Send>(&self, until: F, at_most: Duration) {
        let _io = lock(&self.io);
        self.tell(Event::FellBack);
        block_on(until, Some(Instant::now() + at_most));
    }

    fn poll(&self) {
        self.polls.fetch_add(1, SeqCst);
    }

    fn flush(&self) -> bool {
        let has_flushed = self.has_unflushed.swap(false, SeqCst);
        if has_flushed {
            self.tell(Event::Flushed);
        }
        has_flushed
    }

    fn has_unflushed(&self) -> bool {
        self.has_unflushed.load(SeqCst)
    }

    fn before_wait(&self) {
        self.waits.fetch_add(1, SeqCst);
    }
}

struct CrewThread<'a> {
    world: &'a World,
    is_outside: bool,
}

impl JobHandler<Task> for CrewThread<'_> {
    fn outside<T: Send>(&mut self, wait: impl FnOnce() -> T + Send) -> T {
        self.is_outside = true;
        let output = wait();
        drop(lock(&self.world.interpreter));
        self.is_outside = false;
        output
    }

    fn call(&mut self, me: usize, task: Task) -> Called {
        assert!(!self.is_outside);
        match catch_unwind(AssertUnwindSafe(|| (task.call)(me))) {
            Err(panic) if !task.is_caught => resume_unwind(panic),
            called => {
                let duration_ns = called.unwrap_or(0);
                let started_ns = self.world.clock_ns.fetch_add(duration_ns, SeqCst);
                Called { started_ns, ended_ns: started_ns + duration_ns }
            }
        }
    }
}

/// Runs `future` on the calling thread, which parks meanwhile; nothing at the deadline.
fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Unpark>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}
