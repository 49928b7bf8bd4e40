//! The two ends of a request that is passed on, as the client side of the engine sees them: where its body comes from, and
//! where the response goes. The server's side implements them, and the tests do.

use portico_wire::ResponseHead;
use std::io;

/// The client has left, is too slow, or breaks a rule: there is no more of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceGone;

/// Where a request's body comes from, without its framing.
pub trait RequestSource: Send {
    /// The next bytes of the body, never none; `None` after its end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, SourceGone>> + Send;

    /// Whether `next` has something without waiting for the client.
    fn is_at_hand(&self) -> bool;

    /// Lets the body begin again, if nothing of it is lost yet: so that the request can be sent once more.
    fn rewind(&mut self) -> bool;

    /// After an upgrade: whatever the client sends, as it comes; `None` after it has closed its side.
    fn next_raw(&mut self) -> impl Future<Output = io::Result<Option<Vec<u8>>>> + Send;
}

/// Where a response goes. An error of any of these says that the client has left.
pub trait ResponseSink: Send {
    /// An interim response; `bytes` are those that the head was read from.
    fn interim(&mut self, head: &ResponseHead, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// The head of the response.
    fn start(&mut self, head: &ResponseHead, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Bytes of the body; after an upgrade, whatever the server sends.
    fn data(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Nothing more is there at the moment: what is coalesced leaves now.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        async { Ok(()) }
    }

    /// The body is complete. Without this, the response is not, and the client has to be able to tell.
    fn end(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

/// A body that is all in memory, or none.
#[derive(Clone, Default, Debug)]
pub struct WholeBody {
    bytes: Vec<u8>,
    is_used: bool,
}

impl WholeBody {
    /// This body.
    pub fn new(bytes: Vec<u8>) -> WholeBody {
        WholeBody { bytes, is_used: false }
    }
}

impl RequestSource for WholeBody {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, SourceGone> {
        let is_all = self.bytes.is_empty() || std::mem::replace(&mut self.is_used, true);
        Ok(if is_all { None } else { Some(self.bytes.clone()) })
    }

    fn is_at_hand(&self) -> bool {
        true
    }

    fn rewind(&mut self) -> bool {
        self.is_used = false;
        true
    }

    async fn next_raw(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
