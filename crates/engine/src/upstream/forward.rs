//! One request that is passed on: a member is chosen, a connection taken or made, the exchange made; where that fails
//! before anything of a response has come, and doing it twice does no harm, it is made again.
//!
//! Runs in a task of the runtime. What the server's side has to bring are the request's head, where its body comes from
//! and where the response goes (`ends`); it settles the account, and responds itself where there is a [`Failure`] whose
//! `status` was not passed on.
//!
//! When it is made again:
//!
//! * A kept connection may have been closed by the member just now (RFC 9112 9.3.1). If it fails before a byte of the
//!   response, the request is sent once more on a new connection: where not a byte of it had left, or its method is
//!   idempotent (RFC 9110 9.2.2).
//! * The same holds for a new connection, with another member. Who was only silent is not asked again.
//! * Never after a byte of the response, and never where the client's body is lost (`RequestSource::rewind`).

use super::address::{Address, Endpoint};
use super::balance::Balance;
use super::connect::connect;
use super::encoding::encode;
use super::ends::{RequestSource, ResponseSink};
use super::failure::{Failure, Reason};
use super::group::Upstream;
use super::link::Link;
use super::member::{Flight, Member};
use super::outgoing::Outgoing;
use super::transfer::{After, Failed, Transfer, Transferred};
use super::tunnel::Tunnel;
use crate::clock;
use crate::log::{Level, log};
use crate::message::buffers::Buffers;
use crate::message::spoken::Protocol;
use crate::timer::timeout;
use portico_wire::{PassedConnection, PassedOn, RequestHead, ResponseTo};
use std::io;
use std::time::Duration;

/// A request that was passed on, and has its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The member that has responded.
    pub member: String,
    /// The response's status.
    pub status: u16,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// Whether all of the request's body was taken: else what the client sends next is the rest of it.
    pub has_sent_all: bool,
    /// Whether another protocol was spoken, which has ended.
    pub was_upgraded: bool,
}

/// A request that has no response, or not all of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unforwarded {
    /// Why.
    pub failure: Failure,
    /// The status of the response whose head was passed on; 0 if the client is still to be told.
    pub status: u16,
}

/// Passes `request` on to a member of `upstream`. The connection that `request` names is the choice of this.
///
/// # Errors
/// Why there is no response, or not all of one.
pub async fn forward(
    upstream: &Upstream,
    request: PassedOn<'_>,
    source: &mut impl RequestSource,
    sink: &mut impl ResponseSink,
    buffers: &Buffers,
) -> Result<Forwarded, Unforwarded> {
    let key = match &upstream.terms.balance {
        Balance::ConsistentHash(by) => by.key(request.head, request.bytes),
        Balance::RoundRobin | Balance::LeastRequests => None,
    };
    let forwarding = Forward { upstream, request, buffers };
    let mut tried = Vec::new();
    let mut last: Option<Unforwarded> = None;
    loop {
        let Some(mut flight) = upstream.begin(key, &tried, clock::coarse_ms()) else {
            let failure = || Failure { of: upstream.terms.name.clone(), reason: Reason::NoMember };
            return Err(last.unwrap_or_else(|| Unforwarded { failure: failure(), status: 0 }));
        };
        let member = flight.member.clone();
        let outcome = forwarding.give(&member, source, sink).await;
        let failed = match outcome {
            Ok(transferred) => {
                flight.succeed(clock::coarse_ms());
                // In flight up to the end of what follows an upgrade.
                return forwarding.finish(&member, transferred, source, sink).await;
            }
            Err(failed) => failed,
        };
        settle(upstream, &mut flight, &failed.reason);
        drop(flight);
        let may_retry = may_repeat(&failed, request.head, request.bytes) && source.rewind();
        let failure = Failure { of: member.name.clone(), reason: failed.reason };
        let unforwarded = Unforwarded { failure, status: failed.status };
        tried.push(member);
        if !may_retry || tried.len() > upstream.terms.max_retries as usize {
            return Err(unforwarded);
        }
        last = Some(unforwarded);
    }
}

/// Counts a failure against the member, if it is its own.
fn settle(upstream: &Upstream, flight: &mut Flight, reason: &Reason) {
    if reason.is_of_member() && flight.fail(clock::coarse_ms(), upstream.is_alone(&flight.member)) {
        let name = &flight.member.name;
        // Not more often than the back-off lets it happen.
        log(Level::Warning, &format!("upstream {name}: ejected for a while, since its requests have failed in a row"));
    }
}

/// Whether a request may be sent once more.
fn may_repeat(failed: &Failed, head: &RequestHead, bytes: &[u8]) -> bool {
    failed.is_unheard && failed.reason.is_over() && (failed.is_unsent || is_idempotent(head.method.of(bytes)))
}

