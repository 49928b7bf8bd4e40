//! The thread of an event loop that is not ours, in place of the crew's threads: it takes requests out of the queue and has
//! as many calls at a time as there are cells, each of which gives the thread up where it waits. I/O is driven by a plain
//! thread, `portico-io`, for as long as the server lives; so nothing here ever drives it.

use crate::access_log::record::Keeper;
use crate::calls::{Caller, Calls};
use crate::exchange::request::Request;
use crate::resources::Resources;
use crate::server::Server;
use crate::summons::Summons;
use crate::timer::sleep;
use portico_crew::JobHandler as _;
use rustix::thread::gettid;
use std::io;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;

/// Between the first of coalesced bytes and their leaving: what follows closely leaves with them.
const FLUSH: Duration = Duration::from_micros(450);

/// A server, as the thread of an event loop has it.
pub struct LoopThread {
    server: Arc<Server>,
    /// How it is told that there is something to do.
    pub summons: Arc<Summons>,
    waker: Waker,
    /// The kernel's number of it.
    thread_id: u64,
}

impl LoopThread {
    /// That of `server`: the calling thread.
    pub(crate) fn new(server: Arc<Server>) -> io::Result<LoopThread> {
        let Resources { slot, settings, .. } = &*server.resources;
        // Behind those of the calls.
        let summons = Summons::new(slot.clone(), settings.most_calls())?;
        let thread_id = gettid().as_raw_nonzero().get().unsigned_abs().into();
        Ok(LoopThread { waker: summons.clone().into(), summons, server, thread_id })
    }

    /// What the server shares.
    pub fn resources(&self) -> &Arc<Resources> {
        &self.server.resources
    }

    /// The next request, if one waits.
    pub fn next(&self) -> Option<Request> {
        match self.server.crew.poll_next(&self.waker) {
            Poll::Ready(request) => request,
            Poll::Pending => None,
        }
    }

    /// Whether a request waits, or the server has ended. If not, what was put off is done, and the thread is summoned once
    /// there is something to look at.
    pub fn is_due(&self) -> bool {
        let is_due = self.server.crew.is_ready(&self.waker);
        if !is_due {
            self.server.resources.flush_access_log();
        }
        is_due
    }

    /// Whether the server has ended.
    pub fn is_over(&self) -> bool {
        self.server.crew.has_stopped()
    }

    /// Handles signals that have come, with nothing locked; the thread is summoned by the next.
    pub fn handle_interrupts(&self) {
        let interrupts = &self.server.resources.interrupts;
        if interrupts.is_due(&self.waker) {
            interrupts.handle();
        }
    }

    /// How many requests wait.
    pub fn queued(&self) -> usize {
        self.server.crew.queued()
    }

    /// Calls the application, in a cell that no other call is in. `spare` is the cell's, for what is kept of its calls.
    pub fn call(&self, caller: &mut impl Caller, cell: usize, spare: &mut Option<Keeper>, request: Request) {
        self.summons.stay();
        self.server.resources.slot.set_thread_id(cell, self.thread_id);
        let mut calls = Calls::beside_others(&self.server, caller, cell, spare.take());
        calls.call(cell, request);
        *spare = calls.spare.take();
        self.server.crew.call_ended();
    }
}

/// What `portico-io` drives, until `stop`: all the server's tasks, and the flushing of coalesced bytes, of which `coalesced`
/// is told.
pub async fn drive(server: &Server, coalesced: &Notify, stop: &Notify) {
    let flush = async {
        loop {
            coalesced.notified().await;
            sleep(FLUSH).await;
            server.resources.coalescing.flush();
        }
    };
    tokio::select! {
        () = stop.notified() => {}
        () = flush => {}
    }
}
