//! A crew thread's life: waiting outside, calling, leaving; and what ends a call.

#![cfg(not(loom))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::atomic::Ordering::SeqCst;
use support::{Event, SOON, Task, World, next, next_else, terms, wait_for_fallback, wait_until};

#[test]
fn all_threads_return_when_the_crew_stops() {
    let (world, reported) = World::at_work(3);
    let stuck = [0, 1].map(|_| {
        let (task, stuck) = Task::stuck();
        world.push(task);
        stuck.thread();
        stuck
    });
    let (task, third) = Task::reported();
    world.push(task);
    assert_eq!(third.recv_timeout(SOON), Ok(2));

    world.crew.stop();
    let mut left = [next_else(&reported), next_else(&reported)];
    left.sort_by_key(|event| *event == Event::WatchdogLeft);
    assert_eq!(left, [Event::ThreadLeft(2), Event::WatchdogLeft]);
    // Those in the application as soon as they are out of it.
    for (me, stuck) in stuck.into_iter().enumerate() {
        stuck.release();
        assert_eq!(next_else(&reported), Event::ThreadLeft(me));
    }
}

#[test]
fn a_crew_that_was_stopped_before_it_began_leaves_at_once() {
    let (world, reported) = World::new(terms(2), true);
    world.crew.stop();
    world.watch();
    assert_eq!(next(&reported), Event::WatchdogLeft);
    world.serve(0);
    assert_eq!(next(&reported), Event::ThreadLeft(0));
}

#[test]
fn a_call_that_is_dropped_by_a_panic_has_ended() {
    let (world, reported) = World::at_work(1);
    let (task, stuck) = Task::panicking();
    world.push(task.caught());
    stuck.release();
    wait_until(|| world.crew.is_idle());
    // The thread leads on, and its next call is watched.
    let (task, stuck) = Task::stuck();
    world.push(task);
    assert_eq!(stuck.thread(), 0);
    wait_for_fallback(&reported);
    world.crew.stop();
}

#[test]
fn waits_only_when_nothing_is_queued() {
    let (world, _reported) = World::new(terms(1), true);
    let there = world.clone();
    world.push(Task::new(|_| {}));
    world.push(Task::new(|_| {}));
    world.push(Task::new(move |_| there.crew.stop()));
    world.serve(0);
    assert_eq!(world.waits.load(SeqCst), 1);
}

#[test]
fn is_idle_only_when_nothing_is_queued_and_nothing_runs() {
    let (world, _reported) = World::new(terms(1), true);
    assert!(world.crew.is_idle());
    let (task, stuck) = Task::stuck();
    world.push(task);
    assert!(!world.crew.is_idle());
    world.start(0);
    stuck.thread();
    assert_eq!(world.crew.queued(), 0);
    assert!(!world.crew.is_idle());
    stuck.release();
    wait_until(|| world.crew.is_idle());
    world.crew.stop();
}

/// Serves a batch of `count` calls that each last for `duration_ns`; returns how often I/O was driven meanwhile.
fn polls_in_a_batch(count: usize, duration_ns: u64) -> usize {
    let (world, _reported) = World::new(terms(1), false);
    for _ in 1..count {
        world.push(Task::lasting(duration_ns, |_| {}));
    }
    let there = world.clone();
    world.push(Task::lasting(duration_ns, move |_| there.crew.stop()));
    world.serve(0);
    world.polls.load(SeqCst)
}

#[test]
fn in_a_batch_of_calls_io_is_driven_once_a_millisecond() {
    assert_eq!(polls_in_a_batch(8, 400_000), 2);
    assert_eq!(polls_in_a_batch(3, 2_000_000), 2, "after each of the calls but the last");
}

#[test]
fn in_a_short_batch_io_is_not_driven() {
    assert_eq!(polls_in_a_batch(10, 100_000), 0);
}
