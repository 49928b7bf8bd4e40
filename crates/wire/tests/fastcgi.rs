//! FastCGI: records in, responses out.

mod support;

use portico_wire::{
    FASTCGI_MAX_CONTENT, FASTCGI_PADDING, FastCgiEnd, FastCgiReader, FastCgiReply, FastCgiStep, FastCgiStream,
    GatewayHead, GatewayLimits, WireError, fastcgi_record_header, write_end_request, write_fastcgi_stream,
};
use support::Random;
use support::gateway::{NGINX, least, mutate, render, replay_corpus, replay_truncated_corpus};

const BEGIN: u8 = 1;
const ABORT: u8 = 2;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const GET_VALUES: u8 = 9;

/// A record with padding that is not zero, which does not matter.
fn record(kind: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let padding = (8 - content.len() % 8) % 8;
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header =
        [1, kind, id.to_be_bytes()[0], id.to_be_bytes()[1], length[0], length[1], padding.try_into().unwrap(), 9];
    [&header[..], content, &b"padding"[..padding]].concat()
}

fn begin(id: u16, role: u8, flags: u8) -> Vec<u8> {
    record(BEGIN, id, &[0, role, flags, 1, 2, 3, 4, 5])
}

/// `variables` as name-value pairs.
fn pairs(variables: &[(&str, &str)]) -> Vec<u8> {
    let length = |text: &str| match u8::try_from(text.len()) {
        Ok(length @ ..=127) => vec![length],
        _ => (u32::try_from(text.len()).unwrap() | 1 << 31).to_be_bytes().to_vec(),
    };
    let pair =
        |(name, value): &(&str, &str)| [&length(name)[..], &length(value), name.as_bytes(), value.as_bytes()].concat();
    variables.iter().flat_map(pair).collect()
}

/// A whole request.
fn request(id: u16, variables: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let body = if body.is_empty() { Vec::new() } else { record(STDIN, id, body) };
    let params = record(PARAMS, id, &pairs(variables));
    [begin(id, 1, 1), params, record(PARAMS, id, b""), body, record(STDIN, id, b"")].concat()
}

/// What a connection came to, as lines; each complete request is finished at once.
fn replay_within(bytes: &[u8], piece_size: &mut dyn FnMut() -> usize, limits: &GatewayLimits) -> Vec<String> {
    let mut reader = FastCgiReader::new();
    let (mut head, mut params, mut body) = (GatewayHead::new(), Vec::new(), Vec::new());
    let (mut start, mut end) = (0, 0);
    let mut lines = Vec::new();
    loop {
        let input = &bytes[start..end];
        let step = match reader.read(input, limits) {
            Ok(step) => step,
            Err(error) => {
                assert_eq!(reader.read(b"", limits), Err(error), "an error stays");
                lines.push(format!("rejected: {error}"));
                return lines;
            }
        };
        start += match step {
            FastCgiStep::NeedMore { consumed } => {
                assert!(input.len() - consumed < 1024, "much is left to be read again");
                if end == bytes.len() {
                    if reader.is_open() || start + consumed < end {
                        lines.push(format!("incomplete: {} bytes of a body", body.len()));
                    }
                    return lines;
                }
                end = (end + piece_size()).min(bytes.len());
                consumed
            }
            FastCgiStep::Begin { consumed, id, keep_connection } => {
                lines.push(format!("begin: {id}{}", if keep_connection { " keep" } else { "" }));
                params.clear();
                body.clear();
                consumed
            }
            FastCgiStep::Params { consumed, data } => {
                assert!(!data.is_empty() && data.end == consumed);
                params.extend_from_slice(&input[data]);
                consumed
            }
            FastCgiStep::ParamsEnd { consumed } => {
                if let Err(error) = head.read_fastcgi(&params, limits) {
                    lines.push(format!("rejected: {error}"));
                    return lines;
                }
                reader.expect_body(head.content_length);
                lines.extend(render(&head, &params));
                consumed
            }
            FastCgiStep::Stdin { consumed, data } => {
                assert!(!data.is_empty() && data.end == consumed);
                body.extend_from_slice(&input[data]);
                consumed
            }
            FastCgiStep::StdinEnd { consumed } => {
                assert!(reader.is_open());
                if !body.is_empty() {
                    lines.push(format!("body: {}", body.escape_ascii()));
                }
                reader.finish();
                assert!(!reader.is_open());
                consumed
            }
            FastCgiStep::Abort { consumed } => {
                lines.push("abort".into());
                consumed
            }
            FastCgiStep::Reply { consumed, reply } => {
                let mut out = Vec::new();
                reply.write(&mut out);
                lines.push(format!("reply: {}", out.escape_ascii()));
                consumed
            }
        };
    }
}

