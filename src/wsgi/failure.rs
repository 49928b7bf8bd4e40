//! Applications that fail: the error log gets who failed, where, and the traceback; nothing else
//! happens here.

use portico_engine::log::{Level, log};
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Which application serves which request, as log lines name it.
#[derive(Clone, Copy)]
pub struct RequestLabel<'a> {
    /// Such as `shop.web:application`.
    pub application: &'a str,
    /// The request's method.
    pub method: &'a [u8],
    /// The request's path, as it was sent.
    pub path: &'a [u8],
}

impl RequestLabel<'_> {
    /// Logs `error`, which the application raised, with its traceback.
    pub fn log_exception(&self, py: Python<'_>, error: &PyErr) {
        let text = traceback(py, error).unwrap_or_else(|_| error.to_string());
        log(Level::Error, &format!("the application {self} failed\n{text}"));
    }

    /// Logs what the application did against PEP 3333 without raising.
    pub fn log_violation(&self, what: &str) {
        log(Level::Error, &format!("the application {self}: {what}"));
    }
}

impl std::fmt::Display for RequestLabel<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RequestLabel { application, method, path } = self;
        write!(formatter, "{application} at {} {}", method.escape_ascii(), path.escape_ascii())
    }
}

/// Logs `error`, which a callback of portico.on_disconnect raised, with its traceback.
pub fn log_callback_exception(py: Python<'_>, application: &str, error: &PyErr) {
    let text = traceback(py, error).unwrap_or_else(|_| error.to_string());
    log(Level::Error, &format!("a portico.on_disconnect callback of the application {application} failed\n{text}"));
}

/// The name of an application: its own, or its type's, after its module's.
pub fn application_name(application: &Bound<'_, PyAny>) -> String {
    let named = |object: &Bound<'_, PyAny>| -> PyResult<String> {
        Ok(format!("{}:{}", object.getattr("__module__")?, object.getattr("__qualname__")?))
    };
    named(application).or_else(|_| named(application.get_type().as_any())).unwrap_or_else(|_| "of unknown name".into())
}

fn traceback(py: Python<'_>, error: &PyErr) -> PyResult<String> {
    // Imported at the first failure only: workers import as little as possible.
    let lines = py
        .import("traceback")?
        .call_method1("format_exception", (error.get_type(py), error.value(py), error.traceback(py)))?;
    let mut text = String::new();
    for line in lines.cast::<PyList>()?.iter() {
        text += &line.str()?.to_string_lossy();
    }
    Ok(text)
}
