//! One exchange over one connection: sends a request's head and body, and receives the response, both at a time, since a
//! server may respond before it has read everything. Streams in both directions: what one side does not take is not read
//! from the other.

use super::ends::{RequestSource, ResponseSink};
use super::failure::Reason;
use super::group::Times;
use super::incoming::Incoming;
use super::outgoing::{Outgoing, Sending, Unsent};
use crate::message::buffers::Buffers;
use crate::message::inbound::Inbound;
use crate::timer::timeout;
use portico_wire::{BodyDecoder, BodyStep, Limits, ResponseBody, ResponseHead, ResponseTo, WireError};
use std::pin::pin;
use std::time::Duration;

/// Interim responses to one request: more of them are a server that is out of order.
const MAX_INTERIM: u32 = 64;

/// An exchange that is to be made.
pub struct Transfer<'a> {
    /// The request, and the connection.
    pub request: Outgoing<'a>,
    /// Whose connection it is, for the log.
    pub name: &'a str,
    /// What the response is to.
    pub to: ResponseTo,
    /// How long things may take.
    pub times: &'a Times,
    /// What the server may send.
    pub limits: &'a Limits,
    /// Where read buffers come from.
    pub buffers: &'a Buffers,
}

/// An exchange that has ended well.
pub struct Transferred {
    /// The response's status.
    pub status: u16,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// What becomes of the connection.
    pub then: After,
    /// Whether all of the request's body was taken from its source: else the client may still be sending it.
    pub has_sent_all: bool,
}

/// What becomes of a connection after an exchange.
pub enum After {
    /// It may be used for another request.
    Keep,
    /// It is closed.
    Close,
    /// Another protocol is spoken on it, of which these bytes have already come.
    Upgrade(Option<Box<Inbound>>),
}

/// An exchange that has failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub reason: Reason,
    /// Whether not a byte of the request has left, or the server has said that it has not begun it.
    pub is_unsent: bool,
    /// Whether not a byte of a response has come.
    pub is_unheard: bool,
    /// The status of the response whose head has been passed on; 0 if none was.
    pub status: u16,
}

/// How far the receiving of a response has come.
#[derive(Default)]
struct Receiving {
    is_heard: bool,
    status: u16,
    body_bytes: u64,
}

