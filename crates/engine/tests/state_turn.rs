//! The turn of a connection, state by state: what each event leads to, and which are illegal.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/table.rs"]
mod table;

use portico_engine::state::turn::{Event, State, transition};
use table::{Row, assert_table};

/// What may happen in each state; all that is not here is illegal.
const LEGAL: &[Row<State, Event>] = &[
    (State::Idle, Event::Submit, State::Responding),
    (State::Responding, Event::Await, State::Awaited),
    (State::Responding, Event::Keep, State::Idle),
    (State::Responding, Event::Close, State::MustClose),
    (State::Awaited, Event::Await, State::Awaited),
    (State::Awaited, Event::Keep, State::Idle),
    (State::Awaited, Event::Close, State::MustClose),
];

#[test]
fn every_pair_of_state_and_event_leads_where_the_table_says() {
    assert_table(transition, (&State::ALL, &Event::ALL), LEGAL);
}

#[test]
fn a_second_request_is_not_submitted_before_the_response_to_the_first() {
    let illegal = transition(State::Responding, Event::Submit).unwrap_err();
    assert_eq!(illegal.to_string(), "the event Submit is illegal in the state Responding");
}

#[test]
fn a_connection_that_must_close_does_nothing_else() {
    assert!(Event::ALL.iter().all(|event| transition(State::MustClose, *event).is_err()));
}
