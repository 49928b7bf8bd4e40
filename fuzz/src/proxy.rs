//! PROXY protocol headers: the same in every split, rejected or exactly what a plain reading of the specification
//! finds, with a checksum that is right.

use crate::input::FuzzInput;
use crate::reference::is_text;
use portico_wire::{PROXY_MAX_BYTES, ProxyEndpoints, ProxyHeader, ProxyTls, Span, WireError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Up to this many bytes every split is tried, beyond it those of the first bytes and some.
const EVERY_SPLIT_BYTES: usize = 128;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Up to and with the length.
const HEADER_BYTES: usize = 16;

/// Takes the message for what a load balancer's connection begins with.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let most = match input.choices & 3 {
        0 => PROXY_MAX_BYTES,
        1 => usize::try_from(input.choices >> 8 & 0xff).unwrap_or(0),
        _ => 0xffff + HEADER_BYTES,
    };
    // What is changed makes the checksum wrong, so for one of two choices it is made right.
    let mut message = input.message.to_vec();
    if input.choices & 8 != 0 {
        repair_checksum(&mut message);
    }
    let bytes = &message[..];
    let whole = ProxyHeader::read(bytes, most);
    check_splits(&input, bytes, most, &whole);
    match whole {
        Ok(Some(header)) if bytes.starts_with(b"PROXY ") => check_v1(&header, bytes),
        Ok(Some(header)) => check_v2(&header, bytes, most),
        Ok(None) => {
            let start: &[u8] = if bytes.first() == Some(&b'P') { b"PROXY " } else { SIGNATURE };
            let known = bytes.len().min(start.len());
            assert_eq!(bytes[..known], start[..known], "it is waited for what can be no header");
            let declared = bytes.get(14..16).filter(|_| start == SIGNATURE).map(|length| 16 + number(length));
            assert!(bytes.len() < declared.unwrap_or(107), "a header that is complete is waited for");
        }
        Err(error) => assert_eq!(error.status, 400),
    }
}

