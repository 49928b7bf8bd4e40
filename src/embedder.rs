//! A Python program that serves beside all else that it does: what it wants to be called for.
//!
//! A worker is nobody's program: a signal's handler that raises there has nobody to raise to, and nobody asks how a call
//! has ended.

use portico_engine::calls::Outcome;
use pyo3::prelude::*;
use std::sync::Arc;

/// Who has started the server, as far as it wants to be called. One for a server, shared by its threads.
#[derive(Clone)]
pub struct Embedder(Arc<Callables>);

struct Callables {
    on_interrupt: Option<Py<PyAny>>,
    on_response: Option<Py<PyAny>>,
}

impl Embedder {
    /// One that wants these called; each is the attribute of the same name (`portico.types.EngineProcess`).
    pub fn new(on_interrupt: Option<Py<PyAny>>, on_response: Option<Py<PyAny>>) -> Embedder {
        Embedder(Arc::new(Callables { on_interrupt, on_response }))
    }

    /// Whether what a signal's handler raises is handed over.
    pub fn takes_interrupts(&self) -> bool {
        self.0.on_interrupt.is_some()
    }

    /// Hands over what has interrupted the server; false if that is to be logged, as it is anywhere else.
    pub fn interrupt(&self, py: Python<'_>, error: &PyErr) -> bool {
        let Some(on_interrupt) = &self.0.on_interrupt else { return false };
        on_interrupt.bind(py).call1((error.value(py),)).is_ok()
    }

    /// Says how a call has ended.
    ///
    /// # Errors
    /// What the program raises.
    pub fn response_ended(&self, py: Python<'_>, outcome: Outcome) -> PyResult<()> {
        let Some(on_response) = &self.0.on_response else { return Ok(()) };
        on_response.bind(py).call1((outcome.status, outcome.body_bytes)).map(drop)
    }
}
