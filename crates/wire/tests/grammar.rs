//! Character classes and percent-encoding.

use portico_wire::{
    check_response_header_name, check_response_header_value, is_hop_by_hop, is_name, mount_length, percent_decode_into,
};

#[test]
fn header_names_are_tokens() {
    for name in [&b"X"[..], b"Content-Type", b"x_y", b"!#$%&'*+-.^_`|~0aA"] {
        assert!(check_response_header_name(name), "{}", name.escape_ascii());
    }
    for byte in (0..=b' ').chain(0x7f..=0xff).chain(*b"\"(),/:;<=>?@[\\]{}") {
        assert!(!check_response_header_name(&[b'X', byte]), "{byte:#x}");
    }
    assert!(!check_response_header_name(b""));
}

#[test]
fn each_byte_of_a_header_name_counts_whatever_its_length() {
    for length in 1..=19 {
        let good: Vec<u8> = b"X-Name".iter().copied().cycle().take(length).collect();
        assert!(check_response_header_name(&good), "{length}");
        for position in 0..length {
            let mut bad = good.clone();
            bad[position] = b':';
            assert!(!check_response_header_name(&bad), "at {position} of {length}");
        }
    }
}

#[test]
fn names_are_the_same_in_any_case_and_no_other() {
    for name in [&b"content-length"[..], b"Content-Length", b"CONTENT-LENGTH", b"cOnTeNt-LeNgTh"] {
        assert!(is_name(name, b"content-length"), "{}", name.escape_ascii());
    }
    for position in 0..b"content-length".len() {
        for byte in (b'!'..=b'~').filter(|byte| byte.to_ascii_lowercase() != b"content-length"[position]) {
            let mut name = *b"content-length";
            name[position] = byte;
            assert!(!is_name(&name, b"content-length"), "{}", name.escape_ascii());
        }
    }
    assert!(!is_name(b"content-lengt", b"content-length"));
    assert!(!is_name(b"", b"host"));
}

#[test]
fn header_values_hold_no_controls_but_the_tab() {
    for byte in 0..=0xff {
        let is_control = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
        assert_eq!(check_response_header_value(&[b'a', byte, b'b']), !is_control, "{byte:#x}");
    }
    assert!(check_response_header_value(b""));
}

#[test]
fn each_byte_of_a_header_value_counts_whatever_its_length() {
    // Values without a tab are looked at faster.
    for parts in [[b'a', b'\t', 0xff, b' '], [b' ', 0x80, 0xff, b'~']] {
        for length in 1..=67 {
            let good: Vec<u8> = parts.into_iter().cycle().take(length).collect();
            assert!(check_response_header_value(&good), "{length}");
            for position in 0..length {
                for byte in 0..=0xff {
                    let is_control = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
                    let mut value = good.clone();
                    value[position] = byte;
                    let is_good = check_response_header_value(&value);
                    assert_eq!(is_good, !is_control, "{byte:#x} at {position} of {length}");
                }
            }
        }
    }
}

#[test]
fn hop_by_hop_headers_are_known_in_any_case() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "Connection",
        "KEEP-ALIVE",
        "TE",
        "Trailer",
        "Upgrade",
    ] {
        assert!(is_hop_by_hop(name.as_bytes()), "{name}");
    }
    for name in ["", "t", "tf", "expires", "Trailers", "content-type", "connectiom", "content-length"] {
        assert!(!is_hop_by_hop(name.as_bytes()), "{name}");
    }
}

#[test]
fn percent_decodes_once_and_keeps_what_is_no_escape() {
    let cases: &[(&[u8], &[u8])] = &[
        (b"", b""),
        (b"/a/b", b"/a/b"),
        (b"/a%20b", b"/a b"),
        (b"%2F%2f", b"//"),
        (b"%252F", b"%2F"),
        (b"/caf%C3%A9", b"/caf\xc3\xa9"),
        (b"%00%ff", b"\x00\xff"),
        (b"+", b"+"),
        (b"%", b"%"),
        (b"%4", b"%4"),
        (b"%4g%g4%zz", b"%4g%g4%zz"),
        (b"%%41", b"%A"),
        (b"%4%41", b"%4A"),
        (b"%+1", b"%+1"),
    ];
    for (path, expected) in cases {
        let mut out = b"kept:".to_vec();
        percent_decode_into(path, &mut out);
        let expected = [b"kept:", *expected].concat();
        assert_eq!(out, expected, "{}", path.escape_ascii());
    }
}

#[test]
fn a_mount_ends_with_a_segment() {
    let cases: &[(&[u8], &[u8], Option<usize>)] = &[
        (b"/a", b"/a", Some(2)),
        (b"/a/", b"/a", Some(2)),
        (b"/a/b", b"/a", Some(2)),
        (b"/a/b", b"/a/b", Some(4)),
        (b"/ab", b"/a", None),
        (b"/A", b"/a", None),
        (b"//a", b"/a", None),
        (b"/", b"/a", None),
        (b"", b"/a", None),
        (b"/x", b"", Some(0)),
        (b"", b"", Some(0)),
        (b"/%61/b", b"/a", Some(4)),
        (b"/%C3%a9", b"/\xc3\xa9", Some(7)),
        (b"/a%2Fb", b"/a", None),
        (b"/a%2Fb", b"/a/b", None),
        (b"%2Fa", b"/a", None),
        (b"/%2561", b"/a", None),
        (b"/%6", b"/a", None),
        (b"/%zz", b"/a", None),
        (b"/a%", b"/a", None),
    ];
    for (path, mount, length) in cases {
        assert_eq!(mount_length(path, mount, true), *length, "{}", path.escape_ascii());
    }
    assert_eq!(mount_length(b"/%61", b"/a", false), None);
    assert_eq!(mount_length(b"/%61/b", b"/%61", false), Some(4));
}
