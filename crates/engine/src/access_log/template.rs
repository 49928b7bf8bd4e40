//! Formats as templates: text with variables in it, `%(...)`, in gunicorn's words or in uWSGI's.
//!
//! gunicorn's are single letters and have an `s` behind them, as of Python's `%`: `%(h)s`, `%({referer}i)s`. uWSGI's
//! are words: `%(uri)`. A template may have both.

use super::appending::Prepared;
use super::date::DateForm;
use super::field::{self, Field, Moment, Time, Wanted};
use super::request_line::Part;
use super::value::Unit;

/// A part of a template.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Text(Prepared),
    /// The value of a field; what is said if there is none.
    Field(Field, &'static str),
}

/// What is said of a field without a value.
pub const NOTHING: &str = "-";

/// Reads a template.
///
/// # Errors
/// A sentence: what is wrong, and where.
pub fn parse(template: &str, wanted: &mut Wanted) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let shown: String = after.chars().take(12).collect();
        let Some(inner) = after.strip_prefix('(') else {
            return Err(format!("expected a variable such as %(status), or %% for a percent sign, got %{shown}"));
        };
        let Some((name, after)) = inner.split_once(')') else {
            return Err(format!("a variable without its ): %{shown}"));
        };
        rest = after;
        let mut found = match letter(name, wanted) {
            Some(found) => {
                rest = after.strip_prefix('s').ok_or_else(|| format!("expected %({name})s, got %({name})"))?;
                found
            }
            None => vec![Piece::Field(word(name, wanted)?, NOTHING)],
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(Prepared::new(std::mem::take(&mut text))));
        }
        pieces.append(&mut found);
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(Prepared::new(text)));
    }
    Ok(pieces)
}

fn word(name: &str, wanted: &mut Wanted) -> Result<Field, String> {
    Field::named(name, wanted).ok_or_else(|| format!("unknown variable %({name}){}", field::hint(name)))
}

/// gunicorn's variable of this name, if it is one of its letters.
fn letter(name: &str, wanted: &mut Wanted) -> Option<Vec<Piece>> {
    let between = |start: &str, field, end: &str| {
        vec![
            Piece::Text(Prepared::new(start.to_owned())),
            Piece::Field(field, NOTHING),
            Piece::Text(Prepared::new(end.to_owned())),
        ]
    };
    let field = match name {
        "h" => Field::Client,
        "l" => Field::Constant(NOTHING),
        "u" => Field::User,
        "t" => return Some(between("[", Field::Date(Moment::End, DateForm::Common), "]")),
        "r" => Field::Request,
        "m" => Field::Part(Part::Method),
        "U" => Field::Part(Part::Path),
        "q" => return Some(vec![Piece::Field(Field::Part(Part::Query), "")]),
        "H" => Field::Part(Part::Protocol),
        "s" => Field::Status,
        "B" => Field::BodyBytes,
        "b" => Field::BodyBytesOrNone,
        "f" => Field::RequestHeader("referer".to_owned()),
        "a" => Field::RequestHeader("user-agent".to_owned()),
        "T" => Field::Time(Time::Total, Unit::WholeSeconds),
        "M" => Field::Time(Time::Total, Unit::WholeMilliseconds),
        "D" => Field::Time(Time::Total, Unit::Microseconds),
        "L" => Field::Time(Time::Total, Unit::Seconds),
        "p" => return Some(between("<", Field::Process, ">")),
        _ => {
            let (name, kind) = name.strip_prefix('{')?.split_once('}')?;
            match kind {
                _ if name.is_empty() => return None,
                "i" => Field::RequestHeaderValues(name.to_ascii_lowercase()),
                "o" => Field::ResponseHeader(name.to_ascii_lowercase()),
                "e" => wanted.environ(name),
                _ => return None,
            }
        }
    };
    Some(vec![Piece::Field(field, NOTHING)])
}
