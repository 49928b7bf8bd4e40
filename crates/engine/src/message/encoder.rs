//! Receives content; hands it on in a content coding. Encoders have small windows, count in the server's memory, and are
//! kept for the next response. Where there is no memory for one, responses are sent as they are.

use crate::budget::{Budget, Reservation};
use crate::lock::lock;
use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use flate2::{Compress, Compression, FlushCompress, Status};
use portico_wire::ContentCoding;
use std::io;
use std::sync::{Arc, Mutex};
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

/// How many are kept while no response needs them.
const KEPT: usize = 4;
/// Room for encoded bytes, at first and whenever it is full.
const ROOM_BYTES: usize = 4 * 1024;
/// Logarithm of gzip's window: what is further back than 32 KB is not looked for.
const GZIP_WINDOW_BITS: u8 = 15;
/// The same of zstd's, which would take megabytes, and of its tables.
const ZSTD_BITS: [CParameter; 3] = [CParameter::WindowLog(16), CParameter::HashLog(15), CParameter::ChainLog(15)];

/// The same of brotli's. Tables of what comes after this level take megabytes.
const BROTLI_WINDOW_BITS: u32 = 17;
const BROTLI_MOST_LEVEL: u32 = 5;

/// What becomes of content that an encoder has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It may stay in the encoder until more comes.
    More,
    /// The client can decode all of it.
    Flush,
    /// It was the last.
    Finish,
}

/// The encoders of a server.
pub struct Encoders {
    level: u32,
    memory: Arc<Budget>,
    idle: Mutex<Vec<Encoder>>,
}

impl Encoders {
    /// None yet. Level 1 is the quickest, 9 compresses best; they count in `memory`.
    pub fn new(level: u32, memory: &Arc<Budget>) -> Arc<Encoders> {
        Arc::new(Encoders { level, memory: memory.clone(), idle: Mutex::default() })
    }

    /// An encoder; none if there is no memory for it.
    pub fn take(self: &Arc<Self>, coding: ContentCoding) -> Option<EncoderLease> {
        let kept = {
            let mut idle = lock(&self.idle);
            let index = idle.iter().position(|encoder| encoder.coding() == coding);
            index.map(|index| idle.swap_remove(index))
        };
        let encoder = kept.or_else(|| Encoder::new(coding, self.level, &self.memory))?;
        Some(EncoderLease { encoder: Some(encoder), encoders: self.clone() })
    }
}

/// An encoder for one content.
pub struct EncoderLease {
    encoder: Option<Encoder>,
    encoders: Arc<Encoders>,
}

impl EncoderLease {
    /// Appends `content`, encoded as far as `then` wants it.
    ///
    /// # Errors
    /// The library fails: for want of memory, or by a mistake of ours.
    pub fn encode(&mut self, content: &[u8], then: Then, out: &mut Vec<u8>) -> io::Result<()> {
        let encoder = self.encoder.as_mut().ok_or(io::ErrorKind::InvalidInput)?;
        match &mut encoder.library {
            Library::Gzip(compress) => encode_gzip(compress, content, then, out),
            Library::Zstd(zstd) => encode_zstd(zstd, content, then, out),
            Library::Brotli(brotli) => encode_brotli(brotli, content, then, out),
        }
    }
}

impl Drop for EncoderLease {
    fn drop(&mut self) {
        if let Some(mut encoder) = self.encoder.take().filter(|_| lock(&self.encoders.idle).len() < KEPT)
            && encoder.reset()
        {
            lock(&self.encoders.idle).push(encoder);
        }
    }
}

/// Encodes one content at a time.
struct Encoder {
    library: Library,
    /// What it takes of the server's memory.
    _held: Reservation,
}

/// The encoders of the libraries.
enum Library {
    Gzip(Compress),
    Zstd(CCtx<'static>),
    Brotli(Box<BrotliEncoderStateStruct<StandardAlloc>>),
}

impl Encoder {
    fn new(coding: ContentCoding, level: u32, memory: &Arc<Budget>) -> Option<Encoder> {
        /// As zlib has it (deflateInit2) with this window.
        const GZIP_BYTES: u64 = 268 * 1024;
        /// The most of all levels with this window (ZSTD_sizeof_CCtx).
        const ZSTD_BYTES: u64 = 800 * 1024;
        /// The most of all levels up to that above.
        const BROTLI_BYTES: u64 = 2560 * 1024;
        let mut held = Reservation::for_response(memory);
        let library = match coding {
            ContentCoding::Gzip if held.grow(GZIP_BYTES) => {
                Library::Gzip(Compress::new_gzip(Compression::new(level), GZIP_WINDOW_BITS))
            }
            ContentCoding::Zstd if held.grow(ZSTD_BYTES) => Library::Zstd(zstd_context(level)?),
            ContentCoding::Brotli if held.grow(BROTLI_BYTES) => Library::Brotli(brotli_state(level)),
            _ => return None,
        };
        Some(Encoder { library, _held: held })
    }

