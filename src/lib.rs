//! portico._core: the bridge between Python and the engine (crates/engine), and nothing else.
//!
//! `settings` and `process` are what Python tells of a server, `routing` and `upstreams` the table of routes in it, `fork`
//! makes workers that are not children of their maker, `metrics` is what `portico.metrics` counts in, `embedder` is who has started it, `wakeup` how it hears of signals,
//! `privileges` what it gives up, `shown` objects as text, `wsgi` calls the application, `wire` is the sans-I/O API of
//! `portico.wire`, and this file is what Python sees, mirrored in `python/portico/_core.pyi`.

mod embedder;
mod fork;
mod metrics;
mod names;
mod os_error;
mod privileges;
mod process;
mod routing;
mod settings;
mod shown;
mod upstreams;
mod wakeup;
mod wire;
mod wsgi;

use crate::os_error::OsError;
use crate::settings::Attributes;
use portico_engine::access_log::AccessLog;
use portico_engine::access_log::destination::Destination;
use portico_engine::access_log::header_names::HeaderNames;
use portico_engine::access_log::record::{AccessRecord, ServedBy};
use portico_engine::access_log::request_line::RequestLine;
use portico_engine::access_log::style::Style;
use portico_engine::durations::{BOUNDS_NS, Counted, Counter, Labels};
use portico_engine::exchange::account::count_unfinished;
use portico_engine::log::queue::Next;
use portico_engine::os_error::without_number;
use portico_engine::settings::Settings;
use portico_engine::spans::Spans;
use portico_engine::upstream::address::Place;
use portico_engine::{
    datagram, descriptor, fork as forks, log as error_log, orders, orphan, process_title, scoreboard, spare_memory,
};
use pyo3::exceptions::{PyIndexError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::io::IsTerminal as _;
use std::os::fd::{AsFd as _, AsRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long the supervisor waits for who reads the access log: less than would hold up anything else that it does.
const LOG_PATIENCE: Duration = Duration::from_millis(20);

/// What durations are of.
const REQUEST: &str = "request";
const PARTS_OF_REQUEST: &str = "parts";
const QUEUE: &str = "queue";
const INTERPRETER: &str = "interpreter";

/// Counters of all workers in one shared mapping; made before the first fork.
#[pyclass(frozen)]
struct Scoreboard(Arc<scoreboard::Mapping>);

/// What one worker tells of itself.
#[pyclass(frozen, get_all)]
struct WorkerStatus {
    requests: u64,
    connections: u64,
    connections_total: u64,
    bytes_sent: u64,
    errors: u64,
    active_requests: u64,
    calls: Vec<Py<RunningCall>>,
    waiting_s: f64,
}

/// One call in the application right now.
#[pyclass(frozen, get_all)]
struct RunningCall {
    elapsed_s: f64,
    silent_s: f64,
    what: String,
    cell: usize,
    started_ns: u64,
    allowed_s: f64,
    thread_id: u64,
    is_settled: bool,
    is_web_socket: bool,
}

#[pymethods]
impl Scoreboard {
    #[new]
    fn new(slots: usize) -> PyResult<Self> {
        let mapping = scoreboard::Mapping::new(slots)
            .map_err(|error| PyOSError::new_err(format!("cannot map the scoreboard: {error}")))?;
        Ok(Scoreboard(mapping))
    }

    /// What the supervisor before this one had, by its `descriptors`.
    #[staticmethod]
    fn taken_over(memory_fd: RawFd, left_connections_fd: RawFd) -> PyResult<Self> {
        let adopt = |fd| descriptor::adopt(fd).map_err(OsError);
        let (memory, left_connections) = (adopt(memory_fd)?, adopt(left_connections_fd)?);
        let mapping = scoreboard::Mapping::taken_over(memory, left_connections)
            .map_err(|error| PyOSError::new_err(format!("cannot take over the scoreboard: {error}")))?;
        Ok(Scoreboard(mapping))
    }

    fn descriptors(&self) -> Option<(RawFd, RawFd)> {
        self.0.descriptors().map(|(memory, left_connections)| (memory.as_raw_fd(), left_connections.as_raw_fd()))
    }

    #[getter]
    fn slots(&self) -> usize {
        self.0.slots()
    }

    fn reset(&self, slot: usize) -> PyResult<()> {
        self.slot(slot)?.reset();
        Ok(())
    }

    fn read(&self, py: Python<'_>, slot: usize) -> PyResult<WorkerStatus> {
        let slot = self.slot(slot)?;
        let calls = slot.calls().into_iter().map(|call| {
            let scoreboard::RunningCall { elapsed_s, silent_s, what, cell, started_ns, .. } = call;
            let (allowed_s, thread_id) = (call.allowed_s, call.thread_id);
            let (is_settled, is_web_socket) = (call.is_settled, call.is_web_socket);
            let shown = RunningCall {
                elapsed_s,
                silent_s,
                what,
                cell,
                started_ns,
                allowed_s,
                thread_id,
                is_settled,
                is_web_socket,
            };
            Py::new(py, shown)
        });
        Ok(WorkerStatus {
            requests: slot.requests.load(Relaxed),
            connections: slot.connections.load(Relaxed),
            connections_total: slot.connections_total.load(Relaxed),
            bytes_sent: slot.bytes_sent.load(Relaxed),
            errors: slot.errors.load(Relaxed),
            active_requests: slot.active_requests.load(Relaxed),
            calls: calls.collect::<PyResult<_>>()?,
            waiting_s: slot.waiting_s(),
        })
    }

    /// What is counted of durations, by what they are of.
    fn durations(&self, py: Python<'_>, slot: usize) -> PyResult<Vec<(Py<PyTuple>, Vec<u64>)>> {
        let slot = self.slot(slot)?;
        let Some(durations) = slot.durations() else { return Ok(Vec::new()) };
        let row = |key: &[&str], counted: &Counted| {
            let figures = [&counted.counts[..], &[counted.sum_ns]].concat();
            Ok((PyTuple::new(py, key)?.unbind(), figures))
        };
        let requests = durations.series().into_iter().flat_map(|(labels, counted)| {
            let Labels { application, method, route, status_class } = &labels;
            let key = |what| -> [&str; 5] { [what, application, method, route, status_class] };
            let parts = PyTuple::new(py, key(PARTS_OF_REQUEST)).map(|key| (key.unbind(), counted.parts_ns.to_vec()));
            [row(&key(REQUEST), &counted), parts]
        });
        let waits = [(QUEUE, durations.queue()), (INTERPRETER, durations.interpreter())];
        waits.into_iter().map(|(what, counted)| row(&[what], &counted)).chain(requests).collect()
    }

    /// Has the application of this process count its metrics here, as the worker of `slot`, or as a template.
    fn use_for_metrics(&self, slot: Option<usize>) -> PyResult<()> {
        if let Some(slot) = slot {
            self.slot(slot)?;
        }
        metrics::use_for_metrics(&self.0, slot);
        Ok(())
    }

    fn metrics(&self) -> Vec<metrics::MetricRow> {
        metrics::rows(&self.0)
    }

    fn gauges(&self) -> Vec<(usize, usize, f64)> {
        metrics::gauges(&self.0)
    }

    fn latest_calls(&self, slot: usize, within_s: f64) -> PyResult<Vec<String>> {
        let within = Duration::try_from_secs_f64(within_s).unwrap_or(Duration::MAX);
        Ok(self.slot(slot)?.latest_calls(within))
    }

    fn has_unwritten(&self, slot: usize) -> PyResult<bool> {
        let slot = self.slot(slot)?;
        Ok(!slot.unwritten.is_empty() || !slot.all_unfinished().is_empty())
    }

    /// Counts the calls that the worker of `slot` has left: it has ended.
    fn count_unfinished(&self, slot: usize) -> PyResult<()> {
        let slot = self.slot(slot)?;
        for (_, call) in slot.all_unfinished() {
            count_unfinished(&call, &slot, &mut Counter::default());
        }
        Ok(())
    }

    fn log_unfinished(
        &self,
        worker: (usize, u32),
        fds: (RawFd, RawFd),
        colour: bool,
        settings: &Bound<'_, PyAny>,
        cause: &str,
        causes: HashMap<usize, String>,
    ) -> PyResult<()> {
        let ((index, process), (fd, spans_fd)) = (worker, fds);
        let slot = self.slot(index)?;
        let access_log = if fd < 0 {
            None
        } else {
            let file = descriptor::duplicate(fd).map_err(OsError)?;
            let style = style(settings, file.is_terminal())?;
            // A metric that is not there any more is a dash.
            let _ = style.read_metrics_for(&slot);
            let access_log = AccessLog::new(&file, colour, style, None).map_err(OsError)?;
            access_log.add_lines(&slot.unwritten.lines(file.as_fd()));
            Some(access_log)
        };
        let spans = if spans_fd < 0 {
            None
        } else {
            let settings = Settings::read(&Attributes(settings))?;
            let file = descriptor::duplicate(spans_fd).map_err(OsError)?;
            Some(Spans::new(file, &settings, Vec::new()).map_err(OsError)?)
        };
        for (cell, call) in slot.all_unfinished() {
            let record = AccessRecord {
                client: call.client,
                request_line: RequestLine::of(&call.request_line),
                request: None,
                header_names: HeaderNames::default(),
                status: 0,
                body_bytes: 0,
                duration_ns: call.duration_ns,
                ended_ns: None,
                call: Some(call.times),
                said: None,
                trace: call.trace.as_ref(),
                served_by: ServedBy { worker: slot.number(), process, thread: Some(cell), application: "" },
                cause: Some(causes.get(&cell).map_or(cause, String::as_str)),
            };
            if let Some(access_log) = &access_log {
                access_log.add(&record);
            }
            if let Some(spans) = &spans {
                spans.end(&record);
            }
        }
        if let Some(access_log) = access_log {
            access_log.end(Instant::now() + LOG_PATIENCE);
        }
        Ok(())
    }
}

impl Scoreboard {
    fn slot(&self, index: usize) -> PyResult<scoreboard::SlotRef> {
        let slots = self.0.slots();
        scoreboard::SlotRef::new(&self.0, index)
            .ok_or_else(|| PyIndexError::new_err(format!("slot {index} of a scoreboard with {slots} slots")))
    }
}

/// Writes one entry to the error log.
#[pyfunction]
fn log(level: &str, message: &str) -> PyResult<()> {
    error_log::log(level_named(level)?, message);
    Ok(())
}

/// Writes whole lines of the application's own to the error log, as they are.
#[pyfunction]
fn log_lines(text: &str) {
    error_log::write_lines(text);
}

/// Writes what the error log has kept while nobody read it, waiting at most `patience_s` seconds for that; true if that
/// was all.
#[pyfunction]
fn flush_log(py: Python<'_>, patience_s: f64) -> bool {
    error_log::is_done()
        || (patience_s > 0.0 && py.detach(|| error_log::flush_within(Duration::from_secs_f64(patience_s))))
}

/// From now on records of the error log are lines of JSON in a pipe, in this process and in those that it forks: where
/// to read them.
#[pyfunction]
fn pipe_log() -> Result<RawFd, OsError> {
    Ok(error_log::write_to_pipe()?.into_raw_fd())
}

/// From now on records of the error log go to standard error again.
#[pyfunction]
fn unpipe_log() {
    error_log::write_to_standard_error();
}

/// Writes a line that is no record into that pipe.
#[pyfunction]
fn order_log(line: &str) {
    error_log::write_to_reader(line);
}

/// Writes one entry to standard error, wherever records go.
#[pyfunction]
fn log_plainly(level: &str, message: &str) -> PyResult<()> {
    error_log::log_plainly(level_named(level)?, message);
    Ok(())
}

/// From now on records of this process wait for `next_record`.
#[pyfunction]
fn queue_log() {
    error_log::queue::begin();
}

/// They no longer do; those that wait are still to be taken out.
#[pyfunction]
fn unqueue_log() {
    error_log::queue::end();
}

/// A record: level, time in seconds, sentence, fields, and what was raised.
type RecordParts = (&'static str, f64, String, HashMap<&'static str, String>, Option<Py<PyAny>>);

/// Waits for the next record; none at the end. One of the level `reopen` is none: files are to be opened anew.
#[pyfunction]
fn next_record(py: Python<'_>) -> Option<RecordParts> {
    match py.detach(error_log::queue::next) {
        Next::End => None,
        Next::Reopen => Some(("reopen", 0.0, String::new(), HashMap::new(), None)),
        Next::Handle(record) => {
            let error = record.error.and_then(|error| error.downcast::<Py<PyAny>>().ok()).map(|error| *error);
            #[expect(clippy::cast_precision_loss, reason = "a fraction of a microsecond")]
            let created_s = record.created_ns as f64 / 1e9;
            Some((record.level.name(), created_s, record.message, record.fields.into_iter().collect(), error))
        }
    }
}

/// What `settings` say of access lines, for a terminal or something else.
fn style(settings: &Bound<'_, PyAny>, is_terminal: bool) -> PyResult<Style> {
    let settings = Settings::read(&Attributes(settings))?;
    Style::read(&settings, is_terminal).map_err(PyValueError::new_err)
}

/// A socket for the access log, where that goes to a log daemon, and why it cannot be reached at the moment.
#[pyfunction]
fn open_log_socket(access_log: &str) -> PyResult<(RawFd, Option<String>)> {
    let (socket, why) = Destination::read(access_log).map_err(PyValueError::new_err)?.open().map_err(OsError)?;
    Ok((socket.into_raw_fd(), why.map(|why| without_number(&why.to_string()).into_owned())))
}

/// Raises `ValueError` if what `settings` say of access lines is wrong; with a slot of a scoreboard, also if the application
/// has not the metrics that they are to have.
#[pyfunction]
#[pyo3(signature = (settings, scoreboard=None, slot=0))]
fn check_access_log(
    settings: &Bound<'_, PyAny>,
    scoreboard: Option<PyRef<'_, Scoreboard>>,
    slot: usize,
) -> PyResult<()> {
    let style = style(settings, false)?;
    match scoreboard {
        Some(scoreboard) => style.read_metrics_for(&scoreboard.slot(slot)?).map_err(PyValueError::new_err),
        None => Ok(()),
    }
}

/// Sets the least level that the error log takes, and whether it is coloured, or JSON.
#[pyfunction]
#[pyo3(signature = (level, colour, json = false))]
fn configure_log(level: &str, colour: bool, json: bool) -> PyResult<()> {
    error_log::configure(level_named(level)?, colour, json);
    Ok(())
}

fn level_named(name: &str) -> PyResult<error_log::Level> {
    error_log::Level::named(name).ok_or_else(|| {
        PyValueError::new_err(format!("level: expected trace, debug, info, warning, error or critical, got {name:?}"))
    })
}

/// Gives memory that a start has needed back to the system.
#[pyfunction]
fn give_back_memory() {
    spare_memory::give_back();
}

/// Calls this process `title` in lists of processes, and `name` where there is room for less.
#[pyfunction]
fn name_process(name: &str, title: OsString) {
    process_title::set(name, &title);
}

/// The supervisor's and the worker's end of a connection between them.
#[pyfunction]
fn socket_pair() -> Result<(RawFd, RawFd), OsError> {
    let (supervisor, worker) = orders::socket_pair()?;
    Ok((supervisor.into_raw_fd(), worker.into_raw_fd()))
}

/// Bytes, and the descriptors that have come along.
type Received = (Vec<u8>, Vec<RawFd>);

/// What has come through the Unix socket `fd`, and the descriptors that came along; none if nothing has come yet, or
/// nothing will.
#[pyfunction]
fn receive_descriptors(fd: RawFd) -> Result<Option<Received>, OsError> {
    let mut bytes = vec![0; 65536];
    match orders::receive(fd, &mut bytes) {
        Ok((0, _)) => Ok(None),
        Ok((count, descriptors)) => {
            bytes.truncate(count);
            Ok(Some((bytes, descriptors.into_iter().map(OwnedFd::into_raw_fd).collect())))
        }
        // The second is an end, too: of one who has not read all that it was sent.
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionReset) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sends one datagram to a Unix socket, and descriptors with it; waits for nobody.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "what Python hands over")]
fn send_datagram(address: &[u8], data: &[u8], fds: Vec<RawFd>) -> Result<(), OsError> {
    Ok(datagram::send(address, data, &fds)?)
}

/// Sends `data` in one piece through the Unix socket `fd`, and the descriptors `fds` along with it.
#[pyfunction]
fn send_descriptors(fd: RawFd, data: &[u8], fds: Vec<RawFd>) -> Result<usize, OsError> {
    Ok(orders::send_with(fd, data, &fds)?)
}

/// How many connections to the listening socket `fd` nobody has accepted yet; none if it is not one of TCP.
#[pyfunction]
fn unaccepted_connections(fd: RawFd) -> Result<Option<u32>, OsError> {
    Ok(descriptor::lend(fd, descriptor::unaccepted)?)
}

/// The next connection to the listening Unix socket `fd`, and the user id of who has connected; none if nobody has.
#[pyfunction]
fn accept_connection(fd: RawFd) -> Result<Option<(RawFd, u32)>, OsError> {
    Ok(orders::accept(fd)?.map(|(connection, user)| (connection.into_raw_fd(), user)))
}

/// The member of an upstream that `text` means, as it is shown, and whether it is a name, whose addresses are the members.
#[pyfunction]
fn read_member(text: &str) -> PyResult<(String, bool)> {
    let place = Place::read(text).map_err(PyValueError::new_err)?;
    Ok((place.to_string(), !matches!(place, Place::Fixed(_))))
}

/// Reads the files that `tls` names (`portico.types.EngineTls`), as a worker will.
#[pyfunction]
fn check_tls(tls: upstreams::TlsAttributes) -> PyResult<()> {
    let terms = tls.read()?;
    terms.config().map(|_| ()).map_err(|error| PyValueError::new_err(error.to_owned()))
}

/// Sets the least level that the error log takes in this process from now on.
#[pyfunction]
fn set_log_level(level: &str) -> PyResult<()> {
    error_log::set_level(level_named(level)?);
    Ok(())
}

/// The application is about to fork this process.
#[pyfunction]
fn before_fork() {
    forks::before_fork();
}

/// The application has forked this process.
#[pyfunction]
fn after_fork_in_child() {
    forks::after_fork_in_child();
}

/// Lets processes below this one whose parents end become its children.
#[pyfunction]
fn adopt_orphans() -> Result<(), OsError> {
    Ok(orphan::adopt_orphans()?)
}

/// As `os.fork`; the new process is the child of the nearest one above that adopts orphans.
#[pyfunction]
fn fork_orphan(py: Python<'_>) -> Result<i32, OsError> {
    Ok(fork::fork_orphan(py)?)
}

/// Serves on the calling thread until told to stop.
#[pyfunction]
fn serve(
    py: Python<'_>,
    application: Py<PyAny>,
    settings: &Bound<'_, PyAny>,
    process: &Bound<'_, PyAny>,
    scoreboard: &Scoreboard,
    slot: usize,
) -> PyResult<bool> {
    let slot = scoreboard.slot(slot)?;
    let read = || Ok((Settings::read(&settings::Attributes(settings))?, process::Process::read(process)?));
    wsgi::serve::serve(py, application, read, slot)
}

/// The names of the settings that the engine reads.
#[pyfunction]
fn setting_names() -> Vec<&'static str> {
    Settings::names()
}

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    let bounds_s = BOUNDS_NS.map(|bound_ns| Duration::from_nanos(bound_ns).as_secs_f64());
    module.add("DURATION_BOUNDS_S", PyTuple::new(module.py(), bounds_s)?)?;
    module.add_class::<Scoreboard>()?;
    module.add_class::<WorkerStatus>()?;
    module.add_class::<RunningCall>()?;
    module.add_class::<wsgi::file_wrapper::FileWrapper>()?;
    module.add_class::<wsgi::event_loop::EventLoop>()?;
    wsgi::input::Input::register(module.py())?;
    module.add("RequestBodyError", module.py().get_type::<wsgi::input::RequestBodyError>())?;
    module.add_function(wrap_pyfunction!(log, module)?)?;
    module.add_function(wrap_pyfunction!(log_lines, module)?)?;
    module.add_function(wrap_pyfunction!(flush_log, module)?)?;
    module.add_function(wrap_pyfunction!(log_plainly, module)?)?;
    module.add_function(wrap_pyfunction!(pipe_log, module)?)?;
    module.add_function(wrap_pyfunction!(unpipe_log, module)?)?;
    module.add_function(wrap_pyfunction!(order_log, module)?)?;
    module.add_function(wrap_pyfunction!(queue_log, module)?)?;
    module.add_function(wrap_pyfunction!(unqueue_log, module)?)?;
    module.add_function(wrap_pyfunction!(next_record, module)?)?;
    module.add_function(wrap_pyfunction!(configure_log, module)?)?;
    module.add_function(wrap_pyfunction!(give_back_memory, module)?)?;
    module.add_function(wrap_pyfunction!(name_process, module)?)?;
    module.add_function(wrap_pyfunction!(socket_pair, module)?)?;
    module.add_function(wrap_pyfunction!(receive_descriptors, module)?)?;
    module.add_function(wrap_pyfunction!(send_datagram, module)?)?;
    module.add_function(wrap_pyfunction!(send_descriptors, module)?)?;
    module.add_function(wrap_pyfunction!(accept_connection, module)?)?;
    module.add_function(wrap_pyfunction!(unaccepted_connections, module)?)?;
    module.add_function(wrap_pyfunction!(read_member, module)?)?;
    module.add_function(wrap_pyfunction!(check_tls, module)?)?;
    module.add_function(wrap_pyfunction!(check_access_log, module)?)?;
    module.add_function(wrap_pyfunction!(open_log_socket, module)?)?;
    module.add_function(wrap_pyfunction!(set_log_level, module)?)?;
    module.add_function(wrap_pyfunction!(before_fork, module)?)?;
    module.add_function(wrap_pyfunction!(after_fork_in_child, module)?)?;
    module.add_function(wrap_pyfunction!(adopt_orphans, module)?)?;
    module.add_function(wrap_pyfunction!(fork_orphan, module)?)?;
    module.add_function(wrap_pyfunction!(serve, module)?)?;
    module.add_function(wrap_pyfunction!(setting_names, module)?)?;
    metrics::register(module)?;
    privileges::register(module)?;
    wire::register(module)
}
