//! `RequestRejected`: what is raised of a request that breaks a rule.

use portico_wire::WireError;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

create_exception!(
    portico._core,
    RequestRejected,
    PyException,
    "A request breaks a rule: `status` and `reason` say which, `response` is what the server sends before it closes."
);

/// The exception for `error`, to be responded to with the bytes of `response`.
pub fn request_rejected(py: Python<'_>, error: WireError, response: &[u8]) -> PyErr {
    let WireError { status, reason } = error;
    let raised = RequestRejected::new_err(error.to_string());
    let value = raised.value(py);
    let set = value
        .setattr("status", status)
        .and_then(|()| value.setattr("reason", reason))
        .and_then(|()| value.setattr("response", PyBytes::new(py, response)));
    match set {
        Ok(()) => raised,
        Err(failure) => failure,
    }
}
