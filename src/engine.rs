//! One worker's shared state: what every connection task and every crew thread can see.
//!
//! There is one engine in a process, made after the fork and never freed; so everything refers to
//! it by a plain `&'static`.

use crate::access_log::{AccessLog, Record};
use crate::admission::Admission;
use crate::bounds::Bounds;
use crate::budget::Budget;
use crate::connection::{Connection, Inbound};
use crate::crew::Crew;
use crate::deadlines::Deadlines;
use crate::listener::Listener;
use crate::scoreboard::Slot;
use crate::settings::Settings;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Runtime;

/// Read buffers kept for reuse.
const POOLED_BUFFERS: usize = 64;

/// The shared state.
pub struct Engine {
    /// Bounds and times.
    pub bounds: Bounds,
    /// Where connections come from.
    pub listeners: Vec<Listener>,
    /// Drives all I/O, on whichever thread calls `block_on`.
    pub runtime: Runtime,
    /// Who calls the application.
    pub crew: Crew,
    /// This worker's counters.
    pub slot: &'static Slot,
    /// Where access lines go, if they are wanted.
    pub access_log: Option<AccessLog>,
    /// Set once the worker is to leave: answers announce `Connection: close`.
    pub draining: AtomicBool,
    /// Connections in all and by address.
    pub admission: Admission,
    /// All connections that have a task, and when they are late.
    pub deadlines: Deadlines,
    /// Memory of read buffers and bodies.
    pub memory: Budget,
    /// Bytes in temporary files of bodies and answers.
    pub temporary: Budget,
    /// The temporary files themselves: each is a descriptor.
    pub files: Budget,
    /// Connections with gathered response bytes, for the sentinel.
    pub gathered: Gathered,
    #[expect(clippy::vec_box, reason = "buffers travel boxed: moving them through queues and tasks stays cheap")]
    buffers: Mutex<Vec<Box<Inbound>>>,
}

impl Engine {
    /// An engine ready to serve.
    pub fn new(
        settings: &Settings,
        bounds: Bounds,
        listeners: Vec<Listener>,
        runtime: Runtime,
        slot: &'static Slot,
    ) -> Engine {
        let access_log =
            (settings.access_log_fd >= 0).then(|| AccessLog::new(settings.access_log_fd, settings.access_log_colour));
        Engine {
            listeners,
            runtime,
            crew: Crew::new(settings.threads.max(1), bounds.in_flight, bounds.queue_ns),
            slot,
            access_log,
            draining: AtomicBool::new(false),
            admission: Admission::new(bounds.connections, bounds.connections_per_address),
            deadlines: Deadlines::default(),
            memory: Budget::new(settings.max_buffered_bytes),
            temporary: Budget::new(settings.max_temporary_bytes),
            files: Budget::new(bounds.temporary_files),
            bounds,
            gathered: Gathered::default(),
            buffers: Mutex::default(),
        }
    }

    /// An empty read buffer.
    pub fn take_buffer(&'static self) -> Box<Inbound> {
        lock(&self.buffers).pop().unwrap_or_else(|| Box::new(Inbound::new(&self.memory)))
    }

    /// Gives a read buffer back.
    pub fn return_buffer(&self, mut buffer: Box<Inbound>) {
        if buffer.reset() {
            let mut buffers = lock(&self.buffers);
            if buffers.len() < POOLED_BUFFERS {
                buffers.push(buffer);
            }
        }
    }

    /// Tells of a finished request in the access log, if there is one.
    pub fn log_access(&'static self, record: &Record<'_>) {
        if let Some(access_log) = &self.access_log
            && access_log.add(record)
        {
            // Not here: this may be attached to the interpreter, and a disk slow.
            self.runtime.spawn(async { access_log.flush() });
        }
    }

    /// Whether this worker is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Whether connections may outlive an answer.
    pub fn keeps_connections(&self) -> bool {
        self.bounds.keep_alive_ms > 0 && !self.is_draining()
    }
}

/// Locks `mutex`; a panic elsewhere must not take the worker's other connections down.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections whose gathered bytes wait for the sentinel's next tick.
#[derive(Default)]
pub struct Gathered {
    waiting: Mutex<Vec<Arc<Connection>>>,
    any: AtomicBool,
}

impl Gathered {
    /// Adds a connection; true if it is the first one waiting.
    pub fn add(&self, connection: Arc<Connection>) -> bool {
        lock(&self.waiting).push(connection);
        !self.any.swap(true, SeqCst)
    }

    /// Whether any wait.
    pub fn is_any(&self) -> bool {
        self.any.load(SeqCst)
    }

    /// Takes all that wait.
    pub fn take(&self) -> Vec<Arc<Connection>> {
        if self.any.swap(false, SeqCst) { std::mem::take(&mut *lock(&self.waiting)) } else { Vec::new() }
    }
}
