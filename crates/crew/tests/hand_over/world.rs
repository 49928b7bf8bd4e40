//! The world of a model: a crew, what its jobs do, and who drives I/O.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Condvar, Mutex};
use portico_crew::sync::{Thread, current, lock, park};
use portico_crew::{Called, Crew, Driver, Job, JobHandler, Terms};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
// What only checks the model is no part of it: each step more to be ordered doubles the orders.
use std::sync::atomic::{AtomicBool as PlainBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// What a job does in the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Returns at once.
    Returns,
    /// Waits until another job's call has opened the gate.
    WaitsForGate,
    /// Opens the gate.
    OpensGate,
    /// Waits until the watchdog has driven I/O.
    WaitsForFallback,
}

impl Job for Script {
    fn waiting_since_ns(&self) -> u64 {
        0
    }

    fn route(&self) -> usize {
        0
    }
}

/// What becomes of a further thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spawned {
    /// It serves.
    Serves,
    /// It serves after a call that the watchdog may have seen.
    ServesAfterACall,
    /// It starts, but cannot serve.
    Resigns,
    /// It cannot be started.
    Fails,
}

/// A crew and its surroundings.
pub struct World {
    pub crew: Crew<Script>,
    gate: Gate,
    fallback: Gate,
    flushed: Gate,
    has_unflushed: AtomicBool,
    /// Whether who drives I/O parks meanwhile, so that being unparked ends a wait for I/O, and is used up by it.
    is_parking: PlainBool,
    /// Whether an interruption waits until the gate is open. It stops the crew in any case.
    waits_when_interrupted: PlainBool,
    /// Held by whoever drives I/O.
    io: Mutex<()>,
    /// Crew threads that drive I/O, or wait for the watchdog to leave it: one at most.
    driving: AtomicUsize,
    /// Calls that have ended.
    pub called: AtomicUsize,
    /// Jobs after which the crew stops.
    jobs: usize,
}

/// What is waited for.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl World {
    /// A crew of at most `threads`, that stops after `jobs`.
    pub fn new(threads: usize, spawned: Spawned, jobs: usize) -> Arc<World> {
        let terms = Terms { threads, queue_ns: u64::MAX, thread_cpu_ns: || 0 };
        let world = Arc::new(World {
            crew: Crew::new(terms),
            gate: Gate::default(),
            fallback: Gate::default(),
            flushed: Gate::default(),
            has_unflushed: AtomicBool::new(false),
            is_parking: PlainBool::new(false),
            waits_when_interrupted: PlainBool::new(false),
            io: Mutex::new(()),
            driving: AtomicUsize::new(0),
            called: AtomicUsize::new(0),
            jobs,
        });
        let there = world.clone();
        world.crew.on_spawn(Box::new(move |me| {
            let world = there.clone();
            match spawned {
                Spawned::Serves => drop(loom::thread::spawn(move || {
                    if let Some(first) = world.crew.first(me, &*world) {
                        world.crew.serve(me, Some(first), &*world, &mut WorldThread(&world));
                    }
                })),
                Spawned::ServesAfterACall => drop(loom::thread::spawn(move || {
                    let running = world.crew.begin(me, 0);
                    world.watch();
                    loom::thread::yield_now();
                    running.end(0);
                    world.serve(me);
                })),
                Spawned::Resigns => drop(loom::thread::spawn(move || {
                    if let Some(first) = world.crew.first(me, &*world) {
                        first.put_back();
                        world.crew.resign(me);
                    }
                })),
                Spawned::Fails => {}
            }
            spawned != Spawned::Fails
        }));
        world
    }

    /// From now on, who drives I/O parks meanwhile.
    pub fn park_in_io(&self) {
        self.is_parking.store(true, Relaxed);
    }

    /// From now on, an interruption waits until the gate is open.
    pub fn wait_when_interrupted(&self) {
        self.waits_when_interrupted.store(true, Relaxed);
    }

    /// Makes `route` slow.
    pub fn slow_down(&self, route: usize) {
        // Three calls as slow as counts.
        (0..3).for_each(|_| self.crew.begin(0, route).end(u64::MAX));
    }

    pub fn push(&self, script: Script) {
        self.crew.push(script);
    }

    /// The life of crew thread `me`.
    pub fn serve(&self, me: usize) {
        self.crew.serve(me, None, self, &mut WorldThread(self));
    }

    /// Starts the watchdog.
    pub fn watch(self: &Arc<World>) {
        self.start(|world| world.crew.watch(world));
    }

    /// Opens the gate.
    pub fn open_gate(&self) {
        self.gate.open();
    }

    /// Coalesces bytes, and waits until the watchdog has flushed them.
    pub fn coalesce(&self) {
        self.has_unflushed.swap(true, Ordering::AcqRel);
        self.crew.watchdog().wake();
        self.flushed.wait();
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let parked = self.is_parking.load(Relaxed).then(current);
        let sleeper = Arc::new(Sleeper { woken: Gate::default(), parked });
        let waker = Waker::from(sleeper.clone());
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            sleeper.sleep();
        }
    }

    /// Starts a further thread, which is no crew thread.
    pub fn start(self: &Arc<World>, life: impl FnOnce(&World) + 'static) {
        let there = self.clone();
        // Not joined: loom waits for every thread, and reports those that never end.
        drop(loom::thread::spawn(move || life(&there)));
    }
}

