//! What comes in and goes out, without sockets or waiting.
//!
//! 1. `spoken`: the protocols there are. `response_head`: the head as an application has given it; `framing` is what a
//!    response looks like in each protocol.
//! 2. `inbound`: the read buffer, and the head read from it; `buffers` keeps some for reuse.
//! 3. `temporary_file`: bytes on disk; `spool`: a body in memory, then there. `block`, a part of a response, and `spooled`,
//!    what of that is on disk; `send_queue` has both for a client that takes it slowly.
//! 4. `body`: a body as the application will read it.
//! 5. `compression`: which responses are compressed; `encoder` compresses.
//! 6. `request_reader`: one request after the other out of the read buffer; `incoming_body`: a body's bytes out of
//!    their framing.

pub mod block;
pub mod body;
pub mod buffers;
pub mod compression;
pub mod encoder;
pub mod framing;
pub mod inbound;
pub mod incoming_body;
pub mod request_reader;
pub mod response_head;
pub mod send_queue;
pub mod spoken;
pub mod spool;
pub mod spooled;
pub mod temporary_file;
