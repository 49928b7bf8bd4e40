//! The worker's settings, taken over from Python once, as one object.
//!
//! A new setting of the engine is one field here, one attribute of `WorkerSettings` in
//! `process/worker.py` and one row of the settings table.

use pyo3::prelude::*;
use std::os::fd::RawFd;

/// A listening socket; each field is the attribute of the same name.
#[derive(FromPyObject)]
pub struct ListenerSettings {
    /// The socket, non-blocking, inherited from the supervisor.
    pub fd: RawFd,
    /// What is spoken there: `http`, `uwsgi`, `fastcgi` or `scgi`.
    pub protocol: String,
    /// Whether each connection begins with a PROXY protocol header.
    pub proxy: bool,
    /// Over uwsgi, whether a connection is kept where the end of an answer can be told.
    pub persistent: bool,
    /// Over FastCGI, whether `wsgi.errors` goes to the front server.
    pub stderr: bool,
    /// Peers that may connect: addresses, networks, `unix`, `*`.
    pub allow_from: Vec<String>,
    /// Peers that may send a PROXY protocol header.
    pub proxy_allow_from: Vec<String>,
    /// How a user would write it.
    pub display: String,
}

/// What `portico._core.serve` receives; each field is the attribute of the same name.
#[derive(FromPyObject)]
pub struct Settings {
    /// Where to accept connections.
    pub listeners: Vec<ListenerSettings>,
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
    /// Request line without its CRLF.
    pub max_request_line_bytes: usize,
    /// Field lines of a head.
    pub max_headers: usize,
    /// One field line without its CRLF.
    pub max_header_bytes: usize,
    /// A whole head.
    pub max_head_bytes: usize,
    /// Number of variables of a uwsgi, FastCGI or SCGI request.
    pub max_variables: usize,
    /// These variables with their lengths.
    pub max_variables_bytes: usize,
    /// Extensions of all chunks of a body.
    pub max_chunk_extension_bytes: usize,
    /// Trailer lines of a body.
    pub max_trailer_bytes: usize,
    /// Largest request body in bytes; 0 is no limit.
    pub max_request_body_bytes: u64,
    /// Requests in a row that do not wait for the answer before; 0 is no limit.
    pub max_pipelined: u64,
    /// Open connections.
    pub max_connections: usize,
    /// Open connections of one address; 0 is no limit.
    pub max_connections_per_address: usize,
    /// Requests on one connection; 0 is no limit.
    pub max_requests_per_connection: u64,
    /// Requests running or waiting.
    pub max_in_flight: usize,
    /// Bytes of a request body kept in memory before a temporary file takes it.
    pub body_memory_bytes: u64,
    /// Bytes of a request body buffered before the call; a larger body is streamed to the application.
    pub body_spool_bytes: u64,
    /// Bytes of an answer kept in memory for a slow reader.
    pub response_memory_bytes: u64,
    /// Bytes of an answer kept for a slow reader in memory and in a temporary file.
    pub response_spool_bytes: u64,
    /// Bytes of read buffers and bodies in memory, in all.
    pub max_buffered_bytes: u64,
    /// Bytes of temporary files, in all.
    pub max_temporary_bytes: u64,
    /// Seconds from accept to the first byte.
    pub handshake_timeout_s: f64,
    /// Seconds from a request's first byte to the end of its head.
    pub head_timeout_s: f64,
    /// Seconds that a request body may stall in all, besides what its rate earns it.
    pub body_timeout_s: f64,
    /// Bytes per second that a request body has to bring; 0 is no rule.
    pub min_body_rate_bytes: u64,
    /// Seconds from a request's first byte to its last; 0 is no limit.
    pub request_timeout_s: f64,
    /// Seconds that an idle connection is kept open.
    pub keep_alive_s: f64,
    /// Seconds that a client may take no byte of an answer.
    pub write_timeout_s: f64,
    /// Bytes per second that a client has to take; 0 is no rule.
    pub min_response_rate_bytes: u64,
    /// Seconds for which bytes after the last answer are thrown away.
    pub linger_timeout_s: f64,
    /// Seconds that a request may wait for a thread; 0 is no limit.
    pub queue_timeout_s: f64,
    /// Paths answered without the application.
    pub health_paths: Vec<String>,
    /// Front servers whose forwarded headers are believed: addresses, networks, `unix`, `*`.
    pub forwarded_allow_ips: Vec<String>,
    /// Whether forwarded headers of other peers stay in environ.
    pub keep_untrusted_forwarded: bool,
    /// Where access lines go; -1 is nowhere.
    pub access_log_fd: RawFd,
    /// Whether access lines carry terminal colours.
    pub access_log_colour: bool,
    /// `wsgi.errors`.
    pub errors: Py<PyAny>,
}
