//! `wsgi.input` (PEP 3333 "Input and Error Streams"): read, readline, readlines and iteration with
//! the semantics of `io.BufferedReader`, over a body wherever it is.
//!
//! `b""` is the end of the body; a body that was aborted raises instead, it never looks complete. While it
//! waits for a streamed body a thread drives I/O for the whole worker, without the interpreter.

use portico_engine::lock::lock;
use portico_engine::message::body::{Body, BodyError, Rest, Stream};
use portico_engine::message::spool::{Held, Kept};
use portico_engine::resources::Resources;
use portico_wire::WireError;
use pyo3::create_exception;
use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::fs::File;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

create_exception!(
    portico._core,
    RequestBodyError,
    PyConnectionError,
    "The client did not send the request body as it had announced; `status` is that of the response that says so."
);

/// Bytes taken from a file or a stream at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// `wsgi.input`.
#[pyclass(frozen, module = "portico._core")]
pub struct Input {
    source: Mutex<InputState>,
}

enum InputState {
    /// Nothing is left.
    Ended,
    /// Something may be left.
    Open(Box<BodySource>),
    /// A thread is reading.
    InUse,
}

/// What is left to be read: the bytes at hand, then the file, then the stream.
struct BodySource {
    /// Read up to `position`.
    buffer: Vec<u8>,
    position: usize,
    file: Option<(File, u64)>,
    stream: Option<Streamed>,
    failed: Option<BodyError>,
    /// What buffer and file are counted in.
    held: Option<Held>,
}

/// The part of a body that is still to come.
struct Streamed {
    rest: Rest,
    resources: Arc<Resources>,
    /// The call's cell of the scoreboard.
    cell: usize,
}

impl Input {
    /// A reader without a body.
    pub fn empty(py: Python<'_>) -> PyResult<Py<Input>> {
        Py::new(py, Input { source: Mutex::new(InputState::Ended) })
    }

    /// A reader over `body`, whose buffered form is a range of `bytes`, for the call in `cell` of the scoreboard.
    pub fn new(
        py: Python<'_>,
        resources: &Arc<Resources>,
        cell: usize,
        bytes: &[u8],
        body: Body,
    ) -> PyResult<Py<Input>> {
        let (kept, stream) = match body {
            Body::Empty => (None, None),
            Body::Buffered(range) => {
                let buffer = bytes.get(range).unwrap_or_default().to_vec();
                return Input::over(py, BodySource::new(buffer));
            }
            Body::Spooled(spool) => (Some(spool.into_kept()?), None),
            Body::Streamed(stream) => {
                let Stream { spooled, rest } = *stream;
                (Some(spooled.into_kept()?), Some(Streamed { rest, resources: resources.clone(), cell }))
            }
        };
        let mut source = BodySource { stream, ..BodySource::new(Vec::new()) };
        if let Some(Kept { memory, file, held }) = kept {
            source = BodySource { buffer: memory, file, held: Some(held), ..source };
        }
        Input::over(py, source)
    }

    fn over(py: Python<'_>, source: BodySource) -> PyResult<Py<Input>> {
        Py::new(py, Input { source: Mutex::new(InputState::Open(Box::new(source))) })
    }

    /// Takes the source out for one call, so that no lock is held while it waits.
    fn with<T>(&self, default: T, read: impl FnOnce(&mut BodySource) -> PyResult<T>) -> PyResult<T> {
        let state = std::mem::replace(&mut *lock(&self.source), InputState::InUse);
        let InputState::Open(mut source) = state else {
            let ended = matches!(state, InputState::Ended);
            *lock(&self.source) = state;
            return if ended {
                Ok(default)
            } else {
                Err(PyRuntimeError::new_err("another thread is reading wsgi.input"))
            };
        };
        let result = read(&mut source);
        *lock(&self.source) = if source.is_at_end() { InputState::Ended } else { InputState::Open(source) };
        result
    }
}

