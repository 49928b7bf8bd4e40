//! The exchange of a connection: one request and its response, from the moment a response is due. HTTP/1 has one at a
//! time, so its connection has one, which is used again; a protocol with many at once has one for each.

use super::outbound::Outbound;
use super::turn::Turn;
use crate::state::turn::State;
use crate::sync::{Mutex, lock};

/// The next request on a connection, all of it there, while its turn has not come: whoever ends the response before it
/// has it queued, without waking the connection's task. Dropped where no further request is responded to.
pub trait Upcoming: Send {
    /// Its turn has come.
    fn go_on(self: Box<Self>);
}

/// The exchange.
#[derive(Default)]
pub struct Exchange {
    /// Whether a response is due.
    pub turn: Turn,
    /// What of it has not been sent.
    pub outbound: Mutex<Outbound>,
    /// The request after it, while the turn is awaited.
    upcoming: Mutex<Option<Box<dyn Upcoming>>>,
}

impl Exchange {
    /// The response has ended.
    pub fn end(&self, keep: bool) {
        // As it nearly always is.
        if self.turn.end_unawaited(keep) {
            return;
        }
        // Together: as soon as the turn is free, the connection's task may take it for a request, and another one may
        // await the end of the response to that.
        let mut place = lock(&self.upcoming);
        let upcoming = if self.turn.end(keep) == State::Awaited { place.take() } else { None };
        drop(place);
        if let Some(upcoming) = upcoming.filter(|_| keep) {
            upcoming.go_on();
        }
    }

    /// Has `upcoming` go on when its turn comes, which may be now.
    pub fn await_turn(&self, upcoming: Box<dyn Upcoming>) {
        // In this order: whoever ends a response whose end is awaited finds what awaits it.
        *lock(&self.upcoming) = Some(upcoming);
        if let Err(state) = self.turn.announce() {
            let upcoming = lock(&self.upcoming).take();
            if let Some(upcoming) = upcoming.filter(|_| state == State::Idle) {
                upcoming.go_on();
            }
        }
    }

    /// Whether the next request's turn comes with the end of this response.
    pub fn has_upcoming(&self) -> bool {
        self.turn.state() == State::Awaited && lock(&self.upcoming).is_some()
    }
}
