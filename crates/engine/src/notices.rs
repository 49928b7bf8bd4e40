//! What is told once of a server's requests, though it may be true of every one of them. Needs no interpreter.

use crate::lock::lock;
use crate::log::{Level, is_on, log};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The most names of one kind that are told: clients invent names, and may fill neither the memory nor the log.
const MOST_NAMES: usize = 64;
/// As much of a name is looked at and shown.
const MOST_NAME_BYTES: usize = 64;

/// What has been told of the requests of one server.
#[derive(Default)]
pub struct Notices {
    /// A request body without a length was larger than `body_spool`.
    pub unsized_body: Once,
    /// Headers of clients that no application has seen.
    pub dropped_header: OncePerName,
    /// Headers of applications that no client has seen.
    pub hop_by_hop: OncePerName,
    /// An application returned None in place of a body.
    pub no_body: Once,
}

/// Told once.
#[derive(Default)]
pub struct Once {
    is_said: AtomicBool,
}

impl Once {
    /// Writes `message` as a warning, the first time.
    pub fn warn(&self, message: impl FnOnce() -> String) {
        if !self.is_said.load(Relaxed) && !self.is_said.swap(true, Relaxed) {
            log(Level::Warning, &(message() + "; this is said once"));
        }
    }
}

/// Told once of each name, in any case of its letters.
#[derive(Default)]
pub struct OncePerName {
    names: Mutex<Vec<Box<[u8]>>>,
    is_full: AtomicBool,
}

impl OncePerName {
    /// Writes what `message` makes of the `name`, the first time.
    pub fn log(&self, level: Level, name: &[u8], message: impl FnOnce(&str) -> String) {
        if self.is_full.load(Relaxed) || !is_on(level) {
            return;
        }
        let name = name.get(..MOST_NAME_BYTES).unwrap_or(name);
        let mut names = lock(&self.names);
        if names.len() == MOST_NAMES || names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return;
        }
        names.push(name.into());
        let is_last = names.len() == MOST_NAMES;
        self.is_full.store(is_last, Relaxed);
        drop(names);
        let end = if is_last { "; of further names nothing is said" } else { "; this is said once of each name" };
        log(level, &(message(&name.escape_ascii().to_string()) + end));
    }
}
