//! SCGI heads: netstrings of variables.

mod support;

use portico_wire::{GatewayHead, GatewayLimits, WireError};
use support::Random;
use support::gateway::{Read, mutate, read_in_every_way, render, render_body, replay_corpus, replay_truncated_corpus};

/// The head of the specification's example, with what a WSGI server needs besides.
const HEAD: &[u8] = b"CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0";

fn netstring(head: &[u8]) -> Vec<u8> {
    [format!("{}:", head.len()).as_bytes(), head, b","].concat()
}

fn read_once(head: &mut GatewayHead, bytes: &[u8], limits: &GatewayLimits) -> Read {
    Ok(head.read_scgi(bytes, limits)?.map(|length| (render(head, bytes), length)))
}

fn read_within(bytes: &[u8], limits: &GatewayLimits) -> Read {
    read_in_every_way(bytes, |head, bytes| read_once(head, bytes, limits))
}

fn read(bytes: &[u8]) -> Read {
    read_within(bytes, &GatewayLimits::default())
}

/// Why a netstring with this content is rejected.
fn error(head: &[u8]) -> WireError {
    read(&netstring(head)).expect_err(&head.escape_ascii().to_string())
}

#[test]
fn reads_the_example_of_the_specification() {
    let bytes = b"70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,";
    let lines = ["request: POST", "target: /deepthought", "path: /deepthought", "length: 27"];
    assert_eq!(read(bytes), Ok(Some((lines.map(str::to_owned).to_vec(), 74))));
}

#[test]
fn wants_more_until_the_comma() {
    let bytes = netstring(HEAD);
    for length in 0..bytes.len() {
        assert_eq!(read(&bytes[..length]), Ok(None), "{length} bytes");
    }
}

#[test]
fn rejects_what_is_no_netstring_at_once() {
    for bytes in
        [&b":"[..], b"0", b"070:", b"00:", b"-1", b"+1", b" 1", b"1 ", b"1a", b"1;", b"GET /", b"\x16\x03", b"\0"]
    {
        // A lone zero is the length of nothing, which holds no CONTENT_LENGTH.
        if bytes != b"0" {
            assert_eq!(read(bytes), Err(WireError::SCGI_NETSTRING), "{}", bytes.escape_ascii());
        }
    }
    for end in [b';', b'\0', b'C', b':'] {
        let mut bytes = netstring(HEAD);
        *bytes.last_mut().unwrap() = end;
        assert_eq!(read(&bytes), Err(WireError::SCGI_NETSTRING));
    }
    assert_eq!(read(b"0"), Ok(None));
    assert_eq!(read(b"0:,"), Err(WireError::SCGI_VERSION));
}

#[test]
fn rejects_lengths_that_lie() {
    let shorter = [b"69:", HEAD, b","].concat();
    assert_eq!(read(&shorter), Err(WireError::SCGI_NETSTRING));
    let longer = [b"71:", HEAD, b",,"].concat();
    assert_eq!(read(&longer), Err(WireError::VARIABLES_LENGTHS));
    assert_eq!(error(&HEAD[..HEAD.len() - 1]), WireError::VARIABLES_LENGTHS);
    assert_eq!(error(&[HEAD, b"A\0"].concat()), WireError::VARIABLES_LENGTHS);
    assert_eq!(error(&[HEAD, b"A"].concat()), WireError::VARIABLES_LENGTHS);
    assert_eq!(error(&[HEAD, b"\0"].concat()), WireError::VARIABLES_LENGTHS);
    assert_eq!(error(&[HEAD, b"\0\0"].concat()), WireError::VARIABLE_NAME);
}

#[test]
fn a_head_above_the_limit_is_rejected_by_its_length() {
    let limits = |max_variables_bytes| GatewayLimits { max_variables_bytes, ..GatewayLimits::default() };
    assert!(read_within(&netstring(HEAD), &limits(70)).unwrap().is_some());
    assert_eq!(read_within(b"70", &limits(69)), Err(WireError::VARIABLES_TOO_LARGE));
    assert_eq!(read(b"99999999999999999999999999"), Err(WireError::VARIABLES_TOO_LARGE));
    let no_limit = limits(usize::MAX);
    assert_eq!(read_within(b"99999999999999999999999999", &no_limit), Err(WireError::VARIABLES_TOO_LARGE));
    assert_eq!(read_within(b"2147483647", &no_limit), Ok(None));
}

