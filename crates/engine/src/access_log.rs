//! One line per finished request, without the interpreter.
//!
//! Lines are buffered in memory and written by the crew's leader before it waits for more work: one
//! write for a batch of requests under load, at once when there is little to do. Nobody waits for
//! who reads the log: what a full pipe does not take is kept, and beyond a bound given up.

use crate::clock;
use crate::lock::lock;
use crate::log::RateLimited;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Bytes buffered that are to be written although there are more requests.
const BATCH_BYTES: usize = 32 * 1024;
/// Bytes buffered at most while the log cannot be written.
const MOST_BYTES: usize = 1024 * 1024;
/// What a pipe that says it is writable takes without waiting, and without mixing it with what others write (PIPE_BUF,
/// pipe(7)).
const PIPE_BYTES: usize = 4096;
/// Bytes of each text that a client can choose, where a line has to fit in that.
const PIPE_FIELD_BYTES: usize = 1200;

/// What is told of a request.
pub struct AccessRecord<'a> {
    /// The client's address; none on a Unix socket.
    pub client: Option<IpAddr>,
    /// The request line as it was on the wire, or as far as it came.
    pub request_line: &'a [u8],
    /// The status code sent; 0 if none was.
    pub status: u16,
    /// Bytes of the response's body.
    pub body_bytes: u64,
    /// The `Referer` header.
    pub referer: Option<&'a [u8]>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a [u8]>,
    /// Time from the complete request to the end of the call.
    pub duration_ns: u64,
}

/// The access log of one server.
pub struct AccessLog {
    fd: OwnedFd,
    /// Whether writing waits for no reader.
    is_file: bool,
    colour: bool,
    buffered: Mutex<Buffered>,
    /// Whether somebody was told to write.
    is_due: AtomicBool,
    /// Lines on their way out; locked by who writes, so that others can go on buffering.
    leaving: Mutex<Vec<u8>>,
}

#[derive(Default)]
struct Buffered {
    lines: Vec<u8>,
    second: u64,
    date: String,
    /// Lines that had no room.
    lost: u64,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl AccessLog {
    /// A log that writes to `fd`.
    pub fn new(fd: OwnedFd, colour: bool) -> AccessLog {
        let is_file =
            rustix::fs::fstat(&fd).is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::RegularFile);
        let (buffered, leaving) = (Mutex::default(), Mutex::default());
        AccessLog { fd, is_file, colour, buffered, is_due: AtomicBool::new(false), leaving }
    }

