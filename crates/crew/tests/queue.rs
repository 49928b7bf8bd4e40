//! The queue: what expires, in which order jobs leave it.

#![cfg(not(loom))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use portico_crew::{Crew, Job, Terms};
use std::sync::mpsc::channel;
use support::{Task, World, terms, wait_until};

#[test]
fn counts_a_call_as_running_until_it_returns() {
    let (world, _reported) = World::new(terms(1), true);
    world.start(0);
    let (task, stuck) = Task::stuck();
    world.push(task);
    stuck.thread();
    world.push(Task::waiting_since(1));
    assert_eq!((world.crew.running(), world.crew.queued()), (1, 1));
    stuck.release();
    wait_until(|| world.crew.is_idle());
    world.crew.stop();
}

#[test]
fn calls_in_the_order_of_arrival() {
    let (world, _reported) = World::new(terms(1), true);
    let (tell, reported) = channel();
    for number in 0..5 {
        let tell = tell.clone();
        world.push(Task::new(move |_| tell.send(number).unwrap()));
    }
    let there = world.clone();
    world.push(Task::new(move |_| there.crew.stop()));
    world.serve(0);
    assert_eq!(reported.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn takes_out_what_has_expired_also_from_the_middle() {
    let crew = Crew::new(Terms { queue_ns: 100, ..terms(1) });
    for since_ns in [60, 10, 70, 20, 80] {
        crew.push(Task::waiting_since(since_ns));
    }
    let taken = |now_ns| crew.take_expired(now_ns).iter().map(Job::waiting_since_ns).collect::<Vec<_>>();
    assert_eq!(taken(100), []);
    assert_eq!(taken(150), [10, 20]);
    // Those left are as they were.
    assert_eq!(crew.queued(), 3);
    assert_eq!(taken(1_000), [60, 70, 80]);
    assert_eq!((crew.queued(), crew.running()), (0, 0));
}

#[test]
fn a_job_expires_after_its_time_and_not_with_it() {
    let crew = Crew::new(Terms { queue_ns: 100, ..terms(1) });
    let job = Task::waiting_since(50);
    // At first by a clock that is behind the job's.
    let is_expired = [0, 50, 150, 151].map(|now_ns| crew.is_expired(&job, now_ns));
    assert_eq!(is_expired, [false, false, false, true]);
}

#[test]
fn what_is_queued_when_the_crew_stops_is_called_by_a_leader_at_work() {
    let (world, _reported) = World::new(terms(1), true);
    let there = world.clone();
    world.push(Task::new(move |_| there.crew.stop()));
    let (task, reported) = Task::reported();
    world.push(task);
    world.serve(0);
    assert_eq!(reported.try_recv(), Ok(0));
    assert!(world.crew.is_idle());
}