fn replay(bytes: &[u8]) -> Vec<String> {
    let limits = GatewayLimits::default();
    let whole = replay_within(bytes, &mut || bytes.len(), &limits);
    for size in [1, 2, 3, 7, 8, 9, 100] {
        assert_eq!(replay_within(bytes, &mut || size, &limits), whole, "pieces of {size}: {}", bytes.escape_ascii());
    }
    whole
}

fn last_line(bytes: &[u8]) -> String {
    replay(bytes).pop().unwrap_or_default()
}

fn rejection(error: WireError) -> String {
    format!("rejected: {error}")
}

const REPLY_UNKNOWN_ROLE: &str =
    "reply: \\x01\\x03\\x00\\x07\\x00\\x08\\x00\\x00\\x00\\x00\\x00\\x00\\x03\\x00\\x00\\x00";
const REPLY_CANNOT_MULTIPLEX: &str =
    "reply: \\x01\\x03\\x00\\x02\\x00\\x08\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x00\\x00\\x00";

#[test]
fn reads_requests_one_after_the_other() {
    let bytes =
        [request(0x0102, &NGINX, b"abc"), request(0x0102, &least(&[]), b""), request(1, &least(&[]), b"x")].concat();
    let lines = replay(&bytes);
    assert_eq!(lines[0], "begin: 258 keep");
    assert_eq!(lines[1..3], ["request: POST", "target: /a%20b?c=d&e"]);
    assert_eq!(lines[13..15], ["variable: DOCUMENT_ROOT: /srv", "body: abc"]);
    let least = ["request: GET", "path: /p"];
    assert_eq!(lines[15..], [&["begin: 258 keep"], &least[..], &["begin: 1 keep"], &least, &["body: x"]].concat());
}

#[test]
fn says_whether_the_connection_is_to_be_kept() {
    assert_eq!(replay(&begin(1, 1, 0))[0], "begin: 1");
    assert_eq!(replay(&begin(1, 1, 0xfe))[0], "begin: 1");
    assert_eq!(replay(&begin(1, 1, 0xff))[0], "begin: 1 keep");
}

#[test]
fn variables_may_be_split_across_records_at_any_byte() {
    let long = "a".repeat(200);
    let params = pairs(&least(&[("HTTP_A", &long), ("EMPTY", ""), ("HTTP_HOST", "h")]));
    let end = [record(PARAMS, 1, b""), record(STDIN, 1, b"")].concat();
    let whole = replay(&[begin(1, 1, 0), record(PARAMS, 1, &params), end.clone()].concat());
    assert_eq!(whole.len(), 6);
    let limits = GatewayLimits::default();
    for at in 1..params.len() {
        let (one, other) = params.split_at(at);
        let bytes = [begin(1, 1, 0), record(PARAMS, 1, one), record(PARAMS, 1, other), end.clone()].concat();
        assert_eq!(replay_within(&bytes, &mut || 50, &limits), whole, "split at {at}");
    }
    let single: Vec<u8> = params.iter().flat_map(|byte| record(PARAMS, 1, &[*byte])).collect();
    assert_eq!(replay(&[begin(1, 1, 0), single, end].concat()), whole);
}

#[test]
fn wants_more_until_a_request_is_complete() {
    let bytes = request(1, &NGINX, b"abc");
    let limits = GatewayLimits::default();
    for length in 1..bytes.len() {
        let lines = replay_within(&bytes[..length], &mut || length, &limits);
        assert!(lines.last().unwrap().starts_with("incomplete"), "{length} bytes");
    }
}

#[test]
fn a_body_without_a_length_ends_with_its_stream() {
    let head = [begin(1, 1, 0), record(PARAMS, 1, &pairs(&least(&[]))), record(PARAMS, 1, b"")].concat();
    let bytes = [head, record(STDIN, 1, b"ab"), record(STDIN, 1, b"c"), record(STDIN, 1, b"")].concat();
    assert_eq!(replay(&bytes)[3], "body: abc");
}

