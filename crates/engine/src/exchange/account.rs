//! The account of a request: what is counted and logged once it has ended, however that was.

use crate::access_log::header_names::HeaderNames;
use crate::access_log::record::{AccessRecord, Keeper, ServedBy};
use crate::access_log::request_line::RequestLine;
use crate::call_times::CallTimes;
use crate::durations::{Counter, Key};
use crate::lock::lock;
use crate::message::inbound::Inbound;
use crate::resources::Resources;
use crate::scoreboard::{Slot, UnfinishedCall};
use portico_wire::Scheme;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes of a request line in the access log, where the request was not understood.
pub const LINE_BYTES: usize = 256;

/// Settles a request whose call is not waited for: counts it, and writes what of it is known to the access log, with
/// the cause.
pub fn settle_unfinished(call: &UnfinishedCall, cause: &str, resources: &Arc<Resources>) {
    count_unfinished(call, &resources.slot, &mut lock(&resources.durations_counter));
    resources.log_access(&AccessRecord {
        client: call.client,
        request_line: RequestLine::of(&call.request_line),
        request: None,
        header_names: HeaderNames::default(),
        status: call.status,
        body_bytes: call.body_bytes,
        duration_ns: call.duration_ns,
        ended_ns: None,
        call: Some(call.times),
        said: None,
        trace: call.trace.as_ref(),
        served_by: ServedBy {
            worker: resources.slot.number(),
            process: resources.account_terms.process,
            ..ServedBy::default()
        },
        cause: Some(cause),
    });
}

/// Counts a call that has not ended and never will, in the slot that it is in.
pub fn count_unfinished(call: &UnfinishedCall, slot: &Slot, counter: &mut Counter) {
    if !call.is_counted {
        count(slot, call.status, call.body_bytes);
    }
    if let Some(durations) = slot.durations().filter(|_| !call.is_measured) {
        let application = &durations.application(call.application);
        // What its framework has found is with a thread that is not waited for, or is no more.
        let key = Key { application, method: &call.method, route: b"", status: call.status };
        durations.count_call(counter, &key, call.duration_ns, &call.times);
    }
}

fn count(slot: &Slot, status: u16, body_bytes: u64) {
    slot.requests.fetch_add(1, Relaxed);
    slot.bytes_sent.fetch_add(body_bytes, Relaxed);
    if status >= 500 {
        slot.errors.fetch_add(1, Relaxed);
    }
}

/// A request that has ended.
pub struct Account<'a> {
    /// Who has sent it, as far as the connection knows.
    pub client: Option<SocketAddr>,
    /// The request as far as it came.
    pub inbound: Option<&'a Inbound>,
    /// Whether its head was understood.
    pub has_head: bool,
    /// The status sent; 0 if there was none.
    pub status: u16,
    /// Bytes of the response's body.
    pub body_bytes: u64,
    /// How long it has taken.
    pub duration_ns: u64,
    /// The call of the application, if there was one.
    pub call: Option<OfCall>,
    /// What was kept of the response and of the application.
    pub said: Option<&'a Keeper>,
}

/// What an account has of a call.
#[derive(Clone, Copy)]
pub struct OfCall {
    /// Which of the server's applications was called.
    pub application: usize,
    /// On which thread.
    pub thread: usize,
    /// When it had ended, monotonic nanoseconds.
    pub ended_ns: u64,
    /// Where its time has gone.
    pub times: CallTimes,
}

impl Account<'_> {
    /// Counts the request, and writes it to the access log if there is one.
    pub fn settle(&self, resources: &Arc<Resources>) {
        self.settle_as(resources, "");
    }

    /// As `settle`; durations of what no application of this server was called for are counted as those of `others`.
    #[inline]
    pub fn settle_as(&self, resources: &Arc<Resources>, others: &str) {
        count(&resources.slot, self.status, self.body_bytes);
        if let Some(call) = &self.call {
            resources.slot.note_counted(call.thread);
        }
        let durations = resources.slot.durations();
        if durations.is_none() && !resources.account_terms.is_recorded {
            return;
        }
        let request = self.inbound.filter(|_| self.has_head);
        let said = self.said.map(|said| lock(said));
        let application = self.call.map_or("", |call| resources.account_terms.application(call.application));
        if let Some(durations) = durations {
            let method = request.map_or(&[][..], |request| request.head.method.of(request.bytes()));
            let route = resources.account_terms.route(said.as_deref());
            let application = if self.call.is_some() { application } else { others };
            let key = Key { application, method, route, status: self.status };
            let counter = &mut lock(&resources.durations_counter);
            match &self.call {
                Some(OfCall { times, thread, .. }) => {
                    durations.count_call(counter, &key, self.duration_ns, times);
                    resources.slot.note_measured(*thread);
                }
                None => durations.count(counter, &key, self.duration_ns),
            }
        }
        if !resources.account_terms.is_recorded {
            return;
        }
        let begun_now;
        let trace = match (request.and_then(|request| request.trace.as_deref()), &resources.spans) {
            (Some(trace), _) => Some(trace),
            (None, None) => None,
            // Nobody has handed it on.
            (None, Some(spans)) => {
                begun_now = spans.trace_of(request, false, Scheme::Http);
                Some(&begun_now)
            }
        };
        let line = self.request_line();
        resources.log_access(&AccessRecord {
            client: request
                .map_or_else(|| self.client.map(|client| client.ip()), |request| request.client(self.client).0),
            request_line: match request.filter(|request| request.gateway().is_none()) {
                Some(request) => RequestLine::understood(&line, request.head.method.len()),
                None => RequestLine::of(&line),
            },
            request,
            header_names: HeaderNames::default(),
            status: self.status,
            body_bytes: self.body_bytes,
            duration_ns: self.duration_ns,
            ended_ns: self.call.map(|call| call.ended_ns),
            call: self.call.map(|call| call.times),
            said: said.as_deref(),
            trace,
            served_by: ServedBy {
                worker: resources.slot.number(),
                process: resources.account_terms.process,
                thread: self.call.map(|call| call.thread),
                application,
            },
            cause: None,
        });
    }

    /// The request line, or what came in its place.
    pub fn request_line(&self) -> Cow<'_, [u8]> {
        match self.inbound {
            Some(request) if self.has_head => request.request_line(),
            Some(inbound) => inbound.first_line(LINE_BYTES).into(),
            None => (&[][..]).into(),
        }
    }
}
