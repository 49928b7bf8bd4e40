//! A few plain threads for what may have to wait for a disk, so that the thread that drives I/O never does.
//!
//! Receives closures from any thread, and runs each on one of its own; threads start when they are first needed. They
//! have no interpreter, and never wait for a client: who has to wait for a socket is a task.

use crate::lock::lock;
use crate::log::{Level, RateLimited, log};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;
use tokio::sync::oneshot;

/// What is run.
type Job = Box<dyn FnOnce() + Send>;

/// What a thread needs for a handful of system calls.
const STACK_BYTES: usize = 256 * 1024;

/// The threads.
pub struct BlockingThreads {
    shared: Arc<Shared>,
    /// How many there may be.
    most: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when there is a job, or no more will come.
    changed: Condvar,
    /// Told when a thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_stopped: bool,
}

impl BlockingThreads {
    /// At most `most` threads, of which none is started yet.
    pub fn new(most: usize) -> BlockingThreads {
        BlockingThreads { shared: Arc::default(), most }
    }

    /// Runs `job` on one of the threads, as soon as one is free. After `stop` it is dropped.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.shared.state);
        if state.is_stopped {
            return;
        }
        state.jobs.push_back(Box::new(job));
        if state.idle >= state.jobs.len() || state.threads >= self.most {
            drop(state);
            self.shared.changed.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        self.start_one();
    }

    /// Runs `job` on one of the threads, and waits for what it returns; none if it has panicked, or never runs.
    pub async fn wait<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.run(move || {
            // Who has waited for it may be gone.
            let _ = sender.send(job());
        });
        receiver.await.ok()
    }

    /// Runs nothing more, and waits until the threads have ended; false if `patience` was not enough for that.
    pub fn stop(&self, patience: Duration) -> bool {
        let mut state = lock(&self.shared.state);
        state.is_stopped = true;
        let unrun = std::mem::take(&mut state.jobs);
        drop(state);
        self.shared.changed.notify_all();
        // Not under the lock: what a job holds may end with it.
        drop(unrun);
        let state = lock(&self.shared.state);
        let waited = self.shared.ended.wait_timeout_while(state, patience, |state| state.threads > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.threads == 0
    }

    /// Starts a thread, which counts already.
    fn start_one(&self) {
        static RATE: RateLimited = RateLimited::new();
        let there = self.shared.clone();
        let started = Builder::new().name("portico-files".into()).stack_size(STACK_BYTES).spawn(move || there.serve());
        let Err(error) = started else { return };
        RATE.warn(|| format!("cannot start a thread for files: {error}; going on with those there are"));
        let mut state = lock(&self.shared.state);
        state.threads -= 1;
        if state.threads == 0 {
            // Nobody would come for it: it is better late than never.
            let jobs = std::mem::take(&mut state.jobs);
            drop(state);
            jobs.into_iter().for_each(run);
        }
    }
}

impl Drop for BlockingThreads {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl Shared {
    fn serve(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                run(job);
                state = lock(&self.state);
            } else if state.is_stopped {
                break;
            } else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
        state.threads -= 1;
        drop(state);
        self.ended.notify_all();
    }
}

/// A panic is that job's own.
fn run(job: Job) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        log(Level::Error, "a thread for files has panicked");
    }
}
