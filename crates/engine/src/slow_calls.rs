//! Calls of the application that take long: where each has stood while it went on, for one record at its end, and for the
//! supervisor, which adds up which lines of code have held most of the time.
//!
//! Whoever calls the application tells what it has seen (`Stand`); the call's thread takes it back when the call ends. What
//! the supervisor is to know waits here for the task that speaks to it, in a bounded number of bytes: nobody waits, and what
//! does not fit is dropped.

use crate::bounded;
use crate::call_times::CallTimes;
use crate::clock;
use crate::lock::lock;
use std::fmt::Write as _;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::Notify;

/// Bytes for the supervisor kept until they are sent.
const MOST_REPORT_BYTES: usize = 64 * 1024;
/// Bytes of a name that comes from a client or from the application.
const MOST_NAME_BYTES: usize = 256;

/// Where a call stood at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// How much time of its own the call had had by then.
    pub own_ns: u64,
    /// The stack, as people read it.
    pub stack: String,
}

/// What is known of the call's request beside its times.
pub struct Named<'a> {
    /// The method, as it was sent.
    pub method: &'a [u8],
    /// The path, as it was sent.
    pub path: &'a [u8],
    /// What was responded.
    pub status: u16,
    /// The application's name.
    pub application: &'a str,
}

struct SlowCall {
    cell: usize,
    started_ns: u64,
    stands: Vec<Stand>,
    /// When it was first seen, and how much CPU time its own thread had used by then, if that is known.
    seen_ns: u64,
    cpu_ns: Option<u64>,
    route: String,
    request_id: String,
}

/// All of one server.
#[derive(Default)]
pub struct SlowCalls {
    count: AtomicUsize,
    calls: Mutex<Vec<SlowCall>>,
    reports: Mutex<Vec<String>>,
    has_reports: Notify,
}

impl SlowCalls {
    /// The call in cell `cell` that began at `started_ns` stands there, on a thread of its own that the kernel knows by
    /// `thread_id`, if it has one; `words` are for the supervisor.
    pub fn saw(&self, cell: usize, started_ns: u64, thread_id: Option<u64>, stand: Stand, words: &str) {
        self.report(format!("stood {cell} {started_ns} {}\n{words}", seconds(stand.own_ns)));
        let mut calls = lock(&self.calls);
        // Whatever was left of another call of the thread.
        calls.retain(|call| call.cell != cell || call.started_ns == started_ns);
        if let Some(call) = calls.iter_mut().find(|call| call.cell == cell) {
            call.stands.push(stand);
        } else {
            calls.push(SlowCall {
                cell,
                started_ns,
                stands: vec![stand],
                seen_ns: clock::monotonic_ns(),
                cpu_ns: thread_id.and_then(cpu_ns_of),
                route: String::new(),
                request_id: String::new(),
            });
        }
        self.count.store(calls.len(), Relaxed);
    }

    /// Whether the call in cell `cell` is among them.
    #[inline]
    pub fn has(&self, cell: usize) -> bool {
        self.count.load(Relaxed) != 0 && lock(&self.calls).iter().any(|call| call.cell == cell)
    }

    /// What the application has named the request of the call in cell `cell`.
    pub fn name(&self, cell: usize, route: &[u8], request_id: &[u8]) {
        if let Some(call) = lock(&self.calls).iter_mut().find(|call| call.cell == cell) {
            call.route = shown(route);
            call.request_id = shown(request_id);
        }
    }

    /// The call in cell `cell` has ended, on the calling thread: returns what there is to log of it.
    #[cold]
    pub fn end(&self, cell: usize, started_ns: u64, times: &CallTimes, request: &Named<'_>) -> Option<String> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        let mut calls = lock(&self.calls);
        let index = calls.iter().position(|call| call.cell == cell)?;
        let ended = calls.swap_remove(index);
        self.count.store(calls.len(), Relaxed);
        drop(calls);
        if ended.started_ns != started_ns {
            return None;
        }
        let (method, path) = (shown(request.method), shown(request.path));
        self.report(format!(
            "ended {cell} {started_ns} {}\n{method}\n{path}\n{}\n{}",
            seconds(times.application_ns()),
            ended.route,
            ended.request_id
        ));
        Some(ended.record(times, request.application, request.status, &format!("{method} {path}")))
    }

    /// Waits until there is something for the supervisor.
    pub async fn wait(&self) {
        self.has_reports.notified().await;
    }

    /// What there is for the supervisor.
    pub fn take_reports(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.reports))
    }

    fn report(&self, text: String) {
        let mut reports = lock(&self.reports);
        if reports.iter().map(String::len).sum::<usize>() + text.len() <= MOST_REPORT_BYTES {
            reports.push(text);
            self.has_reports.notify_one();
        }
    }
}

