//! What the lines of a log look like: a template, or pairs of names and values, as JSON or `key=value`.

use super::appending::{Prepared, push_number};
use super::escaping::{push_escaped, push_value};
use super::field::{self, Field, Wanted};
use super::named::{COMBINED, COMMON, NAMES, SHORT, journal_fields, json_fields, logfmt_fields, span_fields};
use super::numbers::{Numbers, Place};
use super::record::AccessRecord;
use super::repeated::Repeated;
use super::syslog::Source;
use super::template::{self, Piece};
use super::value::{Unit, Value, push_after};
use crate::json_text::push_json_text;
use std::ops::Range;

/// Bytes of a line that fit in what a pipe takes at once (PIPE_BUF, pipe(7)), without colours, cause and line end.
const PIPE_BYTES: usize = 4000;
/// Bytes of an entry of the journal at most, which takes larger ones than a pipe: each text has all that it may.
const JOURNAL_BYTES: usize = 32 * 1024;
/// Bytes of a name of a field of the journal at most.
const JOURNAL_NAME_BYTES: usize = 64;
/// Bytes of each text of a client's at most, where a line has to fit in that; and that are left for it, if there is room.
const PIPE_FIELD_BYTES: usize = 1200;
const LEAST_FIELD_BYTES: usize = 64;
/// Bytes at most of a value that is no client's text; and of the end of one that is truncated.
const PLAIN_BYTES: usize = 48;
const TRUNCATED_BYTES: usize = 16;

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
    Pairs(Pairs),
}

impl Shape {
    fn pairs(fields: Vec<(&str, Field)>, notation: Notation) -> Shape {
        Shape::Pairs(Pairs::new(fields, notation))
    }
}

/// What an entry of systemd's journal has beside its message: a field on each line, as `HTTP_STATUS=200`
/// (systemd.io/JOURNAL_NATIVE_PROTOCOL). No value has a line end, as all are escaped.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// The lines that are the same in each.
    constant: String,
    pairs: Pairs,
}

#[derive(Debug, PartialEq, Eq)]
struct Pair {
    name: String,
    /// The name as it stands before the value, what separates it from the pair before, and a quote where one is needed.
    lead: Prepared,
    field: Field,
    /// Where its value is, if that is one of the numbers that are written as they are.
    place: Option<Place>,
    /// What stands after the value.
    end: Option<u8>,
}

/// Pairs, and what of them is made once.
#[derive(Debug, PartialEq, Eq)]
struct Pairs {
    all: Vec<Pair>,
    notation: Notation,
    segments: Vec<Segment>,
}

/// Pairs one after the other.
#[derive(Debug, PartialEq, Eq)]
struct Segment {
    pairs: Range<usize>,
    /// Where all of them are the same for all requests of an application: a number among those of the format.
    run: Option<usize>,
}

/// How pairs and their values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notation {
    /// Values alone, in a template.
    Bare,
    Json,
    Logfmt,
    Journal,
}

impl Notation {
    fn lead(self, name: &str, field: &Field) -> String {
        match self {
            Notation::Bare => String::new(),
            Notation::Json if field.is_number() => format!(",\"{name}\":"),
            Notation::Json => format!(",\"{name}\":\""),
            Notation::Logfmt => format!(" {name}="),
            Notation::Journal => format!("{name}="),
        }
    }

    /// Of the first one, which no line is without.
    fn first_lead(self, name: &str, field: &Field) -> String {
        let text = self.lead(name, field);
        match self {
            Notation::Json => text.replacen(',', "{", 1),
            Notation::Bare | Notation::Logfmt | Notation::Journal => text.trim_start().to_owned(),
        }
    }

    /// What stands after a value.
    fn end(self, field: &Field) -> Option<u8> {
        match self {
            Notation::Json if !field.is_number() => Some(b'"'),
            Notation::Journal => Some(b'\n'),
            Notation::Bare | Notation::Json | Notation::Logfmt => None,
        }
    }

