//! The lead: who gets it when a call waits, and when a thread fails.

#![cfg(not(loom))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use portico_crew::Terms;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use support::{Event, SOON, Task, World, next, terms, wait_until};

/// A call that waits for longer than this is slow, by far.
const SLOW_NS: u64 = 10_000_000;

#[test]
fn while_a_call_is_stuck_another_thread_calls_within_a_second() {
    let (world, _told) = World::at_work(2);
    let (task, stuck) = Task::stuck();
    world.push(task);
    assert_eq!(stuck.thread(), 0);
    let (task, told) = Task::told();
    world.push(task);
    assert_eq!(told.recv_timeout(Duration::from_secs(1)), Ok(1));
    world.crew.stop();
}

#[test]
fn a_parked_thread_leads_before_a_new_one_is_started() {
    let (world, _told) = World::at_work(3);
    let (task, first) = Task::stuck();
    world.push(task);
    first.thread();
    let (task, told) = Task::told();
    world.push(task);
    assert_eq!(told.recv_timeout(SOON), Ok(1));
    // Thread 0 is parked, thread 1 leads.
    first.release();
    wait_until(|| world.crew.is_idle());

    let (task, second) = Task::stuck();
    world.push(task);
    assert_eq!(second.thread(), 1);
    let (task, told) = Task::told();
    world.push(task);
    assert_eq!(told.recv_timeout(SOON), Ok(0));
    world.crew.stop();
}

#[test]
fn there_are_never_more_threads_than_may_be() {
    let (world, told) = World::at_work(2);
    let stuck = [0, 1].map(|_| {
        let (task, stuck) = Task::stuck();
        world.push(task);
        stuck
    });
    assert_eq!(stuck.each_ref().map(support::Stuck::thread), [0, 1]);
    let (task, third) = Task::told();
    world.push(task);
    assert_eq!(next(&told), Event::FellBack);
    assert_eq!(world.crew.queued(), 1);
    drop(stuck);
    assert!(third.recv_timeout(SOON).is_ok());
    world.crew.stop();
}

#[test]
fn where_no_thread_can_be_started_the_only_one_serves_on() {
    let (world, told) = World::new(terms(2), false);
    world.start(0);
    world.watch();
    for _ in 0..2 {
        let (task, stuck) = Task::stuck();
        world.push(task);
        assert_eq!(stuck.thread(), 0);
        while next(&told) != Event::FellBack {}
        stuck.release();
    }
    world.crew.stop();
}

#[test]
fn slow_calls_hand_the_lead_over_without_a_watchdog() {
    let (world, _told) = World::new(terms(2), true);
    for _ in 0..3 {
        world.push(Task::lasting(SLOW_NS, |_| {}));
    }
    let (task, stuck) = Task::stuck();
    world.push(task);
    let (task, told) = Task::told();
    world.push(task);
    world.start(0);
    assert_eq!(stuck.thread(), 0);
    assert_eq!(told.recv_timeout(SOON), Ok(1));
    world.crew.stop();
}

#[test]
fn calls_that_compute_hand_nothing_over() {
    static CPU_NS: AtomicU64 = AtomicU64::new(0);
    let (world, told) = World::new(Terms { thread_cpu_ns: || CPU_NS.load(SeqCst), ..terms(2) }, true);
    for _ in 0..9 {
        world.push(Task::lasting(SLOW_NS, |me| {
            assert_eq!(me, 0);
            CPU_NS.fetch_add(SLOW_NS, SeqCst);
        }));
    }
    let there = world.clone();
    world.push(Task::new(move |_| there.crew.stop()));
    world.serve(0);
    // Nobody else was ever there.
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [Event::ThreadLeft(0)]);
}

#[test]
fn a_thread_that_panics_takes_neither_the_lead_nor_a_place_with_it() {
    let (world, _told) = World::at_work(2);
    let (task, stuck) = Task::stuck();
    world.push(task);
    stuck.thread();
    world.push(Task::panicking());
    wait_until(|| world.crew.queued() == 0 && world.crew.running() == 1);
    let (task, told) = Task::told();
    world.push(task);
    stuck.release();
    assert_eq!(told.recv_timeout(SOON), Ok(0));
    wait_until(|| world.crew.is_idle());

    // Nor is the dead thread ever waited for.
    let (task, stuck) = Task::stuck();
    world.push(task);
    stuck.thread();
    let (task, told) = Task::told();
    world.push(task);
    stuck.release();
    assert_eq!(told.recv_timeout(SOON), Ok(0));
    world.crew.stop();
}

#[test]
fn a_parked_thread_leads_where_the_leader_panics() {
    let (world, _told) = World::at_work(2);
    let (task, stuck) = Task::stuck();
    world.push(task);
    stuck.thread();
    let (task, told) = Task::told();
    world.push(task);
    assert_eq!(told.recv_timeout(SOON), Ok(1));
    stuck.release();
    wait_until(|| world.crew.is_idle());

    world.push(Task::panicking());
    let (task, told) = Task::told();
    world.push(task);
    assert_eq!(told.recv_timeout(SOON), Ok(0));
    world.crew.stop();
}

#[test]
fn a_stopped_crew_keeps_nothing_of_what_starts_threads() {
    let (world, _told) = World::new(terms(2), true);
    assert_eq!(Arc::strong_count(&world), 2);
    world.crew.stop();
    assert_eq!(Arc::strong_count(&world), 1);
}
