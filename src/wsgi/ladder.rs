//! A call that takes too long, as those see it who have orders about it (`portico_engine::call_orders`).
//!
//! Each crew thread shows its call here. Orders come without the interpreter: a response in the call's place needs none,
//! and for the rest a thread is started that asks for it, so that nobody else waits. What is raised in a call must never
//! hit another: it is raised while the call is marked, and the call takes it back when it leaves, if it has not come by
//! then. Both are attached to the interpreter, and where there is no global lock the mark makes one wait for the other.

use super::parking::{Parking, Waits};
use super::pending::{PendingResponse, WriteState};
use super::plain_response::{GATEWAY_TIMEOUT, plain_response};
use super::thread::is_free_threaded;
use super::watched::Watched;
use portico_engine::call_orders::{CallOrder, Measure};
use portico_engine::calls::Outcome;
use portico_engine::clock::{self, DateHeader};
use portico_engine::exchange::account::settle_unfinished;
use portico_engine::exchange::responder::Responder;
use portico_engine::lock::lock;
use portico_engine::log::{Level, log};
use portico_engine::scoreboard::{SlotRef, UnfinishedCall};
use portico_engine::slow_calls::{SlowCalls, Stand};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::ffi::{c_long, c_ulong};
use std::ptr;
use std::sync::atomic::{
    AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Builder};
use std::time::Duration;

/// In `ThreadCall::running`: something has been raised in the call.
const RAISED: u64 = 1 << 63;
/// In `ThreadCall::running`: something is being raised in the call.
const RAISING: u64 = 1 << 62;

/// Two hundred years: a deadline beyond that is none.
const LONGEST_S: f64 = 6e9;

/// The call of one crew thread, of which there is one after the other.
pub struct ThreadCall {
    slot: SlotRef,
    cell: usize,
    /// The thread's number for the interpreter.
    ident: c_ulong,
    /// How many frames of Python its thread has while no call runs: the server's, or the program's that serves.
    frames_below: usize,
    /// When the call began, with the marks; 0 while none runs.
    running: AtomicU64,
    /// The response that is due, of this call and of those that use the same again.
    response: Mutex<Option<Arc<Mutex<PendingResponse>>>>,
    /// The task of an event loop that the call is a part of, if it is.
    task: Mutex<Option<Py<PyAny>>>,
    /// How its calls wait for their clients.
    pub waits: Waits,
    /// What profiles see of it.
    pub watched: Watched,
}

impl ThreadCall {
    /// The cell of its thread.
    pub fn cell(&self) -> usize {
        self.cell
    }

    /// The thread's number for the interpreter.
    pub fn ident(&self) -> c_ulong {
        self.ident
    }

    /// How many frames of Python are below those of the call.
    pub fn frames_below(&self) -> usize {
        self.frames_below
    }

    /// The call that began at `started_ns` goes into the application.
    pub fn enter(&self, started_ns: u64) {
        self.running.store(started_ns, Release);
    }

    /// The call comes back from the application: whatever was raised in it and has not come yet never will. Says whether
    /// something was. Once more is no harm.
    pub fn leave(&self, py: Python<'_>) -> bool {
        loop {
            let running = self.running.load(Acquire);
            if running & RAISING != 0 {
                // Only where there is no global lock.
                py.detach(thread::yield_now);
            } else if self.running.compare_exchange(running, 0, AcqRel, Acquire).is_ok() {
                let was_raised = running & RAISED != 0;
                if was_raised {
                    self.set_exception(None);
                }
                return was_raised;
            }
        }
    }

    /// The next call is a part of `task`.
    pub fn begin_task(&self, task: Py<PyAny>) {
        *lock(&self.task) = Some(task);
    }

    /// No call is a part of it any more.
    pub fn end_task(&self) {
        // Dropped when nothing is locked.
        let _task = lock(&self.task).take();
    }

