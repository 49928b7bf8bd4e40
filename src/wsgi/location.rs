//! Where the application's code stands that has made a mistake: file and line, for the text of an error.
//!
//! Asked only once there is a mistake: looking attributes up may run the application's code. What that raises is of no
//! interest here, and where nothing is found nothing is said.

use pyo3::prelude::*;
use pyo3::types::PyType;

/// Functions in functions, and generators in generators, are followed so far.
const DEPTH: usize = 16;

/// Where `iterator` has given a block, if its code is Python's.
pub fn of_iterator(iterator: Option<&Bound<'_, PyAny>>) -> Option<String> {
    let iterator = iterator?;
    of_generator(iterator).or_else(|| of_function(&iterator.get_type().getattr("__next__").ok()?))
}

/// Where the Python code stands that has called this extension.
pub fn of_caller(py: Python<'_>) -> Option<String> {
    of_frame(&py.import("sys").ok()?.call_method0("_getframe").ok()?)
}

/// Where a generator has stopped, or the one that it yields from.
fn of_generator(generator: &Bound<'_, PyAny>) -> Option<String> {
    let mut generator = generator.clone();
    for _ in 0..DEPTH {
        match generator.getattr("gi_yieldfrom") {
            Ok(inner) if inner.hasattr("gi_frame").is_ok_and(|is_generator| is_generator) => generator = inner,
            _ => break,
        }
    }
    of_frame(&generator.getattr("gi_frame").ok()?)
}

fn of_frame(frame: &Bound<'_, PyAny>) -> Option<String> {
    place(&frame.getattr("f_code").ok()?, &frame.getattr("f_lineno").ok()?)
}

/// Where a callable begins: a function, whatever it is wrapped in, or the method that an object is called by.
pub fn of_callable(callable: &Bound<'_, PyAny>) -> Option<String> {
    let mut callable = callable.clone();
    for _ in 0..DEPTH {
        // functools.wraps and functools.partial.
        match callable.getattr("__wrapped__").or_else(|_| callable.getattr("func")) {
            Ok(inner) => callable = inner,
            Err(_) => break,
        }
    }
    let method = if callable.is_instance_of::<PyType>() { "__init__" } else { "__call__" };
    let owner = if callable.is_instance_of::<PyType>() { callable.clone() } else { callable.get_type().into_any() };
    of_function(&callable).or_else(|| of_function(&owner.getattr(method).ok()?))
}

fn of_function(function: &Bound<'_, PyAny>) -> Option<String> {
    let code = function.getattr("__code__").ok()?;
    place(&code, &code.getattr("co_firstlineno").ok()?)
}

fn place(code: &Bound<'_, PyAny>, line: &Bound<'_, PyAny>) -> Option<String> {
    // Not shown by str(), which runs handlers of signals first.
    let (file, line): (String, u64) = (code.getattr("co_filename").ok()?.extract().ok()?, line.extract().ok()?);
    Some(format!("{file}:{line}"))
}
