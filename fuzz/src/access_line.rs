//! Access lines: whatever a client and an application say, a line is one line, in each format what its reader can read,
//! and of the length that a pipe takes at once.

use crate::input::FuzzInput;
use portico_engine::access_log::format::Format;
use portico_engine::access_log::header_names::HeaderNames;
use portico_engine::access_log::named::NAMES;
use portico_engine::access_log::record::{AccessRecord, Said, ServedBy};
use portico_engine::access_log::repeated::Repeated;
use portico_engine::access_log::request_line::RequestLine;
use portico_engine::budget::Budget;
use portico_engine::message::inbound::Inbound;
use portico_wire::Limits;

/// What a pipe takes at once (`PIPE_BUF`, pipe(7)).
const PIPE_BYTES: usize = 4096;

/// Takes the message for a request, and for what the application has said.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let mut inbound = Inbound::new(&Budget::new(1 << 24));
    inbound.push(input.message);
    let bytes = inbound.bytes().to_vec();
    let is_understood = matches!(inbound.head.read(&bytes, &Limits::default()), Ok(Some(_)));
    let line = if is_understood { inbound.request_line().into_owned() } else { inbound.first_line(256).to_vec() };
    let said = Said { head: input.message.to_vec(), environ: vec![Some(input.message.to_vec()); 2] };
    let record = AccessRecord {
        client: None,
        request_line: RequestLine::of(&line),
        request: is_understood.then_some(&inbound),
        header_names: HeaderNames::default(),
        status: u16::try_from(input.choices % 1000).unwrap_or(0),
        body_bytes: input.choices,
        duration_ns: input.choices,
        ended_ns: None,
        call: None,
        said: Some(&said),
        trace: None,
        served_by: ServedBy::default(),
        cause: None,
    };
    let more = ["header.cookie", "response.x-a", "environ.a.b"].map(str::to_owned);
    for name in NAMES {
        let Ok(mut format) = Format::parse(name) else { panic!("{name}") };
        if matches!(name, "json" | "logfmt") {
            assert_eq!(format.add(&more), Ok(()));
        }
        for is_bounded in [true, false] {
            let mut line = Vec::new();
            format.push(&mut line, &record, input.choices, &mut Repeated::default(), is_bounded);
            assert!(!is_bounded || line.len() < PIPE_BYTES, "{name}: {} bytes", line.len());
            let Ok(line) = std::str::from_utf8(&line) else { panic!("{name}: no UTF-8") };
            assert!(!line.chars().any(char::is_control), "{name}: {line:?}");
            match name {
                "json" => check_json(line),
                "logfmt" => check_pairs(line),
                _ => assert_eq!(line.matches('"').count() % 2, 0, "{name}: {line}"),
            }
        }
    }
}

fn check_json(line: &str) {
    let read: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(line);
    let names = read.unwrap_or_else(|error| panic!("{error}: {line}"));
    // Nobody has made one of another's name, or one twice.
    assert!(names.keys().all(|name| line.matches(&format!("\"{name}\":")).count() >= 1), "{line}");
    assert!(names.contains_key("http.response.status_code"), "{line}");
}

fn check_pairs(line: &str) {
    let mut rest = line;
    while !rest.is_empty() {
        let Some((name, value)) = rest.split_once('=') else { panic!("no pair: {rest}") };
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{name}");
        rest = match value.strip_prefix('"') {
            Some(quoted) => {
                let Some((_, rest)) = quoted.split_once('"') else { panic!("no end: {line}") };
                assert!(rest.is_empty() || rest.starts_with(' '), "{line}");
                rest.trim_start()
            }
            None => value.split_once(' ').map_or("", |(_, rest)| rest),
        };
    }
}
