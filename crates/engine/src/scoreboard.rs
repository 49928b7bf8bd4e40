//! The scoreboard: one shared mapping, made by the supervisor before the first fork.
//!
//! Workers write with atomics, the supervisor reads, and so do the other workers: who takes a new connection is decided
//! by it. It outlives a worker, so a killed request can still be named, and a supervisor that takes the place of another:
//! the memory is that of a file without a name, and begins with what it is. No locks, and no system call for a request.

use crate::call_times::CallTimes;
use crate::clock;
use crate::durations::Durations;
use crate::metrics::{Gauges, Metrics};
use crate::trace::{self, Trace};
use crate::unwritten::Unwritten;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::time::Duration;

/// Application calls that one worker can show at a time; calls above it share the last cells.
pub const CALLS: usize = 1024;
const WHAT_WORDS: usize = 7;
/// As much of a request line as the access log has of one that was not understood.
const LINE_WORDS: usize = 32;
/// Where in a call's `sent` the status is; below are the bytes of the body.
const STATUS_SHIFT: u32 = 48;
/// The status of an upgrade (RFC 9110 15.2.2).
pub const SWITCHING_PROTOCOLS: u16 = 101;

/// The first word of the memory.
const MAGIC: u64 = u64::from_be_bytes(*b"portico\n");
/// To be raised whenever a word means something else than before; that there are more or fewer, their sizes tell.
const LAYOUT: u64 = 1;
/// What the memory begins with: see `head`.
const HEAD_WORDS: usize = 6;
/// A head that has another length would be another layout.
const HEAD_BYTES: usize = 64;

/// In `since_ns`: the call waits for its client, and the other bits are how long it had kept the client waiting by then.
const RESTING: u64 = 1 << 63;
/// In `since_ns`: no call, but a request that waits for the interpreter.
const BLOCKED: u64 = 1 << 62;
/// In `account_ns`: somebody is settling it.
const SETTLING: u64 = 1 << 63;
/// With `SETTLING`: the call is among the worker's requests.
const COUNTED: u64 = 1 << 62;
/// With `SETTLING`: it is among the durations, too.
const MEASURED: u64 = 1 << 61;

/// What one thread does in the application.
///
/// ```text
///   nothing             started 0   since 0
///   waits to get in     started 0   since t | BLOCKED
///   a call              started t0  since t, or a duration | RESTING
/// ```
#[repr(C)]
struct CallCell {
    /// When the call began.
    started_ns: AtomicU64,
    /// Since when somebody waits for the thread's next step: for the application to be called, for the next block.
    since_ns: AtomicU64,
    /// The start of the call whose account is not settled yet.
    account_ns: AtomicU64,
    /// How long the call may keep its client waiting by its own word, if that is more than all may; 0 is no word.
    allowed_ns: AtomicU64,
    /// The thread's number for the kernel.
    thread_id: AtomicU64,
    /// When the request had come; stays when the call has ended.
    arrived_ns: AtomicU64,
    /// When a thread had the request, before it waited for the interpreter.
    taken_ns: AtomicU64,
    /// When the head of the response was made; 0 if it was not, or nobody wants to know.
    head_ns: AtomicU64,
    /// Since when the call waits for its client.
    rests_since_ns: AtomicU64,
    /// How long it has waited for its client before.
    rested_ns: AtomicU64,
    /// The status of the response and the bytes of its body, as far as they have left.
    sent: AtomicU64,
    /// The number of the application.
    application: AtomicU64,
    /// Method and path, or their beginning; ends with a zero where there is room.
    what: [AtomicU64; WHAT_WORDS],
    /// The client's address as IPv6; zero if it has none.
    client: [AtomicU64; 2],
    /// How long the request line is, which may be more than there is room for.
    line_bytes: AtomicU64,
    /// The request line as the access log has it.
    line: [AtomicU64; LINE_WORDS],
    /// The request's trace, where there are spans.
    trace: [AtomicU64; trace::WORDS],
}

/// What the thread of a cell does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing for a request.
    Free,
    /// It has a request, and waits for the interpreter.
    Blocked,
    /// It is in the call that began then.
    Calls(u64),
    /// So it is, and the call waits for its client.
    Rests(u64),
}

/// What a call shows of its request.
pub struct ShownRequest<'a> {
    /// The number of the application.
    pub application: usize,
    /// Its method.
    pub method: &'a [u8],
    /// Its path as it came.
    pub path: &'a [u8],
    /// When it had come.
    pub arrived_ns: u64,
    /// When a thread had it, before it waited for the interpreter.
    pub taken_ns: u64,
    /// Who has sent it, and its request line, if there is an access log: should the worker be killed in the call, or the
    /// call be given up, somebody else has to write that.
    pub logged: Option<(Option<IpAddr>, &'a [u8])>,
    /// Its trace, if it has a span.
    pub trace: Option<&'a Trace>,
}

