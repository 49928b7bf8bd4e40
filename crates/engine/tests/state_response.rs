//! A response on its way out, state by state.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/table.rs"]
mod table;

use portico_engine::state::response::{Event, State, transition};
use table::{Row, assert_table};

/// What may happen in each state; all that is not here is illegal.
const LEGAL: &[Row<State, Event>] = &[
    (State::Unstarted, Event::Start, State::Body),
    (State::Unstarted, Event::Abort, State::Aborted),
    (State::Body, Event::Data, State::Body),
    (State::Body, Event::End, State::Ended),
    (State::Body, Event::Abort, State::Aborted),
    (State::Ended, Event::Abort, State::Aborted),
    (State::Aborted, Event::Abort, State::Aborted),
];

#[test]
fn every_pair_of_state_and_event_leads_where_the_table_says() {
    assert_table(transition, (&State::ALL, &Event::ALL), LEGAL);
}

#[test]
fn a_head_is_not_encoded_twice() {
    let illegal = transition(State::Body, Event::Start).unwrap_err();
    assert_eq!(illegal.to_string(), "the event Start is illegal in the state Body");
}

#[test]
fn nothing_follows_the_end() {
    assert!(transition(State::Ended, Event::Data).is_err());
    assert!(transition(State::Ended, Event::End).is_err());
}

#[test]
fn an_aborted_response_never_becomes_complete() {
    assert!([Event::Start, Event::Data, Event::End].iter().all(|event| transition(State::Aborted, *event).is_err()));
}
