//! What writes the access log: lines to a descriptor, or each record as a datagram to a log daemon.

use super::destination::Destination;
use crate::clock;
use crate::line_writer::LineWriter;
use crate::log::RateLimited;
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{SendFlags, SocketAddrAny, connect, getpeername, send};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// How long a daemon that could not be reached is left alone.
const PAUSE_MS: u64 = 1_000;

/// Who writes.
pub enum Writer {
    /// Lines, to a descriptor.
    Lines(LineWriter),
    /// Records, to a socket.
    Datagrams(DatagramWriter),
}

/// A socket to a log daemon, which may restart: it is connected anew then.
pub struct DatagramWriter {
    socket: OwnedFd,
    destination: Destination,
    /// Where it is connected to.
    address: Option<SocketAddrAny>,
    /// From when on that may be tried again.
    retry_ms: u64,
}

impl Writer {
    /// For `fd`, which leads to `destination`.
    pub fn new(fd: BorrowedFd<'_>, destination: &Destination) -> Result<Writer, Errno> {
        if *destination == Destination::Stream {
            return LineWriter::new(fd).map(Writer::Lines);
        }
        let socket = fcntl_dupfd_cloexec(fd, 3)?;
        let address = destination.local_address().or_else(|| getpeername(&socket).ok().flatten());
        let destination = destination.clone();
        Ok(Writer::Datagrams(DatagramWriter { socket, destination, address, retry_ms: 0 }))
    }

    /// Whether writing waits for no reader, so that lines may be of any length.
    pub fn is_file(&self) -> bool {
        matches!(self, Writer::Lines(lines) if lines.is_file())
    }

    /// How long the file is; none if it is no file.
    pub fn file_bytes(&self) -> Option<u64> {
        match self {
            Writer::Lines(lines) => lines.file_bytes(),
            Writer::Datagrams(_) => None,
        }
    }

    /// How many bytes from the start of `lines` the next write takes at most.
    pub fn share_of(&self, lines: &[u8]) -> usize {
        match self {
            Writer::Lines(writer) => writer.share_of(lines),
            Writer::Datagrams(writer) => writer.share_of(lines),
        }
    }

    /// Writes from the start of `lines`, with one write; returns how many bytes that were, 0 if it would wait.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write_once(&mut self, lines: &[u8]) -> Result<usize, Errno> {
        match self {
            Writer::Lines(writer) => writer.write_once(lines),
            Writer::Datagrams(writer) => writer.write_once(lines),
        }
    }

    /// How many bytes from the start of `lines` are given up after an error.
    pub fn given_up(&self, lines: &[u8]) -> usize {
        match self {
            Writer::Lines(_) => lines.len(),
            // One record that is too large says nothing of the next.
            Writer::Datagrams(writer) => writer.share_of(lines),
        }
    }
}

impl DatagramWriter {
    /// The first record with its end.
    fn share_of(&self, records: &[u8]) -> usize {
        let end = self.destination.end_of_record();
        records.windows(end.len()).position(|window| window == end).map_or(records.len(), |at| at + end.len())
    }

    fn write_once(&mut self, records: &[u8]) -> Result<usize, Errno> {
        let share = self.share_of(records);
        // The line end of a line is not part of what is said; that of an entry's last field is.
        let datagram = records.get(..share.saturating_sub(1)).unwrap_or_default();
        let mut sent = self.send(datagram);
        // What a daemon over UDP has refused before is told at the next datagram, which has not left then.
        if sent == Err(Errno::CONNREFUSED) && matches!(self.destination, Destination::RemoteSyslog(_)) {
            sent = self.send(datagram);
        }
        match sent {
            Ok(()) => Ok(share),
            Err(Errno::AGAIN | Errno::NOBUFS) => Ok(0),
            Err(Errno::MSGSIZE) => Err(Errno::MSGSIZE),
            Err(why) => Ok(if self.reconnects(why) && self.send(datagram).is_ok() { share } else { 0 }),
        }
    }

    fn send(&self, datagram: &[u8]) -> Result<(), Errno> {
        loop {
            match send(&self.socket, datagram, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                sent => return sent.map(drop),
            }
        }
    }