/// A call that runs.
pub struct RunningCall {
    /// Seconds since its start.
    pub elapsed_s: f64,
    /// Seconds that it has kept its client waiting: since its start or the last block that left.
    pub silent_s: f64,
    /// What it serves, such as `GET /path`.
    pub what: String,
    /// Its cell, which with its start is its name: no other call has both.
    pub cell: usize,
    /// When it began, monotonic nanoseconds.
    pub started_ns: u64,
    /// Seconds that it may keep its client waiting by its own word; 0 is no word.
    pub allowed_s: f64,
    /// Its thread's number for the kernel.
    pub thread_id: u64,
    /// Whether its request is counted and logged already, because the server has responded in its place.
    pub is_settled: bool,
    /// Whether it speaks a web socket: it lasts as long as its client likes.
    pub is_web_socket: bool,
}

/// What the access log would say of a call that has not ended.
pub struct UnfinishedCall {
    /// The number of the application.
    pub application: usize,
    /// The request's method.
    pub method: Vec<u8>,
    /// The client's address, if it has one.
    pub client: Option<IpAddr>,
    /// The request line, or the beginning of a long one.
    pub request_line: Vec<u8>,
    /// The status that has left; 0 if none has.
    pub status: u16,
    /// Bytes of the body that have left.
    pub body_bytes: u64,
    /// Time since the complete request.
    pub duration_ns: u64,
    /// Where that has gone.
    pub times: CallTimes,
    /// The request's trace, if it has a span.
    pub trace: Option<Trace>,
    /// Whether its thread was settling its account, and has counted it.
    pub is_counted: bool,
    /// Whether that is so of the durations.
    pub is_measured: bool,
}

/// Which workers there are: a few words for each, so that looking at all of them touches one page.
#[repr(C)]
struct Seat {
    /// The cells that the worker uses: its threads.
    cells: AtomicU32,
    /// 1 while it accepts connections.
    accepts: AtomicU32,
    /// Since when a thread beside those of the cells waits for the interpreter; 0 while none does.
    asks_since_ns: AtomicU64,
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
    /// Bytes of the bodies of responses.
    pub bytes_sent: AtomicU64,
    /// Responses with a status of 500 or more.
    pub errors: AtomicU64,
    /// Requests that wait, or are responded to.
    pub active_requests: AtomicU64,
    /// 1 if there is something in `durations`, which else nobody may look at: it has memory once it is.
    has_durations: AtomicU64,
    /// The same of the worker's row of gauges.
    has_gauges: AtomicU64,
    /// Lines of the access log that are not written yet.
    pub unwritten: Unwritten,
    calls: [CallCell; CALLS],
    /// The last, so that what is before it is as near as it was.
    durations: Durations,
}

impl Slot {
    /// Where durations are counted from now on.
    pub fn use_durations(&self) -> &Durations {
        self.has_durations.store(1, Relaxed);
        &self.durations
    }

    /// The durations, if any were counted.
    pub fn durations(&self) -> Option<&Durations> {
        (self.has_durations.load(Relaxed) != 0).then_some(&self.durations)
    }

    /// Notes that the call in cell `cell` enters the application for `request`.
    pub fn call_started(&self, cell: usize, request: &ShownRequest<'_>, now_ns: u64) {
        let ShownRequest { application, method, path, arrived_ns, taken_ns, logged, trace } = *request;
        let shown = &self.calls[cell.min(CALLS - 1)];
        let mut words = [0_u8; WHAT_WORDS * 8];
        let mut room = words.as_mut_slice();
        for part in [method, b" ", path] {
            let fits = part.len().min(room.len());
            let (place, rest) = room.split_at_mut(fits);
            place.copy_from_slice(&part[..fits]);
            room = rest;
        }
        // With the zero that ends it.
        let filled = WHAT_WORDS * 8 - room.len() + 1;
        for (place, word) in shown.what.iter().zip(words.as_chunks::<8>().0).take(filled.div_ceil(8)) {
            place.store(u64::from_ne_bytes(*word), Relaxed);
        }
        if let Some((client, line)) = logged {
            shown.will_log(client, line);
        }
        if let Some(trace) = trace {
            shown.show_trace(trace);
        }
        shown.arrived_ns.store(arrived_ns, Relaxed);
        shown.taken_ns.store(taken_ns, Relaxed);
        for word in [&shown.sent, &shown.head_ns, &shown.rested_ns] {
            word.store(0, Relaxed);
        }
        shown.allowed_ns.store(0, Relaxed);
        shown.application.store(application as u64, Relaxed);
        shown.since_ns.store(now_ns, Relaxed);
        shown.account_ns.store(now_ns, Release);
        // After that: who sees a start sees since when.
        shown.started_ns.store(now_ns, Release);
    }

