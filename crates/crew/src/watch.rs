//! The watchdog's life: it looks at the leader once a tick, and sleeps while no requests flow. Runs on a plain thread
//! that never calls the application.

use crate::calls::Count;
use crate::driver::Driver;
use crate::lead::Lead;
use crate::sync::{park, park_timeout};
use std::time::Duration;

/// The tick while there is something to watch.
const TICK: Duration = Duration::from_micros(900);
/// While the watchdog drives I/O, a pause after which it flushes.
const FLUSH_TICK: Duration = Duration::from_micros(3_600);
/// Ticks without any change after which the watchdog sleeps for good.
#[cfg(not(loom))]
const QUIET_TICKS: u32 = 20;
#[cfg(loom)]
const QUIET_TICKS: u32 = 1;

/// What the last ticks have shown.
#[derive(Default)]
struct Sight {
    count: Count,
    quiet_ticks: u32,
}

/// The watchdog's life: returns when the crew stops.
pub fn watch(lead: &Lead, driver: &impl Driver) {
    lead.watchdog.register();
    let mut sight = Sight::default();
    while !lead.is_stopping() {
        let has_flushed = driver.flush();
        tick(lead, driver, &mut sight, has_flushed);
        if sight.quiet_ticks < QUIET_TICKS {
            // While responses are coalesced, twice as often: no block is to wait for a whole millisecond.
            park_timeout(if has_flushed { TICK / 2 } else { TICK });
        } else {
            sleep(lead, driver, sight.count);
        }
    }
}

/// One look at the leader: the same odd count twice means that it has been in one call for a whole tick.
fn tick(lead: &Lead, driver: &impl Driver, sight: &mut Sight, has_flushed: bool) {
    let count = lead.watchdog.calls.count();
    let is_same = count == sight.count;
    if is_same && count.is_in_call() {
        lead.revoke(count);
    }
    if lead.is_vacant() {
        poll_as_fallback(lead, driver);
    }
    sight.quiet_ticks = if is_same && !has_flushed { sight.quiet_ticks + 1 } else { 0 };
    sight.count = count;
}

/// Sleeps until a call begins, the lead is vacant, or bytes are coalesced.
fn sleep(lead: &Lead, driver: &impl Driver, count: Count) {
    let watchdog = &lead.watchdog;
    if !watchdog.calls.fall_asleep(count) {
        return;
    }
    // What was done before this thread fell asleep is seen here, and who does it afterwards wakes it.
    if !lead.is_vacant() && !driver.has_unflushed() && !lead.is_stopping() {
        park();
    }
    // Also where nobody has woken it: a pause may end by itself.
    watchdog.calls.wake();
}

/// Drives I/O until a crew thread takes the lead.
fn poll_as_fallback(lead: &Lead, driver: &impl Driver) {
    while lead.is_vacant() && !lead.is_stopping() {
        driver.drive_for(lead.taken(), FLUSH_TICK);
        driver.flush();
    }
}
