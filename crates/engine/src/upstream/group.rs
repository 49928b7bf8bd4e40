//! An upstream: the members that serve the same, from which one is chosen for each request. Members come and go while it
//! serves.

use super::address::{Address, Endpoint, HostPort, Place};
use super::balance::{Balance, consistent, least_requests, round_robin};
use super::failure::Failure;
use super::member::{Flight, Member, MemberTerms};
use crate::lock::lock;
use crate::log::RateLimited;
use crate::message::spoken::Protocol;
use portico_wire::Limits;
use std::fmt;
use std::net::SocketAddr;
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

/// How members are asked.
#[derive(Clone, Debug)]
pub struct ProbeTerms {
    /// The path, with a query or without.
    pub path: String,
    /// The Host that it is asked of.
    pub host: String,
    /// Between the end of one round and the next, in milliseconds.
    pub interval_ms: u64,
    /// How long a member may take for all of its response.
    pub timeout_ms: u64,
    /// The upstream's `variables`.
    pub variables: Vec<(String, String)>,
    /// Bad responses in a row after which a member is taken for ill.
    pub ill_after: u32,
    /// Good ones in a row after which it is taken for well.
    pub well_after: u32,
}

/// What holds for an upstream, beside its members.
#[derive(Clone, Debug)]
pub struct UpstreamTerms {
    /// Its name, for logs.
    pub name: String,
    /// How members are chosen.
    pub balance: Balance,
    /// What holds for each that a name brings.
    pub member: MemberTerms,
    /// Names whose addresses are members.
    pub names: Vec<HostPort>,
    /// Between two times that names are looked up, in milliseconds.
    pub resolve_ms: u64,
    /// How members are asked whether they are well, if they are.
    pub probe: Option<ProbeTerms>,
    /// How long things may take.
    pub times: Times,
    /// What members may send.
    pub limits: Limits,
    /// What members are told beside the request, over uwsgi and FastCGI: names and values of variables.
    pub variables: Vec<(String, String)>,
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
    /// Whether there are members that a request is told to by variables.
    has_variables: bool,
    /// Says that no member takes a request.
    warnings: RateLimited,
}

impl Upstream {
    /// An upstream of these members.
    pub fn new(terms: UpstreamTerms, members: impl IntoIterator<Item = Arc<Member>>) -> Arc<Upstream> {
        let members: Arc<[Arc<Member>]> = members.into_iter().collect();
        let of_members = members.iter().map(|member| member.address.protocol);
        let mut protocols = of_members.chain(terms.names.iter().map(|name| name.protocol));
        Arc::new(Upstream {
            has_variables: protocols.any(|protocol| protocol != Protocol::Http),
            terms,
            members: Mutex::new(members),
            credits: Mutex::default(),
            ticket: AtomicUsize::new(0),
            warnings: RateLimited::new(),
        })
    }

    /// An upstream of what is at these places.
    pub fn at(mut terms: UpstreamTerms, places: Vec<Place>) -> Arc<Upstream> {
        let mut members = Vec::new();
        let of_member = terms.member.of_one_of(places.len());
        for place in places {
            match place {
                Place::Fixed(address) => members.push(Member::new(address, 1, of_member)),
                Place::Named(name) => terms.names.push(name),
            }
        }
        Upstream::new(terms, members)
    }

    /// Whether there are members that a request is told to by variables, over uwsgi or FastCGI: these have to know how long
    /// a body is before it comes.
    pub fn has_variables(&self) -> bool {
        self.has_variables
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

    /// Says which addresses a name has: others than before become members, and those that it had before are drained.
    pub fn set_addresses(&self, name: &HostPort, addresses: &[SocketAddr]) {
        let mut members = lock(&self.members);
        let is_of_name = |member: &Arc<Member>| member.of.as_ref() == Some(name);
        let is_wanted = |member: &Arc<Member>| {
            let is_found = || matches!(&member.address.endpoint, Endpoint::Tcp(address) if addresses.contains(address));
            !is_of_name(member) || is_found()
        };
        let (kept, left): (Vec<_>, Vec<_>) = members.iter().cloned().partition(is_wanted);
        let is_new = |address: &&SocketAddr| {
            let address = Address::tcp(name.protocol, **address);
            !kept.iter().any(|member| is_of_name(member) && member.address == address)
        };
        let others = kept.iter().filter(|member| !is_of_name(member)).count();
        let of_member = self.terms.member.of_one_of(others + addresses.len());
        let added = addresses
            .iter()
            .filter(is_new)
            .map(|address| Address::tcp(name.protocol, *address))
            .map(|address| Member::named(address, Some(name.clone()), 1, of_member));
        *members = kept.iter().cloned().chain(added).collect();
        drop(members);
        for member in &left {
            member.drain();
        }
    }

    /// How many members a name has.
    pub fn members_of(&self, name: &HostPort) -> usize {
        self.members().iter().filter(|member| member.of.as_ref() == Some(name)).count()
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

    /// Warns of a failure, now and then for each member.
    pub fn warn(&self, failure: &Failure, sentence: impl FnOnce() -> String) {
        match self.members().iter().find(|member| member.name == failure.of) {
            Some(member) => member.failures.warn(sentence),
            None => self.warnings.warn(sentence),
        }
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

impl fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.members().iter().map(|member| member.name.clone()).collect();
        formatter
            .debug_struct("Upstream")
            .field("name", &self.terms.name)
            .field("members", &members)
            .finish_non_exhaustive()
    }
}
