//! The end of a server: what signals ask for.
//!
//! Graceful (TERM, or the supervisor's death): stop accepting, take what already waits, respond to everything with
//! `Connection: close`, leave within `graceful_timeout_s`. Quick (INT, QUIT): leave as soon as no call runs, at most
//! `QUICK_MS` later. Runs as a task; never calls the application.

use crate::accept::{Accepting, accept};
use crate::clock::coarse_ms;
use crate::deadline::Wait;
use crate::descriptor;
use crate::housekeeping;
use crate::listener::Listener;
use crate::log::{Level, log};
use crate::server::Server;
use crate::wheel::Timed;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// Between two looks at what is left while the server drains.
const DRAIN_POLL: Duration = Duration::from_millis(20);
/// How long a quick stop waits for running calls.
const QUICK_MS: u64 = 300;
/// How long an idle connection may still bring a request that was on its way when draining began.
const IDLE_GRACE_MS: u64 = 200;

const SIGINT: u8 = 2;
const SIGQUIT: u8 = 3;
const SIGTERM: u8 = 15;

/// How a server was told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Graceful,
    Quick,
}

/// Where a server is told to leave.
#[derive(Default)]
pub struct Orders {
    /// Read end of a pipe that brings signals, one number per byte.
    pub signals: Option<OwnedFd>,
    /// Read end of the parent-death pipe, whose write end only the supervisor holds: its end of file is its death.
    pub parent_death: Option<OwnedFd>,
}

/// Serves until told to stop, then drains the server; ends by stopping the crew. Sets `was_aborted` if anything was
/// aborted at the end.
pub async fn follow(
    server: Arc<Server>,
    listeners: Vec<(Arc<Listener>, OwnedFd)>,
    orders: Orders,
    was_aborted: Arc<AtomicBool>,
) {
    let mut signals = Pipe::new(orders.signals);
    let mut parent_death = Pipe::new(orders.parent_death);
    let (accepting, until) = watch::channel(Accepting::Open);
    let tasks: Vec<_> = listeners
        .into_iter()
        .map(|(listener, socket)| tokio::spawn(accept(server.clone(), listener, socket, until.clone())))
        .collect();
    server.resources.slot.set_accepting(true);
    let housekeeping = tokio::spawn(housekeeping::run(server.clone()));
    let stop = tokio::select! {
        stop = next_stop(&mut signals) => stop,
        () = parent_death.end() => {
            log(Level::Warning, "the supervisor is gone; this worker leaves");
            Stop::Graceful
        }
    };
    server.resources.drain();
    server.resources.slot.set_accepting(false);
    accepting.send_replace(if stop == Stop::Graceful { Accepting::Last } else { Accepting::Closed });
    for task in tasks {
        // A task that has panicked accepts nothing any more either.
        let _ = task.await;
    }
    if !has_left(&server, stop, &mut signals).await {
        was_aborted.store(true, SeqCst);
    }
    housekeeping.abort();
    server.crew.stop();
}

/// Waits until nothing is left to do; false if time was up before.
async fn has_left(server: &Server, mut stop: Stop, signals: &mut Pipe) -> bool {
    let began_ms = coarse_ms();
    loop {
        let elapsed_ms = coarse_ms() - began_ms;
        if server.crew.is_idle() && (stop == Stop::Quick || are_all_closed(server, elapsed_ms)) {
            return true;
        }
        let graceful_ms = server.resources.settings.graceful_timeout_s.ms();
        if elapsed_ms >= if stop == Stop::Graceful { graceful_ms } else { QUICK_MS } {
            let (running, queued) = (server.crew.running(), server.crew.queued());
            let incoming = server.resources.wheel.all().iter().filter(|timed| is_incoming(&***timed)).count();
            log(
                Level::Warning,
                &format!("stopped with calls running: {running}, requests waiting: {queued}, incoming: {incoming}"),
            );
            return false;
        }
        tokio::select! {
            next = next_stop(signals) => if next == Stop::Quick { stop = Stop::Quick },
            () = tokio::time::sleep(DRAIN_POLL) => {}
        }
    }
}

/// Whether no connection has business left; idle ones are closed on the way.
fn are_all_closed(server: &Server, elapsed_ms: u64) -> bool {
    if elapsed_ms >= IDLE_GRACE_MS {
        for timed in server.resources.wheel.all() {
            if let Some(wait @ (Wait::FirstByte | Wait::Idle)) = timed.deadline().waits_for()
                && !timed.is_responding()
            {
                timed.end_wait(wait);
            }
        }
    }
    server.resources.slot.connections.load(Relaxed) == 0
}

/// Whether the client is in the middle of a request.
fn is_incoming(timed: &dyn Timed) -> bool {
    matches!(timed.deadline().waits_for(), Some(Wait::Head | Wait::Body))
}

async fn next_stop(signals: &mut Pipe) -> Stop {
    loop {
        let mut bytes = [0; 16];
        let received = signals.read(&mut bytes).await;
        for signal in bytes.get(..received).unwrap_or_default() {
            match *signal {
                SIGTERM => return Stop::Graceful,
                SIGINT | SIGQUIT => return Stop::Quick,
                _ => {}
            }
        }
        if received == 0 {
            // Nobody can send a signal any more through a pipe that ended: only the parent's death counts then.
            std::future::pending::<()>().await;
        }
    }
}

/// The read end of a pipe; none as one that nobody writes to.
struct Pipe(Option<AsyncFd<OwnedFd>>);

impl Pipe {
    fn new(fd: Option<OwnedFd>) -> Pipe {
        Pipe(fd.and_then(|fd| {
            rustix::io::ioctl_fionbio(&fd, true).ok()?;
            descriptor::watch_owned(fd, Interest::READABLE).ok()
        }))
    }

    /// The next bytes; 0 at the end of file.
    async fn read(&mut self, bytes: &mut [u8]) -> usize {
        let Some(readable) = &self.0 else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = readable.readable().await else { return 0 };
            match rustix::io::read(readable.get_ref(), &mut *bytes) {
                Ok(received) => return received,
                Err(Errno::AGAIN | Errno::INTR) => ready.clear_ready(),
                Err(_) => return 0,
            }
        }
    }

    async fn end(&mut self) {
        let mut bytes = [0; 16];
        while self.read(&mut bytes).await > 0 {}
    }
}
