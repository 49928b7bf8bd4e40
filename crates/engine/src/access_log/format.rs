//! What the lines of a log look like: a template, or pairs of names and values, as JSON or `key=value`.

use super::date::{DateForm, Dates};
use super::escaping::{push_escaped, push_value};
use super::field::{self, Field, Moment, ROUTE, Time, TracePart, Unit, Value, Wanted};
use super::record::AccessRecord;
use super::request_line::Part;
use super::syslog::Source;
use super::template::{self, Piece};
use crate::json_text::{ECS_VERSION, push_json};
use std::io::Write as _;
use std::net::IpAddr;

/// Bytes of a line that fit in what a pipe takes at once (PIPE_BUF, pipe(7)), without colours, cause and line end.
const PIPE_BYTES: usize = 4000;
/// Bytes of an entry of the journal at most, which takes larger ones than a pipe: each text has all that it may.
const JOURNAL_BYTES: usize = 32 * 1024;
/// Bytes of what stands before a value that are appended without asking how many there are.
const LEAD_BYTES: usize = 32;
/// Bytes of a name of a field of the journal at most.
const JOURNAL_NAME_BYTES: usize = 64;
/// Bytes of each text of a client's at most, where a line has to fit in that; and that are left for it, if there is room.
const PIPE_FIELD_BYTES: usize = 1200;
const LEAST_FIELD_BYTES: usize = 64;
/// Bytes at most of a value that is no client's text; and of the end of one that is truncated.
const PLAIN_BYTES: usize = 48;
const TRUNCATED_BYTES: usize = 12;

const COMBINED: &str =
    "%(client) - - [%(ended_clf)] \"%(request)\" %(status) %(body_bytes) \"%(referer)\" \"%(user_agent)\" %(total_s)";
const COMMON: &str = "%(client) - %(user) [%(ended_clf)] \"%(request)\" %(status) %(body_bytes)";
const SHORT: &str = "%(clock) %(method) %(target) %(status) %(body_bytes) %(total_ms) ms";

/// The formats that have a name.
pub const NAMES: [&str; 5] = ["combined", "common", "short", "json", "logfmt"];

/// A format.
#[derive(Debug, PartialEq, Eq)]
pub struct Format {
    shape: Shape,
    /// Where the line is the message of an entry of the journal.
    entry: Option<Entry>,
    /// The variables of the environ that it wants.
    pub wanted: Wanted,
    /// How many fields are texts that a client can choose.
    texts: usize,
    /// Bytes that they may have together, where a line goes to a pipe.
    text_bytes: usize,
}

/// Room for the texts of clients in one line.
struct Room {
    bytes: usize,
    texts: usize,
}

impl Room {
    /// How long the next one may be: as long as it likes, if those that may follow still have some room.
    fn next(&mut self) -> usize {
        let others = self.texts.saturating_sub(1);
        let share = self.bytes / self.texts.max(1);
        self.texts = others;
        self.bytes.saturating_sub(others * LEAST_FIELD_BYTES).max(share).min(PIPE_FIELD_BYTES)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Template(Vec<Piece>),
    Json(Vec<Pair>),
    Logfmt(Vec<Pair>),
}

/// What an entry of systemd's journal has beside its message: a field on each line, as `HTTP_STATUS=200`
/// (systemd.io/JOURNAL_NATIVE_PROTOCOL). No value has a line end, as all are escaped.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// The lines that are the same in each.
    constant: String,
    pairs: Vec<Pair>,
}

#[derive(Debug, PartialEq, Eq)]
struct Pair {
    name: String,
    /// The name as it stands before the value, and what separates it from the pair before.
    lead: Lead,
    field: Field,
}

/// What stands before a value.
#[derive(Debug, PartialEq, Eq)]
struct Lead {
    text: String,
    /// Its beginning: to append so many bytes, always, takes two moves of the processor, and to append as many as there are
    /// a call.
    start: [u8; LEAD_BYTES],
}

impl Lead {
    fn new(text: String) -> Lead {
        let mut start = [0; LEAD_BYTES];
        for (place, byte) in start.iter_mut().zip(text.as_bytes()) {
            *place = *byte;
        }
        Lead { text, start }
    }

    fn push(&self, line: &mut Vec<u8>) {
        if self.text.len() > LEAD_BYTES {
            line.extend_from_slice(self.text.as_bytes());
            return;
        }
        let end = line.len() + self.text.len();
        line.extend_from_slice(&self.start);
        line.truncate(end);
    }
}

