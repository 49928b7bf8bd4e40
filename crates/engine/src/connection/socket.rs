//! The socket of a connection: reads, writes and waits. TLS will stand here, so nobody above may ask the descriptor for
//! anything.
//!
//! A socket registers with the reactor only when something really has to be waited for: that of a connection which
//! closes after its first response never does.

use crate::descriptor;
use crate::fork;
use crate::message::buffers::Buffers;
use crate::message::inbound::Inbound;
use crate::timer::sleep;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, SocketType, socketpair, sockopt,
};
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// Reads that fill their buffer after which others have their turn: a client that sends faster than it is read would
/// otherwise be read for milliseconds, and those who wait behind several such clients wait for the sum.
const FULL_READS: u8 = 16;

/// What follows a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// More bytes, some time.
    More,
    /// The close, at once: the kernel may keep the bytes until then, so that they and the FIN are one
    /// segment (MSG_MORE, tcp(7)).
    Close,
}

impl Then {
    fn flags(self) -> SendFlags {
        match self {
            Then::More => SendFlags::NOSIGNAL,
            Then::Close => SendFlags::NOSIGNAL | SendFlags::MORE,
        }
    }
}

/// Word that a socket may take bytes.
pub enum Writable<'a> {
    /// By the one registration that there is.
    Shared(AsyncFdReadyGuard<'a, RawFd>),
    /// By the one for writes.
    Own(AsyncFdReadyGuard<'a, OwnedFd>),
}

impl Writable<'_> {
    /// It has turned out that it takes no more.
    pub fn is_full(self) {
        match self {
            Writable::Shared(mut ready) => ready.clear_ready(),
            Writable::Own(mut ready) => ready.clear_ready(),
        }
    }
}

/// The socket.
pub struct Socket {
    /// Dropped before `fd`: the reactor must forget a descriptor before it is closed.
    registration: OnceLock<io::Result<AsyncFd<RawFd>>>,
    /// That of writes, if it is one of its own: rare, and so boxed.
    for_writes: OnceLock<io::Result<Box<AsyncFd<OwnedFd>>>>,
    fd: OwnedFd,
    /// Whether it is a Unix socket. Each read of the peer makes such a one writable anew, and who watches for that would
    /// wake for nothing after each message: so it is watched for only once something does not fit.
    is_unix: bool,
    /// Reads that have filled their buffer since others had their turn.
    full_reads: AtomicU8,
}

impl Socket {
    /// A socket of the network that was just accepted or made, not registered yet.
    pub fn new(fd: OwnedFd) -> Socket {
        Socket::of_kind(fd, false)
    }

    /// The same for a Unix socket.
    pub fn unix(fd: OwnedFd) -> Socket {
        Socket::of_kind(fd, true)
    }

