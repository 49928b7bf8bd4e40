//! Access lines: what each format and each variable makes of a record, and which requests have a line.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portico_engine::access_log::appending::push_number;
use portico_engine::access_log::condition::is_like;
use portico_engine::access_log::header_names::HeaderNames;
use portico_engine::access_log::record::{AccessRecord, Keeper, Said, ServedBy};
use portico_engine::access_log::repeated::Repeated;
use portico_engine::access_log::request_line::{Part, RequestLine};
use portico_engine::access_log::style::Style;
use portico_engine::budget::Budget;
use portico_engine::call_times::CallTimes;
use portico_engine::durations::{self, Counter};
use portico_engine::message::inbound::Inbound;
use portico_engine::message::spoken::Protocol;
use portico_engine::metrics::Room;
use portico_engine::scoreboard::{Mapping, ShownRequest, SlotRef};
use std::sync::atomic::Ordering::Relaxed;
use support::settings;

/// 2026-11-29 01:46:07.123456789 UTC.
const NOW_NS: u64 = 1_795_916_767_123_456_789;

const REQUEST: &str = "POST /basket/7?id=%22 HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 12\r\n\
    Authorization: Basic YW5uYTpzZWNyZXQ=\r\nReferer: http://ref/\r\nUser-Agent: tester/1 \"x\"\r\n\
    X-Request-ID: r-1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";

fn style(values: &[(&str, &str)]) -> Style {
    Style::read(&settings(values), false).unwrap()
}

fn error(values: &[(&str, &str)]) -> String {
    Style::read(&settings(values), false).map(drop).unwrap_err()
}

fn inbound(head: &str) -> Inbound {
    let settings = settings(&[]);
    let mut inbound = Inbound::new(&Budget::new(1 << 20));
    inbound.push(head.as_bytes());
    inbound.read_head(Protocol::Http, true, false, &settings).unwrap().unwrap();
    inbound
}

fn said() -> Said {
    let head = b"HTTP/1.1 201 Created\r\nContent-Type: text/html\r\nX-Cache:  hit \r\n\r\n";
    Said { head: head.to_vec(), environ: vec![Some(b"/basket/<id>".to_vec())] }
}

fn record<'a>(inbound: &'a Inbound, said: &'a Said) -> AccessRecord<'a> {
    AccessRecord {
        client: Some("192.0.2.7".parse().unwrap()),
        request_line: RequestLine::of(b"POST /basket/7?id=%22 HTTP/1.1"),
        request: Some(inbound),
        header_names: HeaderNames::default(),
        status: 201,
        body_bytes: 5120,
        duration_ns: 12_345_678,
        ended_ns: None,
        call: Some(CallTimes {
            queue_ns: 1_000_000,
            lock_ns: 500_000,
            call_ns: 10_000_000,
            client_ns: 2_000_000,
            cpu_ns: Some(3_000_000),
            head_ns: Some(9_000_000),
        }),
        said: Some(said),
        trace: None,
        served_by: ServedBy { worker: 2, process: 4711, thread: Some(3), application: "shop:app" },
        cause: None,
    }
}

/// The line of `record` in the format of these settings.
fn line_of(values: &[(&str, &str)], record: &AccessRecord<'_>, is_bounded: bool) -> String {
    let mut line = Vec::new();
    style(values).format.push(&mut line, record, NOW_NS, &mut Repeated::default(), is_bounded);
    String::from_utf8(line).unwrap()
}

/// The line of the usual record in `format`.
fn line(format: &str) -> String {
    line_of(&[("access_log_format", format)], &record(&inbound(REQUEST), &said()), false)
}

#[test]
fn the_named_formats() {
    assert_eq!(
        line("combined"),
        "192.0.2.7 - - [29/Nov/2026:01:46:07 +0000] \"POST /basket/7?id=%22 HTTP/1.1\" 201 5120 \
         \"http://ref/\" \"tester/1 \\x22x\\x22\" 0.012345"
    );
    assert_eq!(line("auto"), line("combined"));
    assert_eq!(
        line("common"),
        "192.0.2.7 - anna [29/Nov/2026:01:46:07 +0000] \"POST /basket/7?id=%22 HTTP/1.1\" 201 5120"
    );
    assert_eq!(line("short"), "01:46:07 POST /basket/7?id=%22 201 5120 12.345 ms");
    assert_eq!(
        line("logfmt"),
        "time=2026-11-29T01:46:07.123Z level=info client=192.0.2.7 method=POST path=/basket/7 query=\"id=%22\" \
         route=/basket/<id> status=201 body_bytes=5120 total_ms=12.345 queue_ms=1.000 lock_ms=0.500 app_ms=8.000 \
         client_ms=2.000 request_id=r-1 application=shop:app worker=2"
    );
}

