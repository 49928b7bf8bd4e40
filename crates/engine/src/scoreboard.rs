//! The scoreboard: one anonymous shared mapping, made by the supervisor before the first fork.
//!
//! Workers write with atomics, the supervisor reads, and so do the other workers: who takes a new connection is decided
//! by it. It outlives a worker, so a killed request can still be named. No locks, and no system call for a request.

use crate::clock;
use rustix::event::{EventfdFlags, eventfd};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Application calls that one worker can show at a time; calls above it share the last cells.
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

/// Which workers there are: a few words for each, so that looking at all of them touches one page.
#[repr(C)]
struct Seat {
    /// The cells that the worker uses: its threads.
    cells: AtomicU32,
    /// 1 while it accepts connections.
    accepts: AtomicU32,
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
    /// Notes that the call in cell `cell` enters the application for `what`, such as `GET /path`.
    pub fn call_started(&self, cell: usize, method: &[u8], path: &[u8], now_ns: u64) {
        let shown = &self.calls[cell.min(CALLS - 1)];
        let mut words = [0_u8; WHAT_WORDS * 8];
        let mut room = words.as_mut_slice();
        for part in [method, b" ", path] {
            let fits = part.len().min(room.len());
            let (place, rest) = room.split_at_mut(fits);
            place.copy_from_slice(&part[..fits]);
            room = rest;
        }
        for (place, word) in shown.what.iter().zip(words.as_chunks::<8>().0) {
            place.store(u64::from_ne_bytes(*word), Relaxed);
        }
        shown.started_ns.store(now_ns, Relaxed);
    }

    /// Notes that the call in cell `cell` has left the application.
    pub fn call_ended(&self, cell: usize) {
        self.calls[cell.min(CALLS - 1)].started_ns.store(0, Relaxed);
    }

    /// Notes that the call in cell `cell` waits for its client: that is not the application's time.
    pub fn call_rests(&self, cell: usize) {
        let started_ns = &self.calls[cell.min(CALLS - 1)].started_ns;
        let started = started_ns.load(Relaxed);
        // Only once, if several threads of the application wait for the same client.
        if started != 0 && started & RESTING == 0 {
            started_ns.store(RESTING | clock::monotonic_ns().saturating_sub(started), Relaxed);
        }
    }

    /// Notes that the call in cell `cell` goes on.
    pub fn call_goes_on(&self, cell: usize) {
        let started_ns = &self.calls[cell.min(CALLS - 1)].started_ns;
        let rested = started_ns.load(Relaxed);
        if rested & RESTING != 0 {
            started_ns.store(clock::monotonic_ns().saturating_sub(rested & !RESTING), Relaxed);
        }
    }
}

impl CallCell {
    /// How long the call has run; none if there is none.
    fn elapsed_ns(&self, now_ns: u64) -> Option<u64> {
        match self.started_ns.load(Relaxed) {
            0 => None,
            rested if rested & RESTING != 0 => Some(rested & !RESTING),
            started => Some(now_ns.saturating_sub(started)),
        }
    }

    fn text(&self) -> String {
        let bytes: Vec<u8> = self.what.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes[..end].escape_ascii().to_string()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration in seconds needs no 64 bits")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// The mapping itself: arrays of seats and slots, shared with the processes that are forked after it was made.
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
    /// An eventfd(2) that workers write to when they leave a connection to others.
    left_connections: OwnedFd,
}

#[expect(unsafe_code, reason = "a pointer to shared memory")]
// SAFETY: the memory is valid until the drop, wherever that is, and holds atomics only.
unsafe impl Send for Mapping {}
#[expect(unsafe_code, reason = "a pointer to shared memory")]
// SAFETY: as above; nothing in it is changed but through atomics.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps room for `slots` workers, all zero.
    pub fn new(slots: usize) -> io::Result<Arc<Mapping>> {
        let length = slots.max(1);
        let left_connections = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: a fresh anonymous mapping overlaps nothing.
        let start = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                bytes(length),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::NORESERVE,
            )?
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Arc::new(Mapping { start, length, left_connections }))
    }

    /// How many workers there may be.
    pub fn slots(&self) -> usize {
        self.length
    }

    fn seat_array(&self) -> &[Seat] {
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: the mapping is zeroed, page-aligned, begins with `length` seats, and is unmapped by the drop only;
        // every field of Seat is an atomic, for which zero is a valid value.
        unsafe {
            std::slice::from_raw_parts(self.start.cast().as_ptr(), self.length)
        }
    }

    fn slot_array(&self) -> &[Slot] {
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: as above, for the `length` slots that follow the seats, on a multiple of their alignment.
        unsafe {
            std::slice::from_raw_parts(self.start.add(size_of::<Seat>() * self.length).cast().as_ptr(), self.length)
        }
    }
}