#[test]
fn content_length_comes_first_and_is_a_number() {
    for head in [
        &b"SCGI\x001\0CONTENT_LENGTH\x000\0REQUEST_METHOD\0GET\0REQUEST_URI\0/\0"[..],
        b"SCGI\x001\0REQUEST_METHOD\0GET\0REQUEST_URI\0/\0",
        b"CONTENT_LENGTH\0\0SCGI\x001\0REQUEST_METHOD\0GET\0REQUEST_URI\0/\0",
        b"content_length\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0REQUEST_URI\0/\0",
    ] {
        assert_eq!(error(head), WireError::SCGI_CONTENT_LENGTH);
    }
    let list = b"CONTENT_LENGTH\x001,1\0SCGI\x001\0REQUEST_METHOD\0GET\0REQUEST_URI\0/\0";
    assert_eq!(error(list), WireError::CONTENT_LENGTH_INVALID);
}

#[test]
fn scgi_has_to_be_1() {
    for scgi in [&b""[..], b"SCGI\0\0", b"SCGI\x002\0", b"SCGI\x0011\0", b"scgi\x001\0", b"HTTP_SCGI\x001\0"] {
        let head = [b"CONTENT_LENGTH\x000\0", scgi, b"REQUEST_METHOD\0GET\0REQUEST_URI\0/\0"].concat();
        assert_eq!(error(&head), WireError::SCGI_VERSION, "{}", scgi.escape_ascii());
    }
}

#[test]
fn rejects_names_that_come_twice() {
    for (repeat, expected) in [
        (&b"A\0b\0B\0\0A\0b\0"[..], WireError::VARIABLE_REPEATED),
        (b"SCGI\x001\0", WireError::VARIABLE_REPEATED),
        (b"REQUEST_URI\0/\0", WireError::VARIABLE_REPEATED),
        (b"CONTENT_LENGTH\x0027\0", WireError::CONTENT_LENGTH_REPEATED),
        (b"HTTP_HOST\0a\0HTTP_HOST\0a\0", WireError::HOST_REPEATED),
    ] {
        assert_eq!(error(&[HEAD, repeat].concat()), expected, "{}", repeat.escape_ascii());
    }
    let headers = [HEAD, b"HTTP_A\x001\0HTTP_A\x002\0"].concat();
    assert_eq!(read(&netstring(&headers)).unwrap().unwrap().0[4..], ["header: HTTP_A: 1", "header: HTTP_A: 2"]);
}

#[test]
fn mutated_heads_read_the_same_in_every_way() {
    let mut random = Random::new(4);
    let small = GatewayLimits { max_variables_bytes: 65, max_variables: 5 };
    let long = netstring(&[HEAD, b"HTTP_HOST\0a\0A\0b\0REMOTE_ADDR\0::1\0HTTPS\0on\0"].concat());
    let mut valid = 0;
    for _ in 0..6_000 {
        let bytes = mutate(&long, &mut random);
        valid += usize::from(matches!(read(&bytes), Ok(Some(_))));
        let _ = read_within(&bytes, &small);
    }
    assert!(valid > 200, "only {valid} were valid: the mutations are too wild to test much");
}

/// What a file of the corpus comes to.
fn replay_file(bytes: &[u8], piece_size: &mut dyn FnMut() -> usize) -> Vec<String> {
    let mut head = GatewayHead::new();
    let mut end = 0;
    loop {
        match read_once(&mut head, &bytes[..end], &GatewayLimits::default()) {
            Err(error) => return vec![format!("rejected: {error}")],
            Ok(Some((mut lines, length))) => {
                render_body(&mut lines, &head, &bytes[length..]);
                return lines;
            }
            Ok(None) if end == bytes.len() => return vec!["incomplete".into()],
            Ok(None) => end = (end + piece_size()).min(bytes.len()),
        }
    }
}

#[test]
fn the_corpus_comes_to_what_is_expected() {
    replay_corpus("scgi", replay_file);
}

#[test]
fn a_truncated_file_wants_more_or_is_rejected_alike() {
    replay_truncated_corpus("scgi", replay_file);
}
