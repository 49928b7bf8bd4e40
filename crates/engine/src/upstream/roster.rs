//! Who is to be a member of an upstream: the places that the configuration and orders name, the addresses that names have,
//! and what was ordered of single members. Values only: `group` makes members of it.

use super::address::{Address, Place};
use crate::message::spoken::Protocol;
use std::net::SocketAddr;

/// An address that a name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub address: SocketAddr,
    /// Its share of the requests, among those of the name.
    pub weight: u32,
    /// It gets requests only while nobody of a lower number takes them (RFC 2782).
    pub priority: u16,
}

/// One that is to be a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub address: Address,
    /// The name that has this address, if it is known by one.
    pub of: Option<String>,
    /// Its share of the requests.
    pub weight: u32,
    /// It gets requests only while nobody of a lower number takes them.
    pub priority: u16,
    /// Whether it gets no new ones.
    pub is_drained: bool,
}

/// The list.
#[derive(Debug, Default)]
pub struct Roster {
    places: Vec<Listed>,
    /// By name, as it is shown.
    found: Vec<(String, Vec<Found>)>,
    /// By member, or by name for all of its addresses.
    marks: Vec<(String, Mark)>,
}

#[derive(Debug)]
struct Listed {
    place: Place,
    /// As it is shown.
    name: String,
    weight: u32,
}

/// What was ordered of a member.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    state: Marked,
    /// In place of its own.
    weight: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Marked {
    #[default]
    Serving,
    Drained,
    Removed,
}

impl Roster {
    /// Lists a place, or gives one that is listed this weight; it serves from now on.
    pub fn add(&mut self, place: Place, weight: u32) {
        let name = place.to_string();
        self.forget_mark(&name);
        match self.places.iter_mut().find(|listed| listed.name == name) {
            Some(listed) => listed.weight = weight,
            None => self.places.push(Listed { place, name, weight }),
        }
    }

    /// Lets a member, or an address of a name, serve again; `weight` is in place of its own.
    pub fn take_back(&mut self, name: &str, weight: Option<u32>) {
        self.put_mark(name, Mark { state: Marked::Serving, weight });
    }

    /// Drains a member, or all addresses of a name.
    pub fn drain(&mut self, name: &str) {
        self.put_mark(name, Mark { state: Marked::Drained, ..self.mark(name) });
    }

    /// Takes a place off the list; an address of a name is none of its addresses any more.
    pub fn remove(&mut self, name: &str) {
        let before = self.places.len();
        self.places.retain(|listed| listed.name != name);
        if self.places.len() < before {
            self.forget_mark(name);
            self.found.retain(|(other, _)| other != name);
        } else {
            self.put_mark(name, Mark { state: Marked::Removed, ..self.mark(name) });
        }
    }

    /// Notes which addresses a name has now; false if it is not listed.
    pub fn find(&mut self, name: &str, found: Vec<Found>) -> bool {
        let is_listed = self.is_listed(name);
        if is_listed {
            self.found.retain(|(other, _)| other != name);
            self.found.push((name.to_owned(), found));
        }
        is_listed
    }

    /// Whether a place is on the list.
    pub fn is_listed(&self, name: &str) -> bool {
        self.places.iter().any(|listed| listed.name == name)
    }

    /// Whether addresses of a name are not known yet.
    pub fn lacks_addresses(&self) -> bool {
        let is_known = |listed: &Listed| self.found.iter().any(|(name, _)| *name == listed.name);
        self.places.iter().any(|listed| !matches!(listed.place, Place::Fixed(_)) && !is_known(listed))
    }

    /// The places of the list.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().map(|listed| &listed.place)
    }

    /// Whether any place is told of requests by variables, over uwsgi or FastCGI.
    pub fn tells_variables(&self) -> bool {
        self.places().any(|place| place.protocol() != Protocol::Http)
    }

    /// All that are to be members, in the order of the list.
    pub fn wanted(&self) -> Vec<Wanted> {
        self.places.iter().flat_map(|listed| self.wanted_of(listed)).collect()
    }

    fn wanted_of(&self, listed: &Listed) -> Vec<Wanted> {
        let mark = self.mark(&listed.name);
        let is_drained = mark.state == Marked::Drained;
        let weight = mark.weight.unwrap_or(listed.weight);
        if let Place::Fixed(address) = &listed.place {
            return vec![Wanted { address: address.clone(), of: None, weight, priority: 0, is_drained }];
        }
        let of_one = |found: &Found| {
            let address = listed.place.at(found.address);
            let mark = self.mark(&address.to_string());
            let weight = mark.weight.unwrap_or_else(|| found.weight.saturating_mul(weight));
            let is_drained = is_drained || mark.state == Marked::Drained;
            let (of, priority) = (Some(listed.name.clone()), found.priority);
            (mark.state != Marked::Removed).then_some(Wanted { address, of, weight, priority, is_drained })
        };
        let found = self.found.iter().find(|(name, _)| *name == listed.name);
        found.map_or_else(Vec::new, |(_, found)| found.iter().filter_map(of_one).collect())
    }

    fn mark(&self, name: &str) -> Mark {
        self.marks.iter().find(|(other, _)| other == name).map(|(_, mark)| *mark).unwrap_or_default()
    }

    fn put_mark(&mut self, name: &str, mark: Mark) {
        self.forget_mark(name);
        self.marks.push((name.to_owned(), mark));
    }

    fn forget_mark(&mut self, name: &str) {
        self.marks.retain(|(other, _)| other != name);
    }
}
