//! What is looked after at each tick of the wheel: deadlines, memory, files that are kept for a second, connections kept to
//! other servers, requests that have waited too long, the access log, signals that nobody has heard. Runs as one task.

use crate::clock;
use crate::exchange::error_response::{Overload, shed};
use crate::heap::Heap;
use crate::log;
use crate::server::Server;
use crate::timer::{sleep, timeout};
use crate::wheel::TICK_MS;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks while there is nothing to look after: an idle process is to sleep.
const REST: Duration = Duration::from_secs(8);
/// Between two looks while who reads the access log has taken some of it, and not yet all: the queue of a Unix socket is
/// ten records (net.unix.max_dgram_qlen).
const LOG_MS: u64 = 5;

/// Keeps house for ever.
pub async fn run(server: Arc<Server>) {
    let resources = &server.resources;
    let mut heap = Heap::default();
    let mut is_at_rest = false;
    let mut pause_ms = TICK_MS;
    let mut log_bytes = 0;
    loop {
        if is_at_rest {
            // Whatever there will be to do begins with a connection.
            let _ = timeout(REST, resources.admission.entered()).await;
        } else {
            sleep(Duration::from_millis(pause_ms)).await;
        }
        resources.wheel.expire(clock::coarse_ms());
        heap.look(&resources.budgets.memory);
        let are_files_forgotten = server.files.as_ref().is_none_or(|files| files.forget_old(clock::coarse_ms()));
        for upstream in server.upstreams() {
            upstream.close_old(clock::coarse_ms());
        }
        // Also where no thread comes to take anything out of the queue.
        for request in server.crew.take_expired(clock::monotonic_ns()) {
            shed(request, Overload::WaitedTooLong);
            if resources.is_access_log_due() {
                resources.flush_access_log();
            }
        }
        let are_logs_written = resources.flush_access_log() & log::flush();
        let left_bytes = resources.access_log_bytes();
        pause_ms = if (1..log_bytes).contains(&left_bytes) { LOG_MS } else { TICK_MS };
        log_bytes = left_bytes;
        if resources.interrupts.are_due() {
            server.interrupt();
        }
        // A line of the access log may follow the end of its connection: so nobody may have come for a whole tick.
        is_at_rest = resources.admission.is_still()
            && are_logs_written
            && are_files_forgotten
            && server.crew.is_idle()
            && !resources.interrupts.is_looking();
    }
}
