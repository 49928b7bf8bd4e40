//! The calls of one crew thread as a profile sees them: which route a call was for is known at its end, since a framework
//! may have found it by then. While nobody profiles a call pays two looks at a flag for that.

use portico_engine::lock::lock;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// As much of a route as is kept.
const MOST_CHARACTERS: usize = 200;

/// One call after the other.
pub struct Watched {
    /// Whether somebody profiles; the same for all threads.
    is_on: Arc<AtomicBool>,
    /// The start of the call that was sampled last.
    sampled_ns: AtomicU64,
    /// Whether the route of the call that runs will be told.
    will_tell: AtomicBool,
    /// The starts of the calls that were sampled and have ended, with their routes.
    ended: Mutex<Vec<(u64, String)>>,
}

impl Watched {
    /// The calls of a thread, to be watched while `is_on`.
    pub fn new(is_on: Arc<AtomicBool>) -> Watched {
        Watched { is_on, sampled_ns: AtomicU64::new(0), will_tell: AtomicBool::new(false), ended: Mutex::default() }
    }

    /// A call has this environ; returns what `leave` is to be given.
    pub fn enter(&self, environ: &Bound<'_, PyDict>) -> Option<Py<PyDict>> {
        self.is_on.load(Relaxed).then(|| {
            self.will_tell.store(true, Relaxed);
            environ.clone().unbind()
        })
    }

    /// The call that began at `started_ns` has ended.
    pub fn leave(&self, py: Python<'_>, started_ns: u64, environ: Option<Py<PyDict>>) {
        if let Some(environ) = environ {
            self.tell(environ.bind(py), started_ns);
        }
    }

    #[cold]
    fn tell(&self, environ: &Bound<'_, PyDict>, started_ns: u64) {
        self.will_tell.store(false, Relaxed);
        if self.sampled_ns.load(Relaxed) == started_ns {
            let route = route_of(environ);
            lock(&self.ended).push((started_ns, route));
        }
    }

    /// The call that began at `started_ns` is sampled: its route is wanted. Says whether that will be told.
    pub fn sample(&self, started_ns: u64) -> bool {
        self.sampled_ns.store(started_ns, Relaxed);
        self.will_tell.load(Relaxed)
    }

    /// The sampled calls that have ended since the last time, with their routes.
    pub fn take_ended(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut *lock(&self.ended))
    }
}

/// The framework's route, or else the path.
fn route_of(environ: &Bound<'_, PyDict>) -> String {
    let py = environ.py();
    let text = |name: &Bound<'_, PyString>| -> Option<String> {
        environ.get_item(name).ok()??.cast::<PyString>().ok()?.to_str().ok().map(str::to_owned)
    };
    let route = text(intern!(py, "portico.route")).filter(|route| !route.is_empty()).unwrap_or_else(|| {
        let path = [intern!(py, "SCRIPT_NAME"), intern!(py, "PATH_INFO")].map(|name| text(name).unwrap_or_default());
        // A character for each byte of the client's (PEP 3333, "Unicode Issues").
        let bytes: Vec<u8> = path.concat().chars().filter_map(|character| u8::try_from(character).ok()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    route.chars().take(MOST_CHARACTERS).collect()
}