    /// Notes that the call in cell `cell` responds with `status`; and when, where that is wanted.
    pub fn head_made(&self, cell: usize, status: u16, now_ns: Option<u64>) {
        let made = &self.calls[cell.min(CALLS - 1)];
        made.sent.store(u64::from(status) << STATUS_SHIFT, Relaxed);
        if let Some(now_ns) = now_ns {
            made.head_ns.store(now_ns, Relaxed);
        }
    }

    /// Where the time of the call in cell `cell`, which ends at `now_ns`, has gone: by its thread, which has begun no
    /// other.
    pub fn call_times(&self, cell: usize, started_ns: u64, now_ns: u64) -> CallTimes {
        self.calls[cell.min(CALLS - 1)].times(started_ns, now_ns)
    }

    /// Notes that a block of the call in cell `cell` leaves for the client, with which `body_bytes` of its body have.
    pub fn block_left(&self, cell: usize, body_bytes: u64) {
        let CallCell { since_ns, sent, .. } = &self.calls[cell.min(CALLS - 1)];
        sent.store(sent.load(Relaxed) >> STATUS_SHIFT << STATUS_SHIFT | body_bytes, Relaxed);
        if since_ns.load(Relaxed) & RESTING == 0 {
            since_ns.store(coarse_ns(), Relaxed);
        }
    }

    /// Has `settle` count and log the request of the call in cell `cell` that began at `started_ns`, unless somebody else
    /// does or has: the call at its end, whoever responds in its place, a server that does not wait for it. A request has
    /// one account. Should the process be killed before `settle` is through, the supervisor sees to it.
    pub fn settle_once(&self, cell: usize, started_ns: u64, settle: impl FnOnce()) -> bool {
        let shown = &self.calls[cell.min(CALLS - 1)];
        let is_due = shown.claims_account(started_ns);
        if is_due {
            settle();
            // The thread may have another call by now.
            let _ = shown.account_ns.compare_exchange(started_ns | SETTLING, 0, AcqRel, Relaxed);
        }
        is_due
    }

    /// As `settle_once`, by the thread of the call.
    pub fn settle_at_end(&self, cell: usize, started_ns: u64, settle: impl FnOnce()) {
        let shown = &self.calls[cell.min(CALLS - 1)];
        if shown.claims_account(started_ns) {
            settle();
            shown.account_ns.store(0, Release);
        }
    }

    /// The thread of the call in cell `cell` has counted it: what a worker that is killed had counted is not counted once
    /// more, and what it had not is.
    pub fn note_counted(&self, cell: usize) {
        self.calls[cell.min(CALLS - 1)].mark(COUNTED);
    }

    /// The same of the durations.
    pub fn note_measured(&self, cell: usize) {
        self.calls[cell.min(CALLS - 1)].mark(MEASURED);
    }

    /// What the access log would say now of the call in cell `cell` that began at `started_ns`, if it still runs.
    pub fn unfinished(&self, cell: usize, started_ns: u64) -> Option<UnfinishedCall> {
        let cell = self.calls.get(cell)?;
        let unfinished = cell.unfinished(clock::monotonic_ns());
        // After that: another call would have changed it.
        (cell.started_ns.load(Acquire) == started_ns).then_some(unfinished)
    }

    /// Notes that the call in cell `cell` has left the application.
    pub fn call_ended(&self, cell: usize) {
        let ended = &self.calls[cell.min(CALLS - 1)];
        ended.started_ns.store(0, Release);
        ended.since_ns.store(0, Relaxed);
    }

    /// Notes that the call in cell `cell` that began at `started_ns` may keep its client waiting for `more_ns` from now.
    pub fn extend(&self, cell: usize, started_ns: u64, more_ns: u64) {
        let extended = &self.calls[cell.min(CALLS - 1)];
        let silent_ns = match (extended.started_ns.load(Acquire), extended.since_ns.load(Relaxed)) {
            (started, _) if started != started_ns => return,
            (_, since) if since & RESTING != 0 => since & !RESTING,
            (_, since) => clock::monotonic_ns().saturating_sub(since),
        };
        extended.allowed_ns.store(silent_ns.saturating_add(more_ns), Relaxed);
    }

    /// Notes which thread calls in cell `cell`.
    pub fn set_thread_id(&self, cell: usize, thread_id: u64) {
        self.calls[cell.min(CALLS - 1)].thread_id.store(thread_id, Relaxed);
    }

    /// Which thread calls in cell `cell`.
    pub fn thread_id(&self, cell: usize) -> u64 {
        self.calls[cell.min(CALLS - 1)].thread_id.load(Relaxed)
    }

