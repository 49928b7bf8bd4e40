//! FastCGI connections: the reader fed whole and in pieces says the same, which is what a plain reading of the records
//! says, and what it finds of the variables is what they say.

use crate::gateway_head::{check_meaning, observe};
use crate::input::FuzzInput;
use crate::records::{self, Conduct, RecordEvent, join};
use crate::variables;
use portico_wire::{FastCgiReader, FastCgiStep, GatewayHead, GatewayLimits, WireError};

/// Up to this many bytes the message is also fed byte by byte.
const BYTE_BY_BYTE: usize = 512;
/// The most that the reader may leave to be read again.
const MOST_LEFT: usize = 1024;

/// Takes the message for all that a reverse proxy sends on one connection.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let (message, limits) = (input.message, input.gateway_limits());
    let conduct = Conduct {
        max_params_bytes: limits.max_variables_bytes,
        body_length: (input.choices & 4 != 0).then_some(input.choices >> 8 & 0x1f),
        finishes_aborted: input.choices & 8 == 0,
        finishes_early: input.choices & 0x10 != 0,
    };
    let expected = records::events(message, conduct);
    let mut random = input.random();
    let at = random.below(message.len() + 1);
    let mut ways = vec![vec![message], random.pieces(message), vec![&message[..at], &message[at..]]];
    if message.len() <= BYTE_BY_BYTE {
        ways.push(message.chunks(1).collect());
    }
    for pieces in ways {
        let events = read(&pieces, conduct, &limits);
        assert_eq!(events, expected, "fed in {:?}", pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>());
    }
    check_variables(&expected, &limits);
}

/// Drives a reader as `src/connection/fastcgi.rs` does: what was used is dropped, and a request is finished at its
/// end.
fn read(pieces: &[&[u8]], conduct: Conduct, limits: &GatewayLimits) -> Vec<RecordEvent> {
    let sent = pieces.concat();
    let mut reader = FastCgiReader::new();
    let mut events = Vec::new();
    let (mut start, mut end) = (0, 0);
    for piece in pieces {
        end += piece.len();
        // Each step uses bytes: twice per byte is more than enough.
        for turn in 0.. {
            assert!(turn <= 2 * sent.len() + 4, "the reader does not come to rest");
            let available = &sent[start..end];
            let step = match reader.read(available, limits) {
                Ok(step) => step,
                Err(error) => {
                    check_error(&mut reader, error, available, limits);
                    events.push(RecordEvent::Rejected(error));
                    return events;
                }
            };
            assert!(step.consumed() <= available.len(), "{step:?} of {} bytes", available.len());
            start += step.consumed();
            let is_open = reader.is_open();
            match step {
                FastCgiStep::NeedMore { .. } => {
                    assert!(end - start < MOST_LEFT, "{} bytes are left to be read again", end - start);
                    break;
                }
                FastCgiStep::Begin { id, keep_connection, .. } => {
                    assert!(is_open && id != 0);
                    join(&mut events, RecordEvent::Begin { id, keep_connection });
                }
                FastCgiStep::Params { consumed, data } => {
                    assert!(is_open && !data.is_empty() && data.end == consumed);
                    join(&mut events, RecordEvent::Params(available[data].to_vec()));
                }
                FastCgiStep::ParamsEnd { .. } => {
                    join(&mut events, RecordEvent::ParamsEnd);
                    reader.expect_body(conduct.body_length);
                    if conduct.finishes_early {
                        reader.finish();
                    }
                }
                FastCgiStep::Stdin { consumed, data } => {
                    assert!(is_open && !data.is_empty() && data.end == consumed);
                    join(&mut events, RecordEvent::Stdin(available[data].to_vec()));
                }
                FastCgiStep::StdinEnd { .. } => {
                    assert!(is_open, "a response is due until finish() is called");
                    join(&mut events, RecordEvent::StdinEnd);
                    reader.finish();
                    assert!(!reader.is_open());
                }
                FastCgiStep::Abort { .. } => {
                    assert!(is_open);
                    join(&mut events, RecordEvent::Abort);
                    if conduct.finishes_aborted {
                        reader.finish();
                    }
                }
                FastCgiStep::Reply { reply, .. } => join(&mut events, RecordEvent::Reply(reply)),
            }
        }
    }
    events
}

/// An error stays, whatever is given.
fn check_error(reader: &mut FastCgiReader, error: WireError, available: &[u8], limits: &GatewayLimits) {
    assert!((400..=599).contains(&error.status));
    for bytes in [available, b"", b"\x01\x09\0\0\0\0\0\0"] {
        assert_eq!(reader.read(bytes, limits), Err(error), "an error stays an error");
    }
}

/// What the variables of each request say.
fn check_variables(events: &[RecordEvent], limits: &GatewayLimits) {
    let mut head = GatewayHead::new();
    let mut params = Vec::new();
    for event in events {
        match event {
            RecordEvent::Begin { .. } => params.clear(),
            RecordEvent::Params(data) => params.extend_from_slice(data),
            RecordEvent::ParamsEnd => match (head.read_fastcgi(&params, limits), variables::read_fastcgi(&params)) {
                (Ok(()), Some(given)) => check_meaning(&observe(&head, &params), &given, false, limits),
                (Ok(()), None) => panic!("lengths that do not add up: {}", params.escape_ascii()),
                (Err(error), given) => assert!(error != WireError::VARIABLES_LENGTHS || given.is_none(), "{error}"),
            },
            _ => {}
        }
    }
}
