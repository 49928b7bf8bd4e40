//! A profile of a server's calls, as far as it needs no interpreter: the order for one, the beat in which samples are
//! taken, and what a thread does at such a moment. Who knows the stacks takes the order (`Taker`).
//!
//! What a thread does is read from /proc/self/task/TID/syscall, which says where it waits, and from schedstat beside it,
//! which says how long it has run: the kernel tells a process both of its own threads.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// More bytes than the conditions that an interpreter waits at for its lock are apart.
const NEAR_BYTES: u64 = 256;
/// As many as one of the two files has.
const FILE_BYTES: usize = 256;
#[cfg(target_arch = "x86_64")]
const FUTEX: u64 = 202;
#[cfg(not(target_arch = "x86_64"))]
const FUTEX: u64 = 98;

/// What is ordered.
pub struct ProfileOrder {
    /// For how long.
    pub seconds: u32,
    /// How often a second.
    pub hz: u32,
    /// At most so many bytes of result.
    pub most_bytes: usize,
    /// The only route that is wanted; empty for all.
    pub route: String,
    /// Where the result goes. Whoever waits for it closes the other end when it is not wanted any more.
    pub reply: OwnedFd,
}

impl ProfileOrder {
    /// Reads the text of an order: seconds, samples a second, bytes and route, with spaces between.
    pub fn read(text: &[u8], reply: OwnedFd) -> Option<ProfileOrder> {
        let text = String::from_utf8_lossy(text);
        let mut parts = text.splitn(4, ' ');
        let (seconds, hz) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok().filter(|hz| *hz > 0)?);
        let most_bytes = parts.next()?.parse().ok()?;
        Some(ProfileOrder { seconds, hz, most_bytes, route: parts.next().unwrap_or_default().into(), reply })
    }
}

/// Who takes such orders: whoever calls the application. Called on the thread that drives I/O, and must not wait.
pub type Taker = Box<dyn Fn(ProfileOrder) + Send + Sync>;

/// The way to that.
#[derive(Default)]
pub struct ProfileOrders(OnceLock<Taker>);

impl ProfileOrders {
    /// Sets who takes them, once.
    pub fn taken_by(&self, taker: Taker) {
        // A second one would be a second server in this one's place.
        let _ = self.0.set(taker);
    }

    /// Hands one over; where nobody takes it, who waits sees the end of the reply.
    pub fn take(&self, order: ProfileOrder) {
        if let Some(taker) = self.0.get() {
            taker(order);
        }
    }
}

/// Sleeps until `until`, or until nobody waits for what `reply` is for: then this is false.
pub fn is_wanted_until(reply: &OwnedFd, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        let mut polled = [PollFd::new(reply, PollFlags::empty())];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) if Instant::now() >= until => return true,
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return false,
            Err(_) => std::thread::sleep(left.min(Duration::from_millis(100))),
        }
    }
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It runs, or would if it got a processor.
    Computes,
    /// It waits for the memory at this address to change: for another thread.
    WaitsAt(u64),
    /// It waits for something else.
    Waits,
    /// The kernel does not tell.
    Unknown,
}

impl Doing {
    /// Reads `running`, `-1 0x.. 0x..` outside of a system call, or its number and arguments.
    fn read(text: &str) -> Doing {
        let mut words = text.split_ascii_whitespace();
        match words.next() {
            Some("running") => Doing::Computes,
            Some(number) => {
                let address = words.next().and_then(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
                match (number.parse::<u64>(), address) {
                    (Ok(FUTEX), Some(address)) => Doing::WaitsAt(address),
                    _ => Doing::Waits,
                }
            }
            None => Doing::Unknown,
        }
    }

    /// Whether it waits where, as was found out before, threads wait for the interpreter.
    pub fn waits_near(self, address: Option<u64>) -> bool {
        matches!((self, address), (Doing::WaitsAt(at), Some(near)) if at.abs_diff(near) < NEAR_BYTES)
    }
}

/// A thread of this process that is looked at again and again.
pub struct WatchedThread {
    syscall: Option<File>,
    schedstat: Option<File>,
    ran_ns: u64,
}

impl WatchedThread {
    /// The thread with this number for the kernel.
    pub fn new(thread_id: u64) -> WatchedThread {
        let open = |name: &str| File::open(format!("/proc/self/task/{thread_id}/{name}")).ok();
        WatchedThread { syscall: open("syscall"), schedstat: open("schedstat"), ran_ns: 0 }
    }

