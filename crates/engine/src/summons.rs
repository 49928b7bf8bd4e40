//! How the thread of an event loop is summoned from others: an eventfd that it watches among its own descriptors, written
//! only where the thread may not come by itself.

use crate::lock::lock;
use crate::scoreboard::SlotRef;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

/// The summons of one thread.
pub struct Summons {
    event: OwnedFd,
    /// Whether the descriptor is readable, and the thread has not looked since.
    is_out: AtomicBool,
    /// The waits that are over.
    woken: Mutex<Vec<u64>>,
    slot: SlotRef,
    /// The thread's own cell of the scoreboard.
    cell: usize,
}

impl Summons {
    /// For a thread that is free. `cell` of the scoreboard, which no call is in, shows since when it has been away from
    /// what there is to do: as one that waits for the interpreter, which is what the calls do meanwhile.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn new(slot: SlotRef, cell: usize) -> io::Result<Arc<Summons>> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Summons { event, is_out: AtomicBool::new(false), woken: Mutex::default(), slot, cell }))
    }

    /// What the thread has to watch: readable while it is summoned.
    pub fn descriptor(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Summons the thread.
    pub fn send(&self) {
        if !self.is_out.swap(true, SeqCst) {
            if !self.slot.is_loop_away() {
                // Since now it has something to do, whatever it does instead.
                self.stay();
            }
            // Fails only where the counter is full: then it is readable.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// The thread has come; returns which waits are over. To be followed by a look at all else that there may be to do.
    pub fn follow(&self) -> Vec<u64> {
        self.stay();
        // Also where nobody seems to have written: who summons may be about to.
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
        // In this order: who summons before that is seen by the looks that follow, who does after it writes once more.
        self.is_out.store(false, SeqCst);
        std::mem::take(&mut *lock(&self.woken))
    }

    /// The thread does something of ours, and nothing else meanwhile.
    pub fn stay(&self) {
        self.slot.waits_for_interpreter(self.cell);
    }

    /// The thread goes back to its other business.
    pub fn leave(&self) {
        if !self.is_out.load(SeqCst) {
            self.slot.has_interpreter(self.cell);
        }
    }

    /// What ends the wait with this `number`, which is never used again.
    pub fn waker(self: &Arc<Self>, number: u64) -> Waker {
        Arc::new(Waiting { number, summons: self.clone() }).into()
    }
}

impl Wake for Summons {
    fn wake(self: Arc<Self>) {
        self.send();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.send();
    }
}

/// A wait of one call on the thread.
struct Waiting {
    number: u64,
    summons: Arc<Summons>,
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        lock(&self.summons.woken).push(self.number);
        self.summons.send();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::clock;
    use crate::scoreboard::Mapping;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn summons() -> Arc<Summons> {
        let slot = SlotRef::new(&Mapping::new(1).unwrap(), 0).unwrap();
        slot.set_threads(4);
        Summons::new(slot, 4).unwrap()
    }

    fn is_out(summons: &Summons) -> bool {
        let mut descriptors = [PollFd::new(&summons.event, PollFlags::IN)];
        poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
    }

    #[test]
    fn a_thread_is_summoned_until_it_has_looked() {
        let summons = summons();
        assert!(!is_out(&summons));
        summons.send();
        summons.send();
        assert!(is_out(&summons));
        assert!(summons.follow().is_empty());
        assert!(!is_out(&summons));
        summons.send();
        assert!(is_out(&summons));
    }

    #[test]
    fn it_has_been_away_since_it_went_whatever_comes_meanwhile() {
        let summons = summons();
        let away_ns = || summons.slot.waiting_ns(u64::MAX / 4);
        summons.stay();
        let (since, began_ms) = (away_ns(), clock::coarse_ms());
        while clock::coarse_ms() < began_ms + 10 {
            std::hint::spin_loop();
        }
        summons.send();
        assert_eq!(away_ns(), since);
        summons.follow();
        assert!(away_ns() < since);
        summons.leave();
        assert_eq!(away_ns(), 0);
    }

    #[test]
    fn it_learns_which_waits_are_over() {
        let summons = summons();
        let wakers = [summons.waker(7), summons.waker(8)];
        wakers.iter().for_each(Waker::wake_by_ref);
        assert!(is_out(&summons));
        assert_eq!(summons.follow(), [7, 8]);
        assert!(summons.follow().is_empty());
    }

    #[test]
    fn none_is_lost_while_the_thread_looks() {
        let summons = summons();
        let there = summons.clone();
        let thread = std::thread::spawn(move || (0..10_000).for_each(|number| there.waker(number).wake()));
        let mut woken = Vec::new();
        while woken.len() < 10_000 {
            let mut descriptors = [PollFd::new(&summons.event, PollFlags::IN)];
            // One that is lost would make this wait for ever.
            poll(&mut descriptors, None).unwrap();
            woken.extend(summons.follow());
        }
        thread.join().unwrap();
        assert_eq!(woken, (0..10_000).collect::<Vec<_>>());
    }
}