    /// Connects anew, if the last time is long enough ago.
    fn reconnects(&mut self, why: Errno) -> bool {
        static RATE: RateLimited = RateLimited::new();
        let now_ms = clock::coarse_ms();
        let Some(address) = self.address.as_ref().filter(|_| now_ms >= self.retry_ms) else { return false };
        // The same socket, which other processes may share.
        let connected = connect(self.socket.as_fd(), address);
        if connected.is_err() {
            self.retry_ms = now_ms + PAUSE_MS;
            let name = self.destination.name();
            RATE.warn(|| {
                format!("cannot reach the log daemon at {name}: {why}; 1 MiB of access lines is kept until it is back")
            });
        }
        connected.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Writer;
    use crate::access_log::destination::Destination;
    use rustix::io::Errno;
    use std::io::{self, ErrorKind};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("portico-log-{name}-{}", std::process::id()))
    }

    fn writer(destination: &Destination) -> io::Result<Writer> {
        Ok(Writer::new(destination.open()?.0.as_fd(), destination)?)
    }

    fn received(daemon: &UnixDatagram) -> io::Result<Vec<u8>> {
        let mut datagram = vec![0; 1 << 20];
        let length = daemon.recv(&mut datagram)?;
        datagram.truncate(length);
        Ok(datagram)
    }

    #[test]
    fn a_record_is_a_datagram() -> io::Result<()> {
        let path = path("records");
        let daemon = UnixDatagram::bind(&path)?;
        let name = path.display().to_string();
        for (destination, records, datagrams) in [
            (Destination::LocalSyslog(name.clone()), &b"first\nsecond\n"[..], [&b"first"[..], b"second"]),
            (Destination::Journal(name.clone()), b"A=1\nB=2\n\nA=3\n\n", [b"A=1\nB=2\n", b"A=3\n"]),
        ] {
            let mut writer = writer(&destination)?;
            let mut rest = records;
            for expected in datagrams {
                let share = writer.share_of(rest);
                assert_eq!(writer.write_once(rest)?, share);
                rest = rest.get(share..).unwrap_or_default();
                assert_eq!(received(&daemon)?, expected);
            }
            assert_eq!(rest, b"");
            assert_eq!(destination.count(records), 2);
        }
        std::fs::remove_file(&path)
    }

    #[test]
    fn a_full_socket_takes_nothing_and_loses_nothing() -> io::Result<()> {
        let path = path("full");
        let daemon = UnixDatagram::bind(&path)?;
        let mut writer = writer(&Destination::LocalSyslog(path.display().to_string()))?;
        let mut sent: u32 = 0;
        while writer.write_once(format!("{sent}\n").as_bytes())? > 0 {
            sent += 1;
        }
        daemon.set_nonblocking(true)?;
        for number in 0..sent {
            assert_eq!(received(&daemon)?, number.to_string().as_bytes());
        }
        assert_eq!(received(&daemon).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
        assert!(writer.write_once(b"again\n")? > 0);
        std::fs::remove_file(&path)
    }

    #[test]
    fn a_daemon_that_has_restarted_is_connected_to_anew() -> io::Result<()> {
        let path = path("restarted");
        let destination = Destination::LocalSyslog(path.display().to_string());
        let first = UnixDatagram::bind(&path)?;
        let mut writer = writer(&destination)?;
        assert!(writer.write_once(b"first\n")? > 0);
        drop(first);
        std::fs::remove_file(&path)?;
        let second = UnixDatagram::bind(&path)?;
        assert!(writer.write_once(b"second\n")? > 0);
        assert_eq!(received(&second)?, b"second");
        drop(second);
        std::fs::remove_file(&path)?;
        assert_eq!(writer.write_once(b"third\n")?, 0);
        let _third = UnixDatagram::bind(&path)?;
        // Not before the pause is over.
        assert_eq!(writer.write_once(b"third\n")?, 0);
        std::fs::remove_file(&path)
    }

    #[test]
    fn a_record_that_is_too_large_is_given_up_alone() -> io::Result<()> {
        let path = path("large");
        let daemon = UnixDatagram::bind(&path)?;
        let mut writer = writer(&Destination::LocalSyslog(path.display().to_string()))?;
        let records = [vec![b'x'; 1 << 20], b"\nsmall\n".to_vec()].concat();
        assert_eq!(writer.write_once(&records), Err(Errno::MSGSIZE));
        let rest = records.get(writer.given_up(&records)..).unwrap_or_default();
        assert_eq!(rest, b"small\n");
        assert_eq!(writer.write_once(rest)?, rest.len());
        assert_eq!(received(&daemon)?, b"small");
        std::fs::remove_file(&path)
    }
}