#[test]
fn json_has_the_names_of_the_elastic_common_schema() {
    assert_eq!(
        line("json"),
        "{\"@timestamp\":\"2026-11-29T01:46:07.123Z\",\"log.level\":\"info\",\
         \"message\":\"POST /basket/7?id=%22 201\",\"ecs.version\":\"8.11.0\",\"service.name\":\"shop:app\",\
         \"process.pid\":4711,\"client.ip\":\"192.0.2.7\",\"user.name\":\"anna\",\"http.request.method\":\"POST\",\
         \"url.path\":\"/basket/7\",\"url.query\":\"id=%22\",\"url.domain\":\"shop.example\",\"http.version\":\"1.1\",\
         \"http.route\":\"/basket/<id>\",\"http.request.id\":\"r-1\",\"http.request.referrer\":\"http://ref/\",\
         \"http.request.body.bytes\":12,\"http.response.status_code\":201,\"http.response.body.bytes\":5120,\
         \"user_agent.original\":\"tester/1 \\\"x\\\"\",\"trace.id\":\"0af7651916cd43dd8448eb211c80319c\",\
         \"span.id\":\"b7ad6b7169203331\",\"event.duration\":12345678,\"portico.queue_ns\":1000000,\
         \"portico.lock_ns\":500000,\"portico.app_ns\":8000000,\"portico.cpu_ns\":3000000,\
         \"portico.client_ns\":2000000,\"portico.first_byte_ns\":9000000,\"portico.worker\":2,\"portico.thread\":3}"
    );
}

#[test]
fn a_head_is_kept_if_it_may_name_the_request_or_all_of_it_is_wanted() {
    let named = b"HTTP/1.1 200 OK\r\nX-Quota: 1\r\nX-REQUEST-ID: r-9\r\n\r\n";
    let nameless = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let misnamed = b"HTTP/1.1 200 OK\r\nX-Request-I: 1\r\nq: x-request-id: 2\r\n\r\n";
    let kept = |head: &[u8], whole| {
        let keeper = Keeper::default();
        Said::set_head(&keeper, head, whole);
        let said = keeper.lock().unwrap();
        (said.head.len(), said.request_id().map(<[u8]>::to_vec))
    };
    for whole in [false, true] {
        assert_eq!(kept(named, whole), (named.len(), Some(b"r-9".to_vec())));
        assert_eq!(kept(misnamed, whole), (misnamed.len(), None));
    }
    assert_eq!(kept(nameless, false), (0, None));
    assert_eq!(kept(nameless, true), (nameless.len(), None));
    let wants = |format| {
        let wants = style(&[("access_log_format", format)]).wants;
        (wants.head, wants.whole_head)
    };
    assert_eq!(wants("%(request_id)"), (true, false));
    assert_eq!(wants("%(request_id) %(response.x-a)"), (true, true));
    assert_eq!(wants("%(head_bytes)"), (true, true));
    assert_eq!(wants("%(status)"), (false, false));
}

#[test]
fn lines_after_each_other_are_as_each_is_alone() {
    let (inbound, said) = (inbound(REQUEST), said());
    let by = |worker, process, application| ServedBy { worker, process, thread: Some(0), application };
    let served_by = [
        by(2, 4711, "shop:app"),
        by(2, 4711, "shop:app"),
        by(2, 4711, "shop:other"),
        by(3, 4711, "shop:other"),
        by(3, 4712, "shop:other"),
        by(3, 4712, ""),
        by(2, 4711, "shop:app"),
    ];
    let clients = ["192.0.2.7", "192.0.2.7", "2001:db8::7", "192.0.2.70", "::ffff:192.0.2.7", "10.0.0.1", "10.0.0.1"];
    for (format, destination) in [("json", "-"), ("logfmt", "-"), ("combined", "-"), ("auto", "journald")] {
        let values = [
            ("access_log_format", format),
            ("access_log", destination),
            ("access_log_fields", if format == "combined" { "" } else { "pid,worker,ended,clock" }),
        ];
        let style = style(&values);
        let mut repeated = Repeated::default();
        for (index, (served_by, client)) in served_by.into_iter().zip(clients).enumerate() {
            let client = Some(client.parse().unwrap());
            let record = AccessRecord { client, served_by, ..record(&inbound, &said) };
            let now_ns = NOW_NS + index as u64 * 400_000_000;
            let mut line = Vec::new();
            style.format.push(&mut line, &record, now_ns, &mut repeated, false);
            let mut alone = Vec::new();
            style.format.push(&mut alone, &record, now_ns, &mut Repeated::default(), false);
            assert_eq!(String::from_utf8(line).unwrap(), String::from_utf8(alone).unwrap());
        }
    }
}

