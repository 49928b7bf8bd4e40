//! What a member sends, without the records that it may come in: the bytes of a response, lines for the log, an end.
//!
//! Of a response over HTTP/1 or uwsgi these are the bytes of the connection. Over FastCGI they are taken out of records; the
//! head of CGI becomes one of HTTP/1, and the end of the request is that of the connection, as far as `transfer` sees.

use super::encoding::REQUEST_ID;
use super::failure::Reason;
use super::link::Link;
use crate::log::{Level, log};
use crate::message::buffers::Buffers;
use crate::message::inbound::Inbound;
use crate::message::spoken::Protocol;
use crate::timer::timeout;
use portico_wire::{
    CgiHead, FastCgiEnd, FastCgiResponseReader, FastCgiResponseStep, FastCgiStream, Limits, ResponseHead, ResponseTo,
    WireError,
};
use std::io;
use std::pin::Pin;
use std::time::Duration;

/// A line for the log is cut here.
const LINE_BYTES: usize = 4096;

/// What comes in response to one request.
pub enum Incoming<'a> {
    /// Bytes as they are.
    Plain,
    /// Records of FastCGI.
    Records(Box<Records<'a>>),
}

/// Records, some of which may have been read.
pub struct Records<'a> {
    reader: FastCgiResponseReader,
    /// As they came.
    raw: Option<Box<Inbound>>,
    head: CgiHead,
    errors: ErrorLines<'a>,
    end: Option<FastCgiEnd>,
}

/// Something that is waited for.
type Waiting<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

fn broken(error: &io::Error) -> Reason {
    Reason::Broken(error.to_string())
}

impl<'a> Incoming<'a> {
    /// What comes from the member called `name`.
    pub fn new(protocol: Protocol, name: &'a str) -> Incoming<'a> {
        if protocol != Protocol::FastCgi {
            return Incoming::Plain;
        }
        Incoming::Records(Box::new(Records {
            reader: FastCgiResponseReader::new(REQUEST_ID),
            raw: None,
            head: CgiHead::default(),
            errors: ErrorLines { name, line: Vec::new() },
            end: None,
        }))
    }

    /// Waits for bytes of the response; 0 at its end.
    ///
    /// # Errors
    /// The connection has failed, or what has come is no record.
    pub async fn fill(
        &mut self,
        link: &Link,
        inbound: &mut Option<Box<Inbound>>,
        buffers: &Buffers,
    ) -> Result<usize, Reason> {
        match self {
            Incoming::Plain => link.fill(inbound, buffers).await.map_err(|error| broken(&error)),
            Incoming::Records(records) => records.fill(link, inbound, buffers).await,
        }
    }

    /// Reads the head at the start of `bytes`, which are those of before and more; its length once it is complete.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn read_head(
        &mut self,
        head: &mut ResponseHead,
        bytes: &[u8],
        to: ResponseTo,
        limits: &Limits,
    ) -> Result<Option<usize>, WireError> {
        let Incoming::Records(records) = self else { return head.read_on(bytes, to, limits) };
        let Some(length) = records.head.read_on(bytes, limits)? else { return Ok(None) };
        // It has a status line more than the limits have let in.
        let limits = Limits { max_head_bytes: usize::MAX, ..*limits };
        head.read(records.head.http(), to, &limits)?.ok_or(WireError::STATUS_LINE)?;
        Ok(Some(length))
    }

    /// The bytes that the head was read from, if not those that have come.
    pub fn head_bytes(&self) -> Option<&[u8]> {
        match self {
            Incoming::Plain => None,
            Incoming::Records(records) => Some(records.head.http()),
        }
    }

    /// Why there is no response, where its end has come before.
    pub fn failure(&self) -> Reason {
        match self {
            Incoming::Records(records) => match records.end {
                Some(FastCgiEnd::Complete { app_status }) => Reason::NoResponse(app_status),
                Some(end) => Reason::Rejected(end),
                None => Reason::Closed,
            },
            Incoming::Plain => Reason::Closed,
        }
    }

