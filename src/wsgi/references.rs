//! How many hold on to an object: what nobody else has kept is used again for the next request.
//!
//! Without the interpreter's lock the count is two (PEP 703, "Biased Reference Counting"): of the references that the thread
//! has which made the object, and of those that all others have. Their sum says nothing: others come and go while it is
//! made. Here an object is nobody else's if no other thread has a reference, nor a weak one to make one from; and all
//! that is asked about was made by the thread that asks.

use pyo3::prelude::*;
#[cfg(Py_GIL_DISABLED)]
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// In the count of the references of other threads, one.
#[cfg(Py_GIL_DISABLED)]
const ONE_SHARED: isize = 1 << 2;
/// In place of the own references of an object that nobody counts.
#[cfg(Py_GIL_DISABLED)]
const IMMORTAL: u32 = u32::MAX;

/// Whether the engine holds the only reference.
pub fn is_unshared<T>(object: &Py<T>) -> bool {
    is_only_ours(object, 1)
}

/// Whether there are no references to `object` but the engine's, of which there are `ours`.
#[cfg(not(Py_GIL_DISABLED))]
pub fn is_only_ours<T>(object: &Py<T>, ours: usize) -> bool {
    #[expect(unsafe_code, reason = "pyo3 leaves reference counts to its FFI")]
    // SAFETY: the object is alive, and callers are attached to the interpreter.
    let references = unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) };
    usize::try_from(references) == Ok(ours)
}

/// Whether there are no references to `object` but the engine's, of which there are `ours`, all of this thread.
#[cfg(Py_GIL_DISABLED)]
pub fn is_only_ours<T>(object: &Py<T>, ours: usize) -> bool {
    #[expect(unsafe_code, reason = "pyo3 leaves reference counts to its FFI")]
    // SAFETY: the object is alive, and both counts are atomics.
    let counted = unsafe { &*object.as_ptr() };
    // Acquired: what other threads have done with it before they let go of it has been done.
    usize::try_from(counted.ob_ref_local.load(Relaxed)) == Ok(ours) && counted.ob_ref_shared.load(Acquire) == 0
}

/// A reference that another thread will let go of. Without the interpreter's lock it is counted as that thread's: else the
/// object would stay until the thread that has made it, which may be idle, runs Python code again (PEP 703, as above).
pub fn for_another_thread<T>(object: &Bound<'_, T>) -> Py<T> {
    #[cfg(Py_GIL_DISABLED)]
    {
        #[expect(unsafe_code, reason = "pyo3 leaves reference counts to its FFI")]
        // SAFETY: the object is alive, and both counts are atomics.
        let counted = unsafe { &*object.as_ptr() };
        if counted.ob_ref_local.load(Relaxed) != IMMORTAL {
            counted.ob_ref_shared.fetch_add(ONE_SHARED, Relaxed);
            #[expect(unsafe_code, reason = "pyo3 leaves reference counts to its FFI")]
            // SAFETY: the reference was counted just now, as the interpreter counts one that is taken by a thread which has
            // not made the object; and the type is that of `object`.
            return unsafe { Bound::from_owned_ptr(object.py(), object.as_ptr()).cast_into_unchecked().unbind() };
        }
    }
    object.clone().unbind()
}
