//! Time as the engine needs it: monotonic nanoseconds for every duration and deadline, and the
//! wall clock only as text (the `Date` header, log lines).

use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::{Duration, SystemTime};

/// Nanoseconds of the monotonic clock, comparable between the processes of one machine.
pub fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// Nanoseconds of CPU time that the calling thread has used: a system call, unlike the others.
pub fn thread_cpu_ns() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

/// Milliseconds of the monotonic clock at the kernel's tick: cheap, good to about 4 ms.
pub fn coarse_ms() -> u64 {
    nanoseconds(ClockId::MonotonicCoarse) / 1_000_000
}

/// Nanoseconds since 1970.
pub fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole seconds since 1970. By way of the C library, so that tools that shift a process's date (faketime) reach it.
pub fn wall_s() -> u64 {
    wall_ns() / 1_000_000_000
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// What the wall clock has said at moments of the monotonic one that were asked for anyway: it is asked itself only now
/// and then, since the two go equally fast until somebody sets the one.
#[derive(Default)]
pub struct WallClock {
    /// When it was asked; 0 if it never was.
    asked_ns: AtomicU64,
    /// How much it was ahead of the monotonic clock then.
    ahead_ns: AtomicU64,
}

impl WallClock {
    /// Nanoseconds since 1970 at `moment_ns` of the monotonic clock, which is about now.
    pub fn at(&self, moment_ns: u64) -> u64 {
        // As long as what dates are written to.
        const KEEPS_NS: u64 = 1_000_000;
        // Acquire: who sees when it was asked sees what it has said. For a moment before that it is asked, too.
        if moment_ns.wrapping_sub(self.asked_ns.load(Acquire)) >= KEEPS_NS {
            self.ask(moment_ns);
        }
        moment_ns.wrapping_add(self.ahead_ns.load(Relaxed))
    }

    #[cold]
    fn ask(&self, moment_ns: u64) {
        self.ahead_ns.store(wall_ns().wrapping_sub(monotonic_ns()), Relaxed);
        self.asked_ns.store(moment_ns, Release);
    }
}

/// The `Date` header (RFC 9110 5.6.7), formatted once a second.
#[derive(Default)]
pub struct DateHeader {
    /// When the wall clock was last asked, coarse milliseconds: asking costs more than this one does.
    asked_ms: u64,
    /// Now, as whoever is about to ask for the line has just seen; 0 where nobody has.
    seen_ms: u64,
    second: u64,
    line: String,
}

impl DateHeader {
    /// It is now `now_ms` (coarse) for the next line, so that the clock is not asked twice.
    pub fn see(&mut self, now_ms: u64) {
        self.seen_ms = now_ms;
    }

    /// The field line for now.
    pub fn line(&mut self) -> &[u8] {
        const KEEPS_MS: u64 = 50;
        let now_ms = match std::mem::take(&mut self.seen_ms) {
            0 => coarse_ms(),
            seen_ms => seen_ms,
        };
        if now_ms.saturating_sub(self.asked_ms) >= KEEPS_MS || self.line.is_empty() {
            self.asked_ms = now_ms;
            self.at(wall_s());
        }
        self.line.as_bytes()
    }

    fn at(&mut self, second: u64) {
        if self.second != second || self.line.is_empty() {
            self.second = second;
            let date = httpdate::HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            self.line = format!("Date: {date}\r\n");
        }
    }
}

/// A UTC date taken apart, for log lines.
pub struct Civil {
    /// Year, such as 2026.
    pub year: u64,
    /// Month, 1 to 12.
    pub month: u64,
    /// Day of the month, 1 to 31.
    pub day: u64,
    /// Hour, minute and second.
    pub time: (u64, u64, u64),
}

/// Takes seconds since 1970 apart (proleptic Gregorian calendar, years counted from March).
pub fn civil(second: u64) -> Civil {
    let days = second / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Civil {
        year: year_of_era + era * 400 + u64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        time: (second / 3_600 % 24, second / 60 % 60, second % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{WallClock, monotonic_ns, wall_ns};

    #[test]
    fn the_wall_clock_is_what_it_would_be_if_it_were_asked() {
        let clock = WallClock::default();
        let asked_ns = monotonic_ns();
        // Also long after it was asked, and for a moment before.
        for more_ns in [0, 999_999, 1_000_000, 3_600_000_000_000, 1] {
            let before_ns = wall_ns().saturating_sub(monotonic_ns());
            let at_ns = clock.at(asked_ns + more_ns);
            let ahead_ns = at_ns - (asked_ns + more_ns);
            assert!(ahead_ns.abs_diff(before_ns) < 1_000_000_000, "{more_ns}: {ahead_ns} of {before_ns}");
        }
    }
}
