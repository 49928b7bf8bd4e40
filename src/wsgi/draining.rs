//! `portico.draining`: how an application learns that its server is on its way out.
//!
//! One object for all requests: it says nothing of any. It costs a look at a flag, and may be kept.

use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The callable.
#[pyclass(frozen, module = "portico._core")]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// One for the server with this flag.
    pub fn new(flag: Arc<AtomicBool>) -> Draining {
        Draining(flag)
    }
}

#[pymethods]
impl Draining {
    fn __call__(&self) -> bool {
        self.0.load(Relaxed)
    }
}
