//! The worker's settings, taken over from Python once, as one object.
//!
//! A new setting of the engine is one field here, one attribute of `WorkerSettings` in
//! `process/worker.py` and one row of the settings table.

use pyo3::prelude::*;
use std::os::fd::RawFd;

/// What `portico._core.serve` receives; each field is the attribute of the same name.
#[derive(FromPyObject)]
pub struct Settings {
    /// Listening sockets, non-blocking, inherited from the supervisor.
    pub listener_fds: Vec<RawFd>,
    /// Read end of the pipe that `signal.set_wakeup_fd` fills: one signal number per byte.
    pub signal_fd: RawFd,
    /// Read end of a pipe whose write end only the supervisor holds: its end of file is the supervisor's death.
    pub lifeline_fd: RawFd,
    /// Most application calls at one time.
    pub threads: usize,
    /// Whether other workers serve the same application (`wsgi.multiprocess`).
    pub multiprocess: bool,
    /// Seconds that a graceful stop may take.
    pub graceful_timeout_s: f64,
    /// Seconds that an idle connection is kept open.
    pub keep_alive_s: f64,
    /// Largest request body in bytes; 0 is no limit.
    pub max_request_body_bytes: u64,
    /// Bytes of a request body kept in memory before a temporary file takes it.
    pub body_memory_bytes: u64,
    /// Bytes of a request body buffered before the call; a larger body is streamed to the application.
    pub body_spool_bytes: u64,
    /// Where access lines go; -1 is nowhere.
    pub access_log_fd: RawFd,
    /// Whether access lines carry terminal colours.
    pub access_log_colour: bool,
    /// `wsgi.errors`.
    pub errors: Py<PyAny>,
}