impl Driver for World {
    fn drive<F: Future + Send>(&self, until: F) -> F::Output
    where
        F::Output: Send,
    {
        assert_eq!(self.driving.fetch_add(1, Relaxed), 0, "two threads lead");
        let io = lock(&self.io);
        let output = self.block_on(until);
        drop(io);
        self.driving.fetch_sub(1, Relaxed);
        output
    }

    /// Without an end: what only a deadline would rescue is a lost wake-up, too.
    fn drive_for<F: Future<Output = ()> + Send>(&self, until: F, _at_most: Duration) {
        let _io = lock(&self.io);
        self.fallback.open();
        self.block_on(until);
    }

    fn poll(&self) {}

    fn flush(&self) -> bool {
        let has_flushed = self.has_unflushed.swap(false, Ordering::AcqRel);
        if has_flushed {
            self.flushed.open();
        }
        has_flushed
    }

    fn has_unflushed(&self) -> bool {
        self.has_unflushed.load(Ordering::Acquire)
    }

    fn before_wait(&self) {}
}

struct WorldThread<'a>(&'a World);

impl JobHandler<Script> for WorldThread<'_> {
    fn outside<T: Send>(&mut self, wait: impl FnOnce() -> T + Send) -> T {
        wait()
    }

    fn interrupted(&mut self) {
        if self.0.waits_when_interrupted.load(Relaxed) {
            self.0.gate.wait();
        }
        self.0.crew.stop();
    }

    fn call(&mut self, _me: usize, script: Script) -> Called {
        let world = self.0;
        match script {
            Script::Returns => {}
            Script::WaitsForGate => world.gate.wait(),
            Script::OpensGate => world.gate.open(),
            Script::WaitsForFallback => world.fallback.wait(),
        }
        if world.called.fetch_add(1, Relaxed) + 1 == world.jobs {
            world.crew.stop();
        }
        Called { started_ns: 0, ended_ns: u64::MAX }
    }
}

impl Gate {
    fn open(&self) {
        *lock(&self.is_open) = true;
        self.opened.notify_all();
    }

    fn close(&self) {
        *lock(&self.is_open) = false;
    }

    fn wait(&self) {
        let mut is_open = lock(&self.is_open);
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

/// Who drives I/O, until woken.
struct Sleeper {
    woken: Gate,
    /// Where it parks meanwhile.
    parked: Option<Thread>,
}

impl Sleeper {
    fn sleep(&self) {
        if self.parked.is_some() {
            return park();
        }
        self.woken.wait();
        // Who has woken it since is heeded: the next look comes after this.
        self.woken.close();
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Sleeper>) {
        match &self.parked {
            Some(thread) => thread.unpark(),
            None => self.woken.open(),
        }
    }
}
