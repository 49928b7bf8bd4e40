//! `wsgi.errors` of a FastCGI request on a listener that asks for it: what the application writes there goes to the reverse
//! proxy's log, in records beside those of the response (FastCGI 1.0, 5.3). What comes after the response, or finds no room,
//! goes to the error log as everywhere else.

use super::pending::PendingResponse;
use portico_engine::fork::is_child;
use portico_engine::lock::lock;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::{Arc, Mutex};

/// The stream of one request.
#[pyclass(frozen, module = "portico._core")]
pub struct ProxyErrors {
    response: Arc<Mutex<PendingResponse>>,
    /// The response that this belongs to, among those that share `response` one after the other.
    serial: u64,
    /// The error log.
    log: Py<PyAny>,
}

impl ProxyErrors {
    /// A stream for the response that is due now.
    pub fn new(response: &Arc<Mutex<PendingResponse>>, log: Py<PyAny>) -> ProxyErrors {
        ProxyErrors { response: response.clone(), serial: lock(response).serial, log }
    }

    fn send(&self, text: &Bound<'_, PyString>) -> bool {
        if is_child() {
            return false;
        }
        let text = text.to_string_lossy();
        let mut response = lock(&self.response);
        let is_mine = response.serial == self.serial;
        response.responder.as_mut().filter(|_| is_mine).is_some_and(|responder| responder.send_errors(text.as_bytes()))
    }
}

#[pymethods]
impl ProxyErrors {
    #[pyo3(signature = (text, /))]
    fn write(&self, text: &Bound<'_, PyString>) -> PyResult<usize> {
        if !self.send(text) {
            self.log.call_method1(text.py(), "write", (text,))?;
        }
        text.len()
    }

    #[pyo3(signature = (lines, /))]
    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.write(line?.cast()?)?;
        }
        Ok(())
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.log.call_method0(py, "flush").map(drop)
    }
}