    /// Appends a client's text, of which what is longer than `most_bytes` is truncated.
    fn push_text(self, line: &mut Vec<u8>, text: &[u8], most_bytes: usize) {
        match self {
            Notation::Json => push_json_text(line, text, most_bytes),
            Notation::Logfmt => push_value(line, text, most_bytes),
            Notation::Bare | Notation::Journal => push_escaped(line, text, most_bytes),
        }
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
            "json" => Shape::pairs(json_fields(&mut wanted), Notation::Json),
            "logfmt" => Shape::pairs(logfmt_fields(&mut wanted), Notation::Logfmt),
            _ if text.contains('%') => Shape::Template(template::parse(text, &mut wanted)?),
            _ => {
                let names = NAMES.join(", ");
                return Err(format!("expected auto, {names}, or a template with variables, got {text}"));
            }
        };
        let mut format = Format { shape, entry: None, wanted, texts: 0, text_bytes: 0 };
        format.settle();
        Ok(format)
    }

    /// What is told of a span to the process that exports it (`spans`): the short names are read there, by
    /// python/portico/otlp/spans.py.
    #[must_use]
    pub fn of_spans(mut wanted: Wanted) -> Format {
        let shape = Shape::pairs(span_fields(&mut wanted), Notation::Json);
        let mut format = Format { shape, entry: None, wanted, texts: 0, text_bytes: 0 };
        format.settle();
        format
    }

    /// The same as the message of an entry of the journal by `source`.
    #[must_use]
    pub fn into_entry(mut self, source: &Source) -> Format {
        let Source { facility, tag } = source;
        let constant = format!("SYSLOG_IDENTIFIER={tag}\nSYSLOG_FACILITY={facility}\n");
        self.entry = Some(Entry { constant, pairs: Pairs::new(journal_fields(&mut self.wanted), Notation::Journal) });
        self.settle();
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
                entry.pairs.add(journal_name(name), field.clone());
            }
            if let Shape::Pairs(pairs) = &mut self.shape {
                pairs.add(name.clone(), field);
            }
        }
        self.settle();
        Ok(())
    }

    /// Finds out which pairs are the same for many lines, and how much of a line the texts of clients may have.
    fn settle(&mut self) {
        let mut number = 0;
        if let Shape::Pairs(pairs) = &mut self.shape {
            pairs.divide(&mut number);
        }
        if let Some(entry) = &mut self.entry {
            entry.pairs.divide(&mut number);
        }
        self.texts = self.fields().filter(|field| field.is_text()).count();
        let plain = self.fields().count() - self.texts;
        let fixed = self.fixed_bytes() + plain * PLAIN_BYTES + self.texts * TRUNCATED_BYTES;
        let most_bytes = if self.entry.is_some() { JOURNAL_BYTES } else { PIPE_BYTES };
        self.text_bytes = most_bytes.saturating_sub(fixed);
    }

    /// Bytes of a line that are not values.
    fn fixed_bytes(&self) -> usize {
        let of_pairs = |pairs: &Pairs| pairs.all.iter().map(|pair| pair.name.len() + 6).sum::<usize>();
        let of_entry = self.entry.as_ref().map_or(0, |entry| entry.constant.len() + of_pairs(&entry.pairs));
        let of_line = match &self.shape {
            Shape::Template(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.len(),
                    Piece::Field(..) => 0,
                })
                .sum(),
            Shape::Pairs(pairs) => of_pairs(pairs),
        };
        of_line + of_entry
    }

    /// All fields.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let (pieces, pairs) = match &self.shape {
            Shape::Template(pieces) => (&pieces[..], &[][..]),
            Shape::Pairs(pairs) => (&[][..], &pairs.all[..]),
        };
        let of_pieces = pieces.iter().filter_map(|piece| match piece {
            Piece::Field(field, _) => Some(field),
            Piece::Text(_) => None,
        });
        let of_entry = self.entry.as_ref().map_or(&[][..], |entry| &entry.pairs.all);
        of_pieces.chain(pairs.iter().chain(of_entry).map(|pair| &pair.field))
    }

    /// Appends the line of `record`, whose end is the moment `wall_ns`, without a line end. Where it `is_bounded`, all of
    /// it fits in what a pipe takes at once.
    pub fn push(
        &self,
        line: &mut Vec<u8>,
        record: &AccessRecord<'_>,
        wall_ns: u64,
        repeated: &mut Repeated,
        is_bounded: bool,
    ) {
        let mut room = is_bounded.then_some(Room { bytes: self.text_bytes, texts: self.texts });
        repeated.begin(&record.served_by);
        if self.entry.is_some() {
            line.extend_from_slice(b"MESSAGE=");
        }
        match &self.shape {
            Shape::Template(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => text.push(line),
                        Piece::Field(field, nothing) => match field.value(record, wall_ns) {
                            Value::Absent => line.extend_from_slice(nothing.as_bytes()),
                            value => Notation::Bare.push(line, &value, repeated, &mut room),
                        },
                    }
                }
                if let Some(cause) = record.cause {
                    line.push(b' ');
                    line.extend_from_slice(cause.as_bytes());
                }
            }
            Shape::Pairs(pairs) => {
                pairs.push(line, record, wall_ns, repeated, &mut room);
                if pairs.notation == Notation::Json {
                    line.push(b'}');
                }
            }
        }
        if let Some(entry) = &self.entry {
            line.push(b'\n');
            line.extend_from_slice(entry.constant.as_bytes());
            entry.pairs.push(line, record, wall_ns, repeated, &mut room);
        }
    }
}

impl Pair {
    fn new(name: String, lead: String, field: Field, notation: Notation) -> Pair {
        let place = Place::of(&field).filter(|_| notation == Notation::Json);
        Pair { name, lead: Prepared::new(lead), end: notation.end(&field), place, field }
    }
}

impl Pairs {
    fn new(fields: Vec<(&str, Field)>, notation: Notation) -> Pairs {
        let pair = |(index, (name, field)): (usize, (&str, Field))| {
            let lead = if index == 0 { notation.first_lead(name, &field) } else { notation.lead(name, &field) };
            Pair::new(name.to_owned(), lead, field, notation)
        };
        Pairs { all: fields.into_iter().enumerate().map(pair).collect(), notation, segments: Vec::new() }
    }

