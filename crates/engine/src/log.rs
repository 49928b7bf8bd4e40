//! The error log: whole lines to standard error, from Python and from the engine alike.
//!
//! Needs no interpreter, so connection tasks may use it. Nobody waits for who reads it: what a full pipe does not take is
//! kept, and beyond a bound given up, which is said once the pipe takes lines again.
//!
//! With `logconfig` records go another way: those of workers into `queue`, those of all other processes of portico through
//! a pipe to a process that has the handlers.
//!
//! 1. `level`: how much a record matters. `queue`: records that wait for Python's logging.

mod level;
pub mod queue;

use crate::clock;
use crate::json_text::{ECS_VERSION, push_json};
use crate::line_writer::LineWriter;
use crate::lock::lock;
use crate::os_error::without_number;
pub use level::Level;
use std::any::Any;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes kept at most while standard error takes nothing.
const MOST_BYTES: usize = 256 * 1024;

const COLOURS: [&str; 6] = ["2", "2", "36", "33", "31", "1;31"];

static THRESHOLD: AtomicU8 = AtomicU8::new(Level::Info as u8);
static COLOUR: AtomicBool = AtomicBool::new(false);
static JSON: AtomicBool = AtomicBool::new(false);
/// Whether records go through a pipe, and not to standard error.
static IS_PIPED: AtomicBool = AtomicBool::new(false);
/// The process whose lines `OUTPUT` keeps. One that it has forked may have copied them, and a lock that nobody opens.
static OWNER: AtomicU32 = AtomicU32::new(0);
static OUTPUT: Mutex<Output> = Mutex::new(Output::new(false));
/// Records on their way through a pipe. Its lock is taken before the other.
static PIPE: Mutex<Output> = Mutex::new(Output::new(true));

/// Sets what this process writes from now on, and whether it is coloured, or JSON; nothing that it has as a copy of its parent's.
/// Called while it has one thread.
pub fn configure(threshold: Level, colour: bool, json: bool) {
    THRESHOLD.store(threshold as u8, Ordering::Relaxed);
    COLOUR.store(colour, Ordering::Relaxed);
    JSON.store(json, Ordering::Relaxed);
    OWNER.store(process::id(), Ordering::Relaxed);
    lock(&PIPE).forget();
    let mut output = lock(&OUTPUT);
    output.forget();
    output.open();
}

/// Sets the least level that this process writes from now on.
pub fn set_level(threshold: Level) {
    THRESHOLD.store(threshold as u8, Ordering::Relaxed);
}

/// Puts `file` in the place of standard error, for whoever writes there: the file of before may have been moved away.
///
/// # Errors
/// What dup2(2) says.
pub fn replace_standard_error(file: &OwnedFd) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stderr(file)?)
}

/// From now on records are lines of JSON in a pipe, in this process and in those that it forks; returns its other end.
///
/// # Errors
/// No pipe can be had.
pub fn write_to_pipe() -> io::Result<OwnedFd> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // A writer has the pipe open by itself.
    let pipe = LineWriter::new(write.as_fd())?;
    lock(&PIPE).writer = Some(pipe);
    IS_PIPED.store(true, Ordering::Relaxed);
    Ok(read)
}

/// From now on records go to standard error again.
pub fn write_to_standard_error() {
    let mut pipe = lock(&PIPE);
    if is_owner() {
        pipe.flush();
    }
    // In a forked process it is its parent's.
    pipe.forget();
    pipe.writer = None;
    IS_PIPED.store(false, Ordering::Relaxed);
}

/// Writes `line` to who reads the pipe, if anybody does.
pub fn write_to_reader(line: &str) {
    if is_piped() {
        lock(&PIPE).add(format!("{line}\n").as_bytes());
    }
}

/// Whether entries of `level` are written: asked before an entry that costs something to word.
pub fn is_on(level: Level) -> bool {
    (level as u8) >= THRESHOLD.load(Ordering::Relaxed)
}

/// Writes one entry in one system call, so that the lines of several processes never mix.
pub fn log(level: Level, message: &str) {
    if is_on(level) {
        log_always(level, &without_number(message));
    }
}

/// Writes that the application has failed, whatever the level is: that is for what the server says of itself.
pub fn log_failure(message: &str) {
    log_always(Level::Error, message);
}

fn log_always(level: Level, message: &str) {
    if is_queued() {
        return queue::put(level, message.trim_end_matches('\n').to_owned(), Vec::new(), None);
    }
    write_record(entry(level, message).as_bytes());
}

/// Writes one entry to standard error, wherever records go.
pub fn log_plainly(level: Level, message: &str) {
    write_lines(plain_entry(level, message).trim_end_matches('\n'));
}

/// Whether records go to the logging of Python in this process: asked before what is raised is made a text.
pub fn is_queued() -> bool {
    queue::is_on() && is_owner()
}

