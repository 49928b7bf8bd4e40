//! Responses of a Rust function that leave compressed, over real sockets without any interpreter.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use flate2::read::GzDecoder;
use portico_engine::function::{Function, FunctionRequest, FunctionResponse};
use portico_engine::settings::{MediaTypes, Settings};
use std::io::Read as _;
use support::{RunningServer, read_settings, settings};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";

/// A text in so many blocks.
fn text(blocks: usize) -> impl Fn(FunctionRequest) -> FunctionResponse + Send + Sync + 'static {
    move |_| FunctionResponse {
        status: "200 OK",
        headers: vec![("Content-Type", "text/plain".into())],
        blocks: (0..blocks).map(|number| format!("block {number}\n").repeat(1000).into_bytes()).collect(),
    }
}

/// Head and body of the response to `REQUEST`.
fn ask(server: &RunningServer) -> (String, Vec<u8>) {
    let mut client = server.connect();
    client.send(REQUEST);
    let mut bytes = Vec::new();
    client.0.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = bytes.split_off(end);
    (String::from_utf8(bytes).unwrap(), body)
}

/// The data of a chunked body.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let line = body.iter().position(|&byte| byte == b'\r').unwrap();
        let size = usize::from_str_radix(str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        data.extend_from_slice(&body[line + 2..line + 2 + size]);
        body = &body[line + 2 + size + 2..];
        if size == 0 {
            assert_eq!(body, b"");
            return data;
        }
    }
}

fn decoded(body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(body).read_to_end(&mut content).unwrap();
    content
}

fn expected(blocks: usize) -> Vec<u8> {
    (0..blocks).flat_map(|number| format!("block {number}\n").repeat(1000).into_bytes()).collect()
}

#[test]
fn one_block_has_a_length_and_several_are_chunked() {
    for blocks in [1, 2, 9] {
        let server = RunningServer::serve(Function(text(blocks)), &[("compress", "gzip")]);
        let (head, body) = ask(&server);
        assert!(head.contains("Content-Encoding: gzip\r\n") && head.contains("Vary: Accept-Encoding\r\n"), "{head}");
        let is_chunked = head.contains("Transfer-Encoding: chunked\r\n");
        assert_eq!(is_chunked, blocks > 1, "{head}");
        assert_eq!(decoded(&if is_chunked { joined(&body) } else { body }), expected(blocks));
        server.stop();
    }
}

#[test]
fn without_memory_for_an_encoder_a_response_is_sent_as_it_is() {
    let server = RunningServer::serve(Function(text(2)), &[("compress", "gzip"), ("max_buffered_bytes", "200000")]);
    let (head, body) = ask(&server);
    assert!(!head.contains("Content-Encoding") && head.contains("Vary: Accept-Encoding\r\n"), "{head}");
    assert_eq!(joined(&body), expected(2));
    server.stop();
}

#[test]
fn nothing_is_compressed_by_default() {
    let server = RunningServer::serve(Function(text(1)), &[]);
    let (head, body) = ask(&server);
    assert!(!head.contains("Content-Encoding") && !head.contains("Vary"), "{head}");
    assert_eq!(body, expected(1));
    server.stop();
}

#[test]
fn media_types_are_named_or_of_a_kind() {
    let types = |text: &str| -> MediaTypes {
        let Settings { compress_types, .. } = settings(&[("compress_types", text)]);
        compress_types
    };
    let some = types("text/*, application/*+json, Image/SVG+XML");
    for known in ["text/html", "TEXT/Plain", "application/ld+json", "image/svg+xml"] {
        assert!(some.contains(known.as_bytes()), "{known}");
    }
    for unknown in
        ["", "text", "texts/html", "application/json", "application/ld+json2", "image/svg", "text/event-stream"]
    {
        assert!(!some.contains(unknown.as_bytes()), "{unknown}");
    }
    assert!(types("text/event-stream").contains(b"text/event-stream"));
    assert!(!types("*/*").contains(b"text/event-stream"));
}

#[test]
fn a_coding_that_is_none_is_rejected_with_its_name() {
    let error = read_settings(&[("compress", "gzip, deflate")]).err().unwrap();
    assert_eq!(error, "compress: expected names of content codings, got \"deflate\"");
    assert_eq!(settings(&[("compress", "none")]).compress.list(), []);
}
