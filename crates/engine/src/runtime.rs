//! What drives the tasks of a server: a runtime of tokio's, on whichever thread calls it, and the timers of its tasks.

use crate::timer::Timers;
use std::io;
use std::sync::Arc;
use tokio::runtime::{Builder, EnterGuard, Handle};

/// A runtime.
pub struct Runtime {
    tokio: tokio::runtime::Runtime,
    timers: Arc<Timers>,
}

impl Runtime {
    /// A runtime that no thread drives yet.
    ///
    /// # Errors
    /// There are no descriptors left, or no memory.
    pub fn new() -> io::Result<Runtime> {
        let tokio = Builder::new_current_thread().enable_io().build()?;
        let timers = Timers::start(&tokio)?;
        Ok(Runtime { tokio, timers })
    }

    /// Drives it until `future` is ready. A second caller waits until the first has left, then takes over.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.timers.use_here();
        self.tokio.block_on(future)
    }

    /// Spawns a task, from wherever.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        // Nobody waits for it.
        drop(self.tokio.spawn(future));
    }

    /// Lets what the calling thread makes register with the reactor, until the guard is dropped.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.tokio.enter()
    }

    /// What spawns tasks.
    pub fn handle(&self) -> &Handle {
        self.tokio.handle()
    }
}
