//! The send queue: order, limits, and what is counted in the budgets.

#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::budget::{Budget, Budgets};
use portico_engine::message::block::Block;
use portico_engine::message::framing::ResponseFraming;
use portico_engine::message::send_queue::{FileRange, Piece, QueueEnd, SendQueue, Taken};
use std::future::Future as _;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};

const MEMORY_LIMIT: u64 = 1000;
const SPOOL_LIMIT: u64 = 5000;

fn budgets(memory: u64, temporary: u64) -> Budgets {
    Budgets { memory: Budget::new(memory), temporary: Budget::new(temporary), files: Budget::new(10) }
}

fn plenty() -> Budgets {
    budgets(1 << 20, 1 << 20)
}

fn queue(budgets: &Budgets) -> SendQueue {
    SendQueue::new(budgets, MEMORY_LIMIT, SPOOL_LIMIT)
}

fn block(byte: u8, length: usize) -> Block {
    Block { owned: Box::new(vec![byte; length]), range: 0..length }
}

/// Adds a block that is not the last one; true if it is kept within the limits.
fn push(queue: &mut SendQueue, byte: u8, length: usize) -> bool {
    let is_kept = queue.push_block(block(byte, length), ResponseFraming::Http, false).unwrap();
    write(queue) && is_kept
}

/// Writes what the queue wants to be written; false if there is no place for it on disk.
fn write(queue: &mut SendQueue) -> bool {
    let Some(write) = queue.begin_write() else { return true };
    let result = write.run();
    queue.wrote(write, result).unwrap()
}

fn next_bytes(queue: &mut SendQueue) -> Vec<u8> {
    match queue.take().unwrap() {
        Taken::Piece(piece) => piece.bytes().to_vec(),
        Taken::Later(_) | Taken::Nothing => panic!("there is none"),
    }
}

/// Takes all that is in the queue, as the task does.
fn drain(queue: &mut SendQueue) -> Vec<u8> {
    let mut all = Vec::new();
    while let Taken::Piece(piece) = queue.take().unwrap() {
        match piece {
            Piece::File(FileRange { file, offset, length, .. }) => {
                let mut file = &*file;
                file.seek(SeekFrom::Start(offset)).unwrap();
                file.take(length).read_to_end(&mut all).unwrap();
            }
            Piece::Shared(block, held) => {
                all.extend(block.bytes());
                let held_bytes = block.held_bytes();
                drop((block, held));
                queue.release(held_bytes);
            }
            Piece::Bytes(_) | Piece::Spooled(_) => all.extend(piece.bytes()),
        }
    }
    all
}

#[test]
fn what_goes_in_comes_out_in_order_wherever_it_was_kept() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    queue.push(b"head").unwrap();
    assert!(push(&mut queue, b'a', 500));
    assert!(push(&mut queue, b'b', 2000), "in a file");
    queue.push(b"framing").unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    queue.push_file(FileRange { file: file.into(), offset: 2, length: 3, threads: None });
    assert!(queue.push_block(block(b'c', 300), ResponseFraming::Http, true).unwrap());
    queue.push(b"end").unwrap();
    let expected =
        [b"head".to_vec(), vec![b'a'; 500], vec![b'b'; 2000], b"framing234".to_vec(), vec![b'c'; 300], b"end".to_vec()];
    assert_eq!(drain(&mut queue), expected.concat());
    assert!(queue.is_empty());
}

#[test]
fn everything_goes_back_to_the_budgets() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    assert!(push(&mut queue, b'a', 900) && push(&mut queue, b'b', 900));
    assert!(queue.push_block(block(b'c', 700), ResponseFraming::Http, true).unwrap());
    assert_eq!((budgets.memory.used(), budgets.temporary.used(), budgets.files.used()), (1600, 900, 1));
    drain(&mut queue);
    assert_eq!((budgets.memory.used(), budgets.temporary.used(), budgets.files.used()), (0, 0, 0));
}

#[test]
fn a_dropped_queue_gives_everything_back() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    assert!(push(&mut queue, b'a', 900) && push(&mut queue, b'b', 900));
    assert!(queue.push_block(block(b'c', 700), ResponseFraming::Http, true).unwrap());
    drop(queue);
    assert_eq!((budgets.memory.used(), budgets.temporary.used(), budgets.files.used()), (0, 0, 0));
}

#[test]
fn the_last_block_counts_with_all_the_memory_that_it_keeps_alive() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    let partly_sent = Block { owned: Box::new(vec![b'x'; 4000]), range: 3000..4000 };
    assert!(queue.push_block(partly_sent, ResponseFraming::Http, true).unwrap());
    assert_eq!(budgets.memory.used(), 4000);
    assert_eq!(drain(&mut queue), vec![b'x'; 1000]);
    assert_eq!(budgets.memory.used(), 0);
}

#[test]
fn the_last_block_goes_to_a_file_when_there_is_no_memory_for_it() {
    let budgets = budgets(1000, 1 << 20);
    let mut queue = queue(&budgets);
    assert!(queue.push_block(block(b'x', 2000), ResponseFraming::Http, true).unwrap());
    assert!(write(&mut queue));
    assert_eq!((budgets.memory.used(), budgets.temporary.used()), (0, 2000));
}

#[test]
fn a_block_beyond_all_limits_is_taken_by_an_empty_queue_and_its_maker_waits() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    assert!(queue.has_room(100_000));
    assert!(!push(&mut queue, b'x', 100_000));
    assert_eq!(budgets.memory.used(), 0, "it is nobody's but its maker's");
    assert!(!queue.has_room(1));
    assert_eq!(drain(&mut queue).len(), 100_000);
    assert!(queue.has_room(1));
}

