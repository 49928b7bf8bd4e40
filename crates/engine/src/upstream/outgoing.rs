//! A request on its way to a member: its head, then its body as it comes from its source, in the member's protocol.

use super::encoding::BodyEncoding;
use super::ends::RequestSource;
use super::link::Link;
use crate::clock;
use crate::message::spoken::Protocol;
use portico_wire::Framing;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// A first block up to this size leaves with the head.
const SMALL_BLOCK_BYTES: usize = 16 * 1024;

/// A request that is to be sent.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// What is spoken with the member.
    pub protocol: Protocol,
    /// The request's head, encoded.
    pub head: &'a [u8],
    /// How its body is framed.
    pub framing: Framing,
    /// The connection.
    pub link: &'a Link,
}

/// How far the sending of a request is, as the receiving of the response sees it.
#[derive(Default)]
pub struct Sending {
    stage: AtomicU8,
    /// Bytes that have left.
    sent: AtomicU64,
    /// When something last moved, or the stage changed; coarse milliseconds.
    moved_ms: AtomicU64,
}

impl Sending {
    /// Bytes are on their way to the server.
    pub const WRITES: u8 = 0;
    /// The client is waited for: the server owes nothing.
    pub const WAITS: u8 = 1;

    /// Another stage begins.
    pub fn enter(&self, stage: u8) {
        self.stage.store(stage, Relaxed);
        self.moved_ms.store(clock::coarse_ms(), Relaxed);
    }

    /// Whether nothing has left.
    pub fn is_unsent(&self) -> bool {
        self.sent.load(Relaxed) == 0
    }

    fn moved(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
        self.moved_ms.store(clock::coarse_ms(), Relaxed);
    }

    /// What is left of `patience_ms`; all of it while the client is waited for.
    pub fn left_ms(&self, patience_ms: u64) -> u64 {
        if self.stage.load(Relaxed) == Sending::WAITS {
            return patience_ms;
        }
        let since_ms = clock::coarse_ms().saturating_sub(self.moved_ms.load(Relaxed));
        patience_ms.saturating_sub(since_ms)
    }
}

/// Why sending has ended too early.
pub enum Unsent {
    /// The client is gone.
    Source,
    /// The server takes no more: it may have responded.
    Link(io::Error),
}

impl Outgoing<'_> {
    /// Sends the request.
    ///
    /// # Errors
    /// Whose end it was.
    pub async fn send(&self, source: &mut impl RequestSource, sending: &Sending) -> Result<(), Unsent> {
        if self.framing == Framing::Empty {
            return self.send_all(self.head, sending).await;
        }
        let encoding = BodyEncoding::of(self.protocol, self.framing);
        let mut out = self.head.to_vec();
        if !source.is_at_hand() {
            self.send_all(&out, sending).await?;
            out.clear();
        }
        loop {
            sending.enter(Sending::WAITS);
            let block = source.next().await.map_err(|_| Unsent::Source)?;
            sending.enter(Sending::WRITES);
            let Some(block) = block else {
                encoding.end(&mut out);
                return self.send_all(&out, sending).await;
            };
            if encoding != BodyEncoding::Plain || out.len() + block.len() <= SMALL_BLOCK_BYTES {
                encoding.wrap(&mut out, &block);
                self.send_all(&out, sending).await?;
            } else {
                self.send_all(&out, sending).await?;
                self.send_all(&block, sending).await?;
            }
            out.clear();
        }
    }

    async fn send_all(&self, bytes: &[u8], sending: &Sending) -> Result<(), Unsent> {
        self.link.send_all(bytes, |sent| sending.moved(sent)).await.map_err(Unsent::Link)
    }
}
