//! Metrics of an application: nothing is lost between threads, nothing is found twice, and there is an end.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss, reason = "tests")]

use portico_engine::metrics::{ENTRIES, MOST_KEY_BYTES, Room, SERIES};
use portico_engine::scoreboard::{Mapping, SlotRef};
use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::thread;

#[test]
fn threads_that_make_the_same_entries_find_the_same() {
    let mapping = Mapping::new(1).unwrap();
    let make = || {
        (0..500_usize)
            .map(|number| {
                let found = mapping.metrics().entry(format!("key {number}").as_bytes(), 1, Room::Bounded).unwrap();
                mapping.metrics().add(found.cell, 0.5);
                found.number
            })
            .collect::<Vec<_>>()
    };
    let found: Vec<Vec<usize>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let rows = mapping.metrics().rows();
    // Two have the same key where one who has made it was taken for killed: then whoever reads adds up.
    let keys: HashSet<_> = rows.iter().map(|row| row.key.clone()).collect();
    assert_eq!(keys.len(), 500);
    assert!((rows.iter().map(|row| row.figures[0]).sum::<f64>() - 4.0 * 250.0).abs() < f64::EPSILON);
    if rows.len() == 500 {
        assert!(found.iter().all(|numbers| *numbers == found[0]));
    }
}

#[test]
fn there_is_an_end() {
    let mapping = Mapping::new(1).unwrap();
    let metrics = mapping.metrics();
    let entry = |name: &str, number: usize, room| metrics.entry(format!("{name} {number}").as_bytes(), 0, room);
    assert!((0..SERIES).all(|number| entry("bounded", number, Room::Bounded).is_some()));
    assert_eq!(entry("bounded", SERIES, Room::Bounded), None);
    assert!(entry("bounded", 7, Room::Bounded).is_some());
    assert!((0..ENTRIES - SERIES).all(|number| entry("defined", number, Room::Defined).is_some()));
    assert_eq!(entry("defined", ENTRIES, Room::Defined), None);
    assert_eq!((metrics.rows().len(), metrics.taken()), (ENTRIES, ENTRIES));
}

#[test]
fn keys_and_cells_have_an_end() {
    let mapping = Mapping::new(1).unwrap();
    let metrics = mapping.metrics();
    assert_eq!(metrics.entry(&[b'x'; MOST_KEY_BYTES + 1], 0, Room::Defined), None);
    let long = |number: u8| metrics.entry(&[number; MOST_KEY_BYTES], 0, Room::Defined);
    // 512 KiB of them.
    assert_eq!((0..=u8::MAX).filter(|number| long(*number).is_some()).count(), 128);
    let mapping = Mapping::new(1).unwrap();
    let wide = |number: u16| mapping.metrics().entry(&number.to_ne_bytes(), 66, Room::Defined);
    assert_eq!((0..2000).filter(|number| wide(*number).is_some()).count(), 65536 / 66);
}

#[test]
fn one_who_was_killed_while_making_an_entry_holds_nobody_up() {
    let (made, mapping) = (Mapping::new(1).unwrap(), Mapping::new(1).unwrap());
    made.metrics().entry(b"key", 1, Room::Bounded).unwrap();
    // The place that the key has there is claimed here, and nobody is left to fill it.
    let words = |mapping: &Mapping| {
        let (memory, _) = mapping.descriptors().unwrap();
        let mut bytes = vec![0; usize::try_from(rustix::fs::fstat(memory).unwrap().st_size).unwrap()];
        assert_eq!(rustix::io::pread(memory, &mut bytes, 0).unwrap(), bytes.len());
        bytes
    };
    let (with, without) = (words(&made), words(&mapping));
    let differing: Vec<usize> =
        (0..with.len()).step_by(4).filter(|at| with[*at..at + 4] != without[*at..at + 4]).collect();
    // The counts of what is taken (entries, bounded ones, cells, words), and then the place.
    let place = differing[4];
    let (memory, _) = mapping.descriptors().unwrap();
    rustix::io::pwrite(memory.as_fd(), &u32::MAX.to_ne_bytes(), place as u64).unwrap();
    let found = mapping.metrics().entry(b"key", 1, Room::Bounded).unwrap();
    assert_eq!(mapping.metrics().entry(b"key", 1, Room::Bounded), Some(found));
    assert_eq!(mapping.metrics().rows().len(), 1);
}

#[test]
fn gauges_are_each_workers_own_until_it_ends() {
    let mapping = Mapping::new(3).unwrap();
    assert!(mapping.gauges(1).is_none());
    let gauge = mapping.metrics().entry(b"gauge", 1, Room::Defined).unwrap().number;
    mapping.use_gauges(1).unwrap().set(gauge, 0.0);
    mapping.use_gauges(2).unwrap().add(gauge, -2.5);
    let all = || [0, 1, 2].map(|slot| mapping.gauges(slot).and_then(|gauges| gauges.get(gauge)));
    assert_eq!(all(), [None, Some(0.0), Some(-2.5)]);
    SlotRef::new(&mapping, 2).unwrap().reset();
    assert_eq!(all(), [None, Some(0.0), None]);
    mapping.use_gauges(2).unwrap().copy(mapping.gauges(1).unwrap(), mapping.metrics().taken());
    assert_eq!(all(), [None, Some(0.0), Some(0.0)]);
    assert!(mapping.use_gauges(3).is_none() && mapping.gauges(3).is_none());
}

#[test]
fn what_is_full_is_said_once() {
    let mapping = Mapping::new(1).unwrap();
    assert!(mapping.metrics().is_to_say_full());
    assert!(!mapping.metrics().is_to_say_full());
}
