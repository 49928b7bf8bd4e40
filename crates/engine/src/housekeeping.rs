//! What is looked after at each tick of the wheel: deadlines, memory, requests that have waited too long, the access
//! log, signals that nobody has heard. Runs as one task.

use crate::clock;
use crate::exchange::error_response::{Overload, shed};
use crate::heap::Heap;
use crate::log;
use crate::server::Server;
use crate::wheel::TICK_MS;
use std::sync::Arc;
use std::time::Duration;

/// Keeps house for ever.
pub async fn run(server: Arc<Server>) {
    let resources = &server.resources;
    let mut heap = Heap::default();
    loop {
        tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
        resources.wheel.expire(clock::coarse_ms());
        heap.look(&resources.budgets.memory);
        // Also where no thread comes to take anything out of the queue.
        for request in server.crew.take_expired(clock::monotonic_ns()) {
            shed(request, Overload::WaitedTooLong);
            if resources.is_access_log_due() {
                resources.flush_access_log();
            }
        }
        resources.flush_access_log();
        log::flush();
        if resources.interrupts.are_due() {
            server.interrupt();
        }
    }
}
