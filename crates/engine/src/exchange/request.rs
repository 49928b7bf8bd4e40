//! A complete request on its way to the application: what the crew queues.

use crate::admission::Room;
use crate::connection::Connection;
use crate::files::error_pages::Whose;
use crate::message::body::Body;
use crate::message::inbound::Inbound;
use portico_crew::Job;
use std::sync::Arc;

/// A request.
pub struct Request {
    /// Where it came from and where the response goes.
    pub connection: Arc<Connection>,
    /// Its head, and the bytes the head points into.
    pub inbound: Box<Inbound>,
    /// Its body.
    pub body: Body,
    /// Which of the server's applications it is for.
    pub application: usize,
    /// How many bytes before its path are where that is mounted, by the routes.
    pub mounted: u32,
    /// Whose error pages it gets, if it gets any.
    pub whose: Whose,
    /// Whether the connection may be kept after the response.
    pub keep_alive: bool,
    /// When it was complete (or, streamed, when its head was), monotonic nanoseconds.
    pub arrived_ns: u64,
    /// Since when its client waits, as far as the queue is concerned, monotonic nanoseconds.
    pub since_ns: u64,
    /// Its room among the requests in flight, from when it is queued.
    pub room: Option<Room>,
}

impl Job for Request {
    fn waiting_since_ns(&self) -> u64 {
        self.since_ns
    }

    /// The path's first segment, in its application.
    fn route(&self) -> usize {
        let path = self.inbound.head.path.of(self.inbound.bytes());
        let end = path.iter().skip(1).position(|byte| *byte == b'/').map_or(path.len(), |end| end + 1);
        // FNV-1a: a few multiplications, good enough for the few routes that are told apart.
        path.iter().take(end.min(32)).fold(0xcbf2_9ce4_8422_2325_usize ^ self.application, |hash, byte| {
            (hash ^ usize::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        }) >> 7
    }
}
