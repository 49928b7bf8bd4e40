//! Which requests have a line: a condition on the fields of a record, such as `status >= 500 or total_ms > 200`.
//!
//! ```text
//! condition   = both *( "or" both )
//! both        = one *( "and" one )
//! one         = "not" one / "(" condition ")" / field [ comparison value ]
//! comparison  = "==" / "!=" / "<" / "<=" / ">" / ">=" / "~" / "!~"
//! value       = number / text in quotes
//! ```
//!
//! `~` compares with a pattern in which `*` stands for anything. A field alone is whether there is a value. What is
//! compared and has no value is never true, but for `!=` and `!~`.

use super::field::{self, Field, Wanted};
use super::record::AccessRecord;
use super::value::Value;

/// A condition.
#[derive(Debug, PartialEq)]
pub enum Condition {
    /// One of these has to hold.
    Any(Vec<Condition>),
    /// All of these have to hold.
    All(Vec<Condition>),
    /// This must not hold.
    Not(Box<Condition>),
    /// There is a value.
    Has(Field),
    /// A number compares so.
    Number(Field, Comparison, f64),
    /// A text compares so.
    Text(Field, Comparison, String),
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `~`
    Like,
    /// `!~`
    Unlike,
}

/// How deep brackets may be in each other.
const MOST_DEPTH: usize = 32;

const COMPARISONS: [(&str, Comparison); 8] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("!~", Comparison::Unlike),
    ("<", Comparison::Less),
    (">", Comparison::More),
    ("~", Comparison::Like),
];

impl Condition {
    /// Reads a condition; what it wants of an environ is added to `wanted`.
    ///
    /// # Errors
    /// A sentence: what is wrong with it, and where.
    pub fn parse(text: &str, wanted: &mut Wanted) -> Result<Condition, String> {
        let mut reader = Reader { rest: text, wanted, depth: 0 };
        let condition = reader.any()?;
        match reader.peek() {
            "" => Ok(condition),
            rest => Err(format!("expected and, or, or the end, got {rest}")),
        }
    }

    /// All fields that it looks at.
    pub fn fields(&self) -> Vec<&Field> {
        match self {
            Condition::Any(parts) | Condition::All(parts) => parts.iter().flat_map(Condition::fields).collect(),
            Condition::Not(part) => part.fields(),
            Condition::Has(field) | Condition::Number(field, ..) | Condition::Text(field, ..) => vec![field],
        }
    }

    /// Whether it holds for `record`, whose end is the moment `wall_ns`.
    pub fn holds(&self, record: &AccessRecord<'_>, wall_ns: u64) -> bool {
        match self {
            Condition::Any(parts) => parts.iter().any(|part| part.holds(record, wall_ns)),
            Condition::All(parts) => parts.iter().all(|part| part.holds(record, wall_ns)),
            Condition::Not(part) => !part.holds(record, wall_ns),
            Condition::Has(field) => !matches!(field.value(record, wall_ns), Value::Absent),
            Condition::Number(field, comparison, number) => match field.value(record, wall_ns).number() {
                Some(value) => comparison.holds(value.partial_cmp(number)),
                None => *comparison == Comparison::Unequal,
            },
            Condition::Text(field, comparison, text) => {
                let value = field.value(record, wall_ns);
                let Some(value) = value.text() else {
                    return matches!(comparison, Comparison::Unequal | Comparison::Unlike);
                };
                match comparison {
                    Comparison::Like => is_like(&value, text.as_bytes()),
                    Comparison::Unlike => !is_like(&value, text.as_bytes()),
                    _ => comparison.holds(Some(value.as_ref().cmp(text.as_bytes()))),
                }
            }
        }
    }
}

impl Comparison {
    fn is_of_order(self) -> bool {
        matches!(self, Comparison::Less | Comparison::AtMost | Comparison::More | Comparison::AtLeast)
    }

    fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        match self {
            Comparison::Equal | Comparison::Like => order.is_some_and(std::cmp::Ordering::is_eq),
            Comparison::Unequal | Comparison::Unlike => order.is_none_or(std::cmp::Ordering::is_ne),
            Comparison::Less => order.is_some_and(std::cmp::Ordering::is_lt),
            Comparison::AtMost => order.is_some_and(std::cmp::Ordering::is_le),
            Comparison::More => order.is_some_and(std::cmp::Ordering::is_gt),
            Comparison::AtLeast => order.is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}

/// Whether `text` matches a pattern in which `*` stands for any bytes.
pub fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    // Where the latest star was, and where what follows it was tried last.
    let (mut text_at, mut pattern_at, mut star) = (0, 0, None);
    while text_at < text.len() {
        match pattern.get(pattern_at) {
            Some(b'*') => {
                star = Some((pattern_at, text_at));
                pattern_at += 1;
            }
            Some(byte) if text.get(text_at) == Some(byte) => (text_at, pattern_at) = (text_at + 1, pattern_at + 1),
            _ => match star {
                Some((at, tried)) => {
                    star = Some((at, tried + 1));
                    (text_at, pattern_at) = (tried + 1, at + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(pattern_at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

struct Reader<'a> {
    rest: &'a str,
    wanted: &'a mut Wanted,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn any(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(format!("more than {MOST_DEPTH} brackets in each other"));
        }
        let mut parts = vec![self.all()?];
        while self.takes("or") {
            parts.push(self.all()?);
        }
        self.depth -= 1;
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Any(parts) })
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.one()?];
        while self.takes("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::All(parts) })
    }

    fn one(&mut self) -> Result<Condition, String> {
        let mut is_not = false;
        while self.takes("not") {
            is_not = !is_not;
        }
        let condition = if self.takes("(") {
            let inner = self.any()?;
            if !self.takes(")") {
                return Err(format!("expected ), got {}", shown(self.peek())));
            }
            inner
        } else {
            self.comparison()?
        };
        Ok(if is_not { Condition::Not(Box::new(condition)) } else { condition })
    }

    fn comparison(&mut self) -> Result<Condition, String> {
        let name = self.peek();
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !is_name || matches!(name, "and" | "or" | "not") {
            return Err(format!("expected a field such as status, got {}", shown(name)));
        }
        let field =
            Field::named(name, self.wanted).ok_or_else(|| format!("unknown field {name}{}", field::hint(name)))?;
        self.take(name);
        let sign = self.peek();
        let Some((_, comparison)) = COMPARISONS.iter().find(|(known, _)| *known == sign) else {
            return Ok(Condition::Has(field));
        };
        self.take(sign);
        let value = self.peek();
        let condition = if let Some(quote @ ('"' | '\'')) = value.chars().next() {
            let text = value.get(1..).and_then(|text| text.strip_suffix(quote));
            let text = text.ok_or_else(|| format!("a text without its end: {value}"))?;
            if field.is_number() && comparison.is_of_order() {
                return Err(format!("expected a number without quotes after {name} {sign}, got {value}"));
            }
            Condition::Text(field, *comparison, text.to_owned())
        } else {
            let number: f64 = value.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| {
                format!("expected a number or a text in quotes after {name} {sign}, got {}", shown(value))
            })?;
            if matches!(comparison, Comparison::Like | Comparison::Unlike) {
                return Err(format!("expected a pattern in quotes after {name} {sign}, got {value}"));
            }
            Condition::Number(field, *comparison, number)
        };
        self.take(value);
        Ok(condition)
    }

    /// The next word, sign or text, of which the quotes are a part; empty at the end.
    fn peek(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let rest = self.rest;
        let is_word = |byte: char| byte.is_ascii_alphanumeric() || matches!(byte, '_' | '.' | '-');
        let length = match rest.chars().next() {
            None => 0,
            Some(quote @ ('"' | '\'')) => {
                rest.get(1..).and_then(|rest| rest.find(quote)).map_or(rest.len(), |end| end + 2)
            }
            Some(first) if is_word(first) => rest.find(|byte| !is_word(byte)).unwrap_or(rest.len()),
            Some(first) => COMPARISONS
                .iter()
                .map(|(sign, _)| *sign)
                .find(|sign| rest.starts_with(sign))
                .map_or(first.len_utf8(), str::len),
        };
        rest.get(..length).unwrap_or_default()
    }

    fn take(&mut self, word: &str) {
        self.rest = self.rest.get(word.len()..).unwrap_or_default();
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_next = self.peek() == word;
        if is_next {
            self.take(word);
        }
        is_next
    }
}

fn shown(word: &str) -> &str {
    if word.is_empty() { "nothing" } else { word }
}
