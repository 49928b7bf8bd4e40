//! Opens what is beneath a directory, and nothing else, whatever the path and whatever links lie on the way.
//!
//! The kernel holds that (openat2(2), RESOLVE_BENEATH): so no check can be outrun by somebody who exchanges a directory
//! for a link. A link that stays beneath is followed; an absolute one never does. Where the kernel or a sandbox has no
//! openat2, the path is walked, and no link is followed at all.
//!
//! What the kernel has in memory is opened without waiting for a disk (RESOLVE_CACHED, Linux 5.12), so that nobody else
//! has to do it.

use super::validators::FileMetadata;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How files are opened: a FIFO is not waited for, a terminal gains no process.
const READING: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// How directories on the way are opened.
const WALKING: OFlags = OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);
/// How paths are followed.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
/// How often a path is tried that somebody is renaming.
const TRIES: usize = 8;

/// Whether a disk may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// It may.
    Waiting,
    /// It may not: what is not in memory is `WouldBlock`.
    Cached,
}

/// What is at a path.
pub enum Entry {
    /// A file.
    File(File, FileMetadata),
    /// A directory.
    Directory,
    /// Neither, or nothing at all.
    Nothing,
}

/// A directory, to open what is beneath it.
pub struct Beneath {
    directory: OwnedFd,
    /// Whether openat2 is not to be had.
    walks: AtomicBool,
}

impl Beneath {
    /// The directory at `path`.
    ///
    /// # Errors
    /// It cannot be opened, or is none.
    pub fn open(path: &Path) -> io::Result<Beneath> {
        Ok(Beneath { directory: openat(CWD, path, WALKING, Mode::empty())?, walks: AtomicBool::new(false) })
    }

    /// As on a kernel without openat2.
    #[must_use]
    pub fn walking(self) -> Beneath {
        self.walks.store(true, Relaxed);
        self
    }

    /// Opens what is at `path`, segments with one slash between them: a file, or anything else.
    ///
    /// # Errors
    /// `NotFound` where nothing is, or what is there is not beneath the directory; `WouldBlock` where that takes more
    /// `effort`.
    pub fn get(&self, path: &[u8], effort: Effort) -> io::Result<File> {
        let path = if path.is_empty() { b"." } else { path };
        if effort == Effort::Cached {
            return match self.get_cached(path) {
                Err(Errno::NOENT | Errno::NOTDIR) => Err(io::ErrorKind::NotFound.into()),
                // A kernel that cannot say, too; and what else is wrong shows again.
                opened => opened.map(File::from).map_err(|_| io::ErrorKind::WouldBlock.into()),
            };
        }
        let mut opened = Err(Errno::NOENT);
        for _ in 0..TRIES {
            opened = self.try_get(path);
            if !matches!(opened, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        match opened {
            Ok(fd) => Ok(fd.into()),
            // XDEV: it leads out. LOOP: in a circle, or by a magic link of /proc. NXIO: a socket.
            Err(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::XDEV
                | Errno::LOOP
                | Errno::NAMETOOLONG
                | Errno::NXIO
                | Errno::INVAL,
            ) => Err(io::ErrorKind::NotFound.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// What is at `path`, as `get` takes it. One that may not be read is an error only where it is a file.
    ///
    /// # Errors
    /// As `get`, but for what is not there.
    pub fn entry(&self, path: &[u8], effort: Effort) -> io::Result<Entry> {
        let file = match self.get(path, effort) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entry::Nothing),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Ok(Entry::Directory);
        }
        if !metadata.is_file() {
            return Ok(Entry::Nothing);
        }
        let metadata = FileMetadata {
            size: metadata.size(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            inode: metadata.ino(),
        };
        Ok(Entry::File(file, metadata))
    }

    fn get_cached(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        if self.walks.load(Relaxed) {
            return Err(Errno::AGAIN);
        }
        openat2(&self.directory, path, READING, Mode::empty(), RESOLVE | ResolveFlags::CACHED)
    }

    fn try_get(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        if self.walks.load(Relaxed) {
            return self.walk(path);
        }
        match openat2(&self.directory, path, READING, Mode::empty(), RESOLVE) {
            // Kernels before 5.6; PERM is what old sandboxes say of system calls that they do not know.
            Err(Errno::NOSYS | Errno::PERM) => {
                self.walks.store(true, Relaxed);
                self.walk(path)
            }
            opened => opened,
        }
    }

    fn walk(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let mut segments = path.split(|byte| *byte == b'/').peekable();
        let mut at: Option<OwnedFd> = None;
        loop {
            let Some(segment) = segments.next().filter(|segment| *segment != b"..") else { return Err(Errno::NOENT) };
            let here: BorrowedFd<'_> = at.as_ref().map_or(self.directory.as_fd(), AsFd::as_fd);
            if segments.peek().is_none() {
                return openat(here, segment, READING | OFlags::NOFOLLOW, Mode::empty());
            }
            at = Some(openat(here, segment, WALKING | OFlags::NOFOLLOW, Mode::empty())?);
        }
    }
}
