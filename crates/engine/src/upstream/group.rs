//! An upstream: the members that serve the same, from which one is chosen for each request. Members come and go while it
//! serves.

use super::address::{HostPort, Place};
use super::balance::{Balance, consistent, in_turn, keep_first, least_requests, round_robin};
use super::failure::Failure;
use super::member::{Flight, Member, MemberTerms};
use super::roster::{Found, Roster, Wanted};
use super::tls::TlsTerms;
use crate::lock::lock;
use crate::log::RateLimited;
use portico_wire::Limits;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};

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
    /// What orders call it.
    pub key: String,
    /// What its requests are counted as called; empty for nothing.
    pub counted_as: String,
    /// How members are chosen.
    pub balance: Balance,
    /// What holds for each member.
    pub member: MemberTerms,
    /// Between two times that names are looked up, in milliseconds; none where that is somebody else's business.
    pub resolve_ms: Option<u64>,
    /// How members are asked whether they are well, if they are.
    pub probe: Option<ProbeTerms>,
    /// How long things may take.
    pub times: Times,
    /// What members may send.
    pub limits: Limits,
    /// What members are told beside the request, over uwsgi and FastCGI: names and values of variables.
    pub variables: Vec<(String, String)>,
    /// How TLS is spoken, with those members with whom it is.
    pub tls: Arc<TlsTerms>,
    /// Members beside the first that a request may be given to.
    pub max_retries: u32,
    /// Our name in Via; empty to leave that out.
    pub via: String,
}

/// The upstream.
pub struct Upstream {
    /// What holds for it.
    pub terms: UpstreamTerms,
    /// Who is to be a member. Locked before `members`.
    roster: Mutex<Roster>,
    members: Mutex<Arc<[Arc<Member>]>>,
    /// Those that were members, as long as somebody has them.
    leaving: Mutex<Vec<Weak<Member>>>,
    /// What each member has saved up of its turns.
    credits: Mutex<Vec<i64>>,
    ticket: AtomicUsize,
    /// Whether all members have the same share and the same priority.
    are_alike: AtomicBool,
    /// Whose turn it is of members that are alike.
    next: AtomicUsize,
    /// Whether there are members that a request is told to by variables.
    has_variables: AtomicBool,
    /// Says that no member takes a request.
    warnings: RateLimited,
}

impl Upstream {
    /// An upstream of these members.
    pub fn new(terms: UpstreamTerms, members: impl IntoIterator<Item = Arc<Member>>) -> Arc<Upstream> {
        let members: Arc<[_]> = members.into_iter().collect();
        let mut roster = Roster::default();
        for member in members.iter() {
            roster.add(Place::Fixed(member.address.clone()), member.weight());
        }
        Arc::new(Upstream {
            has_variables: roster.tells_variables().into(),
            are_alike: are_alike(&members).into(),
            next: AtomicUsize::new(0),
            terms,
            roster: Mutex::new(roster),
            members: Mutex::new(members),
            leaving: Mutex::default(),
            credits: Mutex::default(),
            ticket: AtomicUsize::new(0),
            warnings: RateLimited::new(),
        })
    }

    /// An upstream of what is at these places.
    pub fn at(terms: UpstreamTerms, places: Vec<Place>) -> Arc<Upstream> {
        let upstream = Upstream::new(terms, []);
        upstream.change(|roster| places.into_iter().for_each(|place| roster.add(place, 1)));
        upstream
    }

    /// Whether there are members that a request is told to by variables, over uwsgi or FastCGI: these have to know how long
    /// a body is before it comes.
    pub fn has_variables(&self) -> bool {
        self.has_variables.load(Relaxed)
    }

    /// The members there are now.
    pub fn members(&self) -> Arc<[Arc<Member>]> {
        lock(&self.members).clone()
    }

    /// Changes who is to be a member, and makes it so: those that are not any more get no new requests, and end those that
    /// they have; who stays is the same as before, with its connections and what is known of it.
    pub fn change<T>(&self, change: impl FnOnce(&mut Roster) -> T) -> T {
        let mut roster = lock(&self.roster);
        let changed = change(&mut roster);
        self.make_so(&roster);
        changed
    }

    fn make_so(&self, roster: &Roster) {
        let wanted = roster.wanted();
        self.has_variables.store(roster.tells_variables(), Relaxed);
        let mut members = lock(&self.members);
        let before = members.clone();
        *members = wanted.iter().map(|wanted| self.member(wanted, &before)).collect();
        self.are_alike.store(are_alike(&members), Relaxed);
        let is_there = |member: &Arc<Member>| members.iter().any(|other| Arc::ptr_eq(member, other));
        let left: Vec<_> = before.iter().filter(|member| !is_there(member)).cloned().collect();
        drop(members);
        let mut leaving = lock(&self.leaving);
        leaving.retain(|member| member.strong_count() > 0);
        leaving.extend(left.iter().map(Arc::downgrade));
        drop(leaving);
        for member in &left {
            member.drain();
        }
    }

