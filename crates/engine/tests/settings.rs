//! Settings: how each type is read, and what is said of one that is not what it should be.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portico_engine::settings::UntrustedForwarded;
use support::{read_settings, settings};

fn read_error(values: &[(&str, &str)]) -> String {
    read_settings(values).map(drop).unwrap_err()
}

#[test]
fn a_limit_of_0_is_no_limit() {
    let settings = settings(&[("max_pipelined", "0"), ("request_timeout_s", "0"), ("max_request_body_bytes", "7")]);
    assert_eq!(settings.max_pipelined.most(), u64::MAX);
    assert_eq!(settings.request_timeout_s.ms(), u64::MAX);
    assert_eq!(settings.max_request_body_bytes.most(), 7);
}

#[test]
fn times_are_whole_milliseconds_rounded_up() {
    let settings = settings(&[("keep_alive_s", "0.0001"), ("linger_timeout_s", "1.5")]);
    assert_eq!((settings.keep_alive_s.ms(), settings.linger_timeout_s.ms()), (1, 1500));
}

#[test]
fn none_is_how_an_empty_list_of_networks_is_written() {
    let settings = settings(&[("forwarded_allow_ips", "none"), ("uwsgi_allow_from", "none,10.0.0.0/8")]);
    assert!(!settings.trusts(None));
    assert!(!settings.trusts(Some("127.0.0.1".parse().unwrap())));
    assert!(settings.uwsgi_allow_from.contains("10.1.2.3".parse().unwrap()));
}

#[test]
fn forwarded_headers_of_others_are_kept_only_on_demand() {
    assert_eq!(settings(&[]).untrusted_forwarded, UntrustedForwarded::Remove);
    assert_eq!(settings(&[("untrusted_forwarded", "keep")]).untrusted_forwarded, UntrustedForwarded::Keep);
}

#[test]
fn yes_and_no_are_words() {
    assert!(!settings(&[]).strict);
    assert!(settings(&[("strict", "true")]).strict);
    assert_eq!(read_error(&[("strict", "1")]), "strict: expected true or false, got \"1\"");
}

#[test]
fn an_error_names_the_setting() {
    assert_eq!(
        read_error(&[("untrusted_forwarded", "drop")]),
        "untrusted_forwarded: expected remove or keep, got \"drop\""
    );
    assert!(read_error(&[("proxy_allow_from", "10.0.0.1/8")]).starts_with("proxy_allow_from: expected an IP address"));
    assert_eq!(read_error(&[("threads", "-1")]), "threads: expected a whole number that is not negative, got \"-1\"");
}
