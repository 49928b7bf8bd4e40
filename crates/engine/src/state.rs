//! The states of an exchange (one request and its response) on a connection, as tables: what may follow what. Pure; each
//! table stands beside its diagram, and an event that a state does not know is an error that names both.
//!
//! 1. `request`: a request comes in.
//! 2. `turn`: whose turn it is on the connection, since responses leave in the order of requests (RFC 9112 9.3.2).
//! 3. `response`: a response goes out.

pub mod request;
pub mod response;
pub mod turn;

use std::fmt;

/// An event that has no place in a state: a mistake of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Illegal<State, Event> {
    /// Where the machine stood, and stays.
    pub state: State,
    /// What it was told.
    pub event: Event,
}

impl<State: fmt::Debug, Event: fmt::Debug> fmt::Display for Illegal<State, Event> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Illegal { state, event } = self;
        write!(formatter, "the event {event:?} is illegal in the state {state:?}")
    }
}

impl<State: fmt::Debug, Event: fmt::Debug> std::error::Error for Illegal<State, Event> {}