    /// Notes that the thread of cell `cell` has something to do and waits for the interpreter.
    pub fn waits_for_interpreter(&self, cell: usize) {
        self.calls[cell.min(CALLS - 1)].since_ns.store(BLOCKED | coarse_ns(), Relaxed);
    }

    /// Notes that the thread of cell `cell` has the interpreter.
    pub fn has_interpreter(&self, cell: usize) {
        self.calls[cell.min(CALLS - 1)].since_ns.store(0, Relaxed);
    }

    /// Notes that the call in cell `cell` waits for its client: that is not the application's time.
    pub fn call_rests(&self, cell: usize) {
        let CallCell { since_ns, rests_since_ns, .. } = &self.calls[cell.min(CALLS - 1)];
        let since = since_ns.load(Relaxed);
        // Only once, if several threads of the application wait for the same client.
        if since != 0 && since & RESTING == 0 {
            let now_ns = clock::monotonic_ns();
            rests_since_ns.store(now_ns, Relaxed);
            since_ns.store(RESTING | now_ns.saturating_sub(since), Relaxed);
        }
    }

    /// Notes that the call in cell `cell` goes on.
    pub fn call_goes_on(&self, cell: usize) {
        let CallCell { since_ns, rests_since_ns, rested_ns, .. } = &self.calls[cell.min(CALLS - 1)];
        let rested = since_ns.load(Relaxed);
        if rested & RESTING != 0 {
            let now_ns = clock::monotonic_ns();
            let rest_ns = now_ns.saturating_sub(rests_since_ns.load(Relaxed));
            rested_ns.store(rested_ns.load(Relaxed) + rest_ns, Relaxed);
            since_ns.store(now_ns.saturating_sub(rested & !RESTING), Relaxed);
        }
    }
}

impl CallCell {
    /// How long its thread has not been free: since its call began, or since it waits for the interpreter.
    fn busy_ns(&self, now_ns: u64) -> Option<u64> {
        let (started, since) = (self.started_ns.load(Acquire), self.since_ns.load(Relaxed));
        let is_blocked = since & (RESTING | BLOCKED) == BLOCKED;
        let began = if started == 0 && is_blocked { since & !BLOCKED } else { started };
        (began != 0).then(|| now_ns.saturating_sub(began))
    }

    fn call(&self, cell: usize, now_ns: u64) -> Option<RunningCall> {
        let (started, since) = (self.started_ns.load(Acquire), self.since_ns.load(Relaxed));
        let since = if since & RESTING == 0 { since } else { now_ns.saturating_sub(since & !RESTING) };
        (started != 0).then(|| RunningCall {
            elapsed_s: elapsed_s(started, now_ns),
            // Never longer: the two are read at two moments.
            silent_s: elapsed_s(since.max(started), now_ns),
            what: self.text(),
            cell,
            started_ns: started,
            allowed_s: elapsed_s(0, self.allowed_ns.load(Relaxed)),
            thread_id: self.thread_id.load(Relaxed),
            is_settled: self.account_ns.load(Relaxed) != started,
            is_web_socket: self.sent.load(Relaxed) >> STATUS_SHIFT == u64::from(SWITCHING_PROTOCOLS),
        })
    }

    fn will_log(&self, client: Option<IpAddr>, request_line: &[u8]) {
        let client = client.map_or([0; 16], |client| as_ipv6(client).octets());
        store_text(&self.client, &client);
        store_text(&self.line, request_line);
        self.line_bytes.store(request_line.len() as u64, Relaxed);
    }

    #[cold]
    fn show_trace(&self, trace: &Trace) {
        for (place, word) in self.trace.iter().zip(trace.words()) {
            place.store(word, Relaxed);
        }
    }

    /// By the thread that settles.
    fn mark(&self, mark: u64) {
        self.account_ns.store(self.account_ns.load(Relaxed) | mark, Release);
    }

    fn claims_account(&self, started_ns: u64) -> bool {
        self.account_ns.compare_exchange(started_ns, started_ns | SETTLING, AcqRel, Relaxed).is_ok()
    }

    /// Whether a call has begun there whose account is not settled, or is only being settled.
    fn is_due(&self) -> bool {
        self.account_ns.load(Acquire) != 0
    }