/// Whether doing it twice has the effect of doing it once, RFC 9110 9.2.2.
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}

/// A request on its way.
struct Forward<'a> {
    upstream: &'a Upstream,
    request: PassedOn<'a>,
    buffers: &'a Buffers,
}

impl Forward<'_> {
    /// Gives the request to one member: on a kept connection, and if that has become stale, on a new one.
    async fn give(
        &self,
        member: &Member,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<(Transferred, Link), Failed> {
        let head = self.encode(member).map_err(unsent)?;
        if let Some(link) = self.take_kept(member) {
            let failed = match self.transfer(member, &link, &head, source, sink).await {
                Ok(transferred) => return Ok((transferred, link)),
                Err(failed) => failed,
            };
            let may_repeat = may_repeat(&failed, self.request.head, self.request.bytes) && source.rewind();
            if !may_repeat {
                return Err(failed);
            }
        }
        let link = self.connect(member).await.map_err(unsent)?;
        let transferred = self.transfer(member, &link, &head, source, sink).await?;
        Ok((transferred, link))
    }

    fn encode(&self, member: &Member) -> Result<Vec<u8>, Reason> {
        let connection = if self.asks_for_upgrade(member) {
            PassedConnection::Upgrade
        } else if member.pool.keeps() {
            PassedConnection::Keep
        } else {
            PassedConnection::Close
        };
        let terms = &self.upstream.terms;
        let request = PassedOn { connection, via: &terms.via, ..self.request };
        encode(&request, member.address.protocol, &terms.variables).map_err(Reason::Unfit)
    }

    /// Whether the member is asked for another protocol: over HTTP only there is a way to.
    fn asks_for_upgrade(&self, member: &Member) -> bool {
        self.request.head.upgrade && member.address.protocol == Protocol::Http
    }

    /// A kept connection that the member has not closed, as far as can be seen.
    fn take_kept(&self, member: &Member) -> Option<Link> {
        loop {
            let link = member.pool.take(clock::coarse_ms())?;
            if link.is_quiet(self.buffers) {
                return Some(link);
            }
        }
    }

    async fn connect(&self, member: &Member) -> Result<Link, Reason> {
        let terms = &self.upstream.terms;
        let connect_ms = terms.times.connect_ms;
        let connected = connect(&member.address, &terms.tls, self.buffers);
        match timeout(Duration::from_millis(connect_ms), connected).await {
            Some(Ok(link)) => Ok(link),
            Some(Err(error)) if is_not_running(&member.address, &error) => Err(Reason::NotRunning(error.to_string())),
            Some(Err(error)) => Err(Reason::Unreachable(error.to_string())),
            None => Err(Reason::ConnectTimeout(connect_ms)),
        }
    }

    async fn transfer(
        &self,
        member: &Member,
        link: &Link,
        head: &[u8],
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<Transferred, Failed> {
        let (times, limits, buffers) = (&self.upstream.terms.times, &self.upstream.terms.limits, self.buffers);
        let to = ResponseTo { is_head: self.request.head.is_head, upgrade: self.asks_for_upgrade(member) };
        let (protocol, framing) = (member.address.protocol, self.request.framing);
        let request = Outgoing { protocol, head, framing, link };
        Transfer { request, name: &member.name, to, times, limits, buffers }.run(source, sink).await
    }

    /// Keeps the connection, closes it, or carries the bytes of the protocol that it was upgraded to.
    async fn finish(
        &self,
        member: &Member,
        (transferred, link): (Transferred, Link),
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<Forwarded, Unforwarded> {
        let Transferred { status, body_bytes, then, has_sent_all } = transferred;
        let mut was_upgraded = false;
        match then {
            After::Keep if !member.is_draining() => member.pool.keep(link, clock::coarse_ms()),
            After::Keep | After::Close => {}
            After::Upgrade(early) => {
                was_upgraded = true;
                let idle_ms = self.upstream.terms.times.tunnel_ms;
                // However it ends, nobody can be told.
                let _ = Tunnel { link: &link, idle_ms, buffers: self.buffers }.run(early, source, sink).await;
            }
        }
        Ok(Forwarded { member: member.name.clone(), status, body_bytes, has_sent_all, was_upgraded })
    }
}

/// A failure before anything has left.
fn unsent(reason: Reason) -> Failed {
    Failed { reason, is_unsent: true, is_unheard: true, status: 0 }
}

/// Whether the server of a Unix socket is not running, as `error` says: it is known at once, and soon another matter.
fn is_not_running(address: &Address, error: &io::Error) -> bool {
    let is_unix = matches!(address.endpoint, Endpoint::Unix(_));
    is_unix && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
