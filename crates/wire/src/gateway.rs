//! Receives the variables that a reverse proxy sends over uwsgi, FastCGI or SCGI; hands on a [`GatewayHead`]: which
//! request they are, and what of them an application may see. One set of rules for the three protocols, and wherever
//! HTTP has the rule too, the same function.
//!
//! The reverse proxy is trusted to say who the client is and where the application is mounted; what it passes on from
//! the client (`HTTP_*`) is held against the rules for HTTP headers. No variable can stand for a key of the server's
//! own: those are lower case with a dot, such names are dropped.
//!
//! # How a connection uses it
//!
//! 1. uwsgi and SCGI: [`GatewayHead::read_uwsgi`] or [`GatewayHead::read_scgi`] on the read buffer, again with more
//!    bytes while it wants more; then `length` bytes are the head, and the body follows raw, to be read by
//!    `BodyDecoder::new(head.framing())`. FastCGI: a [`FastCgiReader`](crate::FastCgiReader) takes records apart; the
//!    caller buffers its `Params` and calls [`GatewayHead::read_fastcgi`] on the buffer at `ParamsEnd`.
//! 2. environ: the template of the listener, then the spans (`REQUEST_METHOD`, `REQUEST_URI`, `SCRIPT_NAME`,
//!    `PATH_INFO`, `QUERY_STRING`, and what is not empty of `SERVER_PROTOCOL`, `SERVER_NAME`, `SERVER_PORT`,
//!    `CONTENT_TYPE`), `path_info` through `percent_decode_into` if `path_is_encoded`; `client` as for
//!    [`Forwarded`](crate::Forwarded); `wsgi.url_scheme` and `HTTPS` from `scheme`; then `headers`, whose names are
//!    keys as they are, joined where repeated as those of HTTP; then `variables`, of which the last of a name counts.
//! 3. The response: over uwsgi plain HTTP, planned as for HTTP/1.0, because reverse proxies do not read chunks there;
//!    over FastCGI and SCGI a head that begins with [`write_cgi_status`](crate::write_cgi_status), planned by
//!    [`plan_cgi_response`](crate::plan_cgi_response).

mod collector;
mod passed_on;
mod path;
mod response;
mod response_head;

pub(crate) use collector::Collector;
pub use passed_on::Variables;
pub(crate) use path::PathInfo;
pub use response::{plan_cgi_response, write_cgi_status};
pub use response_head::CgiHead;

use crate::forwarded::read_request_start;
use crate::grammar::trim_ows;
use crate::{Client, Framing, Header, Scheme, Span, Version};

/// A request as a reverse proxy's variables tell it. Its contents mean something only after a reader returned that it
/// is complete, and only together with the bytes that the reader was given. It is reused like
/// [`RequestHead`](crate::RequestHead).
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct GatewayHead {
    /// `REQUEST_METHOD`, a token.
    pub method: Span,
    /// `REQUEST_URI`, the target as the client sent it; empty if the reverse proxy does not say.
    pub target: Span,
    /// `SCRIPT_NAME`, where the application is mounted, decoded: empty, or a path that begins, but does not end, with
    /// `/`.
    pub script_name: Span,
    /// `PATH_INFO`: empty, `*`, or a path that begins with `/`.
    pub path_info: Span,
    /// Whether `path_info` is part of `target` and still has its `%XX` escapes; else it is decoded.
    pub path_is_encoded: bool,
    /// `QUERY_STRING`, not decoded; empty if there is none.
    pub query: Span,
    /// `SERVER_PROTOCOL`, what the client used (`HTTP/2.0`); empty if the reverse proxy does not say.
    pub protocol: Span,
    /// The version that `protocol` counts as; 1.1 if the reverse proxy does not say.
    pub version: Version,
    /// By which scheme the client came, if the reverse proxy says.
    pub scheme: Option<Scheme>,
    /// `REMOTE_ADDR` and `REMOTE_PORT`, if the reverse proxy says; a client on a Unix socket has no address.
    pub client: Option<Client>,
    /// `SERVER_NAME`, or empty. What the operator of the reverse proxy wrote there: often no name at all.
    pub server_name: Span,
    /// `SERVER_PORT`, digits, or empty.
    pub server_port: Span,
    /// `CONTENT_TYPE`, or empty.
    pub content_type: Span,
    /// `CONTENT_LENGTH`; none if it is absent or empty. Over FastCGI the body then ends with its stream.
    pub content_length: Option<u64>,
    /// What the client's headers became: `HTTP_*`, in order, repeats and all, with the whole name.
    pub headers: Vec<Header>,
    /// `HTTP_*` of the client's that are no header for the application, and that nobody has undone for it: so people may
    /// be told.
    pub dropped: Vec<Header>,
    /// All other variables for the application, as they came: `REMOTE_USER`, `SSL_CLIENT_S_DN`, the operator's own.
    pub variables: Vec<Header>,
    /// Whether the method is HEAD, so that the response has no body.
    pub is_head: bool,
}

/// Memory for this many variables is kept from head to head; more is an exception, not worth keeping.
const VARIABLES_KEPT: usize = 256;

impl GatewayHead {
    /// An empty head, to be read into again and again.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the body of a uwsgi or SCGI request ends.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.content_length.map_or(Framing::Empty, Framing::Length)
    }

    /// Value of the first header with this name, such as `HTTP_HOST`; `bytes` are those the head was read from.
    #[must_use]
    pub fn header<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let found = self.headers.iter().find(|header| header.name.of(bytes) == name.as_bytes())?;
        Some(found.value.of(bytes))
    }

    /// Value of the last other variable with this name, such as `REMOTE_USER`: the one that counts.
    #[must_use]
    pub fn variable<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let found = self.variables.iter().rfind(|variable| variable.name.of(bytes) == name.as_bytes())?;
        Some(found.value.of(bytes))
    }

    /// When the reverse proxy took the request, as for [`request_start_ns`](crate::request_start_ns), from the last
    /// `HTTP_X_REQUEST_START`. One that the reverse proxy sets goes before the client's.
    #[must_use]
    pub fn request_start_ns(&self, bytes: &[u8]) -> Option<u64> {
        let found = self.headers.iter().rfind(|header| header.name.of(bytes) == b"HTTP_X_REQUEST_START")?;
        let entry = found.value.of(bytes).rsplit(|byte| *byte == b',').next()?;
        read_request_start(trim_ows(entry))
    }

    /// Forgets everything but the memory for the lists.
    pub(crate) fn clear(&mut self) {
        let kept = |mut list: Vec<Header>| {
            list.clear();
            if list.capacity() > VARIABLES_KEPT { Vec::new() } else { list }
        };
        let headers = kept(std::mem::take(&mut self.headers));
        let dropped = kept(std::mem::take(&mut self.dropped));
        let variables = kept(std::mem::take(&mut self.variables));
        *self = Self { headers, dropped, variables, ..Self::default() };
    }
}