#[test]
fn a_block_that_was_not_counted_gives_nothing_back() {
    let budgets = budgets(1 << 20, 0);
    let mut queue = queue(&budgets);
    assert!(!push(&mut queue, b'x', 2000), "there is no place on disk");
    assert!(queue.push_block(block(b'y', 500), ResponseFraming::Http, true).unwrap());
    let Taken::Piece(Piece::Shared(large, held)) = queue.take().unwrap() else { panic!("not the first block") };
    drop(held);
    queue.release(large.held_bytes());
    assert_eq!(budgets.memory.used(), 500, "the block that still waits");
}

#[test]
fn what_was_on_disk_moves_to_memory_when_the_disk_is_full() {
    let budgets = budgets(1 << 20, 1500);
    let mut queue = queue(&budgets);
    assert!(push(&mut queue, b'a', 900) && push(&mut queue, b'b', 1200));
    assert!(!push(&mut queue, b'c', 1200));
    assert_eq!(budgets.temporary.used(), 0);
    assert!(!queue.has_room(1));
    assert_eq!(drain(&mut queue), [vec![b'a'; 900], vec![b'b'; 1200], vec![b'c'; 1200]].concat());
}

#[test]
fn there_is_room_up_to_the_spool_limit() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    assert!(push(&mut queue, b'a', 900));
    assert!(queue.has_room(100) && queue.has_room(4100) && !queue.has_room(4101));
}

#[test]
fn blocks_are_put_into_records_where_the_framing_wants_it() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    queue.push_block(block(b'x', 10), ResponseFraming::FastCgi { id: 7 }, true).unwrap();
    let records = drain(&mut queue);
    assert_eq!(records[..8], [1, 6, 0, 7, 0, 10, 6, 0], "the header of a STDOUT record with its padding");
    assert_eq!(records[8..18], [b'x'; 10]);
}

#[test]
fn a_failed_queue_takes_nothing_and_has_room_for_all() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    assert!(push(&mut queue, b'a', 900));
    queue.fail();
    assert_eq!(queue.push(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(queue.push_block(block(b'b', 1), ResponseFraming::Http, false).is_err());
    assert!(queue.has_room(usize::MAX));
    assert_eq!(queue.end(), QueueEnd::Failed);
}

#[test]
fn a_response_is_finished_once() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    assert!(queue.finish(true));
    assert!(!queue.finish(false));
    assert_eq!(queue.end(), QueueEnd::Done { keep: true });
}

#[test]
fn what_is_being_written_is_taken_when_it_is_in_the_file_and_all_before_it_meanwhile() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    assert!(push(&mut queue, b'a', 900));
    assert!(queue.push_block(block(b'c', 1200), ResponseFraming::Http, false).unwrap());
    let write = queue.begin_write().unwrap();
    queue.push(b"after").unwrap();
    assert!(queue.begin_write().is_none(), "one after the other");
    assert_eq!(next_bytes(&mut queue), vec![b'a'; 900]);
    let Taken::Later(written) = queue.take().unwrap() else { panic!("it is not there yet") };
    let mut notified = std::pin::pin!(written.notified());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(notified.as_mut().poll(&mut context).is_pending());
    write.run().unwrap();
    assert!(queue.wrote(write, Ok(())).unwrap());
    assert!(notified.poll(&mut context).is_ready());
    assert_eq!(drain(&mut queue), [vec![b'c'; 1200], b"after".to_vec()].concat());
    assert_eq!((budgets.memory.used(), budgets.temporary.used(), budgets.files.used()), (0, 0, 0));
}

#[test]
fn what_cannot_be_written_is_in_its_place_in_memory() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    assert!(push(&mut queue, b'a', 900) && push(&mut queue, b'b', 1200));
    queue.push(b"before").unwrap();
    assert!(queue.push_block(block(b'c', 1200), ResponseFraming::Http, false).unwrap());
    let write = queue.begin_write().unwrap();
    queue.push(b"after").unwrap();
    assert!(!queue.wrote(write, Err(ErrorKind::StorageFull.into())).unwrap());
    let expected = [vec![b'a'; 900], vec![b'b'; 1200], b"before".to_vec(), vec![b'c'; 1200], b"after".to_vec()];
    assert_eq!(drain(&mut queue), expected.concat());
    assert!(queue.is_empty());
    assert_eq!((budgets.memory.used(), budgets.temporary.used(), budgets.files.used()), (0, 0, 0));
}

#[test]
fn little_that_follows_what_is_in_a_file_needs_no_write() {
    let budgets = plenty();
    let mut queue = queue(&budgets);
    assert!(push(&mut queue, b'a', 900) && push(&mut queue, b'b', 1200));
    queue.push(b"a chunk's end").unwrap();
    assert!(queue.begin_write().is_none());
    assert_eq!(budgets.memory.used(), 900 + 13);
    let expected = [vec![b'a'; 900], vec![b'b'; 1200], b"a chunk's end".to_vec()];
    assert_eq!(drain(&mut queue), expected.concat());
    assert_eq!((budgets.memory.used(), budgets.temporary.used()), (0, 0));
}

#[test]
fn what_has_no_room_in_memory_is_written_however_little_it_is() {
    let budgets = budgets(1300, 1 << 20);
    let mut queue = queue(&budgets);
    assert!(push(&mut queue, b'a', 900) && push(&mut queue, b'b', 1200));
    queue.push(&[b'c'; 100]).unwrap();
    assert!(write(&mut queue));
    assert_eq!((budgets.memory.used(), budgets.temporary.used()), (900, 1300));
    assert_eq!(drain(&mut queue).len(), 2200);
}