    /// After a response: waits for the end of the request, which is all there is to come, and for not longer than
    /// `patience_ms`. Whether another one may follow on the connection, where `is_kept` says so of one without records.
    pub async fn finish(
        &mut self,
        link: &Link,
        inbound: &mut Option<Box<Inbound>>,
        buffers: &Buffers,
        patience_ms: u64,
        is_kept: bool,
    ) -> bool {
        match self {
            // What comes unasked is the beginning of a response to nobody.
            Incoming::Plain => is_kept && inbound.as_ref().is_none_or(|buffer| buffer.is_empty()),
            Incoming::Records(records) => records.finish(link, inbound, buffers, patience_ms).await,
        }
    }

    /// Gives back what was taken of `buffers`.
    pub fn give_back(self, buffers: &Buffers) {
        if let Incoming::Records(records) = self
            && let Some(raw) = records.raw
        {
            buffers.give_back(raw);
        }
    }
}

// Futures of their own, so that each is there once and not in every kind of exchange.
impl Records<'_> {
    fn fill<'f>(
        &'f mut self,
        link: &'f Link,
        inbound: &'f mut Option<Box<Inbound>>,
        buffers: &'f Buffers,
    ) -> Waiting<'f, Result<usize, Reason>> {
        Box::pin(async move {
            loop {
                let taken = self.take(inbound, buffers).map_err(Reason::Malformed)?;
                if taken > 0 || self.end.is_some() {
                    return Ok(taken);
                }
                if link.fill(&mut self.raw, buffers).await.map_err(|error| broken(&error))? == 0 {
                    return Err(Reason::Closed);
                }
            }
        })
    }

    fn finish<'f>(
        &'f mut self,
        link: &'f Link,
        inbound: &'f mut Option<Box<Inbound>>,
        buffers: &'f Buffers,
        patience_ms: u64,
    ) -> Waiting<'f, bool> {
        Box::pin(async move {
            loop {
                if let Some(buffer) = inbound.take() {
                    // More of a body than it was to have, or than HEAD has.
                    buffers.give_back(buffer);
                }
                let fill = self.fill(link, inbound, buffers);
                match timeout(Duration::from_millis(patience_ms), fill).await {
                    Some(Ok(0)) => break,
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return false,
                }
            }
            let is_at_end = self.raw.as_ref().is_none_or(|buffer| buffer.is_empty());
            is_at_end && matches!(self.end, Some(FastCgiEnd::Complete { .. }))
        })
    }

    /// Takes the response out of the records that are there; returns how many bytes of it there were.
    fn take(&mut self, inbound: &mut Option<Box<Inbound>>, buffers: &Buffers) -> Result<usize, WireError> {
        let Some(raw) = &mut self.raw else { return Ok(0) };
        let (mut used, mut taken) = (0, 0);
        let read = loop {
            let rest = raw.bytes().get(used..).unwrap_or_default();
            match self.reader.read(rest) {
                Ok(FastCgiResponseStep::NeedMore { consumed }) => {
                    used += consumed;
                    break Ok(());
                }
                Ok(FastCgiResponseStep::Data { consumed, stream, data }) => {
                    let data = rest.get(data).unwrap_or_default();
                    if stream == FastCgiStream::Stdout {
                        inbound.get_or_insert_with(|| buffers.take()).push(data);
                        taken += data.len();
                    } else {
                        self.errors.push(data);
                    }
                    used += consumed;
                }
                Ok(FastCgiResponseStep::End { consumed, end }) => {
                    used += consumed;
                    self.end = Some(end);
                    break Ok(());
                }
                Err(error) => break Err(error),
            }
        };
        raw.consume(used);
        read.map(|()| taken)
    }
}

/// What a member says for the log, line by line.
struct ErrorLines<'a> {
    name: &'a str,
    line: Vec<u8>,
}

impl ErrorLines<'_> {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.flush();
            } else if self.line.len() < LINE_BYTES {
                self.line.push(*byte);
            }
        }
    }

    fn flush(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii_end();
        if !line.is_empty() {
            // Nobody may make up a line of ours.
            let line = String::from_utf8_lossy(line).replace(char::is_control, " ");
            log(Level::Error, &format!("upstream {}: says: {line}", self.name));
        }
    }
}

impl Drop for ErrorLines<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}
