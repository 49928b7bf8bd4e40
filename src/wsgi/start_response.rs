//! `start_response` and `write` (PEP 3333 "The start_response() Callable").
//!
//! The head is checked and encoded at the call, into a buffer that is kept from request to request;
//! nothing is sent here but by `write`.

use super::disconnect::{Callables, ClientListener};
use super::ladder::ThreadCall;
use super::pending::{HeadError, PendingResponse, WriteState};
use super::references::{for_another_thread, is_only_ours, is_unshared};
use super::{failure, location, released};
use crate::shown::{repr_of, type_name};
use portico_engine::clock::DateHeader;
use portico_engine::exchange::block_writer::Sent;
use portico_engine::exchange::responder::Responder;
use portico_engine::fork::is_child;
use portico_engine::lock::lock;
use portico_engine::log::Level;
use portico_engine::message::response_head::ResponseHead;
use portico_wire::{
    check_response_header_name, check_response_header_value, is_hop_by_hop, is_name, read_content_length, write_header,
};
use pyo3::PyErrArguments;
use pyo3::exceptions::{PyAssertionError, PyConnectionError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::string::PyStringData;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use std::io;
use std::sync::{Arc, Mutex};

/// Up to so many bytes a block is compressed by who holds the interpreter: it would wait longer to get that back.
const COMPRESSED_ATTACHED_BYTES: usize = 512;

/// What `start_response` is a method of: the interpreter hands a built-in method its arguments where they are, and an object
/// that can be called a tuple made of them.
#[pyclass(frozen, module = "portico._core")]
pub struct StartResponse {
    response: Arc<Mutex<PendingResponse>>,
    write: Py<Write>,
}

/// The `write` callable.
#[pyclass(frozen, module = "portico._core")]
pub struct Write {
    response: Arc<Mutex<PendingResponse>>,
    client: Arc<ClientListener>,
    call: Arc<ThreadCall>,
}

/// What one call of the application needs.
pub struct PythonExchange {
    /// Handed to the application.
    pub start_response: Py<PyAny>,
    /// What it is bound to.
    bound_to: Py<StartResponse>,
    /// Shared with it.
    pub response: Arc<Mutex<PendingResponse>>,
    /// The client, until the response is complete.
    pub client: Arc<ClientListener>,
    /// Handed to the application in environ.
    pub callables: Callables,
}

/// Makes exchanges, and uses them again when no application kept a reference.
pub struct ExchangePool {
    idle: Option<PythonExchange>,
    application: Arc<str>,
    call: Arc<ThreadCall>,
}

impl ExchangePool {
    /// A maker for one thread, which shows its calls in `call`, for responses of the application called `application`.
    pub fn new(py: Python<'_>, application: &str, call: &Arc<ThreadCall>) -> PyResult<ExchangePool> {
        let mut pool = ExchangePool { idle: None, application: Arc::from(application), call: call.clone() };
        pool.idle = Some(pool.make(py)?);
        Ok(pool)
    }

    fn make(&self, py: Python<'_>) -> PyResult<PythonExchange> {
        let exchange = PythonExchange::new(py, &self.application, &self.call)?;
        self.call.set_response(&exchange.response);
        Ok(exchange)
    }

    /// An exchange for one response, which takes its responder.
    ///
    /// # Errors
    /// There is no memory; the responder is still where it was.
    pub fn begin(&mut self, py: Python<'_>, responder: &mut Option<Responder>) -> PyResult<PythonExchange> {
        let exchange = self.idle.take().map_or_else(|| self.make(py), Ok)?;
        let mut response = lock(&exchange.response);
        response.head.clear();
        response.serial += 1;
        response.connection =
            responder.as_ref().map(|responder| Arc::downgrade(responder.connection())).unwrap_or_default();
        response.responder = responder.take();
        response.write = WriteState::Idle;
        response.responded = None;
        response.gone = false;
        drop(response);
        exchange.client.begin();
        Ok(exchange)
    }

    /// Takes an exchange back, for the next response if the application kept neither callable. `shown` says how many
    /// references there are to those of environ besides.
    pub fn end(&mut self, py: Python<'_>, mut exchange: PythonExchange, shown: usize) {
        exchange.client.end();
        // The method has the second reference to what it is bound to.
        let is_free = is_unshared(&exchange.start_response) && is_only_ours(&exchange.bound_to, 2);
        if !is_free || !is_unshared(&exchange.bound_to.get().write) {
            return lock(&exchange.response).end();
        }
        let Callables { disconnected, on_disconnect } = &exchange.callables;
        // Of their own, since an environ that is part of a reference cycle lives until the next collection.
        if !is_only_ours(disconnected, 1 + shown) || !is_only_ours(on_disconnect, 1 + shown) {
            let Ok(callables) = Callables::new(py, &exchange.client) else { return };
            exchange.callables = callables;
        }
        self.idle = Some(exchange);
    }
}

impl PythonExchange {
    fn new(py: Python<'_>, application: &Arc<str>, call: &Arc<ThreadCall>) -> PyResult<PythonExchange> {
        let response = Arc::new(Mutex::new(PendingResponse::default()));
        let client = ClientListener::new(application.clone(), response.clone(), call.waits.clone());
        let write = Py::new(py, Write { response: response.clone(), client: client.clone(), call: call.clone() })?;
        let bound_to = Py::new(py, StartResponse { response: response.clone(), write })?;
        let start_response = bound_to.getattr(py, intern!(py, "start_response"))?;
        let callables = Callables::new(py, &client)?;
        Ok(PythonExchange { start_response, bound_to, response, client, callables })
    }
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, response_headers, /, exc_info=None))]
    fn start_response(
        &self,
        py: Python<'_>,
        status: &Bound<'_, PyAny>,
        response_headers: &Bound<'_, PyAny>,
        exc_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<Write>> {
        let exc_info = exc_info.filter(|exc_info| !exc_info.is_none());
        let is_replaced = exc_info.is_some();
        let (mut head, serial) = self.begin(is_replaced).map_err(|error| to_raise(py, error, exc_info))?;
        // Not under the lock of the response: without the interpreter's, a list has one of its own, and whoever waits for
        // that, since other threads read the same list, is stopped there when the interpreter has all threads pause. A
        // thread that then waited for the response would never pause.
        let result = set_status(&mut head, status)
            .and_then(|()| set_headers(&mut head, response_headers, &|name| self.drop_hop_by_hop(name)));
        if result.is_err() {
            head.clear();
        }
        let ended = self.end(head, serial, is_replaced);
        result?;
        ended.map(|()| self.write.clone_ref(py)).map_err(|error| to_raise(py, error, exc_info))
    }
}

