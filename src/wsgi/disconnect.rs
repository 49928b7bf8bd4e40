//! `portico.disconnected` and `portico.on_disconnect`: how an application learns that its client has left.
//!
//! Both callables are used again from request to request, as `start_response` is, and know their request by the
//! client that they share with the response. Callbacks run on the thread of the engine's disconnect watcher, which is
//! attached to the interpreter only for them, or in tasks of a loop that runs while the application waits. None begins
//! once the response's last bytes are about to leave: a client that has all it wanted goes away as a matter of course.

use super::failure;
use super::forked::end_child;
use super::parking::{Aside, Waits};
use super::pending::PendingResponse;
use crate::shown::type_name;
use portico_engine::connection::Connection;
use portico_engine::disconnect::DisconnectListener;
use portico_engine::lock::lock;
use portico_engine::resources::Resources;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

/// The client of one response, while that is not complete.
pub struct ClientListener {
    /// Whether the response is complete, or about to be. Its end writes it before it reads `has_watch`, `register` reads
    /// it after it has written that: one side always sees the other. So either nothing is watched, or the end waits
    /// for the lock that `register` holds, and forgets the watch before the connection's next response begins.
    is_over: AtomicBool,
    /// Spares the usual response, of which nobody wanted to know, the lock.
    has_watch: AtomicBool,
    registrations: Mutex<Registrations>,
    /// Knows the connection, as long as a response is due.
    response: Arc<Mutex<PendingResponse>>,
    application: Arc<str>,
    /// Says where callbacks are called.
    waits: Waits,
}

#[derive(Default)]
struct Registrations {
    /// Which callables are valid; older ones were kept by an application beyond their request.
    generation: u64,
    /// The watch for `callbacks`, once there has been one.
    watch: Option<Watch>,
    callbacks: Vec<Py<PyAny>>,
}

/// A watch of the disconnect watcher.
struct Watch {
    token: u64,
    /// Weak, so that no connection stays open for the sake of this.
    connection: Weak<Connection>,
    /// Those of the server, whose watcher it is.
    resources: Arc<Resources>,
}

impl ClientListener {
    /// The clients of one `response` after the other, by the application called `application`.
    pub fn new(application: Arc<str>, response: Arc<Mutex<PendingResponse>>, waits: Waits) -> Arc<ClientListener> {
        let (is_over, has_watch) = (AtomicBool::new(true), AtomicBool::new(false));
        Arc::new(ClientListener { is_over, has_watch, registrations: Mutex::default(), response, application, waits })
    }

    /// The name of the application.
    pub fn application(&self) -> &str {
        &self.application
    }

    /// A response is due.
    pub fn begin(&self) {
        // Nobody can have asked for this response's client yet.
        self.is_over.store(false, Release);
    }

    /// The response is complete, or is as soon as the bytes at hand have left. Attached to the interpreter: callbacks
    /// are dropped here.
    pub fn end(&self) {
        drop(self.close());
    }

    /// The response ends because its client has left: the callbacks that have not been called yet are called now.
    pub fn leave(&self) {
        if let Some((callbacks, resources)) = self.close()
            && !callbacks.is_empty()
        {
            let (callbacks, application, waits) = (Mutex::new(callbacks), self.application.clone(), self.waits.clone());
            resources.disconnects.tell(Arc::new(LateCallbacks { callbacks, application, waits }));
        }
    }

    /// Ends the callables' validity and the watch; returns the callbacks that have not been called, if any were
    /// registered.
    fn close(&self) -> Option<(Vec<Py<PyAny>>, Arc<Resources>)> {
        if !self.is_over.load(Relaxed) {
            self.is_over.store(true, SeqCst);
        }
        if !self.has_watch.load(SeqCst) {
            return None;
        }
        let mut registrations = lock(&self.registrations);
        self.has_watch.store(false, SeqCst);
        let watch = registrations.watch.take();
        let callbacks = std::mem::take(&mut registrations.callbacks);
        drop(registrations);
        let Watch { token, connection, resources } = watch?;
        let connection = connection.upgrade();
        resources.disconnects.forget(connection.as_deref().map(|connection| &connection.socket), token);
        Some((callbacks, resources))
    }

    /// The connection, if callables of this `generation` are still valid.
    fn connection(&self, generation: u64) -> Option<Arc<Connection>> {
        let is_valid = !self.is_over.load(SeqCst) && lock(&self.registrations).generation == generation;
        if is_valid { lock(&self.response).connection.upgrade() } else { None }
    }