/// How a pair is written.
#[derive(Clone, Copy)]
enum Notation {
    Json,
    Logfmt,
    Journal,
}

impl Notation {
    fn lead(self, name: &str) -> Lead {
        Lead::new(match self {
            Notation::Json => format!(",\"{name}\":"),
            Notation::Logfmt => format!(" {name}="),
            Notation::Journal => format!("{name}="),
        })
    }

    /// Of the first one, which no line is without.
    fn first_lead(self, name: &str) -> Lead {
        let Lead { text, .. } = self.lead(name);
        Lead::new(match self {
            Notation::Json => text.replacen(',', "{", 1),
            Notation::Logfmt | Notation::Journal => text.trim_start().to_owned(),
        })
    }
}

impl Format {
    /// The format that `text` says: one of the names, or a template.
    ///
    /// # Errors
    /// A sentence: what is wrong with it.
    pub fn parse(text: &str) -> Result<Format, String> {
        let mut wanted = Wanted::default();
        let shape = match text {
            "combined" => Shape::Template(template::parse(COMBINED, &mut wanted)?),
            "common" => Shape::Template(template::parse(COMMON, &mut wanted)?),
            "short" => Shape::Template(template::parse(SHORT, &mut wanted)?),
            "json" => Shape::Json(pairs(json_fields(&mut wanted), Notation::Json)),
            "logfmt" => Shape::Logfmt(pairs(logfmt_fields(&mut wanted), Notation::Logfmt)),
            _ if text.contains('%') => Shape::Template(template::parse(text, &mut wanted)?),
            _ => {
                let names = NAMES.join(", ");
                return Err(format!("expected auto, {names}, or a template with variables, got {text}"));
            }
        };
        let mut format = Format { shape, entry: None, wanted, texts: 0, text_bytes: 0 };
        format.make_room();
        Ok(format)
    }

    /// What is told of a span to the process that exports it (`spans`): the short names are read there, by
    /// python/portico/otlp/spans.py.
    #[must_use]
    pub fn of_spans(mut wanted: Wanted) -> Format {
        let pairs = pairs(span_fields(&mut wanted), Notation::Json);
        let mut format = Format { shape: Shape::Json(pairs), entry: None, wanted, texts: 0, text_bytes: 0 };
        format.make_room();
        format
    }

    /// The same as the message of an entry of the journal by `source`.
    #[must_use]
    pub fn into_entry(mut self, source: &Source) -> Format {
        let Source { facility, tag } = source;
        let constant = format!("SYSLOG_IDENTIFIER={tag}\nSYSLOG_FACILITY={facility}\n");
        self.entry = Some(Entry { constant, pairs: pairs(journal_fields(&mut self.wanted), Notation::Journal) });
        self.make_room();
        self
    }

    /// Adds fields by their names, where it is of pairs or has them beside it.
    ///
    /// # Errors
    /// A sentence: which is none, or that it is not of pairs.
    pub fn add(&mut self, names: &[String]) -> Result<(), String> {
        if self.entry.is_none() && matches!(self.shape, Shape::Template(_)) && !names.is_empty() {
            return Err("expected json or logfmt as access_log_format; others have no more fields".to_owned());
        }
        for name in names {
            let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
            let field = Field::named(name, &mut self.wanted).filter(|_| is_plain);
            let field = field.ok_or_else(|| format!("unknown field {name}{}", field::hint(name)))?;
            if let Some(entry) = &mut self.entry {
                add_pair(&mut entry.pairs, journal_name(name), field.clone(), Notation::Journal);
            }
            match &mut self.shape {
                Shape::Json(pairs) => add_pair(pairs, name.clone(), field, Notation::Json),
                Shape::Logfmt(pairs) => add_pair(pairs, name.clone(), field, Notation::Logfmt),
                Shape::Template(_) => {}
            }
        }
        self.make_room();
        Ok(())
    }

    /// Finds out how much of a line the texts of clients may have.
    fn make_room(&mut self) {
        self.texts = self.fields().filter(|field| field.is_text()).count();
        let plain = self.fields().count() - self.texts;
        let fixed = self.fixed_bytes() + plain * PLAIN_BYTES + self.texts * TRUNCATED_BYTES;
        let most_bytes = if self.entry.is_some() { JOURNAL_BYTES } else { PIPE_BYTES };
        self.text_bytes = most_bytes.saturating_sub(fixed);
    }

