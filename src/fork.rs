//! Forking this process with the interpreter in it, as `os.fork` does, but for whose child the new process is.

use portico_engine::orphan;
use pyo3::ffi::{PyOS_AfterFork_Child, PyOS_AfterFork_Parent, PyOS_BeforeFork};
use pyo3::prelude::*;
use std::io;

/// Returns the number of the new process, or 0 in it. What is registered with `os.register_at_fork` is called once in each
/// of the two, and not in the process that is between them for a moment.
pub fn fork_orphan(_attached: Python<'_>) -> io::Result<i32> {
    #[expect(unsafe_code, reason = "pyo3 has no fork")]
    // SAFETY: this thread is attached to the interpreter. The three are called as `os.fork` calls them: before, and then the
    // one that is for the process, also where there is no new one.
    unsafe {
        PyOS_BeforeFork();
        let forked = orphan::fork_orphan();
        if matches!(forked, Ok(0)) {
            PyOS_AfterFork_Child();
        } else {
            PyOS_AfterFork_Parent();
        }
        forked
    }
}
