//! A connection's bytes through the engine's own machines (`RequestReader`, `IncomingBody`), without sockets: bytes in,
//! events out. What is here is only what a connection's task does beside them: it keeps the buffer.

use crate::forwarded::networks;
use crate::input::FuzzInput;
use crate::observed::{ObservedHead, observe};
use portico_engine::budget::Budget;
use portico_engine::message::body::BodyError;
use portico_engine::message::inbound::Inbound;
use portico_engine::message::incoming_body::IncomingBody;
use portico_engine::message::request_reader::{Provenance, RequestReader, Step};
use portico_engine::message::spoken::Protocol;
use portico_engine::settings::{Lines, Settings};
use portico_engine::state::request::State;
use portico_wire::WireError;
use std::sync::Arc;

/// What a connection does with what it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifeEvent {
    /// A complete request, queued for the application.
    Request {
        /// Its head.
        head: Box<ObservedHead>,
        /// Its body, decoded.
        body: Vec<u8>,
    },
    /// A response with this status, then close.
    Rejected(u16),
    /// The last request was queued, whatever follows is thrown away.
    Closing,
}

/// A body that is not complete, and the head of its request.
struct OpenBody {
    head: Box<ObservedHead>,
    incoming: IncomingBody,
    /// What has been decoded.
    bytes: Vec<u8>,
}

/// The largest body, in bytes, of the cases that have such a limit.
pub const SMALL_BODY_BYTES: u64 = 40;

/// The defaults of the settings.
const DEFAULTS: &str = include_str!("../../crates/engine/tests/support/settings.txt");

/// What holds for a connection.
#[derive(Clone)]
pub struct ConnectionTerms {
    settings: Arc<Settings>,
    /// `max_request_body`.
    pub max_body_bytes: u64,
    is_trusted: bool,
}

impl ConnectionTerms {
    /// The terms that an input chooses.
    ///
    /// # Panics
    ///
    /// The defaults are not all there.
    #[must_use]
    pub fn of(input: &FuzzInput) -> Self {
        let max_body_bytes = if input.choices & 4 == 0 { u64::MAX } else { SMALL_BODY_BYTES };
        let limit = if max_body_bytes == u64::MAX { 0 } else { max_body_bytes };
        let lines = format!("{DEFAULTS}max_request_body_bytes = {limit}\n");
        let mut settings = Settings::read(&Lines(&lines)).expect("the defaults of all settings");
        settings.wire = input.limits();
        let is_trusted = input.choices & 0x20 != 0;
        if is_trusted {
            settings.forwarded_allow_ips = networks(input);
        }
        Self { settings: Arc::new(settings), max_body_bytes, is_trusted }
    }
}

/// One connection.
pub struct Life {
    terms: ConnectionTerms,
    memory: Arc<Budget>,
    reader: RequestReader,
    inbound: Inbound,
    body: Option<OpenBody>,
    /// What has happened.
    pub events: Vec<LifeEvent>,
    /// Bytes of the input that were used for requests, up to the end or the rejection.
    pub consumed: usize,
    /// How often 100 Continue was sent.
    pub continues: usize,
}

impl Life {
    /// A fresh connection.
    #[must_use]
    pub fn new(terms: ConnectionTerms) -> Self {
        let memory = Budget::new(u64::MAX);
        Self {
            terms,
            reader: RequestReader::new(Protocol::Http, false),
            inbound: Inbound::new(&memory),
            memory,
            body: None,
            events: Vec::new(),
            consumed: 0,
            continues: 0,
        }
    }

    /// Runs a connection to the end of `pieces`.
    #[must_use]
    pub fn of(pieces: &[&[u8]], terms: ConnectionTerms) -> Self {
        let mut life = Self::new(terms);
        for piece in pieces {
            life.receive(piece);
        }
        life
    }

