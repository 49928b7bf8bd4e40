//! Receives a request head that was read, and what is known of who has sent it; hands on the bytes of the head with which
//! the request is passed on to another server (RFC 9110 7.6).
//!
//! What frames the message, routes it or tells of the client is written from what was understood and never copied: so the
//! server reads the same request that was read here. Everything else is held against its grammar once more, since the
//! values of a reverse proxy's variables may be anything.

use crate::forwarded::{Scheme, is_forwarded_name};
use crate::grammar::{is_field_value, is_target, is_token};
use crate::http1::encode::{write_content_length, write_header};
use crate::http1::hop_by_hop::HopByHop;
use crate::http1::target::is_authority;
use crate::{Framing, Header, RequestHead, TargetForm, TraceParent, WireError};
use std::borrow::Cow;
use std::net::IpAddr;

/// A request that is passed on.
#[derive(Clone, Copy, Debug)]
pub struct PassedOn<'a> {
    /// Its head.
    pub head: &'a RequestHead,
    /// The bytes that the head was read from.
    pub bytes: &'a [u8],
    /// The target, where it is not the one that the request came with.
    pub target: Option<&'a [u8]>,
    /// What was taken from the path to make that target; empty for nothing.
    pub prefix: &'a [u8],
    /// Host, where it is not the one that the request came with.
    pub host: Option<&'a [u8]>,
    /// Where the body ends that is sent after it.
    pub framing: Framing,
    /// What is to become of the connection.
    pub connection: PassedConnection,
    /// What the server is told of the client.
    pub forwarding: Forwarding,
    /// What was understood of the client, where variables say it; none if nothing but what is said in `forwarding`.
    pub understood: Option<Understood<'a>>,
    /// The trace that it is a part of, where that is ours to say; none to send on what it came with.
    pub trace: Option<PassedTrace>,
    /// Our name in Via (RFC 9110 7.6.3); empty to leave that out.
    pub via: &'a str,
}

/// What a server is sent of a trace in place of what the request came with (W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedTrace {
    /// Our span, as the parent of what is done there.
    pub parent: TraceParent,
    /// Whether the trace is the one that the request came with, so that its `tracestate` goes on with it (4.3).
    pub keeps_state: bool,
}

/// What a request begins with, held against its grammar.
pub(crate) struct RequestStart<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) target: Cow<'a, [u8]>,
    /// That the request came for; may be empty.
    pub(crate) host: &'a [u8],
}

/// What was understood of a request's client, by whoever said it. Headers leave that to be found out once more; variables
/// say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Understood<'a> {
    /// Its address; none on a Unix socket.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: Option<u16>,
    /// The scheme that it used.
    pub scheme: Scheme,
    /// The host that it has asked for; empty if none.
    pub host: &'a [u8],
    /// What a reverse proxy before has taken from the path.
    pub prefix: &'a [u8],
}

/// What is to become of the connection that a request is passed on over.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum PassedConnection {
    /// It is kept for further requests.
    #[default]
    Keep,
    /// It is closed after the response.
    Close,
    /// The protocol that the request asks for may be spoken on it.
    Upgrade,
}

/// What a server is told of the client, and by which family of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// The headers.
    pub family: ForwardedFamily,
    /// Whether the peer is a reverse proxy that is believed: what it says is passed on with ours. Of others it is left
    /// out, since they could say anything.
    pub is_trusted: bool,
    /// Who has sent the request; none on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The scheme that it was sent by.
    pub scheme: Scheme,
}

/// Headers that tell of a client.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum ForwardedFamily {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Standard,
    /// None of ours.
    Neither,
}

