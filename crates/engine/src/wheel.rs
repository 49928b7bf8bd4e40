//! The deadlines of all connections, on one wheel; and with it the list of all connections that have any.
//!
//! The wheel only remembers when to look at a connection again: one whose deadline has moved on by then is put further
//! along. So a request on a kept connection costs the wheel nothing, and a tick looks at no connection that has nothing
//! due. Everything here is on the monotonic clock; deadlines are kept to within a tick.

use crate::clock::coarse_ms;
use crate::deadline::{Deadline, Late, Wait};
use crate::sync::{Mutex, lock};
use std::sync::{Arc, Weak};

/// Between two looks at the wheel.
pub const TICK_MS: u64 = 250;
/// Slots of the wheel: it reaches 64 s ahead; later deadlines are looked at on the way.
const SLOTS: usize = 256;
const HORIZON: u64 = SLOTS as u64 - 1;

/// Whatever has a deadline.
pub trait Timed: Send + Sync {
    /// Its deadlines.
    fn deadline(&self) -> &Deadline;
    /// One has passed.
    fn on_deadline(&self, late: Late);
    /// Whether a response is due, so that what comes behind it is no reason to end it.
    fn is_responding(&self) -> bool;
    /// Ends it, which waits for bytes of this kind: they are late, or others need its room.
    fn end_wait(&self, wait: Wait);
    /// Ends the upgrade that the application has made of it, if it has: that has no deadline.
    fn end_upgrade(&self) {}
}

/// The wheel.
pub struct Wheel(Mutex<Places>);

struct Places {
    timed: Vec<Option<Weak<dyn Timed>>>,
    free: Vec<usize>,
    slots: Vec<Vec<u32>>,
    /// The last tick that was looked at.
    tick: u64,
}

impl Wheel {
    /// A wheel that begins now.
    pub fn new() -> Wheel {
        let tick = coarse_ms() / TICK_MS;
        Wheel(Mutex::new(Places { timed: Vec::new(), free: Vec::new(), slots: vec![Vec::new(); SLOTS], tick }))
    }

    /// Puts `timed` on the wheel, unless it is there: another thread may have been faster.
    pub fn add(&self, timed: Weak<dyn Timed>, deadline: &Deadline) {
        let mut places = lock(&self.0);
        if deadline.is_placed() {
            return;
        }
        let place = if let Some(place) = places.free.pop() {
            places.timed[place] = Some(timed);
            place
        } else {
            places.timed.push(Some(timed));
            places.timed.len() - 1
        };
        deadline.set_place(place);
        places.schedule(deadline);
    }

    /// Takes what ends off the wheel.
    pub fn remove(&self, deadline: &Deadline) {
        if deadline.is_placed() {
            let mut places = lock(&self.0);
            let place = deadline.place();
            if let Some(taken) = places.timed.get_mut(place) {
                *taken = None;
                places.free.push(place);
            }
        }
    }

    /// The client has to send something of this kind within `after_ms`.
    pub fn expect(&self, deadline: &Deadline, wait: Wait, after_ms: u64) {
        let at_ms = coarse_ms().saturating_add(after_ms);
        deadline.expect(wait, at_ms);
        self.reach(deadline, at_ms);
    }

    /// As `expect`, unless something is waited for already.
    pub fn expect_if_nothing(&self, deadline: &Deadline, wait: Wait, after_ms: u64) {
        let at_ms = coarse_ms().saturating_add(after_ms);
        if deadline.expect_if_nothing(wait, at_ms) {
            self.reach(deadline, at_ms);
        }
    }

    /// The client has to take something within `after_ms`; 0 = nothing waits to be sent.
    pub fn expect_reader(&self, deadline: &Deadline, after_ms: u64) {
        let at_ms = if after_ms == 0 { 0 } else { coarse_ms().saturating_add(after_ms) };
        deadline.expect_reader(at_ms);
        if at_ms != 0 {
            self.reach(deadline, at_ms);
        }
    }

    /// Sees to it that the wheel looks at this connection at `at_ms`, if it would only do so later.
    fn reach(&self, deadline: &Deadline, at_ms: u64) {
        if deadline.due_tick() > tick_after(at_ms) {
            lock(&self.0).schedule(deadline);
        }
    }

    /// All that is alive now.
    pub fn all(&self) -> Vec<Arc<dyn Timed>> {
        lock(&self.0).timed.iter().flatten().filter_map(Weak::upgrade).collect()
    }

    /// Ends what waits for bytes of these kinds, what is nearest to its deadline first: one in `one_in` of it, at least
    /// one. Returns how many.
    pub fn evict(&self, kinds: &[Wait], one_in: usize) -> usize {
        let mut waiting: Vec<_> = self
            .all()
            .into_iter()
            .filter(|timed| match timed.deadline().waits_for() {
                Some(Wait::Head | Wait::Body | Wait::Idle) if timed.is_responding() => false,
                wait => wait.is_some_and(|wait| kinds.contains(&wait)),
            })
            .collect();
        let count = waiting.len().div_ceil(one_in);
        if count > 0 {
            waiting.select_nth_unstable_by_key(count - 1, |timed| timed.deadline().earliest_ms());
        }
        for timed in waiting.iter().take(count) {
            // Taken away, else it would be chosen again until its task has seen the end.
            if let Some(wait) = timed.deadline().take_wait(kinds) {
                timed.end_wait(wait);
            }
        }
        count
    }

    /// Tells all that are late by `now_ms`.
    pub fn expire(&self, now_ms: u64) {
        let mut due = lock(&self.0).take_due(now_ms / TICK_MS);
        // An entry whose connection has been put elsewhere since is stale.
        due.retain(|(timed, tick)| timed.deadline().due_tick() == *tick);
        for (timed, _) in &due {
            while let Some(late) = timed.deadline().take_late(now_ms) {
                timed.on_deadline(late);
            }
        }
        let mut places = lock(&self.0);
        for (timed, tick) in &due {
            // Else a place that was used again stood twice in one slot.
            if timed.deadline().due_tick() == *tick {
                places.schedule(timed.deadline());
            }
        }
        // A connection that ends with the last of these references wants the lock itself.
        drop(places);
        drop(due);
    }
}

impl Default for Wheel {
    fn default() -> Wheel {
        Wheel::new()
    }
}

impl Places {
    /// Notes when to look at a connection again.
    fn schedule(&mut self, deadline: &Deadline) {
        let last = self.tick + HORIZON;
        let due_tick = || deadline.earliest_ms().map_or(last, tick_after).clamp(self.tick + 1, last);
        let mut due = due_tick();
        deadline.set_due_tick(due);
        // A deadline that was set between the look and the store has seen the place before: look once more.
        if due_tick() < due {
            due = due_tick();
            deadline.set_due_tick(due);
        }
        if let (Ok(place), Some(slot)) = (u32::try_from(deadline.place()), self.slots.get_mut(slot_of(due))) {
            slot.push(place);
        }
    }

    /// Empties the slots up to `tick`: the connections in them, each with the tick of its slot.
    fn take_due(&mut self, tick: u64) -> Vec<(Arc<dyn Timed>, u64)> {
        let mut due = Vec::new();
        while self.tick < tick {
            self.tick += 1;
            let slot = self.slots.get_mut(slot_of(self.tick)).map(std::mem::take).unwrap_or_default();
            for place in slot {
                let timed = self.timed.get(place as usize).and_then(Option::as_ref).and_then(Weak::upgrade);
                due.extend(timed.map(|timed| (timed, self.tick)));
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
