//! The application's result becomes the answer: blocks in order, each on its way before the next is
//! asked for, `close()` once whatever happens (PEP 3333 "Specification Details", "Buffering and Streaming").

use super::Outcome;
use super::failure::Site;
use super::file_wrapper::FileWrapper;
use super::input::client_fault;
use super::start_response::{Answer, Exchange, send_block, send_in_turn, send_later};
use crate::clock::DateHeader;
use crate::connection::refusal::{CLIENT_CLOSED_REQUEST, reason_phrase};
use crate::connection::responder::{ApplicationHead, OwnedBlock, Responder, Sent};
use crate::engine::lock;
use crate::error_log::{Level, log};
use pyo3::exceptions::{PyAssertionError, PyTypeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyIterator, PyList, PyTuple};

/// Why an answer stops before its end.
enum Failure {
    /// The application raised, or broke the protocol.
    Application(PyErr),
    /// The client is gone: nobody to tell.
    Client,
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Failure::Application(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(_: std::io::Error) -> Self {
        Failure::Client
    }
}

/// One answer being sent.
struct Sending<'a> {
    py: Python<'a>,
    exchange: &'a Exchange,
    date: &'a mut DateHeader,
    site: Site<'a>,
    status: u16,
    body_bytes: u64,
    /// Whether the client was gone before the head could reach it.
    is_abandoned: bool,
}

/// Sends what the application returned, or the error it raised; ends the answer in every case.
pub fn send<'a>(
    py: Python<'a>,
    exchange: &'a Exchange,
    result: PyResult<Bound<'a, PyAny>>,
    date: &'a mut DateHeader,
    site: Site<'a>,
) -> Outcome {
    let mut sending = Sending { py, exchange, date, site, status: 0, body_bytes: 0, is_abandoned: false };
    let sent = match result {
        Ok(result) => {
            let sent = sending.body(&result);
            sending.close(&result);
            sent
        }
        Err(error) => Err(Failure::Application(error)),
    };
    if let Err(failure) = sent {
        sending.fail(failure);
    }
    let status = if sending.is_abandoned { CLIENT_CLOSED_REQUEST } else { sending.status };
    Outcome { status, body_bytes: sending.body_bytes }
}

