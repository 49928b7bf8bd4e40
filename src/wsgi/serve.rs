//! A server of a Python application: the engine is made, its crew threads attach to the interpreter, and all ends here.

use super::draining::Draining;
use super::environ::{Common, Environ};
use super::failure::Served;
use super::ladder::Ladder;
use super::profile::Profiler;
use super::thread::{Introduction, is_free_threaded};
use super::{Attached, Bridge, Parts, event_loop, failure, released, thread};
use crate::embedder::Embedder;
use crate::process::Process;
use crate::wakeup::Wakeup;
use portico_engine::engine::{Application, CrewThread, Ended, Engine};
use portico_engine::scoreboard::SlotRef;
use portico_engine::settings::Settings;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use std::sync::Arc;

/// Serves until told to stop, by what `read` returns; the calling thread is the crew's first. True if nothing was
/// aborted.
pub fn serve(
    py: Python<'_>,
    application: Py<PyAny>,
    read: impl FnOnce() -> PyResult<(Settings, Process)>,
    slot: SlotRef,
) -> PyResult<bool> {
    let (engine, application, profiler) = make(py, application, read, slot)?;
    // Each thread attaches by itself, this one too.
    let served = py.detach(|| {
        let served = engine.serve(application);
        profiler.end();
        released::wait_for_end();
        served
    });
    match served {
        Ok(ended) => Ok(ended == Ended::InPeace),
        Err(error) => Err(PyRuntimeError::new_err(error)),
    }
}

/// The engine and what it serves. Not inlined: what this has on the stack would be there for as long as the server serves.
#[inline(never)]
fn make(
    py: Python<'_>,
    application: Py<PyAny>,
    read: impl FnOnce() -> PyResult<(Settings, Process)>,
    slot: SlotRef,
) -> PyResult<(Engine, PythonApplication, Arc<Profiler>)> {
    let (settings, process) = read()?;
    let (multithread, script_name) = (settings.most_calls() > 1, settings.script_name.clone());
    let Process { engine: of_engine, wakeup, multiprocess, errors, names, others, embedder, event_loop } = process;
    let engine = Engine::new(settings, of_engine, slot.clone())
        .map_err(|error| PyOSError::new_err(format!("cannot make the I/O runtime: {error}")))?;
    let (ladder, is_free_threaded) = (Ladder::new(slot.clone(), engine.slow_calls()), is_free_threaded(py));
    let profiler = Profiler::new(slot, ladder.clone(), is_free_threaded);
    let draining = Py::new(py, Draining::new(engine.drain_flag()))?;
    let common = Common { multithread, multiprocess, errors: &errors, draining: &draining, script_name: &script_name };
    let environ = Environ::new(py, engine.listeners(), &common)?;
    if wakeup.is_some() || embedder.takes_interrupts() {
        let embedder = embedder.clone();
        engine.on_interrupt(Box::new(move || {
            // Where the interpreter is on its way out, nobody handles anything any more.
            Python::try_attach(|py| handle_signals(py, wakeup.as_ref(), &embedder)).unwrap_or(true)
        }));
    }
    engine.on_call_order({
        let ladder = ladder.clone();
        Box::new(move |order| ladder.take(order))
    });
    engine.on_profile_order({
        let profiler = profiler.clone();
        Box::new(move |order| profiler.take(order))
    });
    engine.show_stacks_by(
        {
            let ladder = ladder.clone();
            Arc::new(move |cells| ladder.stacks_of(cells))
        },
        Arc::new(event_loop::stacks_of_tasks),
    );
    thread::prepare(py)?;
    let others = others.into_iter().map(|other| Served::new(py, other.callable, other.names));
    let served = [Served::new(py, application, names)].into_iter().chain(others).collect();
    let parts = Arc::new(Parts { served, environ, embedder });
    let application = PythonApplication { parts, ladder, is_free_threaded, event_loop };
    Ok((engine, application, profiler))
}

/// Runs the handlers of signals that have come. Says whether the server hears of the next; without a descriptor of its own
/// it has to look for itself.
fn handle_signals(py: Python<'_>, wakeup: Option<&Wakeup>, embedder: &Embedder) -> bool {
    let hears = wakeup.map_or(Ok(false), |wakeup| wakeup.keep(py));
    // After that, so that none is missed.
    match py.check_signals().and(hears) {
        Ok(hears) => hears,
        Err(error) => {
            if !embedder.interrupt(py, &error) {
                failure::log_handler_exception(py, &error);
            }
            false
        }
    }
}

/// What the engine's threads call.
struct PythonApplication {
    parts: Arc<Parts>,
    ladder: Arc<Ladder>,
    is_free_threaded: bool,
    /// What all calls are tasks of, where they are not on threads.
    event_loop: Option<Py<PyAny>>,
}

impl Application for PythonApplication {
    fn run(&self, thread: CrewThread<'_>) -> Result<(), String> {
        // Fails where the interpreter is on its way out.
        let ran = thread::attach(|py, introduction| {
            let ran = match &self.event_loop {
                None => self.serve_on(py, introduction, thread),
                Some(event_loop) => thread.into_loop().map_err(PyErr::from).and_then(|thread| {
                    event_loop::run(py, event_loop, thread, self.ladder.clone(), self.parts.clone())
                }),
            };
            ran.map_err(|error| error.to_string())
        });
        ran.unwrap_or_else(|| Err("the interpreter has ended".into()))
    }

    fn computes_in_parallel(&self) -> bool {
        self.is_free_threaded
    }

    fn has_event_loop(&self) -> bool {
        self.event_loop.is_some()
    }
}

impl PythonApplication {
    /// Serves on a thread of the crew's.
    fn serve_on(&self, py: Python<'_>, introduction: Introduction, thread: CrewThread<'_>) -> PyResult<()> {
        let thread_call = self.ladder.call_of_thread(py, thread.cell())?;
        let mut bridge = Bridge::new(py, introduction, &self.parts, thread_call)?;
        thread.serve(&mut Attached { py, bridge: &mut bridge });
        Ok(())
    }
}