    /// Bytes of a line that are not values.
    fn fixed_bytes(&self) -> usize {
        let of_pairs = |pairs: &[Pair]| pairs.iter().map(|pair| pair.name.len() + 6).sum::<usize>();
        let of_entry = self.entry.as_ref().map_or(0, |entry| entry.constant.len() + of_pairs(&entry.pairs));
        let of_line = match &self.shape {
            Shape::Template(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.len(),
                    Piece::Field(..) => 0,
                })
                .sum(),
            Shape::Json(pairs) | Shape::Logfmt(pairs) => of_pairs(pairs),
        };
        of_line + of_entry
    }

    /// All fields.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let (pieces, pairs) = match &self.shape {
            Shape::Template(pieces) => (&pieces[..], &[][..]),
            Shape::Json(pairs) | Shape::Logfmt(pairs) => (&[][..], &pairs[..]),
        };
        let of_pieces = pieces.iter().filter_map(|piece| match piece {
            Piece::Field(field, _) => Some(field),
            Piece::Text(_) => None,
        });
        let of_entry = self.entry.as_ref().map_or(&[][..], |entry| &entry.pairs);
        of_pieces.chain(pairs.iter().chain(of_entry).map(|pair| &pair.field))
    }

    /// Appends the line of `record`, whose end is the moment `wall_ns`, without a line end. Where it `is_bounded`, all of
    /// it fits in what a pipe takes at once.
    pub fn push(
        &self,
        line: &mut Vec<u8>,
        record: &AccessRecord<'_>,
        wall_ns: u64,
        dates: &mut Dates,
        is_bounded: bool,
    ) {
        let mut room = is_bounded.then_some(Room { bytes: self.text_bytes, texts: self.texts });
        if self.entry.is_some() {
            line.extend_from_slice(b"MESSAGE=");
        }
        match &self.shape {
            Shape::Template(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => line.extend_from_slice(text.as_bytes()),
                        Piece::Field(field, nothing) => match field.value(record, wall_ns) {
                            Value::Absent => line.extend_from_slice(nothing.as_bytes()),
                            Value::Text(text) => push_bounded(line, &text, &mut room, push_escaped),
                            value => push_plain(line, &value, dates),
                        },
                    }
                }
                if let Some(cause) = record.cause {
                    line.push(b' ');
                    line.extend_from_slice(cause.as_bytes());
                }
            }
            Shape::Json(pairs) => {
                for Pair { lead, field, .. } in pairs {
                    let value = field.value(record, wall_ns);
                    if matches!(value, Value::Absent) {
                        continue;
                    }
                    lead.push(line);
                    match value {
                        Value::Text(text) => push_bounded(line, &text, &mut room, push_json),
                        Value::Status(status) => push_number(line, status.into()),
                        Value::Number(number) | Value::Time(number, Unit::Nanoseconds) => push_number(line, number),
                        Value::Float(_) | Value::Time(..) => push_plain(line, &value, dates),
                        _ => {
                            line.push(b'"');
                            push_plain(line, &value, dates);
                            line.push(b'"');
                        }
                    }
                }
                line.push(b'}');
            }
            Shape::Logfmt(pairs) => {
                for Pair { lead, field, .. } in pairs {
                    let value = field.value(record, wall_ns);
                    if matches!(value, Value::Absent) {
                        continue;
                    }
                    lead.push(line);
                    match value {
                        Value::Text(text) => push_bounded(line, &text, &mut room, push_value),
                        _ => push_plain(line, &value, dates),
                    }
                }
            }
        }
        if let Some(entry) = &self.entry {
            line.push(b'\n');
            line.extend_from_slice(entry.constant.as_bytes());
            for Pair { lead, field, .. } in &entry.pairs {
                let value = field.value(record, wall_ns);
                if matches!(value, Value::Absent) {
                    continue;
                }
                lead.push(line);
                match value {
                    Value::Text(text) => push_bounded(line, &text, &mut room, push_escaped),
                    _ => push_plain(line, &value, dates),
                }
                line.push(b'\n');
            }
        }
    }
}

/// Appends a client's text by `push`, as long as there is room for it.
fn push_bounded(line: &mut Vec<u8>, text: &[u8], room: &mut Option<Room>, push: fn(&mut Vec<u8>, &[u8], usize)) {
    let Some(room) = room else { return push(line, text, usize::MAX) };
    let (start, most_bytes) = (line.len(), room.next());
    push(line, text, most_bytes);
    room.bytes = room.bytes.saturating_sub(line.len() - start);
}