impl SlowCall {
    /// All that is known of the call, in one record of the error log.
    fn record(&self, times: &CallTimes, application: &str, status: u16, what: &str) -> String {
        let mut text = format!(
            "the application {application} at {what} has ended after {} s with status {status}",
            seconds(times.call_ns)
        );
        if !self.route.is_empty() {
            let _ = write!(text, ", route {}", self.route);
        }
        if !self.request_id.is_empty() {
            let _ = write!(text, ", request id {}", self.request_id);
        }
        let _ = write!(
            text,
            "; queue {} s, interpreter {} s, client {} s",
            seconds(times.queue_ns),
            seconds(times.lock_ns),
            seconds(times.client_ns)
        );
        let now_ns = clock::monotonic_ns();
        let (own_ns, cpu_ns) = match (times.cpu_ns, self.cpu_ns) {
            (Some(cpu_ns), _) => {
                text.push(',');
                (times.application_ns(), Some(cpu_ns))
            }
            (None, Some(before_ns)) => {
                let own_ns = now_ns.saturating_sub(self.seen_ns);
                let _ = write!(text, ", of the last {} s:", seconds(own_ns));
                (own_ns, Some(clock::thread_cpu_ns().saturating_sub(before_ns)))
            }
            (None, None) => (0, None),
        };
        if let Some(cpu_ns) = cpu_ns {
            let _ = write!(text, " CPU {} s, waiting {} s", seconds(cpu_ns), seconds(own_ns.saturating_sub(cpu_ns)));
        }
        text.push_str("; it stood");
        let mut stands = self.stands.iter().peekable();
        while let Some(stand) = stands.next() {
            let _ = write!(text, "\nafter {} s", seconds(stand.own_ns));
            while let Some(same) = stands.next_if(|next| next.stack == stand.stack) {
                let _ = write!(text, " and {} s", seconds(same.own_ns));
            }
            let _ = write!(text, " at\n{}", stand.stack);
        }
        text
    }
}

/// With three digits after the point.
fn seconds(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds / 1_000_000;
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

fn shown(name: &[u8]) -> String {
    bounded::name(name, MOST_NAME_BYTES)
}

/// How much CPU time a thread of this process has used, if the kernel says so (proc_pid_schedstat in its documentation).
fn cpu_ns_of(thread_id: u64) -> Option<u64> {
    let line = fs::read_to_string(format!("/proc/self/task/{thread_id}/schedstat")).ok()?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand(own_ns: u64, stack: &str) -> Stand {
        Stand { own_ns, stack: stack.into() }
    }

    const NAMED: Named<'_> = Named { method: b"GET", path: b"/report", status: 200, application: "shop:app" };

    #[test]
    fn a_slow_call_has_one_record_with_all_stacks() {
        let calls = SlowCalls::default();
        calls.saw(3, 7, None, stand(1_000_000_000, "here"), "one");
        calls.saw(3, 7, None, stand(2_000_000_000, "here"), "two");
        calls.saw(3, 7, None, stand(4_000_000_000, "there"), "four");
        assert!(calls.has(3) && !calls.has(2));
        calls.name(3, b"/report", b"r-1");
        let times = CallTimes {
            queue_ns: 1_000_000,
            call_ns: 5_000_000_000,
            client_ns: 500_000_000,
            cpu_ns: Some(1_500_000_000),
            ..CallTimes::default()
        };
        let record = calls.end(3, 7, &times, &NAMED);
        assert_eq!(
            record.as_deref(),
            Some(
                "the application shop:app at GET /report has ended after 5.000 s with status 200, route /report, \
             request id r-1; queue 0.001 s, interpreter 0.000 s, client 0.500 s, CPU 1.500 s, waiting 3.000 s; it stood\n\
             after 1.000 s and 2.000 s at\nhere\nafter 4.000 s at\nthere"
            )
        );
        let reports = calls.take_reports();
        assert_eq!(reports.len(), 4);
        assert_eq!(reports[0], "stood 3 7 1.000\none");
        assert_eq!(reports[3], "ended 3 7 4.500\nGET\n/report\n/report\nr-1");
        assert!(!calls.has(3));
        assert_eq!(calls.end(3, 7, &times, &NAMED), None);
    }

    #[test]
    fn what_was_left_of_another_call_is_not_this_ones() {
        let calls = SlowCalls::default();
        calls.saw(3, 7, None, stand(1, "here"), "");
        assert_eq!(calls.end(3, 8, &CallTimes::default(), &NAMED), None);
        assert!(!calls.has(3));
    }

    #[test]
    fn what_nobody_takes_is_bounded() {
        let calls = SlowCalls::default();
        for _ in 0..100 {
            calls.saw(0, 1, None, stand(1, ""), &"x".repeat(4096));
        }
        let reports = calls.take_reports();
        assert!(reports.len() > 10 && reports.iter().map(String::len).sum::<usize>() <= MOST_REPORT_BYTES);
    }
}
