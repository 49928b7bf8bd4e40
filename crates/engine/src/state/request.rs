//! A request comes in: a head, perhaps a body, then the next request or the end.
//!
//! ```text
//!          Bytes          HeadEnd                 Next
//!   Idle --------> Head ----------> Done -----------------> (Idle)
//!    |              |                ^ |
//!    |    HeadEnd   |                | '------LastOne-----> MustClose
//!    '--------------|----------------'                          ^
//!    |              | BodyFollows         BodyEnd               |
//!    '--------------'------------> Body ----------> (Done)      |
//!                                                               |
//!   Idle, Head, Body: Reject ----------------------------------'
//! ```

use super::illegal::Illegal;

/// How far a request has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing of it is there.
    Idle,
    /// A part of its head is there.
    Head,
    /// All of its head is there, and a part of its body.
    Body,
    /// All of it is there.
    Done,
    /// No further request is read.
    MustClose,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Some of its head has come, and not all.
    Bytes,
    /// Its head is complete, and it has no body that would have to be waited for.
    HeadEnd,
    /// Its head is complete, and its body is not.
    BodyFollows,
    /// Its body is complete.
    BodyEnd,
    /// Another request may follow.
    Next,
    /// No other request may follow.
    LastOne,
    /// It breaks a rule.
    Reject,
}

impl State {
    /// All states.
    pub const ALL: [State; 5] = [State::Idle, State::Head, State::Body, State::Done, State::MustClose];
}

impl Event {
    /// All events.
    pub const ALL: [Event; 7] =
        [Event::Bytes, Event::HeadEnd, Event::BodyFollows, Event::BodyEnd, Event::Next, Event::LastOne, Event::Reject];
}

/// The state after `event`.
///
/// # Errors
/// It has no place in `state`.
#[expect(clippy::match_same_arms, reason = "a table: a row for each event")]
pub const fn transition(state: State, event: Event) -> Result<State, Illegal<State, Event>> {
    match (state, event) {
        (State::Idle | State::Head, Event::Bytes) => Ok(State::Head),
        (State::Idle | State::Head, Event::HeadEnd) => Ok(State::Done),
        (State::Idle | State::Head, Event::BodyFollows) => Ok(State::Body),
        (State::Body, Event::BodyEnd) => Ok(State::Done),
        (State::Done, Event::Next) => Ok(State::Idle),
        (State::Done, Event::LastOne) => Ok(State::MustClose),
        (State::Idle | State::Head | State::Body, Event::Reject) => Ok(State::MustClose),
        (state, event) => Err(Illegal { state, event }),
    }
}
