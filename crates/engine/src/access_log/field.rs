//! What a line can have: fields, by their names, and their values in a record.
//!
//! The names are portico's own and those of uWSGI's `logformat`; gunicorn's letters stand in `template`.

use super::date::DateForm;
use super::memory::Memory;
use super::metric::{self, Metric};
use super::record::{AUTHORIZATION, AccessRecord, CLIENT_CLOSED_REQUEST, REQUEST_ID, Said, TRACEPARENT};
use super::request_line::Part;
use super::value::{Unit, Value};
use crate::message::framing::ResponseFraming;
use crate::message::inbound::Inbound;
use crate::trace::Trace;
use memchr::memchr;
use portico_wire::TraceParent;
use std::sync::Arc;

/// What a record is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// The client's address.
    Client,
    /// Who has logged in, as the reverse proxy or Basic authentication says (RFC 7617).
    User,
    /// The request line.
    Request,
    /// A part of it.
    Part(Part),
    /// The Host, as the reverse proxy says if it can be believed.
    Host,
    /// The status; three digits.
    Status,
    /// Bytes of the response's body.
    BodyBytes,
    /// The same, but nothing for 0.
    BodyBytesOrNone,
    /// Bytes of the response's head.
    HeadBytes,
    /// Bytes of the whole response.
    ResponseBytes,
    /// The announced length of the request's body; what the client has sent after an upgrade that the application has made.
    RequestBytes,
    /// How many headers or variables the request has.
    RequestHeaders,
    /// A number of a uwsgi packet; 0 for what came otherwise.
    Uwsgi(UwsgiPart),
    /// How many headers the response has.
    ResponseHeaders,
    /// A part of the time.
    Time(Time, Unit),
    /// A moment as a date.
    Date(Moment, DateForm),
    /// A moment since 1970.
    Since1970(Moment, Unit),
    /// A header of the request that is there once, in lower case.
    RequestHeader(String),
    /// The values of all headers of the request that are called so, in lower case.
    RequestHeaderValues(String),
    /// A header of the response, in lower case.
    ResponseHeader(String),
    /// A variable of the environ, by its place among those that are wanted.
    Environ(usize),
    /// A name for the request: of the response, else of the request (`X-Request-ID`).
    RequestId,
    /// The trace, or the span in it, that the request is a part of (W3C Trace Context, `traceparent`).
    Trace(TracePart),
    /// The scheme that the client has used, where there is a span.
    Scheme,
    /// The process.
    Process,
    /// The worker, by the number in its title.
    Worker,
    /// The thread, by its number in the worker.
    Thread,
    /// The application's name.
    Application,
    /// Memory of the process, from the kernel.
    Memory(Memory, Scale),
    /// Why the request has ended, where that was not by its response.
    Cause,
    /// How grave that is: `info`, `warning` or `error`, by the status.
    Level,
    /// The same as a number of syslog: 6, 4 or 3.
    Severity,
    /// The request and its status in words.
    Message,
    /// 1 if the client left before all of its response, else 0.
    IsAborted,
    /// What never changes.
    Constant(&'static str),
    /// The value of a metric, when the line is made.
    Metric(Arc<Metric>),
}

/// A part of a request's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// All of it: from the complete request to the end of the call.
    Total,
    /// Until a thread had it.
    Queue,
    /// Until that had the interpreter.
    Lock,
    /// In the application.
    Application,
    /// Of that, computing.
    Cpu,
    /// Of the call, waiting for the client.
    Client,
    /// From the complete request until the response's head was made.
    FirstByte,
}

/// A number of a uwsgi packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UwsgiPart {
    /// Bytes of its variables.
    Size,
    /// `modifier1`, which says for whom it is.
    Modifier1,
    /// `modifier2`.
    Modifier2,
}

/// A moment of a request's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// When it was complete.
    Start,
    /// When it had ended: now.
    End,
}

/// Which part of a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracePart {
    /// `trace-id`.
    Trace,
    /// `parent-id`, or the server's own span, where it makes one.
    Span,
    /// The span that this is a child of.
    Parent,
}

/// In which unit memory is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Bytes.
    Bytes,
    /// Mebibytes.
    Mebibytes,
}

/// portico's own names for parts of the time, before `_s`, `_ms`, `_us` or `_ns`.
const TIMES: [(&str, Time); 7] = [
    ("total", Time::Total),
    ("queue", Time::Queue),
    ("lock", Time::Lock),
    ("app", Time::Application),
    ("cpu", Time::Cpu),
    ("client", Time::Client),
    ("first_byte", Time::FirstByte),
];

