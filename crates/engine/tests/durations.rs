//! Histograms of durations: each in its bucket and its series, whoever counts at the same time.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use portico_engine::call_times::CallTimes;
use portico_engine::durations::{BOUNDS_NS, BUCKETS, Counted, Counter, Durations, Key, Labels, OTHER, SERIES};
use portico_engine::scoreboard::{Mapping, SlotRef};
use std::sync::Mutex;

const MS: u64 = 1_000_000;

const TIMES: CallTimes =
    CallTimes { queue_ns: MS, lock_ns: 20 * MS, call_ns: 0, client_ns: 3, cpu_ns: Some(5), head_ns: None };

fn slot() -> SlotRef {
    SlotRef::new(&Mapping::new(1).unwrap(), 0).unwrap()
}

fn key(route: &str) -> Key<'_> {
    Key { application: "shop", method: b"GET", route: route.as_bytes(), status: 200 }
}

fn of_bucket(bucket: usize, sum_ns: u64) -> Counted {
    let mut counted = Counted { sum_ns, ..Counted::default() };
    counted.counts[bucket] = 1;
    counted
}

/// The only series there is.
fn only(durations: &Durations) -> (Labels, Counted) {
    let series = durations.series();
    assert_eq!(series.len(), 1);
    series.into_iter().next().unwrap()
}

#[test]
fn a_bound_belongs_to_its_bucket() {
    for (bucket, bound_ns) in BOUNDS_NS.into_iter().enumerate() {
        for (duration_ns, expected) in [(bound_ns, bucket), (bound_ns + 1, bucket + 1)] {
            let slot = slot();
            slot.use_durations().count(&mut Counter::default(), &key("/"), duration_ns);
            assert_eq!(only(slot.use_durations()).1, of_bucket(expected, duration_ns));
        }
    }
}

#[test]
fn labels_are_what_the_request_was() {
    let labels = |application: &str, method, route: &str, status_class| Labels {
        application: application.into(),
        method,
        route: route.into(),
        status_class,
    };
    for (given, expected) in [
        (key("/order/<int:number>"), labels("shop", "GET", "/order/<int:number>", "2xx")),
        (Key { method: b"BREW", status: 499, ..key("") }, labels("shop", OTHER, "", "4xx")),
        (Key { method: b"get", status: 0, ..key("") }, labels("shop", OTHER, "", "")),
        (Key { application: "", method: b"TRACE", status: 999, ..key("") }, labels("", "TRACE", "", "")),
        (Key { status: 504, ..key("a\"b\\c\nd\0e") }, labels("shop", "GET", "a\"b\\c\nd\0e", "5xx")),
        (Key { route: b"\xff\xfe", ..key("") }, labels("shop", "GET", "\u{fffd}\u{fffd}", "2xx")),
    ] {
        let slot = slot();
        slot.use_durations().count(&mut Counter::default(), &given, MS);
        assert_eq!(only(slot.use_durations()), (expected, of_bucket(0, MS)));
    }
}

#[test]
fn a_long_text_ends_with_a_whole_character() {
    for (route, kept) in [
        ("x".repeat(65_536), "x".repeat(128)),
        (format!("x{}", "\u{20ac}".repeat(60)), format!("x{}", "\u{20ac}".repeat(42))),
        ("x".repeat(128), "x".repeat(128)),
    ] {
        let slot = slot();
        slot.use_durations().count(&mut Counter::default(), &key(&route), MS);
        assert_eq!(only(slot.use_durations()).0.route, kept);
    }
    let slot = slot();
    slot.use_durations().count(&mut Counter::default(), &Key { route: &[0x80; 300], ..key("") }, MS);
    assert_eq!(only(slot.use_durations()).0.route, "");
}

