//! Dates in lines, which are made once a second.

use super::appending::{Prepared, push_decimals};
use crate::clock::{self, Civil};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// How a date is written, always in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateForm {
    /// `29/Nov/2026:01:46:07 +0000`, as the common log format has it.
    Common,
    /// `2026-11-29T01:46:07.123Z` (RFC 3339).
    Iso,
    /// `Sun Nov 29 01:46:07 2026`, as ctime(3) has it.
    Ctime,
    /// `01:46:07`.
    Clock,
}

/// The latest date in each form.
#[derive(Default)]
pub struct Dates {
    second: u64,
    texts: [Prepared; 4],
}

impl Dates {
    /// Appends the date of a moment, nanoseconds since 1970.
    pub fn push(&mut self, line: &mut Vec<u8>, form: DateForm, wall_ns: u64) {
        let second = wall_ns / 1_000_000_000;
        if self.second != second {
            self.second = second;
            self.texts = Default::default();
        }
        let text = &mut self.texts[form as usize];
        if text.is_empty() {
            *text = Prepared::new(date_text(form, second));
        }
        text.push(line);
        if form == DateForm::Iso {
            push_decimals(line, wall_ns / 1_000_000, 3);
            line.push(b'Z');
        }
    }
}

fn date_text(form: DateForm, second: u64) -> String {
    let Civil { year, month, day, time: (hour, minute, left) } = clock::civil(second);
    let name = MONTHS[usize::try_from(month - 1).unwrap_or(0) % 12];
    match form {
        DateForm::Common => format!("{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{left:02} +0000"),
        DateForm::Iso => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{left:02}"),
        DateForm::Ctime => {
            let weekday = DAYS[usize::try_from(second / 86_400 % 7).unwrap_or(0)];
            format!("{weekday} {name} {day:2} {hour:02}:{minute:02}:{left:02} {year:04}")
        }
        DateForm::Clock => format!("{hour:02}:{minute:02}:{left:02}"),
    }
}
