//! The error log: whole lines to standard error, from Python and from the engine alike.
//!
//! Needs no interpreter, so connection tasks may use it.

use crate::clock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Each step of each request.
    Trace,
    /// What a peer did wrong, and other detail.
    Debug,
    /// The life of the server.
    Info,
    /// Something an operator should look at.
    Warning,
    /// An application or a worker failed.
    Error,
    /// The server cannot go on.
    Critical,
}

const NAMES: [&str; 6] = ["trace", "debug", "info", "warning", "error", "critical"];
const COLOURS: [&str; 6] = ["2", "2", "36", "33", "31", "1;31"];

static THRESHOLD: AtomicU8 = AtomicU8::new(Level::Info as u8);
static COLOUR: AtomicBool = AtomicBool::new(false);

impl Level {
    /// The level called `name`, one of trace, debug, info, warning, error, critical.
    pub fn named(name: &str) -> Option<Level> {
        [Level::Trace, Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical]
            .into_iter()
            .find(|level| NAMES[*level as usize] == name)
    }
}

/// Sets what is written from now on, and whether it is coloured.
pub fn configure(threshold: Level, colour: bool) {
    THRESHOLD.store(threshold as u8, Ordering::Relaxed);
    COLOUR.store(colour, Ordering::Relaxed);
}

/// Whether entries of `level` are written: asked before an entry that costs something to word.
pub fn is_on(level: Level) -> bool {
    (level as u8) >= THRESHOLD.load(Ordering::Relaxed)
}

/// Writes one entry in one system call, so that the lines of several processes never mix.
pub fn log(level: Level, message: &str) {
    if !is_on(level) {
        return;
    }
    let now = clock::civil(clock::wall_s());
    let (hour, minute, second) = now.time;
    let name = NAMES[level as usize];
    let pid = std::process::id();
    let label = if COLOUR.load(Ordering::Relaxed) {
        format!("\x1b[{}m[{name}]\x1b[0m", COLOURS[level as usize])
    } else {
        format!("[{name}]")
    };
    let entry = format!(
        "[{:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02} +0000] [{pid}] {label} {}\n",
        now.year,
        now.month,
        now.day,
        message.trim_end_matches('\n')
    );
    write_all(entry.as_bytes());
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

fn write_all(mut bytes: &[u8]) {
    let stderr = std::io::stderr();
    while !bytes.is_empty() {
        // A log that cannot be written (closed, disk full) must not stop the server: there is nowhere to say so.
        match rustix::io::write(&stderr, bytes) {
            Ok(written) if written > 0 => bytes = bytes.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}
