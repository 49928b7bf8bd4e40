//! What the fuzz targets of portico-wire assert. Each target is one function `check(input)` that panics when
//! an invariant is broken; `fuzz_targets/` only hands it the fuzzer's bytes, and the tests here hand it the
//! corpus and a few inputs known to have been trouble.
//!
//! Modules in reading order:
//!
//! 1. `input`: from the fuzzer's bytes to a message, limits and splits.
//! 2. `observed`: a head as plain values, to be compared as a whole.
//! 3. `reference`: framing of requests and responses read a second time, by code that shares nothing with
//!    portico-wire.
//! 4. `head`, `body`, `chunked`, `forwarded`: one reader each.
//! 5. `life`: a connection as the engine's readers see it, without sockets; `connection` and `splits`
//!    look at it.
//! 6. `response`: what an application passes in, encoded as the engine's responder does and read back.
//! 7. `variables` and `records`: what reverse proxies send, written and read a second time; `gateway_head` and
//!    `gateway_errors`: the head that becomes of variables, and the rules that it has to keep.
//! 8. `gateway`: these rules whichever protocol carries the variables; `uwsgi`, `scgi` (whose splits are made by
//!    `splits_of_head`) and `fastcgi`: each protocol's own bytes; `fastcgi_response`: what
//!    goes back over FastCGI.
//! 9. `proxy`: the PROXY protocol.
//! 10. `response_head`, `fastcgi_member` and `passed_on`: the engine as a client of other servers, what it reads and what
//!     it sends.
//! 11. `access_line`: what a client and an application say, in each format of the access log. `trace_context`: of which
//!     trace a client says that its request is a part.

pub mod access_line;
pub mod body;
pub mod chunked;
pub mod connection;
pub mod fastcgi;
pub mod fastcgi_member;
pub mod fastcgi_response;
pub mod forwarded;
pub mod gateway;
pub mod gateway_errors;
pub mod gateway_head;
pub mod head;
pub mod input;
pub mod life;
pub mod observed;
pub mod passed_on;
pub mod proxy;
pub mod records;
pub mod reference;
pub mod response;
pub mod response_head;
pub mod scgi;
pub mod splits;
pub mod splits_of_head;
pub mod trace_context;
pub mod uwsgi;
pub mod variables;