#[test]
fn a_line_that_was_understood_has_the_same_parts() {
    for line in [
        "GET / HTTP/1.1",
        "POST /a?b=c?d HTTP/1.0",
        "OPTIONS * HTTP/1.1",
        "GET http://a/? HTTP/1.1",
        "M /a b? HTTP/1.1",
    ] {
        let method_bytes = line.find(' ').unwrap();
        let (alone, understood) =
            (RequestLine::of(line.as_bytes()), RequestLine::understood(line.as_bytes(), method_bytes));
        for part in [Part::Method, Part::Target, Part::Path, Part::Query, Part::Protocol, Part::Version] {
            assert_eq!(understood.part(part), alone.part(part), "{part:?} of {line}");
        }
        assert_eq!(understood.without_protocol(), alone.without_protocol());
    }
}

/// What a log daemon gets of `record` under these settings, without the end of the record.
fn datagram_of(values: &[(&str, &str)], record: &AccessRecord<'_>) -> String {
    let mut datagram = Vec::new();
    style(values).push(&mut datagram, record, NOW_NS, &mut Repeated::default(), true);
    String::from_utf8(datagram).unwrap()
}

#[test]
fn a_record_of_syslog_has_priority_tag_and_process() {
    let (inbound, said) = (inbound(REQUEST), said());
    let mut record = record(&inbound, &said);
    let values = [
        ("access_log", "syslog"),
        ("access_log_format", "%(status)"),
        ("syslog_facility", "local0"),
        ("syslog_tag", "shop"),
    ];
    for (status, expected) in [
        (200, "<134>shop[4711]: 200"),
        (399, "<134>shop[4711]: 399"),
        (400, "<132>shop[4711]: 400"),
        (499, "<132>shop[4711]: 499"),
        (500, "<131>shop[4711]: 500"),
        (0, "<131>shop[4711]: 000"),
    ] {
        record.status = status;
        assert_eq!(datagram_of(&values, &record), expected);
    }
}

#[test]
fn over_the_network_a_record_has_date_and_host() {
    let datagram = datagram_of(
        &[("access_log", "syslog:udp://127.0.0.1"), ("access_log_format", "%(status)")],
        &record(&inbound(REQUEST), &said()),
    );
    let rest = datagram.strip_prefix("<14>1 2026-11-29T01:46:07.123Z ").unwrap();
    let (host, rest) = rest.split_once(' ').unwrap();
    assert!(!host.is_empty());
    assert_eq!(rest, "portico 4711 - - 201");
}

#[test]
fn an_entry_of_the_journal_has_a_field_on_each_line() {
    let values = [("access_log", "journald"), ("access_log_fields", "response.x-cache,host")];
    assert_eq!(
        datagram_of(&values, &record(&inbound(REQUEST), &said())),
        "MESSAGE=POST /basket/7?id=%22 201\nSYSLOG_IDENTIFIER=portico\nSYSLOG_FACILITY=1\nPRIORITY=6\nSYSLOG_PID=4711\n\
         CLIENT_IP=192.0.2.7\nUSER_NAME=anna\nHTTP_METHOD=POST\nURL_PATH=/basket/7\nURL_QUERY=id=%22\n\
         URL_DOMAIN=shop.example\nHTTP_VERSION=1.1\nROUTE=/basket/<id>\nREQUEST_ID=r-1\nREFERER=http://ref/\n\
         USER_AGENT=tester/1 \\x22x\\x22\nTRACE_ID=0af7651916cd43dd8448eb211c80319c\nSPAN_ID=b7ad6b7169203331\n\
         REQUEST_BYTES=12\nHTTP_STATUS=201\nBODY_BYTES=5120\nDURATION_US=12345\nQUEUE_US=1000\nLOCK_US=500\n\
         APP_US=8000\nCPU_US=3000\nCLIENT_US=2000\nFIRST_BYTE_US=9000\nAPPLICATION=shop:app\nWORKER=2\nTHREAD=3\n\
         RESPONSE_X_CACHE=hit\nHOST=shop.example\n"
    );
}

#[test]
fn hostile_values_are_in_one_field_of_the_journal_each() {
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: {}\r\n\r\n", "\u{e4}".repeat(8_000));
    let inbound = inbound(&head);
    let said = Said { environ: vec![Some(b"\n\nPRIORITY=0\n\0\xff".to_vec())], ..said() };
    let mut record = record(&inbound, &said);
    record.request_line = RequestLine::of(b"GET /\nMESSAGE=forged HTTP/1.1");
    for format in ["auto", "combined", "json", "logfmt"] {
        let entry = datagram_of(&[("access_log", "journald"), ("access_log_format", format)], &record);
        assert!(entry.len() < 32_768);
        let names: Vec<&str> = entry.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        assert_eq!(names.len(), entry.lines().count());
        assert!(
            names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')),
            "{names:?}"
        );
        for name in ["MESSAGE", "PRIORITY", "ROUTE", "USER_AGENT"] {
            assert_eq!(names.iter().filter(|known| *known == &name).count(), 1);
        }
    }
}

