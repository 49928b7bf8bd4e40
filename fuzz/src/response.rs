//! What an application passes in: where the checks let it pass, it becomes exactly one response, which a
//! strict client reads as what was passed in.
//!
//! An input is text in fields: the status, then headers, then blocks, separated by byte 0x1e; a header's name
//! and value are separated by 0x1f, and blocks are the fields that begin with 0x1d. So every byte that could
//! split a response can be part of any value.

use crate::input::FuzzInput;
use crate::reference::{Complaint, Response, is_tchar, is_text, read_response, without_blanks};
use portico_wire::{
    CRLF, LAST_CHUNK, ResponseBody, ResponsePlan, ResponseProperties, Version, check_response_header_name,
    check_response_header_value, is_hop_by_hop, plan_response, write_chunk_size, write_content_length, write_header,
    write_status_line,
};

/// Ends a field of the input.
const FIELD: u8 = 0x1e;
/// Parts a header's name and value.
const PART: u8 = 0x1f;
/// Begins a block.
const BLOCK: u8 = 0x1d;

/// A second response on the same connection: what the next request gets.
const NEXT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext";

/// An application's response.
#[derive(Debug)]
struct Passed<'a> {
    status: &'a [u8],
    headers: Vec<(&'a [u8], &'a [u8])>,
    blocks: Vec<&'a [u8]>,
}

/// A head that was let pass, as `check_head` of `src/wsgi/start_response.rs` has it.
#[derive(Default)]
struct Checked {
    status: u16,
    status_line: Vec<u8>,
    fields: Vec<u8>,
    content_length: Option<u64>,
}

/// Takes the message for what an application passes in, the choices for the request it belongs to.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let passed = read_passed(input.message);
    let Some(head) = check_head(&passed) else { return };
    let whole: usize = passed.blocks.iter().map(|block| block.len()).sum();
    let is_head = input.choices & 1 != 0;
    let properties = ResponseProperties {
        version: if input.choices & 2 == 0 { Version::Http11 } else { Version::Http10 },
        is_head,
        status: head.status,
        content_length: head.content_length,
        known_length: (input.choices & 4 != 0).then_some(whole as u64),
        keep_alive: input.choices & 8 == 0,
    };
    let plan = plan_response(&properties);
    let (bytes, is_short) = encode(&head, &plan, &passed.blocks);

    let mut received = bytes.clone();
    if plan.keep_alive {
        received.extend_from_slice(NEXT);
    }
    let response = match read_response(&received, is_head, true) {
        Ok(response) => response,
        // A response that ends too early closes the connection, and has to be seen to be incomplete.
        Err(Complaint::Short) if is_short => {
            assert_eq!(read_response(&bytes, is_head, true), Err(Complaint::Short));
            return;
        }
        Err(complaint) => panic!("{complaint:?}: {}", received.escape_ascii()),
    };
    if is_short {
        // Only what follows made it look complete, and after a short response nothing follows.
        assert_eq!(read_response(&bytes, is_head, true), Err(Complaint::Short));
        return;
    }
    check_response(&response, &passed, &head, &plan);
    assert_eq!(response.length, bytes.len(), "one response, not more and not less");
    assert_eq!(response.keeps, plan.keep_alive);
    if plan.keep_alive {
        let next = read_response(&received[response.length..], false, false).expect("the next response");
        assert_eq!((next.status, &next.body[..]), (200, &b"next"[..]));
    }
}

fn read_passed(message: &[u8]) -> Passed<'_> {
    let mut fields = message.split(|&byte| byte == FIELD);
    let mut passed = Passed { status: fields.next().unwrap_or_default(), headers: Vec::new(), blocks: Vec::new() };
    for field in fields {
        if let [BLOCK, block @ ..] = field {
            passed.blocks.push(block);
        } else {
            let name_length = field.iter().position(|&byte| byte == PART).unwrap_or(field.len());
            passed.headers.push((&field[..name_length], field.get(name_length + 1..).unwrap_or_default()));
        }
    }
    passed
}

/// The checks of `src/wsgi/start_response.rs`, in their order; `None` is an exception in the application.
fn check_head(passed: &Passed) -> Option<Checked> {
    let mut head = Checked::default();
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = passed.status else { return None };
    if !(rest.is_empty() || rest.starts_with(b" ")) {
        return None;
    }
    head.status = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    if head.status < 200 || !check_response_header_value(passed.status) {
        return None;
    }
    head.status_line.extend_from_slice(passed.status);
    if passed.status.len() == 3 {
        head.status_line.push(b' ');
    }
    for &(name, value) in &passed.headers {
        if !check_response_header_name(name) || !check_response_header_value(value) || is_hop_by_hop(name) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value).ok()?;
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) || head.content_length.is_some() {
                return None;
            }
            head.content_length = Some(digits.parse().ok()?);
        } else {
            write_header(&mut head.fields, name, value);
        }
    }
    Some(head)
}

