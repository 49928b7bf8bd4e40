//! A response of the server itself, which no application is asked for.

use crate::clock::DateHeader;
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
    /// Its body; empty for a sentence that says the status.
    pub body: &'a [u8],
    /// Whether the connection is kept.
    pub keep_alive: bool,
    /// Whether the request was HEAD.
    pub is_head: bool,
    /// Whether the client is told when it may come again.
    pub retry_after: bool,
}

impl ServerResponse<'_> {
    /// The bytes, and how many of them are the body.
    pub fn encode(&self, settings: &Settings) -> (Vec<u8>, u64) {
        let reason = reason_phrase(self.status);
        let line = format!("{} {reason}", self.status);
        let sentence = line.clone() + "\n";
        let body = if self.body.is_empty() { sentence.as_bytes() } else { self.body };
        let mut out = Vec::with_capacity(256);
        self.framing.write_status(&mut out, line.as_bytes());
        write_header(&mut out, b"Content-Type", b"text/plain; charset=utf-8");
        write_content_length(&mut out, body.len() as u64);
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
        write_header(&mut out, b"Date", DateHeader::default().text());
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

/// The standard reason phrase of the statuses of the responses that the server itself makes (RFC 9110 15).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Error",
    }
}
