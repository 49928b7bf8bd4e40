//! The queue: what it refuses, what expires, in which order jobs leave it.

#![cfg(not(loom))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use portico_crew::{Crew, Job, Terms};
use std::sync::mpsc::channel;
use support::{SOON, Task, World, terms, wait_until};

#[test]
fn rejects_a_job_while_as_many_as_may_be_wait() {
    let crew = Crew::new(Terms { in_flight: 2, ..terms(1) });
    let rejected =
        [1, 2, 3].map(|since_ns| crew.push(Task::waiting_since(since_ns)).err().map(|task| task.waiting_since_ns()));
    assert_eq!(rejected, [None, None, Some(3)]);
    assert_eq!(crew.queued(), 2);
}

#[test]
fn a_job_in_the_place_of_one_that_is_done_finds_room_while_that_ones_call_runs() {
    let (world, _reported) = World::new(Terms { in_flight: 1, ..terms(1) }, true);
    world.start(0);
    let (task, stuck) = Task::stuck();
    world.push(task);
    stuck.thread();
    assert!(world.crew.push(Task::waiting_since(1)).is_err());
    assert!(world.crew.push_next(Task::waiting_since(2)).is_ok());
    assert!(world.crew.push_next(Task::waiting_since(3)).is_err());
    stuck.release();
    wait_until(|| world.crew.is_idle());
    world.crew.stop();
}

#[test]
fn counts_a_running_call_as_in_flight() {
    let (world, _reported) = World::new(Terms { in_flight: 2, ..terms(1) }, true);
    world.start(0);
    let (task, stuck) = Task::stuck();
    world.push(task);
    stuck.thread();
    assert_eq!((world.crew.running(), world.crew.queued()), (1, 0));
    world.push(Task::waiting_since(1));
    assert!(world.crew.push(Task::waiting_since(2)).is_err());

    stuck.release();
    wait_until(|| world.crew.is_idle());
    let (task, reported) = Task::reported();
    world.push(task);
    assert_eq!(reported.recv_timeout(SOON), Ok(0));
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
        assert!(crew.push(Task::waiting_since(since_ns)).is_ok());
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
