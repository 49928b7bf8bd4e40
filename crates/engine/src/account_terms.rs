//! What the accounts of requests want of them: for lines of the access log, and for metrics. In one place, since it is
//! taken once, and only where somebody wants it.

use crate::access_log::AccessLog;
use crate::access_log::field::ROUTE;
use crate::access_log::record::Said;
use crate::access_log::style::Wants;

/// The same for all requests of a server.
#[derive(Default)]
pub struct AccountTerms {
    /// What has to be taken of a request.
    pub wants: Wants,
    /// Whether somebody wants to know where the time of calls goes.
    pub is_timed: bool,
    /// Whether each request has a record: for the access log, or for spans.
    pub is_recorded: bool,
    /// This process: asking for it is a system call.
    pub process: u32,
    /// The variables of the environ that are kept after the call.
    pub variables: Vec<String>,
    /// The names of the server's applications.
    applications: Vec<String>,
    /// Which of the variables is the route, if that is counted by.
    route: Option<usize>,
}

impl AccountTerms {
    /// Those of a server with these `applications`.
    pub fn new(
        access_log: Option<&AccessLog>,
        has_metrics: bool,
        has_spans: bool,
        applications: Vec<String>,
    ) -> AccountTerms {
        let style = access_log.map(AccessLog::style);
        let mut wants = style.map(|style| style.wants).unwrap_or_default();
        let mut variables = style.map(|style| style.format.wanted.0.clone()).unwrap_or_default();
        let route = (has_metrics || has_spans).then(|| {
            variables.iter().position(|name| name == ROUTE).unwrap_or_else(|| {
                variables.push(ROUTE.into());
                variables.len() - 1
            })
        });
        wants.environ = !variables.is_empty();
        wants.cpu |= has_metrics || has_spans;
        wants.head_time |= has_spans;
        let is_recorded = access_log.is_some() || has_spans;
        let is_timed = is_recorded || has_metrics;
        AccountTerms { wants, is_timed, is_recorded, process: std::process::id(), variables, applications, route }
    }

    /// The name of an application, by its number.
    pub fn application(&self, index: usize) -> &str {
        self.applications.get(index).map_or("", String::as_str)
    }

    /// The route of a request of which this was kept; empty if none is known.
    pub fn route<'a>(&self, said: Option<&'a Said>) -> &'a [u8] {
        let value = self.route.and_then(|index| said?.environ.get(index)?.as_deref());
        value.unwrap_or_default()
    }
}
