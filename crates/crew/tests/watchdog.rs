//! The watchdog: it drives I/O where nobody else can, and flushes what nobody else sends.

#![cfg(not(loom))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use portico_crew::sync::lock;
use support::{Event, SOON, Task, World, next_else, wait_for_fallback};

#[test]
fn drives_io_while_the_only_thread_is_in_a_call() {
    let (world, reported) = World::at_work(1);
    for _ in 0..2 {
        let (task, stuck) = Task::stuck();
        world.push(task);
        stuck.thread();
        wait_for_fallback(&reported);
        // And leaves it to the thread that is back.
        stuck.release();
        let (task, reported) = Task::reported();
        world.push(task);
        assert_eq!(reported.recv_timeout(SOON), Ok(0));
    }
    world.crew.stop();
}

#[test]
fn drives_io_while_the_only_thread_waits_for_the_interpreter() {
    let (world, reported) = World::at_work(1);
    let interpreter = lock(&world.interpreter);
    let (task, called_on) = Task::reported();
    world.push(task);
    wait_for_fallback(&reported);
    drop(interpreter);
    assert_eq!(called_on.recv_timeout(SOON), Ok(0));
    world.crew.stop();
}

#[test]
fn all_threads_take_a_job_before_it_drives_io_while_they_wait_for_the_interpreter() {
    let (world, reported) = World::at_work(3);
    let interpreter = lock(&world.interpreter);
    let called_on = [0; 4].map(|_| {
        let (task, called_on) = Task::reported();
        world.push(task);
        called_on
    });
    wait_for_fallback(&reported);
    assert_eq!((world.crew.running(), world.crew.queued()), (3, 1));
    drop(interpreter);
    assert!(called_on.iter().all(|called_on| called_on.recv_timeout(SOON).is_ok()));
    world.crew.stop();
}

#[test]
fn flushes_while_a_thread_leads() {
    let (world, reported) = World::at_work(1);
    for _ in 0..3 {
        world.coalesce();
        assert_eq!(next_else(&reported), Event::Flushed);
    }
    world.crew.stop();
}

#[test]
fn flushes_while_it_drives_io() {
    let (world, reported) = World::at_work(1);
    let (task, _stuck) = Task::stuck();
    world.push(task);
    wait_for_fallback(&reported);
    for _ in 0..3 {
        world.coalesce();
        assert_eq!(next_else(&reported), Event::Flushed);
    }
    world.crew.stop();
}