#[test]
fn settings_that_no_log_daemon_can_be_given() {
    assert!(error(&[("access_log", "syslog:tcp://x")]).starts_with("access_log: expected syslog, "));
    assert!(error(&[("syslog_facility", "local8")]).starts_with("syslog_facility: expected one of kern, "));
}

#[test]
fn each_of_gunicorns_variables() {
    let expected = [
        ("h", "192.0.2.7"),
        ("l", "-"),
        ("u", "anna"),
        ("t", "[29/Nov/2026:01:46:07 +0000]"),
        ("r", "POST /basket/7?id=%22 HTTP/1.1"),
        ("m", "POST"),
        ("U", "/basket/7"),
        ("q", "id=%22"),
        ("H", "HTTP/1.1"),
        ("s", "201"),
        ("B", "5120"),
        ("b", "5120"),
        ("f", "http://ref/"),
        ("a", "tester/1 \\x22x\\x22"),
        ("T", "0"),
        ("M", "12"),
        ("D", "12345"),
        ("L", "0.012345"),
        ("p", "<4711>"),
        ("{Host}i", "shop.example"),
        ("{x-cache}o", "hit"),
        ("{portico.route}e", "/basket/<id>"),
        ("{absent}i", "-"),
        ("{absent}o", "-"),
    ];
    for (name, value) in expected {
        assert_eq!(line(&format!("a%({name})sb")), format!("a{value}b"), "{name}");
    }
}

#[test]
fn each_of_uwsgis_variables() {
    let expected = [
        ("uri", "/basket/7?id=%22"),
        ("method", "POST"),
        ("user", "anna"),
        ("addr", "192.0.2.7"),
        ("host", "shop.example"),
        ("proto", "HTTP/1.1"),
        ("uagent", "tester/1 \\x22x\\x22"),
        ("referer", "http://ref/"),
        ("status", "201"),
        ("rsize", "5120"),
        ("hsize", "65"),
        ("size", "5185"),
        ("cl", "12"),
        ("micros", "12345"),
        ("msecs", "12"),
        ("secs", "0"),
        ("time", "1795916767"),
        ("tmsecs", "1795916767111"),
        ("tmicros", "1795916767111111"),
        ("ltime", "29/Nov/2026:01:46:07 +0000"),
        ("ftime", "29/Nov/2026:01:46:07 +0000"),
        ("ctime", "Sun Nov 29 01:46:07 2026"),
        ("epoch", "1795916767"),
        ("pid", "4711"),
        ("wid", "2"),
        ("core", "3"),
        ("switches", "0"),
        ("vars", "7"),
        ("headers", "2"),
        ("pktsize", "0"),
        ("modifier1", "0"),
        ("modifier2", "0"),
        ("werr", "0"),
        ("rerr", "0"),
        ("ioerr", "0"),
        ("var.portico.route", "/basket/<id>"),
    ];
    for (name, value) in expected {
        assert_eq!(line(&format!("%({name})")), value, "{name}");
    }
    for name in ["rss", "vsz", "rssM", "vszM"] {
        assert!(line(&format!("%({name})")).parse::<u64>().unwrap() > 0, "{name}");
    }
}

#[test]
fn a_repeated_header_of_the_response_has_all_its_values() {
    let head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Expires=Mon, 30 Nov 2026 21:35:37 GMT\r\nX-Tag: one\r\n\
        set-cookie: b=2\r\nx-tag:\r\nX-Tags: no\r\nSET-COOKIE: c=3\r\n\r\n";
    let (inbound, said) = (inbound(REQUEST), Said { head: head.to_vec(), ..Said::default() });
    let record = record(&inbound, &said);
    for (format, expected) in [
        ("%(response.set-cookie)", "a=1; Expires=Mon, 30 Nov 2026 21:35:37 GMT, b=2, c=3"),
        ("%(response.x-tag)", "one, "),
        ("%({Set-Cookie}o)s", "a=1; Expires=Mon, 30 Nov 2026 21:35:37 GMT, b=2, c=3"),
        ("%(response.x-tags)", "no"),
    ] {
        assert_eq!(line_of(&[("access_log_format", format)], &record, false), expected, "{format}");
    }
}

