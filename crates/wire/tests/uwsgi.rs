//! uwsgi packets: their header, lengths and kinds.

mod support;

use portico_wire::{GatewayHead, GatewayLimits, UWSGI_PONG, UwsgiModifiers, UwsgiPacket, WireError};
use support::Random;
use support::gateway::{
    NGINX, Read, least, mutate, read_in_every_way, render, render_body, replay_corpus, replay_truncated_corpus, uwsgi,
};

fn read_once(head: &mut GatewayHead, bytes: &[u8], limits: &GatewayLimits) -> Read {
    Ok(head.read_uwsgi(bytes, limits)?.map(|packet| match packet {
        UwsgiPacket::Request { length } => (render(head, bytes), length),
        UwsgiPacket::Ping { length } => (vec!["ping".into()], length),
        UwsgiPacket::Unsupported(modifiers) => (vec![format!("rejected: {modifiers}")], 0),
    }))
}

fn read(bytes: &[u8]) -> Read {
    read_within(bytes, &GatewayLimits::default())
}

fn read_within(bytes: &[u8], limits: &GatewayLimits) -> Read {
    read_in_every_way(bytes, |head, bytes| read_once(head, bytes, limits))
}

/// The only line that `bytes` come to.
fn line(bytes: &[u8]) -> String {
    read(bytes).unwrap().unwrap().0.concat()
}

#[test]
fn reads_a_packet_whatever_follows() {
    let packet = uwsgi(0, &NGINX);
    let (lines, length) = read(&packet).unwrap().unwrap();
    assert_eq!(length, packet.len());
    assert_eq!(lines[0], "request: POST");
    assert_eq!(lines.len(), 13);
}

#[test]
fn wants_more_until_a_packet_is_complete() {
    let packet = uwsgi(30, &NGINX);
    for length in 0..packet.len() {
        assert_eq!(read(&packet[..length]), Ok(None), "{length} bytes");
    }
}

#[test]
fn replies_to_pings() {
    assert_eq!(read(&[100, 0, 0, 0]), Ok(Some((vec!["ping".into()], 4))));
    assert_eq!(UWSGI_PONG, [100, 0, 0, 1]);
    assert_eq!(line(&[100, 0, 0, 1]), "rejected: modifier1 100, modifier2 1 (a ping with content or a variant)");
    assert_eq!(line(&[100, 1, 0, 0]), "rejected: modifier1 100, modifier2 0 (a ping with content or a variant)");
}

#[test]
fn rejects_other_modifiers_by_their_header_alone() {
    for (header, kind) in [
        ([5, 1, 0, 0], " (PSGI)"),
        ([14, 0xff, 0xff, 0], " (PHP)"),
        ([22, 0, 0, 0], " (code to be evaluated)"),
        ([97, 0, 0, 0], ""),
        ([110, 0, 0, 17], " (a signal)"),
        ([173, 0, 0, 0], " (a remote procedure call)"),
        ([0, 0, 0, 1], " (WSGI with a variant)"),
        ([30, 0, 0, 7], " (WSGI with a variant)"),
        (*b"GET ", " (an HTTP request, not a uwsgi packet)"),
        (*b"POST", " (an HTTP request, not a uwsgi packet)"),
        ([0x16, 3, 1, 2], " (a TLS hello, not a uwsgi packet)"),
        (*b"PROX", " (a PROXY protocol header, not a uwsgi packet)"),
        (*b"\r\n\r\n", " (a PROXY protocol header, not a uwsgi packet)"),
    ] {
        assert_eq!(line(&header), format!("rejected: modifier1 {}, modifier2 {}{kind}", header[0], header[3]));
    }
    let modifiers = UwsgiModifiers { modifier1: 5, modifier2: 2, datasize: 0x0403 };
    let packet = GatewayHead::new().read_uwsgi(&[5, 3, 4, 2], &GatewayLimits::default());
    assert_eq!(packet, Ok(Some(UwsgiPacket::Unsupported(modifiers))));
}

