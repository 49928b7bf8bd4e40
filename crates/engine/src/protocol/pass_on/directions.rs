//! What the two directions of a request that is passed on know of each other.

use crate::connection::Connection;
use crate::timer::sleep;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Mutex;

/// Between two looks at whether all of a body has come.
const LOOK: Duration = Duration::from_millis(50);

/// What the two directions know of each other.
#[derive(Default)]
pub struct Shared {
    /// Whether the response has begun: after that no interim response is sent. Locked while one of them is written.
    pub is_responding: Mutex<bool>,
    /// Whether all of the request's body has come.
    pub is_complete: AtomicBool,
    /// Whether another protocol is spoken: who has closed its side may still listen.
    pub has_upgraded: AtomicBool,
}

impl Shared {
    /// Waits until the client has left that waits for its response: who closes its side does so, as far as the
    /// application is told, too. Before its body is complete the reader of that learns of it.
    pub async fn wait_for_disconnect(&self, connection: &Connection) {
        while !self.is_complete.load(Relaxed) {
            sleep(LOOK).await;
        }
        disconnected(connection).await;
        if self.has_upgraded.load(Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

/// Waits until the client of a complete request has left.
pub async fn disconnected(connection: &Connection) {
    // A connection that is broken has no client either.
    let _ = connection.socket.wait_disconnected().await;
}
