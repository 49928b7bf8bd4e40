//! A request on its way in, state by state.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/table.rs"]
mod table;

use portico_engine::state::request::{Event, State, transition};
use table::{Row, assert_table};

/// What may happen in each state; all that is not here is illegal.
const LEGAL: &[Row<State, Event>] = &[
    (State::Idle, Event::Bytes, State::Head),
    (State::Idle, Event::HeadEnd, State::Done),
    (State::Idle, Event::BodyFollows, State::Body),
    (State::Idle, Event::Reject, State::MustClose),
    (State::Head, Event::Bytes, State::Head),
    (State::Head, Event::HeadEnd, State::Done),
    (State::Head, Event::BodyFollows, State::Body),
    (State::Head, Event::Reject, State::MustClose),
    (State::Body, Event::BodyEnd, State::Done),
    (State::Body, Event::Reject, State::MustClose),
    (State::Done, Event::Next, State::Idle),
    (State::Done, Event::LastOne, State::MustClose),
];

#[test]
fn every_pair_of_state_and_event_leads_where_the_table_says() {
    assert_table(transition, (&State::ALL, &Event::ALL), LEGAL);
}

#[test]
fn a_body_that_is_not_complete_is_not_followed_by_a_request() {
    let illegal = transition(State::Body, Event::Next).unwrap_err();
    assert_eq!(illegal.to_string(), "the event Next is illegal in the state Body");
}

#[test]
fn nothing_is_read_after_the_end() {
    assert!(Event::ALL.iter().all(|event| transition(State::MustClose, *event).is_err()));
}
