//! The watchdog's life: it looks at the leader once a tick, and sleeps while no requests flow. Runs on a plain thread
//! that never calls the application.

use crate::calls::Count;
use crate::driver::Driver;
use crate::lead::Lead;
use crate::sync::{park, park_timeout};
use std::time::Duration;

/// The tick while calls have lately been slow, or blocks are coalesced.
const SHORT_TICK: Duration = Duration::from_micros(900);
/// The tick otherwise: a tick costs as much as serving several requests. So the first slow call after a while stalls
/// others for a long tick and a short one.
#[cfg(not(loom))]
const LONG_TICK: Duration = Duration::from_millis(7);
#[cfg(loom)]
const LONG_TICK: Duration = SHORT_TICK;
/// For how long nothing has begun when the watchdog falls asleep: two short ticks, or a long one.
#[cfg(not(loom))]
const QUIET: Duration = Duration::from_micros(1_800);
#[cfg(loom)]
const QUIET: Duration = SHORT_TICK;
/// Looks at short intervals after two slow calls within `OFTEN`: about a second of requests.
const LOOKS_AFTER_SLOW_CALLS: u32 = 1_000;
/// Slow calls that are further apart cost their neighbours less than short ticks would. One may come from a garbage
/// collection, or another process that had the CPU.
const OFTEN: Duration = Duration::from_secs(1);
/// The same after blocks were coalesced.
const LOOKS_AFTER_FLUSH: u32 = 20;
/// While the watchdog drives I/O, a pause after which it flushes.
const FLUSH_TICK: Duration = Duration::from_micros(3_600);

/// What the last looks have shown.
struct Sight {
    count: Count,
    /// The pause before the look; none after a sleep.
    tick: Duration,
    /// How long no call was slow, but for sleeps.
    since_slow: Duration,
    /// Looks to come after short ticks, since calls were slow.
    alert_looks: u32,
    /// Looks to come after half of such ticks, since blocks were coalesced.
    flushing_looks: u32,
    /// How long no call has begun, and nothing was coalesced.
    quiet: Duration,
}

/// The watchdog's life: returns when the crew stops.
pub fn watch(lead: &Lead, driver: &impl Driver) {
    lead.watchdog.register();
    let mut sight = Sight::new();
    while !lead.is_stopping() {
        look(lead, driver, &mut sight);
        if sight.quiet >= QUIET && sleep(lead, driver, sight.count) {
            sight.note_sleep(lead.watchdog.calls.count());
        }
        let tick = sight.next_tick();
        pause(lead, driver, tick, sight.is_flushing());
        sight.note_pause(tick);
    }
}

impl Sight {
    fn new() -> Sight {
        Sight {
            count: Count::default(),
            tick: Duration::ZERO,
            since_slow: OFTEN,
            alert_looks: 0,
            flushing_looks: 0,
            quiet: Duration::ZERO,
        }
    }

    /// Whether blocks were coalesced lately, so that more may come.
    fn is_flushing(&self) -> bool {
        self.flushing_looks > 0
    }

    /// The tick after a look, or a sleep.
    fn next_tick(&self) -> Duration {
        match self {
            // Twice as often: no block is to wait for a whole millisecond.
            _ if self.is_flushing() => SHORT_TICK / 2,
            // The call may have begun just after the look before. Not so after a short tick: on a busy thread nearly
            // every look finds it in some call.
            Sight { count, tick, .. } if count.is_in_call() && *tick > SHORT_TICK => SHORT_TICK,
            Sight { alert_looks: 1.., .. } => SHORT_TICK,
            _ => LONG_TICK,
        }
    }

    /// After a sleep, which the call has ended that began with `count`, if any: so it has just begun.
    fn note_sleep(&mut self, count: Count) {
        self.count = count;
        self.tick = Duration::ZERO;
        self.quiet = Duration::ZERO;
    }

    fn note_pause(&mut self, tick: Duration) {
        self.tick = tick;
        self.quiet += tick;
        self.since_slow = self.since_slow.saturating_add(tick);
    }

    fn note_slow_call(&mut self) {
        if self.since_slow < OFTEN {
            self.alert_looks = LOOKS_AFTER_SLOW_CALLS;
        }
        self.since_slow = Duration::ZERO;
    }

    fn note_look(&mut self, has_flushed: bool) {
        self.alert_looks = self.alert_looks.saturating_sub(1);
        self.flushing_looks = self.flushing_looks.saturating_sub(1);
        if has_flushed {
            self.flushing_looks = LOOKS_AFTER_FLUSH;
            self.quiet = Duration::ZERO;
        }
    }
}

/// One look at the leader: the same odd count twice means that it has been in one call for a whole tick.
fn look(lead: &Lead, driver: &impl Driver, sight: &mut Sight) {
    sight.note_look(driver.flush());
    let count = lead.watchdog.calls.count();
    if count == sight.count && count.is_in_call() {
        lead.revoke(count);
        sight.note_slow_call();
    }
    if lead.is_vacant() {
        poll_as_fallback(lead, driver);
    }
    if !count.has_only_ended_since(sight.count) {
        sight.quiet = Duration::ZERO;
    }
    sight.count = count;
}

/// Pauses for a tick. A vacant lead ends it, and the first of coalesced bytes; those that follow leave together, a tick
/// later. A call does not end it.
fn pause(lead: &Lead, driver: &impl Driver, tick: Duration, is_flushing: bool) {
    if is_flushing {
        return park_timeout(tick);
    }
    lead.watchdog.begin_nap();
    if !lead.is_vacant() && !driver.has_unflushed() && !lead.is_stopping() {
        park_timeout(tick);
    }
    lead.watchdog.end_nap();
}

/// Sleeps until a call begins, the lead is vacant, or bytes are coalesced; false if a call has begun since `count` was
/// seen.
fn sleep(lead: &Lead, driver: &impl Driver, count: Count) -> bool {
    let watchdog = &lead.watchdog;
    if !watchdog.calls.fall_asleep(count) {
        return false;
    }
    // What was done before this thread fell asleep is seen here, and who does it afterwards wakes it.
    if !lead.is_vacant() && !driver.has_unflushed() && !lead.is_stopping() {
        park();
    }
    // Also where nobody has woken it: a pause may end by itself.
    watchdog.calls.wake();
    true
}

/// Drives I/O until a crew thread takes the lead.
fn poll_as_fallback(lead: &Lead, driver: &impl Driver) {
    while lead.is_vacant() && !lead.is_stopping() {
        driver.drive_for(lead.taken(), FLUSH_TICK);
        driver.flush();
    }
}
