//! The body of a response with a file: what of it is read, and what is sent as it is.

use super::responder::Part;
use crate::blocking::BlockingThreads;
use crate::files::file_response::{FileBody, FileResponse, plain};
use crate::files::opening::Effort;
use crate::message::send_queue::FileRange;
use rustix::io::{ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// A body up to this size is read, and leaves with the head in one system call.
const SMALL_BYTES: u64 = 32 * 1024;
/// What is read at a time where files cannot be sent as they are: one record of FastCGI.
pub const BLOCK_BYTES: u64 = 65_528;

/// A response without the file where that is not needed any more: where it is small, as far as `effort` goes, and for
/// HEAD.
pub fn in_memory(
    mut response: FileResponse,
    file: Option<File>,
    is_head: bool,
    effort: Effort,
) -> (FileResponse, Option<File>) {
    let Some(file) = file else { return (response, None) };
    let range = match &response.body {
        _ if is_head => 0..0,
        FileBody::Text(_) => return (response, None),
        FileBody::Range(range) if range.end - range.start <= SMALL_BYTES => range.clone(),
        FileBody::Range(_) | FileBody::Parts(..) => return (response, Some(file)),
    };
    match read(&file, &range, effort) {
        Ok(bytes) => {
            response.body = FileBody::Text(bytes);
            (response, None)
        }
        Err(_) if effort == Effort::Cached => (response, Some(file)),
        Err(_) => (plain(500), None),
    }
}

/// The bytes of a range of a file, as far as `effort` goes.
///
/// # Errors
/// It cannot be read, or not without waiting for a disk.
pub fn read(file: &File, range: &Range<u64>, effort: Effort) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
    if effort == Effort::Waiting {
        file.read_exact_at(&mut bytes, range.start)?;
    } else if !bytes.is_empty() {
        let read = preadv2(file, &mut [IoSliceMut::new(&mut bytes)], range.start, ReadWriteFlags::NOWAIT)?;
        if read < bytes.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
    Ok(bytes)
}

/// A piece of a body: bytes, or a range of the file.
pub type Piece = Result<Vec<u8>, Range<u64>>;

/// What is sent of a body, in order.
pub fn pieces(body: FileBody) -> Vec<Piece> {
    match body {
        FileBody::Text(text) => vec![Ok(text)],
        FileBody::Range(range) => vec![Err(range)],
        FileBody::Parts(parts, end) => {
            let parts = parts.into_iter().flat_map(|(before, range)| [Ok(before), Err(range)]);
            parts.chain([Ok(end)]).collect()
        }
    }
}

/// The same, to be sent as it is; what of the file the socket does not take at once, `threads` send.
pub fn parts(body: FileBody, file: &Arc<File>, threads: &Arc<BlockingThreads>) -> Vec<Part> {
    let part = |piece| match piece {
        Ok(bytes) => Part::Bytes(bytes),
        Err(Range { start, end }) => {
            let (file, threads) = (file.clone(), Some(threads.clone()));
            Part::File(FileRange { file, offset: start, length: end - start, threads })
        }
    };
    pieces(body).into_iter().map(part).collect()
}