/// As `log_failure`, for who has asked `is_queued`, with what was raised in place of its text.
pub fn queue_failure(message: String, failure: &Failure<'_>, error: Box<dyn Any + Send>) {
    let fields = failure.fields().into_iter().filter(|(_, value)| !value.is_empty());
    let fields = fields.map(|(name, value)| (name, value.to_owned())).collect();
    queue::put(Level::Error, message, fields, Some(error));
}

/// What is known of a request that has failed, and of why.
#[derive(Default)]
pub struct Failure<'a> {
    /// Who has failed, such as `shop.web:application`.
    pub application: &'a str,
    /// The request's method.
    pub method: &'a str,
    /// Its path, as it was sent.
    pub path: &'a str,
    /// Its route; empty if none is known.
    pub route: &'a str,
    /// Its name; empty if it has none.
    pub request_id: &'a str,
    /// What was raised: the name of its type, its text, and the traceback.
    pub error_type: &'a str,
    /// The text of it.
    pub error_message: &'a str,
    /// The traceback, which ends with the same.
    pub stack_trace: &'a str,
}

impl Failure<'_> {
    fn fields(&self) -> [(&'static str, &str); 5] {
        [
            ("service.name", self.application),
            ("http.request.method", self.method),
            ("url.path", self.path),
            ("http.route", self.route),
            ("http.request.id", self.request_id),
        ]
    }
}

/// As `log_failure`, of a request: one record, of some lines, or one of JSON with all that is known in fields.
pub fn log_request_failure(message: &str, failure: &Failure<'_>) {
    let mut text = message.to_owned();
    for (name, value) in [("route", failure.route), ("request id", failure.request_id)] {
        if !value.is_empty() {
            text = format!("{text}, {name} {value}");
        }
    }
    if !is_json() {
        return write_record(entry(Level::Error, &format!("{text}\n{}", failure.stack_trace)).as_bytes());
    }
    let fields = [
        ("http.request.method", failure.method),
        ("url.path", failure.path),
        ("http.route", failure.route),
        ("http.request.id", failure.request_id),
        ("error.type", failure.error_type),
        ("error.message", failure.error_message),
        ("error.stack_trace", failure.stack_trace.trim_end_matches('\n')),
    ];
    write_record(json_entry(Level::Error, message, &fields).as_slice());
}

/// Writes whole lines of the application's own, as they are.
pub fn write_lines(text: &str) {
    write(format!("{}\n", text.strip_suffix('\n').unwrap_or(text)).as_bytes());
}

/// Writes what is kept, as far as it can be without waiting; true if that was all.
pub fn flush() -> bool {
    if !is_owner() {
        return true;
    }
    let is_piped_on = !is_piped() || lock(&PIPE).flush();
    lock(&OUTPUT).flush() && is_piped_on
}

/// Whether there is nothing that `flush_within` would wait for, as far as that can be without waiting.
pub fn is_done() -> bool {
    flush() && (!is_queued() || queue::is_empty())
}

/// As `flush`, waiting at most `patience` for who reads, and for what handles records.
pub fn flush_within(patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    if is_queued() {
        queue::wait_until_empty(deadline);
    }
    loop {
        if flush() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether entries are lines of JSON.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed) || is_piped()
}

/// A line of JSON with fields of the Elastic Common Schema; those that are empty are not there.
fn json_entry(level: Level, message: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let nanoseconds = clock::wall_ns();
    let now = clock::civil(nanoseconds / 1_000_000_000);
    let (hour, minute, second) = now.time;
    let mut line = format!(
        "{{\"@timestamp\":\"{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z\",\"log.level\":\"{}\",\"message\":",
        now.year,
        now.month,
        now.day,
        nanoseconds / 1_000_000 % 1000,
        level.name()
    )
    .into_bytes();
    push_json(&mut line, message.trim_end_matches('\n').as_bytes());
    line.extend_from_slice(b",\"ecs.version\":");
    push_json(&mut line, ECS_VERSION.as_bytes());
    line.extend_from_slice(b",\"log.logger\":\"portico\",\"process.pid\":");
    line.extend_from_slice(process::id().to_string().as_bytes());
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        line.extend_from_slice(format!(",\"{name}\":").as_bytes());
        push_json(&mut line, value.as_bytes());
    }
    line.extend_from_slice(b"}\n");
    line
}

fn entry(level: Level, message: &str) -> String {
    if is_json() { json_text(level, message) } else { text_entry(level, message) }
}

/// As `entry`, for standard error.
fn plain_entry(level: Level, message: &str) -> String {
    if JSON.load(Ordering::Relaxed) { json_text(level, message) } else { text_entry(level, message) }
}

fn json_text(level: Level, message: &str) -> String {
    String::from_utf8_lossy(&json_entry(level, message, &[])).into_owned()
}

fn text_entry(level: Level, message: &str) -> String {
    let now = clock::civil(clock::wall_s());
    let (hour, minute, second) = now.time;
    let name = level.name();
    let pid = process::id();
    let label = if COLOUR.load(Ordering::Relaxed) {
        format!("\x1b[{}m[{name}]\x1b[0m", COLOURS[level as usize])
    } else {
        format!("[{name}]")
    };
    format!(
        "[{:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02} +0000] [{pid}] {label} {}\n",
        now.year,
        now.month,
        now.day,
        message.trim_end_matches('\n')
    )
}

