//! A request body on its way in: receives what the socket brings, hands on the body's bytes without their framing,
//! as fast as the body's pace and the request's whole time ask for.
//!
//! Part of a connection's task; knows nothing of where the bytes go.

use super::{BodyError, Connection, Inbound};
use crate::bounds::{Bounds, Patience};
use crate::clock;
use crate::deadlines::Wait;
use portico_wire::{BodyDecoder, BodyStep, Framing};
use std::io;

/// The body.
pub struct Arriving {
    decoder: BodyDecoder,
    feed: Option<Box<Inbound>>,
    /// Bytes at the start of `feed` that have been decoded.
    used: usize,
    received: u64,
    /// How long its bytes may still be waited for.
    patience: Patience,
    /// When its request began, coarse milliseconds.
    pub began_ms: u64,
}

impl Arriving {
    /// A body whose first bytes are in `feed`.
    pub fn new(connection: &Connection, framing: Framing, feed: Box<Inbound>, began_ms: Option<u64>) -> Arriving {
        // The head is complete: its deadline has been met.
        connection.alarm.expect_nothing();
        let began_ms = began_ms.unwrap_or_else(clock::coarse_ms);
        let patience = Patience::new(connection.engine.bounds.body);
        Arriving { decoder: BodyDecoder::new(framing), feed: Some(feed), used: 0, received: 0, patience, began_ms }
    }

    /// Whether none of it has come.
    pub fn is_untouched(&self) -> bool {
        self.feed.as_ref().is_none_or(|feed| feed.is_empty())
    }

    /// Whether all of it has come.
    pub fn is_complete(&self) -> bool {
        self.decoder.is_done()
    }

    /// The next bytes of the body, as many as are at hand; `None` after its end.
    pub async fn next(&mut self, connection: &Connection) -> Result<Option<Vec<u8>>, BodyError> {
        let bounds = &connection.engine.bounds;
        loop {
            let block = self.decode(bounds)?;
            if !block.is_empty() {
                return Ok(Some(block));
            }
            if self.decoder.is_done() {
                return Ok(None);
            }
            self.fill(connection, bounds).await?;
        }
    }

    /// What is in the feed, in one block whatever the size of its chunks.
    fn decode(&mut self, bounds: &Bounds) -> Result<Vec<u8>, BodyError> {
        let mut block = Vec::new();
        let Some(feed) = &self.feed else { return Ok(block) };
        while !self.decoder.is_done() {
            let bytes = feed.bytes().get(self.used..).unwrap_or_default();
            match self.decoder.decode(bytes, &bounds.wire).map_err(BodyError::Malformed)? {
                BodyStep::Data { consumed, data } => {
                    block.extend_from_slice(bytes.get(data).unwrap_or_default());
                    self.used += consumed;
                }
                BodyStep::End { consumed } => self.used += consumed,
                BodyStep::NeedMore { consumed } => {
                    self.used += consumed;
                    break;
                }
            }
        }
        self.received += block.len() as u64;
        self.patience.moved(block.len() as u64);
        if self.received > bounds.request_body_bytes { Err(BodyError::TooLarge) } else { Ok(block) }
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
