//! The hand-over of the lead, model-checked: every order in which threads can meet is tried (up to a bound of
//! preemptions), and every value that a load may see. A lost wake-up or a lead that nobody has is a deadlock, which loom
//! reports. `make test` runs this with `RUSTFLAGS="--cfg loom"`.

#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

#[path = "hand_over/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use world::{Spawned, Step, World};

const PREEMPTIONS: usize = 3;

/// Tries every order of a scene: `play` runs on crew thread 0, in a crew of at most `threads`, which stops after as many
/// jobs as `jobs` tells.
fn check(threads: usize, spawned: Spawned, jobs: usize, play: impl Fn(&Arc<World>) + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(PREEMPTIONS));
    let orders = Arc::new(AtomicUsize::new(0));
    let there = orders.clone();
    model.check(move || {
        there.fetch_add(1, Relaxed);
        let world = World::new(threads, spawned, jobs);
        play(&world);
    });
    println!("{} orders", orders.load(Relaxed));
}

#[test]
fn a_call_that_waits_for_a_queued_one_is_not_for_ever() {
    check(2, Spawned::Serves, 2, |world| {
        world.push(Step::WaitsForGate);
        world.push(Step::OpensGate);
        world.watch();
        world.serve(0);
    });
}

#[test]
fn a_call_that_waits_for_io_is_not_for_ever_with_one_thread() {
    check(1, Spawned::Serves, 1, |world| {
        world.push(Step::WaitsForFallback);
        world.watch();
        world.serve(0);
    });
}

#[test]
fn after_a_fallback_the_only_thread_leads_again() {
    check(1, Spawned::Serves, 2, |world| {
        world.push(Step::WaitsForFallback);
        world.push(Step::Returns);
        world.watch();
        world.serve(0);
    });
}

#[test]
fn after_a_fallback_pushed_later() {
    check(1, Spawned::Serves, 2, |world| {
        world.push(Step::WaitsForFallback);
        world.start(|world| world.push(Step::Returns));
        world.watch();
        world.serve(0);
    });
}

#[test]
fn a_push_meets_the_wait_of_the_leader() {
    check(1, Spawned::Serves, 2, |world| {
        world.start(|world| world.push(Step::Returns));
        world.push(Step::Returns);
        world.serve(0);
    });
}

#[test]
fn a_revocation_that_comes_late_is_none() {
    check(2, Spawned::Serves, 2, |world| {
        world.push(Step::Returns);
        world.start(|world| world.push(Step::Returns));
        world.watch();
        world.serve(0);
    });
}

#[test]
fn stop_meets_a_call_and_the_fallback() {
    check(1, Spawned::Serves, 9, |world| {
        world.push(Step::WaitsForGate);
        world.start(|world| {
            world.crew.stop();
            world.open_gate();
        });
        world.watch();
        world.serve(0);
    });
}

#[test]
fn stop_meets_wait() {
    check(1, Spawned::Serves, 9, |world| {
        world.start(|world| world.crew.stop());
        world.watch();
        world.serve(0);
    });
}

#[test]
fn stop_meets_a_call_and_a_new_leader() {
    check(2, Spawned::Serves, 9, |world| {
        world.push(Step::WaitsForGate);
        world.start(|world| {
            world.crew.stop();
            world.open_gate();
        });
        world.watch();
        world.serve(0);
    });
}

#[test]
fn stop_meets_parked() {
    check(2, Spawned::Serves, 9, |world| {
        world.slow_down();
        world.push(Step::Returns);
        world.start(|world| world.crew.stop());
        world.serve(0);
    });
}

#[test]
fn slow_route() {
    check(2, Spawned::Serves, 3, |world| {
        world.slow_down();
        world.push(Step::Returns);
        world.push(Step::WaitsForGate);
        world.push(Step::OpensGate);
        world.serve(0);
    });
}

#[test]
fn slow_route_vacant() {
    check(2, Spawned::Fails, 2, |world| {
        world.slow_down();
        world.push(Step::WaitsForFallback);
        world.push(Step::Returns);
        world.watch();
        world.serve(0);
    });
}

#[test]
fn resigns() {
    check(2, Spawned::Resigns, 1, |world| {
        world.push(Step::WaitsForFallback);
        world.watch();
        world.serve(0);
    });
}

#[test]
fn resigns_to_parked() {
    check(2, Spawned::Resigns, 2, |world| {
        world.slow_down();
        world.push(Step::Returns);
        world.push(Step::Returns);
        world.serve(0);
    });
}

#[test]
fn flush() {
    check(1, Spawned::Serves, 1, |world| {
        world.start(|world| {
            world.coalesce();
            world.crew.stop();
        });
        world.watch();
        world.serve(0);
    });
}

#[test]
fn idle() {
    check(1, Spawned::Serves, 1, |world| {
        world.push(Step::Returns);
        world.start(|world| {
            if world.crew.is_idle() {
                assert_eq!(world.called.load(Relaxed), 1);
            }
        });
        world.serve(0);
    });
}
