//! Why a connection's task ends, and what is left to do then.

use crate::clock;
use crate::connection::{Connection, linger};
use crate::exchange::error_response::{ErrorResponse, log_abandoned};
use crate::message::body::BodyError;
use crate::message::inbound::Inbound;
use portico_wire::WireError;
use std::io;
use std::sync::Arc;

/// Why a connection's task ends.
pub enum End {
    /// The peer closed, or the socket failed: nothing more to say.
    Gone,
    /// The peer broke a rule: a response that says so, then close.
    Rejected(ErrorResponse),
    /// A response has gone out, or will, that closes the connection.
    Closing,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        End::Gone
    }
}

impl End {
    /// A request whose head was not understood, or has not come, breaks a rule.
    pub fn of_head(error: WireError, inbound: Option<Box<Inbound>>, began_ms: u64) -> End {
        End::Rejected(ErrorResponse { error, inbound, has_head: false, began_ms })
    }

    /// A request whose head was understood breaks a rule.
    pub fn of_request(error: WireError, inbound: Box<Inbound>, began_ms: u64) -> End {
        End::Rejected(ErrorResponse { error, inbound: Some(inbound), has_head: true, began_ms })
    }

    /// A request's body will never be complete.
    pub fn of_body(connection: &Connection, inbound: Box<Inbound>, error: BodyError, began_ms: u64) -> End {
        let rule = match error {
            BodyError::Aborted => {
                log_abandoned(connection, &inbound, began_ms);
                return End::Gone;
            }
            BodyError::Slow => WireError::REQUEST_TIMEOUT_BODY,
            BodyError::TooLarge => WireError::BODY_TOO_LARGE,
            BodyError::Malformed(rule) => rule,
        };
        End::of_request(rule, inbound, began_ms)
    }
}

/// Does what is left to do with a connection whose task ends.
pub async fn finish(connection: Arc<Connection>, end: End) {
    match end {
        End::Gone => {}
        End::Rejected(response) => {
            if connection.exchange.turn.wait_idle().await {
                connection.submit(false);
                Box::pin(response.send(&connection)).await;
                connection.exchange.turn.end(false);
            }
            Box::pin(linger(connection)).await;
        }
        End::Closing => {
            connection.exchange.turn.wait_idle().await;
            Box::pin(linger(connection)).await;
        }
    }
}

/// The coarse time at which a request began that came in one piece.
pub fn now_unless(began_ms: Option<u64>) -> u64 {
    began_ms.unwrap_or_else(clock::coarse_ms)
}
