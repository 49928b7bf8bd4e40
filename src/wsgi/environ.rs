//! environ: a template per listening socket, copied, then filled from the request (PEP 3333
//! "environ Variables", RFC 3875 4.1).
//!
//! The template holds all fixed keys and a place for every key that each request sets: with that many
//! entries a dict has room for about twenty headers before it must grow.

use super::input::Input;
use crate::connection::{Body, Inbound};
use crate::engine::Engine;
use crate::listener::Facts;
use portico_wire::percent_decode_into;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Header names remembered with their environ key; clients that invent names get theirs made anew.
const NAMES: usize = 256;
/// Client addresses and ports remembered as strings.
const PEERS: usize = 256;

/// What environ is made from; one for each crew thread.
pub struct Environ {
    templates: Vec<Py<PyDict>>,
    keys: Keys,
    names: HashMap<Box<[u8]>, Key>,
    addresses: HashMap<IpAddr, Py<PyString>>,
    ports: Vec<Option<(u16, Py<PyString>)>>,
    decoded: Vec<u8>,
}

/// What a header becomes.
enum Key {
    /// `HTTP_*`, joined with a comma when repeated; cookies with a semicolon (RFC 6265bis 5.7.3, RFC 9113 8.2.3).
    Named(Py<PyString>, &'static str),
    /// CONTENT_TYPE.
    ContentType,
    /// Not for the application: CONTENT_LENGTH comes from the framing, and a name with an underscore
    /// could pass for one with a hyphen.
    Dropped,
}

macro_rules! keys {
    ($($field:ident = $name:literal),* $(,)?) => {
        /// Interned keys of environ.
        struct Keys { $($field: Py<PyString>),* }
        impl Keys {
            fn new(py: Python<'_>) -> Keys {
                Keys { $($field: PyString::intern(py, $name).unbind()),* }
            }
            fn clone_ref(&self, py: Python<'_>) -> Keys {
                Keys { $($field: self.$field.clone_ref(py)),* }
            }
        }
    };
}

keys! {
    request_method = "REQUEST_METHOD", path_info = "PATH_INFO", query_string = "QUERY_STRING",
    request_uri = "REQUEST_URI", raw_uri = "RAW_URI", server_protocol = "SERVER_PROTOCOL",
    remote_addr = "REMOTE_ADDR", remote_port = "REMOTE_PORT", content_type = "CONTENT_TYPE",
    content_length = "CONTENT_LENGTH", http_host = "HTTP_HOST", input = "wsgi.input",
    get = "GET", post = "POST", http11 = "HTTP/1.1", http10 = "HTTP/1.0", empty = "", root = "/",
}

/// What all requests of a worker have in common.
pub struct Common<'py> {
    /// `wsgi.multithread`.
    pub multithread: bool,
    /// `wsgi.multiprocess`.
    pub multiprocess: bool,
    /// `wsgi.errors`.
    pub errors: &'py Py<PyAny>,
}

impl Environ {
    /// Templates for listening sockets with these facts.
    pub fn new(py: Python<'_>, listeners: &[Facts], common: &Common<'_>) -> PyResult<Environ> {
        let keys = Keys::new(py);
        let templates = listeners.iter().map(|facts| template(py, facts, common, &keys)).collect::<PyResult<_>>()?;
        Ok(Environ::with(templates, keys))
    }

    /// The same templates with caches of its own.
    pub fn for_thread(&self, py: Python<'_>) -> Environ {
        let templates = self.templates.iter().map(|template| template.clone_ref(py)).collect();
        Environ::with(templates, self.keys.clone_ref(py))
    }

    fn with(templates: Vec<Py<PyDict>>, keys: Keys) -> Environ {
        Environ {
            templates,
            keys,
            names: HashMap::new(),
            addresses: HashMap::new(),
            ports: Vec::new(),
            decoded: Vec::new(),
        }
    }

