//! HTTP/1 and the protocols of reverse proxies on the wire, without sockets, clock or Python: bytes in, heads and body
//! events out.
//!
//! Modules in reading order:
//!
//! 1. `grammar`: the character tables of RFC 9110 and RFC 3986.
//! 2. `limits`: how much of anything a peer may send.
//! 3. `message`: what a request head is, once read.
//! 4. `error`: what a peer did wrong, with the status that says so.
//! 5. `http1::head`: request line and fields; `http1::target` and `http1::fields` are its two halves.
//! 6. `http1::body`: `Content-Length` and chunked request bodies, the latter with `http1::chunk_extension`.
//! 7. `http1::encode`: how a response is framed, and its bytes.
//! 8. `http1::response_head`: the head of another server's response; `http1::hop_by_hop` and `http1::passed_on`: what
//!    of a message is passed on, and the bytes of a request's head then.
//! 9. `networks` and `forwarded`: which peers are reverse proxies, and what those say of a request.
//! 10. `gateway`: what the variables of the three protocols of reverse proxies mean, and those of a request that is
//!     passed on; `uwsgi`, `scgi` and `fastcgi` take those apart, and put ours together.
//! 11. `proxy_protocol`: the header in which a load balancer tells of the connection it passes on.
//! 12. `accept_encoding`: which content coding a response gets. `trace_context`: which trace a request is a part of.
//!
//! A reader returns an event, an error, or "need more data"; it never panics, whatever the
//! bytes. Bytes delivered whole, one at a time or followed by more give the same events.
//!
//! ```
//! use portico_wire::{Framing, Limits, RequestHead};
//!
//! let bytes = b"GET /a%20b?c=d HTTP/1.1\r\nHost: example.org\r\n\r\n";
//! let mut head = RequestHead::new();
//! assert_eq!(head.read(bytes, &Limits::default()), Ok(Some(bytes.len())));
//! assert_eq!(head.path.of(bytes), b"/a%20b");
//! assert_eq!(head.header(bytes, "host"), Some(&b"example.org"[..]));
//! assert_eq!(head.framing, Framing::Empty);
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod accept;
mod accept_encoding;
mod error;
mod fastcgi;
mod forwarded;
mod gateway;
mod grammar;
mod http1;
mod limits;
mod message;
mod networks;
mod proxy_protocol;
mod routes;
mod scgi;
mod trace_context;
mod uwsgi;

pub use accept::accepts;
pub use accept_encoding::{AcceptEncoding, ContentCoding};
pub use error::WireError;
pub use fastcgi::{
    FASTCGI_MAX_CONTENT, FASTCGI_PADDING, FastCgiEnd, FastCgiReader, FastCgiReply, FastCgiResponseReader,
    FastCgiResponseStep, FastCgiStep, FastCgiStream, fastcgi_record_header, write_end_request, write_fastcgi_stream,
};
pub use forwarded::{Client, Forwarded, Scheme, is_forwarded_name, request_start_ns};
pub use gateway::{CgiHead, GatewayHead, Variables, plan_cgi_response, write_cgi_status};
pub use grammar::{
    check_response_header_name, check_response_header_value, is_hop_by_hop, is_name, mount_length, percent_decode_into,
};
pub use http1::body::{BodyDecoder, BodyStep};
pub use http1::encode::{
    CONTINUE, CRLF, LAST_CHUNK, ResponseBody, ResponsePlan, ResponseProperties, plan_response, write_chunk_size,
    write_content_length, write_header, write_status_line,
};
pub use http1::fields::read_content_length;
pub use http1::head::read_field_lines;
pub use http1::hop_by_hop::HopByHop;
pub use http1::passed_on::{ForwardedFamily, Forwarding, PassedConnection, PassedOn, PassedTrace, Understood};
pub use http1::response_head::{ResponseHead, ResponseTo};
pub use limits::{GatewayLimits, Limits};
pub use message::{Framing, Header, RequestHead, Span, TargetForm, Version};
pub use networks::{Networks, NetworksError};
pub use proxy_protocol::{PROXY_MAX_BYTES, ProxyEndpoints, ProxyHeader, ProxyTls};
pub use routes::{Routed, Routes};
pub use trace_context::{TRACEPARENT_BYTES, TraceParent, hexadecimal};
pub use uwsgi::{UWSGI_PONG, UwsgiModifiers, UwsgiPacket};
