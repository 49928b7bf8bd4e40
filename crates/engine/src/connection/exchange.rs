//! The exchange of a connection: one request and its response, from the moment a response is due. HTTP/1 has one at a
//! time, so its connection has one, which is used again; a protocol with many at once has one for each.

use super::outbound::Outbound;
use super::turn::Turn;
use std::sync::Mutex;

/// The exchange.
#[derive(Default)]
pub struct Exchange {
    /// Whether a response is due.
    pub turn: Turn,
    /// What of it has not been sent.
    pub outbound: Mutex<Outbound>,
}
