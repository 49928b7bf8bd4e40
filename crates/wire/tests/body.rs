//! Request bodies: where the data is, where the body ends, and what is rejected.

mod support;

use portico_wire::{BodyDecoder, BodyStep, Framing, Limits, WireError};
use support::{ReadBody, decode, decode_within};

/// What decoding an input comes to.
type BodyOutcome = Result<ReadBody, WireError>;

#[allow(clippy::unnecessary_wraps)] // to be compared with a `BodyOutcome`
fn complete(data: &[u8], length: usize) -> BodyOutcome {
    Ok(ReadBody::Complete { data: data.to_vec(), length })
}

#[allow(clippy::unnecessary_wraps)] // to be compared with a `BodyOutcome`
fn incomplete(data: &[u8]) -> BodyOutcome {
    Ok(ReadBody::Incomplete { data: data.to_vec() })
}

#[test]
fn an_empty_body_ends_at_once() {
    for framing in [Framing::Empty, Framing::Length(0)] {
        let mut decoder = BodyDecoder::new(framing);
        assert!(decoder.is_done());
        let end = Ok(BodyStep::End { consumed: 0 });
        assert_eq!(decoder.decode(b"GET", &Limits::default()), end);
        assert_eq!(decode(framing, b""), complete(b"", 0));
    }
}

#[test]
fn a_length_is_counted_down() {
    let limits = Limits::default();
    let mut decoder = BodyDecoder::new(Framing::Length(5));
    assert_eq!(decoder.remaining(), Some(5));
    assert_eq!(decoder.decode(b"", &limits), Ok(BodyStep::NeedMore { consumed: 0 }));
    assert_eq!(decoder.decode(b"abc", &limits), Ok(BodyStep::Data { consumed: 3, data: 0..3 }));
    assert_eq!(decoder.remaining(), Some(2));
    assert!(!decoder.is_done());
    assert_eq!(decoder.decode(b"deGET", &limits), Ok(BodyStep::Data { consumed: 2, data: 0..2 }));
    assert_eq!(decoder.remaining(), Some(0));
    assert!(decoder.is_done());
    assert_eq!(decoder.decode(b"GET", &limits), Ok(BodyStep::End { consumed: 0 }));
}

#[test]
fn a_length_takes_no_more_and_no_less() {
    assert_eq!(decode(Framing::Length(5), b"abcde"), complete(b"abcde", 5));
    assert_eq!(decode(Framing::Length(5), b"abcd"), incomplete(b"abcd"));
    assert_eq!(decode(Framing::Length(u64::MAX), b"abcd"), incomplete(b"abcd"));
}

#[test]
fn remaining_is_known_of_a_length_only() {
    assert_eq!(BodyDecoder::new(Framing::Empty).remaining(), None);
    assert_eq!(BodyDecoder::new(Framing::Chunked).remaining(), None);
}

