//! PROXY protocol headers, both versions.

mod support;

use portico_wire::{PROXY_MAX_BYTES, ProxyEndpoints, ProxyHeader, ProxyTls, Span, WireError};
use support::Random;
use support::gateway::{mutate, replay_corpus, replay_truncated_corpus};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x01, 0xbb];

type HeaderOutcome = Result<Option<ProxyHeader>, WireError>;

/// Reads a header whole, byte by byte, and followed by more.
fn read_within(bytes: &[u8], max_bytes: usize) -> HeaderOutcome {
    let whole = ProxyHeader::read(bytes, max_bytes);
    let byte_by_byte = (0..=bytes.len())
        .map(|length| ProxyHeader::read(&bytes[..length], max_bytes))
        .find(|outcome| *outcome != Ok(None))
        .unwrap_or(Ok(None));
    assert_eq!(byte_by_byte, whole, "byte by byte: {}", bytes.escape_ascii());
    if whole != Ok(None) {
        for trailing in [&b"\0\xff"[..], b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"PROXY UNKNOWN\r\n"] {
            let followed = [bytes, trailing].concat();
            assert_eq!(ProxyHeader::read(&followed, max_bytes), whole, "followed: {}", followed.escape_ascii());
        }
    }
    whole
}

fn read(bytes: &[u8]) -> HeaderOutcome {
    read_within(bytes, PROXY_MAX_BYTES)
}

fn valid(bytes: &[u8]) -> ProxyHeader {
    match read(bytes) {
        Ok(Some(header)) => header,
        other => panic!("{other:?} for {}", bytes.escape_ascii()),
    }
}

/// A header of version 2 with these parts.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &u16::try_from(value.len()).unwrap().to_be_bytes()[..], value].concat()
}

/// A header for [`V4`] with these TLVs.
fn with_tlvs(tlvs: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[V4, tlvs].concat())
}

fn ip(source: &str, destination: &str) -> ProxyEndpoints {
    ProxyEndpoints::Ip { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn bare(length: usize, endpoints: ProxyEndpoints) -> ProxyHeader {
    ProxyHeader { length, endpoints, alpn: None, authority: None, unique_id: None, tls: None }
}

/// CRC-32C bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

#[test]
fn reads_lines_of_version_1() {
    for (line, endpoints) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n", ip("192.0.2.1:4660", "198.51.100.2:443")),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            ip("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", ip("0.0.0.0:0", "0.0.0.0:0")),
        ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", ip("[2001:db8::1]:1", "[::1]:2")),
        ("PROXY UNKNOWN\r\n", ProxyEndpoints::Unknown),
        ("PROXY UNKNOWN what ever this is\r\n", ProxyEndpoints::Unknown),
    ] {
        assert_eq!(valid(line.as_bytes()), bare(line.len(), endpoints), "{line}");
    }
}

#[test]
fn rejects_other_lines() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 \r\n",
        "PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY tcp4 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1  1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 a 1\r\n",
        "PROXY TCP4 01.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4 256.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4 ::1 ::1 1 1\r\n",
        "PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP6 [::1] [::1] 1 1\r\n",
        "PROXY TCP6 ::1%lo ::1 1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n",
        "PROXY TCP4 1.1.1.1\t1.1.1.1 1 1\r\n",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWN a\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 11\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\r\n",
        "PROXY TCP4 h 1.1.1.1 1 1\r\n",
        "PROXY TCP4 \u{661}.1.1.1 1.1.1.1 1 1\r\n",
    ] {
        assert_eq!(read(line.as_bytes()), Err(WireError::PROXY_LINE), "{line:?}");
    }
}

#[test]
fn a_line_has_at_most_107_bytes() {
    let line = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
    assert_eq!(valid(line(107).as_bytes()).length, 107);
    assert_eq!(read(line(108).as_bytes()), Err(WireError::PROXY_LINE));
    assert_eq!(read(&line(108).as_bytes()[..106]), Ok(None));
    assert_eq!(read(&line(108).as_bytes()[..107]), Err(WireError::PROXY_LINE));
}