const UNITS: [(&str, Unit); 4] =
    [("_s", Unit::Seconds), ("_ms", Unit::Milliseconds), ("_us", Unit::Microseconds), ("_ns", Unit::Nanoseconds)];

/// Names of fields, portico's own first; a field that has several is shown by the first.
const NAMES: [(&str, Field); 64] = [
    ("client", Field::Client),
    ("user", Field::User),
    ("request", Field::Request),
    ("method", Field::Part(Part::Method)),
    ("target", Field::Part(Part::Target)),
    ("path", Field::Part(Part::Path)),
    ("query", Field::Part(Part::Query)),
    ("protocol", Field::Part(Part::Protocol)),
    ("version", Field::Part(Part::Version)),
    ("host", Field::Host),
    ("status", Field::Status),
    ("body_bytes", Field::BodyBytes),
    ("head_bytes", Field::HeadBytes),
    ("response_bytes", Field::ResponseBytes),
    ("request_bytes", Field::RequestBytes),
    ("request_id", Field::RequestId),
    ("trace_id", Field::Trace(TracePart::Trace)),
    ("span_id", Field::Trace(TracePart::Span)),
    ("parent_id", Field::Trace(TracePart::Parent)),
    ("process", Field::Process),
    ("worker", Field::Worker),
    ("thread", Field::Thread),
    ("application", Field::Application),
    ("cause", Field::Cause),
    ("level", Field::Level),
    ("severity", Field::Severity),
    ("message", Field::Message),
    ("started", Field::Date(Moment::Start, DateForm::Iso)),
    ("ended", Field::Date(Moment::End, DateForm::Iso)),
    ("ended_clf", Field::Date(Moment::End, DateForm::Common)),
    ("clock", Field::Date(Moment::End, DateForm::Clock)),
    // uWSGI's.
    ("uri", Field::Part(Part::Target)),
    ("addr", Field::Client),
    ("proto", Field::Part(Part::Protocol)),
    ("rsize", Field::BodyBytes),
    ("hsize", Field::HeadBytes),
    ("size", Field::ResponseBytes),
    ("cl", Field::RequestBytes),
    ("micros", Field::Time(Time::Total, Unit::Microseconds)),
    ("msecs", Field::Time(Time::Total, Unit::WholeMilliseconds)),
    ("secs", Field::Time(Time::Total, Unit::WholeSeconds)),
    ("time", Field::Since1970(Moment::Start, Unit::WholeSeconds)),
    ("tmsecs", Field::Since1970(Moment::Start, Unit::WholeMilliseconds)),
    ("tmicros", Field::Since1970(Moment::Start, Unit::Microseconds)),
    ("ltime", Field::Date(Moment::Start, DateForm::Common)),
    ("ftime", Field::Date(Moment::Start, DateForm::Common)),
    ("ctime", Field::Date(Moment::Start, DateForm::Ctime)),
    ("epoch", Field::Since1970(Moment::End, Unit::WholeSeconds)),
    ("pid", Field::Process),
    ("wid", Field::Worker),
    ("core", Field::Thread),
    ("switches", Field::Constant("0")),
    ("vars", Field::RequestHeaders),
    ("headers", Field::ResponseHeaders),
    ("vsz", Field::Memory(Memory::Virtual, Scale::Bytes)),
    ("rss", Field::Memory(Memory::Resident, Scale::Bytes)),
    ("vszM", Field::Memory(Memory::Virtual, Scale::Mebibytes)),
    ("rssM", Field::Memory(Memory::Resident, Scale::Mebibytes)),
    ("pktsize", Field::Uwsgi(UwsgiPart::Size)),
    ("modifier1", Field::Uwsgi(UwsgiPart::Modifier1)),
    ("modifier2", Field::Uwsgi(UwsgiPart::Modifier2)),
    ("werr", Field::IsAborted),
    ("rerr", Field::Constant("0")),
    ("ioerr", Field::IsAborted),
];

/// Names of headers that are so usual that they need no `header.`.
const HEADERS: [(&str, &str); 3] = [("referer", "referer"), ("user_agent", "user-agent"), ("uagent", "user-agent")];

/// The variable of the environ in which hooks for frameworks leave the route.
pub const ROUTE: &str = "portico.route";

