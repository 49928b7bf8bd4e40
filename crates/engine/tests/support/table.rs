//! Holds a table of states against the one that a test expects.

use portico_engine::state::Illegal;
use std::fmt::Debug;

/// What may happen in a state: all that is not here is illegal.
pub type Row<State, Event> = (State, Event, State);

/// Asserts that every pair of state and event leads where `legal` says.
pub fn assert_table<State, Event>(
    transition: impl Fn(State, Event) -> Result<State, Illegal<State, Event>>,
    (states, events): (&[State], &[Event]),
    legal: &[Row<State, Event>],
) where
    State: Copy + Debug + PartialEq,
    Event: Copy + Debug + PartialEq,
{
    for &state in states {
        for &event in events {
            let after = legal.iter().find(|row| (row.0, row.1) == (state, event)).map(|row| row.2);
            assert_eq!(transition(state, event), after.ok_or(Illegal { state, event }), "{state:?} {event:?}");
        }
    }
}