    fn register(self: &Arc<Self>, generation: u64, callback: Py<PyAny>) -> PyResult<()> {
        let mut registrations = lock(&self.registrations);
        self.has_watch.store(true, SeqCst);
        let is_valid = !self.is_over.load(SeqCst) && registrations.generation == generation;
        let connection = if is_valid { lock(&self.response).connection.upgrade() } else { None };
        let registered = match connection {
            Some(connection) => self.watch(&mut registrations, &connection, callback),
            None => Err(PyRuntimeError::new_err("portico.on_disconnect was called after the response was complete")),
        };
        self.has_watch.store(registrations.watch.is_some(), SeqCst);
        registered
    }

    fn watch(
        self: &Arc<Self>,
        registrations: &mut Registrations,
        connection: &Arc<Connection>,
        callback: Py<PyAny>,
    ) -> PyResult<()> {
        let resources = connection.resources.clone();
        let before = registrations.watch.as_ref().map(|watch| watch.token);
        let token = resources.disconnects.watch(&connection.socket, before, self).map_err(|error| {
            PyOSError::new_err(format!("portico.on_disconnect cannot watch the connection: {error}"))
        })?;
        registrations.watch = Some(Watch { token, connection: Arc::downgrade(connection), resources });
        registrations.callbacks.push(callback);
        Ok(())
    }

    /// The next callback of a watch, unless the response has ended meanwhile.
    fn take_callback(&self, token: u64) -> Option<Py<PyAny>> {
        let mut registrations = lock(&self.registrations);
        let is_due = registrations.watch.as_ref().is_some_and(|watch| watch.token == token)
            && !registrations.callbacks.is_empty();
        is_due.then(|| registrations.callbacks.remove(0))
    }
}

impl DisconnectListener for ClientListener {
    fn on_disconnect(self: Arc<Self>, token: u64) {
        let waits = self.waits.clone();
        waits.do_aside(DueCallbacks { client: self, token });
    }
}

/// The callbacks of a watch.
struct DueCallbacks {
    client: Arc<ClientListener>,
    token: u64,
}

impl Aside for DueCallbacks {
    fn run(&self, py: Python<'_>) {
        // Each is taken only when it is called: the response may end while one runs.
        while let Some(callback) = self.client.take_callback(self.token) {
            call(py, &callback, &self.client.application);
        }
    }
}

/// Callbacks of a response that has ended because its client had left.
struct LateCallbacks {
    callbacks: Mutex<Vec<Py<PyAny>>>,
    application: Arc<str>,
    waits: Waits,
}

impl DisconnectListener for LateCallbacks {
    fn on_disconnect(self: Arc<Self>, _token: u64) {
        let waits = self.waits.clone();
        waits.do_aside(self);
    }
}

impl Aside for Arc<LateCallbacks> {
    fn run(&self, py: Python<'_>) {
        let callbacks = std::mem::take(&mut *lock(&self.callbacks));
        for callback in callbacks {
            call(py, &callback, &self.application);
        }
    }
}

fn call(py: Python<'_>, callback: &Py<PyAny>, application: &str) {
    let called = callback.call0(py);
    end_child(py, &application, called.as_ref().err());
    if let Err(error) = called {
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
    /// References to the same.
    pub fn clone_ref(&self, py: Python<'_>) -> Callables {
        Callables { disconnected: self.disconnected.clone_ref(py), on_disconnect: self.on_disconnect.clone_ref(py) }
    }

    /// Callables for `client`, in place of all earlier ones.
    pub fn new(py: Python<'_>, client: &Arc<ClientListener>) -> PyResult<Callables> {
        let mut registrations = lock(&client.registrations);
        registrations.generation += 1;
        let generation = registrations.generation;
        drop(registrations);
        Ok(Callables {
            disconnected: Py::new(py, Disconnected { client: client.clone(), generation })?,
            on_disconnect: Py::new(py, OnDisconnect { client: client.clone(), generation })?,
        })
    }
}

/// `portico.disconnected`.
#[pyclass(frozen, module = "portico._core")]
pub struct Disconnected {
    client: Arc<ClientListener>,
    generation: u64,
}

#[pymethods]
impl Disconnected {
    fn __call__(&self) -> bool {
        self.client.connection(self.generation).is_some_and(|connection| connection.socket.has_disconnected())
    }
}

/// `portico.on_disconnect`.
#[pyclass(frozen, module = "portico._core")]
pub struct OnDisconnect {
    client: Arc<ClientListener>,
    generation: u64,
}

#[pymethods]
impl OnDisconnect {
    #[pyo3(signature = (callback, /))]
    fn __call__(&self, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        if !callback.is_callable() {
            let name = type_name(callback);
            return Err(PyTypeError::new_err(format!("portico.on_disconnect: expected a callable, got {name}")));
        }
        self.client.register(self.generation, callback.clone().unbind())
    }
}
