//! Which routes wait long, by a moving average of the time in which another thread could go on: that which their calls do
//! not compute, or all of it where calls compute at the same time.

use crate::sync::{AtomicU32, Ordering};

/// A route whose calls wait longer than this on average gets the lead handed over before the call.
const SLOW_NS: u32 = 300_000;
/// A single call counts as no longer than this: three slow calls in a row make a route slow, one does not.
const OUTLIER_NS: u32 = 4 * SLOW_NS;
/// Routes told apart; two that fall together share their average.
#[cfg(not(loom))]
const ROUTES: usize = 256;
#[cfg(loom)]
const ROUTES: usize = 2;

/// The averages.
pub struct Routes {
    averages_ns: [AtomicU32; ROUTES],
}

/// What is known of a route before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutePace {
    /// Its calls hardly wait.
    Fast,
    /// Its calls are near the limit: how much of a call is computing has to be measured.
    Borderline,
    /// Its calls wait long.
    Slow,
}

impl RoutePace {
    /// Whether a call's computing time is to be measured: that is a system call.
    pub fn is_measured(self) -> bool {
        self != RoutePace::Fast
    }
}

impl Routes {
    /// All routes are fast.
    pub fn new() -> Routes {
        Routes { averages_ns: std::array::from_fn(|_| AtomicU32::new(0)) }
    }

    /// What the calls of `route` were like.
    pub fn pace(&self, route: usize) -> RoutePace {
        let average_ns = self.average(route).load(Ordering::Relaxed);
        if average_ns > SLOW_NS {
            RoutePace::Slow
        } else if average_ns > SLOW_NS / 2 {
            RoutePace::Borderline
        } else {
            RoutePace::Fast
        }
    }

    /// Accounts for a call that has waited for `waited_ns`. What counts is waiting: beside a call that computes other
    /// threads would only contend for the interpreter's lock. Where there is none all of a call counts.
    pub fn account(&self, route: usize, waited_ns: u64) {
        let average = self.average(route);
        let before = average.load(Ordering::Relaxed);
        // Bounded, so that one call that the scheduler interrupted does not make its route slow.
        let now = u32::try_from(waited_ns).unwrap_or(u32::MAX).min(OUTLIER_NS);
        average.store(before - before / 8 + now / 8, Ordering::Relaxed);
    }

    fn average(&self, route: usize) -> &AtomicU32 {
        &self.averages_ns[route % ROUTES]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_slow_call_does_not_make_a_route_slow_and_three_in_a_row_do() {
        let routes = Routes::new();
        let paces = [1, 2, 3].map(|_| {
            routes.account(7, 1_000_000_000);
            routes.pace(7)
        });
        assert_eq!(paces, [RoutePace::Fast, RoutePace::Borderline, RoutePace::Slow]);
    }

    #[test]
    fn a_slow_route_becomes_fast_again() {
        let routes = Routes::new();
        (0..20).for_each(|_| routes.account(7, 10_000_000));
        assert_eq!(routes.pace(7), RoutePace::Slow);
        (0..30).for_each(|_| routes.account(7, 1_000));
        assert_eq!(routes.pace(7), RoutePace::Fast);
    }

    #[test]
    fn routes_have_averages_of_their_own() {
        let routes = Routes::new();
        (0..20).for_each(|_| routes.account(7, 10_000_000));
        assert_eq!((routes.pace(8), routes.pace(7 + ROUTES)), (RoutePace::Fast, RoutePace::Slow));
    }
}