fn check_splits(input: &FuzzInput, bytes: &[u8], most: usize, whole: &Result<Option<ProxyHeader>, WireError>) {
    let mut random = input.random();
    let mut splits: Vec<usize> = if bytes.len() <= EVERY_SPLIT_BYTES {
        (0..bytes.len()).collect()
    } else {
        (0..HEADER_BYTES + 2).chain((0..12).map(|_| random.below(bytes.len()))).collect()
    };
    splits.sort_unstable();
    let mut is_decided = false;
    for split in splits {
        let outcome = ProxyHeader::read(&bytes[..split], most);
        assert!(outcome != Ok(None) || !is_decided, "{split} bytes ask for more, fewer did not");
        if outcome != Ok(None) {
            assert_eq!(&outcome, whole, "{split} bytes are read unlike {}", bytes.len());
            is_decided = true;
        }
        if let Ok(Some(header)) = whole {
            assert_eq!(outcome == Ok(None), split < header.length, "a header of {}, split at {split}", header.length);
        }
    }
    if *whole != Ok(None) {
        let followed = [bytes, &b"\r\nPROXY UNKNOWN\r\n\0\xff"[random.below(20)..]].concat();
        assert_eq!(&ProxyHeader::read(&followed, most), whole, "what follows changes the header");
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Version 1: the line is what its parts say.
fn check_v1(header: &ProxyHeader, bytes: &[u8]) {
    assert!(header.length <= 107, "a line of {} bytes", header.length);
    let line = bytes[..header.length].strip_suffix(b"\r\n").expect("a line that ends with CRLF");
    assert!(!line.contains(&b'\n'));
    assert_eq!((header.alpn, header.authority, header.unique_id, header.tls), (None, None, None, None));
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    match header.endpoints {
        ProxyEndpoints::Unknown => assert_eq!(words[1], b"UNKNOWN"),
        ProxyEndpoints::Ip { source, destination } => {
            let [_, family, first, second, first_port, second_port] = words[..] else { panic!("other words") };
            for (end, address, port) in [(source, first, first_port), (destination, second, second_port)] {
                assert_eq!(end.port().to_string().as_bytes(), port);
                assert_eq!(family, if end.is_ipv4() { &b"TCP4"[..] } else { b"TCP6" });
                let text = String::from_utf8_lossy(address);
                assert_eq!(Ok(end.ip()), text.parse());
                // An IPv4 address is written in one way.
                assert!(end.is_ipv6() || end.ip().to_string() == text);
            }
        }
        other => panic!("{other:?} of a line"),
    }
}

/// Version 2: addresses and TLVs, read plainly.
fn check_v2(header: &ProxyHeader, bytes: &[u8], most: usize) {
    let length = HEADER_BYTES + number(&bytes[14..16]);
    assert!(bytes.starts_with(SIGNATURE) && header.length == length && length <= most && length <= bytes.len());
    let content = &bytes[HEADER_BYTES..length];
    let part = |span: Span| {
        let (start, end) = (span.start as usize, span.end as usize);
        assert!(HEADER_BYTES <= start && start <= end && end <= length);
        span.of(bytes)
    };
    if bytes[12] == 0x20 {
        let ProxyHeader { endpoints, alpn, authority, unique_id, tls, .. } = *header;
        assert_eq!((endpoints, alpn, authority, unique_id, tls), (ProxyEndpoints::Local, None, None, None, None));
        return;
    }
    assert_eq!(bytes[12], 0x21);
    let tlvs = match (bytes[13], header.endpoints) {
        (0x00, ProxyEndpoints::Unknown) => content,
        (0x11, ProxyEndpoints::Ip { source, destination }) => {
            let address =
                |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&content[at..at + 4]).expect("4 bytes")).into();
            check_ends(content, 4, [(source, address(0)), (destination, address(4))])
        }
        (0x21, ProxyEndpoints::Ip { source, destination }) => {
            let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&content[at..at + 16]).expect("16")).into();
            check_ends(content, 16, [(source, address(0)), (destination, address(16))])
        }
        (0x31, ProxyEndpoints::Unix { source, destination }) => {
            for (path, place) in [(part(source), &content[..108]), (part(destination), &content[108..216])] {
                assert!(place.starts_with(path));
                let is_abstract = place[0] == 0;
                let rest = &place[path.len()..];
                assert!(is_abstract || (rest.first().is_none_or(|end| *end == 0) && !path.contains(&0)));
                assert!(!is_abstract || (rest.iter().all(|byte| *byte == 0) && path.last() != Some(&0)));
            }
            &content[216..]
        }
        other => panic!("{other:?}"),
    };
    let tlvs = read_tlvs(tlvs).expect("TLVs that add up");
    let one = |kind: u8| {
        let mut values = tlvs.iter().filter(|(known, _)| *known == kind).map(|(_, value)| *value);
        let value = values.next();
        assert_eq!(values.next(), None, "TLV {kind} twice");
        value
    };
    assert_eq!(header.alpn.map(part), one(0x01));
    assert_eq!(header.authority.map(part), one(0x02));
    assert_eq!(header.unique_id.map(part), one(0x05));
    assert!(one(0x05).is_none_or(|id| id.len() <= 128));
    assert!(one(0x02).is_none_or(|name| name.iter().all(|byte| is_text(*byte))));
    if let Some(checksum) = one(0x03) {
        let mut zeroed = bytes[..length].to_vec();
        let at = checksum.as_ptr() as usize - bytes.as_ptr() as usize;
        zeroed[at..at + 4].fill(0);
        assert_eq!(number(checksum), crc32c(&zeroed) as usize, "a wrong checksum was let pass");
    }
    assert_eq!(header.tls.is_some(), one(0x20).is_some());
    if let (Some(tls), Some(value)) = (header.tls, one(0x20)) {
        check_tls(&tls, value, part);
    }
}