    /// The environ of one request.
    pub fn build<'py>(
        &mut self,
        py: Python<'py>,
        engine: &'static Engine,
        inbound: &Inbound,
        body: Body,
        listener: usize,
        peer: Option<SocketAddr>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (bytes, head) = (inbound.bytes(), &inbound.head);
        let template = self.templates.get(listener).or(self.templates.first());
        let environ = template.map_or_else(|| Ok(PyDict::new(py)), |template| template.bind(py).copy())?;
        let keys = &self.keys;
        match head.method.of(bytes) {
            b"GET" => environ.set_item(&keys.request_method, &keys.get)?,
            b"POST" => environ.set_item(&keys.request_method, &keys.post)?,
            method => environ.set_item(&keys.request_method, latin1(py, method)?)?,
        }
        if head.version == portico_wire::Version::Http10 {
            environ.set_item(&keys.server_protocol, &keys.http10)?;
        }
        let target = latin1(py, head.target.of(bytes))?;
        let path = head.path.of(bytes);
        // RFC 9110 4.2.3: an empty path of an absolute target is "/".
        if path == b"/" || path.is_empty() && head.form == portico_wire::TargetForm::Absolute {
            environ.set_item(&keys.path_info, &keys.root)?;
        } else if path.contains(&b'%') {
            self.decoded.clear();
            percent_decode_into(path, &mut self.decoded);
            environ.set_item(&keys.path_info, latin1(py, &self.decoded)?)?;
        } else if head.path == head.target {
            environ.set_item(&keys.path_info, &target)?;
        } else {
            environ.set_item(&keys.path_info, latin1(py, path)?)?;
        }
        if !head.query.is_empty() {
            environ.set_item(&keys.query_string, latin1(py, head.query.of(bytes))?)?;
        }
        environ.set_item(&keys.request_uri, &target)?;
        environ.set_item(&keys.raw_uri, &target)?;
        self.set_peer(py, &environ, peer)?;
        self.set_headers(py, &environ, inbound)?;
        self.set_body(py, engine, &environ, inbound, body)?;
        Ok(environ)
    }

    fn set_peer(&mut self, py: Python<'_>, environ: &Bound<'_, PyDict>, peer: Option<SocketAddr>) -> PyResult<()> {
        let Some(peer) = peer else { return environ.set_item(&self.keys.remote_addr, &self.keys.empty) };
        if self.addresses.len() >= PEERS {
            self.addresses.clear();
        }
        // An IPv4 client of a dual-stack socket is shown as what it is.
        let address = self
            .addresses
            .entry(peer.ip())
            .or_insert_with(|| PyString::new(py, &peer.ip().to_canonical().to_string()).unbind());
        environ.set_item(&self.keys.remote_addr, &*address)?;
        if self.ports.is_empty() {
            self.ports.resize_with(PEERS, || None);
        }
        let Some(place) = self.ports.get_mut(usize::from(peer.port()) % PEERS) else { return Ok(()) };
        match place {
            Some((port, text)) if *port == peer.port() => environ.set_item(&self.keys.remote_port, &*text),
            _ => {
                let text = PyString::new(py, &peer.port().to_string());
                environ.set_item(&self.keys.remote_port, &text)?;
                *place = Some((peer.port(), text.unbind()));
                Ok(())
            }
        }
    }

    fn set_headers(&mut self, py: Python<'_>, environ: &Bound<'_, PyDict>, inbound: &Inbound) -> PyResult<()> {
        let (bytes, head) = (inbound.bytes(), &inbound.head);
        for header in &head.headers {
            let name = header.name.of(bytes);
            let value = header.value.of(bytes);
            let new_key;
            let key = match self.names.get(name) {
                Some(key) => key,
                None if self.names.len() < NAMES => self.names.entry(name.into()).or_insert(Key::of(py, name)?),
                None => {
                    new_key = Key::of(py, name)?;
                    &new_key
                }
            };
            match key {
                Key::Named(key, separator) => {
                    if environ.contains(key)? {
                        let before = environ.as_any().get_item(key)?;
                        let joined = before.add(separator)?.add(latin1(py, value)?)?;
                        environ.set_item(key, joined)?;
                    } else {
                        environ.set_item(key, latin1(py, value)?)?;
                    }
                }
                Key::ContentType => environ.set_item(&self.keys.content_type, latin1(py, value)?)?,
                Key::Dropped => {}
            }
        }
        if !head.authority.is_empty() {
            // RFC 9112 3.2.2: the target's authority replaces the Host header.
            environ.set_item(&self.keys.http_host, latin1(py, head.authority.of(bytes))?)?;
        }
        Ok(())
    }

    fn set_body(
        &self,
        py: Python<'_>,
        engine: &'static Engine,
        environ: &Bound<'_, PyDict>,
        inbound: &Inbound,
        body: Body,
    ) -> PyResult<()> {
        let length = match &body {
            Body::Empty if inbound.head.framing == portico_wire::Framing::Empty => return Ok(()),
            Body::Empty => Some(0),
            Body::Buffered(range) => Some(range.len() as u64),
            Body::Spooled(spool) => Some(spool.len()),
            Body::Streamed(stream) => stream.arriving.length,
        };
        if let Some(length) = length {
            let mut digits = itoa::Buffer::new();
            environ.set_item(&self.keys.content_length, digits.format(length))?;
        }
        environ.set_item(&self.keys.input, Input::new(py, engine, inbound.bytes(), body)?)
    }
}

