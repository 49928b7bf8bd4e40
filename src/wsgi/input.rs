//! `wsgi.input` (PEP 3333 "Input and Error Streams"): a binary file to be read, as `io.BufferedReader` is one, over a
//! body wherever it is. Whatever takes a file takes it: `io.TextIOWrapper`, `csv`, `zipfile.ZipFile`.
//!
//! `b""` is the end of the body; a body that was aborted raises instead, it never looks complete. While it
//! waits for a streamed body a thread drives I/O for the whole worker, without the interpreter. It is closed when the
//! call is over, whoever still has it.

mod source;

use super::parking::Waits;
use super::references::{is_only_ours, is_unshared};
use crate::shown::type_name;
use portico_engine::lock::lock;
use portico_engine::message::body::{Body, Stream, Unwanted};
use portico_engine::resources::Resources;
use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyStopIteration, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PySlice};
use pyo3::{create_exception, import_exception};
use source::{BodySource, InMemory, Incoming, Source};
use std::io::BufRead as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

create_exception!(
    portico._core,
    RequestBodyError,
    PyConnectionError,
    "The client did not send the request body as it had announced; `status` is that of the response that says so."
);
import_exception!(io, UnsupportedOperation);

/// `wsgi.input`.
#[pyclass(frozen, module = "portico._core")]
pub struct Input {
    state: Mutex<InputState>,
    /// Whether reading has gone on elsewhere, which is asked of one without a body only.
    was_moved: AtomicBool,
}

enum InputState {
    /// All of it is in memory: it is read under the lock, since nothing of that waits or runs Python code.
    InMemory(InMemory),
    /// Nobody is reading.
    Open(Box<BodySource>),
    /// A thread is reading, whose wait this ends.
    InUse(Option<Unwanted>),
    /// The call is over.
    Closed,
}

impl Input {
    /// Makes it a file for those who ask with `isinstance`.
    pub fn register(py: Python<'_>) -> PyResult<()> {
        py.import("io")?.getattr("BufferedIOBase")?.call_method1("register", (py.get_type::<Input>(),)).map(drop)
    }

    /// A reader without a body.
    pub fn empty(py: Python<'_>) -> PyResult<Py<Input>> {
        let state = Mutex::new(InputState::InMemory(InMemory::new(py, b"")));
        Py::new(py, Input { state, was_moved: AtomicBool::new(false) })
    }

    /// Whether one without a body can be that of the next request, too: there are no references to it but `ours`, and
    /// reading is still at the start.
    pub fn is_as_new(this: &Py<Input>, ours: usize) -> bool {
        is_only_ours(this, ours) && !this.get().was_moved.load(Relaxed)
    }

    /// Reads from now on `body`, whose buffered form is a range of `bytes`, for the call in `cell` of the scoreboard.
    pub fn begin(
        &self,
        py: Python<'_>,
        (resources, cell, waits): (&Arc<Resources>, usize, &Waits),
        bytes: &[u8],
        body: Body,
    ) {
        let state = match body {
            Body::Empty => InputState::InMemory(InMemory::new(py, b"")),
            Body::Buffered(range) => InputState::InMemory(InMemory::new(py, bytes.get(range).unwrap_or_default())),
            Body::Kept(kept) => InputState::Open(Box::new(BodySource::kept(*kept, None))),
            Body::Streamed(stream) => {
                let Stream { before_call, rest } = *stream;
                let incoming = Incoming { rest, resources: resources.clone(), cell, waits: waits.clone() };
                InputState::Open(Box::new(BodySource::kept(before_call, Some(incoming))))
            }
        };
        *lock(&self.state) = state;
    }

