//! What the system says of a call, as an OSError with `errno` and `strerror`. pyo3's own has neither: its only argument
//! is a text.

use portico_engine::os_error::without_number;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use std::io;

/// An error of the system on its way to Python.
pub struct OsError(pub io::Error);

impl From<io::Error> for OsError {
    fn from(error: io::Error) -> OsError {
        OsError(error)
    }
}

impl From<OsError> for PyErr {
    fn from(OsError(error): OsError) -> PyErr {
        match error.raw_os_error() {
            // Of two arguments OSError makes the class for the number itself.
            Some(number) => PyOSError::new_err((number, without_number(&error.to_string()).into_owned())),
            None => error.into(),
        }
    }
}
