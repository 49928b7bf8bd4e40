//! Records of the error log on their way to Python's logging, whose handlers may take long and need the interpreter.
//!
//! Any thread puts one in and goes on; a thread of Python's takes them out (`_core.next_record`). What does not fit is
//! counted, and said once there is room again. The lock is never held while anybody waits for the interpreter.

use super::level::Level;
use crate::clock;
use crate::lock::lock;
use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Records that wait at most.
const MOST_RECORDS: usize = 1000;
/// Bytes of their messages.
const MOST_BYTES: usize = 256 * 1024;

static IS_ON: AtomicBool = AtomicBool::new(false);
static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    records: VecDeque::new(),
    bytes: 0,
    lost: 0,
    is_handled: false,
    is_ended: false,
    reopens: false,
});
static CHANGED: Condvar = Condvar::new();

/// One record.
pub struct Record {
    /// How much it matters.
    pub level: Level,
    /// When it came to be.
    pub created_ns: u64,
    /// The sentence.
    pub message: String,
    /// What else is known, by the names of the Elastic Common Schema.
    pub fields: Vec<(&'static str, String)>,
    /// What the application has raised: an object of the interpreter's, which this crate does not know.
    pub error: Option<Box<dyn Any + Send>>,
}

/// What the thread that takes records out is to do next.
pub enum Next {
    /// Have this one handled.
    Handle(Record),
    /// Open the files of the handlers anew.
    Reopen,
    /// There will be no more.
    End,
}

struct Queue {
    records: VecDeque<Record>,
    bytes: usize,
    lost: usize,
    /// Whether one that was taken out is being handled.
    is_handled: bool,
    is_ended: bool,
    reopens: bool,
}

/// From now on records come here; called while this process has one thread.
pub fn begin() {
    *lock(&QUEUE) =
        Queue { records: VecDeque::new(), bytes: 0, lost: 0, is_handled: false, is_ended: false, reopens: false };
    IS_ON.store(true, Ordering::Relaxed);
}

/// No more come here; those that wait are taken out first.
pub fn end() {
    IS_ON.store(false, Ordering::Relaxed);
    lock(&QUEUE).is_ended = true;
    CHANGED.notify_all();
}

/// Whether records come here.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Puts one in, unless there are too many.
pub fn put(level: Level, message: String, fields: Vec<(&'static str, String)>, error: Option<Box<dyn Any + Send>>) {
    let record = Record { level, created_ns: clock::wall_ns(), message, fields, error };
    let mut queue = lock(&QUEUE);
    if queue.records.len() >= MOST_RECORDS || queue.bytes + record.message.len() > MOST_BYTES {
        queue.lost += 1;
        drop(queue);
        return;
    }
    queue.bytes += record.message.len();
    queue.records.push_back(record);
    drop(queue);
    CHANGED.notify_all();
}

/// Has the files of the handlers opened anew.
pub fn reopen() {
    lock(&QUEUE).reopens = true;
    CHANGED.notify_all();
}

/// Waits for what is to be done next, the one before being done. Outside the interpreter.
pub fn next() -> Next {
    let mut queue = lock(&QUEUE);
    queue.is_handled = false;
    CHANGED.notify_all();
    loop {
        if std::mem::take(&mut queue.reopens) {
            return Next::Reopen;
        }
        if let Some(record) = queue.records.pop_front() {
            queue.bytes -= record.message.len();
            queue.is_handled = true;
            return Next::Handle(record);
        }
        if queue.lost > 0 {
            let lost = std::mem::take(&mut queue.lost);
            queue.is_handled = true;
            let message = format!("the handlers of logconfig take too long; {lost} records of the error log are lost");
            let (level, created_ns) = (Level::Warning, clock::wall_ns());
            return Next::Handle(Record { level, created_ns, message, fields: Vec::new(), error: None });
        }
        if queue.is_ended {
            return Next::End;
        }
        queue = CHANGED.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Whether nothing waits, and nothing is being handled.
pub fn is_empty() -> bool {
    let queue = lock(&QUEUE);
    queue.records.is_empty() && queue.lost == 0 && !queue.is_handled
}

/// Waits until nothing is left to handle, at most until `deadline`. Outside the interpreter.
pub fn wait_until_empty(deadline: Instant) -> bool {
    let mut queue = lock(&QUEUE);
    while !(queue.records.is_empty() && queue.lost == 0 && !queue.is_handled) {
        let Some(rest) = deadline.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) else {
            return false;
        };
        queue = CHANGED.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
    }
    true
}
