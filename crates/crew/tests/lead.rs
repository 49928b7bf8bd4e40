//! The lead: who gets it when a call waits, and when a thread fails.

#![cfg(not(loom))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use portico_crew::Terms;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::time::Duration;
use support::{SOON, Task, World, terms, wait_for_fallback, wait_until};

/// A call that waits for longer than this is slow, by far.
const SLOW_NS: u64 = 10_000_000;

#[test]
fn while_a_call_is_stuck_another_thread_calls_within_a_second() {
    let (world, _reported) = World::at_work(2);
    let (task, stuck) = Task::stuck();
    world.push(task);
    assert_eq!(stuck.thread(), 0);
    let (task, reported) = Task::reported();
    world.push(task);
    assert_eq!(reported.recv_timeout(Duration::from_secs(1)), Ok(1));
    world.crew.stop();
}

#[test]
fn a_parked_thread_leads_before_a_new_one_is_started() {
    let world = without_watchdog(3);
    // Thread 0 hands the lead over to thread 1, and is parked.
    let (task, first) = Task::stuck();
    world.push(task);
    assert_eq!(first.thread(), 0);
    first.release();
    wait_until(|| world.crew.is_idle());

    let (task, second) = Task::stuck();
    world.push(task);
    assert_eq!(second.thread(), 1);
    let (task, reported) = Task::reported();
    world.push(task);
    assert_eq!(reported.recv_timeout(SOON), Ok(0));
    world.crew.stop();
}

#[test]
fn there_are_never_more_threads_than_may_be() {
    let (world, reported) = World::at_work(2);
    let stuck = [0, 1].map(|_| {
        let (task, stuck) = Task::stuck();
        world.push(task);
        stuck
    });
    assert_eq!(stuck.each_ref().map(support::Stuck::thread), [0, 1]);
    let (task, third) = Task::reported();
    world.push(task);
    wait_for_fallback(&reported);
    assert_eq!(world.crew.queued(), 1);
    drop(stuck);
    assert!(third.recv_timeout(SOON).is_ok());
    world.crew.stop();
}

#[test]
fn where_no_thread_can_be_started_the_only_one_serves_on() {
    let (world, reported) = World::new(terms(2), false);
    world.start(0);
    world.watch();
    for _ in 0..2 {
        let (task, stuck) = Task::stuck();
        world.push(task);
        assert_eq!(stuck.thread(), 0);
        wait_for_fallback(&reported);
        stuck.release();
    }
    world.crew.stop();
}

#[test]
fn a_slow_call_hands_the_lead_over_before_it_begins() {
    let world = without_watchdog(2);
    let (task, stuck) = Task::stuck();
    world.push(task);
    assert_eq!(stuck.thread(), 0);
    let (task, reported) = Task::reported();
    world.push(task);
    assert_eq!(reported.recv_timeout(SOON), Ok(1));
    world.crew.stop();
}

#[test]
fn calls_that_compute_hand_nothing_over() {
    static CPU_NS: AtomicU64 = AtomicU64::new(0);
    let (world, _reported) = World::new(Terms { thread_cpu_ns: || CPU_NS.load(SeqCst), ..terms(2) }, true);
    let (called_on, threads) = channel();
    for _ in 0..9 {
        let called_on = called_on.clone();
        world.push(Task::lasting(SLOW_NS, move |me| {
            CPU_NS.fetch_add(SLOW_NS, SeqCst);
            called_on.send(me).unwrap();
        }));
    }
    let there = world.clone();
    world.push(Task::new(move |_| there.crew.stop()));
    world.serve(0);
    assert_eq!(threads.try_iter().collect::<Vec<_>>(), [0; 9]);
}

#[test]
fn calls_that_compute_in_parallel_are_spread_over_the_threads() {
    let (world, _reported) = World::new(terms(3), true);
    world.crew.compute_in_parallel();
    let stuck = [0, 1, 2].map(|_| {
        let (task, stuck) = Task::stuck();
        world.push(task);
        stuck
    });
    // There is no watchdog that would find the first of them stuck.
    world.start(0);
    let mut threads = stuck.each_ref().map(support::Stuck::thread);
    threads.sort_unstable();
    assert_eq!(threads, [0, 1, 2]);
    world.crew.stop();
}

#[test]
fn a_long_call_that_computes_in_parallel_hands_the_lead_over_before_it_begins() {
    static CPU_NS: AtomicU64 = AtomicU64::new(0);
    let (world, _reported) = World::new(Terms { thread_cpu_ns: || CPU_NS.load(SeqCst), ..terms(2) }, true);
    world.crew.compute_in_parallel();
    world.start(0);
    // One at a time, so that nothing is queued when a call begins. As many as make a route slow.
    for _ in 0..9 {
        world.push(Task::lasting(SLOW_NS, |_| {
            CPU_NS.fetch_add(SLOW_NS, SeqCst);
        }));
        wait_until(|| world.crew.is_idle());
    }
    let (task, first) = Task::stuck();
    world.push(task);
    let called_first = first.thread();
    // There is no watchdog that would find it stuck: who leads now was told before that call.
    let (task, second) = Task::stuck();
    world.push(task);
    assert_ne!(second.thread(), called_first);
    world.crew.stop();
}

#[test]
fn a_leader_that_panics_leaves_the_lead_to_a_parked_thread() {
    let world = without_watchdog(2);
    let (task, stuck) = Task::stuck();
    world.push(task);
    stuck.thread();
    stuck.release();
    wait_until(|| world.crew.is_idle());

    let (task, panicking) = Task::panicking();
    world.push(task);
    assert_eq!(panicking.thread(), 1);
    panicking.release();
    for _ in 0..2 {
        let (task, reported) = Task::reported();
        world.push(task);
        assert_eq!(reported.recv_timeout(SOON), Ok(0));
    }
    world.crew.stop();
}

#[test]
fn nobody_waits_for_a_thread_that_has_panicked() {
    let (world, reported) = World::at_work(2);
    let (task, first) = Task::stuck();
    world.push(task);
    first.thread();
    let (task, second) = Task::panicking();
    world.push(task);
    second.thread();
    first.release();
    let (task, on_first) = Task::reported();
    world.push(task);
    assert_eq!(on_first.recv_timeout(SOON), Ok(0));
    // Thread 0 leads, so thread 1 is to be parked at the end of its call.
    second.release();
    wait_until(|| world.crew.is_idle());
    reported.try_iter().for_each(drop);

    // Thread 1 neither leads nor counts as parked nor as running.
    let (task, third) = Task::stuck();
    world.push(task);
    assert_eq!(third.thread(), 0);
    wait_for_fallback(&reported);
    let (task, reported) = Task::reported();
    world.push(task);
    third.release();
    assert_eq!(reported.recv_timeout(SOON), Ok(0));
    world.crew.stop();
}

#[test]
fn a_stopped_crew_keeps_nothing_of_what_starts_threads() {
    let (world, _reported) = World::new(terms(2), true);
    assert_eq!(Arc::strong_count(&world), 2);
    world.crew.stop();
    assert_eq!(Arc::strong_count(&world), 1);
}

/// A crew where every call is taken for a slow one, so that nothing depends on time.
fn without_watchdog(threads: usize) -> Arc<World> {
    let (world, _) = World::new(terms(threads), true);
    for _ in 0..3 {
        world.crew.begin(0, 0).end(SLOW_NS);
    }
    world.start(0);
    world
}
