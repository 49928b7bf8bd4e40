//! Objects of Python as text, for log lines and errors.
//!
//! `str()` and `repr()` begin with the handlers of signals that have come, and on the main thread these may raise
//! `KeyboardInterrupt`. What is only made to be read drops what goes wrong meanwhile; the interrupt is not lost with it.

use portico_engine::bounded;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

/// The text of an exception with its traceback; without, where that cannot be made. Of a long one both ends.
pub fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let value = error.value(py).as_any();
    let whole = with_traceback(py, error)
        .or_else(|failed| {
            keep_interrupt(py, &failed);
            value.str().map(|shown| text(&shown))
        })
        .unwrap_or_else(|failed| {
            keep_interrupt(py, &failed);
            type_name(value)
        });
    bounded::ends(whole)
}

fn with_traceback(py: Python<'_>, error: &PyErr) -> PyResult<String> {
    // Imported at the first failure only: workers import as little as possible.
    let lines = py
        .import("traceback")?
        .call_method1("format_exception", (error.get_type(py), error.value(py), error.traceback(py)))?;
    Ok(lines.cast::<PyList>()?.iter().map(|line| line.cast::<PyString>().map(text).unwrap_or_default()).collect())
}

/// The last line of the application's own code that an exception has come through: its file, number, function and source,
/// with tabs between; empty where there is none.
pub fn place(py: Python<'_>, error: &PyErr) -> String {
    // Imported at the first failure only, as above.
    let place = py
        .import("portico.deadlines")
        .and_then(|deadlines| deadlines.call_method1("describe_failure", (error.traceback(py),))?.extract::<String>());
    place.unwrap_or_else(|failed| {
        keep_interrupt(py, &failed);
        String::new()
    })
}

/// What an exception says, without its type; empty where that cannot be had.
pub fn message(value: &Bound<'_, PyAny>) -> String {
    let shown = value.str().map(|shown| text(&shown));
    shown.unwrap_or_else(|failed| {
        keep_interrupt(value.py(), &failed);
        String::new()
    })
}

/// `repr()`, or a text in its place where that fails.
pub fn repr_of(object: &Bound<'_, PyAny>) -> String {
    let shown = object.repr().map(|shown| text(&shown));
    shown.unwrap_or_else(|failed| {
        keep_interrupt(object.py(), &failed);
        "a str whose repr() fails".into()
    })
}

/// The name of its type.
pub fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map(|name| text(&name)).unwrap_or_default()
}

/// What is in a `str`.
pub fn text(string: &Bound<'_, PyString>) -> String {
    string.to_string_lossy().into_owned()
}

/// Has the interrupt that `failed` is come once more, where somebody waits for it.
fn keep_interrupt(py: Python<'_>, failed: &PyErr) {
    if failed.is_instance_of::<PyKeyboardInterrupt>(py) {
        let _ = py.import("_thread").and_then(|thread| thread.call_method0("interrupt_main"));
    }
}
