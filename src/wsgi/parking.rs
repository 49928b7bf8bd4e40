//! How a call waits for its client: on a thread of the crew's by driving I/O, on the one of an event loop by giving that up
//! to the other calls (*parking*). Nothing is locked meanwhile, nothing of the interpreter's is held but what belongs to the
//! call, and nothing that other threads touch lies on the stack, which is not there while the call is parked.

use super::thread::attach;
use portico_engine::clock;
use portico_engine::lock::lock;
use portico_engine::resources::{Resources, Waited};
use portico_engine::summons::Summons;
use pyo3::prelude::*;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

/// So long one call, or one after the other, has the loop's thread; then the others have their turn.
const SLICE_NS: u64 = 1_000_000;

/// Where the calls of one event loop park.
pub struct Parking {
    /// The loop's.
    thread: ThreadId,
    summons: Arc<Summons>,
    /// Gives the thread up until the wait with the number that it is called with is over, or something is raised.
    park: Py<PyAny>,
    last_number: AtomicU64,
    slice_began_ns: AtomicU64,
    /// Whether the loop goes on while the application waits, so that it may do something beside a call.
    pub takes_asides: bool,
    /// What is to be done on the loop's thread.
    asides: Mutex<Vec<Box<dyn Aside>>>,
}

/// Something to be done once, beside the calls.
pub trait Aside: Send + Sync {
    /// Does it.
    fn run(&self, py: Python<'_>);
}

/// The same, as the loop calls it.
#[pyclass(frozen, module = "portico._core")]
pub struct AsideTask(Box<dyn Aside>);

#[pymethods]
impl AsideTask {
    fn __call__(&self, py: Python<'_>) {
        self.0.run(py);
    }
}

impl Parking {
    /// For calls on the calling thread, which is summoned by `summons`.
    pub fn new(summons: Arc<Summons>, park: Py<PyAny>, takes_asides: bool) -> Parking {
        Parking {
            thread: thread::current().id(),
            summons,
            park,
            last_number: AtomicU64::new(0),
            slice_began_ns: AtomicU64::new(0),
            takes_asides,
            asides: Mutex::default(),
        }
    }

    /// Has the loop look at what there is to do.
    pub fn summon(&self) {
        self.summons.send();
    }

    /// The loop has come to the calls.
    pub fn begin_slice(&self) {
        self.slice_began_ns.store(clock::monotonic_ns(), Relaxed);
    }

    /// Whether others are to have the thread now.
    pub fn is_slice_over(&self) -> bool {
        clock::monotonic_ns().saturating_sub(self.slice_began_ns.load(Relaxed)) > SLICE_NS
    }

    /// As `Waits::give_way`; apart, since calls on threads of the crew's have many blocks, too.
    #[inline(never)]
    fn give_way(&self, py: Python<'_>) -> PyResult<()> {
        if self.thread == thread::current().id() && self.is_slice_over() {
            return self.wait(py, Box::pin(next_turn()));
        }
        Ok(())
    }

    /// Has `aside` done in a task of its own.
    fn do_aside(&self, aside: Box<dyn Aside>) {
        lock(&self.asides).push(aside);
        self.summons.send();
    }

    /// What is to be done.
    pub fn take_asides(&self) -> Vec<AsideTask> {
        std::mem::take(&mut *lock(&self.asides)).into_iter().map(AsideTask).collect()
    }

    /// Waits for `future`. What was thrown into the call meanwhile, such as gevent.Timeout, ends the wait.
    fn wait<F>(&self, py: Python<'_>, mut future: Pin<Box<F>>) -> PyResult<F::Output>
    where
        F: Future + Send,
        F::Output: Send,
    {
        let number = self.last_number.fetch_add(1, Relaxed) + 1;
        let waker = self.summons.waker(number);
        loop {
            // Outside the interpreter: it may write to a file.
            let polled = py.detach(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
            match polled {
                Poll::Ready(output) => return Ok(output),
                Poll::Pending => self.park.call1(py, (number,))?,
            };
        }
    }
}

/// How the calls of one cell wait.
#[derive(Clone)]
pub enum Waits {
    /// By driving I/O.
    OnThread,
    /// By parking.
    InLoop(Arc<Parking>),
}

impl Waits {
    /// Waits in the call in `cell`, whose time stands still. A wait that a signal has interrupted may be begun again.
    ///
    /// # Errors
    /// What was thrown into the call.
    pub fn wait<F>(&self, py: Python<'_>, resources: &Resources, cell: usize, until: F) -> PyResult<Waited<F::Output>>
    where
        F: Future + Send,
        F::Output: Send,
    {
        match self.parking() {
            Some(parking) => park(py, parking, resources, cell, until).map(Waited::Done),
            None => Ok(py.detach(|| resources.wait_in_call(cell, until))),
        }
    }

    /// As `wait`, but that no signal ends it. None if the server has ended.
    ///
    /// # Errors
    /// What was thrown into the call.
    pub fn wait_out<F>(
        &self,
        py: Python<'_>,
        resources: &Resources,
        cell: usize,
        until: F,
    ) -> PyResult<Option<F::Output>>
    where
        F: Future + Send,
        F::Output: Send,
    {
        match self.parking() {
            Some(parking) => park(py, parking, resources, cell, until).map(Some),
            None => Ok(py.detach(|| resources.wait_out_call(cell, until))),
        }
    }

    /// Between two blocks of a response: lets others have the loop's thread, if they have waited for it, since a client that
    /// takes blocks as fast as they are made never has the call wait. A thread of the crew's is taken from nobody.
    ///
    /// # Errors
    /// What was thrown into the call meanwhile.
    #[inline]
    pub fn give_way(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Waits::OnThread => Ok(()),
            Waits::InLoop(parking) => parking.give_way(py),
        }
    }

    /// Has `aside` done while the application may be in one of these calls, from a thread that no call is on: in a task of
    /// the loop's, or at once, where a call holds the loop or there is none.
    pub fn do_aside(&self, aside: impl Aside + 'static) {
        match self {
            Waits::InLoop(parking) if parking.takes_asides => parking.do_aside(Box::new(aside)),
            // Nothing is to be done any more where the interpreter is on its way out.
            _ => drop(attach(|py, _| aside.run(py))),
        }
    }

    /// Where to park; nowhere on a thread that the application has started.
    fn parking(&self) -> Option<&Parking> {
        match self {
            Waits::OnThread => None,
            Waits::InLoop(parking) => (parking.thread == thread::current().id()).then_some(&**parking),
        }
    }
}

fn park<F>(py: Python<'_>, parking: &Parking, resources: &Resources, cell: usize, until: F) -> PyResult<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    resources.slot.call_rests(cell);
    let waited = parking.wait(py, Box::pin(until));
    resources.slot.call_goes_on(cell);
    waited
}

/// Is over in the loop's next turn, which it asks for.
fn next_turn() -> impl Future<Output = ()> + Send {
    let mut has_waited = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}