/// Appends a value that is no client's text.
fn push_plain(line: &mut Vec<u8>, value: &Value<'_>, dates: &mut Dates) {
    let mut digits = itoa::Buffer::new();
    // Writing to a Vec cannot fail.
    let _ = match value {
        Value::Absent | Value::Text(_) => Ok(()),
        Value::Number(number) => {
            push_number(line, *number);
            Ok(())
        }
        Value::Float(number) => write!(line, "{number}"),
        // Three digits, whatever reads the line.
        Value::Status(0) => line.write_all(b"000"),
        Value::Status(status) => line.write_all(digits.format(*status).as_bytes()),
        Value::Time(ns, unit) => {
            push_time(line, *ns, *unit);
            Ok(())
        }
        Value::Date(wall_ns, form) => {
            dates.push(line, *form, *wall_ns);
            Ok(())
        }
        Value::Address(IpAddr::V4(address)) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                line.extend_from_slice(if index == 0 { b"" } else { b"." });
                line.extend_from_slice(digits.format(octet).as_bytes());
            }
            Ok(())
        }
        Value::Address(address) => write!(line, "{address}"),
        Value::Own(text) => line.write_all(text.as_bytes()),
    };
}

fn push_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn push_time(line: &mut Vec<u8>, ns: u64, unit: Unit) {
    let (per_unit, decimals) = (unit.ns(), unit.decimals());
    push_number(line, ns / per_unit);
    let mut rest = ns % per_unit;
    let mut place = per_unit;
    if decimals > 0 {
        line.push(b'.');
    }
    for _ in 0..decimals {
        place /= 10;
        line.push(b'0' + u8::try_from(rest / place).unwrap_or(9));
        rest %= place;
    }
}

/// The names of the Elastic Common Schema, and after them portico's own.
fn json_fields(wanted: &mut Wanted) -> Vec<(&'static str, Field)> {
    let time = |time| Field::Time(time, Unit::Nanoseconds);
    let header = |name: &str| Field::RequestHeader(name.to_owned());
    vec![
        ("@timestamp", Field::Date(Moment::End, DateForm::Iso)),
        ("log.level", Field::Level),
        ("message", Field::Message),
        ("ecs.version", Field::Constant(ECS_VERSION)),
        ("service.name", Field::Application),
        ("process.pid", Field::Process),
        ("client.ip", Field::Client),
        ("user.name", Field::User),
        ("http.request.method", Field::Part(Part::Method)),
        ("url.path", Field::Part(Part::Path)),
        ("url.query", Field::Part(Part::Query)),
        ("url.domain", Field::Host),
        ("http.version", Field::Part(Part::Version)),
        ("http.route", wanted.environ(ROUTE)),
        ("http.request.id", Field::RequestId),
        ("http.request.referrer", header("referer")),
        ("http.request.body.bytes", Field::RequestBytes),
        ("http.response.status_code", Field::Status),
        ("http.response.body.bytes", Field::BodyBytes),
        ("user_agent.original", header("user-agent")),
        ("trace.id", Field::Trace(TracePart::Trace)),
        ("span.id", Field::Trace(TracePart::Span)),
        ("event.duration", time(Time::Total)),
        ("portico.queue_ns", time(Time::Queue)),
        ("portico.lock_ns", time(Time::Lock)),
        ("portico.app_ns", time(Time::Application)),
        ("portico.cpu_ns", time(Time::Cpu)),
        ("portico.client_ns", time(Time::Client)),
        ("portico.first_byte_ns", time(Time::FirstByte)),
        ("portico.worker", Field::Worker),
        ("portico.thread", Field::Thread),
        ("portico.cause", Field::Cause),
    ]
}

fn span_fields(wanted: &mut Wanted) -> Vec<(&'static str, Field)> {
    let time = |time| Field::Time(time, Unit::Nanoseconds);
    let header = |name: &str| Field::RequestHeader(name.to_owned());
    vec![
        ("trace", Field::Trace(TracePart::Trace)),
        ("span", Field::Trace(TracePart::Span)),
        ("parent", Field::Trace(TracePart::Parent)),
        ("start", Field::Since1970(Moment::Start, Unit::Nanoseconds)),
        ("total", time(Time::Total)),
        ("queue", time(Time::Queue)),
        ("lock", time(Time::Lock)),
        ("app", time(Time::Application)),
        ("cpu", time(Time::Cpu)),
        ("client", time(Time::Client)),
        ("first", time(Time::FirstByte)),
        ("status", Field::Status),
        ("method", Field::Part(Part::Method)),
        ("scheme", Field::Scheme),
        ("version", Field::Part(Part::Version)),
        ("peer", Field::Client),
        ("bytes", Field::BodyBytes),
        ("pid", Field::Process),
        ("worker", Field::Worker),
        ("thread", Field::Thread),
        ("name", Field::Application),
        ("cause", Field::Cause),
        ("route", wanted.environ(ROUTE)),
        ("host", Field::Host),
        ("state", header("tracestate")),
        ("path", Field::Part(Part::Path)),
        ("query", Field::Part(Part::Query)),
        ("agent", header("user-agent")),
    ]
}

