//! An upstream: the members that serve the same, from which one is chosen for each request. Members come and go while it
//! serves.

use super::balance::{Balance, consistent, least_requests, round_robin};
use super::member::{Flight, Member};
use crate::lock::lock;
use portico_wire::Limits;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// How long things may take, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// A connection to be made.
    pub connect_ms: u64,
    /// The first byte of a response, from when the request's last byte has gone; also, nothing of the request moving.
    pub first_byte_ms: u64,
    /// Between two bytes of a response.
    pub idle_ms: u64,
    /// Nothing moving in either direction after an upgrade.
    pub tunnel_ms: u64,
}

/// What holds for an upstream, beside its members.
#[derive(Clone, Debug)]
pub struct UpstreamTerms {
    /// Its name, for logs.
    pub name: String,
    /// How members are chosen.
    pub balance: Balance,
    /// How long things may take.
    pub times: Times,
    /// What members may send.
    pub limits: Limits,
    /// Members beside the first that a request may be given to.
    pub max_retries: u32,
    /// Our name in Via; empty to leave that out.
    pub via: String,
}

/// The upstream.
pub struct Upstream {
    /// What holds for it.
    pub terms: UpstreamTerms,
    members: Mutex<Arc<[Arc<Member>]>>,
    /// What each member has saved up of its turns.
    credits: Mutex<Vec<i64>>,
    ticket: AtomicUsize,
}

impl Upstream {
    /// An upstream of these members.
    pub fn new(terms: UpstreamTerms, members: impl IntoIterator<Item = Arc<Member>>) -> Arc<Upstream> {
        Arc::new(Upstream {
            terms,
            members: Mutex::new(members.into_iter().collect()),
            credits: Mutex::default(),
            ticket: AtomicUsize::new(0),
        })
    }

    /// The members there are now.
    pub fn members(&self) -> Arc<[Arc<Member>]> {
        lock(&self.members).clone()
    }

    /// Adds a member.
    pub fn add(&self, member: Arc<Member>) {
        let mut members = lock(&self.members);
        *members = members.iter().cloned().chain([member]).collect();
    }

    /// Removes the member of this name, which ends the requests that it has as if it was still there.
    pub fn remove(&self, name: &str) -> Option<Arc<Member>> {
        let mut members = lock(&self.members);
        let removed = members.iter().find(|member| member.name == name)?.clone();
        *members = members.iter().filter(|member| !Arc::ptr_eq(member, &removed)).cloned().collect();
        drop(members);
        removed.drain();
        Some(removed)
    }

    /// Closes connections that have been kept for long enough.
    pub fn close_old(&self, now_ms: u64) {
        for member in self.members().iter() {
            member.pool.close_old(now_ms);
        }
    }

    /// Gives a request, whose hash is `key`, to one of the members that have not been `tried`.
    pub fn begin(&self, key: Option<u64>, tried: &[Arc<Member>], now_ms: u64) -> Option<Flight> {
        let members = self.members();
        let mut candidates: Vec<_> = members.iter().map(|member| member.candidate(now_ms)).collect();
        for (candidate, member) in candidates.iter_mut().zip(members.iter()) {
            candidate.is_available &= !tried.iter().any(|tried| Arc::ptr_eq(tried, member));
        }
        // Each time round, somebody else was quicker with the member that was chosen.
        loop {
            let index = match (&self.terms.balance, key) {
                (Balance::RoundRobin, _) => round_robin(&mut lock(&self.credits), &candidates),
                (Balance::ConsistentHash(_), Some(key)) => consistent(key, &candidates),
                // A request without what is hashed may go anywhere.
                (Balance::LeastRequests | Balance::ConsistentHash(_), _) => {
                    least_requests(self.ticket.fetch_add(1, Relaxed), &candidates)
                }
            }?;
            if let Some(flight) = members.get(index).and_then(|member| member.begin(now_ms)) {
                return Some(flight);
            }
            candidates.get_mut(index)?.is_available = false;
        }
    }
}
