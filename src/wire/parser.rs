//! `RequestParser`: the bytes of one connection in, events out. The engine's own reader finds heads and decoder finds
//! bodies; what is here is what a connection's task does beside them: it keeps the buffer.
//!
//! Nothing of Python runs under the lock.

use super::events::{Data, EndOfRequest, RequestHead, closed, need_data};
use super::rejected::request_rejected;
use portico_engine::budget::Budget;
use portico_engine::exchange::server_response::ServerResponse;
use portico_engine::lock::lock;
use portico_engine::message::body::BodyError;
use portico_engine::message::framing::ResponseFraming;
use portico_engine::message::inbound::Inbound;
use portico_engine::message::request_reader::{Provenance, RequestReader, Step};
use portico_engine::message::spoken::Protocol;
use portico_engine::settings::{Settings, Source};
use portico_engine::state::request::State;
use portico_wire::{BodyDecoder, BodyStep, CRLF, Header, WireError, read_field_lines};
use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use std::sync::Mutex;

/// Reads the requests of one connection: `feed` takes its bytes, `next_event` says what they are.
#[pyclass(frozen, module = "portico._core")]
pub struct RequestParser(Mutex<Parser>);

struct Parser {
    settings: Settings,
    reader: RequestReader,
    inbound: Inbound,
    /// The body of the request whose head was handed on.
    body: Option<OpenBody>,
    /// Whether the client has closed the connection.
    is_at_end: bool,
    rejected: Option<WireError>,
}

/// A body that has not ended.
struct OpenBody {
    decoder: BodyDecoder,
    /// Whether another request may follow.
    keep_alive: bool,
    received: u64,
    /// Bytes that were no data, since the last ones that were: at the end of a chunked body, its trailers.
    tail: Vec<u8>,
}

/// What was found.
enum Found {
    NeedData,
    Closed,
    Head(Box<(Vec<u8>, portico_wire::RequestHead)>),
    Data(Vec<u8>),
    End(Vec<u8>, Vec<Header>),
}

/// Why nothing can be found any more.
enum Stop {
    /// A rule is broken; with the response.
    Rejected(WireError, Vec<u8>),
    /// The client went away before the end of this.
    Gone(String),
}

#[pymethods]
impl RequestParser {
    #[new]
    #[pyo3(signature = (
        *,
        max_head_bytes=65536,
        max_headers=100,
        max_request_line_bytes=8190,
        max_header_bytes=16384,
        max_chunk_extension_bytes=16384,
        max_trailer_bytes=8192,
        max_request_body_bytes=1_073_741_824
    ))]
    fn new(
        max_head_bytes: i64,
        max_headers: i64,
        max_request_line_bytes: i64,
        max_header_bytes: i64,
        max_chunk_extension_bytes: i64,
        max_trailer_bytes: i64,
        max_request_body_bytes: i64,
    ) -> PyResult<RequestParser> {
        let limits = ParserLimits([
            ("max_head_bytes", max_head_bytes),
            ("max_headers", max_headers),
            ("max_request_line_bytes", max_request_line_bytes),
            ("max_header_bytes", max_header_bytes),
            ("max_chunk_extension_bytes", max_chunk_extension_bytes),
            ("max_trailer_bytes", max_trailer_bytes),
            ("max_request_body_bytes", max_request_body_bytes),
        ]);
        Ok(RequestParser(Mutex::new(Parser {
            settings: Settings::read(&limits).map_err(PyValueError::new_err)?,
            reader: RequestReader::new(Protocol::Http, false),
            inbound: Inbound::new(&Budget::new(u64::MAX)),
            body: None,
            is_at_end: false,
            rejected: None,
        })))
    }

    /// Takes what was read from the connection; `b""` is its end.
    #[pyo3(signature = (data, /))]
    fn feed(&self, data: PyBackedBytes) -> PyResult<()> {
        let mut parser = lock(&self.0);
        if parser.rejected.is_some() {
            let text = "feed(): a request was rejected, and where the next one would begin is not known";
            return Err(PyRuntimeError::new_err(text));
        }
        if parser.is_at_end && !data.is_empty() {
            return Err(PyRuntimeError::new_err("feed(): the connection has ended, as feed(b\"\") said"));
        }
        parser.is_at_end |= data.is_empty();
        parser.inbound.push(&data);
        Ok(())
    }

    /// The next event, or the state of a parser that has none.
    fn next_event<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let found = lock(&self.0).find();
        match found {
            Ok(Found::NeedData) => need_data(py),
            Ok(Found::Closed) => closed(py),
            Ok(Found::Head(found)) => {
                let (bytes, head) = *found;
                Ok(Bound::new(py, RequestHead::new(py, &bytes, &head)?)?.into_any())
            }
            Ok(Found::Data(data)) => Ok(Bound::new(py, Data::new(py, &data))?.into_any()),
            Ok(Found::End(lines, trailers)) => {
                Ok(Bound::new(py, EndOfRequest::new(py, &lines, &trailers)?)?.into_any())
            }
            Err(Stop::Rejected(error, response)) => Err(request_rejected(py, error, &response)),
            Err(Stop::Gone(why)) => Err(PyConnectionError::new_err(why)),
        }
    }

    /// The bytes that were fed and are part of no event yet.
    #[getter]
    fn leftover<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes = lock(&self.0).inbound.bytes().to_vec();
        PyBytes::new(py, &bytes)
    }
}

impl Parser {
    fn find(&mut self) -> Result<Found, Stop> {
        if let Some(error) = self.rejected {
            return Err(self.reject(error));
        }
        let found = match self.body.take() {
            Some(body) => self.read_body(body),
            None => self.read_head(),
        };
        match found {
            Ok(Found::NeedData) if self.is_at_end => self.end(),
            Ok(found) => Ok(found),
            Err(error) => Err(self.reject(error)),
        }
    }

