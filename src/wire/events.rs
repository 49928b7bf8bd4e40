//! What `RequestParser.next_event` returns: events, each a few immutable fields, and the two states in which there is
//! none.

use crate::shown::text;
use crate::wsgi::environ::latin1;
use portico_wire::{Framing, Header, Span, TargetForm, Version, percent_decode_into};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple};

/// The head of a request.
///
/// Texts are native strings (PEP 3333 "Unicode Issues"): each character is one byte of the request.
#[pyclass(frozen, module = "portico._core")]
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
pub struct RequestHead {
    /// The method, such as GET; a token, in the case it was sent in.
    #[pyo3(get)]
    method: Py<PyAny>,
    /// The request target as it was sent.
    #[pyo3(get)]
    target: Py<PyAny>,
    /// The path of the target with its escapes decoded once, as PATH_INFO has it; empty for `OPTIONS *`.
    #[pyo3(get)]
    path: Py<PyAny>,
    /// The query of the target, not decoded, without its `?`.
    #[pyo3(get)]
    query: Py<PyAny>,
    /// HTTP/1.0 or HTTP/1.1; a later minor version is taken for 1.1 (RFC 9110 2.5).
    #[pyo3(get)]
    version: &'static str,
    /// The fields as (name, value), in order, repeats and all.
    #[pyo3(get)]
    headers: Py<PyTuple>,
    /// The authority of an absolute target, else what Host says (RFC 9112 3.2.2); None if neither is there.
    #[pyo3(get)]
    host: Option<Py<PyAny>>,
    /// How many bytes the body has: 0 if there is none, None if only its end will tell, since it is chunked.
    #[pyo3(get)]
    content_length: Option<u64>,
    /// Whether the client may send another request on this connection (RFC 9112 9.3).
    #[pyo3(get)]
    pub keep_alive: bool,
    /// Whether the client waits for `CONTINUE` before it sends the body (RFC 9110 10.1.1).
    #[pyo3(get)]
    expect_continue: bool,
    /// Whether the client asks for another protocol (RFC 9110 7.8).
    #[pyo3(get)]
    upgrade: bool,
    /// For the encoder.
    pub spoken: Version,
    /// For the encoder.
    pub is_head: bool,
}

impl RequestHead {
    /// The event of a `head` that was read from `bytes`.
    pub fn new(py: Python<'_>, bytes: &[u8], head: &portico_wire::RequestHead) -> PyResult<RequestHead> {
        let text = |bytes: &[u8]| latin1(py, bytes).map(Bound::unbind);
        let part = |span: Span| text(span.of(bytes));
        let host = Some(head.authority.of(bytes)).filter(|authority| !authority.is_empty());
        Ok(RequestHead {
            method: part(head.method)?,
            target: part(head.target)?,
            path: text(&decoded_path(head, bytes))?,
            query: part(head.query)?,
            version: match head.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
            },
            headers: fields(py, bytes, &head.headers)?,
            host: host.or_else(|| head.header(bytes, "host")).map(text).transpose()?,
            content_length: match head.framing {
                Framing::Empty => Some(0),
                Framing::Length(length) => Some(length),
                Framing::Chunked => None,
            },
            keep_alive: head.keep_alive,
            expect_continue: head.expect_continue,
            upgrade: head.upgrade,
            spoken: head.version,
            is_head: head.is_head,
        })
    }
}

#[pymethods]
impl RequestHead {
    fn __repr__(&self) -> String {
        let RequestHead { method, target, version, .. } = self;
        format!("<RequestHead {method} {target} {version}>")
    }
}

/// Some bytes of a request's body.
#[pyclass(frozen, module = "portico._core")]
pub struct Data {
    /// The bytes; never empty.
    #[pyo3(get)]
    data: Py<PyBytes>,
}

impl Data {
    /// The event of these bytes.
    pub fn new(py: Python<'_>, data: &[u8]) -> Data {
        Data { data: PyBytes::new(py, data).unbind() }
    }
}

#[pymethods]
impl Data {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("data",)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Data({})", text(&self.data.bind(py).repr()?)))
    }
}

/// The end of a request: what follows is another one.
#[pyclass(frozen, module = "portico._core")]
pub struct EndOfRequest {
    /// The fields after a chunked body as (name, value); no fields of the head (RFC 9110 6.5.1).
    #[pyo3(get)]
    trailers: Py<PyTuple>,
}

impl EndOfRequest {
    /// The event of a request whose `trailers` were read from `bytes`.
    pub fn new(py: Python<'_>, bytes: &[u8], trailers: &[Header]) -> PyResult<EndOfRequest> {
        Ok(EndOfRequest { trailers: fields(py, bytes, trailers)? })
    }
}

#[pymethods]
impl EndOfRequest {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("trailers",)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("EndOfRequest({})", text(&self.trailers.bind(py).repr()?)))
    }
}

/// What a parser is in while there is no event: `NEED_DATA` or `CLOSED`.
#[pyclass(frozen, module = "portico._core")]
pub struct ParserState(&'static str);

#[pymethods]
impl ParserState {
    fn __repr__(&self) -> &'static str {
        self.0
    }
}

static NEED_DATA: PyOnceLock<Py<ParserState>> = PyOnceLock::new();
static CLOSED: PyOnceLock<Py<ParserState>> = PyOnceLock::new();

/// `NEED_DATA`: there is no event before more bytes are fed.
pub fn need_data(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    the_only(py, &NEED_DATA, "NEED_DATA")
}

/// `CLOSED`: no further request is read on this connection.
pub fn closed(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    the_only(py, &CLOSED, "CLOSED")
}

/// One object for each state, so that `is` tells.
fn the_only<'py>(
    py: Python<'py>,
    place: &'static PyOnceLock<Py<ParserState>>,
    name: &'static str,
) -> PyResult<Bound<'py, PyAny>> {
    let state = place.get_or_try_init(py, || Py::new(py, ParserState(name)))?;
    Ok(state.bind(py).clone().into_any())
}

/// As PATH_INFO: RFC 9110 4.2.3 has an empty path of an absolute target be "/", and RFC 3875 4.1.5 knows no `*`.
fn decoded_path(head: &portico_wire::RequestHead, bytes: &[u8]) -> Vec<u8> {
    let mut path = Vec::new();
    match head.form {
        TargetForm::Asterisk => {}
        TargetForm::Absolute if head.path.is_empty() => path.push(b'/'),
        TargetForm::Absolute | TargetForm::Origin => percent_decode_into(head.path.of(bytes), &mut path),
    }
    path
}

/// Fields as a tuple of (name, value).
fn fields(py: Python<'_>, bytes: &[u8], headers: &[Header]) -> PyResult<Py<PyTuple>> {
    let pair = |header: &Header| {
        let (name, value) = (latin1(py, header.name.of(bytes))?, latin1(py, header.value.of(bytes))?);
        PyTuple::new(py, [name, value])
    };
    let pairs: Vec<_> = headers.iter().map(pair).collect::<PyResult<_>>()?;
    PyTuple::new(py, pairs).map(Bound::unbind)
}
