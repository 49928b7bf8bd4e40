//! The body of a response with a file: what of it is read, and what is sent as it is.

use super::responder::Part;
use crate::blocking::BlockingThreads;
use crate::files::file_response::{FileBody, FileResponse, plain};
use crate::files::opening::Effort;
use crate::files::reading::{SMALL_BYTES, read};
use crate::message::send_queue::FileRange;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

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
        FileBody::Text(_) | FileBody::Shared(_) => return (response, None),
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

/// A piece of a body: bytes, or a range of the file.
pub type Piece = Result<Vec<u8>, Range<u64>>;

/// What is sent of a body, in order.
pub fn pieces(body: FileBody) -> Vec<Piece> {
    match body {
        FileBody::Text(text) => vec![Ok(text)],
        FileBody::Shared(bytes) => vec![Ok(bytes.as_ref().to_vec())],
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
