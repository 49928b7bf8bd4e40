//! An event that a state does not know.

use std::fmt;

/// An event that has no place in a state: a mistake of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Illegal<State, Event> {
    /// Where the machine stood, and stays.
    pub state: State,
    /// What has happened.
    pub event: Event,
}

impl<State: fmt::Debug, Event: fmt::Debug> fmt::Display for Illegal<State, Event> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Illegal { state, event } = self;
        write!(formatter, "the event {event:?} is illegal in the state {state:?}")
    }
}

impl<State: fmt::Debug, Event: fmt::Debug> std::error::Error for Illegal<State, Event> {}
