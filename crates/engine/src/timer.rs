//! Time for the tasks of a server: `sleep` and `timeout`, by one timerfd(2) for all tasks that wait in a runtime.
//!
//! The runtime's own timers are left out: they read the clock four times for each request, and look for who is due before
//! and after each wait. These cost nothing until somebody's time comes.

use crate::clock::monotonic_ns;
use crate::descriptor::watch_owned;
use crate::lock::lock;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;

/// A deadline that is never reached: 584 years after the machine has started.
const NEVER_NS: u64 = u64::MAX;

thread_local! {
    /// The timers of the runtime that this thread drives.
    static HERE: RefCell<Weak<Timers>> = const { RefCell::new(Weak::new()) };
}

/// The timers of one runtime.
pub struct Timers {
    fd: AsyncFd<OwnedFd>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Who waits for when (monotonic nanoseconds), with a number, since many may wait for the same moment.
    wakers: BTreeMap<(u64, u64), Waker>,
    numbers: u64,
    /// When the timerfd is ready; none if it is not set.
    set_ns: Option<u64>,
}

impl Timers {
    /// Those of `runtime`, in which a task wakes the others.
    ///
    /// # Errors
    /// There are no descriptors left, or no memory.
    pub fn start(runtime: &Runtime) -> io::Result<Arc<Timers>> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let _in_runtime = runtime.enter();
        let fd = watch_owned(fd, Interest::READABLE)?;
        let timers = Arc::new(Timers { fd, waiting: Mutex::default() });
        runtime.spawn(wake(timers.clone()));
        Ok(timers)
    }

    /// Lets the tasks wait by these that the calling thread runs from now on: whoever drives the runtime says so first.
    pub fn use_here(self: &Arc<Self>) {
        HERE.with_borrow_mut(|here| {
            if here.as_ptr() != Arc::as_ptr(self) {
                *here = Arc::downgrade(self);
            }
        });
    }

    fn wait(&self, at_ns: u64, waker: &Waker) -> (u64, u64) {
        let mut waiting = lock(&self.waiting);
        waiting.numbers += 1;
        let key = (at_ns, waiting.numbers);
        waiting.wakers.insert(key, waker.clone());
        self.set_timer(&mut waiting);
        key
    }

    /// Wakes all whose time has come.
    fn wake_due(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.set_ns = None;
        let left = waiting.wakers.split_off(&(monotonic_ns() + 1, 0));
        let due = std::mem::replace(&mut waiting.wakers, left);
        self.set_timer(&mut waiting);
        drop(waiting);
        due.into_values().for_each(Waker::wake);
    }

    /// Sets the timerfd to when the first of those that wait is due. It is not moved to a later time: one that is ready in
    /// vain costs less than what is set for each that has not waited to its end.
    fn set_timer(&self, waiting: &mut Waiting) {
        let Some((&(first_ns, _), _)) = waiting.wakers.first_key_value() else { return };
        if waiting.set_ns.is_some_and(|set_ns| set_ns <= first_ns) {
            return;
        }
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A time of zero would be none at all.
        let at = Duration::from_nanos(first_ns.max(1));
        let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        let it_value = Timespec { tv_sec: seconds, tv_nsec: at.subsec_nanos().into() };
        let time = Itimerspec { it_interval: nothing, it_value };
        // A time that is over by now is one at once. It fails for a descriptor that is none, and for no time.
        let set = timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &time);
        debug_assert!(set.is_ok(), "the timerfd is ours");
        waiting.set_ns = Some(first_ns);
    }
}

/// Wakes who is due, for ever.
async fn wake(timers: Arc<Timers>) {
    while let Ok(mut ready) = timers.fd.readable().await {
        let has_rung = rustix::io::read(timers.fd.get_ref(), &mut [0; 8]).is_ok();
        ready.clear_ready();
        if has_rung {
            timers.wake_due();
        }
    }
}

/// Waits for so long.
pub fn sleep(duration: Duration) -> Sleep {
    let ns = u64::try_from(duration.as_nanos()).unwrap_or(NEVER_NS);
    Sleep { at_ns: monotonic_ns().saturating_add(ns), waits: None }
}

