//! The application's result becomes the response: blocks in order, each on its way before the next is
//! asked for, `close()` once whatever happens (PEP 3333 "Specification Details", "Buffering and Streaming").

use super::failure::{self, RequestLabel};
use super::file_wrapper::{Content, FileWrapper};
use super::forked::end_child;
use super::input::client_fault;
use super::ladder::ThreadCall;
use super::location;
use super::pending::{PendingResponse, WriteState};
use super::plain_response::{GATEWAY_TIMEOUT, plain_response};
use super::socket;
use super::start_response::{PythonExchange, Unsent, send_block, write_block};
use portico_engine::access_log::record::CLIENT_CLOSED_REQUEST;
use portico_engine::calls::Outcome;
use portico_engine::clock::DateHeader;
use portico_engine::exchange::named_response;
use portico_engine::exchange::responder::Responder;
use portico_engine::files::named_files::NamedFile;
use portico_engine::lock::lock;
use portico_engine::log::{Level, log};
use portico_engine::message::response_head::ResponseHead;
use portico_engine::message::send_queue::FileRange;
use pyo3::exceptions::{PyAssertionError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList, PyString, PyTuple};

/// Why an response stops before its end.
enum Failure {
    /// The application raised, or broke the protocol.
    Application(PyErr),
    /// The client is gone: nobody to tell.
    Client,
    /// The application has taken the connection's socket.
    Upgraded,
}

impl Failure {
    fn error(&self) -> Option<&PyErr> {
        if let Failure::Application(error) = self { Some(error) } else { None }
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Failure::Application(error)
    }
}

impl From<Unsent> for Failure {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Gone(_) => Failure::Client,
            Unsent::Raised(error) => Failure::Application(error),
        }
    }
}

/// One response being sent.
struct Sending<'a> {
    py: Python<'a>,
    exchange: &'a PythonExchange,
    call: &'a ThreadCall,
    date: &'a mut DateHeader,
    label: RequestLabel<'a>,
    status: u16,
    body_bytes: u64,
    /// Whether the client was gone before the head could reach it.
    is_abandoned: bool,
}

