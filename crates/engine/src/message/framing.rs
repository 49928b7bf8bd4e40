//! What a response looks like on the connection that it goes out on: plain HTTP, the CGI form of it, or that in FastCGI records.

use super::response_head::ResponseHead;
use crate::clock::DateHeader;
use portico_wire::{
    FastCgiEnd, FastCgiStream, ResponseBody, ResponsePlan, ResponseProperties, fastcgi_record_header,
    plan_cgi_response, plan_response, write_cgi_status, write_content_length, write_end_request, write_fastcgi_stream,
    write_header, write_status_line,
};
use std::borrow::Cow;

/// The form of one response.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// HTTP/1.
    #[default]
    Http,
    /// HTTP/1 without chunks, which reverse proxies do not read over uwsgi.
    Uwsgi,
    /// CGI's form of a response (RFC 3875 6).
    Scgi,
    /// The same, in records.
    FastCgi {
        /// Number of the request.
        id: u16,
    },
}

/// A few bytes of framing, without an allocation.
#[derive(Clone, Copy)]
pub enum Tail {
    /// Those of HTTP.
    Fixed(&'static [u8]),
    /// Records of FastCGI.
    Records {
        /// They are at the start of it.
        bytes: [u8; 32],
        /// How many there are.
        length: usize,
    },
}

impl Default for Tail {
    fn default() -> Tail {
        Tail::Fixed(b"")
    }
}

impl AsRef<[u8]> for Tail {
    fn as_ref(&self) -> &[u8] {
        match self {
            Tail::Fixed(bytes) => bytes,
            Tail::Records { bytes, length } => bytes.get(..*length).unwrap_or_default(),
        }
    }
}

impl ResponseFraming {
    /// Decides how a response is framed.
    pub fn plan(self, properties: &ResponseProperties) -> ResponsePlan {
        let plan = match self {
            ResponseFraming::Http => return plan_response(properties),
            ResponseFraming::Uwsgi | ResponseFraming::Scgi | ResponseFraming::FastCgi { .. } => {
                plan_cgi_response(properties)
            }
        };
        // Elsewhere a body without a length ends with the connection.
        let keep_alive = plan.keep_alive && (self.is_in_records() || plan.body != ResponseBody::UntilClose);
        ResponsePlan { keep_alive, ..plan }
    }

    /// Appends a whole head: the application's fields, those that `plan` asks for, and of the server's own those that the
    /// application has not sent. An empty `server_header` is none.
    pub fn write_head(
        self,
        out: &mut Vec<u8>,
        head: &ResponseHead,
        plan: &ResponsePlan,
        server_header: &[u8],
        date: &mut DateHeader,
    ) {
        let start = out.len();
        self.write_status(out, &head.status_line);
        self.write_fields(out, head);
        if let Some(length) = head.content_length.filter(|_| !plan.drop_content_length).or(plan.add_content_length) {
            write_content_length(out, length);
        }
        if plan.add_chunked {
            write_header(out, b"Transfer-Encoding", b"chunked");
        }
        if let Some(connection) = plan.connection {
            write_header(out, b"Connection", connection.as_bytes());
        }
        if !head.has_date {
            out.extend_from_slice(date.line());
        }
        if !head.has_server && !server_header.is_empty() {
            out.extend_from_slice(b"Server: ");
            out.extend_from_slice(server_header);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        self.enclose(out, start);
    }

    /// Appends the first line of a head; `status` is like `200 OK`.
    pub fn write_status(self, out: &mut Vec<u8>, status: &[u8]) {
        match self {
            ResponseFraming::Http | ResponseFraming::Uwsgi => write_status_line(out, status),
            ResponseFraming::Scgi | ResponseFraming::FastCgi { .. } => write_cgi_status(out, status),
        }
    }

    /// Appends the application's fields.
    pub fn write_fields(self, out: &mut Vec<u8>, head: &ResponseHead) {
        if !head.has_status || matches!(self, ResponseFraming::Http | ResponseFraming::Uwsgi) {
            out.extend_from_slice(&head.fields);
            return;
        }
        // RFC 3875 6.3.3: it would be a second status.
        for line in head.fields.split_inclusive(|byte| *byte == b'\n') {
            if !line.get(..b"status:".len()).is_some_and(|name| name.eq_ignore_ascii_case(b"status:")) {
                out.extend_from_slice(line);
            }
        }
    }

    /// Whether bytes have to be put into records.
    pub fn is_in_records(self) -> bool {
        matches!(self, ResponseFraming::FastCgi { .. })
    }

    /// Puts what stands in `out` from `start` on into records, where that is wanted.
    pub fn enclose(self, out: &mut Vec<u8>, start: usize) {
        if self.is_in_records() {
            let bytes = out.split_off(start);
            self.write(out, &bytes);
        }
    }

    /// Appends `bytes` of a response, in records where that is wanted.
    pub fn write(self, out: &mut Vec<u8>, bytes: &[u8]) {
        match self {
            ResponseFraming::FastCgi { id } => write_fastcgi_stream(out, FastCgiStream::Stdout, id, bytes),
            ResponseFraming::Http | ResponseFraming::Uwsgi | ResponseFraming::Scgi => out.extend_from_slice(bytes),
        }
    }

    /// Appends lines for the reverse proxy's log; false if it takes none.
    pub fn write_errors(self, out: &mut Vec<u8>, lines: &[u8]) -> bool {
        let ResponseFraming::FastCgi { id } = self else { return false };
        write_fastcgi_stream(out, FastCgiStream::Stderr, id, lines);
        true
    }

    /// `bytes` of a response, in records where that is wanted.
    pub fn enclosed(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        if !self.is_in_records() {
            return bytes.into();
        }
        let mut out = Vec::new();
        self.write(&mut out, bytes);
        out.into()
    }

    /// What follows the last byte of a complete response, with whether lines for the reverse proxy's log have gone out.
    pub fn end(self, has_errors: bool) -> Tail {
        let ResponseFraming::FastCgi { id } = self else { return Tail::default() };
        let mut bytes = [0; 32];
        let mut out = Vec::with_capacity(bytes.len());
        out.extend_from_slice(&fastcgi_record_header(FastCgiStream::Stdout, id, 0).0);
        if has_errors {
            out.extend_from_slice(&fastcgi_record_header(FastCgiStream::Stderr, id, 0).0);
        }
        write_end_request(&mut out, id, FastCgiEnd::Complete { app_status: 0 });
        for (place, byte) in bytes.iter_mut().zip(&out) {
            *place = *byte;
        }
        debug_assert!(out.len() <= bytes.len(), "a tail that does not fit");
        Tail::Records { bytes, length: out.len() }
    }
}
