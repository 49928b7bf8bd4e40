//! The end of a server: what orders and signals ask for.
//!
//! Announced (an order that comes before the others where there is a `drain_delay`): health checks fail, responses have
//! `Connection: close`, and everybody is served as before, those who come now too.
//! Graceful (TERM, an order to drain, or the supervisor's death): stop accepting, take what already waits, respond to
//! everything with `Connection: close`, leave within `graceful_timeout_s`. Quick (INT, QUIT, an order to quit): leave as
//! soon as no call runs, at most `QUICK_MS` later. Upgrades that the application has made are closed so long before the
//! time is up. A server that has nothing but connections that somebody else has accepted drains once they have ended.
//! Runs as a task; never calls the application.

use crate::aborted_calls::{abort_calls, abort_waiting};
use crate::accept::{Accepting, accept, listen, take_over};
use crate::clock::coarse_ms;
use crate::deadline::Wait;
use crate::housekeeping;
use crate::listener::Listener;
use crate::log::{Level, log};
use crate::message::buffers::Buffers;
use crate::orders::{Effects, OrderDescriptors, Orders, Stop};
use crate::server::Server;
use crate::spare_memory;
use crate::timer::{sleep, timeout};
use crate::upstream::names::{self, Names};
use crate::upstream::{orders as member_orders, probe};
use crate::wheel::Timed;
use rustix::process::{Signal, getpid, kill_process};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks at what is left while the server drains.
const DRAIN_POLL: Duration = Duration::from_millis(20);
/// Between two looks that are further apart than this the process was stopped: no call could go on.
const HELD_UP_MS: u64 = 1000;
/// How long a quick stop waits for running calls.
const QUICK_MS: u64 = 300;
/// How long a process without a supervisor may take to end after its server.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(1);
/// How long an idle connection may still bring a request that was on its way when draining began.
const IDLE_GRACE_MS: u64 = 200;
/// The same while other workers serve. Nobody waits for the end of this one then, and a client that sends at the very
/// moment of a close loses its request; one that brings it before learns from the response that the connection ends.
const IDLE_GRACE_BESIDE_OTHERS_MS: u64 = 2000;

/// How a server has ended: whether all was finished, or why it could not begin.
pub type Outcome = Result<bool, String>;

/// Serves until told to stop, then drains the server; ends by stopping the crew.
pub async fn follow(
    server: Arc<Server>,
    listeners: Vec<(Arc<Listener>, OwnedFd)>,
    orders: OrderDescriptors,
    outcome: Arc<OnceLock<Outcome>>,
) {
    let (there, logging, calling) = (server.clone(), server.resources.clone(), server.resources.clone());
    let (changing, telling, profiled) = (server.clone(), server.clone(), server.resources.clone());
    let (looking, clearing) = (server.resources.clone(), server.clone());
    // Looked up until the end of this.
    let names = Arc::new(Names::default());
    let followed = names.clone();
    let effects = Effects {
        on_signal: Box::new(move || there.interrupt()),
        on_access_log: Box::new(move |file| logging.reopen_access_log(&file)),
        on_call_order: Box::new(move |order| calling.call_orders.take(order)),
        on_tasks_order: Box::new(move || {
            let resources = looking.clone();
            tokio::spawn(async move { resources.stacks.log_tasks().await });
        }),
        on_clear: Box::new(move || abort_waiting(&clearing, "since this worker is about to be killed")),
        on_profile_order: Box::new(move |order| profiled.profile_orders.take(order)),
        on_members: Box::new(move |text| {
            member_orders::take(changing.upstreams(), text, &|upstream, name| followed.follow(upstream, name));
        }),
        report_members: Box::new(move || member_orders::report(telling.upstreams())),
        slow_calls: server.resources.slow_calls.clone(),
        failed_requests: server.resources.failed_requests.clone(),
    };
    let ended = serve(&server, listeners, Orders::open(orders, effects), &names).await;
    // Nobody else sets it.
    let _ = outcome.set(ended);
    server.crew.stop();
}

