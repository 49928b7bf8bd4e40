//! One worker's shared state: what every connection task and every crew thread can see.
//!
//! There is one engine in a process, made after the fork and never freed; so everything refers to
//! it by a plain `&'static`.

use crate::access_log::AccessLog;
use crate::connection::{Connection, Inbound};
use crate::crew::Crew;
use crate::scoreboard::Slot;
use portico_wire::Limits;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::runtime::Runtime;

/// Read buffers kept for reuse.
const POOLED_BUFFERS: usize = 64;

/// Bounds and times, already in the engine's units.
pub struct Bounds {
    /// Limits of request heads and chunk lines.
    pub wire: Limits,
    /// How long an idle connection is kept.
    pub keep_alive_ms: u64,
    /// Largest request body; `u64::MAX` is no limit.
    pub request_body_bytes: u64,
    /// Body bytes kept in memory.
    pub body_memory_bytes: u64,
    /// Body bytes buffered before the call.
    pub body_spool_bytes: u64,
}

/// The shared state.
pub struct Engine {
    /// Bounds and times.
    pub bounds: Bounds,
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
    /// All connections that have a task, for the deadline sweep.
    pub connections: Registry,
    /// Connections with gathered response bytes, for the sentinel.
    pub gathered: Gathered,
    #[expect(clippy::vec_box, reason = "buffers travel boxed: moving them through queues and tasks stays cheap")]
    buffers: Mutex<Vec<Box<Inbound>>>,
}

impl Engine {
    /// An engine ready to serve.
    pub fn new(bounds: Bounds, runtime: Runtime, crew: Crew, slot: &'static Slot, log: Option<AccessLog>) -> Engine {
        Engine {
            bounds,
            runtime,
            crew,
            slot,
            access_log: log,
            draining: AtomicBool::new(false),
            connections: Registry::default(),
            gathered: Gathered::default(),
            buffers: Mutex::default(),
        }
    }

    /// An empty read buffer.
    #[expect(clippy::unnecessary_box_returns, reason = "it comes from the pool boxed")]
    pub fn take_buffer(&self) -> Box<Inbound> {
        lock(&self.buffers).pop().unwrap_or_default()
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

    /// Whether this worker is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }
}

/// Locks `mutex`; a panic elsewhere must not take the worker's other connections down.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Weak references to all connections that have a task.
#[derive(Default)]
pub struct Registry(Mutex<Places>);

#[derive(Default)]
struct Places {
    taken: Vec<Option<Weak<Connection>>>,
    free: Vec<usize>,
}

impl Registry {
    /// Adds a connection and returns its place.
    pub fn add(&self, connection: &Arc<Connection>) -> usize {
        let mut places = lock(&self.0);
        let weak = Some(Arc::downgrade(connection));
        if let Some(place) = places.free.pop() {
            places.taken[place] = weak;
            place
        } else {
            places.taken.push(weak);
            places.taken.len() - 1
        }
    }

    /// Frees a place.
    pub fn remove(&self, place: usize) {
        let mut places = lock(&self.0);
        if let Some(taken) = places.taken.get_mut(place) {
            *taken = None;
            places.free.push(place);
        }
    }

    /// The connections alive now.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        lock(&self.0).taken.iter().flatten().filter_map(Weak::upgrade).collect()
    }
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
