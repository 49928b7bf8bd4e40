//! The fuzzer's way into [`portico_fuzz::trace_context::check`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portico_fuzz::trace_context::check(input));