impl Key {
    fn of(py: Python<'_>, name: &[u8]) -> PyResult<Key> {
        let upper = name.to_ascii_uppercase();
        Ok(match upper.as_slice() {
            b"CONTENT-TYPE" => Key::ContentType,
            // Content-Length: from the framing. Transfer-Encoding: undone by the server. Proxy: would be HTTP_PROXY,
            // which programs take for their own proxy setting ("httpoxy").
            b"CONTENT-LENGTH" | b"TRANSFER-ENCODING" | b"PROXY" => Key::Dropped,
            upper if upper.contains(&b'_') => Key::Dropped,
            upper => {
                let separator = if upper == b"COOKIE" { "; " } else { ", " };
                let key: Vec<u8> =
                    b"HTTP_".iter().chain(upper).map(|byte| if *byte == b'-' { b'_' } else { *byte }).collect();
                let key = String::from_utf8_lossy(&key);
                Key::Named(PyString::intern(py, &key).unbind(), separator)
            }
        })
    }
}

fn template(py: Python<'_>, facts: &Facts, common: &Common<'_>, keys: &Keys) -> PyResult<Py<PyDict>> {
    let template = PyDict::new(py);
    for key in [&keys.request_method, &keys.path_info, &keys.request_uri, &keys.raw_uri, &keys.query_string] {
        template.set_item(key, &keys.empty)?;
    }
    template.set_item("SCRIPT_NAME", "")?;
    template.set_item("SERVER_NAME", &facts.server_name)?;
    template.set_item("SERVER_PORT", &facts.server_port)?;
    template.set_item("SERVER_SOFTWARE", concat!("portico/", env!("CARGO_PKG_VERSION")))?;
    template.set_item("GATEWAY_INTERFACE", "CGI/1.1")?;
    template.set_item(&keys.server_protocol, &keys.http11)?;
    template.set_item("wsgi.version", (1, 0))?;
    template.set_item("wsgi.url_scheme", "http")?;
    template.set_item("wsgi.errors", common.errors)?;
    template.set_item("wsgi.multithread", common.multithread)?;
    template.set_item("wsgi.multiprocess", common.multiprocess)?;
    template.set_item("wsgi.run_once", false)?;
    template.set_item("wsgi.input_terminated", true)?;
    template.set_item("wsgi.file_wrapper", py.get_type::<super::file_wrapper::FileWrapper>())?;
    // An empty body has no state, so all requests without one share its reader.
    template.set_item(&keys.input, Input::empty(py)?)?;
    Ok(template.unbind())
}

/// A `str` whose code points are the bytes (PEP 3333 "Unicode Issues").
pub fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let length = ffi::Py_ssize_t::try_from(bytes.len()).unwrap_or(ffi::Py_ssize_t::MAX);
    #[expect(unsafe_code, reason = "pyo3 has no safe latin-1 decoder")]
    // SAFETY: the pointer and length are those of a live slice; the call returns a new reference or NULL with an
    // exception set, which is what from_owned_ptr_or_err expects.
    unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null()))
    }
}