#[test]
fn a_header_is_found_in_any_case_and_among_others_that_are_like_it() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-IE: no\r\nX-REQUEST-id: r-2\r\nUser-Agents: no\r\n\r\n";
    let inbound = inbound(head);
    let said = Said {
        head: b"HTTP/1.1 200 OK\r\nx: y\r\nXx: x\r\nx-cache-a: no\r\nX-CACHE: hit\r\n\r\n".to_vec(),
        ..Said::default()
    };
    let record = record(&inbound, &said);
    for (format, expected) in [
        ("%(header.x-request-id)", "r-2"),
        ("%(header.x-request-ie)", "no"),
        ("%(header.user-agent)", "-"),
        ("%(header.HOST)", "a"),
        ("%(header.ho)", "-"),
        ("%(response.x-cache)", "hit"),
        ("%(response.X)", "y"),
        ("%(response.x-cach)", "-"),
        ("%(response.http/1.1 200 ok)", "-"),
    ] {
        assert_eq!(line_of(&[("access_log_format", format)], &record, false), expected, "{format}");
    }
}

#[test]
fn numbers_of_any_length() {
    let powers = (0..20).map(|power| 10_u64.pow(power));
    for number in powers.flat_map(|power| [power - 1, power, power + 1]).chain([42, 100_500, u64::MAX - 1, u64::MAX]) {
        let mut line = b"n=".to_vec();
        push_number(&mut line, number);
        assert_eq!(String::from_utf8(line).unwrap(), format!("n={number}"));
    }
}

#[test]
fn what_is_not_known_is_a_dash_or_left_out() {
    let unknown = AccessRecord {
        client: None,
        request_line: RequestLine::of(b""),
        request: None,
        header_names: HeaderNames::default(),
        status: 0,
        body_bytes: 0,
        duration_ns: 0,
        ended_ns: None,
        call: None,
        trace: None,
        said: None,
        served_by: ServedBy::default(),
        cause: Some("killed:oom"),
    };
    let line = |format| line_of(&[("access_log_format", format)], &unknown, false);
    assert_eq!(line("combined"), "- - - [29/Nov/2026:01:46:07 +0000] \"-\" 000 0 \"-\" \"-\" 0.000000 killed:oom");
    assert_eq!(line("%(b)s %(q)s %(queue_ms) %(thread)"), "-  - - killed:oom");
    assert_eq!(
        line("json"),
        "{\"@timestamp\":\"2026-11-29T01:46:07.123Z\",\"log.level\":\"error\",\"message\":\" 000\",\
         \"ecs.version\":\"8.11.0\",\"process.pid\":0,\"http.response.status_code\":0,\"http.response.body.bytes\":0,\
         \"event.duration\":0,\"portico.worker\":0,\"portico.cause\":\"killed:oom\"}"
    );
}

#[test]
fn more_fields_are_added_to_pairs() {
    let values = [("access_log_format", "logfmt"), ("access_log_fields", "header.host,response.x-cache,cpu_us")];
    let line = line_of(&values, &record(&inbound(REQUEST), &said()), false);
    assert!(line.ends_with("worker=2 header.host=shop.example response.x-cache=hit cpu_us=3000"), "{line}");
}

#[test]
fn a_long_text_is_truncated_where_a_line_has_to_fit_into_a_pipe() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nReferer: {0}\r\nUser-Agent: {0}\r\n\r\n", "\"".repeat(5000));
    let (inbound, said) = (inbound(&long), Said::default());
    let request_line = format!("GET /{0}?{0} HTTP/1.1", "\"".repeat(5000));
    let record = AccessRecord { request_line: RequestLine::of(request_line.as_bytes()), ..record(&inbound, &said) };
    for format in ["combined", "common", "json", "logfmt", "%(a)s%(a)s%(a)s%(a)s%(a)s%(a)s"] {
        let values = [("access_log_format", format)];
        let line = line_of(&values, &record, true);
        assert!(line.len() < 4096, "{format}: {} bytes", line.len());
        assert!(line.contains("..."), "{format}");
        assert!(line_of(&values, &record, false).len() > 10_000, "{format}");
    }
}

#[test]
fn an_unknown_variable_is_said() {
    for (format, why) in [
        ("%(nonsense)", "unknown variable %(nonsense)"),
        ("%(h)", "expected %(h)s, got %(h)"),
        ("%({x}z)s", "unknown variable %({x}z)"),
        ("%(status", "a variable without its ): %(status"),
        ("100% %(s)s", "expected a variable such as %(status), or %% for a percent sign, got % %(s)s"),
        ("jsn", "expected auto, combined, common, short, json, logfmt, or a template with variables, got jsn"),
    ] {
        assert_eq!(error(&[("access_log_format", format)]), format!("access_log_format: {why}"), "{format}");
    }
    let json = ("access_log_format", "json");
    assert_eq!(error(&[json, ("access_log_fields", "x")]), "access_log_fields: unknown field x");
    assert_eq!(
        error(&[("access_log_fields", "host")]),
        "access_log_fields: expected json or logfmt as access_log_format; others have no more fields"
    );
    assert_eq!(line("100%% %(s)s"), "100% 201");
}

