//! The jobs that wait for a thread, bounded in time; in number by whoever pushes them.

use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, lock};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// What is queued.
pub trait Job: Send {
    /// Since when somebody waits for it, in nanoseconds of the clock that deadlines are on.
    fn waiting_since_ns(&self) -> u64;

    /// Jobs of one route take about equally long.
    fn route(&self) -> usize;
}

/// The queue.
pub struct Queue<J> {
    state: Mutex<QueueState<J>>,
    /// Jobs that were taken out and whose call has not ended. Grows with `state` locked, so that a job is always seen
    /// either here or there.
    running: AtomicUsize,
    /// How long a job may wait.
    limit_ns: u64,
}

struct QueueState<J> {
    jobs: VecDeque<J>,
    /// The leader that waits for a job.
    leader: Option<Waker>,
    is_closed: bool,
}

impl<J> QueueState<J> {
    /// Has `waker` woken by the next push, or the end.
    fn wake_later(&mut self, waker: &Waker) {
        match &mut self.leader {
            Some(before) => before.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}

impl<J: Job> Queue<J> {
    /// An empty queue, where each job may wait for `limit_ns`.
    pub fn new(limit_ns: u64) -> Queue<J> {
        let state = Mutex::new(QueueState { jobs: VecDeque::new(), leader: None, is_closed: false });
        Queue { state, running: AtomicUsize::new(0), limit_ns }
    }

    /// Adds a job.
    pub fn push(&self, job: J) {
        let mut state = lock(&self.state);
        state.jobs.push_back(job);
        wake_leader(state);
    }

    /// Whether `job` has waited longer than it may.
    pub fn is_expired(&self, job: &J, now_ns: u64) -> bool {
        now_ns.saturating_sub(job.waiting_since_ns()) > self.limit_ns
    }

    /// Takes out what has waited longer than it may: also where no thread comes to take anything.
    pub fn take_expired(&self, now_ns: u64) -> Vec<J> {
        let mut state = lock(&self.state);
        // Not only from the front: a job may have waited elsewhere before it was queued.
        if !state.jobs.iter().any(|job| self.is_expired(job, now_ns)) {
            return Vec::new();
        }
        let (expired, waiting): (VecDeque<_>, VecDeque<_>) =
            state.jobs.drain(..).partition(|job| self.is_expired(job, now_ns));
        state.jobs = waiting;
        expired.into()
    }

    /// Takes out all that waits.
    pub fn take_all(&self) -> Vec<J> {
        lock(&self.state).jobs.drain(..).collect()
    }

    /// The next job without waiting. Counted as running until `call_ended`.
    pub fn try_next(&self) -> Option<J> {
        self.take(&mut lock(&self.state))
    }

    /// The next job, counted as running until `call_ended`; `None` once the queue is closed and empty. Only the leader
    /// waits here.
    pub async fn next(&self) -> Option<J> {
        poll_fn(|context| self.poll_next(context.waker())).await
    }

    /// As `next`, for who is no task: `waker` is woken by the next push, or the end, if there is nothing yet.
    pub fn poll_next(&self, waker: &Waker) -> Poll<Option<J>> {
        let mut state = lock(&self.state);
        if let Some(job) = self.take(&mut state) {
            return Poll::Ready(Some(job));
        }
        if state.is_closed {
            return Poll::Ready(None);
        }
        state.wake_later(waker);
        Poll::Pending
    }

    /// Whether `poll_next` would not have to wait; if it would, `waker` is woken once it would not.
    pub fn is_ready(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        let is_ready = !state.jobs.is_empty() || state.is_closed;
        if !is_ready {
            state.wake_later(waker);
        }
        is_ready
    }

    /// Whether nothing comes any more.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).is_closed
    }

    /// A job that was taken out is to be called by another thread.
    pub fn put_back(&self, job: J) {
        let mut state = lock(&self.state);
        state.jobs.push_front(job);
        self.running.fetch_sub(1, Ordering::Release);
        wake_leader(state);
    }

    /// The call of a job that was taken out has ended.
    pub fn call_ended(&self) {
        self.running.fetch_sub(1, Ordering::Release);
    }

    /// Jobs that wait.
    pub fn len(&self) -> usize {
        lock(&self.state).jobs.len()
    }

    /// Jobs that were taken out and whose call has not ended.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    /// Whether nothing waits and nothing runs.
    pub fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.jobs.is_empty() && self.running() == 0
    }

    /// Has the leader look again at what it waits for.
    pub fn wake_leader(&self) {
        wake_leader(lock(&self.state));
    }

    /// Lets the leader go once nothing waits.
    pub fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        wake_leader(state);
    }

    fn take(&self, state: &mut QueueState<J>) -> Option<J> {
        let job = state.jobs.pop_front()?;
        self.running.fetch_add(1, Ordering::Relaxed);
        Some(job)
    }
}

/// Wakes the leader that waits, if one does, once the queue is not locked any more.
fn wake_leader<J>(mut state: MutexGuard<'_, QueueState<J>>) {
    let leader = state.leader.take();
    drop(state);
    if let Some(leader) = leader {
        leader.wake();
    }
}
