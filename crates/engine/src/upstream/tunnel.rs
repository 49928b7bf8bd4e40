//! After an upgrade: bytes of another protocol, both ways, until both sides have closed theirs, one of them fails, or
//! nothing has moved for too long.

use super::ends::{RequestSource, ResponseSink};
use super::link::Link;
use crate::clock;
use crate::message::buffers::Buffers;
use crate::message::inbound::Inbound;
use crate::timer::sleep;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A tunnel.
pub struct Tunnel<'a> {
    /// The connection to the server.
    pub link: &'a Link,
    /// How long nothing may move, in milliseconds.
    pub idle_ms: u64,
    /// Where read buffers come from.
    pub buffers: &'a Buffers,
}

impl Tunnel<'_> {
    /// Carries bytes to the end; `early` has what the server has already sent.
    ///
    /// # Errors
    /// One of both sides has failed, or nothing has moved.
    pub async fn run(
        &self,
        early: Option<Box<Inbound>>,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> io::Result<()> {
        let moved_ms = AtomicU64::new(clock::coarse_ms());
        let mut up = pin!(self.carry_up(source, &moved_ms));
        let mut down = pin!(self.carry_down(early, sink, &moved_ms));
        let mut idle = pin!(self.wait_for_idleness(&moved_ms));
        let (mut is_up_open, mut is_down_open) = (true, true);
        while is_up_open || is_down_open {
            tokio::select! {
                biased;
                ended = &mut up, if is_up_open => {
                    ended?;
                    is_up_open = false;
                }
                ended = &mut down, if is_down_open => {
                    ended?;
                    is_down_open = false;
                }
                () = &mut idle => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        Ok(())
    }

    /// From the client to the server.
    async fn carry_up(&self, source: &mut impl RequestSource, moved_ms: &AtomicU64) -> io::Result<()> {
        while let Some(block) = source.next_raw().await? {
            self.link.send_all(&block, |_| moved_ms.store(clock::coarse_ms(), Relaxed)).await?;
        }
        self.link.end_sending().await;
        Ok(())
    }

    /// From the server to the client.
    async fn carry_down(
        &self,
        mut inbound: Option<Box<Inbound>>,
        sink: &mut impl ResponseSink,
        moved_ms: &AtomicU64,
    ) -> io::Result<()> {
        loop {
            if let Some(buffer) = inbound.take() {
                if !buffer.is_empty() {
                    sink.data(buffer.bytes()).await?;
                    moved_ms.store(clock::coarse_ms(), Relaxed);
                }
                self.buffers.give_back(buffer);
            }
            sink.flush().await?;
            if self.link.fill(&mut inbound, self.buffers).await? == 0 {
                return sink.end().await;
            }
        }
    }

    async fn wait_for_idleness(&self, moved_ms: &AtomicU64) {
        let mut left_ms = self.idle_ms;
        while left_ms > 0 {
            sleep(Duration::from_millis(left_ms)).await;
            let since_ms = clock::coarse_ms().saturating_sub(moved_ms.load(Relaxed));
            left_ms = self.idle_ms.saturating_sub(since_ms);
        }
    }
}
