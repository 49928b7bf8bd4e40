//! A process that the application has forked during its call must not come back from it: the response is its parent's, and
//! so is everything else of the server. It ends here, as it would have at the end of a program.

use crate::shown::traceback;
use portico_engine::fork::is_child;
use portico_engine::log::{Level, log, log_failure};
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use std::fmt::Display;

/// Ends the process if the application has forked it; `error` is what it has raised, `who` is the application.
pub fn end_child(py: Python<'_>, who: &dyn Display, error: Option<&PyErr>) {
    if !is_child() {
        return;
    }
    let code = match error {
        None => {
            let text = "a process that it has forked returned from the call, and is ended: only its parent responds. \
                        End it with os._exit(), or use subprocess or multiprocessing";
            log(Level::Warning, &format!("the application {who}: {text}"));
            0
        }
        Some(error) => exit_code(py, error).unwrap_or_else(|| {
            let text = traceback(py, error);
            log(
                Level::Error,
                &format!("the application {who}: a process that it has forked failed, and is ended\n{text}"),
            );
            1
        }),
    };
    let _ = flush(py);
    let _ = py.import("os").and_then(|os| os.call_method1("_exit", (code,)));
    // It has not.
    std::process::abort();
}

/// What sys.exit() asks for; its text goes to the log.
fn exit_code(py: Python<'_>, error: &PyErr) -> Option<i32> {
    if !error.is_instance_of::<PySystemExit>(py) {
        return None;
    }
    let code = error.value(py).getattr("code").ok()?;
    if code.is_none() {
        return Some(0);
    }
    Some(code.extract().unwrap_or_else(|_| {
        log_failure(&code.to_string());
        1
    }))
}

fn flush(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    for name in ["stdout", "stderr"] {
        sys.getattr(name)?.call_method0("flush")?;
    }
    Ok(())
}
