//! A response of the server itself, which no application is asked for.

use crate::clock::DateHeader;
use crate::files::error_pages::ErrorPage;
use crate::message::framing::ResponseFraming;
use crate::settings::Settings;
use portico_wire::{write_content_length, write_header};

/// Seconds after which a client that found no room may come again.
const RETRY_AFTER: &[u8] = b"1";

/// The response.
pub struct ServerResponse<'a> {
    /// What it looks like.
    pub framing: ResponseFraming,
    /// Its status.
    pub status: u16,
    /// Headers, beside those that it has in any case.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
    /// Its body; none for a sentence that says the status.
    pub body: Option<&'a [u8]>,
    /// What stands in the place of the sentence.
    pub page: Option<&'a ErrorPage>,
    /// Whether the connection is kept.
    pub keep_alive: bool,
    /// Whether the request was HEAD.
    pub is_head: bool,
    /// Whether the client is told when it may come again.
    pub retry_after: bool,
}

impl<'a> ServerResponse<'a> {
    /// One that says its status, and after which the connection is closed.
    pub fn new(framing: ResponseFraming, status: u16, is_head: bool) -> ServerResponse<'a> {
        let (headers, body, page) = (Vec::new(), None, None);
        ServerResponse { framing, status, headers, body, page, keep_alive: false, is_head, retry_after: false }
    }

    /// The bytes, and how many of them are the body.
    pub fn encode(&self, settings: &Settings) -> (Vec<u8>, u64) {
        let reason = reason_phrase(self.status);
        let line = format!("{} {reason}", self.status);
        let sentence = line.clone() + "\n";
        // RFC 9110 15.3.5 and 15.4.5: these have none.
        let has_body = !matches!(self.status, 204 | 304);
        let page = self.page.filter(|_| has_body && self.body.is_none());
        let sentence = page.map_or(sentence.as_bytes(), |page| &page.body);
        let body = if has_body { self.body.unwrap_or(sentence) } else { b"" };
        let mut out = Vec::with_capacity(256);
        self.framing.write_status(&mut out, line.as_bytes());
        for (name, value) in &self.headers {
            write_header(&mut out, name, value);
        }
        for (name, value) in page.iter().flat_map(|page| page.headers()) {
            write_header(&mut out, name, value);
        }
        if has_body {
            if page.is_none() && !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-type")) {
                write_header(&mut out, b"Content-Type", b"text/plain; charset=utf-8");
            }
            write_content_length(&mut out, body.len() as u64);
        }
        if self.status == 405 {
            // RFC 9110 15.5.6 wants the list. What the application allows is not known here: these never reach it.
            write_header(&mut out, b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        }
        if self.retry_after {
            write_header(&mut out, b"Retry-After", RETRY_AFTER);
        }
        if self.framing == ResponseFraming::Http {
            // Said in both cases, since the request's version is not always known.
            write_header(&mut out, b"Connection", if self.keep_alive { b"keep-alive" } else { b"close" });
        }
        out.extend_from_slice(DateHeader::default().line());
        if !settings.server_header.is_empty() {
            write_header(&mut out, b"Server", settings.server_header.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        let body = if self.is_head { b"" } else { body };
        out.extend_from_slice(body);
        self.framing.enclose(&mut out, 0);
        out.extend_from_slice(self.framing.end(false).as_ref());
        (out, body.len() as u64)
    }
}

/// The standard reason phrase of a status (RFC 9110 15, and the registry of status codes).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        511 => "Network Authentication Required",
        _ => "Unknown",
    }
}
