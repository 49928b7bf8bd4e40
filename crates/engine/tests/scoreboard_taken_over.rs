//! A scoreboard outlives the supervisor that has made it.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use portico_engine::scoreboard::{Mapping, ShownRequest, SlotRef};
use std::io::{ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

fn descriptors(mapping: &Mapping) -> (OwnedFd, OwnedFd) {
    let (memory, left_connections) = mapping.descriptors().unwrap();
    (memory.try_clone_to_owned().unwrap(), left_connections.try_clone_to_owned().unwrap())
}

fn taken_over(mapping: &Mapping) -> Result<Arc<Mapping>> {
    let (memory, left_connections) = descriptors(mapping);
    Mapping::taken_over(memory, left_connections)
}

#[test]
fn what_workers_write_is_there_for_the_next_supervisor() {
    let before = Mapping::new(3).unwrap();
    let after = taken_over(&before).unwrap();
    assert_eq!(after.slots(), 3);
    let (written, read) = (SlotRef::new(&before, 2).unwrap(), SlotRef::new(&after, 2).unwrap());
    written.set_threads(1);
    let request = ShownRequest {
        application: 0,
        method: b"GET",
        path: b"/path",
        arrived_ns: 1,
        taken_ns: 1,
        logged: None,
        trace: None,
    };
    written.call_started(0, &request, 1);
    written.requests.store(7, Relaxed);
    drop((written, before));
    assert_eq!(read.requests.load(Relaxed), 7);
    assert_eq!(read.calls().iter().map(|call| call.what.as_str()).collect::<Vec<_>>(), ["GET /path"]);
}

#[test]
fn another_layout_is_not_taken_over() {
    // Each word of the head: what it is, its version, the sizes, how many slots there are.
    for word in 0..6 {
        for value in [0_u64, 1, 5, u64::MAX] {
            let mapping = Mapping::new(3).unwrap();
            let (memory, _) = descriptors(&mapping);
            let mut before = [0; 8];
            rustix::io::pread(&memory, &mut before, word * 8).unwrap();
            rustix::io::pwrite(&memory, &value.to_ne_bytes(), word * 8).unwrap();
            let fault = taken_over(&mapping).err().map(|error| error.kind());
            let is_another = before != value.to_ne_bytes();
            assert_eq!(fault, is_another.then_some(ErrorKind::InvalidData), "word {word}: {value}");
        }
    }
}

#[test]
fn what_is_no_scoreboard_is_not_taken_over() {
    let (_, left_connections) = descriptors(&Mapping::new(1).unwrap());
    let empty = std::fs::File::open("/dev/null").unwrap();
    let fault = Mapping::taken_over(empty.into(), left_connections).err().map(|error| error.kind());
    assert_eq!(fault, Some(ErrorKind::InvalidData));
}
