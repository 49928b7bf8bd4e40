//! What a request asks of a file, read from its head.

use super::conditions::Conditions;
use super::file_response::Asked;
use crate::message::inbound::Inbound;
use std::borrow::Cow;

/// The fields that files look at; several lines of one are put together (RFC 9110 5.3).
#[derive(Default)]
pub struct Fields<'a>([Option<Cow<'a, [u8]>>; Fields::NAMES.len()]);

impl<'a> Fields<'a> {
    const NAMES: [&'static str; 7] = [
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "range",
        "accept-encoding",
    ];

    /// Those of the request in `inbound`.
    pub fn of(inbound: &'a Inbound) -> Fields<'a> {
        let mut fields = Fields::default();
        if inbound.gateway().is_some() {
            // Reverse proxies have put lines together.
            for (name, field) in Fields::NAMES.iter().zip(&mut fields.0) {
                *field = inbound.header(name).map(Cow::from);
            }
            return fields;
        }
        for header in &inbound.head.headers {
            let (name, value) = (header.name.of(inbound.bytes()), header.value.of(inbound.bytes()));
            let index = Fields::NAMES.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()));
            let Some(field) = index.and_then(|index| fields.0.get_mut(index)) else { continue };
            *field = Some(match field.take() {
                None => value.into(),
                Some(before) => [&before, value].join(&b","[..]).into(),
            });
        }
        fields
    }

    /// What it asks of a file, with them.
    pub fn asked<'b>(&'b self, inbound: &'b Inbound) -> Asked<'b> {
        let [if_match, if_none_match, if_modified_since, if_unmodified_since, if_range, range, accept_encoding] =
            self.0.each_ref().map(Option::as_deref);
        let (bytes, head) = (inbound.bytes(), &inbound.head);
        let (target, query) = (head.target.of(bytes), head.query.of(bytes));
        let mark = target.len().checked_sub(query.len() + 1).filter(|mark| target.get(*mark) == Some(&b'?'));
        Asked {
            method: head.method.of(bytes),
            query: mark.and_then(|mark| target.get(mark..)).unwrap_or_default(),
            conditions: Conditions { if_match, if_none_match, if_modified_since, if_unmodified_since },
            if_range,
            range,
            accept_encoding,
        }
    }
}
