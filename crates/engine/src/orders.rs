//! What a server is told from outside, and what it says to that: orders of the supervisor over a socketpair, and the
//! signals that people send. Neither needs the interpreter, so both are taken whatever the application does.
//!
//! ```text
//!   one byte of kind | four bytes of number | four bytes of length | text      (little endian, both ways)
//!     supervisor to worker   A announce the end and go on serving, D drain (text: within how many seconds, or none),
//!                            Q quit, V log from a level on (text: its name), O go on with other log files (text:
//!                            a letter for each descriptor that comes along, a access log, e error log), S log the
//!                            stack of a call, I interrupt one, E respond in its place (`call_orders`), K log the
//!                            stacks of all tasks of an event loop,
//!                            M change members of upstreams, U report them (text: `upstream::orders`), G profile calls
//!                            (text: `profiling`; a descriptor for the result comes along)
//!     worker to supervisor   R ready, L leaving by a signal (text: D or Q), U what was asked for by the order with this
//!                            number, T the order with this number was taken, S where a call that takes long stands,
//!                            or that it has ended (text: `slow_calls`)
//! ```
//!
//! The same frames as in python/portico/process/messages.py. End of file is the supervisor's death.

use crate::call_orders::{CallOrder, Measure};
use crate::descriptor;
use crate::failed_requests::FailedRequests;
use crate::log::{self, Level, log};
use crate::profiling::ProfileOrder;
use crate::slow_calls::SlowCalls;
use crate::timer::sleep;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, accept_with, recvmsg, send, sendmsg, socketpair,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const SIGINT: u8 = 2;
const SIGQUIT: u8 = 3;
const SIGTERM: u8 = 15;

/// Bytes of a frame before its text.
const HEAD_BYTES: usize = 9;

/// Between two tries to tell a supervisor something that has not read what it was told before.
const AGAIN: Duration = Duration::from_millis(20);

/// Bytes that the supervisor has not read, beyond which it is not told of what it can do without.
const MOST_UNSENT_BYTES: usize = 64 * 1024;

/// As many descriptors as one message may bring (`SCM_MAX_FD` of the kernel).
const MOST_RECEIVED: usize = 253;
/// As many as an order brings: one for each log.
const MOST_SENT: usize = 2;

/// The two ends of a connection between a supervisor and a worker. Neither is inherited by other programs.
///
/// # Errors
/// There are no more descriptors.
pub fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// What a supervisor has received through a Unix socket: bytes, none at the end, and descriptors that came along, which no
/// other program inherits.
///
/// # Errors
/// What recvmsg(2) says; there may be nothing yet.
pub fn receive(fd: RawFd, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    descriptor::lend(fd, |socket| Ok(receive_from(socket, bytes)?))
}

fn receive_from(socket: impl AsFd, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_RECEIVED))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut room);
    let received = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok((received.bytes, descriptors.flatten().collect()))
}

/// Sends `bytes` through a Unix socket in one piece, and the descriptors `files` along with them; returns how many bytes
/// were taken.
///
/// # Errors
/// What sendmsg(2) says; there may be no room.
pub fn send_with(fd: RawFd, bytes: &[u8], files: &[RawFd]) -> io::Result<usize> {
    let files: Vec<OwnedFd> = files.iter().map(|file| descriptor::duplicate(*file)).collect::<io::Result<_>>()?;
    let borrowed: Vec<_> = files.iter().map(OwnedFd::as_fd).collect();
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SENT))];
    let mut ancillary = SendAncillaryBuffer::new(&mut room);
    if !borrowed.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    descriptor::lend(fd, |socket| Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags)?))
}

/// Sends all of `bytes` through a Unix socket, and waits where there is no room; returns whether somebody has taken them.
pub fn send_all(socket: &OwnedFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        // Without SIGPIPE, which an application may have given its default effect.
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

/// The next connection to the listening Unix socket `fd`, and the user id of who has connected; none if nobody has. It
/// does not block, and no other program inherits it.
///
/// # Errors
/// What accept(2) says, such as that there are no more descriptors.
pub fn accept(fd: RawFd) -> io::Result<Option<(OwnedFd, u32)>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    descriptor::lend(fd, |listener| match accept_with(listener, flags) {
        Ok(connection) => {
            let user = descriptor::peer_user(&connection)?;
            Ok(Some((connection, user)))
        }
        Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    })
}

/// How a server is told to leave; the later is the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not yet, but soon: clients and load balancers are told, and all are served as before.
    Announced,
    /// After what is in flight.
    Graceful,
    /// As soon as no call runs.
    Quick,
}

