//! What accounts have of the environ: read after the call, since the application and its framework may have put it
//! there. Nothing is done where nobody wants it.

use portico_engine::access_log::record::Keeper;
use portico_engine::lock::lock;
use portico_engine::resources::Resources;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyString};
use std::cell::OnceCell;

/// The environ of one call, as far as it is wanted.
pub struct Logged<'a> {
    names: &'a [String],
    said: Option<&'a Keeper>,
    environ: OnceCell<Py<PyDict>>,
}

impl<'a> Logged<'a> {
    /// For a call whose account keeps it in `said`.
    pub fn new(resources: &'a Resources, said: Option<&'a Keeper>) -> Logged<'a> {
        let names = &resources.account_terms.variables[..];
        Logged { names, said: said.filter(|_| !names.is_empty()), environ: OnceCell::new() }
    }

    /// The call has this one.
    pub fn will_have(&self, environ: &Bound<'_, PyDict>) {
        // A call has one.
        let _ = self.environ.set(environ.clone().unbind());
    }

    /// The value of a variable, empty if it has none.
    pub fn value(&self, py: Python<'_>, name: &str) -> Vec<u8> {
        self.environ.get().and_then(|environ| value(environ.bind(py), name)).unwrap_or_default()
    }

    /// The name of the request, empty if it has none: by the application, or as it came.
    pub fn request_id(&self, py: Python<'_>) -> Vec<u8> {
        let request_id = self.value(py, "portico.request_id");
        if request_id.is_empty() { self.value(py, "HTTP_X_REQUEST_ID") } else { request_id }
    }

    /// Keeps what is wanted.
    pub fn keep(&self, py: Python<'_>) {
        if let (Some(said), Some(environ)) = (self.said, self.environ.get()) {
            let values = self.names.iter().map(|name| value(environ.bind(py), name)).collect();
            lock(said).environ = values;
        }
    }
}

/// The value of a variable, if it is a text or a number.
fn value(environ: &Bound<'_, PyDict>, name: &str) -> Option<Vec<u8>> {
    let value = environ.get_item(name).ok()??;
    if let Ok(text) = value.cast::<PyString>() {
        // A variable of CGI has a character for each byte of the client's (PEP 3333, "Unicode Issues"); an own text of the
        // application's may have any.
        let text = text.to_str().ok()?;
        let bytes: Result<Vec<u8>, _> = text.chars().map(|character| u8::try_from(u32::from(character))).collect();
        let is_of_cgi = !name.contains('.');
        return Some(bytes.ok().filter(|_| is_of_cgi).unwrap_or_else(|| text.as_bytes().to_vec()));
    }
    // Not by str(): that begins with the handlers of signals, and what they raise would be lost here.
    if value.is_exact_instance_of::<PyBool>() {
        return Some(if value.is_truthy().ok()? { &b"True"[..] } else { b"False" }.to_vec());
    }
    let is_number = value.is_exact_instance_of::<PyInt>();
    is_number.then(|| value.extract::<i128>().ok())?.map(|number| number.to_string().into_bytes())
}
