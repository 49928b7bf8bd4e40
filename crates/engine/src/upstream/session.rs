//! A session of TLS (RFC 8446) over a connection. The protocol is rustls's, which has no sockets: bytes go in and out here.
//!
//! Whatever a session has to send is tried at once; what the socket does not take is sent before anything else, or by
//! `flush`.

use super::tls::{ServerName, TlsTerms};
use crate::connection::socket::{Socket, Then};
use crate::lock::lock;
use crate::message::buffers::Buffers;
use crate::message::inbound::Inbound;
use rustls::ClientConnection;
use std::io::{self, BufRead as _, IoSlice, Write};
use std::sync::Mutex;

const UNSAID_END: &str = "the connection was closed, and that was not said before (close_notify)";

/// A session over a connection.
pub struct Session {
    socket: Socket,
    state: Mutex<State>,
}

/// The session as rustls has it, and whether the other end has ended it.
struct State {
    connection: ClientConnection,
    has_ended: bool,
}

impl Session {
    /// Begins one over `socket` with the server that `address` names; takes as long as the other end likes.
    ///
    /// # Errors
    /// There is no TLS at the other end, or it is not who it is to be.
    pub async fn open(
        socket: Socket,
        terms: &TlsTerms,
        server_name: &ServerName,
        buffers: &Buffers,
    ) -> io::Result<Session> {
        let connection = terms.begin(server_name).map_err(|error| failed(&error))?;
        let session = Session { socket, state: Mutex::new(State { connection, has_ended: false }) };
        let mut early = None;
        loop {
            session.flush().await?;
            if !lock(&session.state).connection.is_handshaking() {
                break;
            }
            if session.fill_once(&mut early, buffers).await? == Filled::End {
                return Err(failed(&UNSAID_END));
            }
        }
        // What comes unasked is the beginning of a response to nobody.
        if early.is_some() { Err(failed(&"bytes have come before a request")) } else { Ok(session) }
    }

    /// Waits for bytes; 0 at the end.
    ///
    /// # Errors
    /// The connection is broken, or was cut off: an end has to be said (RFC 8446 6.1, RFC 9112 9.8).
    pub async fn fill(&self, inbound: &mut Option<Box<Inbound>>, buffers: &Buffers) -> io::Result<usize> {
        loop {
            match self.fill_once(inbound, buffers).await? {
                Filled::Bytes(0) => {}
                Filled::Bytes(count) => return Ok(count),
                Filled::End => return Ok(0),
            }
        }
    }

    /// As `fill`, once: of what is read, all may be for TLS itself.
    async fn fill_once(&self, inbound: &mut Option<Box<Inbound>>, buffers: &Buffers) -> io::Result<Filled> {
        if lock(&self.state).has_ended {
            return Ok(Filled::End);
        }
        let mut sealed = None;
        let received = self.socket.fill(&mut sealed, buffers).await;
        let opened = received.and_then(|_| self.open_records(sealed.as_deref_mut(), inbound, buffers));
        if let Some(buffer) = sealed {
            buffers.give_back(buffer);
        }
        opened
    }

    /// Whether nothing has come: nothing for who asks, and no end.
    pub fn is_quiet(&self, buffers: &Buffers) -> bool {
        if !self.socket.may_have_unread() {
            return true;
        }
        let (mut sealed, mut inbound) = (buffers.take(), None);
        let is_quiet = loop {
            match self.socket.receive(&mut sealed) {
                Err(error) => break error.kind() == io::ErrorKind::WouldBlock,
                Ok(_) => match self.open_records(Some(&mut sealed), &mut inbound, buffers) {
                    Ok(Filled::Bytes(0)) => {}
                    Ok(_) | Err(_) => break false,
                },
            }
        };
        for buffer in [Some(sealed), inbound].into_iter().flatten() {
            buffers.give_back(buffer);
        }
        is_quiet
    }

