//! What accounts have of the environ: read after the call, since the application and its framework may have put it
//! there. Nothing is done where nobody wants it.

use portico_engine::access_log::record::Keeper;
use portico_engine::lock::lock;
use portico_engine::resources::Resources;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};
use std::cell::{Cell, RefCell};

/// One thread's keys of what is wanted.
#[derive(Default)]
pub struct LoggedKeys {
    /// Made with the first call: whoever makes a thread's bridge does not know what is wanted.
    keys: Vec<LoggedKey>,
}

struct LoggedKey {
    key: Py<PyString>,
    is_of_cgi: bool,
}

impl LoggedKey {
    fn new(py: Python<'_>, name: &str) -> LoggedKey {
        LoggedKey { key: PyString::intern(py, name).unbind(), is_of_cgi: !name.contains('.') }
    }
}

impl LoggedKeys {
    fn of(&mut self, py: Python<'_>, names: &[String]) -> &[LoggedKey] {
        if self.keys.is_empty() {
            self.keys = names.iter().map(|name| LoggedKey::new(py, name)).collect();
        }
        &self.keys
    }
}

/// The environ of one call, as far as it is wanted.
pub struct Logged<'a> {
    names: &'a [String],
    said: Option<&'a Keeper>,
    environ: RefCell<Option<Py<PyDict>>>,
    /// Whether the supervisor is told that the call has failed.
    pub is_reported: Cell<bool>,
}

impl<'a> Logged<'a> {
    /// For a call whose account keeps it in `said`.
    pub fn new(resources: &'a Resources, said: Option<&'a Keeper>) -> Logged<'a> {
        let names = &resources.account_terms.variables[..];
        Logged {
            names,
            said: said.filter(|_| !names.is_empty()),
            environ: RefCell::default(),
            is_reported: Cell::new(false),
        }
    }

    /// The call has this one.
    pub fn will_have(&self, environ: &Bound<'_, PyDict>) {
        self.environ.replace(Some(environ.clone().unbind()));
    }

    /// The value of a variable, empty if it has none, or the call is over.
    pub fn value(&self, py: Python<'_>, name: &str) -> Vec<u8> {
        let environ = self.environ.borrow().as_ref().map(|environ| environ.clone_ref(py));
        let key = LoggedKey::new(py, name);
        environ.and_then(|environ| value(environ.bind(py), &key)).unwrap_or_default()
    }

    /// The name of the request, empty if it has none: by the application, or as it came.
    pub fn request_id(&self, py: Python<'_>) -> Vec<u8> {
        let request_id = self.value(py, "portico.request_id");
        if request_id.is_empty() { self.value(py, "HTTP_X_REQUEST_ID") } else { request_id }
    }

    /// Keeps what is wanted, and lets the environ go.
    pub fn keep(&self, py: Python<'_>, keys: &mut LoggedKeys) {
        let environ = self.environ.take();
        if let (Some(said), Some(environ)) = (self.said, environ) {
            let environ = environ.bind(py);
            for (index, key) in keys.of(py, self.names).iter().enumerate() {
                // Not locked meanwhile: a key of the application's may have a comparison in Python.
                if let Some(value) = value(environ, key) {
                    lock(said).set_environ(index, value);
                }
            }
        }
    }
}

/// The value of a variable, if it is a text or a number.
fn value(environ: &Bound<'_, PyDict>, LoggedKey { key, is_of_cgi }: &LoggedKey) -> Option<Vec<u8>> {
    let value = environ.get_item(key.bind(environ.py())).ok()??;
    if let Ok(text) = value.cast::<PyString>() {
        // A variable of CGI has a character for each byte of the client's (PEP 3333, "Unicode Issues"); an own text of the
        // application's may have any, also halves of surrogate pairs, which are none in UTF-8.
        let text = text.to_string_lossy();
        let bytes: Result<Vec<u8>, _> = text.chars().map(|character| u8::try_from(u32::from(character))).collect();
        return Some(bytes.ok().filter(|_| *is_of_cgi).unwrap_or_else(|| text.as_bytes().to_vec()));
    }
    // Not by str(): that begins with the handlers of signals, and what they raise would be lost here.
    if value.is_exact_instance_of::<PyBool>() {
        return Some(if value.is_truthy().ok()? { &b"True"[..] } else { b"False" }.to_vec());
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Some(format!("{:?}", number.value()).into_bytes());
    }
    let number = value.cast::<PyInt>().ok()?.extract::<i128>().ok()?;
    Some(number.to_string().into_bytes())
}
