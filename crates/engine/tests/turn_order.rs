//! A pipelined request and the end of the response before it, model-checked with loom: the request goes on once, whoever
//! is first. The files are read from their sources, with loom's lock and atomics.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "the models use some of the files")]

#[path = "order"]
mod state {
    #[path = "../../src/state/illegal.rs"]
    pub mod illegal;
    #[path = "../../src/state/turn.rs"]
    pub mod turn;
}

#[path = "order"]
mod connection {
    #[path = "../../src/connection/exchange.rs"]
    pub mod exchange;
    #[path = "../../src/connection/turn.rs"]
    pub mod turn;

    pub mod outbound {
        #[derive(Default)]
        pub struct Outbound;
    }
}

mod log {
    pub enum Level {
        Critical,
    }

    pub fn log(_: Level, message: &str) {
        panic!("{message}");
    }
}

#[path = "order/sync.rs"]
mod sync;

use connection::exchange::{Exchange, Upcoming};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use sync::check;

/// Counts what becomes of a request.
#[derive(Default)]
struct Counts {
    gone_on: AtomicUsize,
    dropped: AtomicUsize,
}

struct Counted {
    counts: Arc<Counts>,
    exchange: Arc<Exchange>,
}

impl Upcoming for Counted {
    fn go_on(self: Box<Self>) {
        self.counts.gone_on.fetch_add(1, Relaxed);
        self.exchange.turn.submit();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Relaxed);
    }
}

/// How often a request goes on whose turn comes with the end of a response, after which the connection is kept or not.
fn check_goes_on(keep: bool, expected: usize) {
    check(move || {
        let (counts, exchange) = (Arc::new(Counts::default()), Arc::new(Exchange::default()));
        exchange.turn.submit();

        let responding = {
            let exchange = exchange.clone();
            loom::thread::spawn(move || exchange.end(keep))
        };
        exchange.await_turn(Box::new(Counted { counts: counts.clone(), exchange: exchange.clone() }));
        responding.join().unwrap();

        assert_eq!(counts.gone_on.load(Relaxed), expected);
        assert_eq!(counts.dropped.load(Relaxed), 1, "nobody has it any more");
    });
}

/// Red with the slot looked at before the turn ends (`Exchange::end`), or filled after it is announced (`await_turn`);
/// without `await_turn` going on where no response is due.
#[test]
fn a_request_that_meets_the_end_of_the_response_before_it_goes_on_once() {
    check_goes_on(true, 1);
}

/// Red without `filter` in `Exchange::end` or in `await_turn`.
#[test]
fn a_request_that_meets_the_end_of_its_connection_is_dropped() {
    check_goes_on(false, 0);
}

/// Red where `Exchange::end` does not end the turn and empty the slot together.
#[test]
fn a_request_that_comes_once_the_turn_is_free_awaits_the_next_end() {
    check(|| {
        let (counts, exchange) = (Arc::new(Counts::default()), Arc::new(Exchange::default()));
        exchange.turn.submit();
        // The connection's task waits for the end, having nothing to hand over yet.
        exchange.turn.announce().unwrap();
        let responding = {
            let exchange = exchange.clone();
            loom::thread::spawn(move || exchange.end(true))
        };
        while exchange.turn.state() != state::turn::State::Idle {
            loom::thread::yield_now();
        }
        exchange.turn.submit();
        exchange.await_turn(Box::new(Counted { counts: counts.clone(), exchange: exchange.clone() }));
        responding.join().unwrap();

        assert_eq!(counts.gone_on.load(Relaxed), 0, "its turn has not come");
        exchange.end(true);
        assert_eq!(counts.gone_on.load(Relaxed), 1);
    });
}