impl StartResponse {
    /// A head to be filled, and the number of its response.
    fn begin(&self, is_replaced: bool) -> Result<(ResponseHead, u64), HeadError> {
        let mut response = lock(&self.response);
        response.may_have_head(is_replaced)?;
        // What is there is sent if another thread is in `write` meanwhile.
        let head = if is_replaced { ResponseHead::default() } else { std::mem::take(&mut response.head) };
        Ok((head, response.serial))
    }

    /// Has the response number `serial` have `head`, unless another thread was faster.
    fn end(&self, head: ResponseHead, serial: u64, is_replaced: bool) -> Result<(), HeadError> {
        let mut response = lock(&self.response);
        if response.serial != serial {
            return Err(HeadError::HasEnded);
        }
        response.may_have_head(is_replaced)?;
        response.head = head;
        Ok(())
    }

    /// PEP 3333 "Other HTTP Features" has a header that is the server's to send be an error. Without `strict` it is
    /// dropped: a response is better off without it, and applications were written for servers that let it pass.
    #[cold]
    fn drop_hop_by_hop(&self, name: &[u8]) -> PyResult<()> {
        let application = self.write.get().client.application();
        let connection = lock(&self.response).connection.upgrade();
        let Some(resources) = connection.map(|connection| connection.resources.clone()) else { return Ok(()) };
        if resources.settings.strict {
            return Err(PyAssertionError::new_err(hop_by_hop_sentence(name)));
        }
        resources.notices.hop_by_hop.log(Level::Warning, name, |name| {
            format!(
                "the application {application} sends the header {name}, which is the server's to send: it is dropped \
                 (with --strict it is an error)"
            )
        });
        Ok(())
    }
}

