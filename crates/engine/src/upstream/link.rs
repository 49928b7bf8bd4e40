//! A connection to a member: plain, or with a session of TLS over it. All that is done with one is done here.

use super::session::Session;
use crate::connection::socket::{Socket, Then};
use crate::message::buffers::Buffers;
use crate::message::inbound::Inbound;
use std::io;

/// The connection.
pub enum Link {
    /// As it is.
    Plain(Socket),
    /// With a session. Its waits are futures of their own: in each exchange they would take more room than the rest.
    Tls(Box<Session>),
}

impl Link {
    /// Waits for bytes, which go into `inbound`; 0 at the end.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn fill(&self, inbound: &mut Option<Box<Inbound>>, buffers: &Buffers) -> io::Result<usize> {
        match self {
            Link::Plain(socket) => socket.fill(inbound, buffers).await,
            Link::Tls(session) => Box::pin(session.fill(inbound, buffers)).await,
        }
    }

    /// Sends `bytes`, waiting where the connection is full; says of each part that has left how long it was.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send_all(&self, mut bytes: &[u8], mut has_left: impl FnMut(usize)) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut sent = self.send(bytes)?;
            if sent == 0 {
                sent = match self {
                    Link::Plain(socket) => socket.write_when_ready(|| self.send(bytes)).await?,
                    Link::Tls(session) => Box::pin(session.send_when_ready(bytes)).await?,
                };
            }
            has_left(sent);
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        match self {
            Link::Plain(_) => Ok(()),
            Link::Tls(session) => Box::pin(session.flush()).await,
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Link::Plain(socket) => socket.send(bytes, Then::More),
            Link::Tls(session) => session.send(bytes),
        }
    }

    /// Says that no more will be sent.
    pub async fn end_sending(&self) {
        match self {
            Link::Plain(socket) => socket.end_sending(),
            Link::Tls(session) => Box::pin(session.end_sending()).await,
        }
    }

    /// Whether nothing has come, as it is to be between two requests: no byte that nobody has asked for, and no end.
    pub fn is_quiet(&self, buffers: &Buffers) -> bool {
        match self {
            Link::Plain(socket) if !socket.may_have_unread() => true,
            Link::Plain(socket) => {
                let mut buffer = buffers.take();
                let received = socket.receive(&mut buffer);
                buffers.give_back(buffer);
                received.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Link::Tls(session) => session.is_quiet(buffers),
        }
    }
}
