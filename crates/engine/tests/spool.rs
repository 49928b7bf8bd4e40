//! A request body on its way in: order, limits, what is counted, and who writes to a disk.

#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::blocking::BlockingThreads;
use portico_engine::budget::{Budget, Budgets};
use portico_engine::message::spool::{Kept, Spool};
use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const MEMORY_LIMIT: u64 = 1000;
/// What is written by a thread of its own.
const MUCH: usize = 256 * 1024;

fn budgets(memory: u64, temporary: u64) -> Budgets {
    Budgets { memory: Budget::new(memory), temporary: Budget::new(temporary), files: Budget::new(10) }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn all_of(kept: Kept) -> Vec<u8> {
    let Some(file) = kept.file else { return kept.memory };
    assert!(kept.memory.is_empty());
    let mut all = vec![0; usize::try_from(file.length()).unwrap()];
    file.read_at(&mut all, 0).unwrap();
    all
}

#[test]
fn what_goes_in_comes_out_in_order_however_it_was_written() {
    // Whether more is at hand after each block; a body ends in either way.
    for pattern in ["m", "s", "mmms", "sm", "mmmmmmmmmmmmmmmmmmmmm", "smmmmmmmmmmmmmmmmmmmmmmmms"] {
        for block_bytes in [1, 999, 1000, 1001, 16 * 1024, MUCH, MUCH + 1] {
            let budgets = budgets(1 << 30, 1 << 30);
            let threads = BlockingThreads::new(1);
            let mut spool = Spool::new(&budgets, MEMORY_LIMIT);
            let mut sent = Vec::new();
            for (letter, byte) in pattern.bytes().zip(b'a'..) {
                let block = vec![byte; block_bytes];
                run(spool.push(&block, letter == b'm', &threads)).unwrap();
                sent.extend(block);
                assert_eq!(spool.len(), sent.len() as u64);
            }
            let kept = run(spool.into_kept(&threads)).unwrap();
            let in_memory = if kept.file.is_some() { 0 } else { sent.len() as u64 };
            assert_eq!((kept.len(), in_memory <= MEMORY_LIMIT), (sent.len() as u64, true));
            assert_eq!((budgets.memory.used(), budgets.temporary.used()), (in_memory, sent.len() as u64 - in_memory));
            assert!(all_of(kept) == sent, "{pattern} of {block_bytes}");
            assert_eq!(budgets.memory.used(), 0);
        }
    }
}

#[test]
fn what_comes_slowly_is_not_kept_in_memory() {
    let budgets = budgets(1 << 20, 1 << 20);
    let threads = BlockingThreads::new(1);
    let mut spool = Spool::new(&budgets, MEMORY_LIMIT);
    run(spool.push(&[b'a'; 2000], false, &threads)).unwrap();
    run(spool.push(b"b", false, &threads)).unwrap();
    assert_eq!((budgets.memory.used(), budgets.temporary.used()), (0, 2001));
}

#[test]
fn without_memory_it_is_written_as_it_comes() {
    let budgets = budgets(500, 1 << 20);
    let threads = BlockingThreads::new(1);
    let mut spool = Spool::new(&budgets, MEMORY_LIMIT);
    run(spool.push(&[b'a'; 400], true, &threads)).unwrap();
    run(spool.push(&[b'a'; 400], true, &threads)).unwrap();
    assert_eq!((budgets.memory.used(), budgets.temporary.used()), (0, 800));
}

/// A disk that is behind holds up whoever writes: here all its threads wait.
#[test]
fn who_drives_io_does_not_wait_for_the_disk() {
    let budgets = budgets(1 << 20, 1 << 20);
    let threads = BlockingThreads::new(1);
    let (go_on, stop) = mpsc::channel::<()>();
    threads.run(move || {
        let _ = stop.recv();
    });
    let mut spool = Spool::new(&budgets, MEMORY_LIMIT);
    let much = vec![b'a'; MUCH];
    {
        let mut push = pin!(spool.push(&much, true, &threads));
        assert!(push.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        go_on.send(()).unwrap();
        run(push).unwrap();
    }
    assert_eq!((spool.len(), budgets.temporary.used()), (MUCH as u64, MUCH as u64));
}

#[test]
fn a_full_disk_is_an_error_whoever_writes() {
    let threads = BlockingThreads::new(1);
    for bytes in [2000, MUCH] {
        let budgets = budgets(1 << 20, 1500);
        let mut spool = Spool::new(&budgets, MEMORY_LIMIT);
        let error = run(spool.push(&vec![b'a'; bytes], false, &threads)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        drop(spool);
        assert_eq!((budgets.memory.used(), budgets.temporary.used(), budgets.files.used()), (0, 0, 0));
    }
}

#[test]
fn after_the_end_of_the_server_nothing_is_kept() {
    let budgets = budgets(1 << 20, 1 << 20);
    let threads = BlockingThreads::new(1);
    threads.stop(Duration::from_secs(5));
    let mut spool = Spool::new(&budgets, MEMORY_LIMIT);
    let much = vec![b'a'; 2 * MUCH];
    let mut push = pin!(spool.push(&much, false, &threads));
    let Poll::Ready(pushed) = push.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { panic!("it waits") };
    assert!(pushed.unwrap_err().to_string().contains("ended"));
}
