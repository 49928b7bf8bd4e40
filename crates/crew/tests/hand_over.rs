//! The hand-over of the lead, model-checked with loom: every order in which threads can meet is tried (up to a bound of
//! preemptions), and every value that a load may see. A lost wake-up, or a lead that nobody has, is a deadlock, which
//! loom reports; two threads that lead meet in `World::drive`. A wait for something that never comes is reported as too
//! many branches if it ticks. `make test` runs this with `RUSTFLAGS="--cfg loom"`.
//!
//! "Red without": what was taken out of the crew, one at a time, to see this model fail.

#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

#[path = "hand_over/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use world::{Script, Spawned, World};

/// Preemptions where two or three threads meet: enough for each fault listed below, and a matter of seconds.
const PREEMPTIONS: usize = 3;
/// Preemptions where more threads meet: with three, these models take minutes.
const PREEMPTIONS_IN_A_CROWD: usize = 2;
/// Jobs after which a crew stops that is stopped by somebody else.
const NEVER: usize = usize::MAX;

// A call that waits.

/// The lead of a thread that is stuck goes to a new one, which calls what is queued.
///
/// Red without the call count looked at before the watchdog sleeps (`CallCounter::fall_asleep`), or `begin_call` waking
/// it.
#[test]
fn a_call_that_waits_for_a_queued_one_is_not_for_ever() {
    check(2, Spawned::Serves, 2, |world| {
        world.push(Script::WaitsForGate);
        world.push(Script::OpensGate);
        world.watch();
        world.serve(0);
    });
}

/// With one thread the watchdog drives I/O.
///
/// Red without the watchdog revoking the lead, or driving I/O, or registering; one exchange in `CallCounter::begin`,
/// which knows whom to wake (a load and a store do not).
#[test]
fn a_call_that_waits_for_io_is_not_for_ever_with_one_thread() {
    check(1, Spawned::Serves, 1, |world| {
        world.push(Script::WaitsForFallback);
        world.watch();
        world.serve(0);
    });
}

/// The thread whose lead was revoked takes it again, and has the watchdog leave I/O to it.
///
/// Red without `end_call` taking the vacant lead, waking the fallback, or heeding that its call was revoked; without
/// `taken` looking for a leader under the lock.
#[test]
fn after_a_fallback_the_only_thread_leads_again() {
    check(1, Spawned::Serves, 2, |world| {
        world.push(Script::WaitsForFallback);
        world.start(|world| world.push(Script::Returns));
        world.watch();
        world.serve(0);
    });
}

/// The watchdog has seen a call twice, but before it revokes the lead the call ends.
///
/// Red without the compare-exchange in `revoke`: then two threads lead.
#[test]
fn a_revocation_that_comes_late_is_none() {
    check_in_a_crowd(2, Spawned::Serves, 1, |world| {
        let running = world.crew.begin(0, 0);
        world.watch();
        world.start(|world| world.push(Script::Returns));
        pause(1);
        running.end(0);
        world.serve(0);
    });
}

/// The watchdog revokes the lead while its former holder and another thread end their calls.
///
/// Red without the lock before the compare-exchange in `revoke`: then two threads lead.
#[test]
fn a_revocation_is_settled_before_the_former_leader_asks_who_leads() {
    check_in_a_crowd(2, Spawned::ServesAfterACall, NEVER, |world| {
        world.slow_down(1);
        let running = world.crew.begin(0, 1);
        pause(2);
        running.end(0);
        world.start(|world| world.crew.stop());
        world.serve(0);
    });
}

// A call that is known to wait.

/// No watchdog is needed where the lead is handed over before each call, to a new thread or to a parked one.
///
/// Red without the hand-over in `begin_call`, the unpark and the look for parked threads in `give_away`, `end_call`
/// counting its thread as parked, or its look at the vacancy under the lock.
#[test]
fn slow_calls_hand_the_lead_over() {
    check(2, Spawned::Serves, 3, |world| {
        world.slow_down(0);
        world.push(Script::Returns);
        world.push(Script::WaitsForGate);
        world.push(Script::OpensGate);
        world.serve(0);
    });
}

