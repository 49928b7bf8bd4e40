//! The fuzzer's way into [`portico_fuzz::response_head::check`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portico_fuzz::response_head::check(input));