#[test]
fn rejects_anything_else_at_the_first_byte_that_differs() {
    for bytes in [
        &b"G"[..],
        b"PO",
        b"PROXY\t",
        b"\0",
        b"\x16\x03\x01",
        b"\r\nG",
        b"\r\n\r\nG",
        b"PRI * HTTP",
        b"proxy ",
        b" PROXY",
        b"\n",
    ] {
        assert_eq!(read(bytes), Err(WireError::PROXY_SIGNATURE), "{}", bytes.escape_ascii());
    }
    for start in [b"PROXY ", SIGNATURE] {
        for length in 0..start.len() {
            assert_eq!(read(&start[..length]), Ok(None));
        }
    }
}

#[test]
fn reads_addresses_of_version_2() {
    let v4 = v2(0x21, 0x11, V4);
    assert_eq!(valid(&v4), bare(28, ip("192.0.2.1:4660", "198.51.100.2:443")));
    let mut v6 = [0; 36];
    (v6[0], v6[1], v6[15], v6[31], v6[33], v6[35]) = (0x20, 0x01, 9, 1, 80, 8);
    assert_eq!(valid(&v2(0x21, 0x21, &v6)), bare(52, ip("[2001::9]:80", "[::1]:8")));
    assert_eq!(valid(&v2(0x21, 0, b"")), bare(16, ProxyEndpoints::Unknown));
    for length in 0..v4.len() {
        assert_eq!(read(&v4[..length]), Ok(None), "{length} bytes");
    }
}

#[test]
fn reads_unix_sockets() {
    let paths = |source: &[u8], destination: &[u8]| {
        let padded = |path: &[u8]| [path, &vec![0; 108 - path.len()]].concat();
        let bytes = v2(0x21, 0x31, &[padded(source), padded(destination)].concat());
        let header = valid(&bytes);
        assert_eq!(header.length, 232);
        match header.endpoints {
            ProxyEndpoints::Unix { source, destination } => {
                (source.of(&bytes).to_vec(), destination.of(&bytes).to_vec())
            }
            other => panic!("{other:?}"),
        }
    };
    for (source, destination) in [(&b""[..], &b"/run/app.sock"[..]), (b"\0abstract\0name", b"/a"), (&[b'a'; 108], b"")]
    {
        assert_eq!(paths(source, destination), (source.to_vec(), destination.to_vec()));
    }
    assert_eq!(paths(b"a\0b", b"").0, b"a");
}

#[test]
fn local_connections_are_the_load_balancers_own() {
    for (family, rest) in [(0, &b""[..]), (0x11, V4), (0xff, b"\xff\xff"), (0x11, b"\x01")] {
        assert_eq!(valid(&v2(0x20, family, rest)), bare(16 + rest.len(), ProxyEndpoints::Local));
    }
}

#[test]
fn rejects_other_headers_of_version_2() {
    for command in [0x00, 0x01, 0x11, 0x22, 0x2f, 0x31, 0xff] {
        assert_eq!(read(&v2(command, 0x11, V4)), Err(WireError::PROXY_COMMAND), "{command}");
    }
    for family in [0x01, 0x10, 0x12, 0x13, 0x20, 0x22, 0x30, 0x32, 0x41, 0xff] {
        assert_eq!(read(&v2(0x21, family, &[0; 216])), Err(WireError::PROXY_FAMILY), "{family}");
    }
    for (family, length) in [(0x11, 12), (0x21, 36), (0x31, 216)] {
        assert!(read(&v2(0x21, family, &vec![0; length])).is_ok());
        for short in [0, 1, 4, 8, length - 1] {
            assert_eq!(read(&v2(0x21, family, &vec![0; short])), Err(WireError::PROXY_ADDRESSES), "{family}: {short}");
        }
    }
}

#[test]
fn the_length_of_a_header_is_bounded() {
    let noop = |length: usize| with_tlvs(&tlv(4, &vec![0; length - 31]));
    assert_eq!(valid(&noop(4096)).length, 4096);
    assert_eq!(read(&noop(4097)[..16]), Err(WireError::PROXY_TOO_LARGE));
    assert_eq!(read_within(&noop(100), 99), Err(WireError::PROXY_TOO_LARGE));
    assert_eq!(read(&[SIGNATURE, b"\x20\0\xff\xff"].concat()), Err(WireError::PROXY_TOO_LARGE));
    assert_eq!(read(&[SIGNATURE, b"\x21\x11\xff\xff"].concat()), Err(WireError::PROXY_TOO_LARGE));
}

