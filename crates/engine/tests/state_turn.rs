//! The turn of a connection, state by state: what each event leads to, and which are illegal.

#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::state::Illegal;
use portico_engine::state::turn::{Event, State, transition};

/// What may happen in each state; all that is not here is illegal.
const LEGAL: &[(State, Event, State)] = &[
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
    for state in State::ALL {
        for event in Event::ALL {
            let after = LEGAL.iter().find(|row| (row.0, row.1) == (state, event)).map(|row| row.2);
            assert_eq!(transition(state, event), after.ok_or(Illegal { state, event }), "{state:?} {event:?}");
        }
    }
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