    /// Where the task stands that the call is a part of, if it is one and has given its thread up.
    pub fn parked_frame<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        parked_frame(py, &self.task(py)?)
    }

    /// The task that the call is a part of.
    fn task(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.task).as_ref().map(|task| task.clone_ref(py))
    }

    /// The response that the next calls have.
    pub fn set_response(&self, response: &Arc<Mutex<PendingResponse>>) {
        *lock(&self.response) = Some(response.clone());
    }

    /// Raises `exception` in the call that began at `started_ns`, if it still runs. Attached to the interpreter.
    fn raise(&self, started_ns: u64, exception: &Bound<'_, PyAny>) {
        // Not for the first time, perhaps: it may have been caught, and the call have gone on.
        let running = self.running.load(Acquire);
        let is_same = running & !RAISED == started_ns;
        if is_same && self.running.compare_exchange(running, started_ns | RAISING, AcqRel, Acquire).is_ok() {
            self.set_exception(Some(exception));
            self.running.store(started_ns | RAISED, Release);
        }
    }

    /// Says that something is raised in the call that began at `started_ns`, if it still runs: in this task, by the caller.
    fn will_be_raised(&self, py: Python<'_>, started_ns: u64) -> Option<Py<PyAny>> {
        let running = self.running.load(Acquire);
        let is_same = running & !RAISED == started_ns;
        let is_marked = is_same && self.running.compare_exchange(running, started_ns | RAISED, AcqRel, Acquire).is_ok();
        if is_marked { self.task(py) } else { None }
    }

    /// Sets what the thread raises next, in place of what it was to raise.
    fn set_exception(&self, exception: Option<&Bound<'_, PyAny>>) {
        let exception = exception.map_or(ptr::null_mut(), Bound::as_ptr);
        #[expect(clippy::cast_possible_wrap, reason = "the interpreter takes it for unsigned again")]
        let ident = self.ident as c_long;
        #[expect(unsafe_code, reason = "pyo3 has no safe way to raise in another thread")]
        // SAFETY: callers are attached; the interpreter looks the thread up and takes a reference of its own.
        unsafe {
            ffi::PyThreadState_SetAsyncExc(ident, exception);
        }
    }

    /// When the call that runs began, if one does.
    fn started_ns(&self) -> Option<u64> {
        let started_ns = self.running.load(Acquire) & !(RAISED | RAISING);
        (started_ns != 0).then_some(started_ns)
    }

    /// Responds in place of the call that began at `started_ns`, or cuts what it has begun to send.
    fn respond(&self, started_ns: u64) {
        let Some(response) = lock(&self.response).clone() else { return };
        let mut response = lock(&response);
        // Under that lock: the next call's response only comes there after this call has left.
        if self.started_ns() != Some(started_ns) || response.write != WriteState::Idle {
            return;
        }
        let Some(responder) = response.responder.take() else { return };
        let connection = responder.connection().clone();
        let outcome = if responder.is_started() {
            let outcome = Outcome { status: response.head.status, body_bytes: responder.body_bytes };
            responder.abort();
            outcome
        } else {
            send_timeout(responder)
        };
        response.responded = Some(outcome);
        drop(response);
        let Some(unfinished) = self.slot.unfinished(self.cell, started_ns) else { return };
        let Outcome { status, body_bytes } = outcome;
        let resources = &connection.resources;
        let is_settled = self.slot.settle_once(self.cell, started_ns, || {
            settle_unfinished(&UnfinishedCall { status, body_bytes, ..unfinished }, "timeout", resources);
        });
        if is_settled {
            // Nobody else may come to it in what is left of this worker.
            resources.flush_access_log();
        }
    }
}

