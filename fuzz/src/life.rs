//! A connection as `src/connection/life.rs` drives it, without sockets, clock or Python: bytes in, events
//! out. It is a model: where that file changes the order of its calls to portico-wire, this has to follow.

use crate::forwarded::networks;
use crate::input::Input;
use crate::observed::{ObservedHead, observe};
use portico_wire::{
    BodyDecoder, BodyStep, Forwarded, Framing, Limits, Networks, RequestHead, Scheme, TargetForm, WireError,
};

/// What a connection does with what it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A complete request, queued for the application.
    Request {
        /// Its head.
        head: Box<ObservedHead>,
        /// Its body, decoded.
        body: Vec<u8>,
    },
    /// An answer with this status, then close.
    Refused(u16),
    /// The last request was queued, whatever follows is thrown away.
    Closing,
}

/// Where a connection stands.
enum Stage {
    /// In a head, or before one.
    Head,
    /// In the body of the request whose head this is.
    Body { head: Box<ObservedHead>, decoder: BodyDecoder, body: Vec<u8> },
    /// No byte is looked at any more.
    Over,
}

/// The largest body, in bytes, of the cases that have such a limit.
pub const SMALL_BODY_BYTES: u64 = 40;

/// What holds for a connection.
#[derive(Clone)]
pub struct Terms {
    /// Limits of the readers.
    pub limits: Limits,
    /// `max_request_body`.
    pub max_body_bytes: u64,
    /// The front servers, if the peer is one of them.
    pub trusted: Option<Networks>,
}

impl Terms {
    /// The terms that an input chooses.
    #[must_use]
    pub fn of(input: &Input) -> Self {
        Self {
            limits: input.limits(),
            max_body_bytes: if input.choices & 4 == 0 { u64::MAX } else { SMALL_BODY_BYTES },
            trusted: (input.choices & 0x20 != 0).then(|| networks(input)),
        }
    }
}

/// One connection.
pub struct Life {
    terms: Terms,
    head: RequestHead,
    /// Whether the head in the buffer was read before, and found to be incomplete.
    is_begun: bool,
    buffer: Vec<u8>,
    stage: Stage,
    /// What has happened.
    pub events: Vec<Event>,
    /// Bytes of the input that were used for requests, up to the end or the refusal.
    pub consumed: usize,
    /// How often 100 Continue was sent.
    pub continues: usize,
}

impl Life {
    /// A fresh connection.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            head: RequestHead::new(),
            is_begun: false,
            buffer: Vec::new(),
            stage: Stage::Head,
            events: Vec::new(),
            consumed: 0,
            continues: 0,
        }
    }

    /// Runs a connection to the end of `pieces`.
    #[must_use]
    pub fn of(pieces: &[&[u8]], terms: Terms) -> Self {
        let mut life = Self::new(terms);
        for piece in pieces {
            life.receive(piece);
        }
        life
    }

    /// Whether nothing that arrives can change anything any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Bytes that wait for more: the start of a head.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Takes one read's bytes.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.is_over() {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        // Each turn ends a stage, uses bytes or stops: twice per byte is more than it can take.
        for _ in 0..=2 * self.buffer.len() + 4 {
            let goes_on = match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Head => self.read_head(),
                Stage::Body { head, decoder, body } => self.read_body(head, decoder, body),
                Stage::Over => Ok(false),
            };
            match goes_on {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.end(Event::Refused(error.status)),
            }
        }
        panic!("the connection does not come to rest");
    }

    fn end(&mut self, event: Event) {
        self.events.push(event);
        self.stage = Stage::Over;
    }

    fn consume(&mut self, count: usize) {
        assert!(count <= self.buffer.len(), "{count} consumed of {}", self.buffer.len());
        self.buffer.drain(..count);
        self.consumed += count;
    }

    fn read_head(&mut self) -> Result<bool, WireError> {
        let limits = &self.terms.limits;
        let length = if self.buffer.is_empty() {
            // With nothing to read there is no read.
            None
        } else if self.is_begun {
            self.head.read_on(&self.buffer, limits)?
        } else {
            self.head.read(&self.buffer, limits)?
        };
        let Some(length) = length else {
            assert!(self.buffer.len() < limits.max_head_bytes.max(1), "a full buffer asks for more");
            self.is_begun = !self.buffer.is_empty();
            self.stage = Stage::Head;
            return Ok(false);
        };
        self.is_begun = false;
        self.check()?;
        let head = Box::new(observe(&self.head, &self.buffer, length));
        let rest = self.buffer.len() - length;
        match head.framing {
            Framing::Empty => {
                self.consume(length);
                self.queue(head, Vec::new());
            }
            Framing::Length(declared) if declared > self.terms.max_body_bytes => return Err(WireError::BODY_TOO_LARGE),
            // Complete in the read buffer: it is taken from there without a decoder.
            Framing::Length(declared) if declared <= rest as u64 => {
                let end = length + usize::try_from(declared).unwrap_or(0);
                let body = self.buffer[length..end].to_vec();
                self.consume(end);
                self.queue(head, body);
            }
            Framing::Length(_) | Framing::Chunked => {
                self.consume(length);
                let [_, expect_continue, ..] = head.flags;
                self.continues += usize::from(expect_continue && rest == 0);
                self.stage = Stage::Body { decoder: BodyDecoder::new(head.framing), head, body: Vec::new() };
            }
        }
        Ok(true)
    }

    /// What is not the head's alone to decide, as `check` of that file.
    fn check(&self) -> Result<(), WireError> {
        let forwarded = match &self.terms.trusted {
            Some(trusted) => Forwarded::read(&self.head, &self.buffer, trusted)?,
            None => None,
        };
        let scheme = forwarded.and_then(|forwarded| forwarded.scheme);
        let asks_for_tls = self.head.form == TargetForm::Absolute && self.head.scheme.len() == b"https".len();
        if asks_for_tls && scheme != Some(Scheme::Https) { Err(WireError::MISDIRECTED) } else { Ok(()) }
    }

    fn read_body(
        &mut self,
        head: Box<ObservedHead>,
        mut decoder: BodyDecoder,
        mut body: Vec<u8>,
    ) -> Result<bool, WireError> {
        assert!(!decoder.is_done(), "a body that is complete is not waited for");
        let goes_on = match decoder.decode(&self.buffer, &self.terms.limits)? {
            BodyStep::Data { consumed, data } => {
                body.extend_from_slice(&self.buffer[data]);
                self.consume(consumed);
                if body.len() as u64 > self.terms.max_body_bytes {
                    return Err(WireError::BODY_TOO_LARGE);
                }
                true
            }
            BodyStep::NeedMore { consumed } => {
                self.consume(consumed);
                assert!(self.buffer.is_empty(), "a body leaves nothing to be read again");
                false
            }
            BodyStep::End { consumed } => {
                self.consume(consumed);
                true
            }
        };
        if decoder.is_done() {
            self.queue(head, body);
            return Ok(true);
        }
        self.stage = Stage::Body { head, decoder, body };
        Ok(goes_on)
    }

    /// A request is complete: it goes to the crew, and what follows it is the next head or nobody's.
    fn queue(&mut self, head: Box<ObservedHead>, body: Vec<u8>) {
        let [keep_alive, ..] = head.flags;
        self.events.push(Event::Request { head, body });
        if keep_alive {
            self.stage = Stage::Head;
        } else {
            self.end(Event::Closing);
        }
    }
}