/// Two of three threads wait, so the third, wherever it is, has to be the one that leads.
///
/// Red without `serve` asking whether it still leads before it takes another job.
#[test]
fn the_lead_goes_to_a_thread_that_is_free() {
    check_in_a_crowd(3, Spawned::Serves, 4, |world| {
        world.slow_down(0);
        world.push(Script::Returns);
        world.push(Script::WaitsForGate);
        world.push(Script::WaitsForGate);
        world.push(Script::OpensGate);
        world.serve(0);
    });
}

/// A pause may end by itself.
///
/// Red without the loop in `park`: then two threads lead.
#[test]
fn a_thread_that_wakes_for_nothing_parks_again() {
    check(2, Spawned::Serves, NEVER, |world| {
        world.slow_down(0);
        world.push(Script::Returns);
        let first = portico_crew::sync::current();
        world.start(move |world| {
            first.unpark();
            world.crew.stop();
        });
        world.serve(0);
    });
}

// A further thread that there is not.

/// Red without the lead left vacant by a failed spawn, the watchdog woken for a vacant lead, its look at the vacancy
/// before it sleeps, or a write in `CallCounter::wake` also where it looks awake.
#[test]
fn the_watchdog_drives_where_no_thread_can_be_started() {
    check(2, Spawned::Fails, 2, |world| {
        world.slow_down(0);
        world.push(Script::WaitsForFallback);
        world.push(Script::Returns);
        world.watch();
        world.serve(0);
    });
}

/// Red without `resign` giving the lead away, or what the model before this needs.
#[test]
fn the_watchdog_drives_where_the_new_thread_resigns() {
    check(2, Spawned::Resigns, 2, |world| {
        world.push(Script::WaitsForFallback);
        world.push(Script::Returns);
        world.watch();
        world.serve(0);
    });
}

/// Red without `resign` giving the lead away, the unpark in `give_away`, or `put_back` waking the leader.
#[test]
fn a_parked_thread_leads_where_the_new_one_resigns() {
    check(2, Spawned::Resigns, 2, |world| {
        world.slow_down(0);
        world.push(Script::Returns);
        world.push(Script::Returns);
        world.serve(0);
    });
}

// Who sleeps is woken.

/// Red without `push` waking the leader, or `next` looking and registering under one lock.
#[test]
fn a_push_meets_the_leaders_wait() {
    check(1, Spawned::Serves, 2, |world| {
        world.start(|world| world.push(Script::Returns));
        world.push(Script::Returns);
        world.serve(0);
    });
}

/// Red without the look at coalesced bytes before the watchdog sleeps, or the release and acquire in `CallCounter`.
#[test]
fn coalesced_bytes_meet_the_watchdogs_sleep() {
    check(1, Spawned::Serves, NEVER, |world| {
        world.start(|world| {
            world.coalesce();
            world.crew.stop();
        });
        world.watch();
        world.serve(0);
    });
}

/// A job is in the queue, or running, or done; never nowhere.
///
/// Red without the count of running jobs growing under the lock of the queue.
#[test]
fn a_crew_with_a_job_is_never_idle() {
    check(1, Spawned::Serves, 2, |world| {
        world.push(Script::Returns);
        world.push(Script::Returns);
        world.start(|world| {
            if world.crew.is_idle() {
                assert_eq!(world.called.load(Relaxed), 2);
            }
        });
        world.serve(0);
    });
}

// Thread 0 is interrupted.

/// A leader waits for a job.
///
/// Red without `interrupt` waking the leader, or `wait` looking for an interruption after it has asked the queue.
#[test]
fn an_interruption_reaches_a_leader() {
    check(1, Spawned::Serves, NEVER, |world| {
        world.start(|world| world.crew.interrupt());
        world.serve(0);
    });
}

