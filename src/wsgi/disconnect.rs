//! `portico.disconnected` and `portico.on_disconnect`: how an application learns that its client has left.
//!
//! Both callables are used again from request to request, as `start_response` is, and know their request by the
//! presence that they share with the answer. Callbacks run on the thread of `connection/departures.rs`, which is
//! attached to the interpreter only for them. None begins once the answer's last bytes are about to leave: a client
//! that has all it wanted goes away as a matter of course.

use super::failure;
use super::start_response::Answer;
use crate::connection::Connection;
use crate::connection::departures::{self, Witness};
use crate::engine::lock;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

/// The client of one answer, while that is not complete.
pub struct Presence {
    /// Whether the answer is complete, or about to be. Written before `has_watch` is read, and read after that is
    /// written: one side always sees the other.
    is_over: AtomicBool,
    /// Spares the usual answer, of which nobody wanted to know, the lock.
    has_watch: AtomicBool,
    line: Mutex<Line>,
    /// Knows the connection, as long as an answer is due.
    answer: Arc<Mutex<Answer>>,
    application: Arc<str>,
}

#[derive(Default)]
struct Line {
    /// Which callables are valid; older ones were kept by an application beyond their request.
    issue: u64,
    /// The watch for `callbacks`, once there has been one. Weak, so that no connection stays open for the sake of this.
    watch: Option<(u64, Weak<Connection>)>,
    callbacks: Vec<Py<PyAny>>,
}

impl Presence {
    /// The clients of one `answer` after the other, by the application called `application`.
    pub fn new(application: Arc<str>, answer: Arc<Mutex<Answer>>) -> Arc<Presence> {
        let (is_over, has_watch) = (AtomicBool::new(true), AtomicBool::new(false));
        Arc::new(Presence { is_over, has_watch, line: Mutex::default(), answer, application })
    }

    /// An answer is due.
    pub fn begin(&self) {
        // Nobody can have asked for this answer's client yet.
        self.is_over.store(false, Release);
    }

    /// The answer is complete, or is as soon as the bytes at hand have left. Attached to the interpreter: callbacks
    /// are dropped here.
    pub fn end(&self) {
        drop(self.close());
    }

    /// The answer ends because its client has left: who wanted to know and was not told yet is told now.
    pub fn depart(&self) {
        let callbacks = self.close();
        if !callbacks.is_empty() {
            let callbacks = Mutex::new(callbacks);
            departures::tell(Arc::new(Leftover { callbacks, application: self.application.clone() }));
        }
    }

    /// Ends the callables' validity and the watch; answers with the callbacks that have not been called.
    fn close(&self) -> Vec<Py<PyAny>> {
        if !self.is_over.load(Relaxed) {
            self.is_over.store(true, SeqCst);
        }
        if !self.has_watch.load(SeqCst) {
            return Vec::new();
        }
        let mut line = lock(&self.line);
        self.has_watch.store(false, SeqCst);
        let watch = line.watch.take();
        let callbacks = std::mem::take(&mut line.callbacks);
        drop(line);
        if let Some((token, connection)) = watch {
            departures::forget(connection.upgrade().as_deref(), token);
        }
        callbacks
    }

    /// The connection, if callables of this `issue` are still valid.
    fn connection(&self, issue: u64) -> Option<Arc<Connection>> {
        let is_valid = !self.is_over.load(SeqCst) && lock(&self.line).issue == issue;
        if is_valid { lock(&self.answer).connection.upgrade() } else { None }
    }

    fn register(self: &Arc<Self>, issue: u64, callback: Py<PyAny>) -> PyResult<()> {
        let is_late = || PyRuntimeError::new_err("portico.on_disconnect was called after the answer was complete");
        let connection = self.connection(issue).ok_or_else(is_late)?;
        let mut line = lock(&self.line);
        if line.issue != issue {
            return Err(is_late());
        }
        let before = line.watch.as_ref().map(|(token, _)| *token);
        match departures::watch(&connection, before, self) {
            Ok(token) => {
                line.watch = Some((token, Arc::downgrade(&connection)));
                line.callbacks.push(callback);
                self.has_watch.store(true, SeqCst);
                drop(line);
                if self.is_over.load(SeqCst) {
                    // The answer ended meanwhile, perhaps before it could know of this.
                    self.end();
                    return Err(is_late());
                }
                Ok(())
            }
            Err(error) => {
                drop(line);
                Err(PyOSError::new_err(format!("portico.on_disconnect cannot watch the connection: {error}")))
            }
        }
    }

    /// The next callback of a watch, unless the answer has ended meanwhile.
    fn take_callback(&self, token: u64) -> Option<Py<PyAny>> {
        let mut line = lock(&self.line);
        let is_due = line.watch.as_ref().is_some_and(|(known, _)| *known == token) && !line.callbacks.is_empty();
        is_due.then(|| line.callbacks.remove(0))
    }
}

impl Witness for Presence {
    fn departed(&self, token: u64) {
        // Nothing is to be told any more where the interpreter is on its way out.
        let _ = Python::try_attach(|py| {
            // Each is taken only when it is called: the answer may end while one runs.
            while let Some(callback) = self.take_callback(token) {
                call(py, &callback, &self.application);
            }
        });
    }
}

/// Callbacks of an answer that has ended because its client had left.
struct Leftover {
    callbacks: Mutex<Vec<Py<PyAny>>>,
    application: Arc<str>,
}

impl Witness for Leftover {
    fn departed(&self, _token: u64) {
        let _ = Python::try_attach(|py| {
            let callbacks = std::mem::take(&mut *lock(&self.callbacks));
            for callback in callbacks {
                call(py, &callback, &self.application);
            }
        });
    }
}

fn call(py: Python<'_>, callback: &Py<PyAny>, application: &str) {
    if let Err(error) = callback.call0(py) {
        failure::log_callback_exception(py, application, &error);
    }
}

/// The two callables of one request, or of many, one after the other.
pub struct Callables {
    /// `portico.disconnected`.
    pub disconnected: Py<Disconnected>,
    /// `portico.on_disconnect`.
    pub on_disconnect: Py<OnDisconnect>,
}

impl Callables {
    /// Callables for `presence`, in place of all earlier ones.
    pub fn new(py: Python<'_>, presence: &Arc<Presence>) -> PyResult<Callables> {
        let mut line = lock(&presence.line);
        line.issue += 1;
        let issue = line.issue;
        drop(line);
        Ok(Callables {
            disconnected: Py::new(py, Disconnected { presence: presence.clone(), issue })?,
            on_disconnect: Py::new(py, OnDisconnect { presence: presence.clone(), issue })?,
        })
    }
}

/// `portico.disconnected`.
#[pyclass(frozen, module = "portico._core")]
pub struct Disconnected {
    presence: Arc<Presence>,
    issue: u64,
}

#[pymethods]
impl Disconnected {
    fn __call__(&self) -> bool {
        self.presence.connection(self.issue).is_some_and(|connection| connection.has_departed())
    }
}

/// `portico.on_disconnect`.
#[pyclass(frozen, module = "portico._core")]
pub struct OnDisconnect {
    presence: Arc<Presence>,
    issue: u64,
}

#[pymethods]
impl OnDisconnect {
    #[pyo3(signature = (callback, /))]
    fn __call__(&self, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        if !callback.is_callable() {
            let name = callback.get_type().name().map(|name| name.to_string()).unwrap_or_default();
            return Err(PyTypeError::new_err(format!("portico.on_disconnect: expected a callable, got {name}")));
        }
        self.presence.register(self.issue, callback.clone().unbind())
    }
}
