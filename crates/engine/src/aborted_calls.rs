//! What a server aborts at its end: calls that have not ended by then, and requests that wait for one. Each is told to the error log, with its request and
//! the stack of its thread, and has its access line, as if it had ended at this moment.
//!
//! A part of the drain's task; whether such a call still ends or not, it is settled here and only here.

use crate::exchange::account::settle_aborted;
use crate::exchange::error_response::give_up;
use crate::log::{Level, log};
use crate::server::Server;
use crate::settings::Settings;
use std::time::Duration;

/// Aborts the calls that run, and responds to requests that wait with 503; `why` ends the sentence.
pub async fn abort_calls(server: &Server, why: &str) {
    // First: a thread that gets free must not take one.
    for request in server.crew.take_all() {
        let (bytes, head) = (request.inbound.bytes(), &request.inbound.head);
        let what = format!("{} {}", head.method.of(bytes).escape_ascii(), head.path.of(bytes).escape_ascii());
        log(Level::Warning, &format!("aborted {what} before the application was called, {why}"));
        give_up(request);
    }
    let resources = &server.resources;
    let cells: Vec<usize> = resources.slot.running_cells();
    if cells.is_empty() {
        return;
    }
    let mut stacks = resources.stacks.of(cells.clone()).await;
    // One for each, also where none could be had.
    stacks.resize(cells.len(), None);
    for (cell, stack) in cells.into_iter().zip(stacks) {
        // None if it has ended meanwhile.
        let Some(aborted) = resources.slot.abort(cell) else { continue };
        let stack = stack.map_or_else(|| "; its stack could not be had".into(), |stack| format!("\n{stack}"));
        let (what, elapsed_s) = (&aborted.call.what, aborted.call.elapsed_s);
        log(Level::Warning, &format!("aborted {what} after {elapsed_s:.1} s in the application, {why}{stack}"));
        settle_aborted(&aborted, resources);
    }
    resources.flush_access_log_in_turn();
}

/// Why calls are aborted at the end of a stop that has waited for them.
pub fn by_graceful_timeout(settings: &Settings) -> String {
    let graceful_timeout = Duration::from_millis(settings.graceful_timeout_s.ms());
    format!("since graceful_timeout is {} s", graceful_timeout.as_secs_f64())
}