/// Addresses and ports of IP; returns what follows them.
fn check_ends(content: &[u8], size: usize, ends: [(SocketAddr, IpAddr); 2]) -> &[u8] {
    for (index, (end, address)) in ends.into_iter().enumerate() {
        let port = 2 * size + 2 * index;
        assert_eq!((end.ip(), usize::from(end.port())), (address, number(&content[port..port + 2])));
    }
    &content[2 * size + 4..]
}

fn check_tls<'a>(tls: &ProxyTls, value: &'a [u8], part: impl Fn(Span) -> &'a [u8]) {
    let flags = (value[0] & 1 != 0, value[0] & 6 != 0, value[1..5] == [0; 4]);
    assert_eq!((tls.is_used, tls.has_certificate, tls.is_verified), flags);
    let subs = read_tlvs(&value[5..]).expect("TLVs that add up");
    for (kind, found) in [(0x21, tls.version), (0x22, tls.common_name), (0x23, tls.cipher)] {
        let of_kind: Vec<&[u8]> = subs.iter().filter(|(known, _)| *known == kind).map(|(_, value)| *value).collect();
        assert_eq!(of_kind, found.map(&part).into_iter().collect::<Vec<_>>());
        assert!(of_kind.iter().all(|text| text.iter().all(|byte| is_text(*byte))));
    }
}

/// Types and values; none if the lengths do not add up.
fn read_tlvs(mut rest: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut tlvs = Vec::new();
    while !rest.is_empty() {
        let (start, after) = rest.split_at_checked(3)?;
        let (value, after) = after.split_at_checked(number(&start[1..]))?;
        tlvs.push((start[0], value));
        rest = after;
    }
    Some(tlvs)
}

/// Puts the right checksum where a header has one.
fn repair_checksum(message: &mut [u8]) {
    let Some(header) = message.get(..HEADER_BYTES).filter(|header| header.starts_with(SIGNATURE)) else { return };
    let addresses = [(0x11, 12), (0x21, 36), (0x31, 216)].iter().find(|(family, _)| *family == header[13]);
    let start = HEADER_BYTES + addresses.map_or(0, |(_, size)| *size);
    let length = HEADER_BYTES + number(&header[14..]);
    let Some(tlvs) = message.get(start..length).and_then(read_tlvs) else { return };
    let mut at = start;
    for (kind, value) in tlvs {
        let size = value.len();
        if (kind, size) == (0x03, 4) {
            message[at + 3..at + 7].fill(0);
            let checksum = crc32c(&message[..length]);
            return message[at + 3..at + 7].copy_from_slice(&checksum.to_be_bytes());
        }
        at += 3 + size;
    }
}

/// CRC-32C bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_algorithm() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_repaired_header_is_read() {
        let mut header = [SIGNATURE, b"\x21\x11\x00\x18", &[9; 12], b"\x01\0\x02h2", b"\x03\0\x04abcd"].concat();
        assert_eq!(ProxyHeader::read(&header, PROXY_MAX_BYTES), Err(WireError::PROXY_CHECKSUM));
        repair_checksum(&mut header);
        let read = ProxyHeader::read(&header, PROXY_MAX_BYTES).unwrap().unwrap();
        assert_eq!(read.length, header.len());
        check_v2(&read, &header, PROXY_MAX_BYTES);
        let noticed = |header: &ProxyHeader, bytes: &[u8]| {
            std::panic::catch_unwind(|| check_v2(header, bytes, PROXY_MAX_BYTES)).is_err()
        };
        assert!(noticed(&ProxyHeader { alpn: None, ..read.clone() }, &header));
        assert!(noticed(&ProxyHeader { endpoints: ProxyEndpoints::Local, ..read.clone() }, &header));
        *header.last_mut().unwrap() ^= 1;
        assert!(noticed(&read, &header));
    }
}
