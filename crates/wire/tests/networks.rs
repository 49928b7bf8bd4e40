//! Lists of peers: what is in them, and what is rejected with a sentence.

use portico_wire::{Networks, NetworksError};
use std::net::IpAddr;

fn networks(entries: &[&str]) -> Networks {
    Networks::parse(entries).unwrap_or_else(|error| panic!("{error}"))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is an address"))
}

#[test]
fn contains_what_an_entry_says_and_nothing_else() {
    for (entry, inside, outside) in [
        ("127.0.0.1", &["127.0.0.1", "::ffff:127.0.0.1"][..], &["127.0.0.2", "::1", "::127.0.0.1"][..]),
        ("::1", &["::1"], &["::2", "0.0.0.1", "::ffff:0.0.0.1"]),
        ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], &["9.255.255.255", "11.0.0.0"]),
        ("192.0.2.128/25", &["192.0.2.128", "192.0.2.255"], &["192.0.2.127", "192.0.3.128"]),
        ("192.0.2.7/32", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
        ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], &["::", "2001:db8::1"]),
        ("2001:db8::/32", &["2001:db8::", "2001:db8:ffff::1"], &["2001:db7::", "2001:db9::", "32.1.13.184"]),
        ("2001:db8::1/128", &["2001:db8::1"], &["2001:db8::2"]),
        ("fe80::/10", &["fe80::1", "febf::1"], &["fec0::1"]),
        ("::/0", &["::", "2001:db8::1", "ffff::"], &["127.0.0.1", "::ffff:127.0.0.1"]),
        ("::ffff:127.0.0.1", &["127.0.0.1", "::ffff:127.0.0.1"], &["::1"]),
        ("::ffff:10.0.0.0/104", &["10.9.9.9", "::ffff:10.9.9.9"], &["11.0.0.0", "::10.0.0.1"]),
        ("::ffff:0:0/96", &["1.2.3.4"], &["::1"]),
        ("*", &["1.2.3.4", "2001:db8::1"], &[]),
    ] {
        let networks = networks(&[entry]);
        for text in inside {
            assert!(networks.contains(address(text)), "{text} is in {entry}");
        }
        for text in outside {
            assert!(!networks.contains(address(text)), "{text} is not in {entry}");
        }
        assert_eq!(networks.contains_unix(), entry == "*", "unix in {entry}");
    }
}

#[test]
fn every_entry_of_a_list_counts() {
    let networks = networks(&["10.0.0.0/8", "unix", "2001:db8::1"]);
    assert!(networks.contains(address("10.0.0.1")));
    assert!(networks.contains(address("2001:db8::1")));
    assert!(!networks.contains(address("127.0.0.1")));
    assert!(networks.contains_unix());
}

#[test]
fn nobody_is_in_an_empty_list() {
    let networks = networks(&[]);
    assert!(!networks.contains(address("127.0.0.1")));
    assert!(!networks.contains(address("::1")));
    assert!(!networks.contains_unix());
    assert_eq!(networks, Networks::default());
}

#[test]
fn unix_alone_is_no_address() {
    let networks = networks(&["unix"]);
    assert!(networks.contains_unix());
    assert!(!networks.contains(address("127.0.0.1")));
}

#[test]
fn rejects_what_is_no_entry() {
    for entry in [
        "",
        " ",
        "localhost",
        "example.org",
        "10.0.0",
        "10.0.0.256",
        "010.0.0.1",
        "10.0.0.1:80",
        "[::1]",
        "fe80::1%eth0",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/99999999999",
        "10.0.0.1/8",
        "2001:db8::1/32",
        "::ffff:10.0.0.1/104",
        " 10.0.0.1",
        "10.0.0.1 ",
        "10.0.0.1,10.0.0.2",
        "unix:/run/portico.sock",
        "UNIX",
        "**",
        "10.*",
    ] {
        let rejected = NetworksError { entry: entry.into() };
        assert_eq!(Networks::parse(["127.0.0.1", entry]), Err(rejected), "{entry:?}");
    }
}

#[test]
fn an_error_says_what_was_expected() {
    let error = Networks::parse(["10.0.0.1/8"]).map_err(|error| error.to_string());
    assert_eq!(
        error,
        Err("expected an IP address, a network such as 10.0.0.0/8 (no bits beyond its length), unix, or *, \
             got \"10.0.0.1/8\""
            .to_owned())
    );
}