impl Transfer<'_> {
    /// Makes the exchange.
    ///
    /// # Errors
    /// Why there is no response, or not all of it, and how far both have come.
    pub async fn run(
        &self,
        source: &mut impl RequestSource,
        sink: &mut impl ResponseSink,
    ) -> Result<Transferred, Failed> {
        let sending = Sending::default();
        sending.enter(Sending::WRITES);
        let mut receiving = Receiving::default();
        let mut has_sent_all = false;
        let received = {
            let mut send = pin!(self.request.send(source, &sending));
            let mut receive = pin!(self.receive(sink, &sending, &mut receiving));
            let mut is_sending = true;
            loop {
                tokio::select! {
                    biased;
                    outcome = &mut send, if is_sending => {
                        is_sending = false;
                        sending.enter(Sending::WRITES);
                        match outcome {
                            Ok(()) => has_sent_all = true,
                            Err(Unsent::Source) => break Err(Reason::ClientGone),
                            Err(Unsent::Link(error)) if sending.is_unsent() => {
                                break Err(Reason::Broken(error.to_string()));
                            }
                            // What the server has sent before it closed is still there.
                            Err(Unsent::Link(_)) => {}
                        }
                    }
                    received = &mut receive => break received,
                }
            }
        };
        match received {
            Ok(then) => {
                let then = if has_sent_all { then } else { After::Close };
                let Receiving { status, body_bytes, .. } = receiving;
                Ok(Transferred { status, body_bytes, then, has_sent_all })
            }
            Err(reason) => {
                // One that the server has rejected is as if it had never been sent.
                let is_unsent = sending.is_unsent() || matches!(reason, Reason::Rejected(_));
                Err(Failed { reason, is_unsent, is_unheard: !receiving.is_heard, status: receiving.status })
            }
        }
    }

    /// Receives the response.
    async fn receive(
        &self,
        sink: &mut impl ResponseSink,
        sending: &Sending,
        receiving: &mut Receiving,
    ) -> Result<After, Reason> {
        let mut inbound = None;
        let mut incoming = Incoming::new(self.request.protocol, self.name);
        let received = self.receive_into(&mut incoming, &mut inbound, sink, sending, receiving).await;
        incoming.give_back(self.buffers);
        if let Some(buffer) = inbound {
            self.buffers.give_back(buffer);
        }
        received
    }

    async fn receive_into(
        &self,
        incoming: &mut Incoming<'_>,
        inbound: &mut Option<Box<Inbound>>,
        sink: &mut impl ResponseSink,
        sending: &Sending,
        receiving: &mut Receiving,
    ) -> Result<After, Reason> {
        let head = self.receive_head(incoming, inbound, sink, sending, receiving).await?;
        if head.is_upgrade() {
            return Ok(After::Upgrade(inbound.take()));
        }
        let mut decoder = BodyDecoder::of_response(head.body);
        let mut block = Vec::new();
        loop {
            if let Some(buffer) = inbound {
                let bytes = buffer.bytes();
                let (used, data) = self.decode(&mut decoder, bytes, &mut block)?;
                if !data.is_empty() {
                    receiving.body_bytes += data.len() as u64;
                    sink.data(data).await.map_err(|_| Reason::ClientGone)?;
                }
                block.clear();
                buffer.consume(used);
            }
            if decoder.is_done() {
                break;
            }
            sink.flush().await.map_err(|_| Reason::ClientGone)?;
            if self.fill(incoming, inbound, self.times.idle_ms, None).await? == 0 {
                if head.body != ResponseBody::UntilClose {
                    return Err(Reason::Closed);
                }
                break;
            }
        }
        sink.end().await.map_err(|_| Reason::ClientGone)?;
        let (link, patience_ms) = (self.request.link, self.times.idle_ms);
        let is_kept = incoming.finish(link, inbound, self.buffers, patience_ms, head.keep_alive).await;
        Ok(if is_kept { After::Keep } else { After::Close })
    }

    /// Receives heads up to that of the response, all of which are passed on.
    async fn receive_head(
        &self,
        incoming: &mut Incoming<'_>,
        inbound: &mut Option<Box<Inbound>>,
        sink: &mut impl ResponseSink,
        sending: &Sending,
        receiving: &mut Receiving,
    ) -> Result<ResponseHead, Reason> {
        let mut head = ResponseHead::new();
        let mut interim = 0;
        loop {
            if let Some(buffer) = inbound
                && let Some(length) =
                    incoming.read_head(&mut head, buffer.bytes(), self.to, self.limits).map_err(Reason::Malformed)?
            {
                let come = || buffer.bytes().get(..length).unwrap_or_default();
                let bytes = incoming.head_bytes().unwrap_or_else(come);
                if !head.is_interim() {
                    receiving.status = head.status;
                    sink.start(&head, bytes).await.map_err(|_| Reason::ClientGone)?;
                    buffer.consume(length);
                    return Ok(head);
                }
                sink.interim(&head, bytes).await.map_err(|_| Reason::ClientGone)?;
                buffer.consume(length);
                interim += 1;
                if interim > MAX_INTERIM {
                    return Err(Reason::Malformed(WireError::RESPONSE_HEAD_TOO_LARGE));
                }
                continue;
            }
            if self.fill(incoming, inbound, self.times.first_byte_ms, Some(sending)).await? == 0 {
                return Err(incoming.failure());
            }
            receiving.is_heard = true;
        }
    }

    /// What the bytes have of the body: in one block, whatever the size of its chunks. Returns how many are used.
    fn decode<'b>(
        &self,
        decoder: &mut BodyDecoder,
        bytes: &'b [u8],
        block: &'b mut Vec<u8>,
    ) -> Result<(usize, &'b [u8]), Reason> {
        let mut used = 0;
        let mut only = None;
        while !decoder.is_done() {
            let rest = bytes.get(used..).unwrap_or_default();
            let step = decoder.decode(rest, self.limits).map_err(|error| Reason::Malformed(error.of_response()))?;
            match step {
                BodyStep::Data { consumed, data } => {
                    let data = rest.get(data).unwrap_or_default();
                    used += consumed;
                    match only.take() {
                        None if block.is_empty() => only = Some(data),
                        first => {
                            block.extend_from_slice(first.unwrap_or_default());
                            block.extend_from_slice(data);
                        }
                    }
                }
                BodyStep::End { consumed } => used += consumed,
                BodyStep::NeedMore { consumed } => {
                    used += consumed;
                    break;
                }
            }
        }
        Ok((used, only.unwrap_or(block)))
    }

    /// Waits for bytes, and for not longer than `patience_ms` without any moving; 0 at the end.
    async fn fill(
        &self,
        incoming: &mut Incoming<'_>,
        inbound: &mut Option<Box<Inbound>>,
        patience_ms: u64,
        sending: Option<&Sending>,
    ) -> Result<usize, Reason> {
        let mut wait_ms = patience_ms;
        loop {
            let fill = incoming.fill(self.request.link, inbound, self.buffers);
            match timeout(Duration::from_millis(wait_ms), fill).await {
                Some(filled) => return filled,
                None => wait_ms = sending.map_or(0, |sending| sending.left_ms(patience_ms)),
            }
            if wait_ms == 0 {
                return Err(Reason::Silent(patience_ms));
            }
        }
    }
}
