//! The life of a FastCGI connection: records in, one request at a time; its response's records go out as any response's
//! bytes do (`message/framing`).
//!
//! While a response is made only the end of the connection and ABORT_REQUEST are looked out for: what else comes may
//! be the next request already, since the end of a response is known here a moment later than at the reverse proxy.

use super::end::{End, finish};
use super::{enqueue, proxy_header};
use crate::clock;
use crate::connection::Connection;
use crate::deadline::Wait;
use crate::exchange::body_reader::BodyReader;
use crate::exchange::error_response::warn_about_reverse_proxy;
use crate::exchange::health;
use crate::message::body::Body;
use crate::message::framing::ResponseFraming;
use crate::message::inbound::Inbound;
use crate::message::incoming_body::IncomingBody;
use crate::server::Server;
use crate::state::turn::State;
use portico_wire::{FastCgiEnd, FastCgiReader, FastCgiStep, WireError, write_end_request};
use std::io;
use std::sync::Arc;

/// Takes a fresh connection over.
pub fn begin(server: &Arc<Server>, connection: Connection) {
    let connection = Arc::new(connection);
    connection.begin_task();
    connection.expect(Wait::FirstByte, connection.resources.settings.handshake_timeout_s.ms());
    tokio::spawn(run(server.clone(), connection));
}

async fn run(server: Arc<Server>, connection: Arc<Connection>) {
    let end = match proxy_header::read(&connection, None).await {
        Ok(feed) => {
            let (reader, replies) = (FastCgiReader::new(), Vec::new());
            Life { server: &server, connection: &connection, reader, feed, used: 0, replies }.serve().await
        }
        Err(end) => end,
    };
    finish(connection, end).await;
}

/// What comes in on one connection.
struct Life<'a> {
    server: &'a Server,
    connection: &'a Arc<Connection>,
    reader: FastCgiReader,
    feed: Option<Box<Inbound>>,
    /// Bytes at the start of `feed` that are done with.
    used: usize,
    /// Replies to be sent once the response is complete.
    replies: Vec<u8>,
}

/// A request that has begun.
struct Begun {
    id: u16,
    keep_connection: bool,
    /// Its variables so far.
    inbound: Box<Inbound>,
    /// Coarse milliseconds.
    began_ms: u64,
}

