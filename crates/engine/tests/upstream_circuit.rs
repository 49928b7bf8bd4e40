//! The table of a member's circuit, row by row.

use portico_engine::upstream::circuit::{CircuitTerms, Event, State, transition};

const TERMS: CircuitTerms = CircuitTerms { max_failures: 3, back_off_ms: 100, max_back_off_ms: 350 };
const NOW_MS: u64 = 1_000;

const fn closed(failures: u32, ejections: u32) -> State {
    State::Closed { failures, ejections }
}

const fn open(until_ms: u64, ejections: u32) -> State {
    State::Open { until_ms, ejections }
}

const fn trial(ejections: u32) -> State {
    State::Trial { ejections }
}

#[test]
fn rows() {
    for (state, event, next) in [
        (closed(0, 0), Event::Begin, closed(0, 0)),
        (closed(2, 0), Event::Success, closed(0, 0)),
        (closed(0, 2), Event::Success, closed(0, 1)),
        (closed(0, 0), Event::Failure, closed(1, 0)),
        (closed(1, 4), Event::Failure, closed(2, 4)),
        (closed(2, 0), Event::Failure, open(1_100, 1)),
        (closed(2, 1), Event::Failure, open(1_200, 2)),
        (closed(2, 2), Event::Failure, open(1_350, 3)),
        (closed(2, 200), Event::Failure, open(1_350, 201)),
        (closed(2, 1), Event::Abandon, closed(2, 1)),
        (open(900, 1), Event::Begin, trial(1)),
        (open(900, 1), Event::Success, open(900, 1)),
        (open(900, 1), Event::Failure, open(900, 1)),
        (open(900, 1), Event::Abandon, open(900, 1)),
        (trial(1), Event::Begin, trial(1)),
        (trial(1), Event::Success, closed(0, 1)),
        (trial(1), Event::Failure, open(1_200, 2)),
        (trial(1), Event::Abandon, open(1_000, 1)),
    ] {
        assert_eq!(transition(state, event, NOW_MS, TERMS), next, "{event:?} in {state:?}");
    }
}

#[test]
fn zero_failures_never_eject() {
    let never = CircuitTerms { max_failures: 0, ..TERMS };
    assert_eq!(transition(closed(u32::MAX, 0), Event::Failure, NOW_MS, never), closed(u32::MAX, 0));
}

#[test]
fn admits_while_closed_and_when_the_back_off_is_over() {
    for (state, admits) in
        [(closed(2, 3), true), (open(NOW_MS + 1, 1), false), (open(NOW_MS, 1), true), (trial(1), false)]
    {
        assert_eq!(state.admits(NOW_MS), admits, "{state:?}");
    }
}