#[pymethods]
impl Input {
    /// Up to `size` bytes; all that is left if it is negative or None.
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = size.and_then(|size| usize::try_from(size).ok());
        if limit == Some(0) {
            return Ok(PyBytes::new(py, b""));
        }
        self.with(PyBytes::new(py, b""), |source| {
            while limit.is_none_or(|limit| source.at_hand().len() < limit) {
                if !source.more(py)? {
                    break;
                }
            }
            let count = limit.unwrap_or(usize::MAX).min(source.at_hand().len());
            Ok(source.take(py, count))
        })
    }

    /// One line with its newline, or up to `size` bytes of it.
    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        if limit == 0 {
            return Ok(PyBytes::new(py, b""));
        }
        self.with(PyBytes::new(py, b""), |source| {
            let mut searched = 0;
            let count = loop {
                let at_hand = source.at_hand();
                let newline = at_hand.iter().skip(searched).position(|byte| *byte == b'\n');
                if let Some(newline) = newline {
                    break (searched + newline + 1).min(limit);
                }
                searched = at_hand.len();
                if searched >= limit || !source.more(py)? {
                    break searched.min(limit);
                }
            };
            Ok(source.take(py, count))
        })
    }

    /// The remaining lines; stops after about `hint` bytes if it is positive.
    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        let limit = hint.and_then(|hint| usize::try_from(hint).ok()).filter(|hint| *hint > 0).unwrap_or(usize::MAX);
        let lines = PyList::empty(py);
        let mut total = 0;
        while total < limit {
            let line = self.readline(py, None)?;
            if line.as_bytes().is_empty() {
                break;
            }
            total += line.as_bytes().len();
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let line = self.readline(py, None)?;
        if line.as_bytes().is_empty() { Err(PyStopIteration::new_err(())) } else { Ok(line) }
    }
}

impl BodySource {
    fn new(buffer: Vec<u8>) -> BodySource {
        BodySource { buffer, position: 0, file: None, stream: None, failed: None, held: None }
    }

    fn at_hand(&self) -> &[u8] {
        self.buffer.get(self.position..).unwrap_or_default()
    }

    fn is_at_end(&self) -> bool {
        self.at_hand().is_empty() && self.file.is_none() && self.stream.is_none()
    }

    fn take<'py>(&mut self, py: Python<'py>, count: usize) -> Bound<'py, PyBytes> {
        let taken = PyBytes::new(py, self.at_hand().get(..count).unwrap_or_default());
        self.position += count;
        if self.position >= self.buffer.len() {
            self.buffer.clear();
            self.position = 0;
        }
        taken
    }

    /// Gets more bytes to hand; false at the end of the body.
    fn more(&mut self, py: Python<'_>) -> PyResult<bool> {
        self.buffer.drain(..self.position);
        self.position = 0;
        if let Some((file, left)) = &mut self.file {
            let before = self.buffer.len();
            let want = usize::try_from(*left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            self.buffer.resize(before + want, 0);
            py.detach(|| file.read_exact(self.buffer.get_mut(before..).unwrap_or_default()))?;
            *left -= want as u64;
            if *left == 0 {
                self.file = None;
                self.held = None;
            }
            return Ok(true);
        }
        let Some(Streamed { rest, resources, cell }) = &mut self.stream else { return Ok(false) };
        if let Some(error) = self.failed {
            return Err(body_error(py, error));
        }
        // A server that has ended receives nothing any more.
        let received = py.detach(|| resources.wait_in_call(*cell, rest.receiver.recv()));
        match received.unwrap_or(Some(Err(BodyError::Aborted))) {
            Some(Ok(block)) => {
                self.buffer.extend_from_slice(&block);
                Ok(true)
            }
            Some(Err(error)) => {
                self.failed = Some(error);
                Err(body_error(py, error))
            }
            None => {
                self.stream = None;
                Ok(false)
            }
        }
    }
}

/// The exception of a body that never will be complete, with the status for its client.
fn body_error(py: Python<'_>, error: BodyError) -> PyErr {
    let status = match error {
        // Nobody is left to read it.
        BodyError::Aborted => 400,
        BodyError::Slow => WireError::REQUEST_TIMEOUT_BODY.status,
        BodyError::TooLarge => WireError::BODY_TOO_LARGE.status,
        BodyError::Malformed(rule) => rule.status,
    };
    let raised = RequestBodyError::new_err(error.to_string());
    match raised.value(py).setattr("status", status) {
        Ok(()) => raised,
        Err(failure) => failure,
    }
}

/// The status of an exception that says that the client, not the application, did wrong.
pub fn client_fault(py: Python<'_>, error: &PyErr) -> Option<u16> {
    let raised = error.is_instance_of::<RequestBodyError>(py).then(|| error.value(py))?;
    raised.getattr("status").and_then(|status| status.extract()).ok()
}
