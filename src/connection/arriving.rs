//! A request body on its way in: receives what the socket brings, hands on the body's bytes without their framing,
//! as fast as the body's pace and the request's whole time ask for.
//!
//! Part of a connection's task; knows nothing of where the bytes go.

use super::{BodyError, Connection, Inbound, State};
use crate::bounds::{Bounds, Patience};
use crate::clock;
use crate::deadlines::Wait;
use portico_wire::{
    BodyDecoder, BodyStep, FastCgiEnd, FastCgiReader, FastCgiStep, Framing, WireError, write_end_request,
};
use std::io;

/// What a front server may be told later, at most: with more of it something is wrong there.
const MOST_REPLY_BYTES: usize = 4096;

/// The body.
pub struct Arriving {
    decoder: Decoder,
    feed: Option<Box<Inbound>>,
    /// Bytes at the start of `feed` that have been decoded.
    used: usize,
    /// Bytes of the body that were decoded and not handed on yet.
    early: Vec<u8>,
    received: u64,
    /// How long its bytes may still be waited for.
    patience: Patience,
    /// When its request began, coarse milliseconds.
    pub began_ms: u64,
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
    /// What the front server has to be told, once no answer is on its way.
    pub replies: Vec<u8>,
    is_done: bool,
    /// Whether the front server has said that nobody wants an answer.
    is_aborted: bool,
}

impl Arriving {
    /// A body whose first bytes are in `feed`.
    pub fn new(connection: &Connection, framing: Framing, feed: Box<Inbound>, began_ms: Option<u64>) -> Arriving {
        // The head is complete: its deadline has been met.
        connection.alarm.expect_nothing();
        let began_ms = began_ms.unwrap_or_else(clock::coarse_ms);
        Arriving::with(connection, Decoder::Http(BodyDecoder::new(framing)), Some(feed), 0, began_ms)
    }

    /// The body of a FastCGI request whose variables `reader` has found complete; the first `used` bytes of `feed` are
    /// done with.
    pub fn of_records(
        connection: &Connection,
        reader: FastCgiReader,
        feed: Option<Box<Inbound>>,
        used: usize,
        began_ms: u64,
    ) -> Arriving {
        let records = Records { reader, ..Records::default() };
        Arriving::with(connection, Decoder::Records(Box::new(records)), feed, used, began_ms)
    }

    fn with(
        connection: &Connection,
        decoder: Decoder,
        feed: Option<Box<Inbound>>,
        used: usize,
        began_ms: u64,
    ) -> Arriving {
        let patience = Patience::new(connection.engine.bounds.body);
        Arriving { decoder, feed, used, early: Vec::new(), received: 0, patience, began_ms }
    }

    /// Whether none of it has come.
    pub fn is_untouched(&self) -> bool {
        self.feed.as_ref().is_none_or(|feed| feed.is_empty())
    }

    /// Whether all of it has come.
    pub fn is_complete(&self) -> bool {
        match &self.decoder {
            Decoder::Http(decoder) => decoder.is_done(),
            Decoder::Records(records) => records.is_done,
        }
    }

    /// Whether it will never be complete, by a word of the front server.
    fn is_aborted(&self) -> bool {
        matches!(&self.decoder, Decoder::Records(records) if records.is_aborted)
    }

    /// The whole body, if it is there already.
    ///
    /// # Errors
    /// Why it will never be complete.
    pub fn at_hand(&mut self, connection: &Connection) -> Result<Option<Vec<u8>>, BodyError> {
        let block = self.decode(&connection.engine.bounds)?;
        if self.is_complete() {
            return Ok(Some(block));
        }
        self.early = block;
        Ok(None)
    }

    /// The next bytes of the body, as many as are at hand; `None` after its end.
    pub async fn next(&mut self, connection: &Connection) -> Result<Option<Vec<u8>>, BodyError> {
        let bounds = &connection.engine.bounds;
        loop {
            let block = if self.early.is_empty() { self.decode(bounds)? } else { std::mem::take(&mut self.early) };
            if !block.is_empty() {
                return Ok(Some(block));
            }
            if self.is_complete() {
                return Ok(None);
            }
            self.reply(connection).await?;
            if self.is_aborted() {
                return Err(BodyError::Cut);
            }
            self.fill(connection, bounds).await?;
        }
    }

