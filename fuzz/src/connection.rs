//! The whole life of a connection: requests, rejection, end, and what must hold for each.

use crate::input::FuzzInput;
use crate::life::{ConnectionTerms, Life, LifeEvent};
use crate::reference::{self, Chunked};
use portico_wire::Framing;

/// Takes the message for all that a client sends on one connection.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let terms = ConnectionTerms::of(&input);
    let max_body_bytes = terms.max_body_bytes;
    let mut life = Life::new(terms);
    let (mut sent, mut over) = (0, None);
    for piece in input.random().pieces(input.message) {
        life.receive(piece);
        sent += piece.len();
        assert!(life.consumed + life.waiting() <= sent, "more was used than was sent");
        if let Some((events, consumed)) = over {
            assert_eq!((events, consumed), (life.events.len(), life.consumed), "read on after the end");
        }
        over = life.is_over().then_some((life.events.len(), life.consumed));
    }
    check_events(&life, input.message, max_body_bytes);
}

fn check_events(life: &Life, sent: &[u8], max_body_bytes: u64) {
    let mut at = 0;
    let mut requests = 0;
    for (index, event) in life.events.iter().enumerate() {
        let is_last = index + 1 == life.events.len();
        match event {
            LifeEvent::Request { head, body } => {
                requests += 1;
                let [keep_alive, ..] = head.flags;
                assert!(keep_alive || life.events.get(index + 1) == Some(&LifeEvent::Closing));
                assert!(body.len() as u64 <= max_body_bytes);
                // Where each request stands in what was sent, found without the decoder.
                at += head.length;
                let rest = &sent[at..];
                at += match head.framing {
                    Framing::Empty => {
                        assert_eq!(body, b"");
                        0
                    }
                    Framing::Length(declared) => {
                        assert_eq!(body.len() as u64, declared);
                        assert_eq!(body, &rest[..body.len()]);
                        body.len()
                    }
                    Framing::Chunked => match reference::read_chunked(rest) {
                        Chunked::Complete { data, length } => {
                            assert_eq!(body, &data);
                            length
                        }
                        other => panic!("read as complete, but {other:?}"),
                    },
                };
            }
            LifeEvent::Rejected(status) => {
                assert!(is_last && life.is_over(), "something after a rejection");
                assert!(matches!(status, 400 | 405 | 413 | 414 | 417 | 421 | 431 | 501 | 505), "{status}");
            }
            LifeEvent::Closing => {
                assert!(is_last && life.is_over() && requests > 0, "something after the last request");
            }
        }
    }
    if !matches!(life.events.last(), Some(LifeEvent::Rejected(_))) {
        // In the middle of a body, some of it has been used beyond the last request.
        assert!(at <= life.consumed);
    }
    assert!(life.continues <= requests + 1);
    assert!(life.consumed <= sent.len());
}
