//! The end of a worker: what signals ask for.
//!
//! Graceful (TERM, or the supervisor's death): stop accepting, take what already waits, answer
//! everything with `Connection: close`, leave within `graceful_timeout_s`. Quick (INT, QUIT): leave
//! as soon as no call runs, at most `QUICK_MS` later. Runs as tasks; never calls Python.

use crate::clock::coarse_ms;
use crate::connection::{Connection, State};
use crate::deadlines::{self, Wait};
use crate::descriptor;
use crate::engine::Engine;
use crate::error_log::{Level, log};
use crate::listener;
use rustix::io::Errno;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::Interest;

/// Between two looks at what is left while the worker drains.
const DRAIN_POLL: Duration = Duration::from_millis(20);
/// How long a quick stop waits for running calls.
const QUICK_MS: u64 = 300;
/// How long an idle connection may still bring a request that was on its way when draining began.
const IDLE_GRACE_MS: u64 = 200;

const SIGINT: u8 = 2;
const SIGQUIT: u8 = 3;
const SIGTERM: u8 = 15;

/// How a worker was told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Graceful,
    Quick,
}

/// Where the signals and the supervisor's death are heard, and what a stop may take.
pub struct Orders {
    /// Read end of the wake-up pipe: a signal number per byte.
    pub signal_fd: RawFd,
    /// Read end of the lifeline.
    pub lifeline_fd: RawFd,
    /// Longest graceful stop.
    pub graceful_ms: u64,
}

/// Set when something was cut at the end.
pub static WAS_CUT: AtomicBool = AtomicBool::new(false);

/// Serves until told to stop, then sees the worker out; ends by stopping the crew.
pub async fn follow_orders(engine: &'static Engine, orders: Orders) {
    let accepting: Vec<_> =
        engine.listeners.iter().map(|listener| tokio::spawn(listener::accept(engine, listener))).collect();
    let deadlines = tokio::spawn(deadlines::run(engine));
    let mut stop = tokio::select! {
        stop = next_signal(orders.signal_fd) => stop,
        () = supervisor_death(orders.lifeline_fd) => {
            log(Level::Warning, "the supervisor is gone; this worker leaves");
            Stop::Graceful
        }
    };
    engine.draining.store(true, SeqCst);
    for task in accepting {
        task.abort();
        // Its end is waited for, so that nothing watches the socket when it is closed.
        let _ = task.await;
    }
    for listener in &engine.listeners {
        if stop == Stop::Graceful {
            listener::accept_waiting(engine, listener);
        }
        // Once the supervisor and all workers have closed it, the port refuses instead of taking connections nobody serves.
        descriptor::close_listener(listener.fd);
    }
    let began = coarse_ms();
    loop {
        let elapsed = coarse_ms() - began;
        let limit = if stop == Stop::Graceful { orders.graceful_ms } else { QUICK_MS };
        let quiet = engine.crew.is_idle() && (stop == Stop::Quick || all_left(engine, elapsed));
        if quiet {
            break;
        }
        if elapsed >= limit {
            WAS_CUT.store(true, SeqCst);
            let (running, queued) = (engine.crew.running(), engine.crew.queued());
            let arriving = engine.deadlines.all().iter().filter(|connection| is_arriving(connection)).count();
            log(
                Level::Warning,
                &format!("stopped with calls running: {running}, requests waiting: {queued}, arriving: {arriving}"),
            );
            break;
        }
        tokio::select! {
            next = next_signal(orders.signal_fd) => if next == Stop::Quick { stop = Stop::Quick },
            () = tokio::time::sleep(DRAIN_POLL) => {}
        }
    }
    deadlines.abort();
    engine.crew.stop();
}

/// Whether no connection has business left; idle ones are closed on the way.
fn all_left(engine: &'static Engine, elapsed_ms: u64) -> bool {
    if elapsed_ms >= IDLE_GRACE_MS {
        for connection in engine.deadlines.all() {
            let is_idle = matches!(connection.alarm.waits_for(), Some(Wait::FirstByte | Wait::Idle));
            if is_idle && connection.state() == State::Ready {
                connection.cut();
            }
        }
    }
    engine.slot.connections.load(Relaxed) == 0
}

/// Whether the client is in the middle of a request.
fn is_arriving(connection: &Connection) -> bool {
    matches!(connection.alarm.waits_for(), Some(Wait::Head | Wait::Body))
}

async fn next_signal(fd: RawFd) -> Stop {
    loop {
        let mut bytes = [0; 16];
        let received = read_when_ready(fd, &mut bytes).await;
        for signal in bytes.get(..received).unwrap_or_default() {
            match *signal {
                SIGTERM => return Stop::Graceful,
                SIGINT | SIGQUIT => return Stop::Quick,
                _ => {}
            }
        }
        if received == 0 {
            // Nobody can send a signal any more through a pipe that ended: only the lifeline counts then.
            std::future::pending::<()>().await;
        }
    }
}

async fn supervisor_death(fd: RawFd) {
    let mut bytes = [0; 16];
    while read_when_ready(fd, &mut bytes).await > 0 {}
}

async fn read_when_ready(fd: RawFd, bytes: &mut [u8]) -> usize {
    let pipe = descriptor::borrow(fd);
    // A pipe that cannot be watched (closed) is as one that ended.
    if rustix::io::ioctl_fionbio(pipe, true).is_err() {
        return 0;
    }
    let Ok(readable) = descriptor::watch(pipe, Interest::READABLE) else { return 0 };
    loop {
        let Ok(mut ready) = readable.readable().await else { return 0 };
        match rustix::io::read(pipe, &mut *bytes) {
            Ok(received) => return received,
            Err(Errno::AGAIN | Errno::INTR) => ready.clear_ready(),
            Err(_) => return 0,
        }
    }
}
