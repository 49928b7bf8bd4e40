//! `wsgi.file_wrapper` (PEP 3333 "Optional Platform-Specific File Handling"): an iterable over a file-like object. The
//! server recognises it, and sends what reading it would give: with sendfile(2) where that is the bytes of a plain file.
//!
//! Whether it is, the types say, not `fileno()`: a file of `gzip` has the descriptor of the compressed one.

use portico_engine::descriptor;
use portico_engine::message::send_queue::FileRange;
use pyo3::exceptions::{PyStopIteration, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};
use std::fs::File;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// Bytes asked of `read` at a time, where nothing else is said.
const BLOCK_BYTES: isize = 8192;

/// A type of the `io` module.
struct IoType {
    name: &'static str,
    kind: PyOnceLock<Py<PyType>>,
}

impl IoType {
    const fn called(name: &'static str) -> IoType {
        IoType { name, kind: PyOnceLock::new() }
    }
}

static BYTES_IO: IoType = IoType::called("BytesIO");
static FILE_IO: IoType = IoType::called("FileIO");
static BUFFERED_READER: IoType = IoType::called("BufferedReader");
static BUFFERED_RANDOM: IoType = IoType::called("BufferedRandom");

/// `wsgi.file_wrapper(filelike, blksize)`.
#[pyclass(frozen, module = "portico._core")]
pub struct FileWrapper {
    /// The file-like object.
    #[pyo3(get)]
    filelike: Py<PyAny>,
    /// Bytes asked of `read` at a time.
    #[pyo3(get)]
    blksize: isize,
}

/// What reading a wrapped object would give, as far as that is known without reading it block by block.
pub enum Content<'py> {
    /// These bytes of a plain file.
    Plain(FileRange),
    /// What is left of a file in memory.
    InMemory(Bound<'py, PyAny>),
    /// Only reading tells.
    Unknown,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, blksize=None, *, block_size=None))]
    fn new(filelike: Py<PyAny>, blksize: Option<isize>, block_size: Option<isize>) -> PyResult<Self> {
        // PEP 3333 calls it both.
        let blksize = match (blksize, block_size) {
            (Some(_), Some(_)) => return Err(PyTypeError::new_err("blksize and block_size are the same: give one")),
            (given, None) | (None, given) => given.unwrap_or(BLOCK_BYTES),
        };
        if blksize < 1 {
            return Err(PyValueError::new_err(format!("blksize: expected a number of bytes from 1 on, got {blksize}")));
        }
        Ok(FileWrapper { filelike, blksize })
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

    /// Whether the file-like object can seek: a part of it can be sent without reading what is before.
    fn seekable(&self, py: Python<'_>) -> PyResult<bool> {
        let filelike = self.filelike.bind(py);
        match filelike.getattr_opt("seekable")? {
            Some(seekable) => seekable.call0()?.is_truthy(),
            None => filelike.hasattr("seek"),
        }
    }

    /// As of the file-like object.
    #[pyo3(signature = (offset, whence=0, /))]
    fn seek<'py>(&self, py: Python<'py>, offset: i64, whence: i32) -> PyResult<Bound<'py, PyAny>> {
        self.filelike.bind(py).call_method1("seek", (offset, whence))
    }

    /// As of the file-like object.
    fn tell<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.filelike.bind(py).call_method0("tell")
    }
}

impl FileWrapper {
    /// What reading it would give.
    ///
    /// # Errors
    /// What the file in memory says, such as that it is closed.
    pub fn content<'py>(&self, py: Python<'py>) -> PyResult<Content<'py>> {
        let filelike = self.filelike.bind(py);
        if is_exactly(filelike, &BYTES_IO) {
            return Ok(Content::InMemory(filelike.call_method0("read")?));
        }
        // Whatever fails here fails again, and with a traceback, when it is read.
        Ok(plain_file(filelike).unwrap_or_default().map_or(Content::Unknown, Content::Plain))
    }
}

/// The bytes that reading `filelike` would give, if these are the ones of a plain file that it has open.
fn plain_file(filelike: &Bound<'_, PyAny>) -> PyResult<Option<FileRange>> {
    let unwrapped = temporary_file(filelike)?;
    let file = unwrapped.as_ref().unwrap_or(filelike);
    if is_exactly(file, &BUFFERED_RANDOM) {
        // What was written and is not in the file yet.
        file.call_method0("flush")?;
    } else if !is_exactly(file, &BUFFERED_READER) && !is_exactly(file, &FILE_IO) {
        return Ok(None);
    }
    if !is_exactly(file, &FILE_IO) && !is_exactly(&file.getattr("raw")?, &FILE_IO) {
        return Ok(None);
    }
    let number: RawFd = file.call_method0("fileno")?.extract()?;
    // With what is buffered taken into account.
    let offset: u64 = file.call_method0("tell")?.extract()?;
    // A disk may be slow.
    let opened = file.py().detach(|| {
        let file = File::from(descriptor::duplicate(number).ok()?);
        let size = true_size(&file)?;
        Some((file, size))
    });
    Ok(opened.map(|(file, size)| FileRange {
        file: Arc::new(file),
        offset,
        length: size.saturating_sub(offset),
        threads: None,
    }))
}

/// The file of a `tempfile.NamedTemporaryFile`, whose methods are the file's own: it is a plain one with a name that goes.
fn temporary_file<'py>(filelike: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    const NAME: &str = "_TemporaryFileWrapper";
    let kind = filelike.get_type();
    if kind.name()? != NAME || !kind.is(filelike.py().import("tempfile")?.getattr(NAME)?) {
        return Ok(None);
    }
    let file = filelike.getattr("file")?;
    // It remembers its file's methods when they have been asked for; another one is somebody's own.
    match filelike.getattr("__dict__")?.cast::<PyDict>()?.get_item("read")? {
        Some(read) if !read.getattr("__wrapped__")?.eq(file.getattr("read")?)? => Ok(None),
        _ => Ok(Some(file)),
    }
}

/// Whether an object is of this type of the `io` module, and of no subclass, and nobody has given it a method of its own.
fn is_exactly(object: &Bound<'_, PyAny>, of: &IoType) -> bool {
    const METHODS: [&str; 4] = ["read", "readinto", "fileno", "tell"];
    let is_as_made = || -> PyResult<bool> {
        let own = object.getattr("__dict__")?;
        let own = own.cast::<PyDict>()?;
        Ok(own.is_empty() || !METHODS.iter().any(|method| own.contains(method).unwrap_or(true)))
    };
    let is_of_type = of.kind.import(object.py(), "io", of.name).is_ok_and(|kind| object.get_type().is(kind));
    is_of_type && is_as_made().unwrap_or(false)
}

/// The size of a regular file, if it is true: those that the kernel makes up when they are read (/proc, /sys) say
/// nothing, or a page, and others grow while they are looked at.
fn true_size(file: &File) -> Option<u64> {
    let metadata = file.metadata().ok()?;
    let last = metadata.len().checked_sub(1)?;
    let mut two = [0; 2];
    let is_last = file.read_at(&mut two, last).ok()? == 1;
    (metadata.is_file() && is_last).then_some(metadata.len())
}