    fn read_head(&mut self) -> Result<Found, WireError> {
        if self.reader.state() == State::MustClose {
            return Ok(Found::Closed);
        }
        if self.inbound.is_empty() {
            return Ok(Found::NeedData);
        }
        let step = self.reader.read(&mut self.inbound, Provenance::default(), &self.settings);
        match step.map_err(|rejection| rejection.error)? {
            Step::Request { head_bytes, .. } => {
                let bytes = self.inbound.bytes().get(..head_bytes).unwrap_or_default().to_vec();
                let head = self.inbound.head.clone();
                self.inbound.consume(head_bytes);
                self.body = Some(OpenBody {
                    decoder: BodyDecoder::new(head.framing),
                    keep_alive: head.keep_alive,
                    received: 0,
                    tail: Vec::new(),
                });
                Ok(Found::Head(Box::new((bytes, head))))
            }
            // The others are of uwsgi.
            Step::NeedMore | Step::Ping { .. } | Step::Foreign(_) => Ok(Found::NeedData),
        }
    }

    fn read_body(&mut self, mut body: OpenBody) -> Result<Found, WireError> {
        let mut data = Vec::new();
        let (used, is_complete) = body.decode(self.inbound.bytes(), &self.settings, &mut data);
        self.inbound.consume(used);
        if !data.is_empty() {
            // Whatever comes after the data, the decoder says again at the next call.
            self.body = Some(body);
            return Ok(Found::Data(data));
        }
        match is_complete {
            Ok(false) => {
                self.body = Some(body);
                Ok(Found::NeedData)
            }
            Ok(true) => {
                if self.reader.state() == State::Body {
                    self.reader.end_body();
                }
                self.reader.next(body.keep_alive);
                let lines = body.trailer_lines().to_vec();
                let trailers = read_field_lines(&lines)?;
                Ok(Found::End(lines, trailers))
            }
            Err(error) => {
                self.reader.reject_body();
                Err(error)
            }
        }
    }

    /// No more bytes come, and those that there are make no event.
    fn end(&self) -> Result<Found, Stop> {
        if self.body.is_some() {
            return Err(Stop::Gone(BodyError::Aborted.to_string()));
        }
        // Some clients send an empty line after a body (RFC 9112 2.2).
        if self.inbound.first_line(1).is_empty() {
            return Ok(Found::Closed);
        }
        Err(Stop::Gone("the client went away before the end of the request head".into()))
    }

    fn reject(&mut self, error: WireError) -> Stop {
        self.rejected = Some(error);
        // RFC 9110 9.3.2: a response to HEAD has no body, as far as the request was understood.
        let response = ServerResponse::new(ResponseFraming::Http, error.status, self.inbound.head.is_head);
        Stop::Rejected(error, response.encode(&self.settings).0)
    }
}

impl OpenBody {
    /// Appends what `bytes` hold of the body to `data`, the chunks joined; returns how many of them were used, and whether
    /// the body is complete or breaks a rule.
    fn decode(&mut self, bytes: &[u8], settings: &Settings, data: &mut Vec<u8>) -> (usize, Result<bool, WireError>) {
        let most = settings.max_request_body_bytes.most();
        let mut used = 0;
        loop {
            if self.received > most {
                return (used, Err(WireError::BODY_TOO_LARGE));
            }
            let rest = bytes.get(used..).unwrap_or_default();
            let (consumed, is_complete) = match self.decoder.decode(rest, &settings.wire) {
                Ok(BodyStep::Data { consumed, data: range }) => {
                    let block = rest.get(range).unwrap_or_default();
                    let room = usize::try_from(most - self.received).unwrap_or(usize::MAX);
                    data.extend_from_slice(block.get(..room).unwrap_or(block));
                    self.received = self.received.saturating_add(block.len() as u64);
                    self.tail.clear();
                    used += consumed;
                    continue;
                }
                Ok(BodyStep::NeedMore { consumed }) => (consumed, false),
                Ok(BodyStep::End { consumed }) => (consumed, true),
                Err(error) => return (used, Err(error)),
            };
            self.tail.extend_from_slice(rest.get(..consumed).unwrap_or_default());
            return (used + consumed, Ok(is_complete));
        }
    }

    /// The trailer lines of a complete body.
    fn trailer_lines(&self) -> &[u8] {
        let end = self.tail.len().saturating_sub(CRLF.len());
        self.tail.get(end.saturating_sub(self.decoder.trailer_bytes())..end).unwrap_or_default()
    }
}

/// The limits of a parser as settings of the engine. The others have no part in reading: none of their limits holds, and
/// no peer is trusted.
struct ParserLimits([(&'static str, i64); 7]);

impl Source for ParserLimits {
    type Error = String;

    fn integer(&self, name: &'static str) -> Result<u64, String> {
        let limit = self.0.iter().find(|(known, _)| *known == name).map_or(0, |(_, limit)| *limit);
        u64::try_from(limit).map_err(|_| self.invalid(name, format!("expected a number from 0 on, got {limit}")))
    }

    fn number(&self, _name: &'static str) -> Result<f64, String> {
        Ok(0.0)
    }

    fn flag(&self, _name: &'static str) -> Result<bool, String> {
        Ok(false)
    }

    fn text(&self, name: &'static str) -> Result<String, String> {
        Ok(match name {
            "server_header" => super::encoder::SERVER_HEADER.into(),
            "untrusted_forwarded" => "keep".into(),
            _ => String::new(),
        })
    }

    fn texts(&self, _name: &'static str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn invalid(&self, name: &'static str, why: String) -> String {
        format!("{name}: {why}")
    }
}
