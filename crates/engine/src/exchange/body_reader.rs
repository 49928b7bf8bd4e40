//! A request body on its way in: waits for the socket as long as the body's pace and the request's whole time allow, and
//! hands on the body's bytes without their framing.
//!
//! Part of a connection's task; knows nothing of where the bytes go.

use crate::clock;
use crate::connection::Connection;
use crate::deadline::Wait;
use crate::message::body::BodyError;
use crate::message::inbound::Inbound;
use crate::message::incoming_body::{IncomingBody, Records};
use crate::pace::Patience;
use crate::state::turn::State;
use std::io;

/// The reader of one body.
pub struct BodyReader {
    body: IncomingBody,
    /// How long its bytes may still be waited for.
    patience: Patience,
    /// Whether the latest read has left something in the socket.
    is_behind: bool,
    /// When its request began, coarse milliseconds.
    pub began_ms: u64,
}

impl BodyReader {
    /// A reader of `body`, whose request began at `began_ms`.
    pub fn new(connection: &Connection, body: IncomingBody, began_ms: u64) -> BodyReader {
        // The head is complete: its deadline has been met.
        connection.deadline.expect_nothing();
        let patience = Patience::new(connection.resources.settings.body_pace());
        BodyReader { body, patience, is_behind: false, began_ms }
    }

    /// Whether none of the body has come.
    pub fn is_untouched(&self) -> bool {
        self.body.is_untouched()
    }

    /// Whether all of the body has come.
    pub fn is_complete(&self) -> bool {
        self.body.is_complete()
    }

    /// Whether more of the body is there already.
    pub fn has_more(&self) -> bool {
        self.is_behind && !self.is_complete()
    }

    /// The whole body, if it is there already.
    ///
    /// # Errors
    /// Why it will never be complete.
    pub fn at_hand(&mut self, connection: &Connection) -> Result<Option<Vec<u8>>, BodyError> {
        self.body.at_hand(&connection.resources.settings)
    }

    /// The next bytes of the body, as many as are at hand; `None` after its end.
    ///
    /// # Errors
    /// Why it will never be complete.
    pub async fn next(&mut self, connection: &Connection) -> Result<Option<Vec<u8>>, BodyError> {
        loop {
            let block = self.body.decode(&connection.resources.settings)?;
            if !block.is_empty() {
                self.patience.moved(block.len() as u64);
                return Ok(Some(block));
            }
            if self.is_complete() {
                return Ok(None);
            }
            self.reply(connection).await?;
            if self.body.is_aborted() {
                return Err(BodyError::Aborted);
            }
            self.fill(connection).await?;
        }
    }

    /// Sends a reverse proxy its replies, unless a response is being written.
    async fn reply(&mut self, connection: &Connection) -> Result<(), BodyError> {
        if connection.exchange.turn.state() == State::Idle
            && let Some(replies) = self.body.replies()
        {
            let replies = std::mem::take(replies);
            connection.send_all(&replies).await.map_err(|_| BodyError::Aborted)?;
        }
        Ok(())
    }

    /// Waits for bytes as long as the body's pace and the request's whole time allow.
    async fn fill(&mut self, connection: &Connection) -> Result<(), BodyError> {
        self.body.forget_used();
        let began_ms = clock::coarse_ms();
        let request_ms = connection.resources.settings.request_timeout_s.ms();
        let left_ms = self.began_ms.saturating_add(request_ms).saturating_sub(began_ms);
        connection.expect(Wait::Body, left_ms.min(self.patience.left_ms()));
        let filled = connection.fill_in_time(&mut self.body.feed).await;
        connection.deadline.expect_nothing();
        self.patience.waited(clock::coarse_ms() - began_ms);
        self.is_behind = self.body.feed.as_ref().is_some_and(|feed| feed.is_full());
        match filled {
            Ok(0) => Err(BodyError::Aborted),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(BodyError::Slow),
            Err(_) => Err(BodyError::Aborted),
        }
    }

    /// What is known at the end of a body in records; with what came after it.
    pub fn into_records(mut self, connection: &Connection) -> (Records, Option<Box<Inbound>>) {
        let records = self.body.take_records();
        (records, self.into_leftover(connection))
    }

    /// Whether something came after the body's end.
    pub fn has_leftover(&self) -> bool {
        self.body.has_leftover()
    }

    /// What came after the body's end.
    pub fn into_leftover(self, connection: &Connection) -> Option<Box<Inbound>> {
        let feed = self.body.into_feed()?;
        if feed.is_empty() {
            connection.resources.buffers.give_back(feed);
            return None;
        }
        Some(feed)
    }
}