    /// Adds the line of one request (the combined format, then the duration in seconds). Writes nothing; true if it is
    /// time to, once until that is done.
    pub fn add(&self, record: &AccessRecord<'_>) -> bool {
        let mut buffered = lock(&self.buffered);
        if buffered.lines.len() >= MOST_BYTES {
            buffered.lost += 1;
            return false;
        }
        let second = clock::wall_s();
        if buffered.second != second {
            buffered.second = second;
            buffered.date = date_text(second);
        }
        let Buffered { lines, date, .. } = &mut *buffered;
        let most_bytes = if self.is_file { usize::MAX } else { PIPE_FIELD_BYTES };
        let start = if self.colour { colour_of(record.status) } else { "" };
        lines.extend_from_slice(start.as_bytes());
        // Writing to a Vec cannot fail.
        let _ = match record.client {
            Some(client) => write!(lines, "{}", client.to_canonical()),
            None => write!(lines, "-"),
        };
        lines.extend_from_slice(b" - - [");
        lines.extend_from_slice(date.as_bytes());
        lines.extend_from_slice(b"] \"");
        push_escaped(lines, if record.request_line.is_empty() { b"-" } else { record.request_line }, most_bytes);
        lines.extend_from_slice(b"\" ");
        let mut digits = itoa::Buffer::new();
        lines.extend_from_slice(digits.format(record.status).as_bytes());
        lines.push(b' ');
        lines.extend_from_slice(digits.format(record.body_bytes).as_bytes());
        for header in [record.referer, record.user_agent] {
            lines.extend_from_slice(b" \"");
            push_escaped(lines, header.unwrap_or(b"-"), most_bytes);
            lines.push(b'"');
        }
        let microseconds = record.duration_ns / 1_000;
        // Writing to a Vec cannot fail.
        let _ = write!(lines, " {}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
        lines.extend_from_slice(if self.colour { b"\x1b[0m\n" } else { b"\n" });
        lines.len() >= BATCH_BYTES && !self.is_due.swap(true, Relaxed)
    }

    /// Writes what was buffered, as far as it can be without waiting for who reads it; true if that was all. Outside
    /// the interpreter: a disk may be slow.
    pub fn flush(&self) -> bool {
        // Who has it writes what is buffered meanwhile, too.
        let Ok(mut leaving) = self.leaving.try_lock() else { return false };
        self.is_due.store(false, Relaxed);
        let lost = std::mem::take(&mut lock(&self.buffered).lost);
        warn_about_lost(lost);
        loop {
            if leaving.is_empty() {
                std::mem::swap(&mut lock(&self.buffered).lines, &mut leaving);
                if leaving.is_empty() {
                    return true;
                }
            }
            let written = self.write(&leaving);
            leaving.drain(..written);
            if !leaving.is_empty() {
                return false;
            }
        }
    }

    /// Writes what was buffered, waiting at most until `deadline` for who reads it, and gives up the rest.
    pub fn end(&self, deadline: Instant) {
        while !self.flush() {
            if Instant::now() >= deadline {
                let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
                warn_about_lost(lines(&lock(&self.leaving)) + lines(&lock(&self.buffered).lines));
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Writes from the start of `lines`; returns how many bytes are done with.
    fn write(&self, lines: &[u8]) -> usize {
        static RATE: RateLimited = RateLimited::new();
        let fd = self.fd.as_fd();
        let mut done = 0;
        while let rest = lines.get(done..).unwrap_or_default()
            && !rest.is_empty()
            && (self.is_file || is_writable(fd))
        {
            let piece = if self.is_file { rest } else { whole_lines(rest) };
            match rustix::io::write(fd, piece) {
                Ok(written) => done += written,
                Err(Errno::INTR) => {}
                // Somebody else has made the pipe one that does not wait.
                Err(Errno::AGAIN) => break,
                Err(error) => {
                    // A log that cannot be written must not stop the server: what does not fit is given up.
                    RATE.warn(|| format!("cannot write the access log: {error}; lines are lost, requests are served"));
                    return lines.len();
                }
            }
        }
        done
    }
}

fn warn_about_lost(lines: u64) {
    static RATE: RateLimited = RateLimited::new();
    if lines > 0 {
        RATE.warn(|| format!("nobody has read the access log for too long; {lines} of its lines are lost"));
    }
}

/// Whether a write of `PIPE_BYTES` does not wait.
fn is_writable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// As many lines from the start of `bytes` as a pipe takes at once, or the part of a longer one.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let most = bytes.get(..PIPE_BYTES).unwrap_or(bytes);
    let end = most.iter().rposition(|byte| *byte == b'\n').map_or(most.len(), |end| end + 1);
    most.get(..end).unwrap_or(most)
}

fn date_text(second: u64) -> String {
    let now = clock::civil(second);
    let month = MONTHS[usize::try_from(now.month - 1).unwrap_or(0) % 12];
    let (hour, minute, second) = now.time;
    format!("{:02}/{month}/{:04}:{hour:02}:{minute:02}:{second:02} +0000", now.day, now.year)
}

fn colour_of(status: u16) -> &'static str {
    match status {
        0..300 => "\x1b[32m",
        300..400 => "\x1b[36m",
        400..500 => "\x1b[33m",
        _ => "\x1b[31m",
    }
}

/// Appends `field` so that no client can forge a line or a field: quotes, backslashes and all but
/// printable ASCII become `\xNN`. What is longer than `most_bytes` then is truncated.
fn push_escaped(line: &mut Vec<u8>, field: &[u8], most_bytes: usize) {
    let plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && *byte != b'"' && *byte != b'\\';
    if field.len() <= most_bytes && field.iter().all(plain) {
        line.extend_from_slice(field);
        return;
    }
    let end = line.len().saturating_add(most_bytes);
    for byte in field {
        if line.len() >= end {
            line.extend_from_slice(b"...");
            return;
        }
        if plain(byte) {
            line.push(*byte);
        } else {
            // Writing to a Vec cannot fail.
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}