/// Where a server is told to leave.
#[derive(Default)]
pub struct OrderDescriptors {
    /// Read end of a pipe that brings signals, one number per byte.
    pub signals: Option<OwnedFd>,
    /// Read end of a pipe that brings signals which tell nobody to leave: they may have handlers, and that is all.
    pub wakeups: Option<OwnedFd>,
    /// The worker's end of the socketpair.
    pub supervisor: Option<OwnedFd>,
    /// The frame that tells the supervisor that the server is ready.
    pub ready: Vec<u8>,
}

/// What orders and signals have done besides.
pub struct Effects {
    /// Called when a signal has come, whichever: the interpreter may have a handler for it.
    pub on_signal: Box<dyn Fn() + Send>,
    /// Called with the file that access lines are to go to.
    pub on_access_log: Box<dyn Fn(OwnedFd) + Send>,
    /// Called with what is to be done about one call.
    pub on_call_order: Box<dyn Fn(CallOrder) + Send>,
    /// Called where the stacks of all tasks of an event loop are to be logged. In the runtime.
    pub on_tasks_order: Box<dyn Fn() + Send>,
    /// Called where what waits for a thread is to be responded to: this process is about to be killed.
    pub on_clear: Box<dyn Fn() + Send>,
    /// Called with an order for a profile.
    pub on_profile_order: Box<dyn Fn(ProfileOrder) + Send>,
    /// Called with what is ordered of members of upstreams.
    pub on_members: Box<dyn Fn(&str) + Send>,
    /// Called for a report of them.
    pub report_members: Box<dyn Fn() -> String + Send>,
    /// What the supervisor is told of calls that take long.
    pub slow_calls: Arc<SlowCalls>,
    /// What it is told of requests that have failed.
    pub failed_requests: Arc<FailedRequests>,
}

/// What a supervisor orders.
enum Order {
    Leave(Stop),
    Reopen,
    SetLevel,
    Call(Measure),
    LogTasks,
    Clear,
    Members,
    ReportMembers,
    Profile,
}

/// What comes from outside.
pub struct Orders {
    signals: Inlet,
    wakeups: Inlet,
    supervisor: Inlet,
    ready: Vec<u8>,
    effects: Effects,
    /// Within how many seconds an order to drain wants it done, if it says so.
    within_s: Option<u64>,
    /// Whether the supervisor has died.
    is_orphaned: bool,
    /// What the supervisor has sent of a frame that is not complete yet.
    incomplete: Vec<u8>,
    /// The descriptors that it has sent, until the order that they belong to is complete.
    files: VecDeque<OwnedFd>,
    /// How to leave, if that was ordered before anybody has asked.
    early: Option<Stop>,
    /// What the supervisor is still to be told, where it has not read all of before.
    unsent: Vec<u8>,
}

impl Orders {
    /// Registers the descriptors with the reactor.
    pub fn open(descriptors: OrderDescriptors, effects: Effects) -> Orders {
        let OrderDescriptors { signals, wakeups, supervisor, ready } = descriptors;
        let (signals, wakeups, supervisor) = (Inlet::new(signals), Inlet::new(wakeups), Inlet::new(supervisor));
        let (incomplete, files, unsent) = (Vec::new(), VecDeque::new(), Vec::new());
        let (within_s, is_orphaned, early) = (None, false, None);
        Orders { signals, wakeups, supervisor, ready, effects, within_s, is_orphaned, incomplete, files, early, unsent }
    }

    /// Does what was ordered before the server has begun to serve.
    pub fn take_waiting(&mut self) {
        let mut bytes = [0; 256];
        while let Some(supervisor) = &self.supervisor.0 {
            match receive_from(supervisor.get_ref(), &mut bytes) {
                Ok((count, files)) if count > 0 => {
                    self.files.extend(files);
                    self.incomplete.extend_from_slice(bytes.get(..count).unwrap_or_default());
                }
                Err(Errno::INTR) => {}
                // The end of the supervisor is there to be seen later.
                _ => break,
            }
        }
        let stop = self.take_orders();
        self.early = self.early.max(stop);
    }

    /// Does what is ordered until that has had an effect, or is to leave.
    pub async fn take_until(&mut self, is_done: impl Fn() -> bool) {
        while !is_done() && self.early.is_none() {
            let stop = tokio::select! {
                stop = self.next() => Some(stop),
                () = sleep(AGAIN) => None,
            };
            self.early = self.early.max(stop);
        }
    }

    /// Tells the supervisor that the server is ready.
    pub fn say_ready(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        self.say(&ready);
    }

    /// Whether there is a supervisor: then this process does nothing but serve.
    pub fn have_supervisor(&self) -> bool {
        self.supervisor.0.is_some()
    }

    /// Whether there was a supervisor that has died: nobody ends this process from outside.
    pub fn are_orphaned(&self) -> bool {
        self.is_orphaned
    }