#[test]
fn reads_tlvs_and_skips_unknown_ones() {
    let parts: [(u8, &[u8]); 7] = [
        (0x04, b"\0\0"),
        (0xe0, b"own"),
        (0x01, b"http/1.1"),
        (0x02, b"example.org"),
        (0x30, b"ns"),
        (0x05, b"\0\xff\r\n"),
        (0x04, b""),
    ];
    let bytes = with_tlvs(&parts.map(|(kind, value)| tlv(kind, value)).concat());
    let header = valid(&bytes);
    let text = |span: Option<Span>| span.map(|span| span.of(&bytes));
    assert_eq!(header.length, bytes.len());
    assert_eq!(text(header.alpn), Some(&b"http/1.1"[..]));
    assert_eq!(text(header.authority), Some(&b"example.org"[..]));
    assert_eq!(text(header.unique_id), Some(&b"\0\xff\r\n"[..]));
    assert_eq!(header.tls, None);
    // Without addresses, too.
    let unknown = v2(0x21, 0, &tlv(1, b"h2"));
    assert_eq!(valid(&unknown).alpn.unwrap().of(&unknown), b"h2");
}

#[test]
fn reads_what_it_says_of_tls() {
    let subs = [tlv(0x21, b"TLSv1.3"), tlv(0x24, b"SHA256"), tlv(0x22, b"caf\xc3\xa9"), tlv(0x23, b"AES")].concat();
    let bytes = with_tlvs(&[tlv(0x20, &[&[7, 0, 0, 0, 0], &subs[..]].concat()), tlv(1, b"h2")].concat());
    let header = valid(&bytes);
    let tls = header.tls.unwrap();
    let text = |span: Option<Span>| span.map(|span| span.of(&bytes));
    assert_eq!(text(tls.version), Some(&b"TLSv1.3"[..]));
    assert_eq!(text(tls.common_name), Some("caf\u{e9}".as_bytes()));
    assert_eq!(text(tls.cipher), Some(&b"AES"[..]));
    assert_eq!(text(header.alpn), Some(&b"h2"[..]));
    for (value, is_used, has_certificate, is_verified) in [
        ([0, 0, 0, 0, 0], false, false, true),
        ([1, 0, 0, 0, 1], true, false, false),
        ([3, 1, 0, 0, 0], true, true, false),
        ([5, 0, 0, 0, 0], true, true, true),
        ([0xf8, 0, 0, 0, 0], false, false, true),
    ] {
        let expected = ProxyTls { is_used, has_certificate, is_verified, ..ProxyTls::default() };
        assert_eq!(valid(&with_tlvs(&tlv(0x20, &value))).tls, Some(expected), "{value:?}");
    }
}

#[test]
fn rejects_tlvs_that_are_truncated_repeated_or_malformed() {
    for tlvs in [
        vec![1],
        vec![1, 0],
        vec![1, 0, 1],
        vec![1, 0xff, 0xff, 0],
        vec![0xe0, 0, 2, 0],
        [tlv(1, b"h2"), vec![0]].concat(),
        [tlv(1, b"h2"), tlv(1, b"h2")].concat(),
        [tlv(2, b"a"), tlv(2, b"a")].concat(),
        [tlv(5, b"a"), tlv(5, b"a")].concat(),
        tlv(2, b"a\r\nb"),
        tlv(2, b"\0"),
        tlv(5, &[0; 129]),
        tlv(0x20, b""),
        tlv(0x20, &[0; 4]),
        tlv(0x20, &[1, 0, 0, 0, 0, 0x21]),
        tlv(0x20, &[1, 0, 0, 0, 0, 0x21, 0, 1]),
        // A part must not reach beyond the whole that it is in.
        [tlv(0x20, &[1, 0, 0, 0, 0, 0x24, 0, 3]), tlv(4, b"")].concat(),
        tlv(0x20, &[&[1, 0, 0, 0, 0], &tlv(0x22, b"a\nb")[..]].concat()),
        tlv(0x20, &[&[1, 0, 0, 0, 0], &tlv(0x22, b"a")[..], &tlv(0x22, b"b")].concat()),
        [tlv(0x20, &[0; 5]), tlv(0x20, &[0; 5])].concat(),
        tlv(3, &[0; 3]),
        tlv(3, &[0; 5]),
        [tlv(3, &[0; 4]), tlv(3, &[0; 4])].concat(),
    ] {
        assert_eq!(read(&with_tlvs(&tlvs)), Err(WireError::PROXY_TLV), "{}", tlvs.escape_ascii());
    }
    assert!(read(&with_tlvs(&tlv(5, &[0; 128]))).is_ok());
}

