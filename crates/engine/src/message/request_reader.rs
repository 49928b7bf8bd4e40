//! Reads one request after the other off a connection: bytes in, requests out. HTTP/1, uwsgi and SCGI; no sockets and no
//! clock. `protocol/http1` drives it over a socket, the fuzzer over any bytes.

use super::inbound::{Inbound, Packet};
use crate::message::spoken::Protocol;
use crate::settings::Settings;
use crate::state::request::{Event, State, transition};
use portico_wire::{Framing, Scheme, TargetForm, UwsgiModifiers, WireError};
use std::ops::Range;

/// The reader of one connection.
#[derive(Clone)]
pub struct RequestReader {
    protocol: Protocol,
    /// Over uwsgi, whether the connection is kept where the end of a response can be told.
    is_persistent: bool,
    state: State,
    budget: KeepAliveBudget,
}

/// What the reader has to know of where a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Whether the peer is a reverse proxy whose forwarded headers are believed.
    pub is_trusted: bool,
    /// Whether the client's connection is encrypted, as a load balancer says.
    pub is_tls: bool,
    /// Whether the request has not waited for the response before it.
    pub is_pipelined: bool,
}

/// What is at the start of the read buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Less than a head: more bytes are needed.
    NeedMore,
    /// A request, of which the first `head_bytes` are the head.
    Request {
        /// Length of the head.
        head_bytes: usize,
        /// Its body: a range of the buffer, or none if it is not all there.
        body: Option<Range<usize>>,
    },
    /// A uwsgi ping of so many bytes; whether the connection is kept after it.
    Ping {
        /// Its length.
        length: usize,
        /// Whether another request may follow.
        may_go_on: bool,
    },
    /// A uwsgi packet that is not for a WSGI server.
    Foreign(UwsgiModifiers),
}

/// A request that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The rule, and the status that says so.
    pub error: WireError,
    /// Whether the head was understood.
    pub has_head: bool,
}

impl RequestReader {
    /// A reader of a fresh connection on which `protocol` is spoken; over uwsgi, whether `is_persistent`.
    pub fn new(protocol: Protocol, is_persistent: bool) -> RequestReader {
        RequestReader { protocol, is_persistent, state: State::Idle, budget: KeepAliveBudget::default() }
    }

    /// How far the next request has come in.
    pub fn state(&self) -> State {
        self.state
    }

    /// Reads what is at the start of `inbound`, whose `head` it becomes. Called with more bytes after `NeedMore`, and
    /// after `next`.
    ///
    /// # Errors
    /// The rule that the request breaks; nothing more is to be read then.
    pub fn read(
        &mut self,
        inbound: &mut Inbound,
        provenance: Provenance,
        settings: &Settings,
    ) -> Result<Step, Rejection> {
        let goes_on = self.state == State::Head;
        let read = inbound.read_head(self.protocol, self.is_persistent, goes_on, settings);
        let packet = read.map_err(|error| self.reject(error, false))?;
        match packet {
            None => {
                self.advance(Event::Bytes);
                Ok(Step::NeedMore)
            }
            Some(Packet::Head(head_bytes)) => {
                inbound.head.keep_alive &= self.budget.spend(provenance.is_pipelined, settings);
                self.check(inbound, provenance, settings).map_err(|error| self.reject(error, true))?;
                let body = body_at_hand(inbound, head_bytes, settings).map_err(|error| self.reject(error, true))?;
                self.advance(if body.is_some() { Event::HeadEnd } else { Event::BodyFollows });
                Ok(Step::Request { head_bytes, body })
            }
            Some(Packet::Ping(length)) => {
                self.advance(Event::HeadEnd);
                let may_go_on = self.budget.spend(provenance.is_pipelined, settings) && self.is_persistent;
                Ok(Step::Ping { length, may_go_on })
            }
            Some(Packet::Foreign(modifiers)) => {
                self.advance(Event::Reject);
                Ok(Step::Foreign(modifiers))
            }
        }
    }

    /// The body that had to be waited for is complete.
    pub fn end_body(&mut self) {
        self.advance(Event::BodyEnd);
    }

    /// The body that had to be waited for breaks a rule: nothing more is to be read.
    pub fn reject_body(&mut self) {
        self.advance(Event::Reject);
    }

    /// The request has been taken; true if another one may follow.
    pub fn next(&mut self, keep_alive: bool) -> bool {
        self.advance(if keep_alive { Event::Next } else { Event::LastOne });
        keep_alive
    }

    /// What is not the head's alone to decide: what a reverse proxy says of the request, and with it RFC 9110 7.4, a
    /// target that asks for https where there was no TLS.
    fn check(&self, inbound: &mut Inbound, provenance: Provenance, settings: &Settings) -> Result<(), WireError> {
        if self.protocol != Protocol::Http {
            return Ok(());
        }
        inbound.read_forwarded(provenance.is_trusted, settings)?;
        let head = &inbound.head;
        if head.form == TargetForm::Absolute && head.scheme.len() == b"https".len() {
            let forwarded = inbound.forwarded.as_ref().and_then(|forwarded| forwarded.scheme);
            let is_https = forwarded.map_or(provenance.is_tls, |scheme| scheme == Scheme::Https);
            return if is_https { Ok(()) } else { Err(WireError::MISDIRECTED) };
        }
        Ok(())
    }

    fn reject(&mut self, error: WireError, has_head: bool) -> Rejection {
        self.advance(Event::Reject);
        Rejection { error, has_head }
    }

    fn advance(&mut self, event: Event) {
        let next = transition(self.state, event);
        debug_assert!(next.is_ok(), "{next:?}");
        // Nothing more is read where the engine has lost its way.
        self.state = next.unwrap_or(State::MustClose);
    }
}

/// The requests that a connection has had, and may have.
#[derive(Clone, Default)]
struct KeepAliveBudget {
    requests: u64,
    /// Of them, without a break, those that did not wait for the response before.
    in_a_row: u64,
}

impl KeepAliveBudget {
    /// Counts a request; whether another one may follow it.
    fn spend(&mut self, is_pipelined: bool, settings: &Settings) -> bool {
        self.requests += 1;
        self.in_a_row = if is_pipelined { self.in_a_row + 1 } else { 1 };
        self.requests < settings.max_requests_per_connection.most() && self.in_a_row < settings.max_pipelined.most()
    }
}

/// Where the body is, if all of it is in the buffer.
fn body_at_hand(inbound: &Inbound, head_bytes: usize, settings: &Settings) -> Result<Option<Range<usize>>, WireError> {
    let rest = inbound.bytes().len().saturating_sub(head_bytes);
    match inbound.head.framing {
        Framing::Empty => Ok(Some(head_bytes..head_bytes)),
        Framing::Length(length) if length > settings.max_request_body_bytes.most() => Err(WireError::BODY_TOO_LARGE),
        Framing::Length(length) => {
            let length = usize::try_from(length).ok().filter(|length| *length <= rest);
            Ok(length.map(|length| head_bytes..head_bytes + length))
        }
        Framing::Chunked => Ok(None),
    }
}