    /// Whether nothing that arrives can change anything any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.reader.state() == State::MustClose
    }

    /// Bytes that wait for more: the start of a head.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inbound.bytes().len()
    }

    /// Takes one read's bytes.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.is_over() {
            return;
        }
        self.inbound.push(bytes);
        // Each turn ends a head or a body, or stops: twice per byte is more than it can take.
        for _ in 0..=2 * self.inbound.bytes().len() + 4 {
            let goes_on = match self.body.take() {
                Some(body) => self.read_body(body),
                // With nothing to read there is no read.
                None if self.inbound.is_empty() => Ok(false),
                None => self.read_head(),
            };
            match goes_on {
                Ok(true) if !self.is_over() => {}
                Ok(_) => return,
                Err(error) => return self.events.push(LifeEvent::Rejected(error.status)),
            }
        }
        panic!("the connection does not come to rest");
    }

    fn consume(&mut self, count: usize) {
        assert!(count <= self.waiting(), "{count} consumed of {}", self.waiting());
        self.inbound.consume(count);
        self.consumed += count;
    }

    fn read_head(&mut self) -> Result<bool, WireError> {
        let settings = &self.terms.settings;
        let provenance = Provenance { is_trusted: self.terms.is_trusted, ..Provenance::default() };
        match self.reader.read(&mut self.inbound, provenance, settings) {
            Err(rejection) => {
                assert!(self.is_over(), "read on after a rejection");
                Err(rejection.error)
            }
            Ok(Step::NeedMore) => {
                assert!(self.waiting() < settings.wire.max_head_bytes.max(1), "a full buffer asks for more");
                assert_eq!(self.reader.state(), State::Head);
                Ok(false)
            }
            Ok(Step::Request { head_bytes, body: Some(body) }) => {
                let head = Box::new(observe(&self.inbound.head, self.inbound.bytes(), head_bytes));
                let end = body.end;
                let body = self.inbound.bytes()[body].to_vec();
                self.consume(end);
                self.queue(head, body);
                Ok(true)
            }
            Ok(Step::Request { head_bytes, body: None }) => {
                let head = Box::new(observe(&self.inbound.head, self.inbound.bytes(), head_bytes));
                self.consume(head_bytes);
                let [_, expect_continue, ..] = head.flags;
                self.continues += usize::from(expect_continue && self.inbound.is_empty());
                let incoming = IncomingBody::new(head.framing, Box::new(Inbound::new(&self.memory)));
                self.body = Some(OpenBody { head, incoming, bytes: Vec::new() });
                Ok(true)
            }
            Ok(step @ (Step::Ping { .. } | Step::Foreign(_))) => panic!("{step:?} over HTTP"),
        }
    }

    fn read_body(&mut self, mut body: OpenBody) -> Result<bool, WireError> {
        assert!(!body.incoming.is_complete(), "a body that is complete is not waited for");
        let feed = body.incoming.feed.as_mut().expect("a feed is given to the body and kept");
        assert!(feed.is_empty(), "a body leaves nothing to be read again");
        let before = self.inbound.bytes().len();
        feed.push(self.inbound.bytes());
        let decoded = body.incoming.decode(&self.terms.settings);
        body.incoming.forget_used();
        let left = body.incoming.feed.as_ref().map_or(0, |feed| feed.bytes().len());
        match decoded {
            Ok(block) => body.bytes.extend(block),
            Err(BodyError::Malformed(error)) => return self.break_off(error),
            Err(BodyError::TooLarge) => return self.break_off(WireError::BODY_TOO_LARGE),
            Err(error @ (BodyError::Aborted | BodyError::Slow)) => panic!("{error:?} without a socket or a clock"),
        }
        self.consume(before - left);
        if body.incoming.is_complete() {
            self.reader.end_body();
            self.queue(body.head, body.bytes);
            return Ok(true);
        }
        assert_eq!(left, 0, "a body leaves nothing to be read again");
        self.body = Some(body);
        Ok(false)
    }

    /// The body breaks a rule: as at the end of a connection's task, nothing more is read.
    fn break_off(&mut self, error: WireError) -> Result<bool, WireError> {
        self.reader.reject_body();
        Err(error)
    }

    /// A request is complete: it goes to the crew, and what follows it is the next head or nobody's.
    fn queue(&mut self, head: Box<ObservedHead>, body: Vec<u8>) {
        let [keep_alive, ..] = head.flags;
        self.events.push(LifeEvent::Request { head, body });
        if !self.reader.next(keep_alive) {
            self.events.push(LifeEvent::Closing);
        }
    }
}
