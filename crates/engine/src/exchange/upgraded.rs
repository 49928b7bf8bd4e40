//! An upgrade that the application makes itself, as servers with threads let it: it has a socket of its own, one end of a
//! pair, and what it writes there goes to the client as it is. This is what its call and the task that carries the bytes
//! (`protocol/upgrade`) know of each other; the client's socket stays the engine's, with all that was read ahead.
//!
//! ```text
//!              the application has written
//!   Offered ---------------------------------> Taken
//!       |
//!       '------its response begins, or its call ends without one-----> Declined
//! ```
//!
//! From `Taken` on the call's time stands still, as that of a call that waits for its client does.

use crate::connection::exchange::{Ending, Spoken, Upgrade};
use crate::connection::socket::Socket;
use crate::lock::lock;
use crate::log::RateLimited;
use crate::resources::Resources;
use crate::scoreboard::SWITCHING_PROTOCOLS;
use crate::upstream::link::Link;
use memchr::memmem;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::Notify;

/// Where in a status line the status is (RFC 9112 4).
const STATUS: std::ops::Range<usize> = 9..12;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Offered,
    Taken,
    Declined,
}

/// The upgrade.
pub struct Upgraded {
    resources: Arc<Resources>,
    state: Mutex<State>,
    /// Our end of the pair, once the call has the other.
    link: OnceLock<Link>,
    /// The call's.
    cell: AtomicUsize,
    /// Told when there is a pair.
    opened: Notify,
    spoken: Mutex<Spoken>,
    /// Whether all that the application had to say has left, or cannot.
    is_all_sent: AtomicBool,
    all_sent: Notify,
}

impl Upgraded {
    /// One that a client has asked for.
    pub fn new(resources: &Arc<Resources>) -> Upgraded {
        Upgraded {
            resources: resources.clone(),
            state: Mutex::new(State::Offered),
            link: OnceLock::new(),
            cell: AtomicUsize::new(0),
            opened: Notify::const_new(),
            spoken: Mutex::default(),
            is_all_sent: AtomicBool::new(false),
            all_sent: Notify::const_new(),
        }
    }

    /// Waits until the application has written to its socket; for ever if it never does. Returns our end.
    pub async fn taken(&self) -> &Link {
        loop {
            if let (Some(link), Some(socket)) = (self.link.get(), self.socket()) {
                if matches!(socket.wait_unread().await, Ok(true)) && self.settle(State::Taken) == State::Taken {
                    return link;
                }
                // Nobody is going to read it.
                socket.abort();
                return pending().await;
            }
            self.opened.notified().await;
        }
    }

    /// The call's time stands still from now on.
    pub fn begin(&self) {
        static RATE: RateLimited = RateLimited::new();
        let (slot, cell) = (&self.resources.slot, self.cell.load(Relaxed));
        slot.head_made(cell, SWITCHING_PROTOCOLS, None);
        slot.call_rests(cell);
        let threads = self.resources.settings.most_calls();
        if slot.calls().iter().filter(|call| call.is_web_socket).count() >= threads {
            RATE.warn(|| {
                format!("web sockets hold all threads of this worker ({threads}): other requests wait for one of them")
            });
        }
    }

    /// The application has written these bytes.
    pub fn sends(&self, bytes: &[u8]) {
        let mut spoken = lock(&self.spoken);
        let mut after_head = bytes;
        if spoken.status == 0 {
            let status = bytes.get(STATUS).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
            spoken.status = status.unwrap_or(SWITCHING_PROTOCOLS);
            let head_bytes = memmem::find(bytes, END_OF_HEAD).map_or(0, |end| end + END_OF_HEAD.len());
            let (head, rest) = bytes.split_at(head_bytes);
            spoken.head = head.to_vec();
            after_head = rest;
        }
        spoken.body_bytes += after_head.len() as u64;
        self.resources.slot.block_left(self.cell.load(Relaxed), spoken.body_bytes);
    }

    /// The client has sent so many bytes.
    pub fn receives(&self, bytes: usize) {
        lock(&self.spoken).received_bytes += bytes as u64;
    }

    /// All that the application had to say has left.
    pub fn has_sent_all(&self) {
        self.is_all_sent.store(true, Release);
        self.all_sent.notify_one();
    }

    /// Nothing is carried any more: the application finds its socket closed, if it still has it.
    pub fn end(&self) {
        self.close();
        self.has_sent_all();
    }

    fn socket(&self) -> Option<&Socket> {
        match self.link.get()? {
            Link::Plain(socket) => Some(socket),
            Link::Tls(_) => None,
        }
    }

    /// Goes on to `next` if nothing is settled yet; returns the state.
    fn settle(&self, next: State) -> State {
        let mut state = lock(&self.state);
        if *state == State::Offered {
            *state = next;
        }
        *state
    }

    async fn wait_all_sent(&self) {
        while !self.is_all_sent.load(Acquire) {
            self.all_sent.notified().await;
        }
    }
}

impl Upgrade for Upgraded {
    fn open(&self, cell: usize) -> io::Result<OwnedFd> {
        let (here, there) = Socket::pair()?;
        self.cell.store(cell, Relaxed);
        if self.link.set(Link::Plain(here)).is_err() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.opened.notify_one();
        Ok(there)
    }

    fn is_taken(&self) -> bool {
        let Some(socket) = self.socket() else { return false };
        // In this order: who takes bytes out of the pair has settled it before.
        let next = if socket.has_unread() { State::Taken } else { State::Declined };
        let is_taken = self.settle(next) == State::Taken;
        if !is_taken {
            socket.abort();
        }
        is_taken
    }

    fn end_call(&self) -> Option<Ending<'_>> {
        if !self.is_taken() {
            return None;
        }
        if let Some(socket) = self.socket() {
            // What it has written is carried, and then the end.
            socket.end_receiving();
        }
        Some(Box::pin(async {
            self.wait_all_sent().await;
            lock(&self.spoken).clone()
        }))
    }

    fn close(&self) {
        if let Some(socket) = self.socket() {
            socket.abort();
        }
    }
}