/// A warning that may be due at every request and is written at most once a minute, with how often it was due.
pub struct RateLimited {
    written_ms: AtomicU64,
    suppressed: AtomicU64,
}

impl Default for RateLimited {
    fn default() -> RateLimited {
        RateLimited::new()
    }
}

impl RateLimited {
    /// Not written yet.
    pub const fn new() -> RateLimited {
        RateLimited { written_ms: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Counts one, and writes it if the last time is long enough ago.
    pub fn warn(&self, message: impl FnOnce() -> String) {
        const PAUSE_MS: u64 = 60_000;
        let now_ms = clock::coarse_ms();
        let written_ms = self.written_ms.load(Ordering::Relaxed);
        let is_due = written_ms == 0 || now_ms.saturating_sub(written_ms) >= PAUSE_MS;
        let is_mine = || self.written_ms.compare_exchange(written_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        if !is_due || is_mine().is_err() {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let more = match self.suppressed.swap(0, Ordering::Relaxed) {
            0 => String::new(),
            times => format!(" (and {times} times more since it was last said)"),
        };
        log(Level::Warning, &(message() + &more));
    }
}

fn is_owner() -> bool {
    OWNER.load(Ordering::Relaxed) == process::id()
}

fn is_piped() -> bool {
    IS_PIPED.load(Ordering::Relaxed) && is_owner()
}

fn write_record(lines: &[u8]) {
    if is_piped() {
        lock(&PIPE).add(lines);
    } else {
        write(lines);
    }
}

fn write(lines: &[u8]) {
    if is_owner() {
        lock(&OUTPUT).add(lines);
    } else {
        write_all(lines);
    }
}

/// What this process writes to standard error, or to a pipe for records.
struct Output {
    writer: Option<LineWriter>,
    is_pipe: bool,
    /// What was not taken yet.
    kept: Vec<u8>,
    /// Lines given up since.
    lost: usize,
}

impl Output {
    const fn new(is_pipe: bool) -> Output {
        Output { writer: None, is_pipe, kept: Vec::new(), lost: 0 }
    }

    /// Keeps nothing of what it has.
    fn forget(&mut self) {
        self.kept = Vec::new();
        self.lost = 0;
    }

    /// Writes `lines` after what is kept, or keeps them.
    fn add(&mut self, lines: &[u8]) {
        let written = if self.flush() { self.write(lines) } else { 0 };
        let rest = lines.get(written..).unwrap_or_default();
        if self.kept.is_empty() || self.kept.len() + rest.len() <= MOST_BYTES {
            self.tell_lost();
            self.kept.extend_from_slice(rest);
        } else {
            self.lost += rest.split(|byte| *byte == b'\n').count() - 1;
        }
    }

    fn flush(&mut self) -> bool {
        if self.kept.is_empty() {
            return true;
        }
        let kept = std::mem::take(&mut self.kept);
        let written = self.write(&kept);
        self.kept = kept;
        self.kept.drain(..written);
        if self.kept.is_empty() && self.lost > 0 {
            self.tell_lost();
            return self.flush();
        }
        self.kept.is_empty()
    }

    /// Keeps a line in the place of those that were given up.
    fn tell_lost(&mut self) {
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            let message = format!("nobody has read the error log for too long; {lost} of its lines are lost");
            let entry = if self.is_pipe { entry } else { plain_entry };
            self.kept.extend_from_slice(entry(Level::Warning, &message).as_bytes());
        }
    }

    /// Follows standard error, which an application may have put another file in the place of.
    fn open(&mut self) {
        let stderr = std::io::stderr();
        if !self.writer.as_ref().is_some_and(|writer| writer.is_for(stderr.as_fd())) {
            self.writer = LineWriter::new(stderr.as_fd()).ok();
        }
    }

    /// Returns how many bytes are done with.
    fn write(&mut self, lines: &[u8]) -> usize {
        if self.is_pipe {
            let written = self.writer.as_ref().and_then(|pipe| pipe.write(lines).ok());
            return written.unwrap_or_else(|| {
                // Who has read it is gone.
                self.writer = None;
                IS_PIPED.store(false, Ordering::Relaxed);
                write(lines);
                lines.len()
            });
        }
        self.open();
        // A log that cannot be written (closed, disk full) must not stop the server: there is nowhere to say so.
        self.writer.as_ref().and_then(|writer| writer.write(lines).ok()).unwrap_or(lines.len())
    }
}

/// In a process that the application has forked: as any program writes.
fn write_all(mut bytes: &[u8]) {
    let stderr = std::io::stderr();
    while !bytes.is_empty() {
        match rustix::io::write(&stderr, bytes) {
            Ok(written) if written > 0 => bytes = bytes.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}
