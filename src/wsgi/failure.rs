//! Applications that fail: the traceback goes to the error log, and nothing else happens here.

use crate::error_log::{Level, log};
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Logs `error`, raised by the application while it served `request`, with its traceback.
pub fn log_exception(py: Python<'_>, error: &PyErr, request: (&[u8], &[u8])) {
    let (method, path) = request;
    let what = format!("{} {}", method.escape_ascii(), path.escape_ascii());
    let text = traceback(py, error).unwrap_or_else(|_| error.to_string());
    log(Level::Error, &format!("the application failed at {what}\n{text}"));
}

/// Logs what the application did against PEP 3333 without raising.
pub fn log_violation(what: &str, request: (&[u8], &[u8])) {
    let (method, path) = request;
    log(Level::Error, &format!("at {} {}: {what}", method.escape_ascii(), path.escape_ascii()));
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
