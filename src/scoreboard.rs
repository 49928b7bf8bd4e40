//! The scoreboard: one anonymous shared mapping, made by the supervisor before the first fork.
//!
//! Workers write with atomics, the supervisor reads. It outlives a worker, so a killed request can
//! still be named. Only memory is touched here: no locks, no system calls after the mapping.

use crate::clock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Application calls that one worker can show at a time; threads above it share the last places.
pub const CALLS: usize = 1024;
const WHAT_WORDS: usize = 7;

/// In `started_ns`: the call waits for its client, and the other bits are how long it had taken by then.
const RESTING: u64 = 1 << 63;

/// One call in the application: started (0 = none) and its first line's beginning.
#[repr(C)]
struct CallCell {
    started_ns: AtomicU64,
    what: [AtomicU64; WHAT_WORDS],
}

/// What one worker tells.
#[repr(C)]
pub struct Slot {
    /// Responses finished.
    pub requests: AtomicU64,
    /// Connections open now.
    pub connections: AtomicU64,
    /// Connections accepted since the worker began.
    pub connections_total: AtomicU64,
    /// Response bytes, heads included.
    pub bytes_sent: AtomicU64,
    /// Responses with a status of 500 or more.
    pub errors: AtomicU64,
    calls: [CallCell; CALLS],
}

impl Slot {
    /// Notes that thread `thread` enters the application for `what`, such as `GET /path`.
    pub fn call_started(&self, thread: usize, method: &[u8], path: &[u8], now_ns: u64) {
        let cell = &self.calls[thread.min(CALLS - 1)];
        let mut words = [0_u8; WHAT_WORDS * 8];
        let mut room = words.as_mut_slice();
        for part in [method, b" ", path] {
            let fits = part.len().min(room.len());
            let (place, rest) = room.split_at_mut(fits);
            place.copy_from_slice(&part[..fits]);
            room = rest;
        }
        for (cell, word) in cell.what.iter().zip(words.as_chunks::<8>().0) {
            cell.store(u64::from_ne_bytes(*word), Relaxed);
        }
        cell.started_ns.store(now_ns, Relaxed);
    }

    /// Notes that thread `thread` has left the application.
    pub fn call_ended(&self, thread: usize) {
        self.calls[thread.min(CALLS - 1)].started_ns.store(0, Relaxed);
    }

    /// Notes that thread `thread` waits for its client: that is not the application's time.
    pub fn call_rests(&self, thread: usize) {
        let started_ns = &self.calls[thread.min(CALLS - 1)].started_ns;
        let started = started_ns.load(Relaxed);
        if started != 0 {
            started_ns.store(RESTING | clock::monotonic_ns().saturating_sub(started), Relaxed);
        }
    }

    /// Notes that thread `thread` goes on.
    pub fn call_goes_on(&self, thread: usize) {
        let started_ns = &self.calls[thread.min(CALLS - 1)].started_ns;
        let rested = started_ns.load(Relaxed);
        if rested & RESTING != 0 {
            started_ns.store(clock::monotonic_ns().saturating_sub(rested & !RESTING), Relaxed);
        }
    }

    /// The calls running now: seconds since their start, and what they serve.
    pub fn calls(&self) -> Vec<(f64, String)> {
        let now = clock::monotonic_ns();
        self.calls
            .iter()
            .filter_map(|cell| {
                let started = cell.started_ns.load(Relaxed);
                let started = if started & RESTING == 0 { started } else { now.saturating_sub(started & !RESTING) };
                (started != 0).then(|| (elapsed_s(started, now), cell.text()))
            })
            .collect()
    }

    /// Clears the slot for a new worker.
    pub fn reset(&self) {
        for counter in [&self.requests, &self.connections, &self.connections_total, &self.bytes_sent, &self.errors] {
            counter.store(0, Relaxed);
        }
        // Only cells that were used are written, so that unused pages of the mapping stay unallocated.
        for cell in self.calls.iter().filter(|cell| cell.started_ns.load(Relaxed) != 0) {
            cell.started_ns.store(0, Relaxed);
        }
    }
}

impl CallCell {
    fn text(&self) -> String {
        let bytes: Vec<u8> = self.what.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes[..end].escape_ascii().to_string()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration in seconds needs no 64 bits")]
fn elapsed_s(started_ns: u64, now_ns: u64) -> f64 {
    now_ns.saturating_sub(started_ns) as f64 / 1e9
}

/// The mapping itself: an array of slots that lives as long as the process.
pub struct Mapping {
    slots: &'static [Slot],
}

impl Mapping {
    /// Maps room for `slots` workers, all zero.
    pub fn new(slots: usize) -> std::io::Result<Mapping> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let bytes = size_of::<Slot>() * slots.max(1);
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: a fresh anonymous mapping is zeroed, page-aligned, valid for `bytes` bytes and never unmapped;
        // every field of Slot is an atomic, for which zero is a valid value.
        let slots = unsafe {
            let start = mmap_anonymous(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::NORESERVE,
            )?;
            std::slice::from_raw_parts(start.cast::<Slot>().cast_const(), slots.max(1))
        };
        Ok(Mapping { slots })
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Slot `index`, if there is one.
    pub fn slot(&self, index: usize) -> Option<&'static Slot> {
        self.slots.get(index)
    }
}
