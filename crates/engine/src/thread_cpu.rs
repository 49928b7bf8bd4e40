//! How much CPU time the calls of a thread use, without asking for it at each: that is a system call, and may take longer
//! than the call.

use crate::clock;

/// Between two questions, in nanoseconds, and so how precise the time of a call is: the thread is taken to have computed
/// all the while.
const RESOLUTION_NS: u64 = 50_000;

/// The CPU clock of one thread.
#[derive(Debug, Default)]
pub struct ThreadCpu {
    /// The moment when it was asked, on the monotonic clock; 0 if it never was.
    asked_at_ns: u64,
    /// What it said then.
    cpu_ns: u64,
}

impl ThreadCpu {
    /// Nanoseconds of CPU time at the moment `now_ns` of the monotonic clock, which is now: at most that much too many.
    pub fn at(&mut self, now_ns: u64) -> u64 {
        let since_ns = now_ns.saturating_sub(self.asked_at_ns);
        if since_ns < RESOLUTION_NS {
            return self.cpu_ns + since_ns;
        }
        (self.asked_at_ns, self.cpu_ns) = (now_ns, clock::thread_cpu_ns());
        self.cpu_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// CPU time, as it is measured here, of what `work` does.
    fn measure(cpu: &mut ThreadCpu, work: impl FnOnce()) -> u64 {
        let before_ns = cpu.at(clock::monotonic_ns());
        work();
        cpu.at(clock::monotonic_ns()).saturating_sub(before_ns)
    }

    fn compute(cpu_ns: u64) {
        let start_ns = clock::thread_cpu_ns();
        while clock::thread_cpu_ns() - start_ns < cpu_ns {}
    }

    #[test]
    fn waiting_is_not_counted_and_computing_is() {
        let mut cpu = ThreadCpu::default();
        let waited_ns = measure(&mut cpu, || std::thread::sleep(Duration::from_millis(20)));
        assert!(waited_ns < 10_000_000, "{waited_ns}");
        let computed_ns = measure(&mut cpu, || compute(5_000_000));
        assert!((4_900_000..20_000_000).contains(&computed_ns), "{computed_ns}");
    }

    #[test]
    fn many_short_ones_add_up() {
        let mut cpu = ThreadCpu::default();
        cpu.at(clock::monotonic_ns());
        let before_ns = clock::thread_cpu_ns();
        let sum_ns: u64 = (0..2000).map(|_| measure(&mut cpu, || compute(5_000))).sum();
        let used_ns = clock::thread_cpu_ns() - before_ns;
        // Twice 5 us, at least, and no more than was used; each has what the machine took of the thread meanwhile.
        assert!(sum_ns >= 2000 * 5_000 * 9 / 10, "{sum_ns}");
        assert!(sum_ns <= used_ns * 3 / 2 + 5_000_000, "{sum_ns} of {used_ns}");
    }
}
