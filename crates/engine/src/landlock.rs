//! A file system that can only be read, but for listed places: Landlock, which a process asks for itself (landlock(7)).
//!
//! Only what writes is restricted. Descriptors that are open already are not, and what a process has once given up neither
//! it nor its children get back. Called while a process has one thread, since only the calling one is restricted.
//!
//! The three calls are made here and not by the crate `landlock`, whose macros would be a second version of `syn` to build.

use crate::os_error::without_number;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::ptr;

const WRITE_FILE: u64 = 1 << 1;
/// To remove and make entries of a directory, of each type: bits 4 to 12.
const CHANGE_DIRECTORY: u64 = 0x1ff0;
/// To move or link a file from one directory to another; as of the second version. Nobody may who has not asked for it.
const REFER: u64 = 1 << 13;
/// As of the third version: before, a file that cannot be written can be truncated.
const TRUNCATE: u64 = 1 << 14;

const VERSION_FLAG: u32 = 1;
const RULE_PATH_BENEATH: libc::c_int = 1;

/// `struct landlock_ruleset_attr`, as its first version has it.
#[repr(C)]
struct RulesetAttributes {
    handled_access_fs: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: RawFd,
}

/// Lets this process, and all that it will start, write to nothing but the files of `writable` and what is below its
/// directories; false, and nothing is restricted, if the kernel has no Landlock or was started without it.
///
/// # Errors
/// One of the paths cannot be opened, or the process could gain privileges (`privileges::gain_no_privileges` comes first).
pub fn restrict_writes(writable: &[PathBuf]) -> io::Result<bool> {
    let Some(version) = version()? else { return Ok(false) };
    let handled = match version {
        ..=1 => WRITE_FILE | CHANGE_DIRECTORY,
        2 => WRITE_FILE | CHANGE_DIRECTORY | REFER,
        3.. => WRITE_FILE | CHANGE_DIRECTORY | REFER | TRUNCATE,
    };
    let rules = new_ruleset(handled)?;
    for path in writable {
        allow(&rules, path, handled).map_err(|error| {
            io::Error::new(error.kind(), without_number(&format!("{}: {error}", path.display())).into_owned())
        })?;
    }
    restrict_self(&rules)?;
    Ok(true)
}

fn version() -> io::Result<Option<i64>> {
    #[expect(unsafe_code, reason = "rustix has no Landlock")]
    // SAFETY: with this flag the kernel reads no memory (landlock_create_ruleset(2)).
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<u8>(), 0_usize, VERSION_FLAG) };
    if version >= 0 {
        return Ok(Some(version));
    }
    let error = io::Error::last_os_error();
    // It was left out of the kernel, or is not among what that was started with. A seccomp filter says EPERM.
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::EPERM) => Ok(None),
        _ => Err(error),
    }
}

fn new_ruleset(handled_access_fs: u64) -> io::Result<OwnedFd> {
    let attributes = RulesetAttributes { handled_access_fs };
    let size = size_of::<RulesetAttributes>();
    #[expect(unsafe_code, reason = "rustix has no Landlock")]
    // SAFETY: the kernel reads `size` bytes of a live structure of that size, and keeps no pointer to it.
    let fd = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size, 0_u32) };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    #[expect(unsafe_code, reason = "a descriptor handed over as a number")]
    // SAFETY: the kernel has just opened it, for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn allow(rules: &OwnedFd, path: &Path, handled: u64) -> io::Result<()> {
    let place = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let is_directory = FileType::from_raw_mode(fstat(&place)?.st_mode) == FileType::Directory;
    let allowed_access = if is_directory { handled } else { handled & (WRITE_FILE | TRUNCATE) };
    let rule = PathBeneath { allowed_access, parent_fd: place.as_raw_fd() };
    let (rules_fd, rule) = (rules.as_raw_fd(), &raw const rule);
    #[expect(unsafe_code, reason = "rustix has no Landlock")]
    // SAFETY: both descriptors are open; the kernel reads a live structure of the size that the type of rule has.
    let result = unsafe { libc::syscall(libc::SYS_landlock_add_rule, rules_fd, RULE_PATH_BENEATH, rule, 0_u32) };
    done(result)
}

fn restrict_self(rules: &OwnedFd) -> io::Result<()> {
    #[expect(unsafe_code, reason = "rustix has no Landlock")]
    // SAFETY: the descriptor is open, and no memory is handed over.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0_u32) };
    done(result)
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
