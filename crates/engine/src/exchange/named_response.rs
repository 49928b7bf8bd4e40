//! The response with a file that the application has named in place of a body. On the application's thread, outside the
//! interpreter, where it may wait for a disk; it ends once the client has taken enough.

use super::block_writer::Sent;
use super::file_parts::{BLOCK_BYTES, in_memory, parts, pieces};
use super::responder::Responder;
use crate::clock::DateHeader;
use crate::files::asked::Fields;
use crate::files::file_response::FileBody;
use crate::files::named_files::{Named, NamedFile};
use crate::files::opening::Effort;
use crate::files::reading::read;
use crate::message::inbound::Inbound;
use crate::message::response_head::ResponseHead;
use std::fs::File;
use std::io;

/// What was sent.
pub struct NamedResponse {
    /// The status.
    pub status: u16,
    /// How many bytes of the body.
    pub body_bytes: u64,
    /// Why it was not the named file, if it was not.
    pub why_not: Option<String>,
    /// Whether the client was gone before the head could reach it.
    pub is_abandoned: bool,
}

/// Sends the file that `head` has `named` as the response to `inbound`, and ends that.
pub async fn send(
    mut responder: Responder,
    head: &ResponseHead,
    named: &NamedFile,
    inbound: &Inbound,
    date: &mut DateHeader,
) -> NamedResponse {
    let resources = responder.connection().resources.clone();
    let Some(files) = &resources.named_files else {
        responder.abort();
        return NamedResponse { status: 0, body_bytes: 0, why_not: None, is_abandoned: false };
    };
    let fields = Fields::of(inbound);
    let Named { response, file, why_not } = files.respond(named, head, &fields.asked(inbound));
    let (response, file) = in_memory(response, file, inbound.head.is_head, Effort::Waiting);
    let status = response.head.status;
    responder.has_its_coding();
    responder.start(&response.head, None, date);
    let is_abandoned = responder.is_abandoned;
    let body_bytes = match (response.body, file) {
        (FileBody::Text(text), _) => send_text(responder, text).await,
        (body, Some(file)) if responder.can_send_file() => {
            responder.send_parts(parts(body, &file.into(), &resources.file_threads))
        }
        (body, Some(file)) => send_read(responder, body, &file).await,
        // Bytes of a file always come with it.
        (_, None) => 0,
    };
    NamedResponse { status, body_bytes, why_not, is_abandoned }
}

async fn send_text(mut responder: Responder, text: Vec<u8>) -> u64 {
    let text = if responder.has_body() { text } else { Vec::new() };
    send_block(&mut responder, text, true).await.map_or(0, |()| responder.body_bytes)
}

/// Sends a body that has to be read, since records stand around it. One that cannot be read, or that nobody takes, ends
/// in the middle.
async fn send_read(mut responder: Responder, body: FileBody, file: &File) -> u64 {
    let mut left = pieces(body).into_iter().peekable();
    while let Some(piece) = left.next() {
        let is_last = left.peek().is_none();
        let sent = match piece {
            Ok(bytes) => send_block(&mut responder, bytes, is_last).await,
            Err(mut range) => loop {
                let next = range.start..range.end.min(range.start + BLOCK_BYTES);
                range.start = next.end;
                let is_end = range.start >= range.end;
                let sent = match read(file, &next, Effort::Waiting) {
                    Ok(block) => send_block(&mut responder, block, is_last && is_end).await,
                    Err(error) => Err(error),
                };
                if is_end || sent.is_err() {
                    break sent;
                }
            },
        };
        if sent.is_err() {
            break;
        }
    }
    let body_bytes = responder.body_bytes;
    // All of it may have been sent, and then this changes nothing.
    responder.abort();
    body_bytes
}

async fn send_block(responder: &mut Responder, block: Vec<u8>, is_last: bool) -> io::Result<()> {
    let length = block.len();
    match responder.block(&block, is_last)? {
        Sent::All => Ok(()),
        Sent::Full(offset) => responder.queue(Box::new(block), offset, length, is_last).await,
    }
}