    /// A socket with another one connected to it, which blocks, as sockets of Python do.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn pair() -> io::Result<(Socket, OwnedFd)> {
        let (here, there) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&here, true)?;
        Ok((Socket::unix(here), there))
    }

    fn of_kind(fd: OwnedFd, is_unix: bool) -> Socket {
        Socket { registration: OnceLock::new(), for_writes: OnceLock::new(), fd, is_unix, full_reads: AtomicU8::new(0) }
    }

    /// Registers at the first wait; a second thread that comes meanwhile waits for the first, since the reactor takes
    /// no descriptor twice. What fails once stays so: the connection is of no use.
    fn registration(&self) -> io::Result<&AsyncFd<RawFd>> {
        let registration = self.registration.get_or_init(|| {
            let interest = if self.is_unix { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            descriptor::watch(self.fd.as_fd(), interest)
        });
        registration.as_ref().map_err(|error| error.kind().into())
    }

    /// The same for the writes of a Unix socket, by a descriptor of its own.
    fn for_writes(&self) -> io::Result<&AsyncFd<OwnedFd>> {
        let registration = self.for_writes.get_or_init(|| {
            let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0)?;
            descriptor::watch_owned(fd, Interest::WRITABLE).map(Box::new)
        });
        registration.as_ref().map(|registration| &**registration).map_err(|error| error.kind().into())
    }

    /// Reads what is there now into `inbound`; `Ok(0)` is the end of file.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn receive(&self, inbound: &mut Inbound) -> io::Result<usize> {
        loop {
            match rustix::net::recv(&self.fd, inbound.spare(), RecvFlags::empty()) {
                Ok((received, _)) => return Ok(received),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for bytes; a buffer is taken from the pool only once there are some, so that an idle connection holds
    /// none. Of two that wait at once only the latter is woken: whoever owns what comes next on the connection reads.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn fill(&self, inbound: &mut Option<Box<Inbound>>, buffers: &Buffers) -> io::Result<usize> {
        if self.full_reads.load(Relaxed) >= FULL_READS {
            // Before a read and not after one: who gives up this wait loses no bytes.
            self.full_reads.store(0, Relaxed);
            tokio::task::yield_now().await;
        }
        let registration = self.registration()?;
        loop {
            // One reader at a time, so none has to enter and leave a list of those who wait.
            let mut ready = poll_fn(|context| registration.poll_read_ready(context)).await?;
            let buffer = inbound.get_or_insert_with(|| buffers.take());
            let room = buffer.room();
            match self.receive(buffer) {
                Ok(received) => {
                    if received < room {
                        // A short read means that the socket is empty: no extra read to find out (epoll(7),
                        // edge-triggered).
                        ready.clear_ready();
                    } else {
                        self.full_reads.fetch_add(1, Relaxed);
                    }
                    return Ok(received);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    if buffer.is_empty()
                        && let Some(buffer) = inbound.take()
                    {
                        buffers.give_back(buffer);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes as much as the socket takes now; `Ok(0)` if it is full.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&self, bytes: &[u8], then: Then) -> io::Result<usize> {
        written(|| rustix::net::send(&self.fd, bytes, then.flags()))
    }

    /// As `send`, from several places.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send_slices(&self, slices: &[IoSlice<'_>], then: Then) -> io::Result<usize> {
        let mut control = SendAncillaryBuffer::default();
        written(|| rustix::net::sendmsg(&self.fd, slices, &mut control, then.flags()))
    }

    /// As `send`, at most `count` bytes of `file` from `offset` on, which moves on: sendfile(2).
    ///
    /// # Errors
    /// The connection is broken, or the file has become shorter.
    pub fn send_file(&self, file: &File, offset: &mut u64, count: usize) -> io::Result<usize> {
        match rustix::fs::sendfile(&self.fd, file, Some(offset), count) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the socket may take bytes again, then runs `write`; `Ok(0)` if it was full all the same.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn write_when_ready(&self, mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        let ready = self.wait_writable().await?;
        let written = write()?;
        if written == 0 {
            ready.is_full();
        }
        Ok(written)
    }

    /// Waits until the socket may take bytes again, for who writes elsewhere.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn wait_writable(&self) -> io::Result<Writable<'_>> {
        if self.is_unix {
            return Ok(Writable::Own(self.for_writes()?.writable().await?));
        }
        Ok(Writable::Shared(self.registration()?.writable().await?))
    }

    /// Whether the client has closed its side, or the connection is broken.
    pub fn has_disconnected(&self) -> bool {
        const GONE: PollFlags = PollFlags::RDHUP.union(PollFlags::HUP).union(PollFlags::ERR);
        let mut polled = [PollFd::new(&self.fd, PollFlags::RDHUP)];
        // An error is no result: the next call or a write says more.
        rustix::event::poll(&mut polled, Some(&Timespec::default())).is_ok()
            && polled.iter().any(|polled| polled.revents().intersects(GONE))
    }

    /// Waits until the client has closed its side. Takes nothing from who reads: bytes that wait for it stay announced.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn wait_disconnected(&self) -> io::Result<()> {
        const LOOK: Duration = Duration::from_millis(250);
        let registration = self.registration()?;
        loop {
            let mut ready = registration.readable().await?;
            if ready.ready().is_read_closed() {
                return Ok(());
            }
            if self.has_unread() {
                // While there are some the reactor has nothing new to tell.
                sleep(LOOK).await;
                if self.has_disconnected() {
                    return Ok(());
                }
            } else {
                // What comes at this moment is announced anew, and that is not cleared.
                ready.clear_ready();
            }
        }
    }

    /// Waits until there are bytes to read, and leaves them there; false if the other end has closed its side and there
    /// are none.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn wait_unread(&self) -> io::Result<bool> {
        let registration = self.registration()?;
        loop {
            let mut ready = registration.readable().await?;
            if self.has_unread() {
                return Ok(true);
            }
            if ready.ready().is_read_closed() {
                return Ok(false);
            }
            // What comes at this moment is announced anew, and that is not cleared.
            ready.clear_ready();
        }
    }

    /// Has the kernel ask a peer that says nothing whether it is still there: one that has vanished without a word is
    /// gone after two minutes.
    pub fn ask_for_life(&self) {
        const SILENT: Duration = Duration::from_secs(60);
        const BETWEEN: Duration = Duration::from_secs(15);
        // A Unix socket's peer is on this machine, and vanishes with a word: it has none of these.
        let _ = sockopt::set_tcp_keepidle(&self.fd, SILENT)
            .and_then(|()| sockopt::set_tcp_keepintvl(&self.fd, BETWEEN))
            .and_then(|()| sockopt::set_tcp_keepcnt(&self.fd, 4))
            .and_then(|()| sockopt::set_socket_keepalive(&self.fd, true));
    }

    /// Whether the reactor has told of something to read, an end among it, that nobody has taken. Costs no system call.
    pub fn may_have_unread(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.registration().is_ok_and(|registration| registration.poll_read_ready(&mut context).is_ready())
    }

    /// Whether bytes have come that nobody has read.
    pub fn has_unread(&self) -> bool {
        rustix::io::ioctl_fionread(&self.fd).is_ok_and(|unread| unread > 0)
    }

    /// Process, user and group of the other end of a Unix socket (SO_PEERCRED, unix(7)).
    pub fn peer_credentials(&self) -> Option<(i32, u32, u32)> {
        let credentials = sockopt::socket_peercred(&self.fd).ok()?;
        Some((credentials.pid.as_raw_nonzero().get(), credentials.uid.as_raw(), credentials.gid.as_raw()))
    }

    /// Says that no more will be sent.
    pub fn end_sending(&self) {
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Write);
    }

    /// From now on the socket looks as if the other end had closed its side.
    pub fn end_receiving(&self) {
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Read);
    }

    /// Ends the connection now, in both directions.
    pub fn abort(&self) {
        // It may be gone already; the descriptor itself is closed by the last owner.
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Both);
    }

    /// Ends the connection so that the peer sees an error and not an end of file: on TCP a reset.
    pub fn reset(&self) {
        if rustix::net::connect_unspec(&self.fd).is_err() {
            self.abort();
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if fork::are_sockets_shared() {
            // As the close does where no other process holds the socket.
            self.abort();
        }
    }
}

impl AsFd for Socket {
    /// For who waits for the socket elsewhere than in the reactor.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Repeats a write that a signal interrupted; a full socket has written nothing.
fn written(mut write: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Ok(sent) => return Ok(sent),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
    }
}