/// What `start_response` raises because of `error`.
fn to_raise(py: Python<'_>, error: HeadError, exc_info: Option<&Bound<'_, PyAny>>) -> PyErr {
    let text = match (error, exc_info) {
        (HeadError::IsStarted, Some(exc_info)) => return raised(py, exc_info).unwrap_or_else(|error| error),
        (HeadError::HasEnded, _) => "start_response was called after the response had ended",
        (HeadError::HasHead | HeadError::IsStarted, _) => "start_response was called a second time without exc_info",
    };
    PyAssertionError::new_err(text)
}

/// The exception of an `exc_info` triple, to be raised again (PEP 3333 "Error Handling").
fn raised(py: Python<'_>, exc_info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let exc_info = exc_info
        .cast::<PyTuple>()
        .map_err(|_| PyTypeError::new_err("exc_info: expected the tuple of sys.exc_info()"))?;
    let error = PyErr::from_value(exc_info.get_item(1)?);
    if let Ok(traceback) = exc_info.get_item(2)?.cast_into() {
        error.set_traceback(py, Some(traceback));
    }
    Ok(error)
}

/// What is said of a header that the server alone sends.
pub fn hop_by_hop_sentence(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    format!("'{name}' is hop-by-hop: it is the server's to send")
}

/// Takes over the status, such as `200 OK`.
///
/// # Errors
/// What is wrong with it.
pub fn set_status(head: &mut ResponseHead, status: &Bound<'_, PyAny>) -> PyResult<()> {
    let status = status.cast::<PyString>().map_err(|_| wrong_type("status", "str", status))?;
    let bytes = latin1_bytes(status, "status")?;
    let code = match bytes {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] if rest.is_empty() || rest.starts_with(b" ") => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(shown(status, |status| format!("status: expected like '200 OK', got {}", repr_of(status)))),
    };
    if code < 200 {
        return Err(shown(status, |status| format!("status: 1xx responses are the server's, got {}", repr_of(status))));
    }
    if !check_response_header_value(bytes) {
        return Err(shown(status, |status| format!("status: control characters in {}", repr_of(status))));
    }
    head.status = code;
    head.status_line.extend_from_slice(bytes);
    if bytes.len() == 3 {
        // RFC 9112 4: the space stands even when the reason phrase is empty.
        head.status_line.push(b' ');
    }
    Ok(())
}

/// Takes over a list of (name, value). What becomes of headers that the server alone sends, `hop_by_hop` says.
///
/// # Errors
/// What is wrong with one of them.
pub fn set_headers(
    head: &mut ResponseHead,
    headers: &Bound<'_, PyAny>,
    hop_by_hop: &dyn Fn(&[u8]) -> PyResult<()>,
) -> PyResult<()> {
    let headers = headers.cast::<PyList>().map_err(|_| wrong_type("response_headers", "list", headers))?;
    for item in headers.iter() {
        let pair = item.cast::<PyTuple>().map_err(|_| wrong_type("a response header", "(name, value) tuple", &item))?;
        if pair.len() != 2 {
            let length = pair.len();
            return Err(PyTypeError::new_err(format!("a response header: expected (name, value), got {length} items")));
        }
        let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
        let name = name.cast::<PyString>().map_err(|_| wrong_type("a response header's name", "str", &name))?;
        let value = value.cast::<PyString>().map_err(|_| wrong_type("a response header's value", "str", &value))?;
        set_header(head, &name, &value, hop_by_hop)?;
    }
    Ok(())
}

