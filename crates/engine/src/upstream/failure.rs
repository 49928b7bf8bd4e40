//! Why a request that was passed on has no response, or not all of one: the status for the client, the sentence for the
//! log.

use portico_wire::{FastCgiEnd, WireError};
use std::fmt;

/// A failure, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The member or the upstream that it concerns.
    pub of: String,
    /// What has happened.
    pub reason: Reason,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No member may be given a request: all are ejected, draining or have as many as they may.
    NoMember,
    /// No connection could be made.
    Unreachable(String),
    /// A server on this machine is not running: nobody listens on its Unix socket, or there is none.
    NotRunning(String),
    /// No connection was made within so many milliseconds.
    ConnectTimeout(u64),
    /// The connection failed.
    Broken(String),
    /// The member has closed the connection before the end of its response.
    Closed,
    /// Not a byte has moved for so many milliseconds.
    Silent(u64),
    /// The member has rejected the request: it is overloaded, or serves none of its kind.
    Rejected(FastCgiEnd),
    /// The member has ended the request with this status of its application, and without a response.
    NoResponse(u32),
    /// What the member has sent is not a response.
    Malformed(WireError),
    /// The request is none that can be passed on.
    Unfit(WireError),
    /// The client has left, or has not sent its body: no failure of the member.
    ClientGone,
}

impl Reason {
    /// The status that a client is sent in place of a response (RFC 9110 15.6.3 to 15.6.5); 0 if there is nobody to send
    /// it to.
    pub fn status(&self) -> u16 {
        match self {
            Reason::NoMember | Reason::NotRunning(_) | Reason::Rejected(FastCgiEnd::Overloaded) => 503,
            Reason::ConnectTimeout(_) | Reason::Silent(_) => 504,
            Reason::Unreachable(_)
            | Reason::Broken(_)
            | Reason::Closed
            | Reason::Rejected(_)
            | Reason::NoResponse(_)
            | Reason::Malformed(_) => 502,
            Reason::Unfit(error) => error.status,
            Reason::ClientGone => 0,
        }
    }

    /// Whether the member is to blame, so that it counts against it.
    pub fn is_of_member(&self) -> bool {
        !matches!(self, Reason::NoMember | Reason::Unfit(_) | Reason::ClientGone)
    }

    /// Whether another try is no burden: the member has certainly ended its part. One that is only silent may still be
    /// busy with the request.
    pub fn is_over(&self) -> bool {
        matches!(
            self,
            Reason::Unreachable(_)
                | Reason::NotRunning(_)
                | Reason::ConnectTimeout(_)
                | Reason::Broken(_)
                | Reason::Closed
                | Reason::Rejected(_)
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "upstream {}: ", self.of)?;
        match &self.reason {
            Reason::NoMember => {
                formatter.write_str("no member takes requests: all are ejected, draining or at their limit")
            }
            Reason::Unreachable(error) | Reason::NotRunning(error) => write!(formatter, "cannot connect: {error}"),
            Reason::ConnectTimeout(ms) => write!(formatter, "no connection within {ms} ms"),
            Reason::Broken(error) => write!(formatter, "the connection failed: {error}"),
            Reason::Closed => formatter.write_str("closed the connection before the end of its response"),
            Reason::Silent(ms) => write!(formatter, "sent nothing for {ms} ms, and a response was due"),
            Reason::Rejected(FastCgiEnd::Overloaded) => formatter.write_str("rejected the request: it is overloaded"),
            Reason::Rejected(_) => formatter.write_str("rejected the request: it is no responder of FastCGI"),
            Reason::NoResponse(status) => {
                write!(formatter, "ended the request without a response, with the status {status}")
            }
            Reason::Malformed(error) => write!(formatter, "sent what is not a response: {}", error.reason),
            Reason::Unfit(error) => write!(formatter, "the request cannot be passed on: {}", error.reason),
            Reason::ClientGone => formatter.write_str("the client has left before the end of its response"),
        }
    }
}
