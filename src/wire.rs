//! `portico.wire`: what the engine reads and writes HTTP/1 with, as a small sans-I/O API for Python.
//!
//! `parser` is bytes in and events out, `events` what these are, `rejected` what is raised instead; `encoder` is a
//! response's head and blocks in, bytes out. Runs on whatever thread of Python calls it; no sockets.
//!
//! A worker needs none of it, so the types are made when somebody first asks `_core` for one of their names.

mod encoder;
mod events;
mod parser;
mod rejected;

use encoder::ResponseEncoder;
use events::{Data, EndOfRequest, ParserState, RequestHead};
use parser::RequestParser;
use portico_wire::CONTINUE;
use pyo3::PyTypeInfo;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rejected::RequestRejected;

/// Makes what a name stands for.
type Make = for<'py> fn(Python<'py>) -> PyResult<Bound<'py, PyAny>>;

/// The names, and what each stands for.
const NAMES: [(&str, Make); 10] = [
    ("CLOSED", events::closed),
    ("CONTINUE", interim_response),
    ("Data", type_of::<Data>),
    ("EndOfRequest", type_of::<EndOfRequest>),
    ("NEED_DATA", events::need_data),
    ("ParserState", type_of::<ParserState>),
    ("RequestHead", type_of::<RequestHead>),
    ("RequestParser", type_of::<RequestParser>),
    ("RequestRejected", type_of::<RequestRejected>),
    ("ResponseEncoder", type_of::<ResponseEncoder>),
];

/// Has `module` know the names.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let index = module.index()?;
    for (name, _) in NAMES {
        index.append(name)?;
    }
    // PEP 562. Not by `add_function`, which would name it in `__all__`.
    module.setattr("__getattr__", wrap_pyfunction!(find, module)?)
}

/// What the module has under a name that is asked for the first time.
#[pyfunction]
fn find<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    match NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, make)) => make(py),
        None => Err(PyAttributeError::new_err(format!("module 'portico._core' has no attribute '{name}'"))),
    }
}

fn interim_response(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(PyBytes::new(py, CONTINUE).into_any())
}

fn type_of<T: PyTypeInfo>(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(py.get_type::<T>().into_any())
}
