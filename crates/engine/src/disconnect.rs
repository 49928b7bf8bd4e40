//! The disconnect watcher: tells of clients that leave while the application works for them.
//!
//! One plain thread, started with the first connection to watch, waits with epoll(7) for clients that close or
//! half-close. It needs neither the interpreter nor anybody who drives I/O, so it works while every thread is inside
//! the application, and for connections that were never registered with the reactor. Not poll(2): that holds on to the
//! sockets it waits for, and one that is closed meanwhile would send its last bytes only after it.

use crate::lock::lock;
use crate::log::{Level, log};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Disconnects learned of in one system call.
const BURST: usize = 32;
/// The token of `WatcherThread::wake`; those of watches begin with 1.
const WAKE: u64 = 0;

/// Whoever wants to know.
pub trait DisconnectListener: Send + Sync {
    /// The client of the watch with this `token` has left. Called on the watcher's thread, with nothing locked.
    fn on_disconnect(self: Arc<Self>, token: u64);
}

/// The watcher of one server.
#[derive(Default)]
pub struct DisconnectWatcher(Mutex<Life>);

/// Whether there is a thread.
#[derive(Default)]
enum Life {
    /// None is needed yet.
    #[default]
    Unstarted,
    Running(Arc<WatcherThread>),
    /// None is started any more.
    Stopped,
}

/// The watcher's thread, and what it shares with those who want to know.
struct WatcherThread {
    epoll: OwnedFd,
    /// An eventfd that says that a listener is due to be called, or that the thread is to end.
    wake: OwnedFd,
    watches: Mutex<Watches>,
    activity: Mutex<Activity>,
    call_ended: Condvar,
}

#[derive(Default)]
struct Watches {
    last_token: u64,
    listeners: HashMap<u64, Arc<dyn DisconnectListener>>,
    /// Listeners to be called without any connection.
    due: Vec<Arc<dyn DisconnectListener>>,
}

/// What the thread does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Activity {
    Waiting,
    Telling,
    /// It is to end, once the listener that it tells has returned.
    TellingLast,
    /// It tells nobody any more.
    Stopped,
}

impl DisconnectWatcher {
    /// Watches `socket` for `listener`, or arms an earlier watch again; `on_disconnect` is called once, soon if the
    /// client is gone already. Returns the watch's token, to be given to `forget` before the response ends.
    ///
    /// # Errors
    /// No descriptor, no thread, or no memory.
    pub fn watch(
        &self,
        socket: &impl AsFd,
        token: Option<u64>,
        listener: &Arc<impl DisconnectListener + 'static>,
    ) -> io::Result<u64> {
        let thread = self.thread()?;
        let token = token.unwrap_or_else(|| {
            let mut watches = lock(&thread.watches);
            watches.last_token += 1;
            let token = watches.last_token;
            watches.listeners.insert(token, listener.clone());
            token
        });
        // One shot: what the kernel tells once it would tell for ever, until the socket is closed.
        let flags = EventFlags::RDHUP | EventFlags::ONESHOT;
        let data = EventData::new_u64(token);
        let added = match epoll::add(&thread.epoll, socket, data, flags) {
            Err(Errno::EXIST) => epoll::modify(&thread.epoll, socket, data, flags),
            added => added,
        };
        added.map(|()| token).map_err(|error| {
            lock(&thread.watches).listeners.remove(&token);
            error.into()
        })
    }

    /// Ends a watch. A listener that is being told meanwhile learns from its token that this has come too late.
    pub fn forget(&self, socket: Option<&impl AsFd>, token: u64) {
        let Some(thread) = self.running() else { return };
        lock(&thread.watches).listeners.remove(&token);
        if let Some(socket) = socket {
            // Without a socket the kernel has forgotten it already.
            let _ = epoll::delete(&thread.epoll, socket);
        }
    }

    /// Tells `listener`, with the token 0, whose client was found to be gone elsewhere. It has watched before.
    pub fn tell(&self, listener: Arc<dyn DisconnectListener>) {
        let Some(thread) = self.running() else { return };
        lock(&thread.watches).due.push(listener);
        thread.wake();
    }

    /// Tells nobody from now on, and ends the thread; true if nobody is being told any more, after at most `patience`.
    pub fn stop(&self, patience: Duration) -> bool {
        let Life::Running(thread) = std::mem::replace(&mut *lock(&self.0), Life::Stopped) else { return true };
        let mut activity = lock(&thread.activity);
        *activity = if *activity == Activity::Telling { Activity::TellingLast } else { Activity::Stopped };
        thread.wake();
        let is_telling = |activity: &mut Activity| *activity == Activity::TellingLast;
        let waited = thread.call_ended.wait_timeout_while(activity, patience, is_telling);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == Activity::Stopped
    }

    fn thread(&self) -> io::Result<Arc<WatcherThread>> {
        let mut life = lock(&self.0);
        match &*life {
            Life::Running(thread) => Ok(thread.clone()),
            // A call that has outlived its server: nobody would end the thread.
            Life::Stopped => Err(io::Error::other("the server has ended")),
            Life::Unstarted => {
                let started = WatcherThread::start()?;
                *life = Life::Running(started.clone());
                Ok(started)
            }
        }
    }

    fn running(&self) -> Option<Arc<WatcherThread>> {
        if let Life::Running(thread) = &*lock(&self.0) { Some(thread.clone()) } else { None }
    }
}

impl WatcherThread {
    fn start() -> io::Result<Arc<WatcherThread>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let thread = Arc::new(WatcherThread {
            epoll,
            wake,
            watches: Mutex::default(),
            activity: Mutex::new(Activity::Waiting),
            call_ended: Condvar::new(),
        });
        let there = thread.clone();
        std::thread::Builder::new().name("portico-leave".into()).spawn(move || there.run())?;
        Ok(thread)
    }

    fn wake(&self) {
        // Fails only where the counter is full: then the thread is awake already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(BURST);
        while *lock(&self.activity) != Activity::Stopped {
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
                for listener in self.listeners(token) {
                    self.tell(listener, token);
                }
            }
        }
    }

    /// The listeners of the event with this `token`.
    fn listeners(&self, token: u64) -> Vec<Arc<dyn DisconnectListener>> {
        if token == WAKE {
            let _ = rustix::io::read(&self.wake, &mut [0; 8]);
            return std::mem::take(&mut lock(&self.watches).due);
        }
        lock(&self.watches).listeners.get(&token).cloned().into_iter().collect()
    }

    /// Tells one listener, unless that has been stopped.
    fn tell(&self, listener: Arc<dyn DisconnectListener>, token: u64) {
        let mut activity = lock(&self.activity);
        if *activity != Activity::Waiting {
            return;
        }
        *activity = Activity::Telling;
        drop(activity);
        listener.on_disconnect(token);
        let mut activity = lock(&self.activity);
        *activity = if *activity == Activity::Telling { Activity::Waiting } else { Activity::Stopped };
        drop(activity);
        self.call_ended.notify_all();
    }
}
