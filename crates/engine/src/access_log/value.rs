//! The value of a field, and how it is written where it is no client's text.

use super::appending::{push_decimals, push_number, three_digits};
use super::date::DateForm;
use super::repeated::Repeated;
use portico_wire::hexadecimal;
use std::borrow::Cow;
use std::io::Write as _;
use std::net::IpAddr;

/// In which unit a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, with six decimals.
    Seconds,
    /// Whole seconds.
    WholeSeconds,
    /// Milliseconds, with three decimals.
    Milliseconds,
    /// Whole milliseconds.
    WholeMilliseconds,
    /// Whole microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

/// The value of a field.
pub enum Value<'a> {
    /// There is none.
    Absent,
    /// A number.
    Number(u64),
    /// A number that may have a fraction; finite.
    Float(f64),
    /// The status: a number that is written with three digits.
    Status(u16),
    /// Nanoseconds, to be given in a unit.
    Time(u64, Unit),
    /// A moment, nanoseconds since 1970.
    Date(u64, DateForm),
    /// An address.
    Address(IpAddr),
    /// A text, of which a client may have chosen each byte.
    Text(&'a [u8]),
    /// The same, of which all bytes are known to be plain ones: printable ASCII but quotes and backslashes.
    Plain(&'a [u8]),
    /// The same, where it had to be decoded.
    Decoded(Box<[u8]>),
    /// A text of a client's with a status after it.
    TextAndStatus {
        /// The text.
        text: &'a [u8],
        /// Whether all its bytes are known to be plain ones.
        is_plain: bool,
        /// The status.
        status: u16,
    },
    /// So many of these bytes, as hexadecimal digits.
    Hexadecimal([u8; 16], usize),
    /// A text of the server's own, which needs no escape.
    Own(&'a str),
}

impl Unit {
    /// How many nanoseconds one is.
    pub fn ns(self) -> u64 {
        match self {
            Unit::Seconds | Unit::WholeSeconds => 1_000_000_000,
            Unit::Milliseconds | Unit::WholeMilliseconds => 1_000_000,
            Unit::Microseconds => 1_000,
            Unit::Nanoseconds => 1,
        }
    }

    /// So many nanoseconds in whole ones. Each of these divisions is a multiplication, since the processor's own takes
    /// long.
    pub fn whole(self, ns: u64) -> u64 {
        match self {
            Unit::Seconds | Unit::WholeSeconds => ns / 1_000_000_000,
            Unit::Milliseconds | Unit::WholeMilliseconds => ns / 1_000_000,
            Unit::Microseconds => ns / 1_000,
            Unit::Nanoseconds => ns,
        }
    }

    /// How many decimals it is written with.
    pub fn decimals(self) -> usize {
        match self {
            Unit::Seconds => 6,
            Unit::Milliseconds => 3,
            Unit::WholeSeconds | Unit::WholeMilliseconds | Unit::Microseconds | Unit::Nanoseconds => 0,
        }
    }
}

impl Value<'_> {
    /// As a number to compare with.
    #[expect(clippy::cast_precision_loss, reason = "a number of 2^53 is compared with what somebody has written")]
    pub fn number(&self) -> Option<f64> {
        let read = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse().ok();
        match self {
            Value::Number(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Status(status) => Some((*status).into()),
            Value::Time(ns, unit) => Some(*ns as f64 / unit.ns() as f64),
            Value::Text(text) | Value::Plain(text) => read(text),
            Value::Decoded(text) => read(text),
            Value::Own(text) => text.parse().ok(),
            Value::Absent
            | Value::Date(..)
            | Value::Address(_)
            | Value::TextAndStatus { .. }
            | Value::Hexadecimal(..) => None,
        }
    }

    /// As a text to compare with.
    pub fn text(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Value::Absent => None,
            Value::Text(text) | Value::Plain(text) => Some((*text).into()),
            Value::Decoded(text) => Some(text.as_ref().into()),
            Value::TextAndStatus { text, status, .. } => {
                let mut all = text.to_vec();
                push_after(&mut all, *status);
                Some(all.into())
            }
            Value::Own(text) => Some(text.as_bytes().into()),
            // Whole ones.
            Value::Time(ns, unit) => Some(unit.whole(*ns).to_string().into_bytes().into()),
            _ => {
                let mut text = Vec::new();
                self.push(&mut text, &mut Repeated::default());
                Some(text.into())
            }
        }
    }

    /// Appends it, where it is no client's text.
    pub fn push(&self, line: &mut Vec<u8>, repeated: &mut Repeated) {
        match self {
            Value::Absent | Value::Text(_) | Value::Plain(_) | Value::Decoded(_) | Value::TextAndStatus { .. } => {}
            Value::Number(number) => push_number(line, *number),
            // Writing to a Vec cannot fail.
            Value::Float(number) => drop(write!(line, "{number}")),
            // Three digits, whatever reads the line.
            Value::Status(status) => line.extend_from_slice(&three_digits((*status).into())),
            Value::Time(ns, unit) => push_time(line, *ns, *unit),
            Value::Date(wall_ns, form) => repeated.dates.push(line, *form, *wall_ns),
            Value::Address(address) => repeated.push_address(line, *address),
            Value::Hexadecimal(bytes, count) => {
                for byte in &bytes[..*count] {
                    line.extend_from_slice(&hexadecimal(*byte));
                }
            }
            Value::Own(text) => line.extend_from_slice(text.as_bytes()),
        }
    }
}

/// Appends a space and the three digits of a status.
pub fn push_after(line: &mut Vec<u8>, status: u16) {
    let [first, second, third] = three_digits(status.into());
    line.extend_from_slice(&[b' ', first, second, third]);
}

fn push_time(line: &mut Vec<u8>, ns: u64, unit: Unit) {
    push_number(line, unit.whole(ns));
    let decimals = unit.decimals();
    if decimals > 0 {
        // Whatever the unit is: the last decimal is of microseconds.
        push_decimals(line, ns / 1_000, decimals);
    }
}