/// Sends what the application returned, or the error it raised; ends the response in every case.
pub fn send<'a>(
    py: Python<'a>,
    exchange: &'a PythonExchange,
    call: &'a ThreadCall,
    result: PyResult<Bound<'a, PyAny>>,
    date: &'a mut DateHeader,
    label: RequestLabel<'a>,
) -> Outcome {
    end_child(py, &label, result.as_ref().err());
    let mut sending = Sending { py, exchange, call, date, label, status: 0, body_bytes: 0, is_abandoned: false };
    let sent = match result {
        Ok(result) => {
            let sent = sending.body(&result);
            sending.close(&result);
            sent
        }
        Err(error) => Err(Failure::Application(error)),
    };
    let was_timeout_raised = call.leave(py);
    let error = || sent.as_ref().err().and_then(Failure::error);
    let upgraded = if label.inbound.head.upgrade { socket::end(py, exchange, call, &label, error()) } else { None };
    if let Err(failure) = sent {
        if let Some(responded) = lock(&exchange.response).responded {
            // In the call's place, because it took too long: whatever it fails of now is what comes of that.
            return responded;
        }
        if let Some(spoken) = upgraded {
            return spoken;
        }
        sending.fail(failure, was_timeout_raised);
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
            match wrapper.get().content(self.py)? {
                Content::InMemory(block) => return self.only_block(&block),
                Content::Plain(range) => {
                    if self.file(range)? {
                        return Ok(());
                    }
                }
                Content::Unknown => {}
            }
        } else if result.is_none() {
            return self.nothing();
        } else if result.is_instance_of::<PyString>() {
            return Err(self.not_bytes("the body", result, None).into());
        }
        self.blocks(result)
    }

    /// A body that is one block: its length is known, and nothing follows it.
    fn only_block(&mut self, block: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let block = self.bytes(block, None)?;
        let Some(responder) = self.take_started(Some(block.as_bytes().len() as u64))? else { return Ok(()) };
        self.last_block(responder, Some(block))
    }

    /// Sends `block` as far as the length allows and ends the response.
    fn last_block(&mut self, mut responder: Responder, block: Option<&Bound<'_, PyBytes>>) -> Result<(), Failure> {
        self.exchange.client.end();
        let nothing;
        let block = if let Some(block) = block {
            block
        } else {
            nothing = PyBytes::new(self.py, b"");
            &nothing
        };
        let whole = block.as_bytes().len();
        let allowed = usize::try_from(responder.remaining()).unwrap_or(usize::MAX).min(whole);
        if responder.has_body() && allowed < whole {
            self.log_excess();
        }
        let sent = write_block(self.py, self.call, &mut responder, block, allowed, true);
        self.body_bytes = responder.body_bytes;
        self.is_abandoned = responder.is_abandoned;
        if responder.is_short() {
            if sent.is_ok() {
                self.label.log_violation("the body is shorter than the application's Content-Length");
            }
            responder.abort();
        }
        sent.map_err(Failure::from)
    }

    /// None in place of a body, as many tutorials have it where there is none.
    fn nothing(&mut self) -> Result<(), Failure> {
        let mut response = lock(&self.exchange.response);
        let responder = self.take_responder(&mut response)?;
        let resources = responder.connection().resources.clone();
        response.responder = Some(responder);
        drop(response);
        let label = self.label;
        if resources.settings.strict {
            let returned = format!("{} returned None; expected an iterable of bytes", label.application.name);
            return Err(PyTypeError::new_err(returned).into());
        }
        resources.notices.no_body.warn(|| {
            format!(
                "the application {label} returned None, which is taken for an empty body; expected an iterable of \
                 bytes (with --strict it is an error)"
            )
        });
        let Some(responder) = self.take_started(Some(0))? else { return Ok(()) };
        self.last_block(responder, None)
    }

    /// A range of a plain file goes out with sendfile(2); false if its wrapper has to be iterated.
    fn file(&mut self, range: FileRange) -> Result<bool, Failure> {
        let available = range.length;
        let mut response = lock(&self.exchange.response);
        let mut responder = self.take_responder(&mut response)?;
        if responder.is_started()
            || !responder.can_send_file()
            || responder.compresses(&response.head, available)
            || responder.named_in(&response.head).is_some()
        {
            // write() has begun a body of unknown framing, records go around it, it is compressed, or another file is
            // sent: block by block.
            response.responder = Some(responder);
            return Ok(false);
        }
        responder.start(&response.head, Some(available), self.date);
        drop(response);
        if !responder.has_body() || available == 0 {
            self.last_block(responder, None)?;
            return Ok(true);
        }
        let length = responder.remaining().min(available);
        if responder.remaining() > available {
            self.label.log_violation("the file is shorter than the application's Content-Length");
        }
        self.body_bytes = length;
        self.is_abandoned = responder.is_abandoned;
        self.exchange.client.end();
        responder.send_file(FileRange { length, ..range });
        Ok(true)
    }

    /// Any iterable.
    fn blocks(&mut self, result: &Bound<'_, PyAny>) -> Result<(), Failure> {
        // PEP 3333 "Handling the Content-Length Header": len() of one, and no write(), make the first block the whole
        // body.
        let is_single = result.len().is_ok_and(|length| length == 1);
        let iterator = PyIterator::from_object(result)?;
        for block in iterator.clone() {
            end_child(self.py, &self.label, block.as_ref().err());
            let block = block?;
            let block = self.bytes(&block, Some(&iterator))?;
            let bytes = block.as_bytes();
            if bytes.is_empty() {
                continue;
            }
            let length = bytes.len() as u64;
            let is_all = |head: &ResponseHead| is_single || head.content_length == Some(length);
            let started = self.take_started_by(|head| is_all(head).then_some(length))?;
            let Some(mut responder) = started else { return Ok(()) };
            if !responder.has_body() {
                return self.last_block(responder, None);
            }
            let remaining = responder.remaining();
            if length > remaining {
                if remaining > 0 {
                    return self.last_block(responder, Some(block));
                }
                self.log_excess();
                return self.last_block(responder, None);
            }
            let sent = send_block(self.py, self.call, &mut responder, &self.exchange.client, block);
            self.body_bytes = responder.body_bytes;
            lock(&self.exchange.response).responder = Some(responder);
            sent?;
            self.call.waits.give_way(self.py)?;
        }
        end_child(self.py, &self.label, None);
        // Where nothing has come the length is known.
        let Some(responder) = self.take_started(Some(0))? else { return Ok(()) };
        self.last_block(responder, None)
    }

    /// The responder, with its head encoded; `known_length` is the body's where that is known, if `write` has not begun
    /// it. None if a file that the head names was sent in place of the body. An error if `start_response` was not called.
    fn take_started(&mut self, known_length: Option<u64>) -> Result<Option<Responder>, Failure> {
        self.take_started_by(|_| known_length)
    }

    /// The same where the head says whether the length is known.
    fn take_started_by(
        &mut self,
        known_length: impl Fn(&ResponseHead) -> Option<u64>,
    ) -> Result<Option<Responder>, Failure> {
        let mut response = lock(&self.exchange.response);
        let mut responder = self.take_responder(&mut response)?;
        if !responder.is_started() {
            if let Some(named) = responder.named_in(&response.head) {
                let head = std::mem::take(&mut response.head);
                drop(response);
                let sent = self.named_file(responder, &head, &named);
                lock(&self.exchange.response).head = head;
                return sent.map(|()| None);
            }
            responder.start(&response.head, known_length(&response.head), self.date);
        }
        Ok(Some(responder))
    }

    /// Sends the file that `head` has `named`, in place of a body, and ends the response.
    #[cold]
    fn named_file(&mut self, responder: Responder, head: &ResponseHead, named: &NamedFile) -> Result<(), Failure> {
        self.exchange.client.end();
        let Sending { py, call, label, date, .. } = self;
        let resources = responder.connection().resources.clone();
        let sending = named_response::send(responder, head, named, label.inbound, date);
        let Some(sent) = call.waits.wait_out(*py, &resources, call.cell(), sending)? else {
            return Err(Failure::Client);
        };
        self.status = sent.status;
        self.body_bytes = sent.body_bytes;
        self.is_abandoned = sent.is_abandoned;
        if let Some(why) = sent.why_not {
            self.label.log_violation(&format!("{why}; responded with {}", sent.status));
        }
        Ok(())
    }

    /// The responder as it is; an error if `start_response` was not called.
    fn take_responder(&mut self, response: &mut PendingResponse) -> Result<Responder, Failure> {
        if response.is_upgraded() {
            return Err(Failure::Upgraded);
        }
        if response.head.status == 0 {
            return Err(PyAssertionError::new_err("the application did not call start_response").into());
        }
        self.status = response.head.status;
        if response.write == WriteState::Running {
            let text = "the application has returned while a thread of it was in write; the response is aborted";
            return Err(PyRuntimeError::new_err(text).into());
        }
        response.responder.take().ok_or(Failure::Client)
    }

    /// A block of the body, which `iterator` has given, if it is of bytes.
    fn bytes<'a, 'py>(
        &self,
        block: &'a Bound<'py, PyAny>,
        iterator: Option<&Bound<'py, PyIterator>>,
    ) -> PyResult<&'a Bound<'py, PyBytes>> {
        block.cast::<PyBytes>().map_err(|_| self.not_bytes("a block of the body", block, iterator))
    }

    fn not_bytes(&self, what: &str, got: &Bound<'_, PyAny>, iterator: Option<&Bound<'_, PyIterator>>) -> PyErr {
        let application = self.label.application;
        let place = location::of_iterator(iterator.map(Bound::as_any)).or_else(|| {
            let place = location::of_callable(application.innermost.bind(self.py))?;
            let whose = if application.has_middleware { ", or from the middleware around that" } else { "" };
            Some(format!("{place}{whose}"))
        });
        failure::not_bytes(what, got, place)
    }

    fn log_excess(&self) {
        self.label.log_violation("the body is longer than the application's Content-Length; the rest was dropped");
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
        end_child(self.py, &self.label, closed.as_ref().err());
        if let Err(error) = closed {
            self.label.log_exception(self.py, &error);
        }
    }

    /// A 500 if nothing was sent, or a 504 after a timeout, else an aborted response, which the client can tell from a complete one.
    fn fail(&mut self, failure: Failure, was_timeout_raised: bool) {
        let mut response = lock(&self.exchange.response);
        let responder = response.responder.take();
        let gone = response.gone || matches!(failure, Failure::Client);
        drop(response);
        let mut status = 500;
        if gone {
            self.exchange.client.leave();
        } else {
            self.exchange.client.end();
        }
        if let Failure::Application(error) = &failure
            && !gone
        {
            match client_fault(self.py, error) {
                Some(fault) => {
                    log(Level::Debug, &format!("{} could not read the request body: {error}", self.label));
                    status = fault;
                }
                None if was_timeout_raised && failure::is_timeout(self.py, error) => {
                    self.label.log_timeout(self.py, error);
                    status = GATEWAY_TIMEOUT;
                }
                None => self.label.log_exception(self.py, error),
            }
        }
        let Some(mut responder) = responder else { return };
        self.body_bytes = responder.body_bytes;
        if gone || responder.is_started() {
            self.is_abandoned = responder.is_abandoned;
            responder.abort();
            return;
        }
        self.status = status;
        let (head, body) = plain_response(status, &responder);
        responder.start(&head, Some(body.len() as u64), self.date);
        self.is_abandoned = responder.is_abandoned;
        let body = PyBytes::new(self.py, if responder.has_body() { &body[..] } else { b"" });
        self.body_bytes = body.as_bytes().len() as u64;
        if write_block(self.py, self.call, &mut responder, &body, body.as_bytes().len(), true).is_err() {
            responder.abort();
        }
    }
}