impl Sending<'_> {
    fn body(&mut self, result: &Bound<'_, PyAny>) -> Result<(), Failure> {
        if let Ok(list) = result.cast_exact::<PyList>() {
            if list.len() == 1 {
                return self.only_block(&list.get_item(0)?);
            }
        } else if let Ok(tuple) = result.cast_exact::<PyTuple>() {
            if tuple.len() == 1 {
                return self.only_block(&tuple.get_item(0)?);
            }
        } else if result.cast_exact::<PyBytes>().is_ok() {
            return self.only_block(result);
        } else if let Ok(wrapper) = result.cast_exact::<FileWrapper>() {
            if self.file(wrapper.get())? {
                return Ok(());
            }
        } else if result.is_none() {
            let returned = format!("{} returned None; expected an iterable of bytes", self.site.application);
            return Err(PyTypeError::new_err(returned).into());
        }
        self.blocks(result)
    }

    /// A body that is one block: its length is known, and nothing follows it.
    fn only_block(&mut self, block: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let block = bytes_block(block)?;
        let responder = self.take_started(Some(block.as_bytes().len() as u64))?;
        self.last_block(responder, Some(block))
    }

    /// Sends `block` as far as the length allows and ends the answer.
    fn last_block(&mut self, mut responder: Responder, block: Option<&Bound<'_, PyBytes>>) -> Result<(), Failure> {
        self.exchange.presence.end();
        let whole = block.map(PyBytesMethods::as_bytes).unwrap_or_default();
        let allowed = usize::try_from(responder.remaining()).unwrap_or(usize::MAX).min(whole.len());
        let bytes = whole.get(..allowed).unwrap_or_default();
        if responder.has_body() && allowed < whole.len() {
            self.log_excess();
        }
        let sent = send_in_turn(self.py, &mut responder, bytes, true);
        self.body_bytes = responder.body_bytes;
        self.is_abandoned = responder.is_abandoned;
        match sent {
            Err(error) => {
                responder.cut();
                Err(error.into())
            }
            Ok(_) if responder.is_short() => {
                self.site.log_violation("the body is shorter than the application's Content-Length");
                responder.cut();
                Ok(())
            }
            Ok(Sent::All | Sent::Behind) => {
                responder.done();
                Ok(())
            }
            Ok(Sent::Blocked(offset)) => self.last_block_later(responder, block, bytes, offset),
        }
    }

    /// A full socket did not take all of the last block, of which `bytes` are to be sent.
    fn last_block_later(
        &mut self,
        mut responder: Responder,
        block: Option<&Bound<'_, PyBytes>>,
        bytes: &[u8],
        offset: usize,
    ) -> Result<(), Failure> {
        if let Some(held) = responder.reserve(bytes.len()) {
            let owned: OwnedBlock = match block {
                // By reference where the block is sent whole, which nearly every block is.
                Some(block) if bytes.len() == block.as_bytes().len() => Box::new(Shared(block.clone().into())),
                _ => Box::new(bytes.to_vec()),
            };
            responder.hand_over(owned, offset, held);
            return Ok(());
        }
        // On disk, or on this thread, while memory is full of what others do not read.
        if let Err(error) = send_later(self.py, &mut responder, bytes, offset, true) {
            responder.cut();
            return Err(error.into());
        }
        responder.done();
        Ok(())
    }

    /// A file wrapper over a regular file goes out with sendfile(2); false if it has to be iterated.
    fn file(&mut self, wrapper: &FileWrapper) -> Result<bool, Failure> {
        let Some((file, position, available)) = wrapper.regular_file(self.py) else { return Ok(false) };
        let mut answer = lock(&self.exchange.answer);
        let mut responder = self.take_responder(&mut answer)?;
        if responder.is_started() || !responder.can_send_file() {
            // write() has begun a body of unknown framing, or records go around it: block by block.
            answer.responder = Some(responder);
            return Ok(false);
        }
        responder.start(&answer.head, Some(available), self.date);
        drop(answer);
        if !responder.has_body() || available == 0 {
            self.last_block(responder, None)?;
            return Ok(true);
        }
        let length = responder.remaining().min(available);
        if responder.remaining() > available {
            self.site.log_violation("the file is shorter than the application's Content-Length");
        }
        self.body_bytes = length;
        self.is_abandoned = responder.is_abandoned;
        self.exchange.presence.end();
        responder.send_file(file, position, length);
        Ok(true)
    }

    /// Any iterable.
    fn blocks(&mut self, result: &Bound<'_, PyAny>) -> Result<(), Failure> {
        // PEP 3333 "Handling the Content-Length Header": len() of one, and no write(), make the first block the whole body.
        let is_single = result.len().is_ok_and(|length| length == 1);
        let is_empty = result.len().is_ok_and(|length| length == 0);
        let iterator = PyIterator::from_object(result)?;
        for block in iterator {
            let block = block?;
            let block = bytes_block(&block)?;
            let bytes = block.as_bytes();
            if bytes.is_empty() {
                continue;
            }
            let mut responder = self.take_started(is_single.then_some(bytes.len() as u64))?;
            if !responder.has_body() {
                return self.last_block(responder, None);
            }
            let remaining = responder.remaining();
            if bytes.len() as u64 > remaining {
                if remaining > 0 {
                    return self.last_block(responder, Some(block));
                }
                self.log_excess();
                return self.last_block(responder, None);
            }
            let sent = send_block(self.py, &mut responder, &self.exchange.presence, bytes);
            self.body_bytes = responder.body_bytes;
            lock(&self.exchange.answer).responder = Some(responder);
            sent?;
        }
        let responder = self.take_started((is_single || is_empty).then_some(0))?;
        self.last_block(responder, None)
    }

    /// The responder, with its head encoded; `known_length` is the body's where that is known, if `write` has not begun
    /// it. An error if `start_response` was not called.
    fn take_started(&mut self, known_length: Option<u64>) -> Result<Responder, Failure> {
        let mut answer = lock(&self.exchange.answer);
        let mut responder = self.take_responder(&mut answer)?;
        if !responder.is_started() {
            responder.start(&answer.head, known_length, self.date);
        }
        Ok(responder)
    }

    /// The responder as it is; an error if `start_response` was not called.
    fn take_responder(&mut self, answer: &mut Answer) -> Result<Responder, Failure> {
        if answer.head.status == 0 {
            return Err(PyAssertionError::new_err("the application did not call start_response").into());
        }
        self.status = answer.head.status;
        answer.responder.take().ok_or(Failure::Client)
    }

    fn log_excess(&self) {
        self.site.log_violation("the body is longer than the application's Content-Length; the rest was dropped");
    }

    /// PEP 3333: "If the iterable returned by the application has a close() method, the server or
    /// gateway must call that method upon completion of the current request".
    fn close(&self, result: &Bound<'_, PyAny>) {
        if result.is_exact_instance_of::<PyList>() || result.is_exact_instance_of::<PyBytes>() {
            return;
        }
        let closed = match result.getattr_opt("close") {
            Ok(Some(close)) => close.call0().map(drop),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = closed {
            self.site.log_exception(self.py, &error);
        }
    }

    /// A 500 if nothing was sent, else a cut that the client can tell from an end.
    fn fail(&mut self, failure: Failure) {
        let mut answer = lock(&self.exchange.answer);
        let responder = answer.responder.take();
        let gone = answer.gone || matches!(failure, Failure::Client);
        drop(answer);
        let mut status = 500;
        if gone {
            self.exchange.presence.depart();
        } else {
            self.exchange.presence.end();
        }
        if let Failure::Application(error) = &failure
            && !gone
        {
            match client_fault(self.py, error) {
                Some(fault) => {
                    log(Level::Debug, &format!("{} could not read the request body: {error}", self.site));
                    status = fault;
                }
                None => self.site.log_exception(self.py, error),
            }
        }
        let Some(mut responder) = responder else { return };
        self.body_bytes = responder.body_bytes;
        if gone || responder.is_started() {
            self.is_abandoned = responder.is_abandoned;
            responder.cut();
            return;
        }
        self.status = status;
        let status_line = format!("{status} {}", reason_phrase(status));
        let body = format!("{status_line}\n");
        let head = ApplicationHead {
            status,
            status_line: status_line.into_bytes(),
            fields: b"Content-Type: text/plain; charset=utf-8\r\n".to_vec(),
            ..ApplicationHead::default()
        };
        responder.start(&head, Some(body.len() as u64), self.date);
        self.is_abandoned = responder.is_abandoned;
        let bytes: &[u8] = if responder.has_body() { body.as_bytes() } else { b"" };
        match send_in_turn(self.py, &mut responder, bytes, true) {
            Ok(Sent::All | Sent::Behind) => responder.done(),
            Ok(Sent::Blocked(offset)) => match responder.reserve(bytes.len()) {
                Some(reserved) => responder.hand_over(Box::new(bytes.to_vec()), offset, reserved),
                None => responder.cut(),
            },
            Err(_) => responder.cut(),
        }
        self.body_bytes = bytes.len() as u64;
    }
}

fn bytes_block<'a, 'py>(block: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    block.cast::<PyBytes>().map_err(|_| {
        let name = block.get_type().name().map(|name| name.to_string()).unwrap_or_default();
        PyTypeError::new_err(format!("a block of the body: expected bytes, got {name}"))
    })
}

/// Bytes of the application, shared and not copied.
struct Shared(PyBackedBytes);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
