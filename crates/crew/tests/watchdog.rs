//! The watchdog: it drives I/O where nobody else can, and flushes what nobody else sends.

#![cfg(not(loom))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

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