#[test]
fn a_body_has_its_length() {
    let with_length = |length, body: &[u8]| last_line(&request(1, &least(&[("CONTENT_LENGTH", length)]), body));
    assert_eq!(with_length("3", b"abc"), "body: abc");
    assert_eq!(with_length("0", b""), "length: 0");
    assert_eq!(with_length("4", b"abc"), rejection(WireError::FASTCGI_BODY_SHORT));
    assert_eq!(with_length("1", b""), rejection(WireError::FASTCGI_BODY_SHORT));
    assert_eq!(with_length("2", b"abc"), rejection(WireError::FASTCGI_BODY_LONG));
    assert_eq!(with_length("0", b"a"), rejection(WireError::FASTCGI_BODY_LONG));
    // The length of one request is not that of the next.
    let after = [request(1, &least(&[("CONTENT_LENGTH", "3")]), b"abc"), request(1, &least(&[]), b"abcd")].concat();
    assert_eq!(last_line(&after), "body: abcd");
}

#[test]
fn the_length_of_a_body_is_forgotten_with_its_request() {
    let limits = GatewayLimits::default();
    let mut reader = FastCgiReader::new();
    for body in [&b"abc"[..], b"abcdef"] {
        let bytes = request(1, &least(&[]), body);
        let (mut start, mut data_bytes) = (0, 0);
        while reader.is_open() || start < bytes.len() {
            let step = reader.read(&bytes[start..], &limits).unwrap();
            start += consumed(&step);
            match step {
                FastCgiStep::ParamsEnd { .. } if body.len() == 3 => reader.expect_body(Some(3)),
                FastCgiStep::Stdin { data, .. } => data_bytes += data.len(),
                FastCgiStep::StdinEnd { .. } => reader.finish(),
                _ => {}
            }
        }
        assert_eq!(data_bytes, body.len());
    }
}

#[test]
fn replies_to_other_roles_and_to_a_second_request() {
    for role in [0, 2, 3, 9] {
        assert_eq!(replay(&begin(7, role, 1)), [REPLY_UNKNOWN_ROLE]);
    }
    let mut filter = begin(7, 1, 0);
    filter[8] = 1;
    assert_eq!(replay(&filter), [REPLY_UNKNOWN_ROLE], "a role has two bytes");
    // Its records are skipped, those of the first are not.
    let second =
        [record(PARAMS, 2, b"\x01\x01Ab"), record(PARAMS, 2, b""), record(STDIN, 2, b"xyz"), record(ABORT, 2, b"")]
            .concat();
    let first = request(1, &least(&[]), b"abc");
    let (first_begin, first_rest) = first.split_at(16);
    let bytes = [first_begin, &begin(2, 1, 1), &second, first_rest].concat();
    let lines = ["begin: 1 keep", REPLY_CANNOT_MULTIPLEX, "request: GET", "path: /p", "body: abc"];
    assert_eq!(replay(&bytes), lines);
}

#[test]
fn replies_to_queries_for_values() {
    let ask = |names: &[(&str, &str)]| replay(&record(GET_VALUES, 0, &pairs(names)));
    let all =
        [("FCGI_MAX_CONNS", ""), ("FCGI_MAX_REQS", ""), ("FCGI_MPXS_CONNS", ""), ("FCGI_MPXS_CONNS", ""), ("X", "")];
    assert_eq!(ask(&all), ["reply: \\x01\\n\\x00\\x00\\x00\\x12\\x00\\x00\\x0f\\x01FCGI_MPXS_CONNS0"]);
    assert_eq!(ask(&[("X", "y")]), ["reply: \\x01\\n\\x00\\x00\\x00\\x00\\x00\\x00"]);
    assert_eq!(ask(&[]), ["reply: \\x01\\n\\x00\\x00\\x00\\x00\\x00\\x00"]);
    let too_large = record(GET_VALUES, 0, &[0; 513]);
    assert_eq!(last_line(&too_large), rejection(WireError::FASTCGI_GET_VALUES));
    assert!(last_line(&record(GET_VALUES, 0, &[0; 512])).starts_with("reply"));
    assert_eq!(last_line(&record(GET_VALUES, 1, b"")), rejection(WireError::FASTCGI_REQUEST_ID));
    assert_eq!(last_line(&record(GET_VALUES, 0, b"\x05\x00A")), rejection(WireError::VARIABLES_LENGTHS));
}

#[test]
fn replies_to_records_of_unknown_types_and_skips_them() {
    for kind in [0, 3, 6, 7, 10, 11, 12, 255] {
        let mut out = Vec::new();
        FastCgiReply::UnknownType { kind }.write(&mut out);
        assert_eq!(out, [1, 11, 0, 0, 0, 8, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0]);
        for id in [0, 1] {
            let bytes = [record(kind, id, b"content"), request(1, &least(&[]), b"")].concat();
            let lines = replay(&bytes);
            assert_eq!(lines[0], format!("reply: {}", out.escape_ascii()), "type {kind}, request {id}");
            assert_eq!(lines[1..], ["begin: 1 keep", "request: GET", "path: /p"]);
        }
    }
}

