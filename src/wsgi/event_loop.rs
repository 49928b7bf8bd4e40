//! The server as the thread of an event loop has it (`portico.event_loops`): requests are taken out of the queue on the
//! loop's own terms, and each call of the application is one task of the loop, such as a greenlet. A task gives the thread
//! up where it waits, also in the middle of a call: frames of this program are on its stack then, but no lock is held and
//! nothing is borrowed that another call needs. What a call needs for itself is its `Seat`.

use super::failure;
use super::ladder::Ladder;
use super::parking::{AsideTask, Parking, Waits};
use super::thread::Introduction;
use super::{Attached, Bridge, Parts};
use portico_engine::access_log::record::Keeper;
use portico_engine::lock::lock;
use portico_engine::loop_thread::LoopThread;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex};

/// What the loop has.
#[pyclass(frozen, module = "portico._core")]
pub struct EventLoop {
    thread: LoopThread,
    parking: Arc<Parking>,
    ladder: Arc<Ladder>,
    parts: Arc<Parts>,
    /// Those that no call is in, the one that was used last at the end.
    seats: Mutex<Seats>,
}

struct Seats {
    #[expect(clippy::vec_box, reason = "a call would have it on its stack, which is copied whenever it is parked")]
    free: Vec<Box<Seat>>,
    /// The cells that have no seat yet, the next one at the end.
    cells: Vec<usize>,
}

/// What one call at a time has: a cell of the scoreboard, and all that a crew thread would have for its calls.
struct Seat {
    cell: usize,
    bridge: Bridge,
    spare: Option<Keeper>,
}

impl EventLoop {
    /// On the loop's thread. `park` gives that up until the wait is over with whose number it is called.
    pub fn new(thread: LoopThread, park: Py<PyAny>, ladder: Arc<Ladder>, parts: Arc<Parts>) -> EventLoop {
        let settings = &thread.resources().settings;
        let parking = Arc::new(Parking::new(thread.summons.clone(), park, !settings.calls_follow_each_other()));
        ladder.park_at(parking.clone());
        let seats = Seats { free: Vec::new(), cells: (0..settings.most_calls()).rev().collect() };
        EventLoop { thread, parking, ladder, parts, seats: Mutex::new(seats) }
    }

    /// A seat for a call; none if all are taken.
    fn seat(&self, py: Python<'_>) -> PyResult<Option<Box<Seat>>> {
        let mut seats = lock(&self.seats);
        if let Some(seat) = seats.free.pop() {
            return Ok(Some(seat));
        }
        let Some(cell) = seats.cells.pop() else { return Ok(None) };
        // What is made of Python's may run anything.
        drop(seats);
        let made = self.make_seat(py, cell).inspect_err(|_| lock(&self.seats).cells.push(cell));
        made.map(Some)
    }

    /// Not inlined: what this has on the stack would be copied whenever a call is parked.
    #[inline(never)]
    fn make_seat(&self, py: Python<'_>, cell: usize) -> PyResult<Box<Seat>> {
        let thread_call = self.ladder.call_of_task(py, cell, Waits::InLoop(self.parking.clone()))?;
        let bridge = Bridge::new(py, Introduction::default(), &self.parts, thread_call)?;
        Ok(Box::new(Seat { cell, bridge, spare: None }))
    }
}

#[pymethods]
impl EventLoop {
    /// The descriptor that is readable while there is something to do.
    fn fileno(&self) -> i32 {
        self.thread.summons.descriptor()
    }

    /// The loop has come to it: returns the numbers of waits that are over, whether calls have had their time, and what is to
    /// be done in tasks of their own.
    fn begin_turn(&self) -> (Vec<u64>, bool, Vec<AsideTask>) {
        self.parking.begin_slice();
        let woken = self.thread.summons.follow();
        self.thread.handle_interrupts();
        (woken, self.ladder.has_late(), self.parking.take_asides())
    }

    /// A task whose call has had its time, if there is one: RequestTimeout is raised there at once.
    fn next_late(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.ladder.next_late(py)
    }

    /// Whether a request waits, or the server has ended. If not the loop is summoned once there is something to do.
    fn is_due(&self, py: Python<'_>) -> bool {
        // What is written meanwhile may go to a slow disk.
        py.detach(|| self.thread.is_due())
    }

    /// Whether others are to have the thread now. Then the loop is summoned once more: nobody has looked whether there is
    /// more to do.
    fn is_turn_over(&self) -> bool {
        let is_over = self.parking.is_slice_over();
        if is_over {
            self.summon();
        }
        is_over
    }

    /// Has the loop look once more at what there is to do.
    fn summon(&self) {
        self.thread.summons.send();
    }

    /// The loop goes back to its other business.
    fn end_turn(&self) {
        self.thread.summons.leave();
    }

    /// The application has raised this in the loop, and not in a call: a signal handler, or, if it is no Exception, whatever
    /// runs there beside the calls.
    #[staticmethod]
    #[pyo3(signature = (error, /))]
    fn failed_in_loop(error: Bound<'_, PyAny>) {
        let py = error.py();
        let is_exception = error.is_instance_of::<PyException>();
        let error = PyErr::from_value(error);
        if is_exception {
            failure::log_handler_exception(py, &error);
        } else {
            failure::log_exit(py, &error);
        }
    }

    /// How many requests wait.
    fn queued(&self) -> usize {
        self.thread.queued()
    }

    /// Whether the server has ended.
    fn is_over(&self) -> bool {
        self.thread.is_over()
    }

    /// Calls the application for the next request, as a part of `task`, if one waits and not too many calls run. False if
    /// the task is to leave the thread to others.
    #[pyo3(signature = (task, /))]
    fn call_next(&self, py: Python<'_>, task: Py<PyAny>) -> PyResult<bool> {
        let Some(mut seat) = self.seat(py)? else { return Ok(false) };
        let Some(request) = self.thread.next() else {
            lock(&self.seats).free.push(seat);
            return Ok(false);
        };
        let Seat { cell, bridge, spare } = &mut *seat;
        bridge.begin_task(task);
        self.thread.call(&mut Attached { py, bridge }, *cell, spare, request);
        bridge.end_task();
        lock(&self.seats).free.push(seat);
        Ok(!self.is_turn_over())
    }
}

/// Where all greenlets of the process stand that have given their thread up, in words. Waits for the interpreter.
pub fn stacks_of_tasks() -> Option<String> {
    let described = Python::try_attach(|py| -> PyResult<Option<String>> {
        // Imported only now: workers import as little as possible.
        py.import("portico.event_loops.stacks")?.call_method0("describe_greenlets")?.extract()
    });
    match described? {
        Ok(stacks) => stacks,
        Err(error) => Some(format!("where greenlets stand cannot be told: {error}")),
    }
}

/// Runs `event_loop`, an object of `portico.event_loops`, on the calling thread for as long as the server lives.
pub fn run(
    py: Python<'_>,
    event_loop: &Py<PyAny>,
    thread: LoopThread,
    ladder: Arc<Ladder>,
    parts: Arc<Parts>,
) -> PyResult<()> {
    let event_loop = event_loop.bind(py);
    let park = event_loop.getattr("park")?.unbind();
    if let Some(of_application) = event_loop.getattr_opt("loop")? {
        parts.environ.show_loop(py, &of_application)?;
    }
    let calls = Py::new(py, EventLoop::new(thread, park, ladder, parts))?;
    event_loop.call_method1("run", (&calls,))?;
    if calls.get().is_over() {
        Ok(())
    } else {
        Err(PyRuntimeError::new_err("the event loop has ended before its server"))
    }
}