    /// How long calls may go on after an order to drain, where that says so.
    pub fn within_ms(&self) -> Option<u64> {
        self.within_s.map(|seconds| seconds.saturating_mul(1000))
    }

    /// Waits until the server is told to leave: by the strongest of all that has come by then.
    pub async fn next(&mut self) -> Stop {
        if let Some(stop) = self.early.take() {
            return stop;
        }
        loop {
            self.send_unsent();
            let has_unsent = !self.unsent.is_empty();
            let (mut from_signals, mut from_wakeups, mut from_supervisor) = ([0; 64], [0; 64], [0; 256]);
            tokio::select! {
                received = self.signals.read(&mut from_signals) => {
                    (self.effects.on_signal)();
                    let stop = received.iter().filter_map(|signal| stop_of_signal(*signal)).max();
                    if let Some(stop) = stop {
                        self.say(&frame(b'L', 0, &[order_of(stop)]));
                        return stop;
                    }
                }
                _ = self.wakeups.read(&mut from_wakeups) => (self.effects.on_signal)(),
                received = self.supervisor.receive(&mut from_supervisor, &mut self.files) => {
                    if received.is_empty() {
                        log(Level::Warning, "the supervisor is gone; this worker leaves");
                        self.is_orphaned = true;
                        return Stop::Graceful;
                    }
                    self.incomplete.extend_from_slice(received);
                    if let Some(stop) = self.take_orders() {
                        return stop;
                    }
                }
                () = sleep(AGAIN), if has_unsent => {}
                () = self.effects.slow_calls.wait() => self.report_slow_calls(),
                () = self.effects.failed_requests.wait() => self.report_failed_requests(),
            }
        }
    }

    /// Does what the orders say that have come completely, and acknowledges them; returns how to leave, if that was one.
    fn take_orders(&mut self) -> Option<Stop> {
        let mut strongest = None;
        while let Some((kind, number, whole)) = complete_frame(&self.incomplete) {
            let text = self.incomplete.drain(..whole).skip(HEAD_BYTES).collect::<Vec<u8>>();
            let Some(order) = order_named(kind) else {
                let kind = kind.escape_ascii();
                let expected = "A, D, Q, V, O, S, I, E, K, C, M, U or G";
                log(Level::Error, &format!("an order of the supervisor: expected {expected}, got {kind}"));
                continue;
            };
            match order {
                Order::Leave(stop) => {
                    if stop == Stop::Graceful {
                        self.within_s = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
                    }
                    strongest = strongest.max(Some(stop));
                }
                Order::Reopen => self.reopen(&text),
                Order::SetLevel => set_level(&text),
                Order::Call(measure) => {
                    if let Some(order) = CallOrder::read(measure, &text) {
                        (self.effects.on_call_order)(order);
                    }
                }
                Order::LogTasks => (self.effects.on_tasks_order)(),
                Order::Clear => (self.effects.on_clear)(),
                Order::Profile => {
                    // Whatever is wrong with it, who waits for the result sees its end.
                    let order = self.files.pop_front().and_then(|reply| ProfileOrder::read(&text, reply));
                    if let Some(order) = order {
                        (self.effects.on_profile_order)(order);
                    }
                }
                Order::Members => (self.effects.on_members)(&String::from_utf8_lossy(&text)),
                Order::ReportMembers => {
                    let report = (self.effects.report_members)();
                    self.say(&frame(b'U', number, report.as_bytes()));
                }
            }
            self.say(&frame(b'T', number, b""));
        }
        strongest
    }

    /// Goes on with the log files that have come along, which `letters` name.
    fn reopen(&mut self, letters: &[u8]) {
        for letter in letters {
            if *letter == b'l' {
                log::queue::reopen();
                continue;
            }
            let Some(file) = self.files.pop_front() else { return };
            if *letter == b'a' {
                (self.effects.on_access_log)(file);
            } else if let Err(error) = log::replace_standard_error(&file) {
                log(Level::Error, &format!("cannot reopen the error log: {error}; going on with the file of before"));
            }
        }
    }

    /// Tells the supervisor of calls that take long, unless it has not read much of before.
    fn report_slow_calls(&mut self) {
        for text in self.effects.slow_calls.take_reports() {
            if self.unsent.len() < MOST_UNSENT_BYTES {
                self.say(&frame(b'S', 0, text.as_bytes()));
            }
        }
    }

    /// Tells the supervisor of requests that have failed, unless it has not read much of before.
    #[cold]
    fn report_failed_requests(&mut self) {
        for text in self.effects.failed_requests.take_reports() {
            if self.unsent.len() < MOST_UNSENT_BYTES {
                self.say(&frame(b'X', 0, text.as_bytes()));
            }
        }
    }

