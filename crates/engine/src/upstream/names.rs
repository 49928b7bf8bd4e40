//! Members that are known by a name: the addresses that the name has, looked up at the start and again in time, on a plain
//! thread, since getaddrinfo(3) waits. One thread for a server; none where all members are addresses.
//!
//! An address that a name has no more is drained, a new one is a member at once. Where a name cannot be looked up, those
//! that it had stay. How long an answer of the DNS is valid (its TTL) getaddrinfo does not tell: so the interval is a
//! setting.

use super::address::HostPort;
use super::group::Upstream;
use crate::log::{Level, RateLimited, log};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a start waits for the first addresses: a server whose names cannot be looked up serves all the same.
pub const FIRST_LOOK: Duration = Duration::from_secs(3);

/// The thread, which ends some time after this was dropped: it may be waiting for an answer.
pub struct NameThread(#[expect(dead_code, reason = "its end is what is told")] mpsc::Sender<()>);

/// A name of an upstream.
struct Named {
    upstream: Weak<Upstream>,
    name: HostPort,
    due: Instant,
}

/// Begins to look up the names of `upstreams`, if there are any; what is received says that each has been, once.
pub fn follow(upstreams: &[Arc<Upstream>]) -> Option<(NameThread, oneshot::Receiver<()>)> {
    let now = Instant::now();
    let named: Vec<Named> = upstreams
        .iter()
        .flat_map(|upstream| {
            let names = upstream.terms.names.iter().cloned();
            names.map(|name| Named { upstream: Arc::downgrade(upstream), name, due: now })
        })
        .collect();
    if named.is_empty() {
        return None;
    }
    let (end, ended) = mpsc::channel();
    let (first, looked_up) = oneshot::channel();
    let started = Builder::new().name("portico-names".into()).spawn(move || look_up(named, &ended, first));
    if let Err(error) = started {
        log(
            Level::Error,
            &format!("cannot start a thread that looks up names: {error}; their upstreams have no members"),
        );
        return None;
    }
    Some((NameThread(end), looked_up))
}

fn look_up(mut named: Vec<Named>, ended: &mpsc::Receiver<()>, first: oneshot::Sender<()>) {
    let mut first = Some(first);
    loop {
        for each in &mut named {
            if each.due <= Instant::now() && !each.look_up() {
                return;
            }
        }
        if let Some(first) = first.take() {
            // Who has waited for it may have had enough.
            let _ = first.send(());
        }
        let Some(next) = named.iter().map(|each| each.due).min() else { return };
        let wait = next.saturating_duration_since(Instant::now());
        if !matches!(ended.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

impl Named {
    /// Looks it up once; false if its upstream is gone.
    fn look_up(&mut self) -> bool {
        static RATE: RateLimited = RateLimited::new();
        let found = self.name.look_up();
        let Some(upstream) = self.upstream.upgrade() else { return false };
        match found {
            Ok(addresses) => upstream.set_addresses(&self.name, &addresses),
            Err(error) => {
                let there = match upstream.members_of(&self.name) {
                    0 => "it has no members".to_owned(),
                    count => format!("going on with the addresses of before: {count}"),
                };
                RATE.warn(|| format!("upstream {}: cannot look up the name: {error}; {there}", self.name));
            }
        }
        self.due = Instant::now() + Duration::from_millis(upstream.terms.resolve_ms);
        true
    }
}