async fn serve(
    server: &Arc<Server>,
    listeners: Vec<(Arc<Listener>, OwnedFd)>,
    mut orders: Orders,
    names: &Names,
) -> Outcome {
    let (accepting, until) = watch::channel(Accepting::Open);
    if !server.upstreams().is_empty() {
        // Before the first request: a member may have been drained since this worker was forked.
        orders.take_waiting();
        begin_upstreams(server, names).await;
        let _ = timeout(names::FIRST_LOOK, orders.take_until(|| !lacks_addresses(server))).await;
    }
    let (connections, listeners): (Vec<_>, Vec<_>) =
        listeners.into_iter().partition(|(listener, _)| listener.is_connection);
    let serves_only_these = listeners.is_empty() && !connections.is_empty();
    let listening: Result<Vec<_>, String> =
        listeners.into_iter().map(|(listener, socket)| Ok((listen(&listener, socket)?, listener))).collect();
    let tasks: Vec<_> = listening?
        .into_iter()
        .map(|(listening, listener)| tokio::spawn(accept(server.clone(), listener, listening, until.clone())))
        .collect();
    server.resources.slot.set_accepting(true);
    let housekeeping = tokio::spawn(housekeeping::run(server.clone()));
    for (listener, connection) in connections {
        take_over(server, &listener, connection);
    }
    if orders.have_supervisor() {
        // Here, since making the server was the most of its start. A program that serves beside all else that it does
        // knows best what it needs.
        spare_memory::give_back();
    }
    orders.say_ready();
    let stop = loop {
        let stop = tokio::select! {
            biased;
            stop = orders.next() => stop,
            () = server.resources.admission.emptied(), if serves_only_these => Stop::Graceful,
        };
        server.resources.drain();
        if stop != Stop::Announced {
            break stop;
        }
    };
    server.resources.slot.set_accepting(false);
    accepting.send_replace(if stop == Stop::Graceful { Accepting::Last } else { Accepting::Closed });
    for task in tasks {
        // A task that has panicked accepts nothing any more either.
        let _ = task.await;
    }
    let has_finished = has_left(server, stop, &mut orders).await;
    if !has_finished && orders.are_orphaned() {
        end_for_certain();
    }
    housekeeping.abort();
    Ok(has_finished)
}

/// Looks up the names of upstreams, as long as `names` lives, and asks members whether they are well.
async fn begin_upstreams(server: &Server, names: &Names) {
    let upstreams = server.upstreams();
    let buffers = Arc::new(Buffers::new(&server.resources.budgets.memory));
    if let Some(looked_up) = names.follow_all(upstreams) {
        let _ = timeout(names::FIRST_LOOK, looked_up).await;
    }
    for upstream in upstreams {
        if let Some(terms) = upstream.terms.probe.clone() {
            tokio::spawn(probe::watch(Arc::downgrade(upstream), terms, buffers.clone()));
        }
    }
}

/// Whether addresses of names have not come yet, which the supervisor looks up.
fn lacks_addresses(server: &Server) -> bool {
    server.upstreams().iter().any(|upstream| upstream.lacks_addresses())
}

/// Ends the process if it does not end by itself, because its first thread is in a call or waits for the interpreter.
fn end_for_certain() {
    let killed = std::thread::Builder::new().stack_size(64 * 1024).spawn(|| {
        std::thread::sleep(ORPHAN_PATIENCE);
        log(Level::Warning, "this worker has not left in time; killed");
        let _ = kill_process(getpid(), Signal::KILL);
    });
    if let Err(error) = killed {
        log(Level::Error, &format!("cannot start a thread that would end this worker: {error}"));
    }
}

/// Waits until nothing is left to do; false if time was up before.
async fn has_left(server: &Server, mut stop: Stop, orders: &mut Orders) -> bool {
    let mut began_ms = coarse_ms();
    let mut looked_ms = began_ms;
    loop {
        let now_ms = coarse_ms();
        if now_ms - looked_ms > HELD_UP_MS {
            began_ms += now_ms - looked_ms;
        }
        looked_ms = now_ms;
        let elapsed_ms = now_ms - began_ms;
        let graceful_ms = orders.within_ms().unwrap_or(server.resources.settings.graceful_timeout_s.ms());
        let are_idle_closed = elapsed_ms >= idle_grace_ms(server, graceful_ms);
        if server.crew.is_idle() && (stop == Stop::Quick || are_all_closed(server, are_idle_closed)) {
            return true;
        }
        let limit_ms = if stop == Stop::Graceful { graceful_ms } else { QUICK_MS };
        if elapsed_ms + QUICK_MS >= limit_ms {
            // So that their calls end, and need not be aborted.
            server.resources.wheel.all().iter().for_each(|timed| timed.end_upgrade());
        }
        if elapsed_ms >= limit_ms {
            let (running, queued) = (server.crew.running(), server.crew.queued());
            let incoming = server.resources.wheel.all().iter().filter(|timed| is_incoming(&***timed)).count();
            log(
                Level::Warning,
                &format!("stopped with calls running: {running}, requests waiting: {queued}, incoming: {incoming}"),
            );
            abort_calls(server, stop, orders.within_ms().map(Duration::from_millis)).await;
            return false;
        }
        tokio::select! {
            next = orders.next() => stop = stop.max(next),
            () = sleep(DRAIN_POLL) => {}
        }
    }
}

/// How long idle connections are kept open, of `graceful_ms` for all.
fn idle_grace_ms(server: &Server, graceful_ms: u64) -> u64 {
    if server.resources.slot.others_that_accept().is_empty() {
        IDLE_GRACE_MS
    } else {
        IDLE_GRACE_BESIDE_OTHERS_MS.min((graceful_ms / 2).max(IDLE_GRACE_MS))
    }
}

/// Whether no connection has business left; idle ones are closed on the way if it is time.
fn are_all_closed(server: &Server, are_idle_closed: bool) -> bool {
    if are_idle_closed {
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
