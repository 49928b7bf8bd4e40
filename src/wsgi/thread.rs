//! Threads that the engine has started, as Python sees them: `portico.threads` introduces each.

use portico_engine::log::{Level, log};
use pyo3::prelude::*;
use std::thread;

/// The module, which has to be imported on the main thread first.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    py.import("portico.threads").map(drop)
}

/// Runs `attached` attached to the interpreter; none where that is on its way out.
pub fn attach<T>(attached: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    Python::try_attach(|py| {
        // Threads that Python has started have no name here.
        if let Some(name) = thread::current().name() {
            introduce(py, name);
        }
        attached(py)
    })
}

fn introduce(py: Python<'_>, name: &str) {
    let introduced = py.import("portico.threads").and_then(|threads| threads.call_method1("introduce", (name,)));
    if let Err(error) = introduced {
        // The application has changed `threading` beyond recognition; its calls are served all the same.
        log(Level::Warning, &format!("thread {name} is not known to threading: {error}"));
    }
}
