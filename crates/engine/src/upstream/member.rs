//! One server of an upstream: where it is, its kept connections, how it is seen, and the requests that it has.

use super::address::Address;
use super::balance::{Candidate, hash};
use super::circuit::{CircuitTerms, Event, State, transition};
use super::pool::{ConnectionPool, KeepTerms};
use crate::lock::lock;
use crate::log::RateLimited;
use crate::message::spoken::Protocol;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// What holds for every member of an upstream.
#[derive(Clone, Copy, Debug)]
pub struct MemberTerms {
    /// Requests that one may have at a time; 0 for any number.
    pub max_in_flight: u32,
    /// When one is ejected.
    pub circuit: CircuitTerms,
    /// Its kept connections.
    pub keep: KeepTerms,
}

/// The member.
pub struct Member {
    /// Its address, as it is shown.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// The name that has this address, if it is known by one.
    pub of: Option<String>,
    /// Connections that are kept.
    pub pool: ConnectionPool,
    /// Says what has failed here: no member's failures hide another's.
    pub failures: RateLimited,
    terms: MemberTerms,
    identity: u64,
    /// Its share of the requests.
    weight: AtomicU32,
    priority: AtomicU16,
    in_flight: AtomicU32,
    /// Requests that it has been given.
    requests: AtomicU64,
    /// Those that have failed by its fault.
    failed: AtomicU64,
    circuit: Mutex<State>,
    /// Whether it gets no new requests since it is about to leave.
    is_draining: AtomicBool,
    /// Whether it was well when it was last asked, if it is.
    is_well: AtomicBool,
}

impl Member {
    /// A member that nothing is known of yet: it is taken for well.
    pub fn new(address: Address, weight: u32, terms: MemberTerms) -> Arc<Member> {
        Member::named(address, None, weight, terms)
    }

    /// The same for one that is known by a name.
    pub fn named(address: Address, of: Option<String>, weight: u32, terms: MemberTerms) -> Arc<Member> {
        let name = address.to_string();
        // Over uwsgi a connection has one request.
        let max_idle = if address.protocol == Protocol::Uwsgi { 0 } else { terms.keep.max_idle };
        let keep = KeepTerms { max_idle, ..terms.keep };
        Arc::new(Member {
            of,
            identity: hash(name.as_bytes()),
            name,
            address,
            pool: ConnectionPool::new(keep),
            failures: RateLimited::new(),
            terms,
            weight: AtomicU32::new(weight),
            priority: AtomicU16::new(0),
            in_flight: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            circuit: Mutex::default(),
            is_draining: AtomicBool::new(false),
            is_well: AtomicBool::new(true),
        })
    }

    /// What a choice has to know of it.
    pub fn candidate(&self, now_ms: u64) -> Candidate {
        let in_flight = self.in_flight();
        let has_room = self.terms.max_in_flight == 0 || in_flight < self.terms.max_in_flight;
        let is_there = !self.is_draining() && self.is_well() && lock(&self.circuit).admits(now_ms);
        let (weight, identity, priority) = (self.weight(), self.identity, self.priority());
        Candidate { weight, in_flight, identity, priority, is_available: has_room && is_there }
    }

    /// Gives it a request, unless somebody has taken the last room or the one trial meanwhile.
    pub fn begin(self: &Arc<Self>, now_ms: u64) -> Option<Flight> {
        let limit = if self.terms.max_in_flight == 0 { u32::MAX } else { self.terms.max_in_flight };
        let one_more = |in_flight| (in_flight < limit).then_some(in_flight + 1);
        self.in_flight.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        let mut circuit = lock(&self.circuit);
        if !circuit.admits(now_ms) {
            drop(circuit);
            self.in_flight.fetch_sub(1, Relaxed);
            return None;
        }
        *circuit = transition(*circuit, Event::Begin, now_ms, self.terms.circuit);
        let is_trial = circuit.is_trial();
        drop(circuit);
        self.requests.fetch_add(1, Relaxed);
        Some(Flight { member: self.clone(), is_trial, began_ms: now_ms, is_settled: false })
    }

    /// Requests that it has.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Requests that it has been given.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Those that have failed by its fault.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Its share of the requests.
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// It gets requests only while nobody of a lower number takes them.
    pub fn priority(&self) -> u16 {
        self.priority.load(Relaxed)
    }

    /// Gives it another share, and another priority.
    pub fn set_weight(&self, weight: u32, priority: u16) {
        self.weight.store(weight, Relaxed);
        self.priority.store(priority, Relaxed);
    }

    /// How it is seen.
    pub fn circuit(&self) -> State {
        *lock(&self.circuit)
    }

    /// From now on it gets no new requests; those that it has go on.
    pub fn drain(&self) {
        self.is_draining.store(true, Relaxed);
        self.pool.close_all();
    }

    /// It gets new requests again.
    pub fn take_back(&self) {
        self.is_draining.store(false, Relaxed);
    }

    /// Whether it gets no new requests.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Relaxed)
    }

    /// Whether it was well when it was last asked.
    pub fn is_well(&self) -> bool {
        self.is_well.load(Relaxed)
    }

    /// Says whether it is well; true if that is news.
    pub fn set_well(&self, is_well: bool) -> bool {
        let was_well = self.is_well.swap(is_well, Relaxed);
        if !is_well {
            self.pool.close_all();
        }
        was_well != is_well
    }

    /// An event that a request of before an ejection has no part in.
    fn happens(&self, event: Event, is_trial: bool, now_ms: u64, terms: CircuitTerms) -> bool {
        let mut circuit = lock(&self.circuit);
        if circuit.is_trial() != is_trial {
            return false;
        }
        let before = *circuit;
        *circuit = transition(before, event, now_ms, terms);
        let is_ejected = matches!(before, State::Closed { .. }) && matches!(*circuit, State::Open { .. });
        drop(circuit);
        if is_ejected {
            self.pool.close_all();
        }
        is_ejected
    }
}

/// A request that a member has: counted as long as this lives.
pub struct Flight {
    /// The member.
    pub member: Arc<Member>,
    is_trial: bool,
    began_ms: u64,
    is_settled: bool,
}

impl Flight {
    /// The request has a response, which may still be on its way.
    pub fn succeed(&mut self, now_ms: u64) {
        self.is_settled = true;
        self.member.happens(Event::Success, self.is_trial, now_ms, self.member.terms.circuit);
    }

    /// It has none, and that is the member's fault; true if the member is ejected for it, which one that `is_alone` never is.
    pub fn fail(&mut self, now_ms: u64, is_alone: bool) -> bool {
        self.is_settled = true;
        self.member.failed.fetch_add(1, Relaxed);
        let terms = self.member.terms.circuit;
        let max_failures = if is_alone { 0 } else { terms.max_failures };
        self.member.happens(Event::Failure, self.is_trial, now_ms, CircuitTerms { max_failures, ..terms })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.is_settled {
            // As if it had never been: the back-off was over when it began.
            self.member.happens(Event::Abandon, self.is_trial, self.began_ms, self.member.terms.circuit);
        }
        self.member.in_flight.fetch_sub(1, Relaxed);
    }
}