#[test]
fn takes_chunked_bodies() {
    let cases: &[(&[u8], &[u8])] = &[
        (b"0\r\n\r\n", b""),
        (b"5\r\nabcde\r\n0\r\n\r\n", b"abcde"),
        (b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc"),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"0000000000000005\r\nabcde\r\n0000000000000000\r\n\r\n", b"abcde"),
        (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
        (b"3\r\n0\r\n\r\n0\r\n\r\n", b"0\r\n"),
        // Extensions.
        (b"1;a\r\nx\r\n0;b=c\r\n\r\n", b"x"),
        (b"1 ;a\r\nx\r\n0\t;b\r\n\r\n", b"x"),
        (b"1; a = b ;\tc\t=\t\"d\" ; e\r\nx\r\n0\r\n\r\n", b"x"),
        (b"1;a=\"\";b=c;a\r\nx\r\n0;a=\"\\\\\"\r\n\r\n", b"x"),
        (b"1;a=\"b\\\"c;\t\xe9\"\r\nx\r\n0\r\n\r\n", b"x"),
        // Trailers.
        (b"1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n", b"x"),
        (b"1\r\nx\r\n0\r\nX: \r\nY:\t\xe9 z\r\n\r\n", b"x"),
        (b"0\r\nContent-Lengt: 5\r\nContent-Length2: 5\r\nHos: a\r\nX-Host: a\r\n\r\n", b""),
    ];
    for (input, data) in cases {
        assert_eq!(decode(Framing::Chunked, input), complete(data, input.len()), "{}", input.escape_ascii());
        // Split anywhere, it is incomplete, never an error and never an end.
        for length in 0..input.len() {
            let outcome = decode(Framing::Chunked, &input[..length]);
            assert!(matches!(outcome, Ok(ReadBody::Incomplete { .. })), "{length} of {}", input.escape_ascii());
        }
    }
}

#[test]
fn data_is_given_where_it_is_in_the_input() {
    let limits = Limits::default();
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let mut input = &b"3;a\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET"[..];
    for expected in [
        BodyStep::Data { consumed: 8, data: 5..8 },
        BodyStep::Data { consumed: 7, data: 5..7 },
        BodyStep::End { consumed: 7 },
    ] {
        let step = decoder.decode(input, &limits).unwrap();
        assert_eq!(step, expected);
        let (BodyStep::Data { consumed, .. } | BodyStep::End { consumed } | BodyStep::NeedMore { consumed }) = step;
        input = &input[consumed..];
    }
    assert_eq!(input, b"GET");
    assert!(decoder.is_done());
}

#[test]
fn a_chunk_may_be_as_large_as_64_bits() {
    assert_eq!(decode(Framing::Chunked, b"FFFFFFFFFFFFFFFF\r\nabc"), incomplete(b"abc"));
}

#[test]
fn rejects_chunked_bodies() {
    let cases: &[(&[u8], WireError)] = &[
        (b"\r\n", WireError::CHUNK_SIZE),
        (b";a\r\n", WireError::CHUNK_SIZE),
        (b" 1\r\nx\r\n", WireError::CHUNK_SIZE),
        (b"+1\r\nx\r\n", WireError::CHUNK_SIZE),
        (b"-1\r\nx\r\n", WireError::CHUNK_SIZE),
        (b"0x1\r\nx\r\n", WireError::CHUNK_SIZE),
        (b"1_0\r\nx\r\n", WireError::CHUNK_SIZE),
        (b"g\r\n", WireError::CHUNK_SIZE),
        (b"1g\r\n", WireError::CHUNK_SIZE),
        (b"1 \r\nx\r\n", WireError::CHUNK_SIZE),
        (b"1 a\r\nx\r\n", WireError::CHUNK_SIZE),
        (b"1\0\r\nx\r\n", WireError::CHUNK_SIZE),
        (b"1\nx\r\n", WireError::CHUNK_SIZE),
        (b"\xb2\r\nxx\r\n", WireError::CHUNK_SIZE),
        (b"10000000000000000\r\n", WireError::CHUNK_SIZE),
        (b"00000000000000001\r\nx\r\n", WireError::CHUNK_SIZE),
        (b"1\rx", WireError::CHUNK_LINE_END),
        (b"1\r\r\nx\r\n", WireError::CHUNK_LINE_END),
        (b"0\rx", WireError::CHUNK_LINE_END),
        (b"1;a\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a\0\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a\x7f\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=\"\n\"\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1 ;\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1; \r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;;a\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a;\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;=b\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a= \r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=;b\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a==b\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=b=c\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a \r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=b\t\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=\"b\" \r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a b\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=b c\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=\"b\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=\"b\\\"\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=\"b\\\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=\"b\\\0\"\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=\"b\"c\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=b\"c\"\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;\"a\"\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a,b\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;caf\xe9\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a=caf\xe9\r\nx\r\n", WireError::CHUNK_EXTENSION),
        (b"1;a\rb\r\nx\r\n", WireError::CHUNK_LINE_END),
        (b"1\r\nxy\r\n", WireError::CHUNK_DATA_END),
        (b"1\r\nx\n0\r\n\r\n", WireError::CHUNK_DATA_END),
        (b"1\r\nx\r0\r\n\r\n", WireError::CHUNK_DATA_END),
        (b"1\r\nx\r\r\n", WireError::CHUNK_DATA_END),
        (b"1\r\nxZZ0\r\n\r\n", WireError::CHUNK_DATA_END),
        (b"1\r\nx\r\n\r\n0\r\n\r\n", WireError::CHUNK_SIZE),
        (b"0\r\n\n", WireError::TRAILER),
        (b"0\r\n\rx", WireError::TRAILER),
        (b"0\r\nX\r\n\r\n", WireError::TRAILER),
        (b"0\r\n: a\r\n\r\n", WireError::TRAILER),
        (b"0\r\nX : a\r\n\r\n", WireError::TRAILER),
        (b"0\r\n X: a\r\n\r\n", WireError::TRAILER),
        (b"0\r\nX: a\r\n b\r\n\r\n", WireError::TRAILER),
        (b"0\r\nX: a\n\r\n", WireError::TRAILER),
        (b"0\r\nX: a\rb\r\n\r\n", WireError::TRAILER),
        (b"0\r\nX: a\0\r\n\r\n", WireError::TRAILER),
    ];
    for (input, error) in cases {
        assert_eq!(decode(Framing::Chunked, input), Err(*error), "{}", input.escape_ascii());
    }
}

#[test]
fn rejects_trailers_that_frame_or_route() {
    for name in [
        "Connection",
        "Content-Length",
        "Host",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "content-length",
        "TRANSFER-ENCODING",
        "hOsT",
    ] {
        for before in ["", "X: y\r\n"] {
            let input = format!("0\r\n{before}{name}: 5\r\n\r\n");
            assert_eq!(decode(Framing::Chunked, input.as_bytes()), Err(WireError::TRAILER_FORBIDDEN), "{input:?}");
        }
    }
}

#[test]
fn chunk_extensions_may_be_as_large_as_the_limit_in_all() {
    let limits = Limits { max_chunk_extension_bytes: 10, ..Limits::default() };
    for input in [&b"1;23456789a\r\nx\r\n0\r\n\r\n"[..], b"1;2=4\r\nx\r\n00 ;\t6=8\r\n\r\n"] {
        assert_eq!(decode_within(Framing::Chunked, input, &limits), complete(b"x", input.len()));
    }
    for input in [
        &b"1;23456789ab\r\nx\r\n"[..],
        b"1          ;\r\nx\r\n",
        b"0;23456789ab",
        b"1;2345\r\nx\r\n1;23456\r\nx\r\n",
        b"1;2345\r\nx\r\n0    ;6\r\n",
    ] {
        assert_eq!(
            decode_within(Framing::Chunked, input, &limits),
            Err(WireError::CHUNK_EXTENSIONS_TOO_LARGE),
            "{}",
            input.escape_ascii()
        );
    }
    let endless = [&b"1;"[..], &b"a".repeat(64 * 1024)].concat();
    assert_eq!(decode(Framing::Chunked, &endless), Err(WireError::CHUNK_EXTENSIONS_TOO_LARGE));
    let in_small_pieces = b"1;a\r\nx\r\n".repeat(10_000);
    assert_eq!(decode(Framing::Chunked, &in_small_pieces), Err(WireError::CHUNK_EXTENSIONS_TOO_LARGE));
}

#[test]
fn trailers_may_be_as_large_as_the_limit() {
    let limits = Limits { max_trailer_bytes: 12, ..Limits::default() };
    let input = b"0\r\nA: b\r\nC:d\r\n\r\n";
    let limits_below = Limits { max_trailer_bytes: 10, ..Limits::default() };
    assert_eq!(decode_within(Framing::Chunked, input, &limits), complete(b"", input.len()));
    assert_eq!(decode_within(Framing::Chunked, input, &limits_below), Err(WireError::TRAILERS_TOO_LARGE));
    let bomb = [&b"0\r\n"[..], &b"A: b\r\n".repeat(10_000)].concat();
    assert_eq!(decode(Framing::Chunked, &bomb), Err(WireError::TRAILERS_TOO_LARGE));
}

#[test]
fn the_trailer_lines_stand_before_the_end() {
    let limits = Limits::default();
    for section in [&b""[..], b"A: 1\r\n", b"A: 1\r\nb:\r\n"] {
        let bytes = [b"1\r\na\r\n0;x\r\n", section, b"\r\n"].concat();
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let mut start = 0;
        // Byte by byte: what is counted has to live as long as the decoder.
        for end in 1..=bytes.len() {
            assert_eq!(decoder.trailer_bytes(), 0);
            match decoder.decode(&bytes[start..end], &limits).unwrap() {
                BodyStep::NeedMore { consumed } | BodyStep::Data { consumed, .. } | BodyStep::End { consumed } => {
                    start += consumed;
                }
            }
        }
        assert!(decoder.is_done());
        assert_eq!(decoder.trailer_bytes(), section.len());
        assert_eq!(&bytes[bytes.len() - 2 - section.len()..bytes.len() - 2], section);
    }
    assert_eq!(BodyDecoder::new(Framing::Empty).trailer_bytes(), 0);
}