    /// The call is over: gives back what the body takes, and ends the wait of a thread that is reading it. Whether nobody
    /// has kept it, so that another request can have it.
    pub fn end(this: &Py<Input>, py: Python<'_>) -> bool {
        let is_free = is_unshared(this);
        let state = std::mem::replace(&mut *lock(&this.get().state), InputState::Closed);
        match state {
            // To close the last descriptor of a large file may take a while.
            InputState::Open(source) if source.has_file() => py.detach(|| drop(source)),
            InputState::InUse(Some(unwanted)) => unwanted.set(),
            InputState::InMemory(_) | InputState::Open(_) | InputState::InUse(None) | InputState::Closed => {}
        }
        is_free
    }

    /// Reads by `read`. What may wait for its bytes is taken out for that, so that no lock is held meanwhile.
    fn with<T>(&self, read: impl FnOnce(&mut dyn Source) -> PyResult<T>) -> PyResult<T> {
        let mut state = lock(&self.state);
        if let InputState::InMemory(body) = &mut *state {
            return read(body);
        }
        let mut source = match std::mem::replace(&mut *state, InputState::InUse(None)) {
            InputState::Open(source) => source,
            before => {
                let is_over = matches!(before, InputState::Closed);
                *state = before;
                drop(state);
                return Err(if is_over {
                    closed()
                } else {
                    PyRuntimeError::new_err("another thread is reading wsgi.input")
                });
            }
        };
        *state = InputState::InUse(source.unwanted());
        drop(state);
        let result = read(&mut *source);
        let mut state = lock(&self.state);
        if matches!(*state, InputState::Closed) {
            // The call has ended meanwhile.
            drop(state);
            return result.map_err(|_| closed());
        }
        *state = InputState::Open(source);
        result
    }

    /// Fills a writable `buffer` with what `read` gives, and returns how much that was.
    fn fill<'py>(
        &self,
        buffer: &Bound<'py, PyAny>,
        read: impl FnOnce(&Self, Python<'py>, Option<isize>) -> PyResult<Bound<'py, PyBytes>>,
    ) -> PyResult<usize> {
        let py = buffer.py();
        let view = PyMemoryView::from(buffer)?;
        if view.getattr("readonly")?.is_truthy()? {
            let name = type_name(buffer);
            return Err(PyTypeError::new_err(format!("wsgi.input: expected a writable buffer to fill, got {name}")));
        }
        let view = view.call_method1("cast", ("B",))?;
        let bytes = read(self, py, Some(isize::try_from(view.len()?)?))?;
        let count = bytes.as_bytes().len();
        view.set_item(PySlice::new(py, 0, isize::try_from(count)?, 1), bytes)?;
        Ok(count)
    }

    /// Says that the call is over, if it is.
    fn check_open(&self) -> PyResult<()> {
        if self.closed() { Err(closed()) } else { Ok(()) }
    }
}

fn closed() -> PyErr {
    PyValueError::new_err("I/O operation on closed file: the request of this wsgi.input is over")
}

fn unsupported(what: &str) -> PyErr {
    UnsupportedOperation::new_err(format!("wsgi.input: {what}"))
}

