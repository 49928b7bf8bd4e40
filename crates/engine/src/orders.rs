//! What a server is told from outside, and what it says to that: orders of the supervisor over a socketpair, and the
//! signals that people send. Neither needs the interpreter, so both are taken whatever the application does.
//!
//! ```text
//!   one byte of kind | four bytes of number | four bytes of length | text      (little endian, both ways)
//!     supervisor to worker   A announce the end and go on serving, D drain (text: within how many seconds, or none),
//!                            Q quit, S log the stack of a call, I interrupt one, E respond in its place
//!                            (`call_orders`)
//!     worker to supervisor   R ready, L leaving by a signal (text: D or Q), T the order with this number was taken
//! ```
//!
//! The same frames as in python/portico/process/messages.py. End of file is the supervisor's death.

use crate::call_orders::{CallOrder, Measure};
use crate::descriptor;
use crate::log::{Level, log};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType, recvmsg,
    send, socketpair,
};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{OwnedFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const SIGINT: u8 = 2;
const SIGQUIT: u8 = 3;
const SIGTERM: u8 = 15;

/// Bytes of a frame before its text.
const HEAD_BYTES: usize = 9;

/// As many descriptors as one message may bring (`SCM_MAX_FD` of the kernel).
const MOST_RECEIVED: usize = 253;

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
    let socket = descriptor::duplicate(fd)?;
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_RECEIVED))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut room);
    let received = recvmsg(&socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok((received.bytes, descriptors.flatten().collect()))
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

/// What is done about a signal besides.
pub type OnSignal = Box<dyn Fn() + Send>;

/// What is done about an order for one call.
pub type OnCallOrder = Box<dyn Fn(CallOrder) + Send>;

/// What comes from outside.
pub struct Orders {
    signals: Inlet,
    wakeups: Inlet,
    supervisor: Inlet,
    ready: Vec<u8>,
    /// Called when a signal has come, whichever: the interpreter may have a handler for it.
    on_signal: OnSignal,
    on_call_order: OnCallOrder,
    /// Within how many seconds an order to drain wants it done, if it says so.
    within_s: Option<u64>,
    /// Whether the supervisor has died.
    is_orphaned: bool,
    /// What the supervisor has sent of a frame that is not complete yet.
    incomplete: Vec<u8>,
}

impl Orders {
    /// Registers the descriptors with the reactor.
    pub fn open(descriptors: OrderDescriptors, on_signal: OnSignal, on_call_order: OnCallOrder) -> Orders {
        let OrderDescriptors { signals, wakeups, supervisor, ready } = descriptors;
        let (signals, wakeups, supervisor) = (Inlet::new(signals), Inlet::new(wakeups), Inlet::new(supervisor));
        Orders {
            signals,
            wakeups,
            supervisor,
            ready,
            on_signal,
            on_call_order,
            within_s: None,
            is_orphaned: false,
            incomplete: Vec::new(),
        }
    }

    /// Tells the supervisor that the server is ready.
    pub fn say_ready(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        self.say(&ready);
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
        loop {
            let (mut from_signals, mut from_wakeups, mut from_supervisor) = ([0; 64], [0; 64], [0; 256]);
            tokio::select! {
                received = self.signals.read(&mut from_signals) => {
                    (self.on_signal)();
                    let stop = received.iter().filter_map(|signal| stop_of_signal(*signal)).max();
                    if let Some(stop) = stop {
                        self.say(&frame(b'L', 0, &[order_of(stop)]));
                        return stop;
                    }
                }
                _ = self.wakeups.read(&mut from_wakeups) => (self.on_signal)(),
                received = self.supervisor.read(&mut from_supervisor) => {
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
            }
        }
    }

    /// Acknowledges the orders that have come completely, and says what they amount to.
    fn take_orders(&mut self) -> Option<Stop> {
        let mut strongest = None;
        while let Some((kind, number, whole)) = complete_frame(&self.incomplete) {
            let text: Vec<u8> = self.incomplete.drain(..whole).skip(HEAD_BYTES).collect();
            if let Some(measure) = measure_of_order(kind) {
                self.say(&frame(b'T', number, b""));
                if let Some(order) = CallOrder::read(measure, &text) {
                    (self.on_call_order)(order);
                }
                continue;
            }
            let Some(stop) = stop_of_order(kind) else {
                let kind = kind.escape_ascii();
                log(Level::Error, &format!("an order of the supervisor: expected A, D, Q, S, I or E, got {kind}"));
                continue;
            };
            self.say(&frame(b'T', number, b""));
            if stop == Stop::Graceful {
                self.within_s = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
            }
            strongest = strongest.max(Some(stop));
        }
        strongest
    }

    /// Sends a frame in one piece. The supervisor reads all the time: where there is no room, it hangs or is gone.
    fn say(&self, frame: &[u8]) {
        let Some(supervisor) = &self.supervisor.0 else { return };
        // Without SIGPIPE, which an application may have given its default effect.
        if let Err(error) = send(supervisor.get_ref(), frame, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            log(Level::Debug, &format!("cannot tell the supervisor: {error}"));
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

fn stop_of_order(kind: u8) -> Option<Stop> {
    match kind {
        b'A' => Some(Stop::Announced),
        b'D' => Some(Stop::Graceful),
        b'Q' => Some(Stop::Quick),
        _ => None,
    }
}

fn measure_of_order(kind: u8) -> Option<Measure> {
    match kind {
        b'S' => Some(Measure::Stack),
        b'I' => Some(Measure::Interrupt),
        b'E' => Some(Measure::Respond),
        _ => None,
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
        let Some(readable) = &self.0 else { return std::future::pending().await };
        let received = loop {
            let Ok(mut ready) = readable.readable().await else { break 0 };
            match rustix::io::read(readable.get_ref(), &mut *bytes) {
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
