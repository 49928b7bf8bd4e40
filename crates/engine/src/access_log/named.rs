//! The formats that have a name: templates, and the fields of those that are pairs.

use super::date::DateForm;
use super::field::{Field, Moment, ROUTE, Time, TracePart, Wanted};
use super::request_line::Part;
use super::value::Unit;
use crate::json_text::ECS_VERSION;

/// Of nginx and Apache, with the time.
pub const COMBINED: &str =
    "%(client) - - [%(ended_clf)] \"%(request)\" %(status) %(body_bytes) \"%(referer)\" \"%(user_agent)\" %(total_s)";
/// The common log format.
pub const COMMON: &str = "%(client) - %(user) [%(ended_clf)] \"%(request)\" %(status) %(body_bytes)";
/// For who looks on.
pub const SHORT: &str = "%(clock) %(method) %(target) %(status) %(body_bytes) %(total_ms) ms";

/// The formats that have a name.
pub const NAMES: [&str; 5] = ["combined", "common", "short", "json", "logfmt"];

/// The names of the Elastic Common Schema, and after them portico's own.
pub fn json_fields(wanted: &mut Wanted) -> Vec<(&'static str, Field)> {
    let time = |time| Field::Time(time, Unit::Nanoseconds);
    let header = |name: &str| Field::RequestHeader(name.to_owned());
    vec![
        ("@timestamp", Field::Date(Moment::End, DateForm::Iso)),
        ("log.level", Field::Level),
        ("message", Field::Message),
        ("ecs.version", Field::Constant(ECS_VERSION)),
        ("service.name", Field::Application),
        ("process.pid", Field::Process),
        ("client.ip", Field::Client),
        ("user.name", Field::User),
        ("http.request.method", Field::Part(Part::Method)),
        ("url.path", Field::Part(Part::Path)),
        ("url.query", Field::Part(Part::Query)),
        ("url.domain", Field::Host),
        ("http.version", Field::Part(Part::Version)),
        ("http.route", wanted.environ(ROUTE)),
        ("http.request.id", Field::RequestId),
        ("http.request.referrer", header("referer")),
        ("http.request.body.bytes", Field::RequestBytes),
        ("http.response.status_code", Field::Status),
        ("http.response.body.bytes", Field::BodyBytes),
        ("user_agent.original", header("user-agent")),
        ("trace.id", Field::Trace(TracePart::Trace)),
        ("span.id", Field::Trace(TracePart::Span)),
        ("event.duration", time(Time::Total)),
        ("portico.queue_ns", time(Time::Queue)),
        ("portico.lock_ns", time(Time::Lock)),
        ("portico.app_ns", time(Time::Application)),
        ("portico.cpu_ns", time(Time::Cpu)),
        ("portico.client_ns", time(Time::Client)),
        ("portico.first_byte_ns", time(Time::FirstByte)),
        ("portico.worker", Field::Worker),
        ("portico.thread", Field::Thread),
        ("portico.cause", Field::Cause),
    ]
}

/// What is told of a span to the process that exports it (`spans`): the short names are read there, by
/// python/portico/otlp/spans.py.
pub fn span_fields(wanted: &mut Wanted) -> Vec<(&'static str, Field)> {
    let time = |time| Field::Time(time, Unit::Nanoseconds);
    let header = |name: &str| Field::RequestHeader(name.to_owned());
    vec![
        ("trace", Field::Trace(TracePart::Trace)),
        ("span", Field::Trace(TracePart::Span)),
        ("parent", Field::Trace(TracePart::Parent)),
        ("start", Field::Since1970(Moment::Start, Unit::Nanoseconds)),
        ("total", time(Time::Total)),
        ("queue", time(Time::Queue)),
        ("lock", time(Time::Lock)),
        ("app", time(Time::Application)),
        ("cpu", time(Time::Cpu)),
        ("client", time(Time::Client)),
        ("first", time(Time::FirstByte)),
        ("status", Field::Status),
        ("method", Field::Part(Part::Method)),
        ("scheme", Field::Scheme),
        ("version", Field::Part(Part::Version)),
        ("peer", Field::Client),
        ("bytes", Field::BodyBytes),
        ("pid", Field::Process),
        ("worker", Field::Worker),
        ("thread", Field::Thread),
        ("name", Field::Application),
        ("cause", Field::Cause),
        ("route", wanted.environ(ROUTE)),
        ("host", Field::Host),
        ("state", Field::RequestHeaderValues("tracestate".to_owned())),
        ("path", Field::Part(Part::Path)),
        ("query", Field::Part(Part::Query)),
        ("agent", header("user-agent")),
    ]
}

/// As `key=value`.
pub fn logfmt_fields(wanted: &mut Wanted) -> Vec<(&'static str, Field)> {
    let time = |time| Field::Time(time, Unit::Milliseconds);
    vec![
        ("time", Field::Date(Moment::End, DateForm::Iso)),
        ("level", Field::Level),
        ("client", Field::Client),
        ("method", Field::Part(Part::Method)),
        ("path", Field::Part(Part::Path)),
        ("query", Field::Part(Part::Query)),
        ("route", wanted.environ(ROUTE)),
        ("status", Field::Status),
        ("body_bytes", Field::BodyBytes),
        ("total_ms", time(Time::Total)),
        ("queue_ms", time(Time::Queue)),
        ("lock_ms", time(Time::Lock)),
        ("app_ms", time(Time::Application)),
        ("client_ms", time(Time::Client)),
        ("request_id", Field::RequestId),
        ("application", Field::Application),
        ("worker", Field::Worker),
        ("cause", Field::Cause),
    ]
}

/// The journal's own names, systemd's first.
pub fn journal_fields(wanted: &mut Wanted) -> Vec<(&'static str, Field)> {
    let time = |time| Field::Time(time, Unit::Microseconds);
    let header = |name: &str| Field::RequestHeader(name.to_owned());
    vec![
        ("PRIORITY", Field::Severity),
        ("SYSLOG_PID", Field::Process),
        ("CLIENT_IP", Field::Client),
        ("USER_NAME", Field::User),
        ("HTTP_METHOD", Field::Part(Part::Method)),
        ("URL_PATH", Field::Part(Part::Path)),
        ("URL_QUERY", Field::Part(Part::Query)),
        ("URL_DOMAIN", Field::Host),
        ("HTTP_VERSION", Field::Part(Part::Version)),
        ("ROUTE", wanted.environ(ROUTE)),
        ("REQUEST_ID", Field::RequestId),
        ("REFERER", header("referer")),
        ("USER_AGENT", header("user-agent")),
        ("TRACE_ID", Field::Trace(TracePart::Trace)),
        ("SPAN_ID", Field::Trace(TracePart::Span)),
        ("REQUEST_BYTES", Field::RequestBytes),
        ("HTTP_STATUS", Field::Status),
        ("BODY_BYTES", Field::BodyBytes),
        ("DURATION_US", time(Time::Total)),
        ("QUEUE_US", time(Time::Queue)),
        ("LOCK_US", time(Time::Lock)),
        ("APP_US", time(Time::Application)),
        ("CPU_US", time(Time::Cpu)),
        ("CLIENT_US", time(Time::Client)),
        ("FIRST_BYTE_US", time(Time::FirstByte)),
        ("APPLICATION", Field::Application),
        ("WORKER", Field::Worker),
        ("THREAD", Field::Thread),
        ("CAUSE", Field::Cause),
    ]
}