/// Names of variables of the environ that are wanted after a call, in the order in which they were asked for; and
/// metrics, which have to be found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted(pub Vec<String>, pub Vec<Arc<Metric>>);

impl Wanted {
    /// The field for a variable.
    pub fn environ(&mut self, name: &str) -> Field {
        let index = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        });
        Field::Environ(index)
    }

    fn metric(&mut self, name: &str) -> Option<Field> {
        let metric = Arc::new(Metric::named(name)?);
        self.1.push(metric.clone());
        Some(Field::Metric(metric))
    }
}

/// The end of a sentence about a field of this name that there is not.
pub fn hint(name: &str) -> String {
    metric::known(name)
}

impl Field {
    /// The field called `name`, by portico or uWSGI; what it wants of an environ is added to `wanted`.
    pub fn named(name: &str, wanted: &mut Wanted) -> Option<Field> {
        if let Some((_, field)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Some(field.clone());
        }
        if let Some((_, header)) = HEADERS.iter().find(|(known, _)| *known == name) {
            return Some(Field::RequestHeader((*header).to_owned()));
        }
        for (word, time) in TIMES {
            let unit = name.strip_prefix(word).and_then(|rest| UNITS.iter().find(|(suffix, _)| *suffix == rest));
            if let Some((_, unit)) = unit {
                return Some(Field::Time(time, *unit));
            }
        }
        if name == "route" {
            return Some(wanted.environ(ROUTE));
        }
        let (kind, rest) = name.split_once('.').filter(|(_, rest)| !rest.is_empty())?;
        match kind {
            "header" => Some(Field::RequestHeaderValues(rest.to_ascii_lowercase())),
            "response" => Some(Field::ResponseHeader(rest.to_ascii_lowercase())),
            "environ" | "var" => Some(wanted.environ(rest)),
            "metric" => wanted.metric(rest),
            _ => None,
        }
    }

    /// Whether a client may choose the text, so that its length has to be bounded.
    pub fn is_text(&self) -> bool {
        matches!(
            self,
            Field::User
                | Field::Request
                | Field::Part(_)
                | Field::Host
                | Field::RequestHeader(_)
                | Field::RequestHeaderValues(_)
                | Field::ResponseHeader(_)
                | Field::Environ(_)
                | Field::RequestId
                | Field::Message
        )
    }

    /// Whether its value is a number, in all records that have one.
    pub fn is_number(&self) -> bool {
        matches!(
            self,
            Field::Status
                | Field::BodyBytes
                | Field::BodyBytesOrNone
                | Field::HeadBytes
                | Field::ResponseBytes
                | Field::RequestBytes
                | Field::RequestHeaders
                | Field::Uwsgi(_)
                | Field::ResponseHeaders
                | Field::Time(..)
                | Field::Since1970(..)
                | Field::Process
                | Field::Worker
                | Field::Thread
                | Field::Memory(..)
                | Field::Severity
                | Field::IsAborted
                | Field::Metric(_)
        )
    }

    /// Whether its value is the same for all requests of an application in a process.
    pub fn is_of_application(&self) -> bool {
        matches!(self, Field::Constant(_) | Field::Application | Field::Process | Field::Worker)
    }

    /// Whether the head of the response has to be kept for it.
    pub fn wants_head(&self) -> bool {
        matches!(
            self,
            Field::HeadBytes
                | Field::ResponseBytes
                | Field::ResponseHeaders
                | Field::ResponseHeader(_)
                | Field::RequestId
        )
    }