fn set_header(
    head: &mut ResponseHead,
    name: &Bound<'_, PyString>,
    value: &Bound<'_, PyString>,
    hop_by_hop: &dyn Fn(&[u8]) -> PyResult<()>,
) -> PyResult<()> {
    let name_bytes = latin1_bytes(name, "a response header's name")?;
    let value_bytes = latin1_bytes(value, "a response header's value")?;
    if !check_response_header_name(name_bytes) {
        return Err(shown(name, |name| format!("a response header's name is not a token: {}", repr_of(name))));
    }
    let token = || String::from_utf8_lossy(name_bytes).into_owned();
    if !check_response_header_value(value_bytes) {
        let name = token();
        return Err(shown(value, move |value| {
            format!("control characters in the value of '{name}': {}", repr_of(value))
        }));
    }
    match name_bytes.len() {
        14 if is_name(name_bytes, b"content-length") => {
            let length = read_content_length(value_bytes).ok();
            if length.is_none() || head.content_length.is_some() {
                return Err(shown(value, |value| {
                    format!("Content-Length: expected one number, got {}", repr_of(value))
                }));
            }
            head.content_length = length;
            return Ok(());
        }
        4 if is_name(name_bytes, b"date") => head.has_date = true,
        6 if is_name(name_bytes, b"status") => head.has_status = true,
        6 if is_name(name_bytes, b"server") => head.has_server = true,
        _ if is_hop_by_hop(name_bytes) => return hop_by_hop(name_bytes),
        _ => {}
    }
    write_header(&mut head.fields, name_bytes, value_bytes);
    Ok(())
}

/// The bytes of a native string (PEP 3333 "Unicode Issues"), which the interpreter keeps in this form.
#[inline]
fn latin1_bytes<'a>(text: &'a Bound<'_, PyString>, what: &'static str) -> PyResult<&'a [u8]> {
    #[expect(unsafe_code, reason = "pyo3 leaves it to its users whether their compiler lays bit fields out as C's")]
    // SAFETY: it does on the machines that there are wheels for, which all are little-endian; and nobody changes a
    // string.
    match unsafe { text.data() }? {
        PyStringData::Ucs1(bytes) => Ok(bytes),
        PyStringData::Ucs2(_) | PyStringData::Ucs4(_) => Err(not_latin1(what, text)),
    }
}

fn not_latin1(what: &'static str, text: &Bound<'_, PyString>) -> PyErr {
    shown(text, move |text| format!("{what}: expected latin-1 characters only, got {}", repr_of(text)))
}

fn wrong_type(what: &'static str, expected: &'static str, got: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(Shown {
        object: got.clone().unbind(),
        tell: move |got: &Bound<'_, PyAny>| format!("{what}: expected a {expected}, got {}", type_name(got)),
    })
}

