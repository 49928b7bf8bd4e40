//! The invariant of the fuzzers, in small: whatever the bytes, an error or valid events, never a panic,
//! and the same whole as one byte at a time.

mod support;

use portico_wire::{Framing, Limits};
use support::{Random, ReadBody, decode_within, read_head_within};

const HEADS: [&[u8]; 4] = [
    b"GET /a?b HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n",
    b"\r\nPOST http://[::1]/ HTTP/1.0\r\nContent-Length: 15\r\nX:\r\n\r\n",
    b"PUT /a:1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost:\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
];

const BODIES: [&[u8]; 2] = [b"5;a=b\r\nabcde\r\n1 ;c\r\nf\r\n0\r\nX: y\r\n\r\n", b"000a\r\n0123456789\r\n0\r\n\r\n"];

/// Bytes that mean something somewhere.
const TELLING: &[u8] = b"\r\n\r\n\r\n \t:;,/?#*%[]@0159afgAF\0\x0b\x7f\x80\xff";

/// `bytes` with one to three bytes replaced, inserted, removed or truncated.
fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(mutated.len());
        let byte = TELLING[random.below(TELLING.len())];
        match random.below(8) {
            0..=2 if !mutated.is_empty() => mutated[at] = byte,
            3..=4 => mutated.insert(at, byte),
            5..=6 if !mutated.is_empty() => drop(mutated.remove(at)),
            _ => mutated.truncate(at),
        }
    }
    mutated
}

#[test]
fn mutated_heads_read_the_same_in_every_way() {
    let mut random = Random::new(1);
    let small = Limits {
        max_head_bytes: 60,
        max_headers: 2,
        max_header_bytes: 18,
        max_request_line_bytes: 24,
        ..Limits::default()
    };
    let mut valid = 0;
    for _ in 0..6_000 {
        let head = HEADS[random.below(HEADS.len())];
        let bytes = mutate(head, &mut random);
        valid += usize::from(matches!(read_head_within(&bytes, &Limits::default()), Ok(Some(_))));
        let _ = read_head_within(&bytes, &small);
    }
    assert!(valid > 500, "only {valid} were valid: the mutations are too wild to test much");
}

#[test]
fn mutated_bodies_decode_the_same_in_every_way() {
    let mut random = Random::new(2);
    let small = Limits { max_chunk_extension_bytes: 4, max_trailer_bytes: 5, ..Limits::default() };
    let mut valid = 0;
    for _ in 0..10_000 {
        let body = BODIES[random.below(BODIES.len())];
        let bytes = mutate(body, &mut random);
        let outcome = decode_within(Framing::Chunked, &bytes, &Limits::default());
        valid += usize::from(matches!(outcome, Ok(ReadBody::Complete { .. })));
        let _ = decode_within(Framing::Chunked, &bytes, &small);
    }
    assert!(valid > 300, "only {valid} were valid: the mutations are too wild to test much");
}