/// Ends a response of which nothing has left.
fn send_timeout(mut responder: Responder) -> Outcome {
    let (head, body) = plain_response(GATEWAY_TIMEOUT, &responder);
    responder.end_keep_alive();
    responder.start(&head, Some(body.len() as u64), &mut DateHeader::default());
    let block = if responder.has_body() { &body[..] } else { b"" };
    // A client that does not take a few bytes is not reading.
    if responder.block(block, true).is_err() {
        responder.abort();
    }
    Outcome { status: GATEWAY_TIMEOUT, body_bytes: block.len() as u64 }
}

/// The calls of all crew threads, and the orders about them.
pub struct Ladder {
    slot: SlotRef,
    /// Who is told where calls stand.
    slow_calls: Arc<SlowCalls>,
    calls: Mutex<Vec<Arc<ThreadCall>>>,
    /// Where calls park, if they are tasks of an event loop.
    parking: OnceLock<Arc<Parking>>,
    /// Of those, the calls in which RequestTimeout is to be raised: their cells and starts.
    late: Mutex<Vec<(usize, u64)>>,
    waiting: Mutex<Waiting>,
    /// Whether somebody profiles.
    pub watches_calls: Arc<AtomicBool>,
}

/// How many frames of Python the calling thread has.
fn frames_of_thread(py: Python<'_>) -> PyResult<usize> {
    // It raises an exception where there is none.
    let mut next = py.import("sys")?.call_method1("_getframe", (0,)).ok();
    let mut count = 0;
    while let Some(frame) = next {
        count += 1;
        next = Some(frame.getattr("f_back")?).filter(|frame| !frame.is_none());
    }
    Ok(count)
}

/// Orders for which somebody has to be attached to the interpreter.
#[derive(Default)]
struct Waiting {
    orders: VecDeque<CallOrder>,
    /// Whether there is a thread for them.
    is_served: bool,
}

impl Ladder {
    /// One without calls yet.
    pub fn new(slot: SlotRef, slow_calls: Arc<SlowCalls>) -> Arc<Ladder> {
        let watches_calls = Arc::default();
        Arc::new(Ladder {
            slot,
            slow_calls,
            calls: Mutex::default(),
            parking: OnceLock::new(),
            late: Mutex::default(),
            waiting: Mutex::default(),
            watches_calls,
        })
    }

    /// The calls of the calling thread, in cell `cell`.
    ///
    /// # Errors
    /// What the interpreter raises.
    pub fn call_of_thread(&self, py: Python<'_>, cell: usize) -> PyResult<Arc<ThreadCall>> {
        self.call_of_task(py, cell, Waits::OnThread)
    }

    /// The same, where they wait as `waits` says.
    ///
    /// # Errors
    /// What the interpreter raises.
    pub fn call_of_task(&self, py: Python<'_>, cell: usize, waits: Waits) -> PyResult<Arc<ThreadCall>> {
        #[expect(unsafe_code, reason = "pyo3 has no safe way to it, and what Python has for it may have been patched")]
        // SAFETY: it asks the system, and takes nothing.
        let ident = unsafe { ffi::PyThread_get_thread_ident() };
        let (running, response, task) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
        let watched = Watched::new(self.watches_calls.clone());
        let (slot, frames_below) = (self.slot.clone(), frames_of_thread(py)?);
        let its_call =
            Arc::new(ThreadCall { slot, cell, ident, frames_below, running, response, task, waits, watched });
        let mut calls = lock(&self.calls);
        calls.retain(|other| other.cell != cell);
        calls.push(its_call.clone());
        Ok(its_call)
    }

    /// Calls are tasks of an event loop, and wait there.
    pub fn park_at(&self, parking: Arc<Parking>) {
        // A second one would be a second loop in this one's place.
        let _ = self.parking.set(parking);
    }

    /// The next task in which RequestTimeout is to be raised. On the thread of the event loop, which raises it there before
    /// anything else runs: a call that has ended by then is none of them any more.
    pub fn next_late(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        loop {
            let (cell, started_ns) = lock(&self.late).pop()?;
            if let Some(task) = self.call(cell).and_then(|call| call.will_be_raised(py, started_ns)) {
                return Some(task);
            }
        }
    }