    /// What it does now.
    pub fn look(&self) -> Doing {
        read(self.syscall.as_ref()).map_or(Doing::Unknown, |text| Doing::read(&text))
    }

    /// How long it has run since the last look at that.
    pub fn ran(&mut self) -> Duration {
        let text = read(self.schedstat.as_ref()).unwrap_or_default();
        let ran_ns = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(self.ran_ns);
        Duration::from_nanos(ran_ns - std::mem::replace(&mut self.ran_ns, ran_ns).min(ran_ns))
    }
}

fn read(file: Option<&File>) -> Option<String> {
    let mut bytes = [0; FILE_BYTES];
    let count = file?.read_at(&mut bytes, 0).ok()?;
    Some(String::from_utf8_lossy(bytes.get(..count)?).into_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use rustix::thread::gettid;
    use std::sync::mpsc::{TryRecvError, channel};
    use std::thread;

    #[test]
    fn an_order_says_how_long_and_how_often() {
        let (reply, _) = crate::orders::socket_pair().unwrap();
        let order = ProfileOrder::read(b"5 100 8000 /a b", reply.try_clone().unwrap()).unwrap();
        assert_eq!((order.seconds, order.hz, order.most_bytes, order.route.as_str()), (5, 100, 8000, "/a b"));
        assert!(ProfileOrder::read(b"5 0 8000 ", reply.try_clone().unwrap()).is_none());
        assert!(ProfileOrder::read(b"5", reply).is_none());
    }

    #[test]
    fn what_the_kernel_says_of_a_thread_is_read() {
        let at = format!("{FUTEX} 0x7f00 0x80 0x0 0x0 0x0 0x0 0x7ffd 0x7f1f\n");
        assert_eq!(Doing::read("running\n"), Doing::Computes);
        assert_eq!(Doing::read(&at), Doing::WaitsAt(0x7f00));
        assert_eq!(Doing::read("0 0x3 0x7f 0x2 0x7f 0xf 0x0 0x7f 0x7f\n"), Doing::Waits);
        assert_eq!(Doing::read("-1 0x7ffd 0x7f1f\n"), Doing::Waits);
        assert_eq!(Doing::read(""), Doing::Unknown);
        assert!(Doing::WaitsAt(0x7f00).waits_near(Some(0x7f20)));
        assert!(!Doing::WaitsAt(0x7f00).waits_near(Some(0x9f20)));
        assert!(!Doing::WaitsAt(0x7f00).waits_near(None));
    }

    #[test]
    fn a_thread_that_waits_is_no_thread_that_computes() {
        let (tell, ids) = channel();
        let (release, released) = channel::<()>();
        let other = thread::spawn(move || {
            tell.send(gettid().as_raw_nonzero().get().unsigned_abs()).unwrap();
            let _ = released.recv();
        });
        let waiting = WatchedThread::new(ids.recv().unwrap().into());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !matches!(waiting.look(), Doing::WaitsAt(_)) {
            assert!(Instant::now() < deadline, "{:?}", waiting.look());
            thread::yield_now();
        }
        drop(release);
        other.join().unwrap();
        let (tell, ids) = channel();
        let (release, released) = channel::<()>();
        let other = thread::spawn(move || {
            tell.send(gettid().as_raw_nonzero().get().unsigned_abs()).unwrap();
            while released.try_recv() == Err(TryRecvError::Empty) {}
        });
        let mut computing = WatchedThread::new(ids.recv().unwrap().into());
        while computing.look() != Doing::Computes || computing.ran().is_zero() {
            assert!(Instant::now() < deadline, "{:?}", computing.look());
        }
        drop(release);
        other.join().unwrap();
    }

    #[test]
    fn nobody_who_waits_is_a_reason_to_end() {
        let (reply, other) = crate::orders::socket_pair().unwrap();
        assert!(is_wanted_until(&reply, Instant::now() + Duration::from_millis(2)));
        drop(other);
        assert!(!is_wanted_until(&reply, Instant::now() + Duration::from_secs(20)));
    }
}
