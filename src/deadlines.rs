//! The deadlines of all connections, on one wheel; and with it the list of all connections that have any.
//!
//! A connection's own deadlines are two numbers, set with a plain store as often as it likes. The wheel
//! only remembers when to look at it again: a connection whose deadline has moved on by then is put
//! further along. So a request on a kept connection costs the wheel nothing, and a tick looks at no
//! connection that has nothing due.
//!
//! Everything here is on the monotonic clock. `run` is a task; deadlines are kept to within a tick.

use crate::clock::coarse_ms;
use crate::connection::refusal::{self, Overload};
use crate::connection::{Connection, State};
use crate::engine::{Engine, lock};
use crate::heap::Heap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Between two looks at the wheel.
const TICK_MS: u64 = 250;
/// Slots of the wheel: it reaches 64 s ahead; later deadlines are looked at on the way.
const SLOTS: usize = 256;
const HORIZON: u64 = SLOTS as u64 - 1;

/// Cuts what is late, for ever; also gives up requests that have waited too long for a thread.
pub async fn run(engine: &'static Engine) {
    let mut heap = Heap::default();
    loop {
        tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
        engine.deadlines.expire(coarse_ms());
        heap.look(&engine.memory);
        for request in engine.crew.take_expired() {
            refusal::shed(request, Overload::WaitedTooLong);
        }
        if let Some(access_log) = &engine.access_log {
            access_log.flush();
        }
    }
}

/// What the bytes would be that a connection waits for; it decides what happens when they are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Wait {
    /// The first ones ever: closed silently.
    FirstByte = 1,
    /// The next request: closed silently.
    Idle = 2,
    /// The rest of a head: 408.
    Head = 3,
    /// The rest of a body: 408.
    Body = 4,
    /// None that matter, after the last answer: cut.
    Linger = 5,
}

impl Wait {
    fn of(packed: u64) -> Option<Wait> {
        [Wait::FirstByte, Wait::Idle, Wait::Head, Wait::Body, Wait::Linger]
            .into_iter()
            .find(|wait| *wait as u64 == packed & KIND)
    }
}

const KIND: u64 = 0b111;
const KIND_BITS: u32 = 3;

/// The deadlines of one connection, and where the wheel has it.
#[derive(Default)]
pub struct Alarm {
    /// Milliseconds and the kind of wait; 0 = nothing is waited for.
    receiving: AtomicU64,
    /// Milliseconds; 0 = nothing waits to be sent.
    sending: AtomicU64,
    /// The tick whose slot has this connection; 0 = not on the wheel.
    due_tick: AtomicU64,
    place: AtomicUsize,
}

/// What is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Bytes of a request.
    Receiving(Wait),
    /// A reader of an answer.
    Sending,
}

impl Alarm {
    /// Whether the wheel knows it.
    pub fn is_placed(&self) -> bool {
        self.due_tick.load(Relaxed) != 0
    }

    /// What is waited for now.
    pub fn waits_for(&self) -> Option<Wait> {
        Wait::of(self.receiving.load(Relaxed))
    }

    /// Nothing is waited for from the client.
    pub fn expect_nothing(&self) {
        self.receiving.store(0, Relaxed);
    }

    /// What is late at `now_ms`; only once for each deadline.
    fn take_late(&self, now_ms: u64) -> Option<Late> {
        let sending_ms = self.sending.load(Relaxed);
        if sending_ms != 0 && sending_ms <= now_ms {
            self.sending.store(0, Relaxed);
            return Some(Late::Sending);
        }
        let receiving = self.receiving.load(Relaxed);
        if receiving >> KIND_BITS > now_ms {
            return None;
        }
        let wait = Wait::of(receiving)?;
        // If the connection has just set a new deadline, this one is not late any more.
        let mine = self.receiving.compare_exchange(receiving, 0, Relaxed, Relaxed).is_ok();
        mine.then_some(Late::Receiving(wait))
    }

    /// The earlier of the two deadlines in milliseconds.
    fn earliest_ms(&self) -> Option<u64> {
        let receiving = self.receiving.load(Relaxed);
        let sending = self.sending.load(Relaxed);
        [receiving >> KIND_BITS, sending].into_iter().filter(|ms| *ms != 0).min()
    }
}

/// All connections that have a task or wait for anything.
#[derive(Default)]
pub struct Deadlines(Mutex<Wheel>);

struct Wheel {
    places: Vec<Option<Weak<Connection>>>,
    free: Vec<usize>,
    slots: Vec<Vec<u32>>,
    /// The last tick that was looked at.
    tick: u64,
}

impl Default for Wheel {
    fn default() -> Self {
        Wheel { places: Vec::new(), free: Vec::new(), slots: vec![Vec::new(); SLOTS], tick: coarse_ms() / TICK_MS }
    }
}

impl Deadlines {
    /// Puts a connection on the wheel.
    pub fn add(&self, connection: &Arc<Connection>) {
        let mut wheel = lock(&self.0);
        let weak = Some(Arc::downgrade(connection));
        let place = if let Some(place) = wheel.free.pop() {
            wheel.places[place] = weak;
            place
        } else {
            wheel.places.push(weak);
            wheel.places.len() - 1
        };
        connection.alarm.place.store(place, Relaxed);
        wheel.schedule(&connection.alarm);
    }

