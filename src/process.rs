//! What only the process knows, beside the settings: descriptors, and what PEP 3333 asks of it.

use crate::embedder::Embedder;
use crate::names::Names;
use crate::routing::{Other, RoutingAttributes};
use crate::wakeup::Wakeup;
use portico_engine::descriptor;
use portico_engine::engine;
use portico_engine::listener::{BoundListener, Options};
use portico_engine::message::spoken::Protocol;
use portico_engine::orders::OrderDescriptors;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use std::io;
use std::os::fd::{OwnedFd, RawFd};

/// A socket to serve; each field is the attribute of the same name (`portico.types.EngineListener`).
#[derive(FromPyObject)]
#[expect(clippy::struct_excessive_bools, reason = "each is an attribute of the object that Python hands over")]
struct ListenerAttributes {
    fd: RawFd,
    protocol: String,
    proxy: bool,
    persistent: bool,
    stderr: bool,
    display: String,
    is_connection: bool,
}

/// What `portico._core.serve` is told of the process; each field is the attribute of the same name
/// (`portico.types.EngineProcess`).
#[derive(FromPyObject)]
#[expect(clippy::struct_excessive_bools, reason = "each is an attribute of the object that Python hands over")]
struct ProcessAttributes {
    listeners: Vec<ListenerAttributes>,
    signal_fd: RawFd,
    wakeup_fd: RawFd,
    wakeup_read_fd: RawFd,
    supervisor_fd: RawFd,
    ready_frame: Vec<u8>,
    access_log_fd: RawFd,
    access_log_colour: bool,
    spans_fd: RawFd,
    gate_fd: RawFd,
    multiprocess: bool,
    errors: Py<PyAny>,
    has_metrics: bool,
    application_name: String,
    innermost: Option<Py<PyAny>>,
    has_middleware: bool,
    on_interrupt: Option<Py<PyAny>>,
    on_response: Option<Py<PyAny>>,
    event_loop: Option<Py<PyAny>>,
    routing: Option<RoutingAttributes>,
}

/// The process of one server.
pub struct Process {
    /// The engine's part.
    pub engine: engine::Descriptors,
    /// Where the interpreter writes signals; none where that is nobody's business.
    pub wakeup: Option<Wakeup>,
    /// Whether other workers serve the same application (`wsgi.multiprocess`).
    pub multiprocess: bool,
    /// `wsgi.errors`.
    pub errors: Py<PyAny>,
    /// What the error log says of the application.
    pub names: Names,
    /// The applications beside the first.
    pub others: Vec<Other>,
    /// Who has started the server.
    pub embedder: Embedder,
    /// What all calls are tasks of (`portico.event_loops`), where they are not on threads.
    pub event_loop: Option<Py<PyAny>>,
}

impl Process {
    /// Reads what Python tells. The listening sockets are taken over; the other descriptors stay the caller's.
    pub fn read(process: &Bound<'_, PyAny>) -> PyResult<Process> {
        let attributes: ProcessAttributes = process.extract()?;
        let listeners = attributes.listeners.into_iter().map(listener).collect::<PyResult<_>>()?;
        let access_log = optional(attributes.access_log_fd, "access_log_fd")?;
        let mut applications = vec![attributes.application_name.clone()];
        let (routing, others) = attributes.routing.map(RoutingAttributes::read).transpose()?.unzip();
        let others: Vec<Other> = others.unwrap_or_default();
        applications.extend(others.iter().map(|other| other.names.application.clone()));
        Ok(Process {
            engine: engine::Descriptors {
                listeners,
                orders: OrderDescriptors {
                    signals: optional(attributes.signal_fd, "signal_fd")?,
                    wakeups: optional(attributes.wakeup_read_fd, "wakeup_read_fd")?,
                    supervisor: optional(attributes.supervisor_fd, "supervisor_fd")?,
                    ready: attributes.ready_frame,
                },
                applications,
                has_metrics: attributes.has_metrics,
                access_log: access_log.map(|fd| (fd, attributes.access_log_colour)),
                spans: optional(attributes.spans_fd, "spans_fd")?,
                gate: optional(attributes.gate_fd, "gate_fd")?,
                routing,
            },
            wakeup: (attributes.wakeup_fd >= 0).then_some(Wakeup(attributes.wakeup_fd)),
            multiprocess: attributes.multiprocess,
            errors: attributes.errors,
            names: Names {
                application: attributes.application_name,
                innermost: attributes.innermost,
                has_middleware: attributes.has_middleware,
            },
            others,
            embedder: Embedder::new(attributes.on_interrupt, attributes.on_response),
            event_loop: attributes.event_loop,
        })
    }
}

fn listener(attributes: ListenerAttributes) -> PyResult<BoundListener> {
    let ListenerAttributes { fd, protocol, proxy, persistent, stderr, display, is_connection } = attributes;
    let protocol = Protocol::named(&protocol).ok_or_else(|| {
        PyValueError::new_err(format!("{display}: expected http, uwsgi, fastcgi or scgi, got {protocol}"))
    })?;
    let socket = descriptor::adopt(fd).map_err(|error| not_a_descriptor(&display, fd, &error))?;
    Ok(BoundListener { socket, protocol, options: Options { proxy, persistent, stderr }, display, is_connection })
}

/// A descriptor for what `fd` is; none where that is negative.
fn optional(fd: RawFd, name: &str) -> PyResult<Option<OwnedFd>> {
    if fd < 0 {
        return Ok(None);
    }
    descriptor::duplicate(fd).map(Some).map_err(|error| not_a_descriptor(name, fd, &error))
}

fn not_a_descriptor(what: &str, fd: RawFd, error: &io::Error) -> PyErr {
    PyOSError::new_err(format!("{what}: expected an open descriptor, got {fd}: {error}"))
}
