//! A request whose client wants a web socket: the application may speak that itself (`exchange/upgraded`). The connection's
//! own task waits for what it makes of it, and reads no further request meanwhile; then it carries the bytes both ways.
//!
//! No other deadline than the reader's holds: how long nobody says anything is the application's to judge.

use super::end::End;
use super::enqueue;
use super::pass_on::client_body::next_raw;
use super::pipelining::Found;
use crate::connection::Connection;
use crate::exchange::sending;
use crate::exchange::upgraded::Upgraded;
use crate::message::body::Body;
use crate::message::inbound::Inbound;
use crate::pace::Patience;
use crate::server::Server;
use crate::upstream::ends::{RequestSource, ResponseSink, SourceGone};
use crate::upstream::link::Link;
use crate::upstream::tunnel::Tunnel;
use portico_wire::ResponseHead;
use std::io;
use std::sync::Arc;

/// Queues a request of `head_bytes` that asks for a web socket; returns what the peer has already sent after it, if the
/// application has responded as to any other.
///
/// # Errors
/// The connection's life ends: because of a web socket, too, that has ended.
pub async fn offer(
    server: &Server,
    connection: &Arc<Connection>,
    found: Found,
    head_bytes: usize,
) -> Result<Option<Box<Inbound>>, End> {
    let Found { inbound, began_ms, .. } = found;
    if !connection.exchange.turn.wait_idle().await {
        return Err(End::Closing);
    }
    let early = enqueue::rest_of(connection, &inbound, head_bytes);
    let offered = Offered::new(connection);
    connection.submit(false);
    enqueue::push(server, connection, inbound, Body::Empty, true, began_ms);
    let link = tokio::select! {
        biased;
        link = offered.upgraded.taken() => link,
        is_idle = connection.exchange.turn.wait_idle() => return if is_idle { Ok(early) } else { Err(End::Closing) },
    };
    connection.trace(|| "upgraded by the application".into());
    // The end of the response before this one.
    sending::flush(connection);
    connection.socket.ask_for_life();
    offered.upgraded.begin();
    offered.carry(link, early).await;
    Err(End::Closing)
}

/// An upgrade as long as the application may make it, or has made it.
struct Offered<'a> {
    connection: &'a Arc<Connection>,
    upgraded: Arc<Upgraded>,
}

impl<'a> Offered<'a> {
    fn new(connection: &'a Arc<Connection>) -> Offered<'a> {
        let upgraded = Arc::new(Upgraded::new(&connection.resources));
        connection.exchange.offer(Some(upgraded.clone()));
        Offered { connection, upgraded }
    }

    /// Carries bytes until both sides have closed theirs, or one of them fails.
    async fn carry(&self, link: &Link, early: Option<Box<Inbound>>) {
        let Offered { connection, upgraded } = self;
        let mut source = FromClient { connection, upgraded, early };
        let mut sink = ToClient { connection, upgraded, patience: connection.patience() };
        let tunnel = Tunnel { link, idle_ms: u64::MAX, buffers: &connection.resources.buffers };
        if let Err(error) = tunnel.run(None, &mut source, &mut sink).await {
            connection.trace(|| format!("the upgrade has broken: {error}"));
        }
    }
}

impl Drop for Offered<'_> {
    fn drop(&mut self) {
        self.connection.exchange.offer(None);
        self.upgraded.end();
    }
}

/// What the client sends after its request.
struct FromClient<'a> {
    connection: &'a Arc<Connection>,
    upgraded: &'a Upgraded,
    /// What it has sent before it could know of the upgrade.
    early: Option<Box<Inbound>>,
}

impl RequestSource for FromClient<'_> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, SourceGone> {
        // The request has no body.
        Ok(None)
    }

    fn is_at_hand(&self) -> bool {
        true
    }

    fn rewind(&mut self) -> bool {
        false
    }

    async fn next_raw(&mut self) -> io::Result<Option<Vec<u8>>> {
        let block = next_raw(self.connection, &mut self.early).await?;
        self.upgraded.receives(block.as_ref().map_or(0, Vec::len));
        Ok(block)
    }
}

/// What the application writes.
struct ToClient<'a> {
    connection: &'a Arc<Connection>,
    upgraded: &'a Upgraded,
    patience: Patience,
}

impl ResponseSink for ToClient<'_> {
    async fn interim(&mut self, _head: &ResponseHead, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    async fn start(&mut self, _head: &ResponseHead, _bytes: &[u8]) -> io::Result<()> {
        // The application has it among its bytes.
        Ok(())
    }

    async fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.upgraded.sends(bytes);
        self.connection.send_rest(&mut self.patience, bytes).await
    }

    async fn end(&mut self) -> io::Result<()> {
        self.connection.begin_linger();
        self.upgraded.has_sent_all();
        Ok(())
    }
}