    /// Takes a connection that ends off the wheel.
    pub fn remove(&self, alarm: &Alarm) {
        if alarm.is_placed() {
            let mut wheel = lock(&self.0);
            let place = alarm.place.load(Relaxed);
            if let Some(taken) = wheel.places.get_mut(place) {
                *taken = None;
                wheel.free.push(place);
            }
        }
    }

    /// The client has to send something of this kind within `after_ms`.
    pub fn expect(&self, alarm: &Alarm, wait: Wait, after_ms: u64) {
        let at_ms = coarse_ms().saturating_add(after_ms).min(u64::MAX >> KIND_BITS);
        alarm.receiving.store(at_ms << KIND_BITS | wait as u64, Relaxed);
        self.reach(alarm, at_ms);
    }

    /// As `expect`, unless something is waited for already.
    pub fn expect_if_nothing(&self, alarm: &Alarm, wait: Wait, after_ms: u64) {
        let at_ms = coarse_ms().saturating_add(after_ms).min(u64::MAX >> KIND_BITS);
        if alarm.receiving.compare_exchange(0, at_ms << KIND_BITS | wait as u64, Relaxed, Relaxed).is_ok() {
            self.reach(alarm, at_ms);
        }
    }

    /// The client has to take something within `after_ms`; 0 = nothing waits to be sent.
    pub fn expect_reader(&self, alarm: &Alarm, after_ms: u64) {
        let at_ms = if after_ms == 0 { 0 } else { coarse_ms().saturating_add(after_ms) };
        alarm.sending.store(at_ms, Relaxed);
        if at_ms != 0 {
            self.reach(alarm, at_ms);
        }
    }

    /// Sees to it that the wheel looks at this connection at `at_ms`, if it would only do so later.
    fn reach(&self, alarm: &Alarm, at_ms: u64) {
        if alarm.due_tick.load(SeqCst) > tick_after(at_ms) {
            lock(&self.0).schedule(alarm);
        }
    }

    /// The connections alive now.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        lock(&self.0).places.iter().flatten().filter_map(Weak::upgrade).collect()
    }

    /// Closes connections that wait for bytes of these kinds, those nearest to their deadline first: one in
    /// `one_in` of them, at least one. Answers how many.
    pub fn evict(&self, kinds: &[Wait], one_in: usize) -> usize {
        let mut waiting: Vec<_> = self
            .all()
            .into_iter()
            .filter(|connection| match connection.alarm.waits_for() {
                // While an answer is outstanding, what comes behind it is no reason to cut it.
                Some(Wait::Head | Wait::Body | Wait::Idle) if connection.state() != State::Ready => false,
                wait => wait.is_some_and(|wait| kinds.contains(&wait)),
            })
            .collect();
        let count = waiting.len().div_ceil(one_in);
        if count > 0 {
            waiting.select_nth_unstable_by_key(count - 1, |connection| connection.alarm.earliest_ms());
        }
        for connection in waiting.iter().take(count) {
            // Else it would be chosen again until its task has seen the end.
            connection.alarm.expect_nothing();
            connection.cut();
        }
        count
    }

    /// Looks at all connections that are due by `now_ms`.
    fn expire(&self, now_ms: u64) {
        let mut due = lock(&self.0).take_due(now_ms / TICK_MS);
        // An entry whose connection has been put elsewhere since is stale.
        due.retain(|(connection, tick)| connection.alarm.due_tick.load(Relaxed) == *tick);
        for (connection, _) in &due {
            while let Some(late) = connection.alarm.take_late(now_ms) {
                connection.ring(late);
            }
        }
        let mut wheel = lock(&self.0);
        for (connection, tick) in &due {
            // Else a place that was used again stood twice in one slot.
            if connection.alarm.due_tick.load(Relaxed) == *tick {
                wheel.schedule(&connection.alarm);
            }
        }
        // A connection that ends with the last of these references wants the lock itself.
        drop(wheel);
        drop(due);
    }
}

impl Wheel {
    /// Notes when to look at a connection again.
    fn schedule(&mut self, alarm: &Alarm) {
        let last = self.tick + HORIZON;
        let due_tick = || alarm.earliest_ms().map_or(last, tick_after).clamp(self.tick + 1, last);
        let mut due = due_tick();
        alarm.due_tick.store(due, SeqCst);
        // A deadline that was set between the look and the store has seen the place before: look once more.
        if due_tick() < due {
            due = due_tick();
            alarm.due_tick.store(due, SeqCst);
        }
        if let (Ok(place), Some(slot)) = (u32::try_from(alarm.place.load(Relaxed)), self.slots.get_mut(slot_of(due))) {
            slot.push(place);
        }
    }

    /// Empties the slots up to `tick`: the connections in them, each with the tick of its slot.
    fn take_due(&mut self, tick: u64) -> Vec<(Arc<Connection>, u64)> {
        let mut due = Vec::new();
        while self.tick < tick {
            self.tick += 1;
            let slot = self.slots.get_mut(slot_of(self.tick)).map(std::mem::take).unwrap_or_default();
            for place in slot {
                let connection = self.places.get(place as usize).and_then(Option::as_ref).and_then(Weak::upgrade);
                due.extend(connection.map(|connection| (connection, self.tick)));
            }
        }
        due
    }
}

/// The first tick at which `at_ms` has passed.
fn tick_after(at_ms: u64) -> u64 {
    at_ms / TICK_MS + 1
}

#[expect(clippy::cast_possible_truncation, reason = "less than SLOTS")]
fn slot_of(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}
