//! The scoreboard: what a call shows, and that one settles its account.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use portico_engine::scoreboard::{Mapping, ShownRequest, SlotRef};
use portico_engine::trace::Trace;
use portico_wire::{Scheme, TraceParent};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[test]
fn an_account_is_settled_by_one() {
    let slot = SlotRef::new(&Mapping::new(1).unwrap(), 0).unwrap();
    slot.set_threads(1);
    for started_ns in 1..2_000_u64 {
        let request = ShownRequest {
            application: 0,
            method: b"GET",
            path: b"/",
            arrived_ns: 1,
            taken_ns: 1,
            logged: Some((None, b"GET / HTTP/1.1")),
            trace: None,
        };
        slot.call_started(0, &request, started_ns);
        assert_eq!(slot.all_unfinished().len(), 1);
        let settled = AtomicUsize::new(0);
        let count = || {
            settled.fetch_add(1, Relaxed);
        };
        std::thread::scope(|scope| {
            let responds = scope.spawn(|| slot.settle_once(0, started_ns, count));
            slot.settle_at_end(0, started_ns, count);
            slot.call_ended(0);
            responds.join().unwrap();
        });
        assert_eq!(settled.load(Relaxed), 1);
        assert!(slot.all_unfinished().is_empty());
        assert!(!slot.settle_once(0, started_ns, count));
    }
}

#[test]
fn a_shorter_request_leaves_nothing_of_the_one_before() {
    let slot = SlotRef::new(&Mapping::new(1).unwrap(), 0).unwrap();
    slot.set_threads(1);
    for path in ["/a/long/path/that/fills/all/words/that/there/are/for/it", "/long", "/abc", "/", "/abcdefghij"] {
        slot.call_started(
            0,
            &ShownRequest {
                application: 0,
                method: b"GET",
                path: path.as_bytes(),
                arrived_ns: 1,
                taken_ns: 1,
                logged: None,
                trace: None,
            },
            7,
        );
        let calls = slot.calls();
        assert_eq!(calls[0].what, format!("GET {path}")[..(4 + path.len()).min(56)]);
    }
}

#[test]
fn a_call_shows_its_trace_until_the_slot_is_cleared() {
    let slot = SlotRef::new(&Mapping::new(1).unwrap(), 0).unwrap();
    slot.set_threads(1);
    let own = TraceParent { trace_id: *b"sixteen bytes it", parent_id: *b"eight it", flags: 1 };
    let trace = Trace { own, parent_id: Some(*b"of eight"), has_state: true, scheme: Scheme::Https };
    let shown = |trace| ShownRequest {
        application: 0,
        method: b"GET",
        path: b"/",
        arrived_ns: 1,
        taken_ns: 1,
        logged: Some((None, b"GET / HTTP/1.1")),
        trace,
    };
    slot.call_started(0, &shown(Some(&trace)), 7);
    assert_eq!(slot.all_unfinished()[0].1.trace, Some(trace));
    slot.reset();
    slot.set_threads(1);
    slot.call_started(0, &shown(None), 8);
    assert_eq!(slot.all_unfinished()[0].1.trace, None);
}
