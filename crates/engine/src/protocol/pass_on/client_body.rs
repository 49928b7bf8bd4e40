//! The body of a request that is passed on, on its way in from the client.

use super::directions::Shared;
use crate::connection::Connection;
use crate::exchange::body_reader::BodyReader;
use crate::message::body::BodyError;
use crate::message::inbound::Inbound;
use crate::upstream::ends::{RequestSource, SourceGone};
use portico_wire::CONTINUE;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What of a request's body is kept so that it can be sent once more.
const KEPT_BYTES: usize = 64 * 1024;

/// The request's body, on its way in.
pub struct ClientBody<'a> {
    connection: &'a Arc<Connection>,
    /// None after an upgrade.
    pub reader: Option<BodyReader>,
    shared: &'a Shared,
    /// Whether the client waits for a 100 before it sends.
    expects_continue: bool,
    /// What has come so far, if it is not too much.
    kept: Vec<Vec<u8>>,
    kept_bytes: usize,
    /// Blocks of `kept` that were handed on since it last began.
    handed_on: usize,
    /// What the client has sent after an upgrade, not handed on yet.
    raw: Option<Box<Inbound>>,
    /// Why there is no more of it.
    pub error: Option<BodyError>,
}

impl<'a> ClientBody<'a> {
    /// The body of `request`, which `reader` reads.
    pub fn new(
        connection: &'a Arc<Connection>,
        request: &Inbound,
        reader: BodyReader,
        shared: &'a Shared,
    ) -> ClientBody<'a> {
        note(connection, &reader, shared);
        ClientBody {
            connection,
            expects_continue: request.head.expect_continue && reader.is_untouched(),
            reader: Some(reader),
            shared,
            kept: Vec::new(),
            kept_bytes: 0,
            handed_on: 0,
            raw: None,
            error: None,
        }
    }

    /// Whether all of it has come, also what nobody has asked for.
    pub fn is_all_there(&mut self) -> bool {
        if let Some(reader) = &mut self.reader
            && !reader.is_complete()
            && matches!(reader.at_hand(self.connection), Ok(Some(_)))
        {
            note(self.connection, reader, self.shared);
        }
        self.shared.is_complete.load(Relaxed)
    }

    /// Has a client that waits for it send its body (RFC 9110 10.1.1), unless it has its response already.
    async fn send_continue(&mut self) -> io::Result<()> {
        let is_responding = self.shared.is_responding.lock().await;
        if std::mem::take(&mut self.expects_continue) && !*is_responding {
            self.connection.send_all(CONTINUE).await?;
        }
        Ok(())
    }
}

/// Notes whether all of the body has come, and with it what the client has sent after it.
fn note(connection: &Connection, reader: &BodyReader, shared: &Shared) {
    shared.is_complete.store(reader.is_complete(), Relaxed);
    connection.exchange.note_more(reader.is_complete() && reader.has_leftover());
}

impl RequestSource for ClientBody<'_> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, SourceGone> {
        if let Some(block) = self.kept.get(self.handed_on) {
            self.handed_on += 1;
            return Ok(Some(block.clone()));
        }
        if self.expects_continue {
            self.send_continue().await.map_err(|_| SourceGone)?;
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let read = reader.next(self.connection).await;
        note(self.connection, reader, self.shared);
        let block = read.map_err(|error| {
            self.error = Some(error);
            SourceGone
        })?;
        if let Some(block) = &block {
            self.kept_bytes = self.kept_bytes.saturating_add(block.len());
            if self.kept_bytes <= KEPT_BYTES {
                self.kept.push(block.clone());
                self.handed_on += 1;
            } else {
                self.kept = Vec::new();
                self.handed_on = 0;
            }
        }
        Ok(block)
    }

    fn is_at_hand(&self) -> bool {
        let has_come = || self.reader.as_ref().is_none_or(|reader| reader.is_complete() || !reader.is_untouched());
        self.handed_on < self.kept.len() || has_come()
    }

    fn rewind(&mut self) -> bool {
        self.handed_on = 0;
        self.kept_bytes <= KEPT_BYTES
    }

    async fn next_raw(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(reader) = self.reader.take() {
            self.raw = reader.into_leftover(self.connection);
        }
        next_raw(self.connection, &mut self.raw).await
    }
}

/// After an upgrade: what the client has sent, that in `raw` first; `None` after it has closed its side.
///
/// # Errors
/// The connection is broken.
pub async fn next_raw(connection: &Connection, raw: &mut Option<Box<Inbound>>) -> io::Result<Option<Vec<u8>>> {
    if raw.is_none() && connection.fill(raw).await? == 0 {
        return Ok(None);
    }
    let Some(buffer) = raw.take() else { return Ok(None) };
    let bytes = buffer.bytes().to_vec();
    connection.resources.buffers.give_back(buffer);
    Ok(Some(bytes))
}
