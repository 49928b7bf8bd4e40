//! A worker's engine is made, its crew threads live and end here.

use super::Bridge;
use super::environ::{Common, Environ};
use crate::bounds::{Bounds, milliseconds};
use crate::connection::departures;
use crate::drain::{self, Orders};
use crate::engine::Engine;
use crate::error_log::{Level, Seldom, log};
use crate::listener::Listener;
use crate::scoreboard::Slot;
use crate::settings::Settings;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long threads that are still in the application may take to leave after the crew has stopped.
const LEAVE: Duration = Duration::from_millis(200);

/// Serves until told to stop; the calling thread is the crew's first. True if nothing was cut.
pub fn serve(py: Python<'_>, application: Py<PyAny>, settings: Settings, slot: &'static Slot) -> PyResult<bool> {
    let threads = settings.threads.max(1);
    let engine = make_engine(&settings, slot)?;
    let common = Common { multithread: threads > 1, multiprocess: settings.multiprocess, errors: &settings.errors };
    let environ = Environ::new(py, &engine.listeners, &common)?;

    let mut bridge = Bridge::new(py, engine, &application, &environ)?;
    let shared = Arc::new(Shared { engine, application, environ, alive: AtomicUsize::new(0) });
    engine.crew.on_recruit({
        let shared = shared.clone();
        Box::new(move |me| recruit(&shared, me))
    });
    let sentinel = std::thread::Builder::new().name("portico-sentinel".into()).stack_size(128 * 1024);
    sentinel.spawn(|| engine.crew.watch(engine)).map_err(|error| cannot_start("sentinel", &error))?;

    engine.runtime.spawn(drain::follow_orders(engine, orders(&settings)));
    engine.crew.enlist(0);
    crew_thread(py, engine, 0, &mut bridge);

    let deadline = Instant::now() + LEAVE;
    let is_calm = py.detach(|| {
        while shared.alive.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        departures::stop(deadline.saturating_duration_since(Instant::now()))
    });
    if let Some(access_log) = &engine.access_log {
        py.detach(|| access_log.end(Instant::now() + LEAVE));
    }
    Ok(!drain::WAS_CUT.load(Ordering::SeqCst) && is_calm && shared.alive.load(Ordering::Acquire) == 0)
}

fn make_engine(settings: &Settings, slot: &'static Slot) -> PyResult<&'static Engine> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("cannot make the I/O runtime: {error}")))?;
    let bounds = Bounds::new(settings).map_err(PyValueError::new_err)?;
    let listeners = settings.listeners.iter().enumerate().map(|(index, listener)| Listener::new(index, listener));
    let listeners = listeners.collect::<Result<_, _>>().map_err(PyValueError::new_err)?;
    let engine = Engine::new(settings, bounds, listeners, runtime, slot);
    Ok(Box::leak(Box::new(engine)))
}

fn orders(settings: &Settings) -> Orders {
    Orders {
        signal_fd: settings.signal_fd,
        lifeline_fd: settings.lifeline_fd,
        graceful_ms: milliseconds(settings.graceful_timeout_s),
    }
}

/// What every crew thread makes its bridge from.
struct Shared {
    engine: &'static Engine,
    application: Py<PyAny>,
    environ: Environ,
    /// Threads besides the first that have not ended.
    alive: AtomicUsize,
}

/// Starts crew thread `me`, which leads from its first moment. Called with the roster locked, so the
/// interpreter is asked for on the new thread only.
fn recruit(shared: &Arc<Shared>, me: usize) -> bool {
    static TOLD: Seldom = Seldom::new();
    shared.alive.fetch_add(1, Ordering::AcqRel);
    let there = shared.clone();
    let started = std::thread::Builder::new().name(format!("portico-crew-{me}")).spawn(move || {
        there.engine.crew.enlist(me);
        Python::attach(|py| match Bridge::new(py, there.engine, &there.application, &there.environ) {
            Ok(mut bridge) => crew_thread(py, there.engine, me, &mut bridge),
            Err(error) => {
                log(Level::Critical, &format!("cannot prepare crew thread {me}: {error}"));
                there.engine.crew.resign(me);
            }
        });
        there.alive.fetch_sub(1, Ordering::AcqRel);
    });
    let is_started = started.is_ok();
    if let Err(error) = started {
        shared.alive.fetch_sub(1, Ordering::AcqRel);
        TOLD.warn(|| format!("cannot start crew thread {me}: {error}; serving with those there are"));
    }
    is_started
}

/// A crew thread's life: lead, answer, park.
fn crew_thread(py: Python<'_>, engine: &'static Engine, me: usize, bridge: &mut Bridge) {
    while py.detach(|| engine.crew.park(me)) {
        let mut next = py.detach(|| {
            if let Some(access_log) = &engine.access_log {
                access_log.flush();
            }
            engine.runtime.block_on(engine.crew.next_request())
        });
        while let Some(request) = next {
            let leads = bridge.answer(py, me, request);
            next = if leads { engine.crew.try_next() } else { None };
        }
    }
}

fn cannot_start(what: &str, error: &std::io::Error) -> PyErr {
    PyRuntimeError::new_err(format!("cannot start the {what} thread: {error}"))
}