    /// Opens the records that have come, and those whose beginning had; none at the end of the connection.
    fn open_records(
        &self,
        sealed: Option<&mut Inbound>,
        inbound: &mut Option<Box<Inbound>>,
        buffers: &Buffers,
    ) -> io::Result<Filled> {
        let mut state = lock(&self.state);
        let State { connection, has_ended } = &mut *state;
        let mut bytes = sealed.as_ref().map_or(&b""[..], |sealed| sealed.bytes());
        let mut opened = 0;
        loop {
            // An end of file too: of it, more than that nothing was read is to be noted.
            connection.read_tls(&mut bytes)?;
            // Somebody waits to send it, and would not hear that it has left: what follows it is his to send, too.
            let is_waited_for = connection.wants_write();
            let processed = connection.process_new_packets();
            // What is to be said of a mistake, or by TLS itself.
            let written = if is_waited_for { Ok(false) } else { write_out(connection, &self.socket) };
            *has_ended = processed.map_err(|error| failed(&error))?.peer_has_closed();
            written?;
            opened += take_opened(connection, inbound, buffers)?;
            // After the end nothing more is read.
            if bytes.is_empty() || *has_ended {
                break;
            }
        }
        if let Some(sealed) = sealed {
            sealed.consume(usize::MAX);
        }
        Ok(if opened == 0 && *has_ended { Filled::End } else { Filled::Bytes(opened) })
    }

    /// Takes bytes to send, and sends what the socket takes; how many it has taken, 0 if it is full.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let connection = &mut lock(&self.state).connection;
        if !write_out(connection, &self.socket)? {
            return Ok(0);
        }
        let taken = connection.writer().write(bytes)?;
        write_out(connection, &self.socket)?;
        Ok(taken)
    }

    /// Waits until more can be sent, and sends as `send` does.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send_when_ready(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write_when_ready(|| self.send(bytes)).await
    }

    /// Waits until all has left that was taken.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn flush(&self) -> io::Result<()> {
        let write = || Ok(usize::from(write_out(&mut lock(&self.state).connection, &self.socket)?));
        let mut has_left = write()?;
        while has_left == 0 {
            has_left = self.socket.write_when_ready(write).await?;
        }
        Ok(())
    }

    /// Says that no more will be sent.
    pub async fn end_sending(&self) {
        lock(&self.state).connection.send_close_notify();
        // Of a connection that is broken nothing more can be said.
        let _ = self.flush().await;
        self.socket.end_sending();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let connection = &mut lock(&self.state).connection;
        connection.send_close_notify();
        // It may be gone already, and nobody waits for it any more.
        let _ = write_out(connection, &self.socket);
    }
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// So many bytes; 0 if all was for TLS itself.
    Bytes(usize),
    /// The other end has said that there is no more.
    End,
}

/// Moves what was opened to `inbound`; returns how many bytes.
fn take_opened(
    connection: &mut ClientConnection,
    inbound: &mut Option<Box<Inbound>>,
    buffers: &Buffers,
) -> io::Result<usize> {
    let mut taken = 0;
    loop {
        let mut reader = connection.reader();
        let opened = match reader.fill_buf() {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(taken),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(failed(&UNSAID_END)),
            Err(error) => return Err(error),
        };
        if opened.is_empty() {
            return Ok(taken);
        }
        inbound.get_or_insert_with(|| buffers.take()).push(opened);
        let count = opened.len();
        taken += count;
        reader.consume(count);
    }
}

/// Sends what is to be sent; whether nothing of it is left.
fn write_out(connection: &mut ClientConnection, socket: &Socket) -> io::Result<bool> {
    while connection.wants_write() {
        match connection.write_tls(&mut Sealed(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Where records go.
struct Sealed<'a>(&'a Socket);

impl Write for Sealed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0.send_slices(slices, Then::More)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            sent => Ok(sent),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("TLS: {error}"))
}