    /// Whether there may be one.
    pub fn has_late(&self) -> bool {
        !lock(&self.late).is_empty()
    }

    /// Takes an order; does not wait.
    pub fn take(self: &Arc<Self>, order: CallOrder) {
        if order.measure == Measure::Respond {
            if let Some(call) = self.call(order.cell) {
                call.respond(order.started_ns);
            }
            return;
        }
        let mut waiting = lock(&self.waiting);
        waiting.orders.push_back(order);
        if waiting.is_served {
            return;
        }
        let there = self.clone();
        let started = Builder::new().name("portico-ladder".into()).stack_size(512 * 1024).spawn(move || there.serve());
        match started {
            Ok(_) => waiting.is_served = true,
            Err(error) => log(Level::Warning, &format!("cannot start a thread for calls that take long: {error}")),
        }
    }

    /// The calls of all threads that there are.
    pub fn all(&self) -> Vec<Arc<ThreadCall>> {
        lock(&self.calls).clone()
    }

    fn call(&self, cell: usize) -> Option<Arc<ThreadCall>> {
        lock(&self.calls).iter().find(|call| call.cell == cell).cloned()
    }

    /// Does what waits for the interpreter, on a thread of its own.
    fn serve(&self) {
        while self.is_any() {
            self.slot.asks_for_interpreter();
            let attached = Python::try_attach(|py| {
                self.slot.asks_no_more();
                let order = lock(&self.waiting).orders.pop_front();
                let done = order.map_or(Ok(()), |order| self.follow(py, &order));
                if let Err(error) = done {
                    log(Level::Warning, &format!("a call that takes long cannot be looked at: {error}"));
                }
            });
            if attached.is_none() {
                // The interpreter is on its way out.
                return self.slot.asks_no_more();
            }
        }
    }

    /// Whether an order waits; if not, the next one gets a new thread.
    fn is_any(&self) -> bool {
        let mut waiting = lock(&self.waiting);
        waiting.is_served = !waiting.orders.is_empty();
        waiting.is_served
    }

    fn follow(&self, py: Python<'_>, order: &CallOrder) -> PyResult<()> {
        let Some(call) = self.call(order.cell) else { return Ok(()) };
        // Imported at the first such call only: workers import as little as possible.
        let deadlines = py.import("portico.deadlines")?;
        let task = call.task(py);
        if order.measure == Measure::Interrupt {
            if task.as_ref().is_some_and(|task| !is_current(py, task)) {
                // It has given the thread up: the loop raises it when it has its turn.
                lock(&self.late).push((order.cell, order.started_ns));
            } else {
                call.raise(order.started_ns, &deadlines.getattr("RequestTimeout")?);
            }
            if let Some(parking) = self.parking.get() {
                // Also where the task has the thread: whether the loop turns tells whether others are held up.
                parking.summon();
            }
            return Ok(());
        }
        let places = places_of(py, &call)?;
        // After that: what runs now has run when the stack was taken.
        if call.started_ns() == Some(order.started_ns)
            && let Some(places) = places
        {
            let stack = describe_stack(&places)?;
            log(Level::Warning, &format!("{}\n{stack}", order.sentence));
            let words = deadlines.call_method1("describe_place", (&places,))?.extract::<String>()?;
            let times = self.slot.call_times(order.cell, order.started_ns, clock::monotonic_ns());
            let stand = Stand { own_ns: times.application_ns(), stack };
            let thread_id = (!self.shares_thread(py, &call)).then(|| self.slot.thread_id(order.cell));
            self.slow_calls.saw(order.cell, order.started_ns, thread_id, stand, &words);
        }
        Ok(())
    }

    /// Whether other calls may have the thread of `call` before it ends, so that its time is not that of this one.
    fn shares_thread(&self, py: Python<'_>, call: &ThreadCall) -> bool {
        self.parking.get().is_some_and(|parking| parking.takes_asides) || call.parked_frame(py).is_some()
    }

