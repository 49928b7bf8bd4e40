//! The interpreter's wakeup descriptor (`signal.set_wakeup_fd`): where it writes the number of each signal that it has a
//! handler for, so that the engine gets to know of it while all threads wait outside the interpreter.
//!
//! There is one for the whole process, and an application may have set its own.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::c_int;

/// The descriptor that signals should be written to.
pub struct Wakeup(pub c_int);

impl Wakeup {
    /// Sets it again if somebody has unset it, as an asyncio loop does at its end. False if somebody has set another,
    /// which stays. On the main thread only.
    pub fn keep(&self, py: Python<'_>) -> PyResult<bool> {
        // What `signal` wraps: that costs a worker 0.3 MB.
        let set = py.import("_signal")?.getattr("set_wakeup_fd")?;
        let quietly = PyDict::new(py);
        quietly.set_item("warn_on_full_buffer", false)?;
        let before: c_int = set.call((self.0,), Some(&quietly))?.extract()?;
        let is_ours = before == self.0 || before < 0;
        if !is_ours {
            set.call1((before,))?;
        }
        Ok(is_ours)
    }
}
