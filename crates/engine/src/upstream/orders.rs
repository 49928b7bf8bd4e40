//! What is ordered of members while the server serves, and what is told of them: texts of fields, each of which ends with a
//! NUL, since names may have any other character.
//!
//! ```text
//!   an order    what (add, back, drain, remove) | upstream | member | weight, or nothing
//!               found | upstream | name | its addresses, separated by commas, each: address, weight and priority
//!   a report    upstream | member | the name that has its address, or nothing | state | weight
//!               | requests in flight | requests | failures
//! ```
//!
//! Orders for an upstream that this server does not have, or that it has under another configuration, do what they can:
//! each worker of a server is told the same, those of before a reload too.

use super::address::{HostPort, Place};
use super::circuit::State;
use super::group::Upstream;
use super::member::Member;
use super::roster::Found;
use crate::log::{Level, log};
use std::fmt::Write as _;
use std::sync::Arc;

/// Fields of an order.
const FIELDS: usize = 4;

/// Does what the orders in `text` say; `follow` is called with a name that is new.
pub fn take(upstreams: &[Arc<Upstream>], text: &str, follow: &dyn Fn(&Arc<Upstream>, HostPort)) {
    for fields in text.split_terminator('\0').collect::<Vec<_>>().chunks(FIELDS) {
        let &[what, of, member, weight] = fields else { continue };
        for upstream in upstreams.iter().filter(|upstream| upstream.terms.key == of) {
            if what == "found" {
                let found = weight.split_terminator(',').filter_map(read_found).collect();
                upstream.change(|roster| roster.find(member, found));
            } else if let Some(name) = take_one(upstream, what, member, weight.parse().ok()) {
                follow(upstream, name);
            }
        }
    }
}

/// Does what one order says; returns a name that is to be looked up from now on.
fn take_one(upstream: &Upstream, what: &str, member: &str, weight: Option<u32>) -> Option<HostPort> {
    match what {
        "add" => {
            // The supervisor has read it the same way, but may be of another version.
            let read = Place::read(member).map_err(|error| unknown(&error));
            let place = read.ok()?;
            let name = match &place {
                Place::Named(name) if upstream.terms.resolve_ms.is_some() && !upstream.names().contains(name) => {
                    Some(name.clone())
                }
                _ => None,
            };
            upstream.change(|roster| roster.add(place, weight.unwrap_or(1)));
            return name;
        }
        "back" => upstream.change(|roster| roster.take_back(member, weight)),
        "drain" => upstream.change(|roster| roster.drain(member)),
        "remove" => upstream.change(|roster| roster.remove(member)),
        _ => unknown(&format!("expected add, back, drain, remove or found, got {what}")),
    }
    None
}

fn read_found(text: &str) -> Option<Found> {
    let mut words = text.split(' ');
    let address = words.next()?.parse().ok()?;
    Some(Found { address, weight: words.next()?.parse().ok()?, priority: words.next()?.parse().ok()? })
}

fn unknown(error: &str) {
    log(Level::Error, &format!("an order of the supervisor: {error}"));
}

/// Tells of all members of `upstreams`, and of those that were such and still have requests.
pub fn report(upstreams: &[Arc<Upstream>]) -> String {
    let mut text = String::new();
    for upstream in upstreams {
        for member in upstream.members().iter() {
            tell(&mut text, upstream, member, state(member));
        }
        for member in &upstream.leaving() {
            tell(&mut text, upstream, member, "leaving");
        }
    }
    text
}

fn tell(text: &mut String, upstream: &Upstream, member: &Member, state: &str) {
    let (key, name, of) = (&upstream.terms.key, &member.name, member.of.as_deref().unwrap_or_default());
    let (weight, in_flight, requests, failed) =
        (member.weight(), member.in_flight(), member.requests(), member.failed());
    // A String takes everything.
    let _ = write!(text, "{key}\0{name}\0{of}\0{state}\0{weight}\0{in_flight}\0{requests}\0{failed}\0");
}

fn state(member: &Member) -> &'static str {
    if member.is_draining() {
        "draining"
    } else if !member.is_well() {
        "down"
    } else if matches!(member.circuit(), State::Closed { .. }) {
        "up"
    } else {
        "ejected"
    }
}