    /// Its value in `record`, of which the end is the moment `wall_ns`.
    #[expect(clippy::inline_always, reason = "who asks writes it at once: it needs not become a value in memory")]
    #[inline(always)]
    pub fn value<'a>(&'a self, record: &'a AccessRecord<'_>, wall_ns: u64) -> Value<'a> {
        let number = |found: Option<u64>| found.map_or(Value::Absent, Value::Number);
        match self {
            Field::Client => record.client.map_or(Value::Absent, |client| Value::Address(client.to_canonical())),
            Field::Part(part) => match record.request_line.part(*part) {
                Some(part) if record.request_line.is_plain() => Value::Plain(part),
                part => text(part),
            },
            Field::Host => text(record.request.and_then(Inbound::host)),
            Field::Status => Value::Status(record.status),
            Field::BodyBytes => Value::Number(record.body_bytes),
            Field::RequestBytes => number(record.request_bytes()),
            Field::Time(time, unit) => time.of(record).map_or(Value::Absent, |ns| Value::Time(ns, *unit)),
            Field::Date(moment, form) => Value::Date(moment.of(record, wall_ns), *form),
            Field::RequestHeader(name) => text(record.header(name)),
            Field::Environ(index) => text(record.said.and_then(|said| said.environ.get(*index)?.as_deref())),
            Field::Process => Value::Number(record.served_by.process.into()),
            Field::Worker => Value::Number(record.served_by.worker as u64),
            Field::Thread => number(record.served_by.thread.map(|thread| thread as u64)),
            Field::Application => match record.served_by.application {
                "" => Value::Absent,
                name => Value::Own(name),
            },
            Field::Cause => record.cause.map_or(Value::Absent, Value::Own),
            Field::Level => Value::Own(record.severity().word()),
            Field::Message => Value::TextAndStatus {
                text: record.request_line.without_protocol(),
                is_plain: record.request_line.is_plain(),
                status: record.status,
            },
            Field::Constant(text) => Value::Own(text),
            // Most requests have neither.
            Field::User if !record.may_have_user() => Value::Absent,
            Field::Trace(_) if !record.may_have_trace() => Value::Absent,
            _ => self.rare_value(record, wall_ns),
        }
    }

    #[inline(never)]
    fn rare_value<'a>(&'a self, record: &'a AccessRecord<'_>, wall_ns: u64) -> Value<'a> {
        let number = |found: Option<u64>| found.map_or(Value::Absent, Value::Number);
        match self {
            Field::User => user(record),
            Field::Request => text(Some(record.request_line.bytes).filter(|line| !line.is_empty())),
            Field::BodyBytesOrNone => number(Some(record.body_bytes).filter(|bytes| *bytes > 0)),
            Field::HeadBytes => number(head_bytes(record)),
            Field::ResponseBytes => Value::Number(record.body_bytes + head_bytes(record).unwrap_or(0)),
            Field::RequestHeaders => number(record.request.map(|request| request.field_count() as u64)),
            Field::Uwsgi(part) => Value::Number(record.request.map_or(0, |request| part.of(request).into())),
            Field::ResponseHeaders => number(record.said.map(|said| said.headers() as u64)),
            Field::Since1970(moment, unit) => Value::Time(moment.of(record, wall_ns), *unit),
            Field::RequestHeaderValues(name) => header_values(record, name),
            Field::ResponseHeader(name) => record.said.map_or(Value::Absent, |said| joined(said.headers_called(name))),
            Field::RequestId => text(request_id(record)),
            Field::Trace(part) => part.of(record),
            Field::Scheme => record.trace.map_or(Value::Absent, |trace| Value::Own(trace.scheme.name())),
            Field::Memory(memory, scale) => number(memory.now().map(|bytes| scale.of(bytes))),
            Field::Severity => Value::Number(record.severity() as u64),
            Field::IsAborted => Value::Number(u64::from(record.status == CLIENT_CLOSED_REQUEST)),
            Field::Metric(metric) => metric.value().map_or(Value::Absent, Value::Float),
            // Of `value`.
            Field::Client
            | Field::Part(_)
            | Field::Host
            | Field::Status
            | Field::BodyBytes
            | Field::RequestBytes
            | Field::Time(..)
            | Field::Date(..)
            | Field::RequestHeader(_)
            | Field::Environ(_)
            | Field::Process
            | Field::Worker
            | Field::Thread
            | Field::Application
            | Field::Cause
            | Field::Level
            | Field::Message
            | Field::Constant(_) => Value::Absent,
        }
    }
}

fn text(found: Option<&[u8]>) -> Value<'_> {
    found.map_or(Value::Absent, Value::Text)
}

impl Time {
    #[inline]
    fn of(self, record: &AccessRecord<'_>) -> Option<u64> {
        match (self, &record.call) {
            (Time::Total, _) => Some(record.duration_ns),
            (_, None) => None,
            (Time::Queue, Some(call)) => Some(call.queue_ns),
            (Time::Lock, Some(call)) => Some(call.lock_ns),
            (Time::Application, Some(call)) => Some(call.application_ns()),
            (Time::Cpu, Some(call)) => call.cpu_ns,
            (Time::Client, Some(call)) => Some(call.client_ns),
            (Time::FirstByte, Some(call)) => call.head_ns,
        }
    }
}

impl Moment {
    fn of(self, record: &AccessRecord<'_>, wall_ns: u64) -> u64 {
        match self {
            Moment::Start => wall_ns.saturating_sub(record.duration_ns),
            Moment::End => wall_ns,
        }
    }
}