#[test]
fn what_finds_no_series_is_counted_by_its_class() {
    let slot = slot();
    let durations = slot.use_durations();
    for number in 0..SERIES + 100 {
        durations.count(&mut Counter::default(), &key(&format!("/{number}")), MS);
    }
    durations.count(&mut Counter::default(), &Key { status: 503, ..key("/late") }, MS);
    // Those that are there have what is theirs.
    durations.count(&mut Counter::default(), &key("/0"), MS);
    let series = durations.series();
    assert_eq!(series.len(), SERIES + 2);
    let others: Vec<_> = series.iter().filter(|(labels, _)| labels.route == OTHER).collect();
    let shown: Vec<_> = others
        .iter()
        .map(|(labels, counted)| {
            let Labels { application, method, status_class, .. } = labels;
            (&**application, *method, *status_class, counted.counts[0])
        })
        .collect();
    assert_eq!(shown, [("", OTHER, "2xx", 100), ("", OTHER, "5xx", 1)]);
    let first = series.iter().find(|(labels, _)| labels.route == "/0").unwrap();
    assert_eq!(first.1.counts[0], 2);
}

#[test]
fn threads_that_count_at_the_same_time_lose_nothing() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 200;
    const ROUTES: u64 = 40;
    for _ in 0..20 {
        let (slot, counter) = (slot(), Mutex::new(Counter::default()));
        let start = std::sync::Barrier::new(usize::try_from(THREADS).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let durations = slot.use_durations();
                    start.wait();
                    for round in 0..ROUNDS {
                        for route in 0..ROUTES {
                            durations.count_call(
                                &mut counter.lock().unwrap(),
                                &key(&format!("/{route}")),
                                round % 7 * MS,
                                &TIMES,
                            );
                        }
                    }
                });
            }
        });
        let durations = slot.use_durations();
        let series = durations.series();
        let sum_ns = THREADS * (0..ROUNDS).map(|round| round % 7 * MS).sum::<u64>();
        for number in 0..ROUTES {
            let of_route: Vec<_> = series.iter().filter(|(labels, _)| labels.route == format!("/{number}")).collect();
            assert_eq!(of_route.len(), 1, "a series is one");
            assert_eq!(of_route[0].1.counts.iter().sum::<u64>(), THREADS * ROUNDS);
            assert_eq!(of_route[0].1.sum_ns, sum_ns);
            let calls = THREADS * ROUNDS;
            assert_eq!(of_route[0].1.parts_ns, [calls * MS, calls * 20 * MS, calls * 5, calls * 3]);
        }
        assert_eq!(series.len() as u64, ROUTES);
        let calls = THREADS * ROUNDS * ROUTES;
        assert_eq!((durations.queue().counts[0], durations.queue().sum_ns), (calls, calls * MS));
        assert_eq!((durations.interpreter().counts[2], durations.interpreter().counts.len()), (calls, BUCKETS));
    }
}

#[test]
fn threads_that_fill_the_table_lose_nothing() {
    let (slot, counter) = (slot(), Mutex::new(Counter::default()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (durations, counter) = (slot.use_durations(), &counter);
            scope.spawn(move || {
                for number in 0..2 * SERIES {
                    // Half of them are everybody's.
                    let whose = if number % 2 == 0 { 9 } else { thread };
                    durations.count(&mut counter.lock().unwrap(), &key(&format!("/{whose}/{number}")), MS);
                }
            });
        }
    });
    let series = slot.use_durations().series();
    let all: u64 = series.iter().map(|(_, counted)| counted.counts[0]).sum();
    assert_eq!(all, 4 * 2 * SERIES as u64);
    assert!(series.iter().any(|(labels, _)| labels.route == OTHER));
}

#[test]
fn the_next_worker_begins_at_zero() {
    let slot = slot();
    assert!(slot.durations().is_none());
    for number in 0..=SERIES {
        slot.use_durations().count(&mut Counter::default(), &key(&number.to_string()), MS);
    }
    slot.use_durations().count_call(&mut Counter::default(), &key("0"), MS, &TIMES);
    slot.reset();
    assert!(slot.durations().is_none());
    let durations = slot.use_durations();
    assert_eq!(durations.series(), []);
    assert_eq!([durations.queue(), durations.interpreter()], [Counted::default(); 2]);
    durations.count(&mut Counter::default(), &key("/"), MS);
    assert_eq!(only(durations).0.route, "/");
}