impl Life<'_> {
    async fn serve(&mut self) -> End {
        let resources = &self.server.resources;
        let settings = &resources.settings;
        let mut requests = 0;
        loop {
            let Begun { id, keep_connection, mut inbound, began_ms } = match self.read_params().await {
                Ok(begun) => begun,
                Err(end) => return end,
            };
            requests += 1;
            let is_last = requests >= settings.max_requests_per_connection.most();
            let keep_alive = keep_connection && !is_last && resources.keeps_connections();
            if let Err(error) = inbound.read_params(id, keep_alive, settings) {
                return End::of_head(error, Some(inbound), began_ms);
            }
            self.connection.trace(|| format!("head: {} bytes", inbound.bytes().len()));
            let content_length = inbound.gateway().and_then(|gateway| gateway.content_length);
            if content_length.is_some_and(|length| length > settings.max_request_body_bytes.most()) {
                return End::of_request(WireError::BODY_TOO_LARGE, inbound, began_ms);
            }
            self.reader.expect_body(content_length);
            if let Err(end) = self.read_body(inbound, began_ms).await {
                return end;
            }
            if let Err(end) = self.wait_responded(id).await {
                return end;
            }
            if !keep_alive {
                return End::Closing;
            }
            self.reader.finish();
            if !self.replies.is_empty()
                && let Err(error) = self.connection.send_all(&std::mem::take(&mut self.replies)).await
            {
                return error.into();
            }
        }
    }

    /// Reads records until the variables of a request are complete.
    async fn read_params(&mut self) -> Result<Begun, End> {
        let resources = &self.server.resources;
        let mut begun: Option<Begun> = None;
        loop {
            let start = self.used;
            let step = match self.next() {
                Ok(step) => step,
                Err(error) => return Err(self.broken(error, begun)),
            };
            match (step, &mut begun) {
                (FastCgiStep::Begin { id, keep_connection, .. }, _) => {
                    self.connection.expect(Wait::Head, resources.settings.head_ms());
                    let inbound = resources.buffers.take();
                    begun = Some(Begun { id, keep_connection, inbound, began_ms: clock::coarse_ms() });
                }
                (FastCgiStep::Params { data, .. }, Some(begun)) => {
                    let feed = self.feed.as_ref().map_or(&[][..], |feed| feed.bytes());
                    begun.inbound.push(feed.get(start + data.start..start + data.end).unwrap_or_default());
                }
                (FastCgiStep::ParamsEnd { .. }, _) => {
                    self.connection.deadline.expect_nothing();
                    return begun.ok_or(End::Gone);
                }
                (FastCgiStep::Reply { reply, .. }, _) => {
                    let mut out = Vec::new();
                    reply.write(&mut out);
                    self.connection.send_all(&out).await?;
                }
                (FastCgiStep::NeedMore { .. }, _) => {
                    if begun.is_some() {
                        enqueue::make_room(resources).await;
                    }
                    if let Err(error) = self.fill(begun.is_some()).await {
                        let late = begun.filter(|_| error.kind() == io::ErrorKind::TimedOut);
                        return Err(late.map_or(End::Gone, |begun| begun.reject(WireError::REQUEST_TIMEOUT_HEAD)));
                    }
                }
                (FastCgiStep::Abort { .. }, Some(begun)) => {
                    let mut out = Vec::new();
                    write_end_request(&mut out, begun.id, FastCgiEnd::Complete { app_status: 0 });
                    self.connection.send_all(&out).await?;
                    return Err(End::Closing);
                }
                // The reader sees to the order.
                _ => return Err(End::Gone),
            }
        }
    }

    /// Gets the body and queues the request.
    async fn read_body(&mut self, inbound: Box<Inbound>, began_ms: u64) -> Result<(), End> {
        let reader = std::mem::take(&mut self.reader);
        let used = std::mem::take(&mut self.used);
        let body = IncomingBody::of_records(reader, self.feed.take(), used);
        let mut reader = BodyReader::new(self.connection, body, began_ms);
        if health::is_health_check(&self.server.resources.settings, &inbound) {
            reader = self.respond_to_health_check(inbound, reader).await?;
        } else {
            reader = self.queue(inbound, reader, began_ms).await?;
        }
        let (records, feed) = reader.into_records(self.connection);
        (self.reader, self.replies, self.feed) = (records.reader, records.replies, feed);
        Ok(())
    }

    /// Once the empty body has ended; gives `reader` back.
    async fn respond_to_health_check(&self, inbound: Box<Inbound>, mut reader: BodyReader) -> Result<BodyReader, End> {
        if let Err(error) = reader.next(self.connection).await {
            return Err(End::of_body(self.connection, inbound, error, reader.began_ms));
        }
        health::respond(self.connection, &inbound, false);
        self.connection.resources.buffers.give_back(inbound);
        Ok(reader)
    }

    /// Queues the request as soon as it is complete, or is to be streamed; gives `reader` back.
    async fn queue(&self, mut inbound: Box<Inbound>, mut reader: BodyReader, began_ms: u64) -> Result<BodyReader, End> {
        match reader.at_hand(self.connection) {
            // Nearly every body is there with its variables.
            Ok(Some(body)) => {
                let start = inbound.bytes().len();
                inbound.push(&body);
                let body = if body.is_empty() { Body::Empty } else { Body::Buffered(start..start + body.len()) };
                enqueue::queue(self.server, self.connection, inbound, body, false, Some(began_ms)).await?;
                Ok(reader)
            }
            Ok(None) => Box::pin(enqueue::receive(self.server, self.connection, inbound, reader)).await,
            Err(error) => Err(End::of_body(self.connection, inbound, error, began_ms)),
        }
    }

    /// Waits until the response is complete, and meanwhile for word that nobody wants it.
    async fn wait_responded(&mut self, id: u16) -> Result<(), End> {
        let connection = self.connection;
        let turn = &connection.exchange.turn;
        loop {
            match turn.state() {
                State::Idle => return Ok(()),
                State::MustClose => return Err(End::Closing),
                State::Responding | State::Awaited => {}
            }
            self.used += self.reader.skip(unused(self.feed.as_deref(), self.used));
            match look_ahead(unused(self.feed.as_deref(), self.used), id) {
                Ahead::Nothing => {}
                Ahead::Abort => {
                    // The reverse proxy says it, the connection to it does not: from now on that looks as if it had ended.
                    connection.socket.end_receiving();
                    return Err(End::Closing);
                }
                Ahead::Request => return if turn.wait_idle().await { Ok(()) } else { Err(End::Closing) },
            }
            tokio::select! {
                biased;
                is_kept = turn.wait_idle() => return if is_kept { Ok(()) } else { Err(End::Closing) },
                filled = connection.fill(&mut self.feed) => if filled? == 0 {
                    return Err(End::Gone);
                },
            }
        }
    }

    /// The next step; its bytes are counted as used.
    fn next(&mut self) -> Result<FastCgiStep, WireError> {
        let bytes = unused(self.feed.as_deref(), self.used);
        let step = self.reader.read(bytes, &self.server.resources.settings.gateway)?;
        self.used += step.consumed();
        Ok(step)
    }

    /// A record breaks a rule: the request is told so, if one has begun.
    fn broken(&self, error: WireError, begun: Option<Begun>) -> End {
        if let Some(begun) = begun {
            return begun.reject(error);
        }
        warn_about_reverse_proxy(self.connection, error, unused(self.feed.as_deref(), self.used));
        End::Gone
    }

    /// Waits for more, at most until the deadline where there is one.
    async fn fill(&mut self, has_deadline: bool) -> io::Result<()> {
        let connection = self.connection;
        if let Some(mut feed) = self.feed.take() {
            feed.consume(std::mem::take(&mut self.used));
            if feed.is_empty() {
                connection.resources.buffers.give_back(feed);
            } else {
                self.feed = Some(feed);
            }
        }
        let filled = if has_deadline {
            connection.fill_in_time(&mut self.feed).await
        } else {
            connection.fill(&mut self.feed).await
        };
        if filled? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Bytes that came and are not done with.
fn unused(feed: Option<&Inbound>, used: usize) -> &[u8] {
    feed.and_then(|feed| feed.bytes().get(used..)).unwrap_or_default()
}

impl Begun {
    fn reject(mut self, error: WireError) -> End {
        self.inbound.response_framing = ResponseFraming::FastCgi { id: self.id };
        End::of_head(error, Some(self.inbound), self.began_ms)
    }
}

/// What stands in records that are not read yet.
enum Ahead {
    /// Nothing of interest so far.
    Nothing,
    /// Word that nobody wants the response.
    Abort,
    /// A request, or so much else that there is no looking further.
    Request,
}

/// Looks for ABORT_REQUEST of request `id` (FastCGI 1.0, 3.3 and 5.4) before any new request.
fn look_ahead(mut records: &[u8], id: u16) -> Ahead {
    const MOST_BYTES: usize = 8 * 1024;
    const BEGIN_REQUEST: u8 = 1;
    const ABORT_REQUEST: u8 = 2;
    if records.len() > MOST_BYTES {
        return Ahead::Request;
    }
    while let Some(([_, kind, id_high, id_low, high, low, padding, _], rest)) = records.split_first_chunk() {
        match *kind {
            BEGIN_REQUEST => return Ahead::Request,
            ABORT_REQUEST if [*id_high, *id_low] == id.to_be_bytes() => return Ahead::Abort,
            _ => {}
        }
        let content = usize::from(u16::from_be_bytes([*high, *low]));
        records = rest.get(content + usize::from(*padding)..).unwrap_or_default();
    }
    Ahead::Nothing
}
