//! The fuzzer's way into [`portico_fuzz::passed_on::check`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portico_fuzz::passed_on::check(input));
