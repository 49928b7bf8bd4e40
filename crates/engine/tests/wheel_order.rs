//! The memory order of deadlines and the wheel, model-checked with loom: every order in which two threads can meet is
//! tried, and every value that a load may see. The two files are read from their sources, with loom's lock and atomics
//! and a clock that stands still.
//!
//! "Red without": what was taken out of the two, one at a time, to see this fail.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "the models use some of the two files")]

#[path = "../src/deadline.rs"]
mod deadline;
#[path = "../src/wheel.rs"]
mod wheel;

/// When all models begin, coarse milliseconds.
const NOW_MS: u64 = 1_000_000;
/// After a tick of the wheel.
const LATER_MS: u64 = NOW_MS + 500;
/// After all deadlines of the models.
const END_MS: u64 = NOW_MS + 3_000;

mod clock {
    pub fn coarse_ms() -> u64 {
        super::NOW_MS
    }
}

#[path = "order/sync.rs"]
mod sync;

use deadline::{Deadline, Late, Wait};
use std::sync::{Arc, Mutex, Weak};
use sync::check;
use wheel::{Timed, Wheel};

/// A connection that notes what is late, and what was ended.
#[derive(Default)]
struct Noted {
    deadline: Deadline,
    late: Mutex<Vec<Late>>,
    ended: Mutex<Vec<Wait>>,
}

impl Noted {
    fn on(wheel: &Wheel) -> Arc<Noted> {
        let noted = Arc::new(Noted::default());
        noted.place(wheel);
        noted
    }

    fn place(self: &Arc<Self>, wheel: &Wheel) {
        let weak: Weak<Noted> = Arc::downgrade(self);
        wheel.add(weak, &self.deadline);
    }

    fn take_late(&self) -> Vec<Late> {
        std::mem::take(&mut self.late.lock().unwrap())
    }
}

impl Timed for Noted {
    fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    fn on_deadline(&self, late: Late) {
        self.late.lock().unwrap().push(late);
    }

    fn is_responding(&self) -> bool {
        false
    }

    fn end_wait(&self, wait: Wait) {
        self.ended.lock().unwrap().push(wait);
    }
}

/// One thread sets a deadline while another is at a tick of the wheel, which had the connection in that tick's slot for
/// an older deadline that is of no interest any more.
fn check_is_found(set: fn(&Wheel, &Deadline), expected: Late) {
    check(move || {
        let wheel = Arc::new(Wheel::new());
        let noted = Noted::on(&wheel);
        wheel.expect(&noted.deadline, Wait::Head, 250);
        noted.deadline.expect_nothing();

        let ticking = {
            let wheel = wheel.clone();
            loom::thread::spawn(move || wheel.expire(LATER_MS))
        };
        set(&wheel, &noted.deadline);
        ticking.join().unwrap();

        assert_eq!(noted.take_late(), [], "it is not late yet");
        wheel.expire(END_MS);
        assert_eq!(noted.take_late(), [expected]);
    });
}

/// Red without SeqCst in `Deadline::expect`, or in `earliest_ms`; without `schedule` looking once more.
#[test]
fn a_wait_that_begins_at_a_tick_is_found_when_it_is_late() {
    check_is_found(|wheel, deadline| wheel.expect(deadline, Wait::Idle, 2_000), Late::Receiving(Wait::Idle));
}

/// Red without SeqCst in `Deadline::expect_if_nothing`, or in `earliest_ms`.
#[test]
fn an_idle_time_that_begins_at_a_tick_is_found_when_it_is_late() {
    check_is_found(|wheel, deadline| wheel.expect_if_nothing(deadline, Wait::Idle, 2_000), Late::Receiving(Wait::Idle));
}

/// Red without SeqCst in `Deadline::expect_reader`.
#[test]
fn a_slow_reader_that_is_found_at_a_tick_is_found_when_it_is_late() {
    check_is_found(|wheel, deadline| wheel.expect_reader(deadline, 2_000), Late::Sending);
}

/// One thread sets a new deadline at the moment at which the wheel finds the old one late: the old one may have been
/// told, and the new one is, too.
fn check_is_kept(set: fn(&Wheel, &Deadline, u64), expected: Late) {
    check(move || {
        let wheel = Arc::new(Wheel::new());
        let noted = Noted::on(&wheel);
        set(&wheel, &noted.deadline, 250);

        let ticking = {
            let wheel = wheel.clone();
            loom::thread::spawn(move || wheel.expire(LATER_MS))
        };
        set(&wheel, &noted.deadline, 2_000);
        ticking.join().unwrap();

        let early = noted.take_late();
        assert!(early.is_empty() || early == [expected], "{early:?}");
        wheel.expire(END_MS);
        assert_eq!(noted.take_late(), [expected]);
    });
}

/// Red with a load and a store in `Deadline::take`.
#[test]
fn a_reader_that_takes_bytes_at_the_last_moment_has_a_deadline_again() {
    check_is_kept(Wheel::expect_reader, Late::Sending);
}

/// Red with a load and a store in `Deadline::take`.
#[test]
fn a_client_that_sends_bytes_at_the_last_moment_has_a_deadline_again() {
    check_is_kept(
        |wheel, deadline, after_ms| wheel.expect(deadline, Wait::Head, after_ms),
        Late::Receiving(Wait::Head),
    );
}

/// Red with a load and a store in `Deadline::take`.
#[test]
fn a_head_that_begins_while_others_need_the_room_keeps_its_deadline() {
    check(|| {
        let wheel = Arc::new(Wheel::new());
        let noted = Noted::on(&wheel);
        wheel.expect(&noted.deadline, Wait::Idle, 1_000);

        let evicting = {
            let wheel = wheel.clone();
            loom::thread::spawn(move || wheel.evict(&[Wait::Idle], 1))
        };
        wheel.expect(&noted.deadline, Wait::Head, 2_000);
        evicting.join().unwrap();

        wheel.expire(END_MS);
        assert_eq!(noted.take_late(), [Late::Receiving(Wait::Head)]);
    });
}

/// Red without `Wheel::add` looking under its lock.
#[test]
fn two_threads_that_place_one_connection_place_it_once() {
    check(|| {
        let wheel = Arc::new(Wheel::new());
        let noted = Arc::new(Noted::default());

        let placing = {
            let (wheel, noted) = (wheel.clone(), noted.clone());
            loom::thread::spawn(move || noted.place(&wheel))
        };
        noted.place(&wheel);
        placing.join().unwrap();

        assert_eq!(wheel.all().len(), 1);
        wheel.remove(&noted.deadline);
        assert_eq!(wheel.all().len(), 0);
    });
}