#[test]
fn verifies_checksums() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of the algorithm");
    for (before, after) in [(vec![], vec![]), (tlv(1, b"h2"), tlv(4, &[7; 300])), (tlv(5, b"id"), tlv(2, b"a"))] {
        let checked = |sum: u32| with_tlvs(&[&before[..], &tlv(3, &sum.to_be_bytes()), &after].concat());
        let sum = crc32c(&checked(0));
        let bytes = checked(sum);
        assert_eq!(valid(&bytes).length, bytes.len());
        for bit in [0, 7, 31] {
            assert_eq!(read(&checked(sum ^ 1 << bit)), Err(WireError::PROXY_CHECKSUM));
        }
        let mut other = bytes.clone();
        other[16] ^= 1;
        assert_eq!(read(&other), Err(WireError::PROXY_CHECKSUM), "an address was changed");
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(read(&other), Err(WireError::PROXY_CHECKSUM), "the end was changed");
    }
}

#[test]
fn mutated_headers_read_the_same_in_every_way() {
    let mut random = Random::new(6);
    let tls = tlv(0x20, &[&[1, 0, 0, 0, 0], &tlv(0x21, b"TLSv1.3")[..]].concat());
    let headers = [
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(),
        with_tlvs(&[tlv(1, b"h2"), tls, tlv(5, b"id")].concat()),
        v2(0x20, 0, b"\0\0"),
        v2(0x21, 0x31, &[b'/'; 220]),
    ];
    let mut valid = 0;
    for _ in 0..8_000 {
        let bytes = mutate(&headers[random.below(headers.len())], &mut random);
        valid += usize::from(matches!(read(&bytes), Ok(Some(_))));
        let _ = read_within(&bytes, 40);
    }
    assert!(valid > 400, "only {valid} were valid: the mutations are too wild to test much");
}

fn render(header: &ProxyHeader, bytes: &[u8]) -> Vec<String> {
    let text = |span: Span| span.of(bytes).escape_ascii().to_string();
    let mut lines = vec![match header.endpoints {
        ProxyEndpoints::Local => "local".into(),
        ProxyEndpoints::Unknown => "unknown".into(),
        ProxyEndpoints::Ip { source, destination } => format!("ip: {source} {destination}"),
        ProxyEndpoints::Unix { source, destination } => format!("unix: {} {}", text(source), text(destination)),
    }];
    let mut push = |name: &str, span: Option<Span>| lines.extend(span.map(|span| format!("{name}: {}", text(span))));
    push("alpn", header.alpn);
    push("authority", header.authority);
    push("unique_id", header.unique_id);
    if let Some(tls) = header.tls {
        push("tls_version", tls.version);
        push("tls_common_name", tls.common_name);
        push("tls_cipher", tls.cipher);
        lines.push(format!("tls: {} {} {}", tls.is_used, tls.has_certificate, tls.is_verified));
    }
    lines.push(format!("leftover: {}", bytes[header.length..].escape_ascii()));
    lines
}

/// What a file of the corpus comes to.
fn replay_file(bytes: &[u8], piece_size: &mut dyn FnMut() -> usize) -> Vec<String> {
    let mut end = 0;
    loop {
        match ProxyHeader::read(&bytes[..end], PROXY_MAX_BYTES) {
            Err(error) => return vec![format!("rejected: {error}")],
            Ok(Some(header)) => return render(&header, bytes),
            Ok(None) if end == bytes.len() => return vec!["incomplete".into()],
            Ok(None) => end = (end + piece_size()).min(bytes.len()),
        }
    }
}

#[test]
fn the_corpus_comes_to_what_is_expected() {
    replay_corpus("proxy", replay_file);
}

#[test]
fn a_truncated_file_wants_more_or_is_rejected_alike() {
    replay_truncated_corpus("proxy", replay_file);
}
