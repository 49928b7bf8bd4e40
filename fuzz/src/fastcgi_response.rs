//! Responses over FastCGI: the records written for any data say that data again to a reverse proxy that reads them to
//! the letter, and nothing else.

use crate::input::FuzzInput;
use crate::records::{Record, split};
use portico_wire::{
    FASTCGI_MAX_CONTENT, FASTCGI_PADDING, FastCgiEnd, FastCgiReply, FastCgiStream, fastcgi_record_header,
    write_end_request, write_fastcgi_stream,
};

const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// Takes the message for what is to be sent: in blocks, to either stream, some of it many times over.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let mut random = input.random();
    let id = u16::from_le_bytes([(input.choices >> 8 & 0xff) as u8, (input.choices >> 16 & 0xff) as u8]);
    let (mut out, mut sent) = (Vec::new(), [Vec::new(), Vec::new()]);
    for piece in random.pieces(input.message) {
        // Beyond what one record holds.
        let block = if random.below(64) == 0 { piece.repeat(70_000 / piece.len() + 1) } else { piece.to_vec() };
        let is_error = random.below(4) == 0;
        let stream = if is_error { FastCgiStream::Stderr } else { FastCgiStream::Stdout };
        if random.below(2) == 0 {
            write_fastcgi_stream(&mut out, stream, id, &block);
        } else {
            for content in block.chunks(FASTCGI_MAX_CONTENT) {
                write_apart(&mut out, stream, id, content);
            }
        }
        sent[usize::from(is_error)].extend_from_slice(&block);
    }
    write_fastcgi_stream(&mut out, FastCgiStream::Stdout, id, b"");
    write_apart(&mut out, FastCgiStream::Stdout, id, b"");
    let app_status = u32::try_from(input.choices >> 32).unwrap_or(0);
    let (end, status) = [
        (FastCgiEnd::Complete { app_status }, 0),
        (FastCgiEnd::CannotMultiplex, 1),
        (FastCgiEnd::Overloaded, 2),
        (FastCgiEnd::UnknownRole, 3),
    ][random.below(4)];
    write_end_request(&mut out, id, end);

    let (records, rest) = split(&out);
    assert_eq!(rest, Ok(0), "what is no record");
    assert!(records.iter().all(|record| record.is_complete && record.id == id));
    let [streams @ .., end_of_stdout, end] = &records[..] else { panic!("{} records", records.len()) };
    assert_eq!((end_of_stdout.kind, end_of_stdout.length), (STDOUT, 0));
    let app_status = if status == 0 { app_status } else { 0 };
    assert_eq!((end.kind, end.content), (3, &[&app_status.to_be_bytes()[..], &[status, 0, 0, 0]].concat()[..]));
    for (kind, sent) in [(STDOUT, &sent[0]), (STDERR, &sent[1])] {
        assert_eq!(&read_stream(streams, kind), sent, "stream {kind}");
    }
    assert!(streams.iter().all(|record| matches!(record.kind, STDOUT | STDERR)));
    assert_eq!(out.len() % 8, 0, "3.3: records end at multiples of 8");
    check_replies(&input, id);
}

/// A record in three parts, as it is sent without copying its content.
fn write_apart(out: &mut Vec<u8>, stream: FastCgiStream, id: u16, content: &[u8]) {
    let (header, padding) = fastcgi_record_header(stream, id, content.len());
    out.extend_from_slice(&header);
    out.extend_from_slice(content);
    out.extend_from_slice(&FASTCGI_PADDING[..padding]);
}

/// The data of a stream, which none of these records may end.
fn read_stream(records: &[Record], kind: u8) -> Vec<u8> {
    let of_stream: Vec<&[u8]> = records.iter().filter(|one| one.kind == kind).map(|one| one.content).collect();
    assert!(of_stream.iter().all(|content| !content.is_empty()), "a stream ends before its end");
    of_stream.concat()
}

/// Each reply beside a response is one record.
fn check_replies(input: &FuzzInput, id: u16) {
    let kind = input.message.first().copied().unwrap_or(99);
    let values = input.message[..input.message.len().min(200)].to_vec();
    let end = |status| vec![0, 0, 0, 0, status, 0, 0, 0];
    for (reply, expected) in [
        (FastCgiReply::CannotMultiplex { id }, (3, id, end(1))),
        (FastCgiReply::UnknownRole { id }, (3, id, end(3))),
        (FastCgiReply::UnknownType { kind }, (11, 0, vec![kind, 0, 0, 0, 0, 0, 0, 0])),
        (FastCgiReply::Values(values.clone()), (10, 0, values)),
    ] {
        let mut out = Vec::new();
        reply.write(&mut out);
        let (records, rest) = split(&out);
        let [record] = records[..] else { panic!("{} records for {reply:?}", records.len()) };
        assert_eq!((record.kind, record.id, record.content, rest), (expected.0, expected.1, &expected.2[..], Ok(0)));
        assert!(record.is_complete);
    }
}
