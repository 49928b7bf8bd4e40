//! Drives the readers in every way bytes can arrive, and checks that the way makes no difference.

#![allow(dead_code)] // each test file uses its own part

pub mod gateway;

use portico_wire::{BodyDecoder, BodyStep, Framing, Limits, RequestHead, Span, TargetForm, Version, WireError};

/// What may follow a message in the same read: another request, and bytes that are nothing.
const TRAILING: [&[u8]; 3] = [b"GET /next HTTP/1.1\r\nHost: b\r\n\r\n", b"\0\xff", b"\r\n"];

/// A head as plain values, to be compared as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadHead {
    pub length: usize,
    pub method: String,
    pub target: String,
    pub form: TargetForm,
    pub path: String,
    pub query: String,
    pub authority: String,
    pub scheme: String,
    pub version: Version,
    pub headers: Vec<(String, String)>,
    pub framing: Framing,
    pub keep_alive: bool,
    pub expect_continue: bool,
    pub is_head: bool,
    pub upgrade: bool,
}

/// What reading a head comes to.
pub type ReadHeadOutcome = Result<Option<ReadHead>, WireError>;

/// Latin-1, so that every byte can be compared.
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// What `read` made of `bytes`.
fn read_head_parts(bytes: &[u8], read: Result<Option<usize>, WireError>, head: &RequestHead) -> ReadHeadOutcome {
    let part = |span: Span| text(span.of(bytes));
    Ok(read?.map(|length| ReadHead {
        length,
        method: part(head.method),
        target: part(head.target),
        form: head.form,
        path: part(head.path),
        query: part(head.query),
        authority: part(head.authority),
        scheme: part(head.scheme),
        version: head.version,
        headers: head.headers.iter().map(|header| (part(header.name), part(header.value))).collect(),
        framing: head.framing,
        keep_alive: head.keep_alive,
        expect_continue: head.expect_continue,
        is_head: head.is_head,
        upgrade: head.upgrade,
    }))
}

fn read_once(bytes: &[u8], limits: &Limits, head: &mut RequestHead) -> ReadHeadOutcome {
    let read = head.read(bytes, limits);
    read_head_parts(bytes, read, head)
}

fn read_on(bytes: &[u8], limits: &Limits, head: &mut RequestHead) -> ReadHeadOutcome {
    let read = head.read_on(bytes, limits);
    read_head_parts(bytes, read, head)
}

/// Reads a head whole, byte by byte, and with trailing data, always into the same `RequestHead`.
pub fn read_head_within(bytes: &[u8], limits: &Limits) -> ReadHeadOutcome {
    let mut head = RequestHead::new();
    let whole = read_once(bytes, limits, &mut head);

    for read in [read_once, read_on] {
        assert_eq!(read_once(b"", limits, &mut head), Ok(None));
        let byte_by_byte = (0..=bytes.len())
            .map(|length| read(&bytes[..length], limits, &mut head))
            .find(|outcome| *outcome != Ok(None))
            .unwrap_or(Ok(None));
        assert_eq!(byte_by_byte, whole, "byte by byte: {}", bytes.escape_ascii());
    }

    if whole != Ok(None) {
        for trailing in TRAILING {
            let followed = [bytes, trailing].concat();
            let outcome = read_once(&followed, limits, &mut head);
            assert_eq!(outcome, whole, "followed: {}", followed.escape_ascii());
        }
    }
    whole
}

/// [`read_head_within`] the default limits.
pub fn read_head(bytes: &[u8]) -> ReadHeadOutcome {
    read_head_within(bytes, &Limits::default())
}

/// Reads a head that has to be complete and valid.
pub fn read_valid_head(bytes: &[u8]) -> ReadHead {
    match read_head(bytes) {
        Ok(Some(head)) => head,
        other => panic!("{other:?} for {}", bytes.escape_ascii()),
    }
}

/// What a whole input came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadBody {
    /// The data, and how much of the input was the body.
    Complete { data: Vec<u8>, length: usize },
    /// The data so far.
    Incomplete { data: Vec<u8> },
}

/// Decodes `input` as a connection would, with reads of at most `read_size` bytes.
fn decode_in_reads(framing: Framing, input: &[u8], read_size: usize, limits: &Limits) -> Result<ReadBody, WireError> {
    let mut decoder = BodyDecoder::new(framing);
    let mut data = Vec::new();
    let (mut start, mut end) = (0, 0);
    loop {
        let available = &input[start..end];
        let step = match decoder.decode(available, limits) {
            Ok(step) => step,
            Err(error) => {
                assert_eq!(decoder.decode(b"0\r\n\r\n", limits), Err(error), "an error stays");
                return Err(error);
            }
        };
        match step {
            BodyStep::Data { consumed, data: range } => {
                assert!(!range.is_empty(), "data is never empty");
                assert_eq!(range.end, consumed, "data is the last thing consumed");
                data.extend_from_slice(&available[range]);
                start += consumed;
            }
            BodyStep::NeedMore { consumed } => {
                assert_eq!(consumed, available.len(), "nothing is left to be read again");
                assert!(!decoder.is_done());
                start += consumed;
                if end == input.len() {
                    return Ok(ReadBody::Incomplete { data });
                }
                end = (end + read_size).min(input.len());
            }
            BodyStep::End { consumed } => {
                assert!(decoder.is_done());
                let length = start + consumed;
                return Ok(ReadBody::Complete { data, length });
            }
        }
    }
}

/// Decodes a body whole, in small reads, byte by byte, and with trailing data.
pub fn decode_within(framing: Framing, input: &[u8], limits: &Limits) -> Result<ReadBody, WireError> {
    let whole = decode_in_reads(framing, input, input.len().max(1), limits);
    for read_size in [1, 2, 3, 7] {
        let outcome = decode_in_reads(framing, input, read_size, limits);
        assert_eq!(outcome, whole, "reads of {read_size}: {}", input.escape_ascii());
    }
    if !matches!(whole, Ok(ReadBody::Incomplete { .. })) {
        for trailing in TRAILING {
            let followed = [input, trailing].concat();
            for read_size in [1, followed.len()] {
                let outcome = decode_in_reads(framing, &followed, read_size, limits);
                assert_eq!(outcome, whole, "followed: {}", followed.escape_ascii());
            }
        }
    }
    whole
}

/// [`decode_within`] the default limits.
pub fn decode(framing: Framing, input: &[u8]) -> Result<ReadBody, WireError> {
    decode_within(framing, input, &Limits::default())
}

/// A head with a valid request line, Host and the given field lines.
pub fn with_fields(fields: &[u8]) -> Vec<u8> {
    [b"POST /p HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n"].concat()
}

/// A valid head with the given request line.
pub fn with_line(line: &[u8]) -> Vec<u8> {
    [line, b"\r\nHost: a\r\n\r\n"].concat()
}

/// xorshift64: the same numbers at every run.
pub struct Random(u64);

impl Random {
    /// Numbers that depend on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

/// The bytes that a Python bytes literal stands for.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().unwrap() {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                literal => literal,
            },
            literal => literal,
        });
    }
    bytes
}