#[test]
fn rejects_lengths_that_lie() {
    let packet = |data: &[u8]| [&[0, u8::try_from(data.len()).unwrap(), 0, 0], data].concat();
    for data in [
        &b"\x01"[..],
        b"\x01\x00",
        b"\x02\x00A",
        b"\x01\x00A",
        b"\x01\x00A\x01",
        b"\x01\x00A\x01\x00",
        b"\x01\x00A\x02\x00B",
        b"\xff\xffA\x01\x00B",
        b"\x01\x00A\xff\xffB",
        b"\x01\x00A\x01\x00B\x00",
        b"\x01\x00A\x01\x00B\x01\x00C",
    ] {
        assert_eq!(read(&packet(data)), Err(WireError::VARIABLES_LENGTHS), "{}", data.escape_ascii());
    }
    assert_eq!(read(&[0, 0, 0, 0]), Err(WireError::METHOD_MISSING));
    assert_eq!(read(&[0, 4, 0, 0, 0, 0, 0, 0]), Err(WireError::VARIABLE_NAME));
}

#[test]
fn a_packet_may_be_as_large_as_its_header_can_say() {
    let most = 65_535 - uwsgi(0, &least(&[("HTTP_A", "")])).len() + 4;
    let value = "a".repeat(most);
    let packet = uwsgi(0, &least(&[("HTTP_A", &value)]));
    assert_eq!(packet[1..3], [0xff, 0xff]);
    let mut head = GatewayHead::new();
    let limits = GatewayLimits::default();
    assert_eq!(head.read_uwsgi(&packet[..packet.len() - 1], &limits), Ok(None));
    assert_eq!(head.read_uwsgi(&packet, &limits), Ok(Some(UwsgiPacket::Request { length: 65_539 })));
    assert_eq!(head.header(&packet, "HTTP_A").unwrap().len(), most);
}

#[test]
fn a_packet_above_the_limit_is_rejected_by_its_header() {
    let packet = uwsgi(0, &NGINX);
    let size = packet.len() - 4;
    let limits = |max_variables_bytes| GatewayLimits { max_variables_bytes, ..GatewayLimits::default() };
    assert!(read_within(&packet, &limits(size)).is_ok());
    assert_eq!(read_within(&packet[..4], &limits(size - 1)), Err(WireError::VARIABLES_TOO_LARGE));
}

#[test]
fn mutated_packets_read_the_same_in_every_way() {
    let mut random = Random::new(3);
    let small = GatewayLimits { max_variables_bytes: 200, max_variables: 9 };
    let mut valid = 0;
    for _ in 0..4_000 {
        let packet = uwsgi([0, 30][random.below(2)], &NGINX[random.below(5)..]);
        let bytes = mutate(&packet, &mut random);
        valid += usize::from(matches!(read(&bytes), Ok(Some(_))));
        let _ = read_within(&bytes, &small);
    }
    assert!(valid > 200, "only {valid} were valid: the mutations are too wild to test much");
}

/// What a file of the corpus comes to.
fn replay_file(bytes: &[u8], piece_size: &mut dyn FnMut() -> usize) -> Vec<String> {
    let mut head = GatewayHead::new();
    let mut end = 0;
    loop {
        match read_once(&mut head, &bytes[..end], &GatewayLimits::default()) {
            Err(error) => return vec![format!("rejected: {error}")],
            Ok(Some((mut lines, length))) => {
                if lines[0].starts_with("request") {
                    render_body(&mut lines, &head, &bytes[length..]);
                }
                return lines;
            }
            Ok(None) if end == bytes.len() => return vec!["incomplete".into()],
            Ok(None) => end = (end + piece_size()).min(bytes.len()),
        }
    }
}

#[test]
fn the_corpus_comes_to_what_is_expected() {
    replay_corpus("uwsgi", replay_file);
}

#[test]
fn a_truncated_file_wants_more_or_is_rejected_alike() {
    replay_truncated_corpus("uwsgi", replay_file);
}
