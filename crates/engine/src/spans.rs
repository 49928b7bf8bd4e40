//! Spans of requests: each gets a number in a trace when its head has been read, and once it has ended a record goes to the
//! process that exports spans (python/portico/process/otlp).
//!
//! Runs on the threads of a worker, and in a supervisor for calls of a worker that was killed. A record is one message
//! over a socket, sent at once and without waiting: what finds no room there is lost and counted, and the next record
//! says how many were. Nothing is kept here.

use crate::access_log::field::Wanted;
use crate::access_log::format::Format;
use crate::access_log::record::AccessRecord;
use crate::access_log::repeated::Repeated;
use crate::clock::{self, WallClock};
use crate::datagram::send_over;
use crate::lock::lock;
use crate::log::RateLimited;
use crate::message::inbound::Inbound;
use crate::settings::Settings;
use crate::trace::Trace;
use portico_wire::{Scheme, TraceParent};
use rustix::rand::{GetRandomFlags, getrandom};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// All traces, as a share of 2^64.
const ALL: u64 = u64::MAX;
/// The value of `traceparent_from` by which only reverse proxies say which trace a request is a part of.
const TRUSTED: &str = "trusted";

/// Where spans go, and what they are made from.
pub struct Spans {
    socket: OwnedFd,
    format: Format,
    /// A record, while it is made, and what it has in common with others.
    record: Mutex<(Vec<u8>, Repeated)>,
    wall_clock: WallClock,
    /// Records that found no room, and of which nobody was told.
    lost: AtomicU64,
    /// A trace that begins here is recorded if the lower half of its number is not above this.
    share: u64,
    /// Whether a client that is no reverse proxy of ours says which trace its request is a part of.
    takes_any: bool,
    /// What numbers are made from: of this process alone.
    seeds: [u64; 3],
    count: AtomicU64,
}

impl Spans {
    /// Spans by `settings` that go to `socket`; `variables` are those of the environ that are kept after a call.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(socket: OwnedFd, settings: &Settings, variables: Vec<String>) -> io::Result<Spans> {
        let mut seeds = [0_u64; 3];
        for seed in &mut seeds {
            let mut bytes = [0; 8];
            getrandom(&mut bytes, GetRandomFlags::empty())?;
            *seed = u64::from_ne_bytes(bytes);
        }
        Ok(Spans {
            socket,
            format: Format::of_spans(Wanted(variables, Vec::new())),
            record: Mutex::default(),
            wall_clock: WallClock::default(),
            lost: AtomicU64::new(0),
            share: settings.trace_sample.of(ALL),
            takes_any: settings.traceparent_from != TRUSTED,
            seeds,
            count: AtomicU64::new(0),
        })
    }

    /// Gives a request its span: in its client's trace, if that says of which, and if it may.
    pub fn begin(&self, inbound: &mut Inbound, is_trusted: bool, scheme: Scheme) {
        let trace = self.trace_of(Some(inbound), is_trusted, scheme);
        inbound.trace = Some(Box::new(trace));
    }

    /// The trace of a request, or of what was not understood as one.
    pub fn trace_of(&self, inbound: Option<&Inbound>, is_trusted: bool, scheme: Scheme) -> Trace {
        let theirs = inbound
            .filter(|_| self.takes_any || is_trusted)
            .and_then(|inbound| TraceParent::read_only(inbound.headers("traceparent")));
        let [high, low, span] = self.numbers();
        let span_id = span.to_be_bytes();
        if let Some(TraceParent { trace_id, parent_id, flags }) = theirs {
            let own = TraceParent { trace_id, parent_id: span_id, flags };
            return Trace { own, parent_id: Some(parent_id), has_state: true, scheme };
        }
        let trace_id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        // As the samplers of OpenTelemetry do: two servers that keep a tenth of traces keep the same ones.
        let is_sampled = self.share == ALL || low < self.share;
        let flags = if is_sampled { TraceParent::SAMPLED } else { 0 };
        let own = TraceParent { trace_id, parent_id: span_id, flags };
        Trace { own, parent_id: None, has_state: false, scheme }
    }

    /// Three random numbers, none of which is zero.
    fn numbers(&self) -> [u64; 3] {
        let count = self.count.fetch_add(1, Relaxed);
        // splitmix64 of a counter, by three seeds: each number comes once in 2^64.
        self.seeds.map(|seed| mixed(seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15))).max(1))
    }

    /// Sends the span of `record`, which has ended now, if it is to be recorded.
    pub fn end(&self, record: &AccessRecord<'_>) {
        if record.trace.is_some_and(|trace| trace.own.is_sampled()) {
            self.send(record);
        }
    }

    fn send(&self, record: &AccessRecord<'_>) {
        static RATE: RateLimited = RateLimited::new();
        let wall_ns = record.ended_ns.map_or_else(clock::wall_ns, |ended_ns| self.wall_clock.at(ended_ns));
        let lost = self.lost.load(Relaxed);
        let mut buffer = lock(&self.record);
        let (message, repeated) = &mut *buffer;
        message.clear();
        self.format.push(message, record, wall_ns, repeated, true);
        if lost > 0 && message.pop().is_some() {
            // Writing to a Vec cannot fail.
            let _ = write!(message, ",\"lost\":{lost}}}");
        }
        let sent = send_over(&self.socket, message);
        drop(buffer);
        match sent {
            Ok(()) => {
                self.lost.fetch_sub(lost, Relaxed);
            }
            Err(why) => {
                self.lost.fetch_add(1, Relaxed);
                RATE.warn(|| format!("the process that exports spans takes none at the moment ({why}): some are lost"));
            }
        }
    }
}

/// splitmix64: a permutation of 64 bits.
fn mixed(mut number: u64) -> u64 {
    number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