fn holds(condition: &str) -> bool {
    let style = style(&[("access_log_if", condition)]);
    let (inbound, said) = (inbound(REQUEST), said());
    style.selects(&record(&inbound, &said), NOW_NS)
}

#[test]
fn conditions() {
    for condition in [
        "status == 201",
        "status >= 201 and status < 202",
        "status >= 500 or total_ms > 12.3",
        "not status != 201",
        "not (status > 300 or path ~ \"/static/*\")",
        "path ~ '/basket/*'",
        "path !~ '/basket'",
        "method == \"POST\" and header.host == 'shop.example'",
        "response.x-cache",
        "not header.absent",
        "header.absent != 'x' and header.absent != 3",
        "client ~ '192.0.2.*'",
        "user == 'anna'",
        "route ~ '/basket/*'",
        "total_s < 0.0124 and total_us >= 12345",
        "request_bytes == 12",
        "status == 1 or status == 2 or status == 201 and path",
    ] {
        assert!(holds(condition), "{condition}");
        assert!(!holds(&format!("not ({condition})")), "not {condition}");
    }
    for condition in ["header.absent == 'x'", "header.absent > 3", "cause", "user_agent > 3", "started < 3"] {
        assert!(!holds(condition), "{condition}");
    }
}

#[test]
fn what_is_no_condition_is_said() {
    for (condition, why) in [
        ("status >", "expected a number or a text in quotes after status >, got nothing"),
        ("status > abc", "expected a number or a text in quotes after status >, got abc"),
        ("status > 1 2", "expected and, or, or the end, got 2"),
        ("stats > 1", "unknown field stats"),
        ("(status > 1", "expected ), got nothing"),
        ("and", "expected a field such as status, got and"),
        ("status > '499'", "expected a number without quotes after status >, got '499'"),
        ("total_ms <= \"9\"", "expected a number without quotes after total_ms <=, got \"9\""),
        ("status ~ 3", "expected a pattern in quotes after status ~, got 3"),
        ("path == 'x", "a text without its end: 'x"),
        ("status = 3", "expected and, or, or the end, got ="),
        ("1 < status", "expected a field such as status, got 1"),
        ("\u{fc} > 1", "expected a field such as status, got \u{fc}"),
        ("status > inf", "expected a number or a text in quotes after status >, got inf"),
    ] {
        assert_eq!(error(&[("access_log_if", condition)]), format!("access_log_if: {why}"), "{condition}");
    }
    let deep = format!("{}status > 1{}", "(".repeat(40), ")".repeat(40));
    assert_eq!(error(&[("access_log_if", &deep)]), "access_log_if: more than 32 brackets in each other");
}

#[test]
fn patterns() {
    for (text, pattern, expected) in [
        ("/static/a.css", "/static/*", true),
        ("/static", "/static/*", false),
        ("/a/b/c", "/*/c", true),
        ("/a/b/cc", "/*/c", false),
        ("", "*", true),
        ("", "", true),
        ("a", "", false),
        ("aaab", "*a*b", true),
        ("/healthz", "/healthz", true),
        ("/healthz/", "/healthz", false),
    ] {
        assert_eq!(is_like(text.as_bytes(), pattern.as_bytes()), expected, "{text} {pattern}");
    }
}

#[test]
fn paths_are_skipped_and_requests_drawn_but_not_those_that_failed() {
    let (inbound, said) = (inbound(REQUEST), said());
    let usual = record(&inbound, &said);
    assert!(!style(&[("access_log_skip", "/x,/basket/*")]).selects(&usual, NOW_NS));
    assert!(style(&[("access_log_skip", "/basket")]).selects(&usual, NOW_NS));
    let killed = AccessRecord { cause: Some("killed:oom"), ..record(&inbound, &said) };
    assert!(style(&[("access_log_skip", "*"), ("access_log_sample", "0")]).selects(&killed, NOW_NS));
    let failed = AccessRecord { status: 500, ..record(&inbound, &said) };
    assert!(style(&[("access_log_sample", "0")]).selects(&failed, NOW_NS));
    let tenth = style(&[("access_log_sample", "0.1")]);
    let drawn = (0..10_000).filter(|_| tenth.selects(&usual, NOW_NS)).count();
    assert!((800..1200).contains(&drawn), "{drawn}");
    // Also of the first requests of workers alone, which may be all that each of them has.
    let first = (0..1000).filter(|_| style(&[("access_log_sample", "0.1")]).selects(&usual, NOW_NS)).count();
    assert!((50..150).contains(&first), "{first}");
    let none = style(&[("access_log_sample", "0")]);
    assert_eq!((0..1000).filter(|_| none.selects(&usual, NOW_NS)).count(), 0);
}

