//! The fuzzer's way into [`portico_fuzz::answer::check`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portico_fuzz::answer::check(input));