    /// Sends a frame. The supervisor reads all the time: where there is no room, it is behind, hangs or is gone.
    fn say(&mut self, frame: &[u8]) {
        self.unsent.extend_from_slice(frame);
        self.send_unsent();
    }

    fn send_unsent(&mut self) {
        let Some(supervisor) = &self.supervisor.0 else { return self.unsent.clear() };
        while !self.unsent.is_empty() {
            // Without SIGPIPE, which an application may have given its default effect.
            match send(supervisor.get_ref(), &self.unsent, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(error) => {
                    log(Level::Debug, &format!("cannot tell the supervisor: {error}"));
                    self.unsent.clear();
                }
            }
        }
    }
}

fn stop_of_signal(signal: u8) -> Option<Stop> {
    match signal {
        SIGTERM => Some(Stop::Graceful),
        SIGINT | SIGQUIT => Some(Stop::Quick),
        _ => None,
    }
}

fn order_named(kind: u8) -> Option<Order> {
    match kind {
        b'A' => Some(Order::Leave(Stop::Announced)),
        b'D' => Some(Order::Leave(Stop::Graceful)),
        b'Q' => Some(Order::Leave(Stop::Quick)),
        b'O' => Some(Order::Reopen),
        b'V' => Some(Order::SetLevel),
        b'S' => Some(Order::Call(Measure::Stack)),
        b'I' => Some(Order::Call(Measure::Interrupt)),
        b'E' => Some(Order::Call(Measure::Respond)),
        b'K' => Some(Order::LogTasks),
        b'C' => Some(Order::Clear),
        b'M' => Some(Order::Members),
        b'U' => Some(Order::ReportMembers),
        b'G' => Some(Order::Profile),
        _ => None,
    }
}

fn set_level(name: &[u8]) {
    if let Some(level) = std::str::from_utf8(name).ok().and_then(Level::named) {
        log::set_level(level);
    }
}

fn order_of(stop: Stop) -> u8 {
    match stop {
        Stop::Announced => b'A',
        Stop::Graceful => b'D',
        Stop::Quick => b'Q',
    }
}

fn frame(kind: u8, number: u32, text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&[kind], number.to_le_bytes().as_slice(), &length.to_le_bytes(), text].concat()
}

/// Kind, number and whole length of the frame that `bytes` begin with, if it is complete.
fn complete_frame(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let (kind, rest) = bytes.split_first()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (length, text) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    (text.len() >= length).then_some((*kind, u32::from_le_bytes(*number), HEAD_BYTES + length))
}

/// A descriptor that brings bytes; none once it has ended, and where there never was one.
struct Inlet(Option<AsyncFd<OwnedFd>>);

impl Inlet {
    fn new(fd: Option<OwnedFd>) -> Inlet {
        Inlet(fd.and_then(|fd| {
            rustix::io::ioctl_fionbio(&fd, true).ok()?;
            descriptor::watch_owned(fd, Interest::READABLE).ok()
        }))
    }

    /// The next bytes; none at the end of file, and nothing ever after that.
    async fn read<'a>(&mut self, bytes: &'a mut [u8]) -> &'a [u8] {
        self.read_by(bytes, |fd, bytes| rustix::io::read(fd, bytes)).await
    }

    /// As `read`, of a socket; the descriptors that come along are added to `files`.
    async fn receive<'a>(&mut self, bytes: &'a mut [u8], files: &mut VecDeque<OwnedFd>) -> &'a [u8] {
        let receive = |socket: &OwnedFd, bytes: &mut [u8]| {
            let (count, received) = receive_from(socket, bytes)?;
            files.extend(received);
            Ok(count)
        };
        self.read_by(bytes, receive).await
    }

    async fn read_by<'a>(
        &mut self,
        bytes: &'a mut [u8],
        mut read: impl FnMut(&OwnedFd, &mut [u8]) -> Result<usize, Errno>,
    ) -> &'a [u8] {
        let Some(readable) = &self.0 else { return std::future::pending().await };
        let received = loop {
            let Ok(mut ready) = readable.readable().await else { break 0 };
            match read(readable.get_ref(), &mut *bytes) {
                Ok(received) => break received,
                Err(Errno::AGAIN | Errno::INTR) => ready.clear_ready(),
                Err(_) => break 0,
            }
        };
        if received == 0 {
            self.0 = None;
        }
        bytes.get(..received).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_whole_or_not_at_all() {
        let bytes = [frame(b'D', 7, b""), frame(b'L', 70_000, b"D")].concat();
        assert_eq!(complete_frame(&bytes), Some((b'D', 7, 9)));
        assert_eq!(complete_frame(&bytes[9..]), Some((b'L', 70_000, 10)));
        assert!((0..9).all(|end| complete_frame(&bytes[..end]).is_none()));
        assert!((9..19).all(|end| complete_frame(&bytes[9..end]).is_none()));
    }
}
