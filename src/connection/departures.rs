//! Tells of clients that leave while the application works for them.
//!
//! One plain thread, started with the first connection to watch, waits with epoll(7) for clients that close or
//! half-close. It needs neither the interpreter nor anybody who drives I/O, so it works while every crew thread is
//! inside the application, and for connections that were never registered with the reactor. Not poll(2): that holds
//! on to the sockets it waits for, and one that is closed meanwhile would send its last bytes only after it.

use super::Connection;
use crate::engine::lock;
use crate::error_log::{Level, log};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Departures learned of in one system call.
const BURST: usize = 32;

/// Whoever wants to know.
pub trait Witness: Send + Sync {
    /// The client of the watch with this `token` has left. Called on the thread of departures, with nothing locked.
    fn departed(&self, token: u64);
}

/// One for each process, made when it is first needed.
static DEPARTURES: Mutex<Option<Arc<Departures>>> = Mutex::new(None);

struct Departures {
    epoll: OwnedFd,
    /// An eventfd that says that somebody is due to be told.
    wake: OwnedFd,
    watches: Mutex<Watches>,
    calls: Mutex<Calls>,
    call_ended: Condvar,
}

#[derive(Default)]
struct Watches {
    /// Tokens begin with 1; 0 is `wake`.
    last_token: u64,
    witnesses: HashMap<u64, Arc<dyn Witness>>,
    /// To be told without any connection.
    due: Vec<Arc<dyn Witness>>,
}

/// Whether a witness is being told, or none will be any more.
#[derive(Default)]
struct Calls {
    is_telling: bool,
    is_stopped: bool,
}

/// Watches `connection` for `witness`, or arms an earlier watch again; `departed` is called once, soon if the client
/// is gone already. Returns the watch's token, to be given to `forget` before the connection's answer ends.
///
/// # Errors
/// No descriptor, no thread, or no memory.
pub fn watch(connection: &Connection, token: Option<u64>, witness: &Arc<impl Witness + 'static>) -> io::Result<u64> {
    let departures = Departures::get()?;
    let token = token.unwrap_or_else(|| {
        let mut watches = lock(&departures.watches);
        watches.last_token += 1;
        let token = watches.last_token;
        watches.witnesses.insert(token, witness.clone());
        token
    });
    // One shot: what the kernel tells once it would tell for ever, until the socket is closed.
    let flags = EventFlags::RDHUP | EventFlags::ONESHOT;
    let data = EventData::new_u64(token);
    let added = match epoll::add(&departures.epoll, &connection.socket, data, flags) {
        Err(Errno::EXIST) => epoll::modify(&departures.epoll, &connection.socket, data, flags),
        added => added,
    };
    added.map(|()| token).map_err(|error| {
        lock(&departures.watches).witnesses.remove(&token);
        error.into()
    })
}

/// Ends a watch. A witness that is being told meanwhile learns from its token that this has come too late.
pub fn forget(connection: Option<&Connection>, token: u64) {
    let Some(departures) = lock(&DEPARTURES).clone() else { return };
    lock(&departures.watches).witnesses.remove(&token);
    if let Some(connection) = connection {
        // Without a connection the kernel has forgotten it already.
        let _ = epoll::delete(&departures.epoll, &connection.socket);
    }
}

/// Tells `witness`, with the token 0, whose client was found to be gone elsewhere. It has watched before.
pub fn tell(witness: Arc<dyn Witness>) {
    let Some(departures) = lock(&DEPARTURES).clone() else { return };
    lock(&departures.watches).due.push(witness);
    // Fails only where the counter is full: then the thread is awake already.
    let _ = rustix::io::write(&departures.wake, &1u64.to_ne_bytes());
}

/// Tells nobody from now on; true if nobody is being told any more, after at most `patience`.
pub fn stop(patience: Duration) -> bool {
    let Some(departures) = lock(&DEPARTURES).clone() else { return true };
    let mut calls = lock(&departures.calls);
    calls.is_stopped = true;
    let waited = departures.call_ended.wait_timeout_while(calls, patience, |calls| calls.is_telling);
    !waited.unwrap_or_else(PoisonError::into_inner).0.is_telling
}

impl Departures {
    fn get() -> io::Result<Arc<Departures>> {
        let mut departures = lock(&DEPARTURES);
        if let Some(departures) = &*departures {
            return Ok(departures.clone());
        }
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(0), EventFlags::IN)?;
        let started = Arc::new(Departures {
            epoll,
            wake,
            watches: Mutex::default(),
            calls: Mutex::default(),
            call_ended: Condvar::new(),
        });
        let there = started.clone();
        std::thread::Builder::new().name("portico-departures".into()).spawn(move || there.run())?;
        *departures = Some(started.clone());
        Ok(started)
    }

    /// The thread's life, which ends with the process.
    fn run(&self) {
        let mut events = Vec::with_capacity(BURST);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    log(Level::Critical, &format!("cannot wait for clients that leave: {error}"));
                    return;
                }
            }
            for event in &events {
                let token = event.data.u64();
                if token == 0 {
                    let _ = rustix::io::read(&self.wake, &mut [0; 8]);
                    let due = std::mem::take(&mut lock(&self.watches).due);
                    for witness in due {
                        self.tell(&*witness, 0);
                    }
                    continue;
                }
                let witness = lock(&self.watches).witnesses.get(&token).cloned();
                if let Some(witness) = witness {
                    self.tell(&*witness, token);
                }
            }
        }
    }

    /// Tells one witness, unless that has been stopped.
    fn tell(&self, witness: &dyn Witness, token: u64) {
        let mut calls = lock(&self.calls);
        if calls.is_stopped {
            return;
        }
        calls.is_telling = true;
        drop(calls);
        witness.departed(token);
        lock(&self.calls).is_telling = false;
        self.call_ended.notify_all();
    }
}
