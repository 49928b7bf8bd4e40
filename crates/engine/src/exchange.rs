//! From a complete request to the end of its response, whatever the protocol.
//!
//! 1. `account`: what is counted and logged of a request, however it has ended.
//! 2. `sending`: what a full socket has not taken goes to the send queue, and a task writes that.
//! 3. `request`: a complete request on its way to the application.
//! 4. `server_response`: responses that no application is asked for; `error_response` rejects and sheds requests with
//!    them, `health` responds to health checks.
//! 5. `body_reader`: a request body on its way in.
//! 6. `block_writer`: how the blocks of a response leave.
//! 7. `coded_body`: a body that is compressed; `coding`: whether it is.
//! 8. `responder`: the application's response on its way out.
//! 9. `file_parts`: the body of a response with a file. `named_response`: one with a file that the application names.
//! 10. `upgraded`: what the application makes of a connection itself.
//! 11. `engine_response`: a response that the engine makes itself, some time later. `file_serving`: requests for files,
//!     and who serves them.

pub mod account;
pub mod block_writer;
pub mod body_reader;
pub mod coded_body;
pub mod coding;
pub mod engine_response;
pub mod error_response;
pub mod file_parts;
pub mod file_serving;
pub mod health;
pub mod named_response;
pub mod request;
pub mod responder;
pub mod sending;
pub mod server_response;
pub mod upgraded;
