//! One line per finished request, without the interpreter.
//!
//! Lines are buffered in memory and written by the crew's leader before it waits for more work: one
//! write for a batch of requests under load, at once when there is little to do. Beyond a bound the thread
//! that has added a line writes them after its call. Nobody waits for who reads the log: what a full pipe
//! does not take is kept, and beyond another bound given up.
//!
//! 1. `request_line`, `header_names`, `record`: what is told of a request.
//! 2. `appending`, `date`, `escaping`: how values are written. `destination`: where lines go. `syslog`: what stands
//!    before each for a log daemon.
//! 3. `memory`, `metric`: what is known of workers. `repeated`: what lines have in common. `value`, `field`, `numbers`:
//!    what a line can have of a record. `template`, `named`, `format`: what a line looks like.
//! 4. `condition`, `style`: which requests have one. `writer`: who writes them.

pub mod appending;
pub mod condition;
pub mod date;
pub mod destination;
pub mod escaping;
pub mod field;
pub mod format;
pub mod header_names;
pub mod memory;
pub mod metric;
pub mod named;
pub mod numbers;
pub mod record;
pub mod repeated;
pub mod request_line;
pub mod style;
pub mod syslog;
pub mod template;
pub mod value;
mod writer;

use crate::clock::{self, WallClock};
use crate::lock::lock;
use crate::log::RateLimited;
use crate::scoreboard::SlotRef;
use destination::Destination;
use record::AccessRecord;
use repeated::Repeated;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use style::Style;
use writer::Writer;

/// Bytes buffered that are to be written although there are more requests.
const BATCH_BYTES: usize = 32 * 1024;
/// Bytes buffered at most while the log cannot be written.
const MOST_BYTES: usize = 1024 * 1024;
/// The access log of one server.
pub struct AccessLog {
    colour: bool,
    style: Style,
    /// Whether it goes to a file, so that lines may be of any length.
    is_file: AtomicBool,
    wall_clock: WallClock,
    buffered: Mutex<Buffered>,
    /// Whether there is so much to write that it is to be done although there are more requests.
    is_due: AtomicBool,
    /// How many bytes who reads the log has not taken.
    left_bytes: AtomicUsize,
    /// Locked by who writes, so that others can go on buffering.
    leaving: Mutex<Leaving>,
    /// Where the lines are, too, until they are written: should this process be killed, its supervisor writes them.
    slot: Option<SlotRef>,
    /// The half of that for what is buffered; the other is for what leaves. Changed with both locked.
    half: AtomicUsize,
}

/// Lines on their way out, and where that leads.
struct Leaving {
    lines: Vec<u8>,
    /// How many bytes of these are done with.
    done: usize,
    writer: Writer,
    /// How long the file is at least, if it is one: as it was at some time, and what was written here since.
    file_bytes: Option<u64>,
    /// When that time was: a system call at each tick of the coarse clock, not for each write.
    asked_ms: u64,
}

#[derive(Default)]
struct Buffered {
    lines: Vec<u8>,
    repeated: Repeated,
    /// Lines that had no room.
    lost: u64,
    /// How much of the lines, from their start, is in the slot.
    shown_bytes: usize,
}

