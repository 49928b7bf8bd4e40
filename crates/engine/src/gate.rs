//! Who is asked before each connection is accepted, where somebody is: whoever may want to replace this server before it
//! takes another request. What is not let in stays in the kernel's queue, for the next server that accepts there.
//!
//! A byte asks, a byte lets one connection in. There is no byte for a no: whoever does not let it in has the server
//! drain. Only as many are let in as there are threads to call for them, so that none waits behind a call that may
//! never end.

use crate::descriptor;
use crate::timer::sleep;
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, MutexGuard};

/// Between two looks whether a thread is free: a part of how long that has taken already.
const LOOK_SHARE: u32 = 8;
const LOOK_SOONEST: Duration = Duration::from_millis(1);
const LOOK_LATEST: Duration = Duration::from_millis(20);

/// The way in.
pub struct Gate {
    /// The socket to who is asked; whoever has the lock is the next to come in.
    keeper: Mutex<AsyncFd<OwnedFd>>,
}

/// The right to accept one connection. The next is asked for once this is dropped.
#[must_use]
pub struct Passage<'a> {
    _keeper: MutexGuard<'a, AsyncFd<OwnedFd>>,
}

impl Gate {
    /// Asks whoever is at the other end of `keeper`. To be called in the runtime.
    ///
    /// # Errors
    /// It cannot be registered with the reactor.
    pub fn new(keeper: OwnedFd) -> io::Result<Gate> {
        rustix::io::ioctl_fionbio(&keeper, true)?;
        Ok(Gate { keeper: Mutex::new(descriptor::watch_owned(keeper, Interest::READABLE)?) })
    }

    /// Waits until the connection that waits may come in, and a thread is free for it (`has_thread`).
    pub async fn pass(&self, has_thread: impl Fn() -> bool) -> Passage<'_> {
        let keeper = self.keeper.lock().await;
        loop {
            wait_for(&has_thread).await;
            ask(&keeper).await;
            // A request of before, of which something was still on its way, may have come in.
            if has_thread() {
                return Passage { _keeper: keeper };
            }
        }
    }
}

async fn wait_for(has_thread: &impl Fn() -> bool) {
    let began = Instant::now();
    while !has_thread() {
        sleep((began.elapsed() / LOOK_SHARE).clamp(LOOK_SOONEST, LOOK_LATEST)).await;
    }
}

/// Waits for a yes; for ever, if there is none.
async fn ask(keeper: &AsyncFd<OwnedFd>) {
    // Where there is no room, or nobody, no byte comes back.
    let _ = rustix::io::write(keeper.get_ref(), b"?");
    while let Ok(mut ready) = keeper.readable().await {
        match rustix::io::read(keeper.get_ref(), &mut [0; 1]) {
            Ok(1) => return,
            Err(Errno::AGAIN | Errno::INTR) => ready.clear_ready(),
            Ok(_) | Err(_) => break,
        }
    }
    std::future::pending::<()>().await;
}
