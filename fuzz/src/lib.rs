//! What the fuzz targets of portico-wire assert. Each target is one function `check(input)` that panics when
//! an invariant is broken; `fuzz_targets/` only hands it the fuzzer's bytes, and the tests here hand it the
//! corpus and a few inputs known to have been trouble.
//!
//! Modules in reading order:
//!
//! 1. `input`: from the fuzzer's bytes to a message, limits and cuts.
//! 2. `observed`: a head as plain values, to be compared as a whole.
//! 3. `reference`: framing of requests and responses read a second time, by code that shares nothing with
//!    portico-wire.
//! 4. `head`, `body`, `chunked`, `forwarded`: one reader each.
//! 5. `life`: a connection as `src/connection/http1.rs` drives it, without sockets; `connection` and `cuts`
//!    look at it.
//! 6. `response`: what an application passes in, encoded as `src/connection/responder.rs` does and read back.

pub mod body;
pub mod chunked;
pub mod connection;
pub mod cuts;
pub mod forwarded;
pub mod head;
pub mod input;
pub mod life;
pub mod observed;
pub mod reference;
pub mod response;