    fn unfinished(&self, now_ns: u64) -> UnfinishedCall {
        let client: Vec<u8> = bytes_of(&self.client).collect();
        let client = <[u8; 16]>::try_from(client).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from);
        let line_bytes = usize::try_from(self.line_bytes.load(Relaxed)).unwrap_or(usize::MAX);
        let mut request_line: Vec<u8> = bytes_of(&self.line).take(line_bytes).collect();
        if line_bytes > request_line.len() {
            request_line.extend_from_slice(b"...");
        }
        let sent = self.sent.load(Relaxed);
        let account_ns = self.account_ns.load(Relaxed);
        UnfinishedCall {
            application: usize::try_from(self.application.load(Relaxed)).unwrap_or(usize::MAX),
            method: bytes_of(&self.what).take_while(|byte| *byte != b' ').collect(),
            client: (!client.is_unspecified()).then(|| IpAddr::from(client).to_canonical()),
            request_line,
            status: u16::try_from(sent >> STATUS_SHIFT).unwrap_or(0),
            body_bytes: sent & ((1 << STATUS_SHIFT) - 1),
            duration_ns: now_ns.saturating_sub(self.arrived_ns.load(Relaxed)),
            times: self.times(account_ns & !(SETTLING | COUNTED | MEASURED), now_ns),
            is_counted: account_ns & COUNTED != 0,
            is_measured: account_ns & MEASURED != 0,
            trace: Trace::from_words(self.trace.each_ref().map(|word| word.load(Relaxed))),
        }
    }

    fn times(&self, started_ns: u64, now_ns: u64) -> CallTimes {
        let arrived_ns = self.arrived_ns.load(Relaxed);
        // One that came while its thread had another call was taken without a wait.
        let taken_ns = self.taken_ns.load(Relaxed).clamp(arrived_ns, started_ns.max(arrived_ns));
        let is_resting = self.since_ns.load(Relaxed) & RESTING != 0;
        let rests_ns = if is_resting { now_ns.saturating_sub(self.rests_since_ns.load(Relaxed)) } else { 0 };
        let head_ns = self.head_ns.load(Relaxed);
        CallTimes {
            queue_ns: taken_ns - arrived_ns,
            lock_ns: started_ns.saturating_sub(taken_ns),
            call_ns: now_ns.saturating_sub(started_ns),
            client_ns: self.rested_ns.load(Relaxed) + rests_ns,
            cpu_ns: None,
            head_ns: (head_ns != 0).then(|| head_ns.saturating_sub(arrived_ns)),
        }
    }

    fn text(&self) -> String {
        let bytes: Vec<u8> = bytes_of(&self.what).collect();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes[..end].escape_ascii().to_string()
    }
}

/// Stores as much of a text as there is room for. Only the words that it has: most are short.
fn store_text(words: &[AtomicU64], text: &[u8]) {
    let (pieces, rest) = text.as_chunks::<8>();
    for (word, piece) in words.iter().zip(pieces) {
        word.store(u64::from_ne_bytes(*piece), Relaxed);
    }
    if let Some(last) = words.get(pieces.len()).filter(|_| !rest.is_empty()) {
        let mut padded = [0; 8];
        for (place, byte) in padded.iter_mut().zip(rest) {
            *place = *byte;
        }
        last.store(u64::from_ne_bytes(padded), Relaxed);
    }
}

fn bytes_of(words: &[AtomicU64]) -> impl Iterator<Item = u8> {
    words.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes())
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Now, on the same clock as a call's start, at the kernel's tick.
fn coarse_ns() -> u64 {
    clock::coarse_ms() * 1_000_000
}

#[expect(clippy::cast_precision_loss, reason = "a duration in seconds needs no 64 bits")]
fn elapsed_s(started_ns: u64, now_ns: u64) -> f64 {
    now_ns.saturating_sub(started_ns) as f64 / 1e9
}

/// The mapping itself: a head, arrays of seats and slots, the metrics, a row of gauges for each slot; shared with the
/// processes that are forked after it was made.
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
    /// The file that the memory is of; none where the system has no such files.
    memory: Option<OwnedFd>,
    /// An eventfd(2) that workers write to when they leave a connection to others.
    left_connections: OwnedFd,
}