/// As `Responder` of `crates/engine/src/exchange/responder.rs`; also whether the body is shorter than was declared.
fn encode(head: &Checked, plan: &ResponsePlan, blocks: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    write_status_line(&mut out, &head.status_line);
    out.extend_from_slice(&head.fields);
    if let Some(length) = head.content_length.filter(|_| !plan.drop_content_length).or(plan.add_content_length) {
        write_content_length(&mut out, length);
    }
    if plan.add_chunked {
        write_header(&mut out, b"Transfer-Encoding", b"chunked");
    }
    if let Some(connection) = plan.connection {
        write_header(&mut out, b"Connection", connection.as_bytes());
    }
    out.extend_from_slice(CRLF);
    let mut remaining = match plan.body {
        ResponseBody::Empty => 0,
        ResponseBody::Length(length) => length,
        ResponseBody::Chunked | ResponseBody::UntilClose => u64::MAX,
    };
    for block in blocks.iter().filter(|block| !block.is_empty()) {
        let allowed = usize::try_from(remaining).unwrap_or(usize::MAX).min(block.len());
        if allowed == 0 {
            break;
        }
        remaining -= allowed as u64;
        if plan.body == ResponseBody::Chunked {
            write_chunk_size(&mut out, allowed);
        }
        out.extend_from_slice(&block[..allowed]);
        if plan.body == ResponseBody::Chunked {
            out.extend_from_slice(CRLF);
        }
    }
    if plan.body == ResponseBody::Chunked {
        out.extend_from_slice(LAST_CHUNK);
    }
    (out, matches!(plan.body, ResponseBody::Length(_)) && remaining > 0)
}

/// Holds what the client read against what the application passed in.
fn check_response(response: &Response, passed: &Passed, head: &Checked, plan: &ResponsePlan) {
    assert_eq!(response.status, head.status);
    assert_eq!(response.reason, passed.status.get(4..).unwrap_or_default());
    assert!(response.reason.iter().all(|&byte| is_text(byte)));

    let is_length = |name: &[u8]| name.eq_ignore_ascii_case(b"content-length");
    let expected: Vec<(Vec<u8>, Vec<u8>)> = passed
        .headers
        .iter()
        .filter(|(name, _)| !is_length(name))
        .map(|(name, value)| (name.to_vec(), without_blanks(value).to_vec()))
        .collect();
    let (own, added) = response.headers.split_at_checked(expected.len()).expect("all of the headers");
    assert_eq!(own, expected, "the application's headers, in its order");
    assert!(own.iter().all(|(name, _)| name.iter().all(|&byte| is_tchar(byte)) && !is_hop_by_hop(name)));
    let mut names: Vec<&[u8]> = added.iter().map(|(name, _)| &name[..]).collect();
    names.dedup();
    assert_eq!(names.len(), added.len());
    let ours: [&[u8]; 3] = [b"Content-Length", b"Transfer-Encoding", b"Connection"];
    assert!(names.iter().all(|name| ours.contains(name)), "{names:?}");

    let whole = passed.blocks.concat();
    let body = match plan.body {
        ResponseBody::Empty => &[][..],
        ResponseBody::Length(length) => {
            usize::try_from(length).ok().and_then(|length| whole.get(..length)).unwrap_or(&whole)
        }
        ResponseBody::Chunked | ResponseBody::UntilClose => &whole[..],
    };
    assert_eq!(response.body, body);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed<'a>(status: &'a [u8], headers: &[(&'a [u8], &'a [u8])], blocks: &[&'a [u8]]) -> Passed<'a> {
        Passed { status, headers: headers.to_vec(), blocks: blocks.to_vec() }
    }

    #[test]
    fn an_input_is_read_as_status_headers_and_blocks() {
        let read = read_passed(b"200 OK\x1eX-A\x1fb\r\n\x1e\x1dblock\x1eY\x1e\x1d");
        let headers: [(&[u8], &[u8]); 2] = [(b"X-A", b"b\r\n"), (b"Y", b"")];
        assert_eq!(
            (read.status, &read.headers[..], &read.blocks[..]),
            (&b"200 OK"[..], &headers[..], &[&b"block"[..], b""][..])
        );
    }

    #[test]
    fn what_could_split_a_response_is_rejected() {
        let rejected: [(&[u8], &[u8], &[u8]); 8] = [
            (b"200 OK\r\nX: y", b"A", b"b"),
            (b"200\nOK", b"A", b"b"),
            (b"100 Continue", b"A", b"b"),
            (b"200 OK", b"A\r\nB", b"b"),
            (b"200 OK", b"A", b"b\r\n\r\nHTTP/1.1 200 OK"),
            (b"200 OK", b"Transfer-Encoding", b"chunked"),
            (b"200 OK", b"Content-Length", b"1, 1"),
            (b"200 OK", b"Connection", b"close"),
        ];
        for (status, name, value) in rejected {
            assert!(check_head(&passed(status, &[(name, value)], &[])).is_none(), "{}", value.escape_ascii());
        }
    }

    /// The judge would notice an encoder that let a line end pass.
    #[test]
    fn a_split_response_is_noticed() {
        let honest = passed(b"200 OK", &[(b"X-A", b"b")], &[b"body"]);
        let mut head = check_head(&honest).unwrap();
        head.fields = b"X-A: b\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n".to_vec();
        let properties = ResponseProperties {
            version: Version::Http11,
            is_head: false,
            status: 200,
            content_length: None,
            known_length: None,
            keep_alive: true,
        };
        let plan = plan_response(&properties);
        let (bytes, _) = encode(&head, &plan, &honest.blocks);
        let response = read_response(&bytes, false, false).unwrap();
        assert_ne!(response.length, bytes.len());
        assert!(std::panic::catch_unwind(|| check_response(&response, &honest, &head, &plan)).is_err());
    }
}