#[test]
fn records_of_requests_that_are_not_open_are_skipped() {
    let stray: Vec<u8> = [PARAMS, STDIN, ABORT, 8].iter().flat_map(|kind| record(*kind, 5, b"stray")).collect();
    let bytes = [&stray[..], &request(5, &least(&[]), b""), &stray].concat();
    assert_eq!(replay(&bytes), ["begin: 5 keep", "request: GET", "path: /p"]);
}

#[test]
fn an_aborted_request_is_still_to_be_ended() {
    let limits = GatewayLimits::default();
    let whole = request(1, &least(&[]), b"abc");
    let params_end = whole.len() - 8 - 16;
    for after in [16, params_end - 8, params_end, params_end + 16, whole.len() - 8] {
        let mut reader = FastCgiReader::new();
        let bytes = [&whole[..after], &record(ABORT, 1, b""), &whole[after..], &begin(2, 1, 0)].concat();
        let (mut start, mut steps) = (0, Vec::new());
        while start < bytes.len() {
            let step = reader.read(&bytes[start..], &limits).unwrap();
            start += consumed(&step);
            if !matches!(step, FastCgiStep::NeedMore { .. }) {
                steps.push(step);
            }
        }
        let abort = steps.iter().position(|step| matches!(step, FastCgiStep::Abort { .. })).unwrap();
        // Nothing more of it, and no other one before it is ended.
        assert!(
            matches!(steps[abort + 1..], [FastCgiStep::Reply { reply: FastCgiReply::CannotMultiplex { id: 2 }, .. }]),
            "{steps:?}"
        );
        assert!(reader.is_open());
        reader.finish();
        let next = begin(3, 1, 0);
        assert_eq!(reader.read(&next, &limits), Ok(FastCgiStep::Begin { consumed: 8, id: 3, keep_connection: false }));
    }
}

fn consumed(step: &FastCgiStep) -> usize {
    match *step {
        FastCgiStep::NeedMore { consumed }
        | FastCgiStep::Begin { consumed, .. }
        | FastCgiStep::Params { consumed, .. }
        | FastCgiStep::ParamsEnd { consumed }
        | FastCgiStep::Stdin { consumed, .. }
        | FastCgiStep::StdinEnd { consumed }
        | FastCgiStep::Abort { consumed }
        | FastCgiStep::Reply { consumed, .. } => consumed,
    }
}

#[test]
fn a_response_may_be_complete_before_the_body_is_read() {
    let limits = GatewayLimits::default();
    let whole = request(1, &least(&[]), b"abcde");
    let mut reader = FastCgiReader::new();
    // Into the content of STDIN.
    let mut start = 0;
    let split = whole.len() - 8 - 6;
    loop {
        let step = reader.read(&whole[start..split], &limits).unwrap();
        start += consumed(&step);
        if matches!(step, FastCgiStep::Stdin { .. }) {
            break;
        }
    }
    reader.finish();
    let rest = [&whole[start..], &begin(9, 1, 0)].concat();
    assert_eq!(
        reader.read(&rest, &limits),
        Ok(FastCgiStep::Begin { consumed: rest.len() - 8, id: 9, keep_connection: false })
    );
}

#[test]
fn a_request_after_a_complete_one_waits_for_its_end() {
    let limits = GatewayLimits::default();
    let bytes = [request(1, &least(&[]), b""), request(1, &least(&[]), b"")].concat();
    let mut reader = FastCgiReader::new();
    let mut start = 0;
    let error = loop {
        match reader.read(&bytes[start..], &limits) {
            Ok(step) => start += consumed(&step),
            Err(error) => break error,
        }
    };
    assert_eq!(error, WireError::FASTCGI_REQUEST_ID);
    assert_eq!(start, bytes.len() / 2);
}

#[test]
fn nothing_follows_the_end_of_a_body() {
    let limits = GatewayLimits::default();
    for more in [record(STDIN, 1, b"a"), record(STDIN, 1, b""), record(PARAMS, 1, b"a")] {
        let bytes = [request(1, &least(&[]), b"abc"), more].concat();
        let mut reader = FastCgiReader::new();
        let mut start = 0;
        let error = loop {
            match reader.read(&bytes[start..], &limits) {
                Ok(FastCgiStep::NeedMore { consumed: 0 }) => panic!("{}", bytes.escape_ascii()),
                Ok(step) => start += consumed(&step),
                Err(error) => break error,
            }
        };
        assert_eq!(error, WireError::FASTCGI_ORDER);
    }
}