    /// The stacks of the calls in these cells, as far as they can be had. Waits for the interpreter.
    pub fn stacks_of(&self, cells: &[usize]) -> Vec<Option<String>> {
        let stacks = Python::try_attach(|py| -> PyResult<Vec<Option<String>>> {
            let stack_of = |cell: &usize| describe_stack(&places_of(py, &*self.call(*cell)?).ok()??).ok();
            Ok(cells.iter().map(stack_of).collect())
        });
        stacks.and_then(Result::ok).unwrap_or_default()
    }
}

/// Where a call is, the innermost function first: in a task that has given its thread up, or on its thread.
fn places_of<'py>(py: Python<'py>, call: &ThreadCall) -> PyResult<Option<Bound<'py, PyAny>>> {
    // Imported only now: workers import as little as possible.
    let deadlines = py.import("portico.deadlines")?;
    let places = match call.parked_frame(py) {
        // The task may go on meanwhile.
        Some(_) if is_free_threaded(py) => return Ok(None),
        Some(frame) => deadlines.call_method1("stack_of_frame", (frame,))?,
        None => deadlines.call_method1("stack_of_thread", (call.ident,))?,
    };
    Ok(Some(places).filter(|places| places.is_truthy().unwrap_or(false)))
}

/// Where a task stands that has given its thread up; none if it has not.
fn parked_frame<'py>(py: Python<'py>, task: &Py<PyAny>) -> Option<Bound<'py, PyAny>> {
    task.bind(py).getattr(intern!(py, "gr_frame")).ok().filter(|frame| !frame.is_none())
}

/// Whether a task has the thread.
fn is_current(py: Python<'_>, task: &Py<PyAny>) -> bool {
    parked_frame(py, task).is_none()
}

fn describe_stack(places: &Bound<'_, PyAny>) -> PyResult<String> {
    places.py().import("portico.deadlines")?.call_method1("describe_stack", (places,))?.extract()
}

/// `portico.extend_deadline`.
#[pyclass(frozen, module = "portico._core")]
pub struct ExtendDeadline {
    call: Arc<ThreadCall>,
    /// Which callable is valid; older ones were kept by an application beyond their call.
    current: Arc<AtomicU64>,
    generation: u64,
}

/// Makes the callables of one thread's calls; one made earlier is of no use any more.
pub struct Extensions {
    call: Arc<ThreadCall>,
    current: Arc<AtomicU64>,
}

impl Extensions {
    /// A maker for the calls of one thread.
    pub fn new(call: Arc<ThreadCall>) -> Extensions {
        Extensions { call, current: Arc::default() }
    }

    /// A callable for the calls from now on.
    ///
    /// # Errors
    /// There is no memory.
    pub fn make(&self, py: Python<'_>) -> PyResult<Py<ExtendDeadline>> {
        let generation = self.current.fetch_add(1, Relaxed) + 1;
        Py::new(py, ExtendDeadline { call: self.call.clone(), current: self.current.clone(), generation })
    }
}

#[pymethods]
impl ExtendDeadline {
    #[pyo3(signature = (seconds, /))]
    fn __call__(&self, seconds: f64) -> PyResult<()> {
        if !(0.0..=LONGEST_S).contains(&seconds) {
            let text = format!("portico.extend_deadline: expected seconds from 0 to {LONGEST_S}, got {seconds}");
            return Err(PyValueError::new_err(text));
        }
        let is_current = self.current.load(Relaxed) == self.generation;
        let started_ns = self.call.started_ns().filter(|_| is_current).ok_or_else(|| {
            PyRuntimeError::new_err("portico.extend_deadline was called after the call of the application had ended")
        })?;
        let more_ns = u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap_or(u64::MAX);
        self.call.slot.extend(self.call.cell, started_ns, more_ns);
        Ok(())
    }
}
