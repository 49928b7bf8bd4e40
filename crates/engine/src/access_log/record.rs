//! What is told of a request that has ended.

use super::header_names::HeaderNames;
use super::request_line::RequestLine;
use crate::call_times::CallTimes;
use crate::lock::lock;
use crate::message::inbound::Inbound;
use crate::message::response_head::{lines, split_line};
use crate::trace::Trace;
use memchr::{memchr, memchr2, memchr2_iter};
use portico_wire::Framing;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

/// The status of a client that left before its response; nginx's number, never sent.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The record of one request.
pub struct AccessRecord<'a> {
    /// The client's address; none on a Unix socket.
    pub client: Option<IpAddr>,
    /// The request line as it was on the wire, or as far as it came.
    pub request_line: RequestLine<'a>,
    /// The request; none where it was not understood, or was another process's.
    pub request: Option<&'a Inbound>,
    /// The names of its headers.
    pub header_names: HeaderNames,
    /// The status code sent; 0 if none was, or that is not known.
    pub status: u16,
    /// Bytes of the response's body.
    pub body_bytes: u64,
    /// Time from the complete request to the end of the call.
    pub duration_ns: u64,
    /// When it had ended, monotonic nanoseconds; none where nobody has asked, and that is now.
    pub ended_ns: Option<u64>,
    /// Where that went, if the application was called.
    pub call: Option<CallTimes>,
    /// What was kept of the response and of the application, as the format wants.
    pub said: Option<&'a Said>,
    /// The server's own span, where it makes one.
    pub trace: Option<&'a Trace>,
    /// Who has served it.
    pub served_by: ServedBy<'a>,
    /// Why it has ended, where that was not by its response.
    pub cause: Option<&'a str>,
}

/// How grave the end of a request is, in the numbers of syslog (RFC 5424 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The server or the application has failed, or there was no response.
    Error = 3,
    /// The client's fault.
    Warning = 4,
    /// As it should be.
    Info = 6,
}

impl Severity {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

impl<'a> AccessRecord<'a> {
    /// The first value of the request's header `name`, in lower case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.request.filter(|request| self.may_have(request, name))?.header(name)
    }

    /// Whether the request may have a header called `name`, in lower case.
    pub fn may_have(&self, request: &Inbound, name: &str) -> bool {
        self.header_names.may_have(request, name)
    }

    /// Whether it may say who has logged in: by a header, or a variable.
    pub fn may_have_user(&self) -> bool {
        self.request.is_some_and(|request| self.may_have(request, AUTHORIZATION))
    }

    /// Whether it may be a part of a trace.
    pub fn may_have_trace(&self) -> bool {
        self.trace.is_some() || self.request.is_some_and(|request| self.may_have(request, TRACEPARENT))
    }

    /// The announced length of the request's body, if that is known; after an upgrade, what the client has sent.
    pub fn request_bytes(&self) -> Option<u64> {
        let request = self.request?;
        match request.head.framing {
            Framing::Length(length) => Some(length),
            Framing::Empty => Some(request.after_upgrade.load(Relaxed)),
            Framing::Chunked => None,
        }
    }

    /// By its status.
    pub fn severity(&self) -> Severity {
        match self.status {
            100..400 => Severity::Info,
            400..500 => Severity::Warning,
            // 0: there was no response.
            _ => Severity::Error,
        }
    }
}

/// Who has served a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServedBy<'a> {
    /// The number of the worker, as in its title.
    pub worker: usize,
    /// The process; of another one than this where that has written nothing any more.
    pub process: u32,
    /// The thread, by its number in the worker; none where it was no call.
    pub thread: Option<usize>,
    /// What served: the application's name; empty where it was no application.
    pub application: &'a str,
}

/// Who has logged in (RFC 9110 11.6.2).
pub const AUTHORIZATION: &str = "authorization";
/// The trace that a request is a part of (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";
/// What names a request, in its head or in that of its response.
pub const REQUEST_ID: &str = "x-request-id";
const REQUEST_ID_LETTER: u8 = b'q';

/// Bytes of memory for a head that are kept for the next one.
const KEPT_HEAD_BYTES: usize = 4096;

/// Where that is kept while the request has its call: the response of the next one may begin before its account is made.
pub type Keeper = Arc<Mutex<Said>>;

/// What is kept of a response and of the application, until the record is made.
#[derive(Clone, Default)]
pub struct Said {
    /// The head of the response as it was sent.
    pub head: Vec<u8>,
    /// The values of the variables of the environ that are wanted, by their numbers, as far as they have one after the call.
    pub environ: Vec<Option<Vec<u8>>>,
}

/// The same with nothing in it, if nobody else has it.
pub fn emptied(mut keeper: Keeper) -> Option<Keeper> {
    let said = Arc::get_mut(&mut keeper)?.get_mut().ok()?;
    said.environ.clear();
    said.head.clear();
    // One large head is not kept for ever.
    said.head.shrink_to(KEPT_HEAD_BYTES);
    Some(keeper)
}

impl Said {
    /// Keeps the head of a response: `whole`, or only if the name of the request may be in it.
    pub fn set_head(keeper: &Keeper, head: &[u8], whole: bool) {
        if whole || memchr2(REQUEST_ID_LETTER, REQUEST_ID_LETTER.to_ascii_uppercase(), head).is_some() {
            let mut said = lock(keeper);
            said.head.clear();
            said.head.extend_from_slice(head);
        }
    }

    /// The response's name for the request, looked for by its q, which hardly another header has.
    pub fn request_id(&self) -> Option<&[u8]> {
        if self.head.is_empty() {
            return None;
        }
        self.headers_by(REQUEST_ID_LETTER, REQUEST_ID).next()
    }

    /// Keeps the value of the variable that is wanted as that number.
    pub fn set_environ(&mut self, index: usize, value: Vec<u8>) {
        if self.environ.len() <= index {
            self.environ.resize(index + 1, None);
        }
        if let Some(place) = self.environ.get_mut(index) {
            *place = Some(value);
        }
    }

    /// The values of the response's header `name`. Fewer letters are the first of this name than there are lines.
    pub fn headers_called<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers_by(name.as_bytes().first().copied().unwrap_or_default(), name)
    }

    /// The same, looked for by a `letter` of the name.
    fn headers_by<'a>(&'a self, letter: u8, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let index = memchr(letter, name.as_bytes()).unwrap_or_default();
        let is_named = |line: &[u8]| {
            line.get(name.len()) == Some(&b':')
                && line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        };
        let found = memchr2_iter(letter.to_ascii_lowercase(), letter.to_ascii_uppercase(), &self.head);
        let begins = found.filter_map(move |at| at.checked_sub(index));
        let begins_line = |at: &usize| *at > 0 && self.head.get(at - 1) == Some(&b'\n');
        let at = begins.filter(begins_line).filter_map(|at| self.head.get(at..)).filter(move |rest| is_named(rest));
        at.filter_map(|rest| lines(rest).next().map(|line| split_line(line).1))
    }

    /// How many headers the response has.
    pub fn headers(&self) -> usize {
        lines(&self.head).skip(1).filter(|line| line.contains(&b':')).count()
    }
}