#[pymethods]
impl Input {
    /// Up to `size` bytes; all that is left if it is negative or None.
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = limit(size);
        self.with(|source| {
            while source.at_hand(py).len() < limit && source.more(py)? {}
            let count = limit.min(source.at_hand(py).len());
            Ok(source.take(py, count))
        })
    }

    /// Up to `size` bytes, of those at hand; waits only where there are none.
    #[pyo3(signature = (size=None, /))]
    fn read1<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = limit(size);
        self.with(|source| {
            while limit > 0 && source.at_hand(py).is_empty() && source.more(py)? {}
            let count = limit.min(source.at_hand(py).len());
            Ok(source.take(py, count))
        })
    }

    /// As `read`, into a buffer; returns how many bytes.
    #[pyo3(signature = (buffer, /))]
    fn readinto(&self, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.fill(buffer, Input::read)
    }

    /// As `read1`, into a buffer; returns how many bytes.
    #[pyo3(signature = (buffer, /))]
    fn readinto1(&self, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.fill(buffer, Input::read1)
    }

    /// One line with its newline, or up to `size` bytes of it.
    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = limit(size);
        self.with(|source| {
            let mut searched = 0;
            let count = loop {
                let at_hand = source.at_hand(py);
                let line = at_hand.get(..limit).unwrap_or(at_hand);
                let mut unsearched = line.get(searched..).unwrap_or_default();
                searched += unsearched.skip_until(b'\n')?;
                let is_line = line.get(..searched).is_some_and(|line| line.ends_with(b"\n"));
                if is_line || searched >= limit || !source.more(py)? {
                    break searched;
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

    fn __iter__(this: PyRef<'_, Self>) -> PyResult<PyRef<'_, Self>> {
        this.check_open()?;
        Ok(this)
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let line = self.readline(py, None)?;
        if line.as_bytes().is_empty() { Err(PyStopIteration::new_err(())) } else { Ok(line) }
    }

    /// Where reading goes on, from the start of the body.
    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(|source| match source.length(py) {
            Some(_) => Ok(source.position()),
            None => Err(unsupported("the body is still coming in, so that it has no places to tell (body_spool)")),
        })
    }

    /// Goes on reading `offset` bytes from the start (0), from here (1) or from the end (2); returns where that is.
    #[pyo3(signature = (offset, whence=0, /))]
    fn seek(&self, py: Python<'_>, offset: i64, whence: i32) -> PyResult<u64> {
        self.was_moved.store(true, Relaxed);
        self.with(|source| {
            let Some(length) = source.length(py) else {
                return Err(unsupported("the body is still coming in, so that it can be read only once (body_spool)"));
            };
            let base = match whence {
                0 if offset < 0 => {
                    return Err(PyValueError::new_err(format!("wsgi.input: negative seek value {offset}")));
                }
                0 => 0,
                1 => source.position(),
                2 => length,
                _ => {
                    let text = format!("wsgi.input: invalid whence: expected 0, 1 or 2, got {whence}");
                    return Err(PyValueError::new_err(text));
                }
            };
            // As in `io.BytesIO`, there is nothing before the start.
            source.seek(base.saturating_add_signed(offset));
            Ok(source.position())
        })
    }

    fn readable(&self) -> PyResult<bool> {
        self.check_open().map(|()| true)
    }

    fn writable(&self) -> PyResult<bool> {
        self.check_open().map(|()| false)
    }

    /// Whether all of the body had come before the call.
    fn seekable(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(|source| Ok(source.length(py).is_some()))
    }

    fn isatty(&self) -> PyResult<bool> {
        self.check_open().map(|()| false)
    }

    fn fileno(&self) -> PyResult<i32> {
        self.check_open()?;
        Err(unsupported("there is no file descriptor behind it"))
    }

    fn flush(&self) -> PyResult<()> {
        self.check_open()
    }

    /// Nothing: applications must not close it (PEP 3333), and those that do, as every wrapper of the `io` module does at
    /// its end, must not take it from those that read it next.
    #[expect(clippy::unused_self, reason = "a method of files")]
    fn close(&self) {}

    /// Whether the call is over.
    #[getter]
    fn closed(&self) -> bool {
        matches!(*lock(&self.state), InputState::Closed)
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyResult<PyRef<'_, Self>> {
        this.check_open()?;
        Ok(this)
    }

    #[pyo3(signature = (*_exception))]
    #[expect(clippy::unused_self, reason = "a method of files")]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {}
}

/// The most bytes that a read of `size` may give.
fn limit(size: Option<isize>) -> usize {
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX)
}

/// The status of an exception that says that the client, not the application, did wrong.
pub fn client_fault(py: Python<'_>, error: &PyErr) -> Option<u16> {
    let raised = error.is_instance_of::<RequestBodyError>(py).then(|| error.value(py))?;
    raised.getattr("status").and_then(|status| status.extract()).ok()
}
