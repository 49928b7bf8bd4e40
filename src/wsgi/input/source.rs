//! Where the bytes of one request body are, and how far they have been read: in memory, in a temporary file, or still
//! coming in. Knows what stands at which place, nothing of lines or Python's files.

use super::super::parking::Waits;
use super::RequestBodyError;
use portico_engine::budget::Reservation;
use portico_engine::fork::is_child;
use portico_engine::message::body::{BodyError, Rest, Unwanted};
use portico_engine::message::spool::Kept;
use portico_engine::message::temporary_file::TemporaryFile;
use portico_engine::resources::{Resources, Waited};
use portico_wire::WireError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// Bytes taken from a file at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// A body that is read from its start to its end, in blocks of any size.
pub trait Source {
    /// What has been read of the body from its place on and not been taken yet.
    fn at_hand<'a>(&'a self, py: Python<'a>) -> &'a [u8];

    /// Takes the first `count` bytes at hand.
    fn take<'py>(&mut self, py: Python<'py>, count: usize) -> Bound<'py, PyBytes>;

    /// Gets more bytes to hand; false at the end of the body.
    fn more(&mut self, py: Python<'_>) -> PyResult<bool>;

    /// Where reading goes on.
    fn position(&self) -> u64;

    /// How many bytes there are; none where that is not known before the last one has come.
    fn length(&self, py: Python<'_>) -> Option<u64>;

    /// Goes on reading at `position`, which may be behind the end.
    fn seek(&mut self, position: u64);
}

/// A body that is all in memory, as Python will have it: who reads all of it at once gets the same object.
pub struct InMemory {
    bytes: Py<PyBytes>,
    position: u64,
}

impl InMemory {
    /// A body of these bytes.
    pub fn new(py: Python<'_>, bytes: &[u8]) -> InMemory {
        InMemory { bytes: PyBytes::new(py, bytes).unbind(), position: 0 }
    }
}

impl Source for InMemory {
    fn at_hand<'a>(&'a self, py: Python<'a>) -> &'a [u8] {
        bytes_from(self.bytes.as_bytes(py), self.position)
    }

    fn take<'py>(&mut self, py: Python<'py>, count: usize) -> Bound<'py, PyBytes> {
        let at_hand = self.at_hand(py);
        let is_all = count == at_hand.len() && self.position == 0;
        let taken = if is_all {
            self.bytes.bind(py).clone()
        } else {
            PyBytes::new(py, at_hand.get(..count).unwrap_or_default())
        };
        self.position += count as u64;
        taken
    }

    fn more(&mut self, _py: Python<'_>) -> PyResult<bool> {
        Ok(false)
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn length(&self, py: Python<'_>) -> Option<u64> {
        Some(self.bytes.as_bytes(py).len() as u64)
    }

    fn seek(&mut self, position: u64) {
        self.position = position;
    }
}

/// The bytes from `offset` on, if there are any.
fn bytes_from(bytes: &[u8], offset: u64) -> &[u8] {
    usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default()
}

/// A body that is kept, or still coming in: its bytes in memory or in the file, then the stream.
pub struct BodySource {
    /// The bytes of the body at hand, from `start` on: all of it where it is in memory.
    window: Vec<u8>,
    start: u64,
    /// Read up to here.
    position: u64,
    file: Option<TemporaryFile>,
    rest: Option<Incoming>,
    /// Whether all of it had come before the call, and any place of it can be read again.
    is_seekable: bool,
    failed: Option<BodyError>,
    /// What of it was in memory is counted in.
    _held: Reservation,
}

/// The part of a body that is still to come.
pub struct Incoming {
    /// Its bytes.
    pub rest: Rest,
    /// What waits for them.
    pub resources: Arc<Resources>,
    /// The call's cell of the scoreboard.
    pub cell: usize,
    /// How the call waits for its client.
    pub waits: Waits,
}