/// A `ValueError` that shows an object of the application.
fn shown<F>(object: &Bound<'_, PyAny>, tell: F) -> PyErr
where
    F: FnOnce(&Bound<'_, PyAny>) -> String + Send + Sync + 'static,
{
    PyValueError::new_err(Shown { object: object.clone().unbind(), tell })
}

/// The text of an error, made when the error is raised: showing an object may run the application's code.
struct Shown<F> {
    object: Py<PyAny>,
    tell: F,
}

impl<F: FnOnce(&Bound<'_, PyAny>) -> String + Send + Sync> PyErrArguments for Shown<F> {
    fn arguments(self, py: Python<'_>) -> Py<PyAny> {
        PyString::new(py, &(self.tell)(self.object.bind(py))).into_any().unbind()
    }
}

#[pymethods]
impl Write {
    #[pyo3(signature = (block, /))]
    fn __call__(&self, py: Python<'_>, block: &Bound<'_, PyAny>) -> PyResult<()> {
        let block =
            block.cast::<PyBytes>().map_err(|_| failure::not_bytes("write()", block, location::of_caller(py)))?;
        if block.as_bytes().is_empty() {
            return Ok(());
        }
        if is_child() {
            return Err(PyRuntimeError::new_err("write was called in a forked process: only its parent responds"));
        }
        let mut response = lock(&self.response);
        let Some(mut responder) = response.responder.take() else {
            let is_running = response.write == WriteState::Running;
            drop(response);
            return Err(if is_running {
                PyRuntimeError::new_err("write was called while another thread is in it")
            } else {
                PyAssertionError::new_err("write was called after the response had ended")
            });
        };
        if !responder.is_started() && response.head.status == 0 {
            // It had one, in place of which there is none since that was wrong.
            response.responder = Some(responder);
            drop(response);
            return Err(PyAssertionError::new_err("write was called while the response had no head"));
        }
        let is_ignored = || responder.named_in(&response.head).is_some() || response.is_upgraded();
        if !responder.is_started() && is_ignored() {
            // A file is sent in place of the body, once the application has returned; or it has a web socket.
            response.responder = Some(responder);
            return Ok(());
        }
        response.write = WriteState::Running;
        if !responder.is_started() {
            responder.start(&response.head, None, &mut DateHeader::default());
        }
        drop(response);
        let sent = send_block(py, &self.call, &mut responder, &self.client, block);
        let mut response = lock(&self.response);
        if response.write == WriteState::Closed {
            drop(response);
            responder.abort();
            return Err(PyRuntimeError::new_err("the call of the application has ended while a thread was in write"));
        }
        response.responder = Some(responder);
        response.write = WriteState::Idle;
        response.gone |= sent.is_err();
        drop(response);
        sent.map_err(|unsent| match unsent {
            Unsent::Gone(error) => PyConnectionError::new_err(format!("the client is gone: {error}")),
            Unsent::Raised(error) => error,
        })?;
        self.call.waits.give_way(py)
    }
}

/// Why a block was not sent.
pub enum Unsent {
    /// The client is gone.
    Gone(io::Error),
    /// Something was thrown into the call while it waited for the client.
    Raised(PyErr),
}

impl From<io::Error> for Unsent {
    fn from(error: io::Error) -> Self {
        Unsent::Gone(error)
    }
}

/// Sends a block that is not known to be the last, as far as the response's length allows; waits, outside
/// the interpreter, while the client is slow.
pub fn send_block(
    py: Python<'_>,
    call: &ThreadCall,
    responder: &mut Responder,
    client: &ClientListener,
    block: &Bound<'_, PyBytes>,
) -> Result<(), Unsent> {
    let length = usize::try_from(responder.remaining()).unwrap_or(usize::MAX).min(block.as_bytes().len());
    if length == 0 {
        return Ok(());
    }
    if length as u64 == responder.remaining() {
        // All that was declared: the client has what it wanted.
        client.end();
    }
    write_block(py, call, responder, block, length, false)
}

/// Sends the first `length` bytes of a block, the `last` one of the response or not. What a full socket does not take is
/// queued, outside the interpreter.
pub fn write_block(
    py: Python<'_>,
    call: &ThreadCall,
    responder: &mut Responder,
    block: &Bound<'_, PyBytes>,
    length: usize,
    last: bool,
) -> Result<(), Unsent> {
    let bytes = block.as_bytes().get(..length).unwrap_or_default();
    let sent = if responder.compresses_blocks() && length > COMPRESSED_ATTACHED_BYTES {
        py.detach(|| responder.block(bytes, last))
    } else {
        responder.block(bytes, last)
    };
    match sent? {
        Sent::All => Ok(()),
        Sent::Full(offset) => {
            // Shared, not copied.
            let owned = Box::new(SharedBytes(Some(for_another_thread(block).into_bound(py).into())));
            let resources = responder.connection().resources.clone();
            let queued = call.waits.wait_out(py, &resources, call.cell(), responder.queue(owned, offset, length, last));
            // A server that has ended sends nothing any more.
            queued
                .map_err(Unsent::Raised)?
                .unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
                .map_err(Unsent::Gone)
        }
    }
}

/// A block of the application, shared until it is sent.
struct SharedBytes(Option<PyBackedBytes>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        drop(self.0.take());
        released::give_back_soon();
    }
}
