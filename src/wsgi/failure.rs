//! Applications that fail: the error log gets who failed, where, and the traceback; nothing else
//! happens here.

use super::logged::Logged;
use crate::embedder::Embedder;
use crate::names::Names;
use crate::shown::{message, place, traceback, type_name};
use portico_engine::access_log::field::ROUTE;
use portico_engine::bounded::{self, MOST_NAME_BYTES};
use portico_engine::failed_requests::{FailedRequest, FailedRequests};
use portico_engine::log::{Failure, Level, is_json, is_queued, log, log_failure, log_request_failure, queue_failure};
use portico_engine::message::inbound::Inbound;
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::any::Any;

/// The application, and how log lines speak of it; each thread has one.
pub struct Served {
    /// What is called.
    pub callable: Py<PyAny>,
    /// Such as `shop.web:application`.
    pub name: String,
    /// What that names, without the middleware that is called.
    pub innermost: Py<PyAny>,
    /// Whether there is middleware around it.
    pub has_middleware: bool,
}

impl Served {
    /// One that calls `callable`, and speaks of it by these `names`.
    pub fn new(py: Python<'_>, callable: Py<PyAny>, names: Names) -> Served {
        let Names { application: name, innermost, has_middleware } = names;
        Served {
            name: if name.is_empty() { own_name(callable.bind(py)) } else { name },
            innermost: innermost.unwrap_or_else(|| callable.clone_ref(py)),
            has_middleware,
            callable,
        }
    }

    /// For one more thread.
    pub fn for_thread(&self, py: Python<'_>) -> Served {
        let Served { callable, name, innermost, has_middleware } = self;
        let (callable, innermost) = (callable.clone_ref(py), innermost.clone_ref(py));
        Served { callable, name: name.clone(), innermost, has_middleware: *has_middleware }
    }
}

/// Which application serves which request, as log lines name it.
#[derive(Clone, Copy)]
pub struct RequestLabel<'a> {
    /// Who has started the server.
    pub embedder: &'a Embedder,
    /// Who serves it.
    pub application: &'a Served,
    /// The request.
    pub inbound: &'a Inbound,
    /// What its environ says of it.
    pub logged: &'a Logged<'a>,
    /// What the supervisor is told of requests that have failed.
    pub failed: &'a FailedRequests,
}

impl RequestLabel<'_> {
    /// Logs `error`, which the application raised, with its traceback; unless Python has raised it there because of a
    /// signal that is meant for whoever has started the server.
    pub fn log_exception(&self, py: Python<'_>, error: &PyErr) {
        if error.is_instance_of::<PyKeyboardInterrupt>(py) && self.embedder.interrupt(py, error) {
            return;
        }
        self.log_failure(py, &format!("the application {self} failed"), error);
    }

    /// Logs where the application stood when RequestTimeout came, which `error` is or has come of.
    pub fn log_timeout(&self, py: Python<'_>, error: &PyErr) {
        self.log_failure(py, &format!("the application {self} was ended by RequestTimeout"), error);
    }

    fn log_failure(&self, py: Python<'_>, sentence: &str, error: &PyErr) {
        let value = error.value(py).as_any();
        let failed = FailedRequest {
            error_type: bounded::start(&type_name(value), MOST_NAME_BYTES),
            place: place(py, error),
            ..self.failed_request(py)
        };
        let is_text = !is_queued();
        let failure = Failure {
            application: &self.application.name,
            method: &failed.method,
            path: &failed.path,
            route: &failed.route,
            request_id: &failed.request_id,
            error_type: &failed.error_type,
            error_message: &if is_text && is_json() { bounded::ends(message(value)) } else { String::new() },
            stack_trace: &if is_text { traceback(py, error) } else { String::new() },
        };
        if is_text {
            log_request_failure(sentence, &failure);
        } else {
            queue_failure(sentence.to_owned(), &failure, raised(py, error));
        }
        self.logged.is_reported.set(true);
        self.failed.add(failed);
    }

    /// Has the supervisor know that the response had this status, unless it knows of an exception.
    #[cold]
    pub fn report_status(&self, py: Python<'_>, status: u16) {
        if !self.logged.is_reported.get() {
            self.failed.add(FailedRequest { status, ..self.failed_request(py) });
        }
    }

    fn failed_request(&self, py: Python<'_>) -> FailedRequest {
        let (bytes, head) = (self.inbound.bytes(), &self.inbound.head);
        let shown = |text: &[u8]| bounded::name(text, MOST_NAME_BYTES);
        FailedRequest {
            method: shown(head.method.of(bytes)),
            path: shown(head.path.of(bytes)),
            route: shown(&self.logged.value(py, ROUTE)),
            request_id: shown(&self.logged.request_id(py)),
            ..FailedRequest::default()
        }
    }

    /// Logs what the application did against PEP 3333 without raising.
    pub fn log_violation(&self, what: &str) {
        log(Level::Error, &format!("the application {self}: {what}"));
    }
}

