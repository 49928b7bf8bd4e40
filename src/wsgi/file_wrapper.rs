//! `wsgi.file_wrapper` (PEP 3333 "Optional Platform-Specific File Handling"): an iterable over a
//! file-like object, which the server recognises and sends with sendfile(2) where there is a real file.

use portico_engine::descriptor;
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use std::fs::File;
use std::os::fd::RawFd;

/// `wsgi.file_wrapper(filelike, blksize)`.
#[pyclass(frozen, module = "portico._core")]
pub struct FileWrapper {
    /// The file-like object.
    #[pyo3(get)]
    filelike: Py<PyAny>,
    /// Bytes asked of `read` at a time.
    #[pyo3(get)]
    blksize: usize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, blksize=8192, /))]
    fn new(filelike: Py<PyAny>, blksize: usize) -> Self {
        FileWrapper { filelike, blksize }
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let block = self.filelike.bind(py).call_method1("read", (self.blksize,))?;
        if block.is_truthy()? { Ok(block.unbind()) } else { Err(PyStopIteration::new_err(())) }
    }

    /// Closes the file-like object if it can be closed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.filelike.bind(py).getattr_opt("close")? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }
}

impl FileWrapper {
    /// The regular file behind the wrapper, its position and the bytes from there to its end; none if
    /// there is no such file, and the wrapper has to be iterated.
    pub fn regular_file(&self, py: Python<'_>) -> Option<(File, u64, u64)> {
        let filelike = self.filelike.bind(py);
        let number: RawFd = filelike.call_method0("fileno").ok()?.extract().ok()?;
        let position: u64 = filelike.call_method0("tell").ok()?.extract().ok()?;
        // A number that is no descriptor makes this fail, whatever it is.
        let file = File::from(descriptor::duplicate(number).ok()?);
        let metadata = file.metadata().ok()?;
        metadata.is_file().then(|| (file, position, metadata.len().saturating_sub(position)))
    }
}