#[expect(unsafe_code, reason = "a pointer to shared memory")]
// SAFETY: the memory is valid until the drop, wherever that is, and holds atomics only; but for lines that are not written
// yet (`unwritten`), nothing in it is changed otherwise.
unsafe impl Send for Mapping {}
#[expect(unsafe_code, reason = "a pointer to shared memory")]
// SAFETY: as above; to add such a line is unsafe.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps room for `slots` workers, all zero.
    ///
    /// # Errors
    /// There is no memory, or no descriptor.
    pub fn new(slots: usize) -> io::Result<Arc<Mapping>> {
        let length = slots.max(1);
        let left_connections = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // A sandbox may not allow it: only a later supervisor would miss it.
        let memory = memory_file(length).ok();
        let start = map(memory.as_ref(), bytes(length))?;
        Ok(Arc::new(Mapping { start, length, memory, left_connections }))
    }

    /// Maps what another supervisor had, of which these are the `descriptors`.
    ///
    /// # Errors
    /// The memory is no scoreboard, or one of another layout.
    pub fn taken_over(memory: OwnedFd, left_connections: OwnedFd) -> io::Result<Arc<Mapping>> {
        let another_layout = || io::Error::new(io::ErrorKind::InvalidData, "it has another layout");
        let mut found = [0; HEAD_WORDS * 8];
        if rustix::io::pread(&memory, &mut found, 0)? != found.len() {
            return Err(another_layout());
        }
        let length = found.last_chunk().and_then(|word| usize::try_from(u64::from_ne_bytes(*word)).ok()).unwrap_or(0);
        // First, since the size of a length that nobody has written may be none.
        let fits = (1..=MOST_SLOTS).contains(&length) && found == head(length);
        if !fits || u64::try_from(fstat(&memory)?.st_size) != Ok(bytes(length) as u64) {
            return Err(another_layout());
        }
        let start = map(Some(&memory), bytes(length))?;
        Ok(Arc::new(Mapping { start, length, memory: Some(memory), left_connections }))
    }

    /// What another supervisor needs to take this over: the memory, and the descriptor of connections that are left to
    /// others. None where the memory has no descriptor.
    pub fn descriptors(&self) -> Option<(BorrowedFd<'_>, BorrowedFd<'_>)> {
        self.memory.as_ref().map(|memory| (memory.as_fd(), self.left_connections.as_fd()))
    }

    /// How many workers there may be.
    pub fn slots(&self) -> usize {
        self.length
    }

    fn seat_array(&self) -> &[Seat] {
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: the mapping is page-aligned, has `length` seats after its head, and is unmapped by the drop only;
        // every field of Seat is an atomic, for which any value is valid.
        unsafe {
            std::slice::from_raw_parts(self.start.add(HEAD_BYTES).cast().as_ptr(), self.length)
        }
    }

    fn slot_array(&self) -> &[Slot] {
        let seats = HEAD_BYTES + size_of::<Seat>() * self.length;
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: as above, for the `length` slots that follow the seats, on a multiple of their alignment.
        unsafe {
            std::slice::from_raw_parts(self.start.add(seats).cast().as_ptr(), self.length)
        }
    }
}

impl Mapping {
    /// The metrics of the application, which all workers share. To look at them takes memory.
    pub fn metrics(&self) -> &Metrics {
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: the mapping is page-aligned, has one after the slots, on a multiple of its alignment (`bytes`), and is
        // unmapped by the drop only; every field is an atomic, for which any value is valid.
        unsafe {
            self.start.add(before_metrics(self.length)).cast().as_ref()
        }
    }

    /// The gauges of the worker of slot `index`, if it has any.
    pub fn gauges(&self, index: usize) -> Option<&Gauges> {
        let slot = self.slot_array().get(index)?;
        (slot.has_gauges.load(Relaxed) != 0).then(|| self.gauge_rows().get(index))?
    }

    /// The same; from now on it has.
    pub fn use_gauges(&self, index: usize) -> Option<&Gauges> {
        self.slot_array().get(index)?.has_gauges.store(1, Relaxed);
        self.gauge_rows().get(index)
    }

    fn gauge_rows(&self) -> &[Gauges] {
        let start = before_metrics(self.length) + size_of::<Metrics>();
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: as above, for the `length` rows that follow the metrics.
        unsafe {
            std::slice::from_raw_parts(self.start.add(start).cast().as_ptr(), self.length)
        }
    }
}

/// More than anybody has workers.
const MOST_SLOTS: usize = 1 << 20;

/// What the memory of a mapping with this many slots begins with: each version of portico may have another.
fn head(length: usize) -> [u8; HEAD_WORDS * 8] {
    let sizes = [HEAD_BYTES, size_of::<Seat>(), size_of::<Slot>(), length];
    let mut bytes = [0; HEAD_WORDS * 8];
    let words = [MAGIC, LAYOUT].into_iter().chain(sizes.map(|size| size as u64));
    for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *place = word.to_ne_bytes();
    }
    bytes
}

/// A file in memory for this many slots, which nobody can make shorter: who reads beyond its end would be killed.
fn memory_file(length: usize) -> io::Result<OwnedFd> {
    let memory = memfd_create("portico-scoreboard", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&memory, bytes(length) as u64)?;
    fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW)?;
    rustix::io::pwrite(&memory, &head(length), 0)?;
    Ok(memory)
}

/// Maps `memory`, or some that has no file.
fn map(memory: Option<&OwnedFd>, bytes: usize) -> io::Result<NonNull<u8>> {
    let (rights, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::NORESERVE);
    #[expect(unsafe_code, reason = "shared memory between processes")]
    // SAFETY: a fresh mapping overlaps nothing; the file is as long, and is sealed where it was made.
    let start = unsafe {
        match memory {
            Some(memory) => mmap(ptr::null_mut(), bytes, rights, flags, memory, 0)?,
            None => mmap_anonymous(ptr::null_mut(), bytes, rights, flags)?,
        }
    };
    Ok(NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?)
}

