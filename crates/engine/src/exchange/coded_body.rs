//! Receives the blocks of a response's body; hands on pieces of it in a content coding, each of which the client can
//! decode when it gets it. Runs on the thread that is in the application, where it can without the interpreter.

use crate::log::{Level, log};
use crate::message::encoder::{EncoderLease, Then};
use crate::message::response_head::ResponseHead;
use std::io;

/// So much of a block is encoded at a time: no response takes more memory than that, however large its blocks are.
pub const PIECE_BYTES: usize = 64 * 1024;

/// A body that is compressed.
pub struct CodedBody {
    encoder: EncoderLease,
    /// The head of a response whose body is one piece: it waits for the length of that.
    head: Option<ResponseHead>,
    /// The length of the body as the application has it, if it is known.
    declared: Option<u64>,
    /// How much of it has come.
    taken: u64,
    is_finished: bool,
    /// What a full socket has not taken.
    unsent: Option<Unsent>,
}

/// What has become of a block.
#[derive(Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Encoded bytes; perhaps none where more of the block follows.
    pub bytes: Vec<u8>,
    /// How much of the block this is.
    pub taken: usize,
    /// Whether the body is complete with it.
    pub is_complete: bool,
}

/// Encoded bytes from `offset` on that are to be queued.
pub struct Unsent {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The first that has not been sent.
    pub offset: usize,
    /// Whether the response ends with them.
    pub is_last: bool,
}

impl CodedBody {
    /// A body of `declared` bytes, if that is known. Where there is a `head`, all of them come in one block of at most
    /// `PIECE_BYTES`.
    pub fn new(encoder: EncoderLease, declared: Option<u64>, head: Option<ResponseHead>) -> CodedBody {
        CodedBody { encoder, head, declared, taken: 0, is_finished: false, unsent: None }
    }

    /// Bytes that may still come.
    pub fn remaining(&self) -> u64 {
        self.declared.map_or(u64::MAX, |declared| declared.saturating_sub(self.taken))
    }

    /// Whether some that were declared have not come.
    pub fn is_short(&self) -> bool {
        self.declared.is_some_and(|declared| declared > self.taken)
    }

    /// Whether its end is encoded, too.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// The head, once the length is known.
    pub fn take_head(&mut self) -> Option<ResponseHead> {
        self.head.take()
    }

    /// What is to be queued.
    pub fn take_unsent(&mut self) -> Option<Unsent> {
        self.unsent.take()
    }

    /// Keeps what is to be queued.
    pub fn keep_unsent(&mut self, unsent: Unsent) {
        self.unsent = Some(unsent);
    }

    /// Encodes a piece of a block, from its start on; `last` says that the body ends with the block.
    ///
    /// # Errors
    /// The encoder fails.
    pub fn encode(&mut self, block: &[u8], last: bool) -> io::Result<Encoded> {
        let (piece, rest) = block.split_at(block.len().min(PIECE_BYTES));
        self.taken += piece.len() as u64;
        // What is incomplete must not look as if it were not.
        let is_end = last && !self.is_short() || self.declared == Some(self.taken);
        let then = match rest {
            [] if is_end => Then::Finish,
            [] => Then::Flush,
            _ => Then::More,
        };
        self.is_finished = then == Then::Finish;
        let mut bytes = Vec::new();
        if !piece.is_empty() || self.is_finished {
            self.encoder.encode(piece, then, &mut bytes).inspect_err(|error| {
                log(Level::Error, &format!("cannot compress a response: {error}; it is aborted"));
            })?;
        }
        Ok(Encoded { bytes, taken: piece.len(), is_complete: self.is_finished })
    }
}