/// The size of a mapping with this many slots. A seat is as large as a slot's alignment, so no gap is between them.
fn bytes(length: usize) -> usize {
    const { assert!(size_of::<Seat>().is_multiple_of(align_of::<Slot>()), "slots follow seats") };
    (size_of::<Seat>() + size_of::<Slot>()) * length
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: mapped by `new` with this length, and nobody can borrow from it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), bytes(self.length)) };
        debug_assert!(unmapped.is_ok(), "the mapping is ours");
    }
}

/// One slot, with the mapping that it is in.
#[derive(Clone)]
pub struct SlotRef {
    mapping: Arc<Mapping>,
    index: usize,
}

impl SlotRef {
    /// Slot `index`, if there is one.
    pub fn new(mapping: &Arc<Mapping>, index: usize) -> Option<SlotRef> {
        (index < mapping.length).then(|| SlotRef { mapping: mapping.clone(), index })
    }

    /// Notes how many threads the worker has.
    pub fn set_threads(&self, threads: usize) {
        self.seat().cells.store(u32::try_from(threads.min(CALLS)).unwrap_or(0), Relaxed);
    }

    /// Notes whether the worker accepts connections.
    pub fn set_accepting(&self, accepts: bool) {
        self.seat().accepts.store(accepts.into(), Relaxed);
    }

    /// The other workers that accept connections.
    pub fn others_that_accept(&self) -> Vec<SlotRef> {
        let seats = self.mapping.seat_array().iter().enumerate();
        let others = seats.filter(|(index, seat)| *index != self.index && seat.accepts.load(Relaxed) != 0);
        others.map(|(index, _)| SlotRef { mapping: self.mapping.clone(), index }).collect()
    }

    /// Connections open now.
    pub fn connections(&self) -> u64 {
        self.slot().connections.load(Relaxed)
    }

    /// For how long no thread of the worker has been free to call: since the latest call began; 0 if one is free.
    pub fn stuck_ns(&self, now_ns: u64) -> u64 {
        let elapsed_ns = self.cells().iter().map(|cell| cell.elapsed_ns(now_ns).unwrap_or(0));
        elapsed_ns.min().unwrap_or(0)
    }

    /// The calls running now: seconds since their start, and what they serve.
    pub fn calls(&self) -> Vec<(f64, String)> {
        let now_ns = clock::monotonic_ns();
        let running = self.cells().iter().filter_map(|cell| Some((cell.elapsed_ns(now_ns)?, cell.text())));
        running.map(|(elapsed_ns, what)| (seconds(elapsed_ns), what)).collect()
    }

    /// Clears the slot: its worker has ended. What that was about to accept is left to the others.
    pub fn reset(&self) {
        let Slot { requests, connections, connections_total, bytes_sent, errors, calls: _ } = self.slot();
        for counter in [requests, connections, connections_total, bytes_sent, errors] {
            counter.store(0, Relaxed);
        }
        for cell in self.cells() {
            cell.started_ns.store(0, Relaxed);
        }
        self.set_threads(0);
        self.set_accepting(false);
        self.leave_connection();
    }

    /// Wakes the workers that wait for `left_connections`.
    pub fn leave_connection(&self) {
        // Full after 2^64 - 1 of them, which nobody will see.
        let _ = rustix::io::write(&self.mapping.left_connections, &1_u64.to_ne_bytes());
    }

    /// A descriptor that has an event when another worker leaves a connection.
    pub fn left_connections(&self) -> Option<OwnedFd> {
        self.mapping.left_connections.try_clone().ok()
    }

    fn seat(&self) -> &Seat {
        // `new` has looked at the index, so this one never is out of the slice.
        &self.mapping.seat_array()[self.index]
    }

    fn slot(&self) -> &Slot {
        &self.mapping.slot_array()[self.index]
    }

    /// The cells that are used: only they are looked at, so that unused pages of the mapping stay unallocated.
    fn cells(&self) -> &[CallCell] {
        let cells = self.seat().cells.load(Relaxed) as usize;
        &self.slot().calls[..cells.min(CALLS)]
    }
}

impl Deref for SlotRef {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        self.slot()
    }
}