    /// What is in the feed, in one block whatever the size of its chunks or records.
    fn decode(&mut self, bounds: &Bounds) -> Result<Vec<u8>, BodyError> {
        let mut block = Vec::new();
        let Some(feed) = &self.feed else { return Ok(block) };
        let bytes = feed.bytes().get(self.used..).unwrap_or_default();
        self.used += match &mut self.decoder {
            Decoder::Http(decoder) => decode_http(decoder, bytes, bounds, &mut block)?,
            Decoder::Records(records) => records.decode(bytes, bounds, &mut block)?,
        };
        self.received += block.len() as u64;
        self.patience.moved(block.len() as u64);
        if self.received > bounds.request_body_bytes { Err(BodyError::TooLarge) } else { Ok(block) }
    }

    /// Tells a front server what it has to be told, unless an answer is being written.
    async fn reply(&mut self, connection: &Connection) -> Result<(), BodyError> {
        let Decoder::Records(records) = &mut self.decoder else { return Ok(()) };
        if !records.replies.is_empty() && connection.state() == State::Ready {
            connection.send_all(&std::mem::take(&mut records.replies)).await.map_err(|_| BodyError::Cut)?;
        }
        Ok(())
    }

    /// Waits for bytes as long as the body's pace and the request's whole time allow.
    async fn fill(&mut self, connection: &Connection, bounds: &Bounds) -> Result<(), BodyError> {
        self.forget_used();
        let began_ms = clock::coarse_ms();
        let left_ms = self.began_ms.saturating_add(bounds.request_ms).saturating_sub(began_ms);
        connection.expect(Wait::Body, left_ms.min(self.patience.left_ms()));
        let filled = connection.fill_in_time(&mut self.feed).await;
        connection.alarm.expect_nothing();
        self.patience.waited(clock::coarse_ms() - began_ms);
        match filled {
            Ok(0) => Err(BodyError::Cut),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(BodyError::Slow),
            Err(_) => Err(BodyError::Cut),
        }
    }

    /// What is known at the end of a body in records; with what came after it.
    pub fn into_records(mut self, connection: &Connection) -> (Records, Option<Box<Inbound>>) {
        let records = match &mut self.decoder {
            Decoder::Records(records) => std::mem::take(&mut **records),
            Decoder::Http(_) => Records::default(),
        };
        (records, self.leftover(connection))
    }

    /// What came after the body's end.
    pub fn leftover(mut self, connection: &Connection) -> Option<Box<Inbound>> {
        self.forget_used();
        let feed = self.feed?;
        if feed.is_empty() {
            connection.engine.return_buffer(feed);
            return None;
        }
        Some(feed)
    }

    /// Once for a whole buffer: moving the rest to its start after each chunk would make small chunks dear.
    fn forget_used(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.consume(std::mem::take(&mut self.used));
        }
    }
}

fn decode_http(
    decoder: &mut BodyDecoder,
    bytes: &[u8],
    bounds: &Bounds,
    block: &mut Vec<u8>,
) -> Result<usize, BodyError> {
    let mut used = 0;
    while !decoder.is_done() {
        let rest = bytes.get(used..).unwrap_or_default();
        match decoder.decode(rest, &bounds.wire).map_err(BodyError::Malformed)? {
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
    fn decode(&mut self, bytes: &[u8], bounds: &Bounds, block: &mut Vec<u8>) -> Result<usize, BodyError> {
        let mut used = 0;
        while !self.is_done && !self.is_aborted {
            let rest = bytes.get(used..).unwrap_or_default();
            match self.reader.read(rest, &bounds.gateway).map_err(BodyError::Malformed)? {
                FastCgiStep::Stdin { consumed, data } => {
                    block.extend_from_slice(rest.get(data).unwrap_or_default());
                    used += consumed;
                }
                FastCgiStep::StdinEnd { consumed } => {
                    used += consumed;
                    self.is_done = true;
                }
                FastCgiStep::NeedMore { consumed } => {
                    used += consumed;
                    break;
                }
                FastCgiStep::Reply { consumed, reply } => {
                    used += consumed;
                    if self.replies.len() > MOST_REPLY_BYTES {
                        return Err(BodyError::Malformed(WireError::FASTCGI_ORDER));
                    }
                    reply.write(&mut self.replies);
                }
                FastCgiStep::Abort { consumed } => {
                    used += consumed;
                    self.is_aborted = true;
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