impl AccessLog {
    /// A log that writes to `fd` in this `style`, and shows in `slot` what is not written yet.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn new(fd: &OwnedFd, colour: bool, style: Style, slot: Option<SlotRef>) -> io::Result<AccessLog> {
        let writer = Writer::new(fd.as_fd(), &style.destination)?;
        let colour = colour && style.destination == Destination::Stream;
        let is_file = AtomicBool::new(writer.is_file());
        let leaving = Mutex::new(Leaving { lines: Vec::new(), done: 0, writer, file_bytes: None, asked_ms: 0 });
        let (buffered, is_due, half) = (Mutex::default(), AtomicBool::new(false), AtomicUsize::new(0));
        let (left_bytes, wall_clock) = (AtomicUsize::new(0), WallClock::default());
        Ok(AccessLog { colour, style, is_file, wall_clock, buffered, is_due, left_bytes, leaving, slot, half })
    }

    /// Writes to `fd` from now on, after the lines of all requests that have finished: the file of before may have been
    /// moved away.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn reopen(&self, fd: &OwnedFd) -> io::Result<()> {
        let writer = Writer::new(fd.as_fd(), &self.style.destination)?;
        self.flush_in_turn();
        self.is_file.store(writer.is_file(), Relaxed);
        let mut leaving = lock(&self.leaving);
        leaving.writer = writer;
        leaving.asked_ms = 0;
        drop(leaving);
        Ok(())
    }

    /// What a line looks like, and which requests have one.
    pub fn style(&self) -> &Style {
        &self.style
    }

    /// Adds the line of one request, if it has one. Writes nothing; true if it is time to, once until that is done.
    pub fn add(&self, record: &AccessRecord<'_>) -> bool {
        let wall_ns = record.ended_ns.map_or_else(clock::wall_ns, |ended_ns| self.wall_clock.at(ended_ns));
        if !self.style.selects(record, wall_ns) {
            return false;
        }
        let mut buffered = lock(&self.buffered);
        if buffered.lines.len() >= MOST_BYTES {
            buffered.lost += 1;
            // Perhaps somebody reads again.
            self.is_due.store(true, Relaxed);
            return false;
        }
        let Buffered { lines, repeated, shown_bytes, .. } = &mut *buffered;
        let line_start = lines.len();
        let start = if self.colour { colour_of(record.status) } else { "" };
        lines.extend_from_slice(start.as_bytes());
        self.style.push(lines, record, wall_ns, repeated, !self.is_file.load(Relaxed));
        lines.extend_from_slice(if self.colour { b"\x1b[0m\n" } else { b"\n" });
        // Only from the start on: what has been written is counted from there.
        if let Some(slot) = &self.slot
            && *shown_bytes == line_start
        {
            let line = lines.get(line_start..).unwrap_or_default();
            let half = self.half.load(Relaxed);
            #[expect(unsafe_code, reason = "what a log shows is written by it alone")]
            // SAFETY: nobody else adds to the slot of this process, here with `buffered` locked, and nobody reads in it
            // while there is this process.
            let is_shown = unsafe { slot.unwritten.add(half, line) };
            if is_shown {
                *shown_bytes = lines.len();
            }
        }
        lines.len() >= BATCH_BYTES && !self.is_due.swap(true, Relaxed)
    }

    /// Adds whole lines that somebody else has made.
    pub fn add_lines(&self, lines: &[u8]) {
        lock(&self.buffered).lines.extend_from_slice(lines);
    }

    /// Whether so much is buffered that it should be written although there are more requests.
    pub fn is_due(&self) -> bool {
        self.is_due.load(Relaxed)
    }

    /// How much who reads the log has not taken, when it was last written.
    pub fn left_bytes(&self) -> usize {
        self.left_bytes.load(Relaxed)
    }

    /// Writes what was buffered, as far as it can be without waiting for who reads it; true if that was all. Outside
    /// the interpreter: a disk may be slow.
    pub fn flush(&self) -> bool {
        // Who has it writes what is buffered meanwhile, too.
        self.leaving.try_lock().is_ok_and(|leaving| self.write_buffered(leaving))
    }

    /// As `flush`, after whoever writes at the moment: so nobody adds lines faster than they can be written.
    pub fn flush_in_turn(&self) {
        self.write_buffered(lock(&self.leaving));
    }

    fn write_buffered(&self, mut leaving: MutexGuard<'_, Leaving>) -> bool {
        self.is_due.store(false, Relaxed);
        let lost = std::mem::take(&mut lock(&self.buffered).lost);
        warn_about_lost(lost);
        loop {
            let Leaving { lines, done, .. } = &mut *leaving;
            if *done == lines.len() {
                lines.clear();
                *done = 0;
                self.left_bytes.store(0, Relaxed);
                let mut buffered = lock(&self.buffered);
                if buffered.lines.is_empty() {
                    return true;
                }
                std::mem::swap(&mut buffered.lines, lines);
                buffered.shown_bytes = 0;
                self.half.fetch_xor(1, Relaxed);
            }
            let written = self.write_once(&mut leaving);
            leaving.done += written;
            if written == 0 {
                self.left_bytes.store(leaving.lines.len() - leaving.done, Relaxed);
                return false;
            }
        }
    }

    /// Writes from the start of the lines, of which not all need to leave; returns how many bytes are done with.
    fn write_once(&self, leaving: &mut Leaving) -> usize {
        static RATE: RateLimited = RateLimited::new();
        let Leaving { lines, done, writer, file_bytes, asked_ms } = leaving;
        let lines = lines.get(*done..).unwrap_or_default();
        let half = self.half.load(Relaxed) ^ 1;
        if let Some(slot) = &self.slot {
            let now_ms = clock::coarse_ms();
            if *asked_ms != now_ms {
                (*file_bytes, *asked_ms) = (writer.file_bytes(), now_ms);
            }
            slot.unwritten.begin(half, writer.share_of(lines), *file_bytes);
        }
        let written = writer.write_once(lines).unwrap_or_else(|error| {
            // A log that cannot be written must not stop the server: what does not fit is given up.
            RATE.warn(|| format!("cannot write the access log: {error}; lines are lost, requests are served"));
            *asked_ms = 0;
            writer.given_up(lines)
        });
        *file_bytes = file_bytes.map(|bytes| bytes + written as u64);
        match &self.slot {
            Some(slot) if written == lines.len() => slot.unwritten.clear(half),
            Some(slot) => slot.unwritten.wrote(half, written),
            None => {}
        }
        written
    }

    /// Writes what was buffered, waiting at most until `deadline` for who reads it, and gives up the rest.
    pub fn end(&self, deadline: Instant) {
        while !self.flush() {
            if Instant::now() >= deadline {
                let leaving = lock(&self.leaving);
                let rest = leaving.lines.get(leaving.done..).unwrap_or_default();
                let count = |records: &[u8]| self.style.destination.count(records);
                warn_about_lost(count(rest) + count(&lock(&self.buffered).lines));
                drop(leaving);
                if let Some(slot) = &self.slot {
                    slot.unwritten.clear(0);
                    slot.unwritten.clear(1);
                }
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn warn_about_lost(lines: u64) {
    static RATE: RateLimited = RateLimited::new();
    if lines > 0 {
        RATE.warn(|| format!("nobody has read the access log for too long; {lines} of its lines are lost"));
    }
}

fn colour_of(status: u16) -> &'static str {
    match status {
        0..300 => "\x1b[32m",
        300..400 => "\x1b[36m",
        400..500 => "\x1b[33m",
        _ => "\x1b[31m",
    }
}