    /// Adds one, unless there is one of the name.
    fn add(&mut self, name: String, field: Field) {
        let Pairs { all, notation, .. } = self;
        if !all.iter().any(|pair| pair.name == name) {
            let lead = notation.lead(&name, &field);
            all.push(Pair::new(name, lead, field, *notation));
        }
    }

    /// Finds those that are the same for all requests of an application; they have numbers from `number` on.
    fn divide(&mut self, number: &mut usize) {
        let is_run = |pair: &Pair| pair.field.is_of_application();
        self.segments.clear();
        let mut start = 0;
        for pairs in self.all.chunk_by(|one, other| is_run(one) == is_run(other)) {
            let run = pairs.first().is_some_and(is_run).then_some(*number);
            *number += usize::from(run.is_some());
            self.segments.push(Segment { pairs: start..start + pairs.len(), run });
            start += pairs.len();
        }
    }

    /// Appends those whose fields have values in `record`.
    fn push(
        &self,
        line: &mut Vec<u8>,
        record: &AccessRecord<'_>,
        wall_ns: u64,
        repeated: &mut Repeated,
        room: &mut Option<Room>,
    ) {
        let numbers = Numbers::of(record);
        for Segment { pairs, run } in &self.segments {
            let pairs = self.all.get(pairs.clone()).unwrap_or_default();
            let mut push = |line: &mut Vec<u8>, repeated: &mut Repeated| {
                push_pairs(line, pairs, self.notation, (record, &numbers), wall_ns, repeated, room);
            };
            match run {
                None => push(line, repeated),
                Some(number) => repeated.push_run(line, *number, push),
            }
        }
    }
}

/// Appends those pairs whose fields have values in `record`.
fn push_pairs(
    line: &mut Vec<u8>,
    pairs: &[Pair],
    notation: Notation,
    (record, numbers): (&AccessRecord<'_>, &Numbers),
    wall_ns: u64,
    repeated: &mut Repeated,
    room: &mut Option<Room>,
) {
    for Pair { lead, field, place, end, .. } in pairs {
        if let Some(place) = place {
            if let Some(number) = numbers.get(*place) {
                lead.push(line);
                push_number(line, number);
            }
            continue;
        }
        let value = field.value(record, wall_ns);
        if matches!(value, Value::Absent) {
            continue;
        }
        lead.push(line);
        notation.push(line, &value, repeated, room);
        if let Some(end) = end {
            line.push(*end);
        }
    }
}

impl Notation {
    /// Appends a value.
    #[inline]
    fn push(self, line: &mut Vec<u8>, value: &Value<'_>, repeated: &mut Repeated, room: &mut Option<Room>) {
        match value {
            Value::Number(number) | Value::Time(number, Unit::Nanoseconds) => push_number(line, *number),
            Value::Own(text) => line.extend_from_slice(text.as_bytes()),
            Value::Date(wall_ns, form) => repeated.dates.push(line, *form, *wall_ns),
            Value::Address(address) => repeated.push_address(line, *address),
            // In these it stands as it is, where it need not be short.
            Value::Plain(text) if room.is_none() && self != Notation::Logfmt => line.extend_from_slice(text),
            Value::Text(text) | Value::Plain(text) => {
                push_bounded(line, room, |line, most_bytes| self.push_text(line, text, most_bytes));
            }
            _ => self.push_other(line, value, repeated, room),
        }
    }

    #[inline(never)]
    fn push_other(self, line: &mut Vec<u8>, value: &Value<'_>, repeated: &mut Repeated, room: &mut Option<Room>) {
        match value {
            // A number of JSON does not begin with a 0.
            Value::Status(status) if self == Notation::Json => push_number(line, (*status).into()),
            Value::TextAndStatus { text, is_plain, status } if self != Notation::Logfmt => {
                if *is_plain && room.is_none() {
                    line.extend_from_slice(text);
                } else {
                    push_bounded(line, room, |line, most_bytes| self.push_text(line, text, most_bytes));
                }
                push_after(line, *status);
            }
            Value::Decoded(_) | Value::TextAndStatus { .. } => push_bounded(line, room, |line, most_bytes| {
                self.push_text(line, &value.text().unwrap_or_default(), most_bytes);
            }),
            _ => value.push(line, repeated),
        }
    }
}

/// Appends a client's text by `push`, which is told how many bytes there is room for.
fn push_bounded(line: &mut Vec<u8>, room: &mut Option<Room>, push: impl FnOnce(&mut Vec<u8>, usize)) {
    let Some(room) = room else { return push(line, usize::MAX) };
    let (start, most_bytes) = (line.len(), room.next());
    push(line, most_bytes);
    room.bytes = room.bytes.saturating_sub(line.len() - start);
}

/// What a field is called in the journal: capitals, digits and underscores.
fn journal_name(name: &str) -> String {
    let capital = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    name.chars().map(capital).take(JOURNAL_NAME_BYTES).collect()
}
