//! What the engine has to know of fork(2) in an application: whether other processes may hold its sockets, and whether this
//! is such a process, in which nothing of a server goes on. Told by who sees the fork; the same for all servers of the
//! process.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static HAS_FORKED: AtomicBool = AtomicBool::new(false);
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// The process is about to fork.
pub fn before_fork() {
    HAS_FORKED.store(true, Relaxed);
}

/// This process is the new one.
pub fn after_fork_in_child() {
    IS_CHILD.store(true, Relaxed);
}

/// Whether this is a process that an application has forked: sockets are those of its parent.
pub fn is_child() -> bool {
    IS_CHILD.load(Relaxed)
}

/// Whether a socket may be open in other processes: then closing it here does not end the connection.
pub fn are_sockets_shared() -> bool {
    HAS_FORKED.load(Relaxed) && !is_child()
}
