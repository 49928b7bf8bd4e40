//! `wsgi.errors` of a FastCGI request on a listener that asks for it: what the application writes there goes to the front
//! server's log, in records beside those of the answer (FastCGI 1.0, 5.3). What comes after the answer, or finds no room,
//! goes to the error log as everywhere else.

use super::start_response::Answer;
use crate::engine::lock;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::{Arc, Mutex};

/// The stream of one request.
#[pyclass(frozen, module = "portico._core")]
pub struct FrontErrors {
    answer: Arc<Mutex<Answer>>,
    /// The answer that this belongs to, among those that share `answer` one after the other.
    serial: u64,
    /// The error log.
    log: Py<PyAny>,
}

impl FrontErrors {
    /// A stream for the answer that is due now.
    pub fn new(answer: &Arc<Mutex<Answer>>, log: Py<PyAny>) -> FrontErrors {
        FrontErrors { answer: answer.clone(), serial: lock(answer).serial, log }
    }

    fn send(&self, text: &Bound<'_, PyString>) -> bool {
        let text = text.to_string_lossy();
        let mut answer = lock(&self.answer);
        let is_mine = answer.serial == self.serial;
        answer.responder.as_mut().filter(|_| is_mine).is_some_and(|responder| responder.send_errors(text.as_bytes()))
    }
}

#[pymethods]
impl FrontErrors {
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
