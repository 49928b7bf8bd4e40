//! The fuzzer's way into [`portico_fuzz::fastcgi_member::check`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portico_fuzz::fastcgi_member::check(input));
