//! Whose turn it is on a connection: that of the next request, or that of the response to the last one.
//!
//! ```text
//!            Submit                Await
//!   Idle ------------> Responding ------> Awaited
//!    ^                   |     |           |   |
//!    '-------Keep--------'-----|-----------'   |
//!                              '---Close-------'-----> MustClose
//! ```

use super::illegal::Illegal;

/// Where a connection stands between its requests and their responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// No response is due.
    Idle = 0,
    /// A response is due.
    Responding = 1,
    /// The same, and the connection's task waits for its end.
    Awaited = 2,
    /// No further request will be responded to.
    MustClose = 3,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request is complete, and a response to it due.
    Submit,
    /// The connection's task waits for the end of the response.
    Await,
    /// The response is complete, and the connection kept.
    Keep,
    /// The response is complete or never will be, and the connection is not kept.
    Close,
}

impl State {
    /// All states.
    pub const ALL: [State; 4] = [State::Idle, State::Responding, State::Awaited, State::MustClose];
}

impl Event {
    /// All events.
    pub const ALL: [Event; 4] = [Event::Submit, Event::Await, Event::Keep, Event::Close];
}

/// The state after `event`.
///
/// # Errors
/// It has no place in `state`.
pub const fn transition(state: State, event: Event) -> Result<State, Illegal<State, Event>> {
    match (state, event) {
        (State::Idle, Event::Submit) => Ok(State::Responding),
        (State::Responding | State::Awaited, Event::Await) => Ok(State::Awaited),
        (State::Responding | State::Awaited, Event::Keep) => Ok(State::Idle),
        (State::Responding | State::Awaited, Event::Close) => Ok(State::MustClose),
        (state, event) => Err(Illegal { state, event }),
    }
}
