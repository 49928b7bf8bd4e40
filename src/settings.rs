//! The settings, read from Python's `Settings` object: each field of the engine's is the attribute of the same name.

use portico_engine::settings::Source;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A Python object whose attributes are the settings.
pub struct Attributes<'a, 'py>(pub &'a Bound<'py, PyAny>);

impl Source for Attributes<'_, '_> {
    type Error = PyErr;

    fn integer(&self, name: &'static str) -> PyResult<u64> {
        self.0.getattr(name)?.extract().map_err(|error| self.about(name, error))
    }

    fn number(&self, name: &'static str) -> PyResult<f64> {
        self.0.getattr(name)?.extract().map_err(|error| self.about(name, error))
    }

    fn flag(&self, name: &'static str) -> PyResult<bool> {
        self.0.getattr(name)?.extract().map_err(|error| self.about(name, error))
    }

    fn text(&self, name: &'static str) -> PyResult<String> {
        self.0.getattr(name)?.extract().map_err(|error| self.about(name, error))
    }

    fn texts(&self, name: &'static str) -> PyResult<Vec<String>> {
        self.0.getattr(name)?.extract().map_err(|error| self.about(name, error))
    }

    fn invalid(&self, name: &'static str, why: String) -> PyErr {
        PyValueError::new_err(format!("{name}: {why}"))
    }
}

impl Attributes<'_, '_> {
    /// Says which setting an error is about.
    fn about(&self, name: &str, error: PyErr) -> PyErr {
        let said = PyErr::from_type(error.get_type(self.0.py()), format!("{name}: {error}"));
        said.set_cause(self.0.py(), Some(error));
        said
    }
}