/// The size of a mapping with this many slots. What is before the slots ends at their alignment, so no gap is there.
fn bytes(length: usize) -> usize {
    const { assert!(HEAD_WORDS * 8 <= HEAD_BYTES && HEAD_BYTES.is_multiple_of(align_of::<Seat>()), "seats follow") };
    const { assert!(HEAD_BYTES.is_multiple_of(align_of::<Slot>()), "slots follow seats") };
    const { assert!(size_of::<Seat>().is_multiple_of(align_of::<Slot>()), "slots follow seats") };
    const { assert!(size_of::<Metrics>().is_multiple_of(align_of::<Gauges>()), "gauges follow metrics") };
    before_metrics(length) + size_of::<Metrics>() + size_of::<Gauges>() * length
}

/// How much is before the metrics of the application.
fn before_metrics(length: usize) -> usize {
    const { assert!(HEAD_BYTES.is_multiple_of(align_of::<Metrics>()), "metrics follow slots") };
    const { assert!(size_of::<Seat>().is_multiple_of(align_of::<Metrics>()), "metrics follow slots") };
    const { assert!(size_of::<Slot>().is_multiple_of(align_of::<Metrics>()), "metrics follow slots") };
    HEAD_BYTES + (size_of::<Seat>() + size_of::<Slot>()) * length
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
    /// Where it is: each request asks for it many times.
    slot: NonNull<Slot>,
}

#[expect(unsafe_code, reason = "shared memory between processes")]
// SAFETY: every field of Slot is an atomic, and the mapping, which is both, lives as long as this.
unsafe impl Send for SlotRef {}
#[expect(unsafe_code, reason = "shared memory between processes")]
// SAFETY: as above.
unsafe impl Sync for SlotRef {}

impl SlotRef {
    /// Slot `index`, if there is one.
    pub fn new(mapping: &Arc<Mapping>, index: usize) -> Option<SlotRef> {
        let slot = NonNull::from(mapping.slot_array().get(index)?);
        Some(SlotRef { mapping: mapping.clone(), index, slot })
    }

    /// Its place in the scoreboard.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The number of its worker, as people see it: they count from one.
    pub fn number(&self) -> usize {
        self.index + 1
    }

    /// The scoreboard that it is in.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Slot `index` of the same scoreboard, if there is one.
    pub fn other(&self, index: usize) -> Option<SlotRef> {
        SlotRef::new(&self.mapping, index)
    }

    /// Those that have a worker.
    pub fn workers(&self) -> Vec<SlotRef> {
        (0..self.mapping.length).filter_map(|index| self.other(index)).filter(SlotRef::has_worker).collect()
    }

    /// Whether there is a worker, whose application is loaded.
    pub fn has_worker(&self) -> bool {
        self.seat().cells.load(Relaxed) != 0
    }

    /// Whether one of the worker's threads is in a call.
    pub fn has_call(&self) -> bool {
        self.cells().iter().any(|cell| cell.started_ns.load(Relaxed) != 0)
    }

    /// The kernel's number of a thread of the worker, if it has one.
    pub fn any_thread_id(&self) -> Option<u64> {
        self.cells().iter().map(|cell| cell.thread_id.load(Relaxed)).find(|thread_id| *thread_id != 0)
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
        others.filter_map(|(index, _)| SlotRef::new(&self.mapping, index)).collect()
    }

    /// Whether the worker accepts connections.
    pub fn is_accepting(&self) -> bool {
        self.mapping.seat_array().get(self.index).is_some_and(|seat| seat.accepts.load(Relaxed) != 0)
    }

    /// Connections open now.
    pub fn connections(&self) -> u64 {
        self.slot().connections.load(Relaxed)
    }

    /// For how long no thread of the worker has been free: since the latest call began; 0 if one is free.
    pub fn stuck_ns(&self, now_ns: u64) -> u64 {
        let mut least_ns = u64::MAX;
        // From the end: the first cells are used the most, and one that is free ends the look.
        for cell in self.cells().iter().rev() {
            let Some(busy_ns) = cell.busy_ns(now_ns) else { return 0 };
            least_ns = least_ns.min(busy_ns);
        }
        if least_ns == u64::MAX { 0 } else { least_ns }
    }

    /// What the thread of cell `cell` does now.
    pub fn moment(&self, cell: usize) -> Moment {
        let Some(cell) = self.slot().calls.get(cell) else { return Moment::Free };
        let (started, since) = (cell.started_ns.load(Acquire), cell.since_ns.load(Relaxed));
        match (started, since) {
            (0, since) if since & (RESTING | BLOCKED) == BLOCKED => Moment::Blocked,
            (0, _) => Moment::Free,
            (started, since) if since & RESTING != 0 => Moment::Rests(started),
            (started, _) => Moment::Calls(started),
        }
    }

