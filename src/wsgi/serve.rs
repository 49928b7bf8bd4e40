//! A server of a Python application: the engine is made, its crew threads attach to the interpreter, and all ends here.

use super::Bridge;
use super::environ::{Common, Environ};
use super::thread;
use crate::process::Process;
use portico_engine::engine::{Application, CrewThread, Ended, Engine};
use portico_engine::scoreboard::SlotRef;
use portico_engine::settings::Settings;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;

/// Serves until told to stop; the calling thread is the crew's first. True if nothing was aborted.
pub fn serve(
    py: Python<'_>,
    application: Py<PyAny>,
    settings: Settings,
    process: Process,
    slot: SlotRef,
) -> PyResult<bool> {
    let (multithread, script_name) = (settings.threads > 1, settings.script_name.clone());
    let Process { engine: of_engine, multiprocess, errors } = process;
    let engine = Engine::new(settings, of_engine, slot)
        .map_err(|error| PyOSError::new_err(format!("cannot make the I/O runtime: {error}")))?;
    let common = Common { multithread, multiprocess, errors: &errors, script_name: &script_name };
    let environ = Environ::new(py, engine.listeners(), &common)?;
    thread::prepare(py)?;
    let application = PythonApplication { application, environ };
    // Each thread attaches by itself, this one too.
    match py.detach(|| engine.serve(application)) {
        Ok(ended) => Ok(ended == Ended::InPeace),
        Err(error) => Err(PyRuntimeError::new_err(error)),
    }
}

/// What every crew thread makes its bridge from.
struct PythonApplication {
    application: Py<PyAny>,
    environ: Environ,
}

impl Application for PythonApplication {
    fn run(&self, thread: CrewThread<'_>) -> Result<(), String> {
        // Fails where the interpreter is on its way out.
        let ran = thread::attach(|py| {
            let mut bridge = Bridge::new(py, &self.application, &self.environ).map_err(|error| error.to_string())?;
            thread.serve(&mut bridge);
            Ok(())
        });
        ran.unwrap_or_else(|| Err("the interpreter has ended".into()))
    }
}
