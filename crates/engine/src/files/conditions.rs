//! Conditional requests (RFC 9110 13): whether a response is due at all, given what the client has already.

use super::validators::{Validators, parse_date};

/// The conditions of one request; all lines of each field, with commas between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// If-Match.
    pub if_match: Option<&'a [u8]>,
    /// If-None-Match.
    pub if_none_match: Option<&'a [u8]>,
    /// If-Modified-Since.
    pub if_modified_since: Option<&'a [u8]>,
    /// If-Unmodified-Since.
    pub if_unmodified_since: Option<&'a [u8]>,
}

/// What the conditions of a GET or HEAD lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The response that would be due without them.
    Hold,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl Conditions<'_> {
    /// What they lead to for GET and HEAD, in their order (RFC 9110 13.2.2). A date that is none is not there.
    pub fn judge(&self, validators: &Validators) -> Verdict {
        let Validators { etag, modified_s } = validators;
        if let Some(tags) = self.if_match {
            if !is_among(tags, etag, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if self.if_unmodified_since.and_then(parse_date).is_some_and(|latest_s| *modified_s > latest_s) {
            return Verdict::Failed;
        }
        let is_known = match self.if_none_match {
            Some(tags) => is_among(tags, etag, Comparison::Weak),
            None => self.if_modified_since.and_then(parse_date).is_some_and(|latest_s| *modified_s <= latest_s),
        };
        if is_known { Verdict::NotModified } else { Verdict::Hold }
    }
}

/// Whether a range can be sent of what the client has a part of already, as If-Range says it (RFC 9110 13.1.5). A date is
/// as strong as a tag only if the file has not changed twice in that second (8.8.2.2), which shows in the next one.
pub fn is_same_as(if_range: Option<&[u8]>, validators: &Validators, now_s: u64) -> bool {
    let Some(condition) = if_range else { return true };
    if condition.contains(&b'"') {
        return condition == validators.etag.as_bytes();
    }
    parse_date(condition) == Some(validators.modified_s) && validators.modified_s < now_s
}

/// How two entity tags are compared (RFC 9110 8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// A weak tag is like none.
    Strong,
    /// Whether one of them is weak does not matter.
    Weak,
}

/// Whether `etag`, which is strong, is one of a list of entity tags, or the list is `*`. What follows a mistake in a list
/// does not count.
fn is_among(mut list: &[u8], etag: &str, comparison: Comparison) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    loop {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        let (is_weak, quoted) = match list {
            [b'W', b'/', quoted @ ..] => (true, quoted),
            quoted => (false, quoted),
        };
        let [b'"', opaque @ ..] = quoted else { return false };
        let Some(end) = opaque.iter().position(|byte| *byte == b'"') else { return false };
        let (tag, rest) = quoted.split_at(end + 2);
        if tag == etag.as_bytes() && (!is_weak || comparison == Comparison::Weak) {
            return true;
        }
        if !matches!(rest.trim_ascii_start(), [] | [b',', ..]) {
            return false;
        }
        list = rest;
    }
}