impl std::fmt::Display for RequestLabel<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RequestLabel { application, inbound, .. } = self;
        let (application, bytes, head) = (&application.name, inbound.bytes(), &inbound.head);
        // The path is below the mount, as it was sent.
        let [method, path] = [head.method, head.path].map(|part| bounded::name(part.of(bytes), MOST_NAME_BYTES));
        write!(formatter, "{application} at {method} {path}")
    }
}

/// The error of an application that gives something else than bytes, at this place of its code.
pub fn not_bytes(what: &str, got: &Bound<'_, PyAny>, place: Option<String>) -> PyErr {
    let name = type_name(got);
    let encode = if got.is_instance_of::<PyString>() { "; encode it, as in text.encode('utf-8')" } else { "" };
    let place = place.map_or_else(String::new, |place| format!("; it comes from {place}"));
    PyTypeError::new_err(format!("{what}: expected bytes, got {name}{encode}{place}"))
}

/// Logs `error`, which a signal handler raised where no call could get it.
pub fn log_handler_exception(py: Python<'_>, error: &PyErr) {
    log_exception(py, "a signal handler of the application failed", error);
}

/// Logs `error`, such as SystemExit, which a task, greenlet or signal handler raised where no call could get it.
pub fn log_exit(py: Python<'_>, error: &PyErr) {
    log_exception(py, "what the application runs beside its calls has failed; its worker goes on", error);
}

/// Logs `error`, which a callback of portico.on_disconnect raised, with its traceback.
pub fn log_callback_exception(py: Python<'_>, application: &str, error: &PyErr) {
    log_exception(py, &format!("a portico.on_disconnect callback of the application {application} failed"), error);
}

/// Logs `error` outside of a call.
fn log_exception(py: Python<'_>, sentence: &str, error: &PyErr) {
    if is_queued() {
        return queue_failure(sentence.to_owned(), &Failure::default(), raised(py, error));
    }
    log_failure(&format!("{sentence}\n{}", traceback(py, error)));
}

/// `error`, for the record of the logging of Python.
fn raised(py: Python<'_>, error: &PyErr) -> Box<dyn Any + Send> {
    Box::new(error.clone_ref(py).into_value(py).into_any())
}

/// The name that an application has itself, or its type, after its module's.
fn own_name(application: &Bound<'_, PyAny>) -> String {
    let named = |object: &Bound<'_, PyAny>| -> PyResult<String> {
        let part = |name| object.getattr(name)?.extract::<String>();
        Ok(format!("{}:{}", part("__module__")?, part("__qualname__")?))
    };
    named(application).or_else(|_| named(application.get_type().as_any())).unwrap_or_else(|_| "of unknown name".into())
}

/// Whether `error` is RequestTimeout, or was raised while that was handled.
pub fn is_timeout(py: Python<'_>, error: &PyErr) -> bool {
    /// Exceptions during exceptions are followed so far.
    const DEPTH: usize = 16;
    let Ok(timeout) = py.import("portico.deadlines").and_then(|deadlines| deadlines.getattr("RequestTimeout")) else {
        return false;
    };
    let mut next = Some(error.value(py).clone().into_any());
    for _ in 0..DEPTH {
        let Some(error) = next.filter(|error| !error.is_none()) else { return false };
        if error.is_instance(&timeout).unwrap_or(false) {
            return true;
        }
        next = error.getattr("__context__").ok();
    }
    false
}
