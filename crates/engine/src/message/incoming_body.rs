//! The bytes of a request body out of their framing: those of HTTP or of FastCGI's records. Takes what the socket
//! brings, hands on blocks; no sockets and no clock.

use super::body::BodyError;
use super::inbound::Inbound;
use crate::settings::Settings;
use portico_wire::{
    BodyDecoder, BodyStep, FastCgiEnd, FastCgiReader, FastCgiStep, Framing, WireError, write_end_request,
};

/// Replies that may wait for a reverse proxy, at most: with more of them something is wrong there.
const MAX_REPLY_BYTES: usize = 4096;

/// A body on its way in.
pub struct IncomingBody {
    decoder: Decoder,
    /// What the socket has brought: the first `used` bytes have been decoded.
    pub feed: Option<Box<Inbound>>,
    used: usize,
    /// Bytes of the body that were decoded and not handed on yet.
    early: Vec<u8>,
    received: u64,
}

/// What the bytes are in.
enum Decoder {
    /// HTTP's framing.
    Http(BodyDecoder),
    /// Records of FastCGI.
    Records(Box<Records>),
}

/// A body in records, and what else there is to know when it has ended.
#[derive(Default)]
pub struct Records {
    /// Reads the connection.
    pub reader: FastCgiReader,
    /// Replies for the reverse proxy, to be sent once no response is on its way.
    pub replies: Vec<u8>,
    progress: Progress,
}

/// How far a body in records has come.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Progress {
    /// There is more of it.
    #[default]
    Open,
    /// All of it has come.
    Done,
    /// The reverse proxy has said that nobody wants a response.
    Aborted,
}

impl IncomingBody {
    /// A body whose first bytes are in `feed`.
    pub fn new(framing: Framing, feed: Box<Inbound>) -> IncomingBody {
        IncomingBody::with(Decoder::Http(BodyDecoder::new(framing)), Some(feed), 0)
    }

    /// The body of a FastCGI request whose variables `reader` has found complete; the first `used` bytes of `feed` are
    /// done with.
    pub fn of_records(reader: FastCgiReader, feed: Option<Box<Inbound>>, used: usize) -> IncomingBody {
        let records = Records { reader, ..Records::default() };
        IncomingBody::with(Decoder::Records(Box::new(records)), feed, used)
    }

    fn with(decoder: Decoder, feed: Option<Box<Inbound>>, used: usize) -> IncomingBody {
        IncomingBody { decoder, feed, used, early: Vec::new(), received: 0 }
    }

    /// Whether none of it has come.
    pub fn is_untouched(&self) -> bool {
        self.feed.as_ref().is_none_or(|feed| feed.is_empty())
    }

    /// Whether all of it has come.
    pub fn is_complete(&self) -> bool {
        match &self.decoder {
            Decoder::Http(decoder) => decoder.is_done(),
            Decoder::Records(records) => records.progress == Progress::Done,
        }
    }

    /// Whether it will never be complete, as the reverse proxy has said.
    pub fn is_aborted(&self) -> bool {
        matches!(&self.decoder, Decoder::Records(records) if records.progress == Progress::Aborted)
    }

    /// The whole body, if it is there already.
    ///
    /// # Errors
    /// Why it will never be complete.
    pub fn at_hand(&mut self, settings: &Settings) -> Result<Option<Vec<u8>>, BodyError> {
        let block = self.decode(settings)?;
        if self.is_complete() {
            return Ok(Some(block));
        }
        self.early = block;
        Ok(None)
    }

    /// What is in the feed, in one block whatever the size of its chunks or records; empty if more bytes are needed.
    ///
    /// # Errors
    /// Why it will never be complete.
    pub fn decode(&mut self, settings: &Settings) -> Result<Vec<u8>, BodyError> {
        if !self.early.is_empty() {
            return Ok(std::mem::take(&mut self.early));
        }
        let mut block = Vec::new();
        let Some(feed) = &self.feed else { return Ok(block) };
        let bytes = feed.bytes().get(self.used..).unwrap_or_default();
        self.used += match &mut self.decoder {
            Decoder::Http(decoder) => decode_http(decoder, bytes, settings, &mut block)?,
            Decoder::Records(records) => records.decode(bytes, settings, &mut block)?,
        };
        self.received += block.len() as u64;
        let is_too_large = self.received > settings.max_request_body_bytes.most();
        if is_too_large { Err(BodyError::TooLarge) } else { Ok(block) }
    }

    /// Replies for the reverse proxy, to be sent once no response is on its way.
    pub fn replies(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.decoder {
            Decoder::Records(records) if !records.replies.is_empty() => Some(&mut records.replies),
            _ => None,
        }
    }

    /// Makes room in the feed. Once for a whole buffer: moving the rest to its start after each chunk would make small
    /// chunks dear.
    pub fn forget_used(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.consume(std::mem::take(&mut self.used));
        }
    }

    /// What is known at the end of a body in records.
    pub fn take_records(&mut self) -> Records {
        match &mut self.decoder {
            Decoder::Records(records) => std::mem::take(&mut **records),
            Decoder::Http(_) => Records::default(),
        }
    }

    /// Whether something came after the body's end.
    pub fn has_leftover(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.bytes().len() > self.used)
    }

    /// The buffer, with what came after the body's end.
    pub fn into_feed(mut self) -> Option<Box<Inbound>> {
        self.forget_used();
        self.feed
    }
}

fn decode_http(
    decoder: &mut BodyDecoder,
    bytes: &[u8],
    settings: &Settings,
    block: &mut Vec<u8>,
) -> Result<usize, BodyError> {
    let mut used = 0;
    while !decoder.is_done() {
        let rest = bytes.get(used..).unwrap_or_default();
        match decoder.decode(rest, &settings.wire).map_err(BodyError::Malformed)? {
            BodyStep::Data { consumed, data } => {
                block.extend_from_slice(rest.get(data).unwrap_or_default());
                used += consumed;
            }
            BodyStep::End { consumed } => used += consumed,
            BodyStep::NeedMore { consumed } => {
                used += consumed;
                break;
            }
        }
    }
    Ok(used)
}

impl Records {
    fn decode(&mut self, bytes: &[u8], settings: &Settings, block: &mut Vec<u8>) -> Result<usize, BodyError> {
        let mut used = 0;
        while self.progress == Progress::Open {
            let rest = bytes.get(used..).unwrap_or_default();
            match self.reader.read(rest, &settings.gateway).map_err(BodyError::Malformed)? {
                FastCgiStep::Stdin { consumed, data } => {
                    block.extend_from_slice(rest.get(data).unwrap_or_default());
                    used += consumed;
                }
                FastCgiStep::StdinEnd { consumed } => {
                    used += consumed;
                    self.progress = Progress::Done;
                }
                FastCgiStep::NeedMore { consumed } => {
                    used += consumed;
                    break;
                }
                FastCgiStep::Reply { consumed, reply } => {
                    used += consumed;
                    if self.replies.len() > MAX_REPLY_BYTES {
                        return Err(BodyError::Malformed(WireError::FASTCGI_ORDER));
                    }
                    reply.write(&mut self.replies);
                }
                FastCgiStep::Abort { consumed } => {
                    used += consumed;
                    self.progress = Progress::Aborted;
                    write_end_request(&mut self.replies, self.reader.id(), FastCgiEnd::Complete { app_status: 0 });
                }
                FastCgiStep::Begin { .. } | FastCgiStep::Params { .. } | FastCgiStep::ParamsEnd { .. } => {
                    return Err(BodyError::Malformed(WireError::FASTCGI_ORDER));
                }
            }
        }
        Ok(used)
    }
}
