//! The states of an exchange (one request and its response) on a connection, as tables: what may follow what. Pure; each
//! table stands beside its diagram, and an event that a state does not know is an error that names both.
//!
//! 1. `illegal`: an event that a state does not know.
//! 2. `request`: a request comes in.
//! 3. `turn`: whose turn it is on the connection, since responses leave in the order of requests (RFC 9112 9.3.2).
//! 4. `response`: a response goes out.

mod illegal;
pub mod request;
pub mod response;
pub mod turn;

pub use illegal::Illegal;