    /// What the latest call in cell `cell` serves, such as `GET /path`, or the beginning of that.
    pub fn what(&self, cell: usize) -> String {
        self.slot().calls.get(cell).map_or_else(String::new, CallCell::text)
    }

    /// The kernel's number of the thread of cell `cell`; 0 if there never was one.
    pub fn thread_id(&self, cell: usize) -> u64 {
        self.slot().calls.get(cell).map_or(0, |cell| cell.thread_id.load(Relaxed))
    }

    /// The calls running now.
    pub fn calls(&self) -> Vec<RunningCall> {
        let now_ns = clock::monotonic_ns();
        self.cells().iter().enumerate().filter_map(|(index, cell)| cell.call(index, now_ns)).collect()
    }

    /// The calls whose accounts nobody has settled, each with its cell: for a worker that has ended.
    pub fn all_unfinished(&self) -> Vec<(usize, UnfinishedCall)> {
        let now_ns = clock::monotonic_ns();
        let due = self.cells().iter().enumerate().filter(|(_, cell)| cell.is_due());
        due.map(|(index, cell)| (index, cell.unfinished(now_ns))).collect()
    }

    /// The latest call of each thread, such as `GET /path`: those whose requests have come within `within`, and those
    /// that still run.
    pub fn latest_calls(&self, within: Duration) -> Vec<String> {
        let since_ns = clock::monotonic_ns().saturating_sub(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
        let is_recent =
            |cell: &&CallCell| cell.started_ns.load(Acquire) != 0 || cell.arrived_ns.load(Relaxed) > since_ns;
        self.cells().iter().filter(is_recent).map(CallCell::text).collect()
    }

    /// How long some thread with something to do has waited for the interpreter, or an event loop has been away from what
    /// there is to do; 0 if none does.
    pub fn waiting_ns(&self, now_ns: u64) -> u64 {
        // With that behind those of the calls, which is an event loop's.
        let cells = self.slot().calls.iter().take(self.cells().len() + 1);
        let since = cells.filter_map(|cell| {
            let since = cell.since_ns.load(Relaxed);
            (since & (RESTING | BLOCKED) == BLOCKED).then_some(since & !BLOCKED)
        });
        let asks_since = self.seat().asks_since_ns.load(Relaxed);
        since.chain((asks_since != 0).then_some(asks_since)).min().map_or(0, |since| now_ns.saturating_sub(since))
    }

    /// Whether the thread of an event loop, if that has the calls, is in one of them just now, or about to be.
    pub fn is_loop_away(&self) -> bool {
        self.moment(self.cells().len()) == Moment::Blocked
    }

    /// Notes that a thread beside those of the cells waits for the interpreter.
    pub fn asks_for_interpreter(&self) {
        self.seat().asks_since_ns.store(clock::monotonic_ns(), Relaxed);
    }

    /// Notes that it waits no longer.
    pub fn asks_no_more(&self) {
        self.seat().asks_since_ns.store(0, Relaxed);
    }

    /// As `waiting_ns`, in seconds.
    pub fn waiting_s(&self) -> f64 {
        elapsed_s(0, self.waiting_ns(clock::monotonic_ns()))
    }

    /// Clears the slot: its worker has ended. What that was about to accept is left to the others.
    pub fn reset(&self) {
        if let Some(durations) = self.durations() {
            durations.clear();
        }
        let Slot { requests, connections, connections_total, bytes_sent, errors, unwritten, .. } = self.slot();
        let Slot { active_requests, has_durations, has_gauges, .. } = self.slot();
        if let Some(gauges) = self.mapping.gauges(self.index) {
            gauges.clear(self.mapping.metrics().taken());
        }
        let counts = [requests, connections, connections_total, bytes_sent, errors, active_requests];
        for word in counts.into_iter().chain([has_durations, has_gauges]) {
            word.store(0, Relaxed);
        }
        for word in self
            .cells()
            .iter()
            .flat_map(|cell| [&cell.started_ns, &cell.since_ns, &cell.account_ns, &cell.arrived_ns, &cell.line_bytes])
            .chain(self.cells().iter().flat_map(|cell| &cell.trace))
        {
            word.store(0, Relaxed);
        }
        unwritten.clear(0);
        unwritten.clear(1);
        self.asks_no_more();
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
        #[expect(unsafe_code, reason = "shared memory between processes")]
        // SAFETY: a slot of the mapping, which this keeps.
        unsafe {
            self.slot.as_ref()
        }
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
