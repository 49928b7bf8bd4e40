//! Reads ranges of files, as far as an effort goes.

use super::opening::Effort;
use rustix::io::{ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

/// A body up to this size is read, and leaves with the head in one system call.
pub const SMALL_BYTES: u64 = 32 * 1024;

/// The bytes of a range of a file.
///
/// # Errors
/// It cannot be read; `WouldBlock` where that takes more `effort`, or may.
pub fn read(file: &File, range: &Range<u64>, effort: Effort) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
    if effort == Effort::Waiting {
        file.read_exact_at(&mut bytes, range.start)?;
    } else if !bytes.is_empty() {
        let read = preadv2(file, &mut [IoSliceMut::new(&mut bytes)], range.start, ReadWriteFlags::NOWAIT);
        // Whatever is wrong shows again.
        if read.unwrap_or(0) < bytes.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
    Ok(bytes)
}
