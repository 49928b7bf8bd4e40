//! How many hold on to an object: what nobody else has kept is used again for the next request.

use pyo3::prelude::*;

/// Whether the engine holds the only reference.
pub fn is_unshared<T>(object: &Py<T>) -> bool {
    is_only_ours(object, 1)
}

/// Whether there are no references to `object` but the engine's, of which there are `ours`.
pub fn is_only_ours<T>(object: &Py<T>, ours: usize) -> bool {
    #[expect(unsafe_code, reason = "pyo3 leaves reference counts to its FFI")]
    // SAFETY: the object is alive, and callers are attached to the interpreter.
    let references = unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) };
    usize::try_from(references) == Ok(ours)
}
