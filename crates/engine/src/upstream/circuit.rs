//! Whether a member gets requests, by how the ones before have ended (passive ejection): a table, without a clock.
//!
//! ```text
//!             failures in a row                 back-off is over: one request tries
//!   Closed ----------------------> Open ----------------------------------------------> Trial
//!     ^                             ^  ^                                                 | |
//!     |                             |  +------- it fails: twice the back-off ------------+ |
//!     +-----------------------------+----------- it succeeds ------------------------------+
//! ```
//!
//! A trial that nobody waits for any more leaves `Trial` for an `Open` whose back-off is over.

/// When a member is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitTerms {
    /// Failures in a row that eject it; 0 for never.
    pub max_failures: u32,
    /// The first back-off, in milliseconds; each further one is twice as long.
    pub back_off_ms: u64,
    /// The longest back-off.
    pub max_back_off_ms: u64,
}

/// How a member is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It gets requests.
    Closed {
        /// Failures since the last success.
        failures: u32,
        /// How often it was ejected, less its successes since.
        ejections: u32,
    },
    /// It is ejected.
    Open {
        /// Until then.
        until_ms: u64,
        /// How often, with this one.
        ejections: u32,
    },
    /// It is ejected, but for one request.
    Trial {
        /// How often.
        ejections: u32,
    },
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was given a request.
    Begin,
    /// The request has ended well.
    Success,
    /// The request has failed, and through the member's fault.
    Failure,
    /// The request has ended without telling anything of the member.
    Abandon,
}

impl Default for State {
    fn default() -> State {
        State::Closed { failures: 0, ejections: 0 }
    }
}

impl State {
    /// Whether it may be given a request now.
    pub fn admits(self, now_ms: u64) -> bool {
        match self {
            State::Closed { .. } => true,
            State::Open { until_ms, .. } => now_ms >= until_ms,
            State::Trial { .. } => false,
        }
    }

    /// Whether the request that is being given is a trial, whose end decides.
    pub fn is_trial(self) -> bool {
        matches!(self, State::Trial { .. })
    }
}

/// The state after `event`. Requests that began before an ejection and end after it are not events of `Open` or `Trial`.
pub fn transition(state: State, event: Event, now_ms: u64, terms: CircuitTerms) -> State {
    match (state, event) {
        (State::Open { ejections, .. }, Event::Begin) => State::Trial { ejections },
        (State::Trial { ejections }, Event::Success) => State::Closed { failures: 0, ejections },
        (State::Trial { ejections }, Event::Failure) => open(ejections, now_ms, terms),
        (State::Trial { ejections }, Event::Abandon) => State::Open { until_ms: now_ms, ejections },
        (State::Closed { ejections, .. }, Event::Success) => {
            State::Closed { failures: 0, ejections: ejections.saturating_sub(1) }
        }
        (State::Closed { failures, ejections }, Event::Failure) => {
            let failures = failures.saturating_add(1);
            if terms.max_failures > 0 && failures >= terms.max_failures {
                open(ejections, now_ms, terms)
            } else {
                State::Closed { failures, ejections }
            }
        }
        (state, _) => state,
    }
}

/// Ejected once more.
fn open(ejections: u32, now_ms: u64, terms: CircuitTerms) -> State {
    let times = 1_u64.checked_shl(ejections).unwrap_or(u64::MAX);
    let back_off_ms = terms.back_off_ms.saturating_mul(times).min(terms.max_back_off_ms);
    State::Open { until_ms: now_ms.saturating_add(back_off_ms), ejections: ejections.saturating_add(1) }
}