#[test]
fn rejects_what_breaks_the_specification() {
    assert_eq!(last_line(b"GET / HTTP/1.1\r\n"), rejection(WireError::FASTCGI_VERSION));
    for version in [0, 2, 0x16, 0xff] {
        assert_eq!(last_line(&[version]), rejection(WireError::FASTCGI_VERSION));
    }
    assert_eq!(last_line(&[begin(1, 1, 0), vec![0]].concat()), rejection(WireError::FASTCGI_VERSION));
    for length in [0, 7, 9] {
        assert_eq!(last_line(&record(BEGIN, 1, &vec![0; length])), rejection(WireError::FASTCGI_BEGIN));
    }
    for kind in [PARAMS, STDIN, ABORT, 8] {
        assert_eq!(last_line(&record(kind, 0, b"a")), rejection(WireError::FASTCGI_REQUEST_ID));
    }
    assert_eq!(last_line(&begin(0, 1, 0)), rejection(WireError::FASTCGI_REQUEST_ID));
    assert_eq!(last_line(&[begin(1, 1, 0), begin(1, 1, 0)].concat()), rejection(WireError::FASTCGI_REQUEST_ID));
}

#[test]
fn rejects_streams_out_of_order() {
    let open = begin(1, 1, 0);
    let params = [record(PARAMS, 1, &pairs(&least(&[]))), record(PARAMS, 1, b"")].concat();
    for bytes in [
        [open.clone(), record(STDIN, 1, b"a")].concat(),
        [open.clone(), record(STDIN, 1, b"")].concat(),
        [open.clone(), params.clone(), record(PARAMS, 1, b"a")].concat(),
        [open.clone(), params.clone(), record(PARAMS, 1, b"")].concat(),
        [open.clone(), params.clone(), record(8, 1, b"")].concat(),
    ] {
        assert_eq!(last_line(&bytes), rejection(WireError::FASTCGI_ORDER));
    }
}

#[test]
fn rejects_variables_whose_lengths_lie() {
    for params in [
        &b"\x01"[..],
        b"\x01\x01A",
        b"\x01\x7fAb",
        b"\x7f\x01Ab",
        b"\x80",
        b"\x80\0\0",
        b"\x01\x80\0\0",
        b"\x80\0\0\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\x01A",
        b"\x01\xff\xff\xff\xffA",
        b"\x01\x01Ab\x00",
    ] {
        let head = GatewayHead::new().read_fastcgi(params, &GatewayLimits::default());
        assert_eq!(head, Err(WireError::VARIABLES_LENGTHS), "{}", params.escape_ascii());
    }
    assert_eq!(GatewayHead::new().read_fastcgi(b"\0\0", &GatewayLimits::default()), Err(WireError::VARIABLE_NAME));
    assert_eq!(GatewayHead::new().read_fastcgi(b"", &GatewayLimits::default()), Err(WireError::METHOD_MISSING));
    let long_form = [b"\x80\0\0\x0e\x80\0\0\x03REQUEST_METHODGET".to_vec(), pairs(&[("PATH_INFO", "/")])].concat();
    assert_eq!(GatewayHead::new().read_fastcgi(&long_form, &GatewayLimits::default()), Ok(()));
}

#[test]
fn variables_of_all_records_together_are_bounded() {
    let params = pairs(&least(&[]));
    let limits = |max_variables_bytes| GatewayLimits { max_variables_bytes, ..GatewayLimits::default() };
    let read = |bytes: &[u8], max| replay_within(bytes, &mut || 5, &limits(max)).pop().unwrap();
    let single: Vec<u8> = params.iter().flat_map(|byte| record(PARAMS, 1, &[*byte])).collect();
    let end = [record(PARAMS, 1, b""), record(STDIN, 1, b"")].concat();
    let bytes = [begin(1, 1, 0), single, end].concat();
    assert_eq!(read(&bytes, params.len()), "path: /p");
    assert_eq!(read(&bytes, params.len() - 1), rejection(WireError::VARIABLES_TOO_LARGE));
    // Of one request, not of the connection; and the header of a record is enough.
    let twice = [bytes.clone(), bytes].concat();
    assert_eq!(read(&twice, params.len()), "path: /p");
    let header = [&begin(1, 1, 0)[..], &[1, PARAMS, 0, 1, 0xff, 0xff, 0, 0]].concat();
    assert_eq!(read(&header, 65_534), rejection(WireError::VARIABLES_TOO_LARGE));
}

