//! Whole lines to a descriptor, without waiting for who reads them: what the access log and the error log write with.
//!
//! A pipe that is full would hold the process that writes to it. Whether a write waits belongs to the open file, which
//! other processes share, so a pipe or terminal is opened once more for this process alone.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, write};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

/// What a pipe takes at once or not at all, so that the lines of several writers do not mix (PIPE_BUF, pipe(7)).
const PIPE_BYTES: usize = 4096;

/// How a descriptor is kept from waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing to do: a disk may be slow, but waits for no reader.
    File,
    /// A pipe or terminal that was opened anew, as one that does not wait.
    Opened,
    /// One that cannot be opened, such as a socket, or a pipe without /proc: it is asked before each write. Where two
    /// processes are told of the same room in a pipe, one of them waits.
    Asked,
}

/// Where lines go.
pub struct LineWriter {
    fd: OwnedFd,
    kind: Kind,
    device: u64,
    inode: u64,
}

impl LineWriter {
    /// Writes to what `fd` is now.
    pub fn new(fd: BorrowedFd<'_>) -> Result<LineWriter, Errno> {
        let status = fstat(fd)?;
        let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        let opened = if is_file { None } else { open_anew(fd, &status) };
        let kind = match &opened {
            _ if is_file => Kind::File,
            Some(_) => Kind::Opened,
            None => Kind::Asked,
        };
        let fd = opened.map_or_else(|| fcntl_dupfd_cloexec(fd, 3), Ok)?;
        Ok(LineWriter { fd, kind, device: status.st_dev, inode: status.st_ino })
    }

    /// Whether `fd` still is what lines go to: a program may put another file in its place.
    pub fn is_for(&self, fd: BorrowedFd<'_>) -> bool {
        fstat(fd).is_ok_and(|status| (status.st_dev, status.st_ino) == (self.device, self.inode))
    }

    /// Whether writing waits for no reader, so that lines may be of any length.
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// How many bytes from the start of `lines` the next write takes at most.
    pub fn share_of(&self, lines: &[u8]) -> usize {
        if self.is_file() { lines.len() } else { whole_lines(lines).len() }
    }

    /// Writes from the start of `lines`, as far as it can be without waiting for a reader; returns how many bytes that
    /// were. Outside the interpreter: a disk may be slow.
    ///
    /// # Errors
    /// The lines cannot be written.
    pub fn write(&self, lines: &[u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while let rest = lines.get(done..).unwrap_or_default()
            && !rest.is_empty()
        {
            match self.write_once(rest)? {
                0 => break,
                written => done += written,
            }
        }
        Ok(done)
    }

    /// As `write`, with one write; 0 if it would wait.
    ///
    /// # Errors
    /// The lines cannot be written.
    pub fn write_once(&self, lines: &[u8]) -> Result<usize, Errno> {
        let part = lines.get(..self.share_of(lines)).unwrap_or_default();
        loop {
            if self.kind == Kind::Asked && !is_writable(self.fd.as_fd()) {
                return Ok(0);
            }
            match write(&self.fd, part) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                written => return written,
            }
        }
    }

    /// How long the file is; none if it is no file.
    pub fn file_bytes(&self) -> Option<u64> {
        self.is_file().then(|| fstat(&self.fd).ok()).flatten().and_then(|status| u64::try_from(status.st_size).ok())
    }
}

/// The file behind `fd`, opened for this process alone.
fn open_anew(fd: BorrowedFd<'_>, status: &Stat) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = open(path, flags, Mode::empty()).ok()?;
    // A terminal of another mount namespace has the name of one here.
    let found = fstat(&opened).ok()?;
    ((found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)).then_some(opened)
}

/// Whether a write of `PIPE_BYTES` does not wait.
fn is_writable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// As many lines from the start of `bytes` as a pipe takes at once, or the part of a longer one.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let most = bytes.get(..PIPE_BYTES).unwrap_or(bytes);
    let end = most.iter().rposition(|byte| *byte == b'\n').map_or(most.len(), |end| end + 1);
    most.get(..end).unwrap_or(most)
}
