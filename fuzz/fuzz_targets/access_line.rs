//! The fuzzer's way into [`portico_fuzz::access_line::check`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portico_fuzz::access_line::check(input));