// --- Metrics

/// A key as `portico.metrics` makes it.
fn key(texts: &[&str]) -> Vec<u8> {
    let packed = |text: &&str| [&u16::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat();
    texts.iter().flat_map(packed).collect()
}

/// Three slots with workers in the first two, whose application has a metric of each kind.
fn workers() -> [SlotRef; 3] {
    let mapping = Mapping::new(3).unwrap();
    let slots = [0, 1, 2].map(|index| SlotRef::new(&mapping, index).unwrap());
    for (slot, count) in slots.iter().zip([3, 4]) {
        slot.set_threads(2);
        slot.requests.store(count, Relaxed);
        slot.errors.store(1, Relaxed);
        slot.bytes_sent.store(100 * count, Relaxed);
        slot.set_thread_id(0, std::process::id().into());
    }
    let shown = ShownRequest {
        application: 0,
        method: b"GET",
        path: b"/",
        arrived_ns: 1,
        taken_ns: 1,
        logged: None,
        trace: None,
    };
    slots[1].call_started(1, &shown, 2);
    let metrics = mapping.metrics();
    let define = |texts: &[&str], stamped_ns| {
        let number = metrics.entry(&key(texts), 0, Room::Defined).unwrap().number;
        metrics.stamp(number, stamped_ns);
        number.to_string()
    };
    let series = |texts: &[&str], cells| metrics.entry(&key(texts), cells, Room::Defined).unwrap();
    // One that a reload has changed.
    let before = define(&["metric", "counter", "orders", ""], 1);
    metrics.add(series(&["series", &before], 1).cell, 1000.0);
    let orders = define(&["metric", "counter", "orders", "", "country"], 2);
    metrics.add(series(&["series", &orders, "at"], 1).cell, 5.0);
    metrics.add(series(&["series", &orders, "de"], 1).cell, 0.5);
    let took = define(&["metric", "histogram", "took", "1.0 5.0"], 1);
    let cells = series(&["series", &took], 4);
    metrics.count(cells.cell);
    metrics.count(cells.cell + 2);
    metrics.add(cells.cell + 3, 12.25);
    let debt = define(&["metric", "gauge", "debt", "last"], 1);
    metrics.set(series(&["series", &debt], 1).cell, -5.0);
    for (special, values) in [("sum", [1.5, 2.0]), ("max", [1.0, 4.0]), ("min", [1.0, 4.0]), ("each", [1.0, 4.0])] {
        let number = define(&["metric", "gauge", special, special], 1);
        let gauge = series(&["series", &number], 1).number;
        for (index, value) in values.into_iter().enumerate() {
            mapping.use_gauges(index).unwrap().set(gauge, value);
        }
    }
    define(&["metric", "gauge", "unset", "sum"], 1);
    slots
}

/// The line of the usual record in `format`, by the worker of `slot`.
fn line_by(slot: &SlotRef, format: &str) -> String {
    let style = style(&[("access_log_format", format)]);
    style.read_metrics_for(slot).unwrap();
    let mut line = Vec::new();
    style.format.push(&mut line, &record(&inbound(REQUEST), &said()), NOW_NS, &mut Repeated::default(), false);
    String::from_utf8(line).unwrap()
}

#[test]
fn uwsgis_metrics_of_workers() {
    let [first, second, _] = workers();
    for (name, value) in [
        ("worker.0.requests", "7"),
        ("worker.1.requests", "3"),
        ("worker.1.delta_requests", "3"),
        ("worker.2.requests", "4"),
        ("worker.2.failed_requests", "1"),
        ("worker.0.failed_requests", "2"),
        ("worker.2.total_tx", "400"),
        ("core.total_tx", "700"),
        // There is none, or none any more.
        ("worker.3.requests", "-"),
        ("worker.65535.requests", "-"),
        // This one has the request of the line.
        ("core.busy_workers", "2"),
        ("core.idle_workers", "0"),
        ("worker.1.avg_response_time", "0"),
        ("worker.0.running_time", "0"),
    ] {
        assert_eq!(line_by(&first, &format!("%(metric.{name})")), value, "{name}");
    }
    assert_eq!(line_by(&second, "%(metric.core.busy_workers) %(metric.core.idle_workers)"), "1 1");
    let bytes = |name: &str| line_by(&first, &format!("%(metric.{name})")).parse::<u64>().unwrap();
    for (one, all) in [("rss_size", "core.total_rss"), ("vsz_size", "core.total_vsz")] {
        assert!(bytes(&format!("worker.1.{one}")) > 0, "{one}");
        assert!(bytes(one) > bytes(&format!("worker.1.{one}")), "{one}");
        assert!(bytes(all) > bytes(&format!("worker.1.{one}")), "{all}");
    }
}

#[test]
fn durations_are_counted_where_a_line_has_them() {
    for (format, wants) in [
        ("%(metric.worker.1.avg_response_time)", true),
        ("%(metric.core.total_running_time)", true),
        ("%(metric.worker.1.requests)", false),
        ("%(status)", false),
    ] {
        assert_eq!(style(&[("access_log_format", format)]).wants_durations(), wants, "{format}");
    }
    let [first, second, _] = workers();
    let key = durations::Key { application: "a", method: b"GET", route: b"", status: 200 };
    first.use_durations().count(&mut Counter::default(), &key, 2_000_000);
    first.use_durations().count(&mut Counter::default(), &key, 4_000_500);
    second.use_durations().count(&mut Counter::default(), &key, 12_000_000);
    let line = line_by(&first, "%(metric.worker.1.avg_response_time) %(metric.worker.1.running_time)");
    assert_eq!(line, "3000 6000");
    let line = line_by(&first, "%(metric.core.avg_response_time) %(metric.core.total_running_time)");
    assert_eq!(line, "6000 18000");
}

#[test]
fn metrics_of_the_application() {
    let [first, second, third] = workers();
    for (name, value) in [
        ("orders", "5.5"),
        ("orders_total", "5.5"),
        ("took_count", "2"),
        ("took_sum", "12.25"),
        ("debt", "-5"),
        ("sum", "3.5"),
        ("max", "4"),
        ("min", "1"),
        ("unset", "-"),
    ] {
        assert_eq!(line_by(&first, &format!("%(metric.{name})")), value, "{name}");
    }
    assert_eq!(
        ["1", "4", "-"],
        [&first, &second, &third].map(|slot| line_by(slot, "%(metric.each)")).each_ref().map(String::as_str)
    );
}

#[test]
fn metrics_are_numbers_in_json_and_in_conditions() {
    let [first, ..] = workers();
    let style = style(&[
        ("access_log_format", "json"),
        ("access_log_fields", "metric.orders,metric.worker.1.requests,metric.unset"),
        ("access_log_if", "metric.took_count >= 2 and metric.debt < 0"),
    ]);
    style.read_metrics_for(&first).unwrap();
    let (inbound, said) = (inbound(REQUEST), said());
    let record = record(&inbound, &said);
    assert!(style.selects(&record, NOW_NS));
    let mut line = Vec::new();
    style.push(&mut line, &record, NOW_NS, &mut Repeated::default(), true);
    let line = String::from_utf8(line).unwrap();
    assert!(line.ends_with(",\"metric.orders\":5.5,\"metric.worker.1.requests\":3}"), "{line}");
}

#[test]
fn a_metric_that_there_is_not_is_said() {
    let known = ": expected core.avg_response_time, core.busy_workers, core.idle_workers, core.total_rss, \
        core.total_running_time, core.total_tx, core.total_vsz, rss_size, vsz_size, worker.N. with avg_response_time, \
        delta_requests, failed_requests, requests, rss_size, running_time, total_tx, vsz_size, or the name of a metric of \
        the application";
    for name in [
        "core.overloaded",
        "worker.1.respawns",
        "worker.x.requests",
        "worker.01.requests",
        "worker.1.core.0.requests",
        "7",
        "a-b",
    ] {
        let said = error(&[("access_log_format", &format!("%(metric.{name})"))]);
        assert_eq!(said, format!("access_log_format: unknown variable %(metric.{name}){known}"));
    }
    let fields = error(&[("access_log_format", "json"), ("access_log_fields", "metric.core.x")]);
    assert_eq!(fields, format!("access_log_fields: unknown field metric.core.x{known}"));
    let condition = error(&[("access_log_if", "metric.core.x > 1")]);
    assert_eq!(condition, format!("access_log_if: unknown field metric.core.x{known}"));
    let [first, ..] = workers();
    for (name, why) in [
        ("order", "debt, each, max, min, orders, sum, took_count, unset"),
        ("took", "debt, each, max, min, orders, sum, took_count, unset"),
    ] {
        let style = style(&[("access_log_format", &format!("%(metric.{name})"))]);
        let said = style.read_metrics_for(&first).unwrap_err();
        assert_eq!(
            said,
            format!("access log: unknown metric {name}: expected one of the application, which has {why}")
        );
    }
    let none = SlotRef::new(&Mapping::new(1).unwrap(), 0).unwrap();
    let style = style(&[("access_log_format", "%(metric.order)")]);
    assert!(style.read_metrics_for(&none).unwrap_err().ends_with("which has none"));
}