#[test]
fn encodes_streams_in_records_that_end_at_multiples_of_8() {
    for (length, padding) in [(0, 0), (1, 7), (7, 1), (8, 0), (9, 7), (65_528, 0), (65_535, 1)] {
        let (header, found) = fastcgi_record_header(FastCgiStream::Stdout, 0x0102, length);
        let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
        assert_eq!(header, [1, 6, 1, 2, high, low, u8::try_from(padding).unwrap(), 0]);
        assert_eq!(found, padding);
        assert!(padding <= FASTCGI_PADDING.len());
    }
    let most = fastcgi_record_header(FastCgiStream::Stdout, 1, FASTCGI_MAX_CONTENT);
    assert_eq!(fastcgi_record_header(FastCgiStream::Stdout, 1, FASTCGI_MAX_CONTENT + 1), most);

    let mut out = Vec::new();
    write_fastcgi_stream(&mut out, FastCgiStream::Stderr, 3, b"hello");
    assert_eq!(out, b"\x01\x07\x00\x03\x00\x05\x03\x00hello\0\0\0");
    out.clear();
    write_fastcgi_stream(&mut out, FastCgiStream::Stdout, 3, b"");
    assert_eq!(out, b"", "an empty record would end the stream");
    write_fastcgi_stream(&mut out, FastCgiStream::Stdout, 3, &vec![b'a'; 65_529]);
    let second = 8 + 65_528;
    assert_eq!(out[..8], *b"\x01\x06\x00\x03\xff\xf8\x00\x00");
    assert_eq!(out[second..], *b"\x01\x06\x00\x03\x00\x01\x07\x00a\0\0\0\0\0\0\0");
    assert!(out.len() % 8 == 0 && out[8..second].iter().all(|byte| *byte == b'a'));
}

#[test]
fn encodes_the_end_of_a_request() {
    for (end, content) in [
        (FastCgiEnd::Complete { app_status: 0 }, [0, 0, 0, 0, 0, 0, 0, 0]),
        (FastCgiEnd::Complete { app_status: 0x0102_0304 }, [1, 2, 3, 4, 0, 0, 0, 0]),
        (FastCgiEnd::CannotMultiplex, [0, 0, 0, 0, 1, 0, 0, 0]),
        (FastCgiEnd::Overloaded, [0, 0, 0, 0, 2, 0, 0, 0]),
        (FastCgiEnd::UnknownRole, [0, 0, 0, 0, 3, 0, 0, 0]),
    ] {
        let mut out = Vec::new();
        write_end_request(&mut out, 0x0506, end);
        assert_eq!(out, [&[1, 3, 5, 6, 0, 8, 0, 0][..], &content].concat());
    }
}

#[test]
fn mutated_connections_read_the_same_in_every_way() {
    let mut random = Random::new(5);
    let small = GatewayLimits { max_variables_bytes: 40, max_variables: 3 };
    let mut valid = 0;
    for _ in 0..3_000 {
        let first = request(1, &least(&[("CONTENT_LENGTH", "3")]), b"abc");
        let bytes = match random.below(3) {
            0 => [first, record(GET_VALUES, 0, b"\x01\x00A"), request(2, &least(&[]), b"x")].concat(),
            1 => [begin(1, 2, 0), first].concat(),
            _ => [record(99, 0, b"x"), first].concat(),
        };
        let bytes = mutate(&bytes, &mut random);
        let lines = replay(&bytes);
        valid += usize::from(lines.last().is_some_and(|line| line.starts_with("body")));
        let whole = replay_within(&bytes, &mut || bytes.len(), &small);
        assert_eq!(replay_within(&bytes, &mut || 1, &small), whole, "{}", bytes.escape_ascii());
    }
    assert!(valid > 100, "only {valid} were valid: the mutations are too wild to test much");
}

/// What a file of the corpus comes to.
fn replay_file(bytes: &[u8], piece_size: &mut dyn FnMut() -> usize) -> Vec<String> {
    replay_within(bytes, piece_size, &GatewayLimits::default())
}

#[test]
fn the_corpus_comes_to_what_is_expected() {
    replay_corpus("fastcgi", replay_file);
}

#[test]
fn a_truncated_file_wants_more_or_is_rejected_alike() {
    replay_truncated_corpus("fastcgi", replay_file);
}