/// The lead was handed over before a call of thread 0, which is parked after it.
///
/// Red without `interrupt` unparking thread 0, or `park` looking for an interruption.
#[test]
fn an_interruption_reaches_a_parked_thread() {
    check_in_a_crowd(2, Spawned::Serves, NEVER, |world| {
        world.slow_down(0);
        world.push(Script::Returns);
        world.start(|world| world.crew.interrupt());
        world.serve(0);
    });
}

/// What thread 0 is interrupted for may take long: others lead.
///
/// Red without `begin_aside` beginning a call.
#[test]
fn a_job_is_called_while_the_leader_is_interrupted() {
    check_in_a_crowd(2, Spawned::Serves, NEVER, |world| {
        world.wait_when_interrupted();
        world.watch();
        world.start(|world| {
            world.crew.interrupt();
            world.push(Script::OpensGate);
        });
        world.serve(0);
    });
}

// Stopped, every thread leaves.

/// Red without `close` waking the leader, or being remembered; without `stop` waking the watchdog.
#[test]
fn stop_meets_the_leaders_wait() {
    check(1, Spawned::Serves, NEVER, |world| {
        world.start(|world| world.crew.stop());
        world.watch();
        world.serve(0);
    });
}

/// Red without `stop` unparking the threads, or setting its flag before that; without the look at the flag in `park`.
#[test]
fn stop_meets_a_parked_thread() {
    check(2, Spawned::Serves, NEVER, |world| {
        world.slow_down(0);
        world.push(Script::Returns);
        world.start(|world| world.crew.stop());
        world.serve(0);
    });
}

/// Red without the look at the flag in the loop of the fallback.
#[test]
fn stop_meets_a_new_leader() {
    check(2, Spawned::Serves, NEVER, |world| {
        world.push(Script::WaitsForGate);
        world.start(|world| {
            world.crew.stop();
            world.open_gate();
        });
        world.watch();
        world.serve(0);
    });
}

/// The watchdog leaves although the only thread is still in the application, and that thread after it.
///
/// Red without `stop` waking the fallback, or the look at the flag in `taken`.
#[test]
fn stop_meets_the_fallback() {
    check(1, Spawned::Serves, NEVER, |world| {
        world.push(Script::WaitsForGate);
        world.start(|world| world.crew.stop());
        world.start(|world| {
            world.crew.watch(world);
            world.open_gate();
        });
        world.serve(0);
    });
}

/// The wake-up by which `stop` ends the watchdog's pause may have ended its wait for I/O already.
///
/// Red without the look at the flag before the watchdog sleeps.
#[test]
fn stop_meets_a_watchdog_that_parks_in_io() {
    check(2, Spawned::Fails, 1, |world| {
        world.park_in_io();
        world.slow_down(0);
        world.push(Script::WaitsForFallback);
        world.watch();
        world.serve(0);
    });
}

/// Tries every order of a scene: `play` runs on crew thread 0, in a crew of at most `threads`, which stops after as
/// many jobs as `jobs` tells.
fn check(threads: usize, spawned: Spawned, jobs: usize, play: impl Fn(&Arc<World>) + Send + Sync + 'static) {
    explore(PREEMPTIONS, move || play(&World::new(threads, spawned, jobs)));
}

/// As `check`, for a scene of many threads.
fn check_in_a_crowd(threads: usize, spawned: Spawned, jobs: usize, play: impl Fn(&Arc<World>) + Send + Sync + 'static) {
    explore(PREEMPTIONS_IN_A_CROWD, move || play(&World::new(threads, spawned, jobs)));
}

fn explore(preemptions: usize, play: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    // LOOM_MAX_PREEMPTIONS asks for more.
    model.preemption_bound = model.preemption_bound.or(Some(preemptions));
    let orders = Arc::new(AtomicUsize::new(0));
    let there = orders.clone();
    model.check(move || {
        there.fetch_add(1, Relaxed);
        play();
    });
    println!("{} orders", orders.load(Relaxed));
}

/// Lets the others have their turn.
fn pause(rounds: usize) {
    (0..rounds).for_each(|_| loom::thread::yield_now());
}
