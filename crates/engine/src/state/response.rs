//! A response goes out: its head with the first bytes, its body, its end.
//!
//! ```text
//!               Start            End
//!   Unstarted ---------> Body ---------> Ended
//!       |               ^    |              |
//!       |               '----' Data         |
//!       '---------Abort------'----Abort-----'----> Aborted
//! ```
//!
//! `Ended` may become `Aborted`: the last bytes are on their way when the client turns out to be gone.

use super::illegal::Illegal;

/// How far a response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its head can still be changed.
    Unstarted,
    /// Its head has left, or leaves with the next bytes.
    Body,
    /// All of it has been sent or is in the send queue, what tells the client of its end included.
    Ended,
    /// It never will be complete.
    Aborted,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its head is encoded.
    Start,
    /// A block of its body is accepted.
    Data,
    /// Its last byte is accepted.
    End,
    /// The client is gone, or the application has failed.
    Abort,
}

impl State {
    /// All states.
    pub const ALL: [State; 4] = [State::Unstarted, State::Body, State::Ended, State::Aborted];
}

impl Event {
    /// All events.
    pub const ALL: [Event; 4] = [Event::Start, Event::Data, Event::End, Event::Abort];
}

/// The state after `event`.
///
/// # Errors
/// It has no place in `state`.
#[expect(clippy::match_same_arms, reason = "a table: a row for each event")]
pub const fn transition(state: State, event: Event) -> Result<State, Illegal<State, Event>> {
    match (state, event) {
        (State::Unstarted, Event::Start) => Ok(State::Body),
        (State::Body, Event::Data) => Ok(State::Body),
        (State::Body, Event::End) => Ok(State::Ended),
        (State::Unstarted | State::Body | State::Ended | State::Aborted, Event::Abort) => Ok(State::Aborted),
        (state, event) => Err(Illegal { state, event }),
    }
}
