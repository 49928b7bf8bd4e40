//! What a server aborts at its end: calls that have not ended by then, and requests that wait for one. Each is told to the
//! error log, with its request and the stack of its thread, and has its access line, as if it had ended at this moment.
//!
//! A part of the drain's task.

use crate::bounded::{self, MOST_NAME_BYTES};
use crate::exchange::account::settle_unfinished;
use crate::exchange::error_response::give_up;
use crate::log::{Level, log};
use crate::orders::Stop;
use crate::resources::Resources;
use crate::server::Server;
use crate::settings::Settings;
use std::sync::Arc;
use std::time::Duration;

/// Aborts the calls that run, and responds to requests that wait with 503: the server has been stopped like this, and
/// `within` so much time if that was said.
pub async fn abort_calls(server: &Server, stop: Stop, within: Option<Duration>) {
    let (why, cause) = match (stop, within) {
        (Stop::Graceful, None) => (by_graceful_timeout(&server.resources.settings), "killed:graceful_timeout"),
        (Stop::Graceful, Some(within)) => (by_replacement(within), "killed:timeout"),
        _ => ("since this worker was told not to wait".into(), "killed:stop"),
    };
    // First: a thread that gets free must not take one.
    give_up_waiting(server, &why);
    abort_running(&server.resources, &why, cause).await;
    server.resources.flush_access_log_in_turn();
}

/// Responds with 503 to requests that wait for a thread: none will come free for them.
pub fn abort_waiting(server: &Server, why: &str) {
    give_up_waiting(server, why);
    server.resources.flush_access_log_in_turn();
}

fn give_up_waiting(server: &Server, why: &str) {
    for request in server.crew.take_all() {
        let (bytes, head) = (request.inbound.bytes(), &request.inbound.head);
        let [method, path] = [head.method, head.path].map(|part| bounded::name(part.of(bytes), MOST_NAME_BYTES));
        log(Level::Warning, &format!("aborted {method} {path} before the application was called, {why}"));
        give_up(request);
    }
}

async fn abort_running(resources: &Arc<Resources>, why: &str, cause: &'static str) {
    let slot = &resources.slot;
    let calls = slot.calls();
    if calls.is_empty() {
        return;
    }
    let mut stacks = resources.stacks.of(calls.iter().map(|call| call.cell).collect()).await;
    // One for each, also where none could be had.
    stacks.resize(calls.len(), None);
    for (call, stack) in calls.iter().zip(stacks) {
        let Some(unfinished) = slot.unfinished(call.cell, call.started_ns) else { continue };
        let is_aborted = slot.settle_once(call.cell, call.started_ns, || {
            settle_unfinished(&unfinished, cause, resources);
        });
        // Not if it has ended meanwhile, or the server has responded in its place before.
        if is_aborted {
            let stack =
                stack.map_or_else(|| "; its stack could not be had".into(), |stack| format!("; it stood at\n{stack}"));
            let (what, elapsed_s) = (&call.what, call.elapsed_s);
            log(Level::Warning, &format!("aborted {what} after {elapsed_s:.1} s in the application, {why}{stack}"));
        }
    }
}

fn by_replacement(within: Duration) -> String {
    let within_s = within.as_secs();
    format!("since the {within_s} s are over that others have in a worker which is replaced for a late call")
}

fn by_graceful_timeout(settings: &Settings) -> String {
    let graceful_timeout = Duration::from_millis(settings.graceful_timeout_s.ms());
    format!("since graceful_timeout is {} s", graceful_timeout.as_secs_f64())
}
