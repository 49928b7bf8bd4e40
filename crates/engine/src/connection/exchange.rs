//! The exchange of a connection: one request and its response, from the moment a response is due. HTTP/1 has one at a
//! time, so its connection has one, which is used again; a protocol with many at once has one for each.

use super::outbound::Outbound;
use super::turn::Turn;
use crate::state::turn::State;
use crate::sync::{Mutex, lock};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The next request on a connection, all of it there, while its turn has not come: whoever ends the response before it
/// has it queued, without waking the connection's task. Dropped where no further request is responded to.
pub trait Upcoming: Send {
    /// Its turn has come.
    fn go_on(self: Box<Self>);
}

/// An upgrade that the client of a request asks for and the application may make itself, as long as the response is due:
/// it writes the head of that to a socket of its own, and then whatever the other protocol has.
pub trait Upgrade: Send + Sync {
    /// Makes the application's socket, for its call in `cell`.
    ///
    /// # Errors
    /// There are no descriptors left.
    fn open(&self, cell: usize) -> io::Result<OwnedFd>;

    /// Whether the application has written to its socket. If not, the response is one of HTTP from now on, and whatever
    /// it writes there later is lost.
    fn is_taken(&self) -> bool;

    /// The call has ended: what is ready once all that it has written has left. None if it has not taken the socket.
    fn end_call(&self) -> Option<Ending<'_>>;

    /// Ends both directions: it cannot be waited for any longer.
    fn close(&self);
}

/// Ends with what was said.
pub type Ending<'a> = Pin<Box<dyn Future<Output = Spoken> + Send + 'a>>;

/// What was said after an upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// The status of the application's response.
    pub status: u16,
    /// The head of that, as the application has sent it.
    pub head: Vec<u8>,
    /// Bytes for the client after the head.
    pub body_bytes: u64,
    /// Bytes of the client after its request.
    pub received_bytes: u64,
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
    /// Whether the client had sent more when the request was complete: who reads that may not have come to it.
    has_more: AtomicBool,
    /// The upgrade that the application may make of it.
    upgrade: Mutex<Option<Arc<dyn Upgrade>>>,
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

    /// Offers the application an upgrade, or no longer.
    pub fn offer(&self, upgrade: Option<Arc<dyn Upgrade>>) {
        *lock(&self.upgrade) = upgrade;
    }

    /// The upgrade that the application may make.
    pub fn offered(&self) -> Option<Arc<dyn Upgrade>> {
        lock(&self.upgrade).clone()
    }

    /// Notes whether the client has sent more after the request.
    pub fn note_more(&self, has_more: bool) {
        self.has_more.store(has_more, Relaxed);
    }

    /// Whether the client has sent more after the request, as far as that was read.
    pub fn has_more(&self) -> bool {
        self.has_more.load(Relaxed) || self.has_upcoming()
    }

    /// Whether the next request's turn comes with the end of this response.
    pub fn has_upcoming(&self) -> bool {
        self.turn.state() == State::Awaited && lock(&self.upcoming).is_some()
    }
}
