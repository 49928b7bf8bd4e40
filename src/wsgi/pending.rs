//! A response that has not ended, as the callables of the application and the server share it.

use portico_engine::connection::Connection;
use portico_engine::exchange::responder::Responder;
use portico_engine::message::response_head::ResponseHead;
use std::sync::Weak;

/// One response as both sides see it: the application through the two callables, the server directly.
#[derive(Default)]
pub struct PendingResponse {
    /// What `start_response` has set.
    pub head: ResponseHead,
    /// Where it goes; none once the response has ended, and while a thread is sending.
    pub responder: Option<Responder>,
    /// The client, also while a thread is sending. Weak, so that no connection stays open for the sake of this.
    pub connection: Weak<Connection>,
    /// How many responses there were before it.
    pub serial: u64,
    /// Whether the client was found to be gone.
    pub gone: bool,
}
