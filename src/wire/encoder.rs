//! `ResponseEncoder`: a response's head and blocks in, bytes out, framed by the engine's own rule. What may follow what is
//! the engine's table of states.
//!
//! Nothing of Python runs under the lock.

use super::events::RequestHead;
use crate::wsgi::start_response::{hop_by_hop_sentence, set_headers, set_status};
use portico_engine::clock::DateHeader;
use portico_engine::lock::lock;
use portico_engine::message::framing::ResponseFraming;
use portico_engine::message::response_head::ResponseHead;
use portico_engine::state::response::{Event, State, transition};
use portico_wire::{
    CRLF, LAST_CHUNK, ResponseBody, ResponsePlan, ResponseProperties, Version, check_response_header_value,
    write_chunk_size,
};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Mutex;

/// What the Server header says, unless something else is wanted.
pub const SERVER_HEADER: &str = "portico";

/// Writes one response: `head`, then `block` for each block of its body, then `end`.
#[pyclass(frozen, module = "portico._core")]
pub struct ResponseEncoder {
    version: Version,
    is_head: bool,
    keep_alive: bool,
    server_header: String,
    encoding: Mutex<Encoding>,
}

/// How far the response has come.
struct Encoding {
    state: State,
    /// How it is framed, once its head is encoded.
    plan: Option<ResponsePlan>,
    /// Bytes of the body.
    sent: u64,
}

#[pymethods]
impl ResponseEncoder {
    #[new]
    #[pyo3(signature = (request=None, /, *, keep_alive=true, server_header="portico"))]
    fn new(request: Option<&RequestHead>, keep_alive: bool, server_header: &str) -> PyResult<ResponseEncoder> {
        if !check_response_header_value(server_header.as_bytes()) {
            return Err(PyValueError::new_err(format!("server_header: control characters in {server_header:?}")));
        }
        Ok(ResponseEncoder {
            version: request.map_or(Version::Http11, |request| request.spoken),
            is_head: request.is_some_and(|request| request.is_head),
            keep_alive: keep_alive && request.is_some_and(|request| request.keep_alive),
            server_header: server_header.into(),
            encoding: Mutex::new(Encoding { state: State::Unstarted, plan: None, sent: 0 }),
        })
    }

    /// The bytes of the head; decides how the body is framed.
    #[pyo3(signature = (status, headers, /, *, body_length=None))]
    fn head<'py>(
        &self,
        py: Python<'py>,
        status: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
        body_length: Option<u64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut head = ResponseHead::default();
        set_status(&mut head, status)?;
        set_headers(&mut head, headers, &|name| Err(PyValueError::new_err(hop_by_hop_sentence(name))))?;
        let plan = ResponseFraming::Http.plan(&ResponseProperties {
            version: self.version,
            is_head: self.is_head,
            status: head.status,
            content_length: head.content_length,
            known_length: body_length,
            keep_alive: self.keep_alive,
        });
        let mut out = Vec::new();
        let server_header = self.server_header.as_bytes();
        ResponseFraming::Http.write_head(&mut out, &head, &plan, server_header, &mut DateHeader::default());
        let mut encoding = lock(&self.encoding);
        encoding.advance(Event::Start, "head()")?;
        encoding.plan = Some(plan);
        drop(encoding);
        Ok(PyBytes::new(py, &out))
    }

    /// The bytes of a block of the body in its framing; none where the response has no body.
    #[pyo3(signature = (data, /))]
    fn block<'py>(&self, data: Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
        let body = lock(&self.encoding).count(data.as_bytes().len())?;
        let py = data.py();
        Ok(match body {
            ResponseBody::Empty => PyBytes::new(py, b""),
            ResponseBody::Chunked if !data.as_bytes().is_empty() => {
                let mut out = Vec::new();
                write_chunk_size(&mut out, data.as_bytes().len());
                out.extend_from_slice(data.as_bytes());
                out.extend_from_slice(CRLF);
                PyBytes::new(py, &out)
            }
            ResponseBody::Length(_) | ResponseBody::UntilClose | ResponseBody::Chunked => data,
        })
    }

    /// The bytes that end the body.
    fn end<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let is_chunked = lock(&self.encoding).end()?;
        Ok(PyBytes::new(py, if is_chunked { LAST_CHUNK } else { b"" }))
    }

    /// Whether the head is encoded.
    #[getter]
    fn started(&self) -> bool {
        lock(&self.encoding).state != State::Unstarted
    }

    /// Whether the connection stays open: the response has ended, and both sides keep it.
    #[getter]
    fn keep_alive(&self) -> bool {
        let encoding = lock(&self.encoding);
        encoding.state == State::Ended && encoding.plan.is_some_and(|plan| plan.keep_alive)
    }
}

impl Encoding {
    /// How the body is framed, of which `length` more bytes are to be sent.
    fn count(&mut self, length: usize) -> PyResult<ResponseBody> {
        self.advance(Event::Data, "block()")?;
        self.sent = self.sent.saturating_add(length as u64);
        match self.body() {
            ResponseBody::Length(declared) if self.sent > declared => {
                self.state = State::Aborted;
                let text = format!("the body is longer than its Content-Length of {declared} bytes");
                Err(PyValueError::new_err(text))
            }
            body => Ok(body),
        }
    }

    /// Ends the response; whether it is chunked.
    fn end(&mut self) -> PyResult<bool> {
        self.advance(Event::End, "end()")?;
        match self.body() {
            ResponseBody::Length(declared) if self.sent < declared => {
                self.state = State::Aborted;
                let text = format!(
                    "the body is shorter than its Content-Length: expected {declared} bytes, got {}",
                    self.sent
                );
                Err(PyValueError::new_err(text))
            }
            body => Ok(body == ResponseBody::Chunked),
        }
    }

    fn body(&self) -> ResponseBody {
        self.plan.map_or(ResponseBody::Empty, |plan| plan.body)
    }

    fn advance(&mut self, event: Event, call: &str) -> PyResult<()> {
        let why = match self.state {
            State::Unstarted => "the response has no head yet, call head() first",
            State::Body => "the head has been encoded already",
            State::Ended => "the response has ended",
            State::Aborted => "the response cannot be completed any more, close the connection",
        };
        self.state = transition(self.state, event).map_err(|_| PyRuntimeError::new_err(format!("{call}: {why}")))?;
        Ok(())
    }
}
