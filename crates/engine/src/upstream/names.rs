//! Members that are known by a name: the addresses that the name has, looked up at the start and again in time, on a plain
//! thread, since getaddrinfo(3) waits. One thread for a server; none where all members are addresses.
//!
//! An address that a name has no more is drained, a new one is a member at once. Where a name cannot be looked up, those
//! that it had stay. How long an answer of the DNS is valid (its TTL) getaddrinfo does not tell: so the interval is a
//! setting.

use super::address::HostPort;
use super::group::Upstream;
use crate::lock::lock;
use crate::log::{Level, RateLimited, log};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::Builder;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a start waits for the first addresses: a server whose names cannot be looked up serves all the same.
pub const FIRST_LOOK: Duration = Duration::from_secs(3);

/// How long the thread sleeps while there is no name to look up.
const REST: Duration = Duration::from_secs(3600);

/// The names of a server. The thread that looks them up, if there is one, ends some time after this was dropped: it may be
/// waiting for an answer.
#[derive(Default)]
pub struct Names(Arc<Shared>);

/// What the thread and the server share.
#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

/// What the thread has to do beside, and has not taken yet.
#[derive(Default)]
struct Inbox {
    /// Look these up, too.
    named: Vec<Named>,
    /// Say when all was looked up once.
    first: Option<oneshot::Sender<()>>,
    is_running: bool,
    is_over: bool,
}

/// A name of an upstream.
struct Named {
    upstream: Weak<Upstream>,
    name: HostPort,
    due: Instant,
}

/// What a look-up has shown of its upstream.
#[derive(PartialEq, Eq)]
enum Asked {
    /// It asks for the name.
    Still,
    /// It does not, or is gone.
    NoLonger,
}

impl Names {
    /// Begins to look up the names of `upstreams`, if there are any; what is received says that each has been, once.
    pub fn follow_all(&self, upstreams: &[Arc<Upstream>]) -> Option<oneshot::Receiver<()>> {
        for upstream in upstreams {
            for name in upstream.names() {
                self.follow(upstream, name);
            }
        }
        let mut inbox = lock(&self.0.inbox);
        if !inbox.is_running {
            return None;
        }
        let (first, looked_up) = oneshot::channel();
        inbox.first = Some(first);
        self.0.changed.notify_one();
        Some(looked_up)
    }

    /// Looks up a name of `upstream` from now on.
    pub fn follow(&self, upstream: &Arc<Upstream>, name: HostPort) {
        let mut inbox = lock(&self.0.inbox);
        inbox.named.push(Named { upstream: Arc::downgrade(upstream), name, due: Instant::now() });
        if !inbox.is_running {
            inbox.is_running = start(self.0.clone());
        }
        self.0.changed.notify_one();
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        lock(&self.0.inbox).is_over = true;
        self.0.changed.notify_one();
    }
}

fn start(shared: Arc<Shared>) -> bool {
    let started = Builder::new().name("portico-names".into()).spawn(move || look_up(&shared));
    if let Err(error) = &started {
        log(
            Level::Error,
            &format!("cannot start a thread that looks up names: {error}; their upstreams have no members"),
        );
    }
    started.is_ok()
}

fn look_up(shared: &Shared) {
    let mut all: Vec<Named> = Vec::new();
    let mut inbox = lock(&shared.inbox);
    while !inbox.is_over {
        let named = std::mem::take(&mut inbox.named);
        all.retain(|each| !named.iter().any(|other| each.is(other)));
        all.extend(named);
        let first = inbox.first.take();
        drop(inbox);
        all.retain_mut(|each| each.due > Instant::now() || each.look_up() == Asked::Still);
        if let Some(first) = first {
            // Who has waited for it may have had enough.
            let _ = first.send(());
        }
        let wait = all.iter().map(|each| each.due).min().map(|due| due.saturating_duration_since(Instant::now()));
        inbox = lock(&shared.inbox);
        if inbox.named.is_empty() && inbox.first.is_none() && !inbox.is_over {
            let waited = shared.changed.wait_timeout(inbox, wait.unwrap_or(REST));
            inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Named {
    fn is(&self, other: &Named) -> bool {
        self.upstream.ptr_eq(&other.upstream) && self.name == other.name
    }

    /// Looks it up once.
    fn look_up(&mut self) -> Asked {
        static RATE: RateLimited = RateLimited::new();
        let found = self.name.look_up();
        let Some(upstream) = self.upstream.upgrade() else { return Asked::NoLonger };
        match found {
            Ok(addresses) if !upstream.set_addresses(&self.name, &addresses) => return Asked::NoLonger,
            Ok(_) => {}
            Err(_) if !upstream.names().contains(&self.name) => return Asked::NoLonger,
            Err(error) => {
                let there = match upstream.members_of(&self.name) {
                    0 => "it has no members".to_owned(),
                    count => format!("going on with the addresses of before: {count}"),
                };
                RATE.warn(|| format!("upstream {}: cannot look up the name: {error}; {there}", self.name));
            }
        }
        self.due = Instant::now() + upstream.terms.resolve_ms.map_or(REST, Duration::from_millis);
        Asked::Still
    }
}
