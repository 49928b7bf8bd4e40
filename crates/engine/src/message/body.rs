//! Request bodies as the application will read them: in the read buffer, in memory, in an unlinked
//! temporary file, or streamed while it reads.

use super::spool::Kept;
use portico_wire::WireError;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::{Notify, mpsc};

/// Why a body will never be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The client closed the connection.
    Aborted,
    /// The client was slower than it may be.
    Slow,
    /// The bytes break the framing.
    Malformed(WireError),
    /// The body is larger than the configured limit.
    TooLarge,
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BodyError::Aborted => formatter.write_str("the client went away before the end of the request body"),
            BodyError::Slow => formatter.write_str("the client sent the request body too slowly"),
            BodyError::Malformed(why) => write!(formatter, "malformed request body: {}", why.reason),
            BodyError::TooLarge => formatter.write_str("the request body is larger than max_request_body"),
        }
    }
}

/// A request body.
pub enum Body {
    /// There is none.
    Empty,
    /// Complete, a range of the read buffer.
    Buffered(Range<usize>),
    /// Complete, in memory or in a temporary file.
    Kept(Box<Kept>),
    /// Still coming in: what had come before the call, then what the receiver gives.
    Streamed(Box<Stream>),
}

/// A body that comes in while the application reads it.
pub struct Stream {
    /// What had come before the call.
    pub before_call: Kept,
    /// The rest.
    pub rest: Rest,
}

/// The part of a streamed body that is still to come.
pub struct Rest {
    receiver: mpsc::Receiver<Received>,
    unwanted: Unwanted,
    /// Its length if the client has declared it.
    pub length: Option<u64>,
    /// Set once the last byte has come: only then may the connection be kept.
    pub complete: Arc<AtomicBool>,
}

/// What a streamed body brings at a time.
pub type Received = Result<Vec<u8>, BodyError>;

/// Ends a wait for the rest of a body, whoever waits: the call that it belongs to is over.
#[derive(Clone, Default)]
pub struct Unwanted(Arc<Notify>);

impl Rest {
    /// What comes through `receiver`, which ends after the last byte.
    pub fn new(receiver: mpsc::Receiver<Received>, length: Option<u64>, complete: Arc<AtomicBool>) -> Rest {
        Rest { receiver, unwanted: Unwanted::default(), length, complete }
    }

    /// Its next bytes; `None` after the last one.
    pub async fn next(&mut self) -> Option<Received> {
        tokio::select! {
            biased;
            () = self.unwanted.0.notified() => Some(Err(BodyError::Aborted)),
            received = self.receiver.recv() => received,
        }
    }

    /// What ends a wait for it.
    pub fn unwanted(&self) -> Unwanted {
        self.unwanted.clone()
    }
}

impl Unwanted {
    /// Nobody wants it from now on.
    pub fn set(&self) {
        self.0.notify_one();
    }
}
