//! The threads that wait for disks.

#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::blocking::BlockingThreads;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{current, yield_now};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

fn received<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_job_that_waits_keeps_no_other_from_running_while_there_are_threads() {
    let threads = BlockingThreads::new(2);
    let (opens, gate) = channel::<()>();
    let (ran, runs) = channel();
    threads.run(move || received(&gate));
    for number in 0..10 {
        let ran = ran.clone();
        threads.run(move || ran.send(number).unwrap());
    }
    let order: Vec<_> = (0..10).map(|_| received(&runs)).collect();
    assert_eq!(order, (0..10).collect::<Vec<_>>());
    opens.send(()).unwrap();
    assert!(threads.stop(PATIENCE));
}

#[test]
fn there_are_no_more_threads_than_may_be() {
    let threads = BlockingThreads::new(2);
    let (started, starts) = channel();
    let gates: Vec<_> = (0..3)
        .map(|_| {
            let (opens, gate) = channel::<()>();
            let started = started.clone();
            threads.run(move || {
                started.send(current().id()).unwrap();
                received(&gate);
            });
            opens
        })
        .collect();
    let first = [received(&starts), received(&starts)];
    assert_ne!(first[0], first[1]);
    assert!(starts.try_recv().is_err());
    for gate in gates {
        gate.send(()).unwrap();
    }
    assert!(first.contains(&received(&starts)));
    assert!(threads.stop(PATIENCE));
}

#[test]
fn a_panic_is_that_jobs_own() {
    let threads = BlockingThreads::new(1);
    let (ran, runs) = channel();
    threads.run(|| panic!("on purpose"));
    threads.run(move || ran.send(()).unwrap());
    received(&runs);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(threads.wait(|| -> u8 { panic!("on purpose") })), None);
    assert_eq!(runtime.block_on(threads.wait(|| 7)), Some(7));
}

#[test]
fn after_the_stop_nothing_runs_and_nobody_waits_for_it() {
    let threads = BlockingThreads::new(1);
    let (opens, gate) = channel::<()>();
    let (started, starts) = channel();
    threads.run(move || {
        started.send(()).unwrap();
        received(&gate);
    });
    received(&starts);
    let (held, is_dropped) = channel::<()>();
    threads.run(move || held.send(()).unwrap());
    assert!(!threads.stop(Duration::ZERO), "one is at work");
    assert!(is_dropped.recv_timeout(PATIENCE).is_err(), "it never runs");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(threads.wait(|| 7)), None);
    opens.send(()).unwrap();
    while !threads.stop(PATIENCE) {
        yield_now();
    }
}