fn logfmt_fields(wanted: &mut Wanted) -> Vec<(&'static str, Field)> {
    let time = |time| Field::Time(time, Unit::Milliseconds);
    vec![
        ("time", Field::Date(Moment::End, DateForm::Iso)),
        ("level", Field::Level),
        ("client", Field::Client),
        ("method", Field::Part(Part::Method)),
        ("path", Field::Part(Part::Path)),
        ("query", Field::Part(Part::Query)),
        ("route", wanted.environ(ROUTE)),
        ("status", Field::Status),
        ("body_bytes", Field::BodyBytes),
        ("total_ms", time(Time::Total)),
        ("queue_ms", time(Time::Queue)),
        ("lock_ms", time(Time::Lock)),
        ("app_ms", time(Time::Application)),
        ("client_ms", time(Time::Client)),
        ("request_id", Field::RequestId),
        ("application", Field::Application),
        ("worker", Field::Worker),
        ("cause", Field::Cause),
    ]
}

/// The journal's own names, systemd's first.
fn journal_fields(wanted: &mut Wanted) -> Vec<(&'static str, Field)> {
    let time = |time| Field::Time(time, Unit::Microseconds);
    let header = |name: &str| Field::RequestHeader(name.to_owned());
    vec![
        ("PRIORITY", Field::Severity),
        ("SYSLOG_PID", Field::Process),
        ("CLIENT_IP", Field::Client),
        ("USER_NAME", Field::User),
        ("HTTP_METHOD", Field::Part(Part::Method)),
        ("URL_PATH", Field::Part(Part::Path)),
        ("URL_QUERY", Field::Part(Part::Query)),
        ("URL_DOMAIN", Field::Host),
        ("HTTP_VERSION", Field::Part(Part::Version)),
        ("ROUTE", wanted.environ(ROUTE)),
        ("REQUEST_ID", Field::RequestId),
        ("REFERER", header("referer")),
        ("USER_AGENT", header("user-agent")),
        ("TRACE_ID", Field::Trace(TracePart::Trace)),
        ("SPAN_ID", Field::Trace(TracePart::Span)),
        ("REQUEST_BYTES", Field::RequestBytes),
        ("HTTP_STATUS", Field::Status),
        ("BODY_BYTES", Field::BodyBytes),
        ("DURATION_US", time(Time::Total)),
        ("QUEUE_US", time(Time::Queue)),
        ("LOCK_US", time(Time::Lock)),
        ("APP_US", time(Time::Application)),
        ("CPU_US", time(Time::Cpu)),
        ("CLIENT_US", time(Time::Client)),
        ("FIRST_BYTE_US", time(Time::FirstByte)),
        ("APPLICATION", Field::Application),
        ("WORKER", Field::Worker),
        ("THREAD", Field::Thread),
        ("CAUSE", Field::Cause),
    ]
}

/// What a field is called in the journal: capitals, digits and underscores.
fn journal_name(name: &str) -> String {
    let capital = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    name.chars().map(capital).take(JOURNAL_NAME_BYTES).collect()
}

/// Adds one, unless there is one of the name.
fn add_pair(pairs: &mut Vec<Pair>, name: String, field: Field, notation: Notation) {
    if !pairs.iter().any(|pair| pair.name == name) {
        pairs.push(Pair { lead: notation.lead(&name), name, field });
    }
}

fn pairs(fields: Vec<(&str, Field)>, notation: Notation) -> Vec<Pair> {
    let mut fields = fields.into_iter();
    let first = fields.next().map(|(name, field)| (notation.first_lead(name), name, field));
    let others = fields.map(|(name, field)| (notation.lead(name), name, field));
    first.into_iter().chain(others).map(|(lead, name, field)| Pair { name: name.to_owned(), lead, field }).collect()
}
