//! Threads that the engine has started, as Python sees them: `portico.threads` introduces each.

use portico_engine::log::{Level, log};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::thread;

/// The module, which has to be imported on the main thread first.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    py.import("portico.threads").map(drop)
}

/// Whether threads of this interpreter compute at the same time (PEP 703): it may have a lock all the same, once something
/// was imported that needs that.
pub fn is_free_threaded(py: Python<'_>) -> bool {
    let is_locked = py.import("sys").and_then(|sys| sys.call_method0("_is_gil_enabled")?.extract());
    // Interpreters before Python 3.13 do not say, and are.
    !is_locked.unwrap_or(true)
}

/// Runs `attached` attached to the interpreter; none where that is on its way out.
pub fn attach<T>(attached: impl FnOnce(Python<'_>, Introduction) -> T) -> Option<T> {
    Python::try_attach(|py| {
        let mut introduction = Introduction::default();
        introduction.make(py);
        attached(py, introduction)
    })
}

/// Whether the calling thread has been introduced, or need not be.
#[derive(Default)]
pub struct Introduction {
    is_made: bool,
    /// `sys.modules`, once there was no `threading` in it, and how many it had: as long as that is so, nothing has been
    /// imported, and to know that before each call costs less than to look one up.
    modules: Option<(Py<PyDict>, usize)>,
}

impl Introduction {
    /// Introduces the thread, if `threading` is there by now.
    pub fn make(&mut self, py: Python<'_>) {
        let is_too_early = |(modules, count): &mut (Py<PyDict>, usize)| {
            let modules = modules.bind(py);
            std::mem::replace(count, modules.len()) == modules.len()
                || modules.contains(intern!(py, "threading")).is_ok_and(|is_imported| !is_imported)
        };
        if self.is_made || self.modules.as_mut().is_some_and(is_too_early) {
            return;
        }
        self.is_made = match thread::current().name() {
            // Threads that Python has started have no name here, or that of Rust's main thread.
            None | Some("main") => true,
            Some(name) => introduce(py, name),
        };
        if !self.is_made {
            let modules = py.import("sys").and_then(|sys| Ok(sys.getattr("modules")?.cast_into::<PyDict>()?));
            // Of no number, so that they are looked through once more.
            self.modules = modules.ok().map(|modules| (modules.unbind(), 0));
        }
    }
}

fn introduce(py: Python<'_>, name: &str) -> bool {
    let introduced = py.import("portico.threads").and_then(|threads| threads.call_method1("introduce", (name,)));
    match introduced.and_then(|introduced| introduced.extract()) {
        Ok(introduced) => introduced,
        Err(error) => {
            // The application has changed `threading` beyond recognition; its calls are served all the same.
            log(Level::Warning, &format!("thread {name} is not known to threading: {error}"));
            true
        }
    }
}
