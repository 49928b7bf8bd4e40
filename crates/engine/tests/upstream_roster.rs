//! Who is to be a member of an upstream, after orders and look-ups.

#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::upstream::address::Place;
use portico_engine::upstream::roster::{Found, Roster};
use std::net::SocketAddr;

const ONE: &str = "http://10.0.0.1:80";
const TWO: &str = "http://10.0.0.2:80";
const NAME: &str = "http://shop.example:8000";

fn place(text: &str) -> Place {
    Place::read(text).unwrap()
}

fn roster(places: &[&str]) -> Roster {
    let mut roster = Roster::default();
    for text in places {
        roster.add(place(text), 1);
    }
    roster
}

fn found(addresses: &[(u8, u32)]) -> Vec<Found> {
    let at = |last| SocketAddr::from(([10, 0, 1, last], 8000));
    addresses.iter().map(|&(last, weight)| Found { address: at(last), weight, priority: 0 }).collect()
}

/// Each member with its weight, `-` before one that is drained, and `of` behind one that a name has.
fn shown(roster: &Roster) -> Vec<String> {
    let wanted = roster.wanted().into_iter();
    let one = |wanted: portico_engine::upstream::roster::Wanted| {
        let drained = if wanted.is_drained { "-" } else { "" };
        let of = wanted.of.map(|name| format!(" of {name}")).unwrap_or_default();
        format!("{drained}{} x{}{of}", wanted.address, wanted.weight)
    };
    wanted.map(one).collect()
}

#[test]
fn places_are_added_drained_taken_back_and_removed() {
    let mut roster = roster(&[ONE]);
    roster.add(place(TWO), 3);
    assert_eq!(shown(&roster), ["http://10.0.0.1:80 x1", "http://10.0.0.2:80 x3"]);
    roster.drain(ONE);
    roster.drain(ONE);
    assert_eq!(shown(&roster), ["-http://10.0.0.1:80 x1", "http://10.0.0.2:80 x3"]);
    roster.take_back(ONE, None);
    roster.take_back(TWO, Some(5));
    assert_eq!(shown(&roster), ["http://10.0.0.1:80 x1", "http://10.0.0.2:80 x5"]);
    roster.drain(TWO);
    roster.add(place(TWO), 2);
    assert_eq!(shown(&roster), ["http://10.0.0.1:80 x1", "http://10.0.0.2:80 x2"]);
    roster.remove(ONE);
    roster.remove(TWO);
    assert!(shown(&roster).is_empty() && !roster.is_listed(ONE));
    // Nothing of before is left.
    roster.add(place(ONE), 1);
    assert_eq!(shown(&roster), ["http://10.0.0.1:80 x1"]);
}

#[test]
fn what_is_ordered_of_an_address_of_a_name_outlives_look_ups() {
    let mut roster = roster(&[NAME, ONE]);
    assert_eq!(shown(&roster), ["http://10.0.0.1:80 x1"]);
    assert!(roster.find(NAME, found(&[(1, 1), (2, 4), (3, 1)])));
    roster.drain("http://10.0.1.1:8000");
    roster.remove("http://10.0.1.3:8000");
    let of = |text: &str| format!("{text} of {NAME}");
    let expected = [of("-http://10.0.1.1:8000 x1"), of("http://10.0.1.2:8000 x4"), "http://10.0.0.1:80 x1".to_owned()];
    assert_eq!(shown(&roster), expected);
    assert!(roster.find(NAME, found(&[(2, 1)])));
    assert!(roster.find(NAME, found(&[(1, 1), (3, 1)])));
    assert_eq!(shown(&roster), [of("-http://10.0.1.1:8000 x1"), "http://10.0.0.1:80 x1".to_owned()]);
    roster.take_back("http://10.0.1.3:8000", Some(7));
    roster.drain(NAME);
    let drained = [of("-http://10.0.1.1:8000 x1"), of("-http://10.0.1.3:8000 x7")];
    assert_eq!(shown(&roster)[..2], drained);
    roster.remove(NAME);
    assert_eq!(shown(&roster), ["http://10.0.0.1:80 x1"]);
    assert!(!roster.find(NAME, found(&[(1, 1)])));
}

#[test]
fn a_service_is_what_its_records_list() {
    const SERVICE: &str = "srv+http://_http._tcp.shop.example";
    let mut roster = roster(&[SERVICE]);
    assert!(roster.lacks_addresses());
    let one = |port, weight, priority| Found { address: ([10, 0, 0, 1], port).into(), weight, priority };
    roster.find(SERVICE, vec![one(80, 1, 0), one(81, 5, 7)]);
    assert!(!roster.lacks_addresses());
    assert_eq!(
        shown(&roster),
        [format!("http://10.0.0.1:80 x1 of {SERVICE}"), format!("http://10.0.0.1:81 x5 of {SERVICE}")]
    );
    let priorities: Vec<u16> = roster.wanted().iter().map(|wanted| wanted.priority).collect();
    assert_eq!(priorities, [0, 7]);
    // That there are none is known, too.
    roster.find(SERVICE, Vec::new());
    assert!(!roster.lacks_addresses() && shown(&roster).is_empty());
}

#[test]
fn a_name_with_a_weight_multiplies_those_of_its_addresses() {
    let mut roster = Roster::default();
    roster.add(place(NAME), 3);
    roster.find(NAME, found(&[(1, 1), (2, 5), (3, u32::MAX)]));
    let weights: Vec<u32> = roster.wanted().iter().map(|wanted| wanted.weight).collect();
    assert_eq!(weights, [3, 15, u32::MAX]);
}
