//! Traces of requests, and what is told of them once they have ended.

#![allow(clippy::unwrap_used, reason = "tests")]

use portico_engine::access_log::header_names::HeaderNames;
use portico_engine::access_log::record::{AccessRecord, ServedBy};
use portico_engine::access_log::request_line::RequestLine;
use portico_engine::budget::Budget;
use portico_engine::message::inbound::Inbound;
use portico_engine::message::spoken::Protocol;
use portico_engine::settings::{Lines, Settings};
use portico_engine::spans::Spans;
use portico_engine::trace::Trace;
use portico_wire::{Scheme, TraceParent};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

const THEIRS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn settings(more: &str) -> Settings {
    let text = format!("{}\n{more}", include_str!("support/settings.txt"));
    Settings::read(&Lines(&text)).unwrap()
}

fn request(fields: &str) -> Inbound {
    let mut inbound = Inbound::new(&Budget::new(1 << 20));
    inbound.push(format!("GET /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes());
    assert!(inbound.read_head(Protocol::Http, false, false, &settings("")).unwrap().is_some());
    inbound
}

/// Spans by these settings, and the other end of their socket.
fn spans(more: &str) -> (Spans, UnixDatagram) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (reader, writer) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    (Spans::new(writer, &settings(more), Vec::new()).unwrap(), OwnedFd::into(reader))
}

fn record<'a>(trace: &'a Trace, inbound: &'a Inbound) -> AccessRecord<'a> {
    AccessRecord {
        client: None,
        request_line: RequestLine::of(b"GET /a HTTP/1.1"),
        request: Some(inbound),
        header_names: HeaderNames::default(),
        status: 200,
        body_bytes: 1,
        duration_ns: 7,
        ended_ns: None,
        call: None,
        said: None,
        trace: Some(trace),
        served_by: ServedBy::default(),
        cause: None,
    }
}

fn received(reader: &UnixDatagram) -> Option<String> {
    let mut bytes = vec![0; 1 << 16];
    let length = reader.recv(&mut bytes).ok()?;
    bytes.truncate(length);
    Some(String::from_utf8(bytes).unwrap())
}

#[test]
fn a_request_is_a_child_in_its_clients_trace() {
    let (spans, _reader) = spans("trace_sample = 0.0");
    let theirs = TraceParent::read(THEIRS.as_bytes()).unwrap();
    let mut inbound = request(&format!("traceparent: {THEIRS}\r\n"));
    spans.begin(&mut inbound, false, Scheme::Https);
    let trace = **inbound.trace.as_ref().unwrap();
    assert_eq!((trace.own.trace_id, trace.own.flags), (theirs.trace_id, 1));
    assert_eq!((trace.parent_id, trace.has_state, trace.scheme), (Some(theirs.parent_id), true, Scheme::Https));
    assert_ne!(trace.own.parent_id, theirs.parent_id);
    assert_eq!(Trace::from_words(trace.words()), Some(trace));
    assert!(inbound.reset());
    assert_eq!(inbound.trace, None);
}

#[test]
fn only_who_may_says_which_trace() {
    let (spans, _reader) = spans("traceparent_from = trusted");
    let inbound = request(&format!("traceparent: {THEIRS}\r\n"));
    assert_eq!(spans.trace_of(Some(&inbound), false, Scheme::Http).parent_id, None);
    assert!(spans.trace_of(Some(&inbound), true, Scheme::Http).parent_id.is_some());
}

#[test]
fn as_many_traces_as_asked_for_are_recorded_and_none_twice() {
    for (share, fewest, most) in [("1.0", 2000, 2000), ("0.0", 0, 0), ("0.25", 350, 650)] {
        let (spans, _reader) = spans(&format!("trace_sample = {share}"));
        let traces: Vec<Trace> = (0..2000).map(|_| spans.trace_of(None, false, Scheme::Http)).collect();
        let sampled = traces.iter().filter(|trace| trace.own.is_sampled()).count();
        assert!((fewest..=most).contains(&sampled), "{sampled} of 2000 at {share}");
        let ids: HashSet<_> = traces.iter().map(|trace| (trace.own.trace_id, trace.own.parent_id)).collect();
        assert_eq!(ids.len(), traces.len());
        assert!(traces.iter().all(|trace| Trace::from_words(trace.words()) == Some(*trace)));
    }
    assert_eq!(Trace::from_words([0; 5]), None);
}

#[test]
fn what_finds_no_room_is_counted_in_the_next_record() {
    const SENT: usize = 20_000;
    let (spans, reader) = spans("");
    let inbound = request("");
    let trace = spans.trace_of(Some(&inbound), false, Scheme::Http);
    for _ in 0..SENT {
        spans.end(&record(&trace, &inbound));
    }
    let mut taken = 0;
    while let Some(message) = received(&reader) {
        assert!(message.starts_with("{\"trace\":\"") && message.ends_with("\"path\":\"/a\"}"), "{message}");
        taken += 1;
    }
    assert!((1..SENT).contains(&taken), "{taken}");
    spans.end(&record(&trace, &inbound));
    let message = received(&reader).unwrap();
    assert!(message.ends_with(&format!("\"path\":\"/a\",\"lost\":{}}}", SENT - taken)), "{message}");
    spans.end(&record(&trace, &inbound));
    assert!(!received(&reader).unwrap().contains("lost"));
}

#[test]
fn what_is_not_sampled_is_not_sent() {
    let (spans, reader) = spans("trace_sample = 0.0");
    let inbound = request("");
    let trace = spans.trace_of(Some(&inbound), false, Scheme::Http);
    spans.end(&record(&trace, &inbound));
    assert_eq!(received(&reader), None);
}