impl TracePart {
    /// Of the server's own span, else of what the request came with.
    fn of(self, record: &AccessRecord<'_>) -> Value<'static> {
        let trace = |id: [u8; 16]| Value::Hexadecimal(id, 16);
        let span = |id: [u8; 8]| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&id);
            Value::Hexadecimal(bytes, 8)
        };
        if let Some(Trace { own, parent_id, .. }) = record.trace {
            return match self {
                TracePart::Trace => trace(own.trace_id),
                TracePart::Span => span(own.parent_id),
                TracePart::Parent => parent_id.map_or(Value::Absent, span),
            };
        }
        let theirs = record.request.filter(|request| record.may_have(request, TRACEPARENT));
        let theirs = theirs.and_then(|request| TraceParent::read_only(request.headers(TRACEPARENT)));
        match (self, theirs) {
            (TracePart::Trace, Some(theirs)) => trace(theirs.trace_id),
            (TracePart::Span, Some(theirs)) => span(theirs.parent_id),
            (TracePart::Parent, _) | (_, None) => Value::Absent,
        }
    }
}

impl UwsgiPart {
    /// Of the four bytes that a packet begins with.
    fn of(self, request: &Inbound) -> u16 {
        let Some([modifier1, size @ .., modifier2]) =
            request.bytes().first_chunk::<4>().filter(|_| request.response_framing == ResponseFraming::Uwsgi)
        else {
            return 0;
        };
        match self {
            UwsgiPart::Size => u16::from_le_bytes(*size),
            UwsgiPart::Modifier1 => (*modifier1).into(),
            UwsgiPart::Modifier2 => (*modifier2).into(),
        }
    }
}

impl Scale {
    fn of(self, bytes: u64) -> u64 {
        match self {
            Scale::Bytes => bytes,
            Scale::Mebibytes => bytes / (1024 * 1024),
        }
    }
}

/// All values of the request's headers called `name`, in lower case, as one (RFC 9110 5.3).
fn header_values<'a>(record: &'a AccessRecord<'_>, name: &str) -> Value<'a> {
    let Some(request) = record.request.filter(|request| record.may_have(request, name)) else { return Value::Absent };
    joined(request.headers(name))
}

/// The values of one header as one. Of `Set-Cookie`, too, which a client must not read so (RFC 6265 3): a person can.
fn joined<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Value<'a> {
    match (values.next(), values.next()) {
        (None, _) => Value::Absent,
        (Some(value), None) => Value::Text(value),
        (Some(first), Some(second)) => {
            let all: Vec<&[u8]> = [first, second].into_iter().chain(values).collect();
            Value::Decoded(all.join(&b", "[..]).into())
        }
    }
}

fn head_bytes(record: &AccessRecord<'_>) -> Option<u64> {
    record.said.map(|said| said.head.len() as u64).filter(|bytes| *bytes > 0)
}

fn request_id<'a>(record: &'a AccessRecord<'_>) -> Option<&'a [u8]> {
    let said = record.said.and_then(Said::request_id);
    said.or_else(|| record.header(REQUEST_ID))
}

fn user<'a>(record: &'a AccessRecord<'_>) -> Value<'a> {
    let gateway = record.request.and_then(|request| Some((request.gateway()?, request.bytes())));
    let variable = gateway.and_then(|(gateway, bytes)| gateway.variable(bytes, "REMOTE_USER"));
    match variable.filter(|user| !user.is_empty()) {
        Some(user) => Value::Text(user),
        None => record.header(AUTHORIZATION).and_then(basic_user).map_or(Value::Absent, Value::Decoded),
    }
}

/// Who has logged in by Basic authentication (RFC 7617).
fn basic_user(authorization: &[u8]) -> Option<Box<[u8]>> {
    let (scheme, credentials) = split_at_first_space(authorization)?;
    let decoded = scheme.eq_ignore_ascii_case(b"basic").then(|| decode_base64(credentials))?;
    let user = decoded.split(|byte| *byte == b':').next().unwrap_or_default();
    (!user.is_empty()).then(|| user.into())
}

fn split_at_first_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr(b' ', text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The bytes that `text` stands for, as far as it is base64 (RFC 4648 4).
fn decode_base64(text: &[u8]) -> Vec<u8> {
    let digits = text.iter().map_while(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        bits = bits << 6 & 0xffff | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or_default());
        }
    }
    bytes
}
