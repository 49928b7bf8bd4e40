//! The turn of a connection, shared by its task and by who responds: `state::turn` in one atomic word.

use crate::log::{Level, log};
use crate::state::turn::{Event, State, transition};
use crate::sync::{AtomicU8, Ordering};
use tokio::sync::Notify;

/// The turn.
pub struct Turn {
    state: AtomicU8,
    /// Told when an awaited response has ended.
    ended: Notify,
}

impl Turn {
    /// No request has come yet.
    pub fn new() -> Turn {
        Turn { state: AtomicU8::new(State::Idle as u8), ended: Notify::const_new() }
    }

    /// The state as the task or the responder left it.
    pub fn state(&self) -> State {
        State::ALL.get(usize::from(self.state.load(Ordering::Acquire))).copied().unwrap_or(State::MustClose)
    }

    /// A request is complete, and a response to it due.
    pub fn submit(&self) {
        self.advance(Event::Submit);
    }

    /// The response has ended, if nobody awaits its end; false if somebody does, or no response is due.
    pub fn end_unawaited(&self, keep: bool) -> bool {
        let before = State::Responding;
        let Ok(after) = transition(before, event_of_end(keep)) else { return false };
        let changed = self.state.compare_exchange(before as u8, after as u8, Ordering::AcqRel, Ordering::Acquire);
        changed.is_ok()
    }

    /// The response has ended; returns the state before.
    pub fn end(&self, keep: bool) -> State {
        let before = self.advance(event_of_end(keep));
        if before == State::Awaited {
            self.ended.notify_one();
        }
        before
    }

    /// The turn is awaited.
    ///
    /// # Errors
    /// No response is due: the state.
    pub fn announce(&self) -> Result<(), State> {
        self.try_advance(Event::Await).map(drop)
    }

    /// Waits until no response is due; false if the connection is to close.
    pub async fn wait_idle(&self) -> bool {
        loop {
            match self.state() {
                State::Idle => return true,
                State::MustClose => return false,
                State::Responding | State::Awaited => {}
            }
            // Failing means that the response has ended meanwhile: the loop looks again.
            if self.announce().is_ok() {
                self.ended.notified().await;
            }
        }
    }

    /// Goes on to the next state; returns the one before.
    fn advance(&self, event: Event) -> State {
        self.try_advance(event).unwrap_or_else(|before| {
            // A mistake of the engine: the connection is of no use any more.
            log(Level::Critical, &format!("a connection's turn: {event:?} is illegal in the state {before:?}"));
            self.state.store(State::MustClose as u8, Ordering::Release);
            self.ended.notify_one();
            before
        })
    }

    /// Goes on to the next state; returns the one before, as an error if `event` has no place in it.
    fn try_advance(&self, event: Event) -> Result<State, State> {
        let mut before = self.state();
        loop {
            let after = transition(before, event).map_err(|illegal| illegal.state)?;
            match self.state.compare_exchange(before as u8, after as u8, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(before),
                Err(_) => before = self.state(),
            }
        }
    }
}

/// What the end of a response is, after which the connection is kept or not.
const fn event_of_end(keep: bool) -> Event {
    if keep { Event::Keep } else { Event::Close }
}

impl Default for Turn {
    fn default() -> Turn {
        Turn::new()
    }
}
