//! A response that has not ended, as the callables of the application and the server share it.

use portico_engine::calls::Outcome;
use portico_engine::connection::Connection;
use portico_engine::connection::exchange::Upgrade;
use portico_engine::exchange::responder::Responder;
use portico_engine::message::response_head::ResponseHead;
use pyo3::prelude::*;
use std::sync::{Arc, Weak};

/// One response as both sides see it: the application through the two callables, the server directly.
#[derive(Default)]
pub struct PendingResponse {
    /// What `start_response` has set.
    pub head: ResponseHead,
    /// Where it goes; none once the response has ended, and while a thread is sending.
    pub responder: Option<Responder>,
    /// Whether that is a thread of the application.
    pub write: WriteState,
    /// The client, also while a thread is sending. Weak, so that no connection stays open for the sake of this.
    pub connection: Weak<Connection>,
    /// How many responses there were before it.
    pub serial: u64,
    /// What the server has responded in the call's place, if it has.
    pub responded: Option<Outcome>,
    /// Whether the client was found to be gone.
    pub gone: bool,
    /// What the application may take instead of responding, if anything.
    pub offered_socket: Option<OfferedSocket>,
}

/// The socket that the application may take instead of responding.
pub struct OfferedSocket {
    /// What the engine makes of it.
    pub upgrade: Arc<dyn Upgrade>,
    /// As the application has it.
    pub socket: Py<PyAny>,
}

/// Why `start_response` cannot set the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// The response has ended.
    HasEnded,
    /// It has one.
    HasHead,
    /// It has left.
    IsStarted,
}

/// What becomes of the `write` callable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteState {
    /// No thread is in it.
    #[default]
    Idle,
    /// A thread is, and has the responder.
    Running,
    /// The same, but the call has ended meanwhile: nobody goes on with the response.
    Closed,
}

impl PendingResponse {
    /// Whether the application has taken the socket that it was offered. If not, its response is one of HTTP from now on.
    pub fn is_upgraded(&self) -> bool {
        self.offered_socket.as_ref().is_some_and(|offered| offered.upgrade.is_taken())
    }

    /// Whether `start_response` may set the head, once more only if it `is_replaced`.
    pub fn may_have_head(&self, is_replaced: bool) -> Result<(), HeadError> {
        match &self.responder {
            None => Err(HeadError::HasEnded),
            Some(_) if !is_replaced && self.head.status != 0 => Err(HeadError::HasHead),
            Some(responder) if is_replaced && responder.is_started() => Err(HeadError::IsStarted),
            Some(_) => Ok(()),
        }
    }

    /// The call is over: whatever of the response is not sent never will be, and a thread that is in `write` comes back.
    pub fn end(&mut self) {
        if let Some(responder) = self.responder.take() {
            responder.abort();
        }
        if self.write == WriteState::Running {
            self.write = WriteState::Closed;
            if let Some(connection) = self.connection.upgrade() {
                // What the thread waits for does not come any more, and the client must not take this for the end.
                connection.socket.reset();
            }
        }
    }
}