/// What `future` comes to; none if that takes longer than `at_most`.
pub async fn timeout<F: Future>(at_most: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut sleep = sleep(at_most);
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Pin::new(&mut sleep).poll(context).map(|()| None),
    })
    .await
}

/// Ready when its time has come.
pub struct Sleep {
    at_ns: u64,
    /// From its first look on: where it waits, and under which key.
    waits: Option<(Arc<Timers>, (u64, u64))>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some((timers, key)) = &self.waits else {
            if monotonic_ns() >= self.at_ns {
                return Poll::Ready(());
            }
            #[expect(clippy::expect_used, reason = "a mistake of who drives the runtime, which its first task shows")]
            let timers = HERE.with_borrow(Weak::upgrade).expect("who drives a runtime has said whose timers these are");
            let key = timers.wait(self.at_ns, context.waker());
            self.waits = Some((timers, key));
            return Poll::Pending;
        };
        // Whoever is due is not among those that wait any more.
        let mut waiting = lock(&timers.waiting);
        let Some(waker) = waiting.wakers.get_mut(key) else { return Poll::Ready(()) };
        let before = (!waker.will_wake(context.waker())).then(|| std::mem::replace(waker, context.waker().clone()));
        // Not before: a task may end with its last waker, and with it another that waits.
        drop(waiting);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((timers, key)) = &self.waits {
            let waker = lock(&timers.waiting).wakers.remove(key);
            // As above.
            drop(waker);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(20);

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let timers = Timers::start(&runtime).unwrap();
        timers.use_here();
        runtime.block_on(future)
    }

    fn here() -> Arc<Timers> {
        HERE.with_borrow(Weak::upgrade).unwrap()
    }

    #[test]
    fn who_waits_for_less_is_woken_first() {
        let order = Mutex::new(Vec::new());
        run(async {
            let wait = async |ms| {
                sleep(Duration::from_millis(ms)).await;
                lock(&order).push(ms);
            };
            tokio::join!(wait(30), wait(10), wait(20), wait(0), wait(10));
        });
        assert_eq!(*lock(&order), [0, 10, 10, 20, 30]);
    }

    #[test]
    fn nobody_is_woken_too_early() {
        let began = Instant::now();
        run(sleep(Duration::from_millis(25)));
        assert!(began.elapsed() >= Duration::from_millis(25));
    }

    #[test]
    fn what_is_in_time_leaves_nothing_behind() {
        run(async {
            let soon = async {
                sleep(Duration::from_millis(1)).await;
                7
            };
            assert_eq!(timeout(LONG, soon).await, Some(7));
            assert!(lock(&here().waiting).wakers.is_empty());
        });
    }

    #[test]
    fn what_takes_too_long_is_given_up() {
        assert_eq!(run(timeout(Duration::from_millis(5), std::future::pending::<()>())), None);
    }

    #[test]
    fn a_time_of_who_has_left_wakes_nobody_and_the_next_one_does() {
        let began = Instant::now();
        run(async {
            timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
            assert!(timeout(Duration::from_millis(10), async {}).await.is_some());
            sleep(Duration::from_millis(30)).await;
        });
        assert!(began.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn a_time_that_never_comes_is_one() {
        run(async {
            let never = sleep(Duration::MAX);
            assert_eq!(timeout(Duration::from_millis(1), never).await, None);
        });
    }

    #[test]
    fn tasks_of_a_runtime_that_moves_to_another_thread_are_woken_there() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let timers = Timers::start(&runtime).unwrap();
        timers.use_here();
        let (sender, woken) = tokio::sync::oneshot::channel();
        runtime.spawn(async {
            sleep(Duration::from_millis(20)).await;
            sender.send(()).unwrap();
        });
        runtime.block_on(tokio::task::yield_now());
        std::thread::spawn(move || {
            timers.use_here();
            runtime.block_on(timeout(LONG, woken)).unwrap().unwrap();
        })
        .join()
        .unwrap();
    }
}
