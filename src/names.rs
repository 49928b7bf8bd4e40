//! How log lines speak of an application.

use pyo3::prelude::*;

/// How to speak of the application.
pub struct Names {
    /// Its name, empty for its own.
    pub application: String,
    /// What is inside of all that is put around it, if there is anything.
    pub innermost: Option<Py<PyAny>>,
    /// Whether that is middleware.
    pub has_middleware: bool,
}
