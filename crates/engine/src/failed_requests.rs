//! Requests that the application or another server has failed, for the supervisor, which keeps the latest and how many are alike.
//!
//! Whoever calls the application, or passes the request on, says so; it waits here for the task that speaks to the supervisor. Those that are alike
//! wait as one, with their number: nobody waits, and an application that always fails costs the supervisor nothing more.

use crate::bounded;
use crate::lock::lock;
use crate::timer::sleep;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Kinds of them that wait until they are sent; what is beyond is not told.
const MOST_WAITING: usize = 64;
/// Bytes of a name that comes from a client or from the application.
const MOST_NAME_BYTES: usize = 256;
/// Between two times that the supervisor is told.
const PAUSE: Duration = Duration::from_millis(200);

/// One request, and how it has failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedRequest {
    /// The method, as it was sent.
    pub method: String,
    /// The path, as it was sent.
    pub path: String,
    /// Its route, or where the row of the other server stands; empty if none is known.
    pub route: String,
    /// Its name; empty if it has none.
    pub request_id: String,
    /// The status of the response; 0 where an exception has come before that is known.
    pub status: u16,
    /// The type of the exception, or the sentence of who passed the request on; empty where there is neither.
    pub error_type: String,
    /// The last line of the application's own code: its file, number, function and source, with tabs between.
    pub place: String,
}

impl FailedRequest {
    fn is_like(&self, other: &FailedRequest) -> bool {
        let kind = |each: &FailedRequest| (each.status, each.route.is_empty());
        let is_same_route = if self.route.is_empty() { self.path == other.path } else { self.route == other.route };
        kind(self) == kind(other)
            && is_same_route
            && self.method == other.method
            && self.error_type == other.error_type
            && self.place == other.place
    }

    fn report(&self, count: u64) -> String {
        let FailedRequest { method, path, route, request_id, status, error_type, place } = self;
        let texts = [method, path, route, request_id, error_type, place];
        let lines = texts.map(|text| bounded::start(text, MOST_NAME_BYTES).replace(['\n', '\r'], " "));
        format!("{count} {status}\n{}", lines.join("\n"))
    }
}

/// All of one server that the supervisor has not heard of.
#[derive(Default)]
pub struct FailedRequests {
    waiting: Mutex<Vec<(FailedRequest, u64)>>,
    has_some: Notify,
    /// Before which it is told nothing more.
    not_before: Mutex<Option<Instant>>,
}

impl FailedRequests {
    /// One more has failed.
    #[cold]
    pub fn add(&self, failed: FailedRequest) {
        let mut waiting = lock(&self.waiting);
        if let Some(index) = waiting.iter().position(|(other, _)| other.is_like(&failed)) {
            let (_, count) = waiting.remove(index);
            // The latest is told of.
            waiting.push((failed, count + 1));
        } else if waiting.len() < MOST_WAITING {
            waiting.push((failed, 1));
            self.has_some.notify_one();
        }
    }

    /// Waits until there is something for the supervisor, and it may be told.
    pub async fn wait(&self) {
        while lock(&self.waiting).is_empty() {
            self.has_some.notified().await;
        }
        let not_before = *lock(&self.not_before);
        if let Some(not_before) = not_before {
            sleep(not_before.saturating_duration_since(Instant::now())).await;
        }
    }

    /// What there is for the supervisor: of each kind how many, the status, and then a line for each text.
    pub fn take_reports(&self) -> Vec<String> {
        *lock(&self.not_before) = Some(Instant::now() + PAUSE);
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        waiting.iter().map(|(failed, count)| failed.report(*count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(path: &str, route: &str) -> FailedRequest {
        FailedRequest {
            method: "GET".into(),
            path: path.into(),
            route: route.into(),
            error_type: "ValueError".into(),
            place: "shop.py\t3\tapp\traise".into(),
            ..FailedRequest::default()
        }
    }

    fn tell(several: &[FailedRequest]) -> Vec<String> {
        let requests = FailedRequests::default();
        for each in several {
            requests.add(each.clone());
        }
        requests.take_reports()
    }

    #[test]
    fn those_that_are_alike_are_one_report_with_the_latest_path() {
        let reports = tell(&[failed("/order/1", "/order/<n>"), failed("/order/2", "/order/<n>"), failed("/a", "")]);
        let place = "shop.py\t3\tapp\traise";
        assert_eq!(
            reports,
            [
                format!("2 0\nGET\n/order/2\n/order/<n>\n\nValueError\n{place}"),
                format!("1 0\nGET\n/a\n\n\nValueError\n{place}")
            ]
        );
    }

    #[test]
    fn what_nobody_takes_is_bounded() {
        let several: Vec<_> = (0..1000).map(|number| failed(&format!("/{number}"), "")).collect();
        assert_eq!(tell(&several).len(), MOST_WAITING);
    }

    #[test]
    fn a_text_is_one_line_and_bounded() {
        let reports = tell(&[failed(&format!("/a\nb{}", "ä".repeat(1000)), "")]);
        assert_eq!(reports[0].lines().count(), 7);
        assert!(reports[0].len() < 2 * MOST_NAME_BYTES);
    }
}