impl RequestHead {
    /// The target in the form that a server is sent: without scheme and authority (RFC 9112 3.2.1 and 3.2.4).
    #[must_use]
    pub fn origin_target<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.form != TargetForm::Absolute {
            return self.target.of(bytes).into();
        }
        let after_authority = bytes.get(self.authority.end as usize..self.target.end as usize).unwrap_or_default();
        match after_authority {
            [] if self.method.of(bytes) == b"OPTIONS" => b"*"[..].into(),
            [b'/', ..] => after_authority.into(),
            _ => [b"/", after_authority].concat().into(),
        }
    }

    /// The host that the request is for: the authority of an absolute target goes before Host (RFC 9112 3.2.2). Empty if
    /// there is neither.
    #[must_use]
    pub fn effective_host<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        if self.form == TargetForm::Absolute {
            self.authority.of(bytes)
        } else {
            self.header(bytes, "host").unwrap_or_default()
        }
    }
}

impl PassedTrace {
    /// Whether a field of this name is not sent on.
    fn replaces(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(b"traceparent") || !self.keeps_state && name.eq_ignore_ascii_case(b"tracestate")
    }
}

impl PassedOn<'_> {
    /// Appends the head.
    ///
    /// # Errors
    ///
    /// What the head has that nobody could pass on without making another request of it. `out` is as before then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        let start = out.len();
        let written = self.write_lines(out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn write_lines(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        let RequestStart { method, target, host } = self.start()?;
        out.extend_from_slice(method);
        out.push(b' ');
        out.extend_from_slice(&target);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        // RFC 9112 3.2: first, and always.
        write_header(out, b"Host", self.host.unwrap_or(host));
        self.write_end_to_end(out)?;
        match self.framing {
            Framing::Empty => {}
            Framing::Length(length) => write_content_length(out, length),
            Framing::Chunked => write_header(out, b"Transfer-Encoding", b"chunked"),
        }
        self.write_connection(out)?;
        self.write_forwarded(out, host)?;
        if !self.via.is_empty() {
            let via = format!("1.1 {}", self.via);
            write_checked(out, b"Via", via.as_bytes())?;
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The checked start.
    pub(crate) fn start(&self) -> Result<RequestStart<'_>, WireError> {
        let Self { head, bytes, .. } = *self;
        let method = head.method.of(bytes);
        let target = self.target.map_or_else(|| head.origin_target(bytes), Cow::Borrowed);
        if !is_token(method) {
            return Err(WireError::METHOD);
        }
        if !is_target(&target) {
            return Err(WireError::TARGET_CHARACTER);
        }
        let host = head.effective_host(bytes);
        for host in [host, self.host.unwrap_or_default()] {
            if !host.is_empty() && !is_authority(host) {
                return Err(WireError::HOST_INVALID);
            }
        }
        Ok(RequestStart { method, target, host })
    }

    /// The fields that are the server's business, as they came.
    pub(crate) fn write_end_to_end(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        let hop_by_hop = HopByHop::of(&self.head.headers, self.bytes);
        for Header { name, value } in &self.head.headers {
            let (name, value) = (name.of(self.bytes), value.of(self.bytes));
            let is_ours = match name.len() {
                4 => name.eq_ignore_ascii_case(b"host"),
                // Whoever receives the body here has said by then whether it is wanted (RFC 9110 10.1.1).
                6 => name.eq_ignore_ascii_case(b"expect"),
                10 | 11 => self.trace.is_some_and(|trace| trace.replaces(name)),
                14 => name.eq_ignore_ascii_case(b"content-length"),
                _ => is_forwarded_name(name) && !self.is_passed_as_it_is(name),
            };
            // Names that CGI cannot tell from others (RFC 3875 4.1.18) would be another header to some servers.
            if !is_ours && !name.contains(&b'_') && !hop_by_hop.contains(name) {
                write_checked(out, name, value)?;
            }
        }
        if let Some(trace) = self.trace {
            write_header(out, b"traceparent", &trace.parent.encode());
        }
        Ok(())
    }

    /// Whether a forwarded header of a believed peer is not one that we add to.
    fn is_passed_as_it_is(&self, name: &[u8]) -> bool {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        self.forwarding.is_trusted
            && (self.prefix.is_empty() || !is(b"x-forwarded-prefix"))
            && match self.forwarding.family {
                ForwardedFamily::XForwarded => !is(b"x-forwarded-for") && !is(b"forwarded"),
                ForwardedFamily::Standard => !is(b"forwarded"),
                ForwardedFamily::Neither => true,
            }
    }

    fn write_connection(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        match self.connection {
            PassedConnection::Keep => {}
            PassedConnection::Close => write_header(out, b"Connection", b"close"),
            PassedConnection::Upgrade => {
                write_header(out, b"Connection", b"upgrade");
                write_checked(out, b"Upgrade", &self.joined("upgrade"))?;
            }
        }
        Ok(())
    }

    /// What we say of the client, after what a believed peer says of it. `host` is the one that the request came for.
    pub(crate) fn write_forwarded(&self, out: &mut Vec<u8>, host: &[u8]) -> Result<(), WireError> {
        let Forwarding { family, is_trusted, peer, scheme } = self.forwarding;
        let peer = peer.map(|peer| peer.to_canonical());
        let before = |name: &'static str| if is_trusted { self.joined(name) } else { Vec::new() };
        if !self.prefix.is_empty() {
            let prefix = [&before("x-forwarded-prefix"), self.prefix].concat();
            write_checked(out, b"X-Forwarded-Prefix", &prefix)?;
        }
        match family {
            ForwardedFamily::Neither => {}
            ForwardedFamily::XForwarded if !before("forwarded").is_empty() => {
                // What the peer says in one family is added to in that one, else the two would say different things of the
                // client; and nothing is said of scheme and host, which it has said.
                let named = before("x-forwarded-for");
                if !named.is_empty() {
                    let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
                    write_checked(out, b"X-Forwarded-For", &list(named, peer.as_bytes()))?;
                }
                let element = peer.map(|peer| format!("for={}", node(Some(peer)))).unwrap_or_default();
                write_checked(out, b"Forwarded", &list(before("forwarded"), element.as_bytes()))?;
            }
            ForwardedFamily::XForwarded => {
                let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
                let entries = list(before("x-forwarded-for"), peer.as_bytes());
                if !entries.is_empty() {
                    write_checked(out, b"X-Forwarded-For", &entries)?;
                }
                if before("x-forwarded-proto").is_empty() {
                    write_header(out, b"X-Forwarded-Proto", scheme.name().as_bytes());
                }
                if before("x-forwarded-host").is_empty() && !host.is_empty() {
                    write_header(out, b"X-Forwarded-Host", host);
                }
            }
            ForwardedFamily::Standard => {
                let mut element = format!("for={};proto={}", node(peer), scheme.name()).into_bytes();
                if !host.is_empty() {
                    // A valid authority has neither quotes nor backslashes.
                    element.extend([b";host=\"", host, b"\""].concat());
                }
                write_checked(out, b"Forwarded", &list(before("forwarded"), &element))?;
            }
        }
        Ok(())
    }

    /// The values of all fields called `name`, as one list (RFC 9110 5.3).
    fn joined(&self, name: &'static str) -> Vec<u8> {
        let named = self.head.headers.iter();
        let named = named.filter(|header| header.name.of(self.bytes).eq_ignore_ascii_case(name.as_bytes()));
        named.map(|header| header.value.of(self.bytes)).fold(Vec::new(), list)
    }
}

/// A peer as `Forwarded` names it.
fn node(peer: Option<IpAddr>) -> String {
    match peer {
        Some(IpAddr::V4(address)) => address.to_string(),
        // RFC 7239 6.1: in brackets, and so in quotes.
        Some(IpAddr::V6(address)) => format!("\"[{address}]\""),
        None => "unknown".to_owned(),
    }
}

/// A list with one more entry.
fn list(mut list: Vec<u8>, entry: &[u8]) -> Vec<u8> {
    if !list.is_empty() && !entry.is_empty() {
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(entry);
    list
}

/// Appends a field line, unless it would be more or less than one.
fn write_checked(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), WireError> {
    if !is_token(name) {
        return Err(WireError::FIELD_NAME);
    }
    if !is_field_value(value) {
        return Err(WireError::FIELD_VALUE);
    }
    write_header(out, name, value);
    Ok(())
}