    /// The member that is `wanted`: one of `before`, or a new one.
    fn member(&self, wanted: &Wanted, before: &[Arc<Member>]) -> Arc<Member> {
        let Wanted { address, of, weight, priority, is_drained } = wanted;
        let is_it = |member: &&Arc<Member>| member.of == *of && member.address == *address;
        let member = before.iter().find(is_it).cloned();
        let member = member.unwrap_or_else(|| Member::named(address.clone(), of.clone(), *weight, self.terms.member));
        member.set_weight(*weight, *priority);
        if *is_drained != member.is_draining() {
            if *is_drained { member.drain() } else { member.take_back() }
        }
        member
    }

    /// Says which addresses a name has: others than before become members, and those that it had before are drained. False
    /// if nobody asks for the name any more.
    pub fn set_addresses(&self, name: &HostPort, addresses: &[SocketAddr]) -> bool {
        let found = addresses.iter().map(|address| Found { address: *address, weight: 1, priority: 0 }).collect();
        self.change(|roster| roster.find(&name.to_string(), found))
    }

    /// Whether somebody else looks up names, and has not said yet what some of them have.
    pub fn lacks_addresses(&self) -> bool {
        self.terms.resolve_ms.is_none() && lock(&self.roster).lacks_addresses()
    }

    /// The names that have to be looked up.
    pub fn names(&self) -> Vec<HostPort> {
        if self.terms.resolve_ms.is_none() {
            return Vec::new();
        }
        let named = |place: &Place| match place {
            Place::Named(name) => Some(name.clone()),
            Place::Fixed(_) | Place::Service(_) => None,
        };
        lock(&self.roster).places().filter_map(named).collect()
    }

    /// How many members a name has.
    pub fn members_of(&self, name: &HostPort) -> usize {
        let name = name.to_string();
        self.members().iter().filter(|member| member.of.as_ref() == Some(&name)).count()
    }

    /// Those that are members no longer, and still have requests.
    pub fn leaving(&self) -> Vec<Arc<Member>> {
        let leaving = lock(&self.leaving);
        leaving.iter().filter_map(Weak::upgrade).filter(|member| member.in_flight() > 0).collect()
    }

    /// Whether the requests of `member` could go nowhere else: all others are drained, ill by their health checks, or have
    /// no share.
    pub fn is_alone(&self, member: &Arc<Member>) -> bool {
        let takes_requests = |other: &&Arc<Member>| !other.is_draining() && other.is_well() && other.weight() > 0;
        self.members().iter().filter(takes_requests).all(|other| Arc::ptr_eq(other, member))
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
        if tried.is_empty()
            && self.are_alike.load(Relaxed)
            && let Some(flight) = self.begin_with_one(key, &members, now_ms)
        {
            return Some(flight);
        }
        let mut busy = Vec::new();
        // Each time round, somebody else was quicker with the member that was chosen.
        loop {
            let mut candidates: Vec<_> = members.iter().map(|member| member.candidate(now_ms)).collect();
            for (index, (candidate, member)) in candidates.iter_mut().zip(members.iter()).enumerate() {
                let is_out = busy.contains(&index) || tried.iter().any(|tried| Arc::ptr_eq(tried, member));
                candidate.is_available &= !is_out;
            }
            keep_first(&mut candidates);
            let index = match (&self.terms.balance, key) {
                (Balance::RoundRobin, _) => round_robin(&mut lock(&self.credits), &candidates),
                (Balance::ConsistentHash(_), Some(key)) => consistent(key, &candidates),
                // A request without what is hashed may go anywhere.
                (Balance::LeastRequests | Balance::ConsistentHash(_), _) => {
                    least_requests(self.ticket.fetch_add(1, Relaxed), &candidates)
                }
            }?;
            if let Some(flight) = members.get(index)?.begin(now_ms) {
                return Some(flight);
            }
            busy.push(index);
        }
    }

    /// The same without a look at all `members`, which are alike; none where it takes one. Of thousands each request would
    /// pay for it.
    fn begin_with_one(&self, key: Option<u64>, members: &[Arc<Member>], now_ms: u64) -> Option<Flight> {
        let is_in_turn = self.terms.balance == Balance::RoundRobin;
        let first = match (is_in_turn, key) {
            (true, _) => self.next.load(Relaxed),
            (false, None) => self.ticket.fetch_add(1, Relaxed),
            (false, Some(_)) => return None,
        };
        // Nobody has fewer requests than none.
        let takes = |member: &Arc<Member>| {
            let candidate = member.candidate(now_ms);
            candidate.may_be_chosen() && (is_in_turn || candidate.in_flight == 0)
        };
        let index = in_turn(first, members.len()).find(|index| members.get(*index).is_some_and(takes))?;
        let flight = members.get(index)?.begin(now_ms)?;
        self.next.store(index + 1, Relaxed);
        Some(flight)
    }
}

/// Whether all have the same share and the same priority.
fn are_alike(members: &[Arc<Member>]) -> bool {
    members.windows(2).all(|pair| {
        let [one, other] = pair else { return true };
        one.weight() == other.weight() && one.priority() == other.priority()
    })
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
