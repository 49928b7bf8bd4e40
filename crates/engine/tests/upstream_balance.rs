//! Which member gets a request: distribution by weight, least movement, and keys out of heads.

#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::upstream::balance::{Candidate, HashBy, consistent, hash, keep_first, least_requests, round_robin};
use portico_wire::{Limits, RequestHead};

const PLAIN: Candidate = Candidate { weight: 1, in_flight: 0, identity: 0, priority: 0, is_available: true };

fn weighted(weights: &[u32]) -> Vec<Candidate> {
    let members = weights.iter().enumerate();
    let identity = |index| hash(format!("http://10.0.0.{index}:80").as_bytes());
    members.map(|(index, &weight)| Candidate { weight, identity: identity(index), ..PLAIN }).collect()
}

fn shares(candidates: &[Candidate], keys: u64) -> Vec<u32> {
    let mut counts = vec![0; candidates.len()];
    for key in 0..keys {
        counts[consistent(hash(&key.to_le_bytes()), candidates).unwrap()] += 1;
    }
    counts
}

#[test]
fn round_robin_goes_by_weight_and_smoothly() {
    let mut credits = Vec::new();
    let candidates = weighted(&[3, 1, 0, 2]);
    let chosen: Vec<usize> = (0..12).map(|_| round_robin(&mut credits, &candidates).unwrap()).collect();
    assert_eq!(chosen, [0, 3, 0, 1, 3, 0, 0, 3, 0, 1, 3, 0]);
}

#[test]
fn round_robin_passes_over_who_is_not_there() {
    let mut credits = Vec::new();
    let mut candidates = weighted(&[1, 1, 1]);
    candidates[1].is_available = false;
    let chosen: Vec<usize> = (0..4).map(|_| round_robin(&mut credits, &candidates).unwrap()).collect();
    assert_eq!(chosen, [0, 2, 0, 2]);
    for candidate in &mut candidates {
        candidate.is_available = false;
    }
    assert_eq!(round_robin(&mut credits, &candidates), None);
    assert_eq!(round_robin(&mut credits, &[]), None);
}

#[test]
fn round_robin_goes_on_when_members_come_and_go() {
    let mut credits = Vec::new();
    for count in [1, 3, 2] {
        let candidates = weighted(&vec![1; count]);
        let chosen: Vec<usize> = (0..count).map(|_| round_robin(&mut credits, &candidates).unwrap()).collect();
        assert_eq!(chosen, (0..count).collect::<Vec<_>>());
    }
}

#[test]
fn least_requests_are_counted_by_weight() {
    let load = |loads: &[(u32, u32)]| -> Vec<Candidate> {
        loads.iter().map(|&(in_flight, weight)| Candidate { in_flight, weight, ..PLAIN }).collect()
    };
    for (loads, chosen) in [
        (&[(3, 1), (2, 1), (4, 1)][..], Some(1)),
        (&[(3, 1), (5, 2), (4, 1)], Some(1)),
        (&[(3, 1), (9, 2)], Some(0)),
        (&[(0, 0), (9, 1)], Some(1)),
        (&[(0, 0)], None),
        (&[], None),
        (&[(u32::MAX, u32::MAX), (u32::MAX - 1, u32::MAX)], Some(1)),
    ] {
        assert_eq!(least_requests(0, &load(loads)), chosen, "{loads:?}");
    }
    // Among equals each gets its turn.
    let equal = load(&[(1, 1), (1, 1), (1, 1)]);
    let chosen: Vec<_> = (0..4).map(|ticket| least_requests(ticket, &equal).unwrap()).collect();
    assert_eq!(chosen, [0, 1, 2, 0]);
}

#[test]
fn the_lowest_priority_number_of_those_that_may_be_chosen_goes_first() {
    let of = |rows: &[(u16, u32, bool)]| -> Vec<Candidate> {
        let one = |&(priority, weight, is_available)| Candidate { priority, weight, is_available, ..PLAIN };
        rows.iter().map(one).collect()
    };
    for (rows, left) in [
        (&[(0, 1, true), (0, 1, true)][..], &[true, true][..]),
        (&[(9, 1, true), (3, 1, true), (3, 1, false), (4, 1, true)], &[false, true, false, false]),
        (&[(3, 0, true), (4, 1, true), (4, 2, true)], &[false, true, true]),
        (&[(3, 1, false)], &[false]),
        (&[], &[]),
    ] {
        let mut candidates = of(rows);
        keep_first(&mut candidates);
        let available: Vec<bool> = candidates.iter().map(|candidate| candidate.is_available).collect();
        assert_eq!(available, left, "{rows:?}");
    }
}

#[test]
fn keys_are_spread_by_weight() {
    let counts = shares(&weighted(&[1, 1, 2, 4, 0]), 40_000);
    for (count, expected) in counts.iter().zip([5_000, 5_000, 10_000, 20_000, 0]) {
        // Five standard deviations are below 400.
        assert!(count.abs_diff(expected) <= 400, "{counts:?}");
    }
}

#[test]
fn only_keys_of_a_member_that_leaves_move_and_they_come_back() {
    let all = weighted(&[1; 10]);
    let mut fewer = all.clone();
    fewer[4].is_available = false;
    let mut heirs = [0; 10];
    for key in 0..20_000_u64 {
        let key = hash(&key.to_le_bytes());
        let (before, after) = (consistent(key, &all).unwrap(), consistent(key, &fewer).unwrap());
        assert!(before == 4 || before == after, "a key of member {before} moved to {after}");
        heirs[after] += usize::from(before == 4);
    }
    // Some 2,000 keys, to all others alike.
    assert!(heirs.iter().enumerate().all(|(index, &count)| (index == 4) == (count < 100)), "{heirs:?}");
}

#[test]
fn a_member_that_comes_takes_its_share_and_nothing_else_moves() {
    let before = weighted(&[1; 4]);
    let after = weighted(&[1; 5]);
    let mut moved = 0_u32;
    for key in 0..20_000_u64 {
        let key = hash(&key.to_le_bytes());
        let (old, new) = (consistent(key, &before).unwrap(), consistent(key, &after).unwrap());
        assert!(old == new || new == 4);
        moved += u32::from(new == 4);
    }
    assert!(moved.abs_diff(4_000) < 300, "{moved}");
}

#[test]
fn the_hash_is_the_same_for_ever() {
    assert_eq!(hash(b""), 0xc381_7c01_6ba4_ff30);
    assert_ne!(hash(b"a"), hash(b"b"));
}

#[test]
fn keys_are_made_of_headers_and_cookies() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX-User: u\r\nx-user: v\r\nCookie: sid2=x; a=b\r\nCookie: sid= ;SID=y;  sid=z=1 ; sid=w\r\n\r\n";
    let mut head = RequestHead::new();
    head.read(bytes, &Limits::default()).unwrap();
    let key = |by: HashBy| by.key(&head, bytes);
    assert_eq!(key(HashBy::Header("x-USER".into())), Some(hash(b"u,v")));
    assert_eq!(key(HashBy::Header("x-other".into())), None);
    assert_eq!(key(HashBy::Cookie("sid".into())), Some(hash(b"z=1")));
    assert_eq!(key(HashBy::Cookie("a".into())), Some(hash(b"b")));
    assert_eq!(key(HashBy::Cookie("id".into())), None);
}
