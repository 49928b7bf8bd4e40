//! Objects of Python that the engine lets go of without the interpreter, such as a block of a response once it is sent: the
//! interpreter has them back when a thread attaches to it the next time, which may be at the next request only. So that
//! large blocks do not stay that long, a plain thread attaches soon, where nobody else does. It lives while such objects
//! come.

use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

/// How long objects may wait: to attach for each of them would cost more than they do.
const DELAY: Duration = Duration::from_millis(20);
/// How long the end of a server waits for the thread.
const LEAVE: Duration = Duration::from_millis(200);

/// Whether objects wait that the thread has not seen.
static ARE_WAITING: AtomicBool = AtomicBool::new(false);
/// Whether the thread lives.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// Objects were let go of.
pub fn give_back_soon() {
    ARE_WAITING.store(true, SeqCst);
    if !IS_RUNNING.swap(true, SeqCst) {
        let started = Builder::new().name("portico-release".into()).spawn(run);
        if started.is_err() {
            // The next request gives them back.
            IS_RUNNING.store(false, SeqCst);
        }
    }
}

/// Waits until the thread has ended, so that it meets no interpreter that is on its way out. Not attached to it.
pub fn wait_for_end() {
    let deadline = Instant::now() + LEAVE;
    while IS_RUNNING.load(SeqCst) && Instant::now() < deadline {
        sleep(DELAY / 4);
    }
}

fn run() {
    loop {
        sleep(DELAY);
        if ARE_WAITING.swap(false, SeqCst) {
            // To attach is what gives them back.
            let _ = Python::try_attach(|_| ());
            continue;
        }
        IS_RUNNING.store(false, SeqCst);
        // Who came before that has not started another thread.
        if !ARE_WAITING.load(SeqCst) || IS_RUNNING.swap(true, SeqCst) {
            return;
        }
    }
}