    fn coding(&self) -> ContentCoding {
        match self.library {
            Library::Gzip(_) => ContentCoding::Gzip,
            Library::Zstd(_) => ContentCoding::Zstd,
            Library::Brotli(_) => ContentCoding::Brotli,
        }
    }

    /// Makes it as new; false if that fails.
    fn reset(&mut self) -> bool {
        match &mut self.library {
            Library::Gzip(compress) => {
                compress.reset();
                true
            }
            Library::Zstd(context) => context.reset(ResetDirective::SessionOnly).is_ok(),
            // It cannot be used again.
            Library::Brotli(_) => false,
        }
    }
}

fn encode_gzip(compress: &mut Compress, content: &[u8], then: Then, out: &mut Vec<u8>) -> io::Result<()> {
    let flush = match then {
        Then::More => FlushCompress::None,
        Then::Flush => FlushCompress::Sync,
        Then::Finish => FlushCompress::Finish,
    };
    let mut rest = content;
    loop {
        out.reserve(ROOM_BYTES);
        let before = compress.total_in();
        let status = compress.compress_vec(rest, out, flush).map_err(io::Error::other)?;
        let taken = usize::try_from(compress.total_in() - before).unwrap_or(usize::MAX);
        rest = rest.get(taken..).unwrap_or_default();
        // What it has left no room for comes next.
        let has_room = out.len() < out.capacity();
        match then {
            Then::Finish if status != Status::StreamEnd => {}
            Then::More | Then::Flush if !rest.is_empty() || !has_room => {}
            _ => return Ok(()),
        }
    }
}

fn zstd_context(level: u32) -> Option<CCtx<'static>> {
    let mut context = CCtx::try_create()?;
    let level = CParameter::CompressionLevel(level.try_into().ok()?);
    for parameter in ZSTD_BITS.into_iter().chain([level]) {
        context.set_parameter(parameter).ok()?;
    }
    Some(context)
}

fn encode_zstd(zstd: &mut CCtx<'_>, content: &[u8], then: Then, out: &mut Vec<u8>) -> io::Result<()> {
    let directive = match then {
        Then::More => ZSTD_EndDirective::ZSTD_e_continue,
        Then::Flush => ZSTD_EndDirective::ZSTD_e_flush,
        Then::Finish => ZSTD_EndDirective::ZSTD_e_end,
    };
    let mut input = InBuffer::around(content);
    loop {
        out.reserve(ROOM_BYTES);
        let end = out.len();
        let mut output = OutBuffer::around_pos(out, end);
        let left = zstd
            .compress_stream2(&mut output, &mut input, directive)
            .map_err(|code| io::Error::other(get_error_name(code)))?;
        // With `More` it may keep what it has taken.
        if input.pos() == content.len() && (left == 0 || then == Then::More) {
            return Ok(());
        }
    }
}

fn brotli_state(level: u32) -> Box<BrotliEncoderStateStruct<StandardAlloc>> {
    let mut state = Box::new(BrotliEncoderStateStruct::new(StandardAlloc::default()));
    state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, level.min(BROTLI_MOST_LEVEL));
    state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, BROTLI_WINDOW_BITS);
    state
}

fn encode_brotli(
    brotli: &mut BrotliEncoderStateStruct<StandardAlloc>,
    content: &[u8],
    then: Then,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let operation = match then {
        Then::More => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
        Then::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
        Then::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
    };
    let (mut left, mut taken) = (content.len(), 0);
    loop {
        let end = out.len();
        out.resize(end + ROOM_BYTES, 0);
        let (mut room, mut written) = (ROOM_BYTES, 0);
        let free = out.get_mut(end..).unwrap_or_default();
        let is_encoded = brotli.compress_stream(
            operation,
            &mut left,
            content,
            &mut taken,
            &mut room,
            free,
            &mut written,
            &mut None,
            &mut |_, _, _, _| (),
        );
        out.truncate(end + written);
        if !is_encoded {
            return Err(io::Error::other("the encoder of brotli has failed"));
        }
        if left == 0 && !brotli.has_more_output() && (then != Then::Finish || brotli.is_finished()) {
            return Ok(());
        }
    }
}
