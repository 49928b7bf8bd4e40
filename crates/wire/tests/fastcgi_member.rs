//! What a FastCGI server sends in response to a request of ours: records, and the head of CGI in them.

mod support;

use portico_wire::{
    CgiHead, FastCgiEnd, FastCgiResponseReader, FastCgiResponseStep, FastCgiStream, Limits, ResponseHead, ResponseTo,
    WireError, fastcgi_record_header, write_end_request, write_fastcgi_stream,
};
use support::gateway::{mutate, replay_corpus, replay_truncated_corpus};
use support::{Random, text};

/// What a response to the request with the number 1 came to, as lines.
fn replay_within(bytes: &[u8], piece_size: &mut dyn FnMut() -> usize, limits: &Limits) -> Vec<String> {
    let mut reader = FastCgiResponseReader::new(1);
    let (mut head, mut http, mut body, mut errors) = (CgiHead::default(), None, Vec::new(), Vec::new());
    let (mut start, mut end) = (0, 0);
    let rejected = |error: WireError| {
        assert_eq!(error.status, 502, "{error}");
        format!("rejected: {error}")
    };
    loop {
        let input = &bytes[start..end];
        let step = match reader.read(input) {
            Ok(step) => step,
            Err(error) => {
                assert_eq!(reader.read(b""), Err(error), "an error stays");
                return vec![rejected(error)];
            }
        };
        match step {
            FastCgiResponseStep::NeedMore { consumed } => {
                assert!(input.len() - consumed < 300, "much is left to be read again");
                start += consumed;
                if end == bytes.len() {
                    return if bytes.is_empty() { Vec::new() } else { vec!["incomplete".to_owned()] };
                }
                end = (end + piece_size()).min(bytes.len());
            }
            FastCgiResponseStep::Data { consumed, stream, data } => {
                assert!(!data.is_empty() && data.end == consumed);
                let part = &input[data];
                start += consumed;
                if stream == FastCgiStream::Stderr {
                    errors.extend_from_slice(part);
                    continue;
                }
                body.extend_from_slice(part);
                if http.is_none() {
                    match head.read_on(&body, limits) {
                        Ok(Some(length)) => {
                            http = Some(head.http().to_vec());
                            body.drain(..length);
                        }
                        Ok(None) => {}
                        Err(error) => return vec![rejected(error)],
                    }
                }
            }
            FastCgiResponseStep::End { consumed, end: how } => {
                start += consumed;
                let how = match how {
                    FastCgiEnd::Complete { app_status } => format!("complete {app_status}"),
                    other => format!("{other:?}"),
                };
                let mut lines = match http {
                    Some(http) => match render_head(&http) {
                        Ok(lines) => lines,
                        Err(error) => return vec![rejected(error)],
                    },
                    None => vec!["no response".to_owned()],
                };
                for (name, bytes) in [("body", &body), ("log", &errors)] {
                    if !bytes.is_empty() {
                        lines.push(format!("{name}: {}", text(bytes)));
                    }
                }
                lines.push(format!("end: {how}"));
                if start < bytes.len() {
                    lines.push(format!("leftover: {}", text(&bytes[start..])));
                }
                return lines;
            }
        }
    }
}

fn render_head(http: &[u8]) -> Result<Vec<String>, WireError> {
    let mut head = ResponseHead::new();
    let limits = Limits { max_head_bytes: usize::MAX, ..Limits::default() };
    let length = head.read(http, ResponseTo::default(), &limits)?;
    assert_eq!(length, Some(http.len()), "{}", http.escape_ascii());
    let mut lines = vec![format!("status: {} {}", head.status, text(head.reason.of(http)))];
    let fields = head.headers.iter();
    lines.extend(fields.map(|field| format!("header: {}: {}", text(field.name.of(http)), text(field.value.of(http)))));
    Ok(lines)
}

fn replay(bytes: &[u8], piece_size: &mut dyn FnMut() -> usize) -> Vec<String> {
    replay_within(bytes, piece_size, &Limits::default())
}

fn whole(bytes: &[u8]) -> Vec<String> {
    replay(bytes, &mut || bytes.len())
}

/// A whole response.
fn response(stdout: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_fastcgi_stream(&mut out, FastCgiStream::Stdout, 1, stdout);
    out.extend(fastcgi_record_header(FastCgiStream::Stdout, 1, 0).0);
    write_end_request(&mut out, 1, FastCgiEnd::Complete { app_status: 0 });
    out
}

#[test]
fn the_corpus_comes_to_what_is_expected() {
    replay_corpus("fastcgi_member", replay);
}

#[test]
fn a_truncated_corpus_comes_to_nothing_else() {
    replay_truncated_corpus("fastcgi_member", |bytes, pieces| {
        let lines = replay(bytes, pieces);
        // All is told at the end, so what is less than all is incomplete.
        if lines.last().is_some_and(|line| line.starts_with("leftover")) {
            lines[..lines.len() - 1].to_vec()
        } else {
            lines
        }
    });
}

#[test]
fn our_own_responses_are_read_again() {
    let body = "b".repeat(200_000);
    let lines = whole(&response(format!("Status: 201 Made\r\nX-A: b\r\n\r\n{body}").as_bytes()));
    assert_eq!(lines, ["status: 201 Made", "header: X-A: b", &format!("body: {body}"), "end: complete 0"]);
}

#[test]
fn a_head_has_the_limits_of_http() {
    let limits = Limits { max_head_bytes: 40, max_headers: 2, max_header_bytes: 16, ..Limits::default() };
    let within = |head: &[u8]| {
        let bytes = response(head);
        let read = replay_within(&bytes, &mut || bytes.len(), &limits);
        assert_eq!(replay_within(&bytes, &mut || 1, &limits), read);
        read.concat()
    };
    assert!(within(b"A: b\r\nX: 345678901234\r\n\r\n").starts_with("status: 200 OK"));
    assert!(within(b"A: b\nB: c\nC: d\n\n").contains(WireError::TOO_MANY_HEADERS.reason));
    assert!(within(b"A: 456789012345678\n\n").contains(WireError::HEADER_TOO_LARGE.reason));
    assert!(within(b"A: 4567890123456789012345678").contains(WireError::HEADER_TOO_LARGE.reason));
    let large = Limits { max_headers: 100, ..limits };
    let bytes = response(&b"A: b\n".repeat(20));
    assert!(replay_within(&bytes, &mut || 7, &large).concat().contains(WireError::RESPONSE_HEAD_TOO_LARGE.reason));
}

#[test]
fn mutated_responses_read_the_same_in_every_split() {
    let mut random = Random::new(3);
    let mut stderr = Vec::new();
    write_fastcgi_stream(&mut stderr, FastCgiStream::Stderr, 1, b"line\n");
    let base = [stderr, response(b"Status: 404 No\nLocation: /a\r\nContent-Length: 4\r\n\r\nbody")].concat();
    let mut valid = 0;
    for _ in 0..8_000 {
        let bytes = mutate(&base, &mut random);
        let lines = whole(&bytes);
        valid += usize::from(lines.last().is_some_and(|line| line.starts_with("end: complete")));
        assert_eq!(replay(&bytes, &mut || 1), lines, "{}", bytes.escape_ascii());
        let largest = 1 + random.below(40);
        let mut pieces = Random::new(random.below(1_000) as u64 + 1);
        assert_eq!(replay(&bytes, &mut || 1 + pieces.below(largest)), lines, "{}", bytes.escape_ascii());
    }
    assert!(valid > 400, "only {valid} were valid: the mutations are too wild to test much");
}