impl BodySource {
    /// What was kept of a body before the call, and what is still to come of it.
    pub fn kept(kept: Kept, rest: Option<Incoming>) -> BodySource {
        let Kept { memory, file, held } = kept;
        BodySource {
            window: memory,
            start: 0,
            position: 0,
            file,
            is_seekable: rest.is_none(),
            rest,
            failed: None,
            _held: held,
        }
    }

    /// Whether some of it is in a file.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// What ends a wait for what is still to come.
    pub fn unwanted(&self) -> Option<Unwanted> {
        self.rest.as_ref().map(|incoming| incoming.rest.unwanted())
    }

    /// Makes the window begin where the body has been read to.
    fn forget_taken(&mut self) {
        let taken = usize::try_from(self.position.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.window.drain(..taken.min(self.window.len()));
        self.start = self.position;
    }

    fn read_file(&mut self, py: Python<'_>) -> PyResult<bool> {
        let BodySource { window, start, file, .. } = self;
        let Some(file) = file else { return Ok(false) };
        let before = window.len();
        let offset = *start + before as u64;
        let want = usize::try_from(file.length() - offset).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        window.resize(before + want, 0);
        let place = window.get_mut(before..).unwrap_or_default();
        if let Err(error) = py.detach(|| file.read_at(place, offset)) {
            window.truncate(before);
            return Err(error.into());
        }
        Ok(true)
    }

    fn receive(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(Incoming { rest, resources, cell, waits }) = &mut self.rest else { return Ok(false) };
        if let Some(error) = self.failed {
            return Err(body_error(py, error));
        }
        if is_child() {
            let text = "wsgi.input: only the parent of a forked process receives what is still coming in";
            return Err(PyRuntimeError::new_err(text));
        }
        let received = loop {
            match waits.wait(py, resources, *cell, rest.next())? {
                Waited::Done(received) => break received,
                // What a handler raises ends the read, as it does in a socket's.
                Waited::Interrupted => py.check_signals()?,
                // A server that has ended receives nothing any more.
                Waited::Ended => break Some(Err(BodyError::Aborted)),
            }
        };
        match received {
            Some(Ok(block)) => {
                self.window.extend_from_slice(&block);
                Ok(true)
            }
            Some(Err(error)) => {
                self.failed = Some(error);
                Err(body_error(py, error))
            }
            None => {
                self.rest = None;
                Ok(false)
            }
        }
    }
}

impl Source for BodySource {
    fn at_hand<'a>(&'a self, _py: Python<'a>) -> &'a [u8] {
        bytes_from(&self.window, self.position.saturating_sub(self.start))
    }

    fn take<'py>(&mut self, py: Python<'py>, count: usize) -> Bound<'py, PyBytes> {
        let taken = PyBytes::new(py, self.at_hand(py).get(..count).unwrap_or_default());
        self.position += count as u64;
        if (self.file.is_some() || self.rest.is_some()) && self.at_hand(py).is_empty() {
            // One large read must not leave its memory behind.
            self.window = Vec::new();
            self.start = self.position;
        }
        taken
    }

    fn more(&mut self, py: Python<'_>) -> PyResult<bool> {
        let end = self.position.max(self.start + self.window.len() as u64);
        if let Some(length) = self.file.as_ref().map(TemporaryFile::length) {
            if end < length {
                self.forget_taken();
                return self.read_file(py);
            }
            if self.rest.is_none() {
                return Ok(false);
            }
            // Nobody comes back to it.
            self.file = None;
        }
        if self.rest.is_none() {
            return Ok(false);
        }
        self.forget_taken();
        self.receive(py)
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn length(&self, _py: Python<'_>) -> Option<u64> {
        let in_memory = self.window.len() as u64;
        self.is_seekable.then(|| self.file.as_ref().map_or(in_memory, TemporaryFile::length))
    }

    fn seek(&mut self, position: u64) {
        self.position = position;
        if self.file.is_some() && !(self.start..=self.start + self.window.len() as u64).contains(&position) {
            self.window.clear();
            self.start = position;
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
