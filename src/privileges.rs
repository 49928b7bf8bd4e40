//! What Python has this process give up, for portico/process/privileges.py.

use crate::os_error::OsError;
use portico_engine::{landlock, privileges};
use pyo3::prelude::*;
use std::path::PathBuf;

/// Lets no program that is started here have other capabilities; these outlive a change of the user.
#[pyfunction]
fn bound_capabilities(kept: Vec<u32>) -> Result<(), OsError> {
    Ok(privileges::bound_capabilities(&kept)?)
}

/// Gives up all other capabilities.
#[pyfunction]
fn hold_capabilities(kept: Vec<u32>) -> Result<(), OsError> {
    Ok(privileges::hold_capabilities(&kept)?)
}

/// Lets no program that is started here gain anything by its file.
#[pyfunction]
fn gain_no_privileges() -> Result<(), OsError> {
    Ok(privileges::gain_no_privileges()?)
}

/// Lets this process write nowhere else; false where the kernel has no Landlock.
#[pyfunction]
fn restrict_writes(writable: Vec<PathBuf>) -> Result<bool, OsError> {
    Ok(landlock::restrict_writes(&writable)?)
}

/// Adds the functions to `module`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(bound_capabilities, module)?)?;
    module.add_function(wrap_pyfunction!(hold_capabilities, module)?)?;
    module.add_function(wrap_pyfunction!(gain_no_privileges, module)?)?;
    module.add_function(wrap_pyfunction!(restrict_writes, module)?)
}
