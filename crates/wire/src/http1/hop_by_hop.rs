//! Receives the fields of a message that is passed on; tells which of them were for the connection that it came over, and
//! must not be passed on with it (RFC 9110 7.6.1).

use crate::Header;
use crate::grammar::{is_hop_by_hop, trim_ows};
use std::cmp::Ordering;

/// Fields for one connection alone: those of `is_hop_by_hop`, and those that Connection names.
pub struct HopByHop<'a> {
    /// The options of Connection but the usual ones, which are in the list anyway: sorted, so that many of them in a
    /// head of many fields cost no more than the sorting.
    options: Vec<&'a [u8]>,
}

impl<'a> HopByHop<'a> {
    /// What `headers`, read from `bytes`, say.
    #[must_use]
    pub fn of(headers: &[Header], bytes: &'a [u8]) -> Self {
        let mut options = Vec::new();
        for header in headers.iter().filter(|header| header.name.of(bytes).eq_ignore_ascii_case(b"connection")) {
            let values = header.value.of(bytes).split(|&byte| byte == b',').map(trim_ows);
            options.extend(values.filter(|option| !is_usual(option)));
        }
        options.sort_unstable_by(|one, other| in_any_case(one, other));
        Self { options }
    }

    /// Whether the field called `name`, in any case, is for one connection alone.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        // Not in any RFC, but sent by old clients to proxies, and confused with Connection by old servers.
        is_hop_by_hop(name)
            || name.eq_ignore_ascii_case(b"proxy-connection")
            || self.options.binary_search_by(|option| in_any_case(option, name)).is_ok()
    }
}

/// Whether an option of Connection is no field's name, or that of one which is in the list.
fn is_usual(option: &[u8]) -> bool {
    option.is_empty() || option.eq_ignore_ascii_case(b"close") || is_hop_by_hop(option)
}

/// Names in an order that their case has no part in.
fn in_any_case(one: &[u8], other: &[u8]) -> Ordering {
    one.iter().map(u8::to_ascii_lowercase).cmp(other.iter().map(u8::to_ascii_lowercase))
}
