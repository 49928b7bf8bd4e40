//! Receives a request that is passed on, and what was understood of its client; hands on the variables by which a server
//! is told of both over uwsgi and FastCGI (RFC 3875 4.1).
//!
//! The headers are those that go on over HTTP, by the same rules (`http1::passed_on`): each becomes `HTTP_*`. Not so
//! `X-Forwarded-Prefix`, which is `SCRIPT_NAME`; `Proxy`, which many programs would take for a setting of their own
//! (`HTTP_PROXY`); and names that a variable cannot tell from others. What comes more than once is joined, since of
//! variables the last would count.

use crate::grammar::percent_decode_into;
use crate::{Framing, PassedOn, Scheme, Span, Understood, Version, WireError};

/// Variables, in the order in which they are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    bytes: Vec<u8>,
    spans: Vec<(Span, Span)>,
    /// Names that an operator has given a value.
    given: Vec<Span>,
}

impl Variables {
    /// Names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.spans.iter().map(|(name, value)| (name.of(&self.bytes), value.of(&self.bytes)))
    }

    /// Those that an operator gives: they stand in place of ours.
    fn given(variables: &[(String, String)]) -> Variables {
        let mut all = Variables::default();
        for (name, value) in variables {
            all.add(&[name.as_bytes()], &[value.as_bytes()]);
        }
        all.given = all.spans.iter().map(|(name, _)| *name).collect();
        all
    }

    /// Adds one, whose name and value are in several parts.
    fn add(&mut self, name: &[&[u8]], value: &[&[u8]]) {
        let bytes = &mut self.bytes;
        let start = bytes.len();
        for part in name {
            bytes.extend_from_slice(part);
        }
        let middle = bytes.len();
        if self.given.iter().any(|given| given.of(bytes) == bytes.get(start..).unwrap_or_default()) {
            bytes.truncate(start);
            return;
        }
        for part in value {
            bytes.extend_from_slice(part);
        }
        self.spans.push((Span::new(start, middle), Span::new(middle, bytes.len())));
    }
}

impl PassedOn<'_> {
    /// The variables of the request, beside those that an operator has `given`.
    ///
    /// # Errors
    ///
    /// What the request has that nobody could pass on without making another one of it.
    pub fn variables(&self, given: &[(String, String)]) -> Result<Variables, WireError> {
        let start = self.start()?;
        let Understood { address, port, scheme, host, prefix } = self.understood.unwrap_or(Understood {
            address: self.forwarding.peer,
            port: None,
            scheme: self.forwarding.scheme,
            host: start.host,
            prefix: b"",
        });
        let host = self.host.unwrap_or(host);
        let (path, query) = split_once(&start.target, b'?');
        let mut path_info = Vec::with_capacity(path.len());
        percent_decode_into(path, &mut path_info);
        // Programs in C would take what stands before it for all of the path.
        if path_info.contains(&0) {
            return Err(WireError::VARIABLE_VALUE);
        }
        let mut variables = Variables::given(given);
        variables.add(&[b"REQUEST_METHOD"], &[start.method]);
        variables.add(&[b"REQUEST_URI"], &[&self.head.origin_target(self.bytes)]);
        variables.add(&[b"SCRIPT_NAME"], &[prefix, self.prefix]);
        variables.add(&[b"PATH_INFO"], &[&path_info]);
        variables.add(&[b"QUERY_STRING"], &[query]);
        let version: &[u8] = if self.head.version == Version::Http10 { b"HTTP/1.0" } else { b"HTTP/1.1" };
        variables.add(&[b"SERVER_PROTOCOL"], &[version]);
        let (server_name, server_port) = split_host(host, scheme);
        variables.add(&[b"SERVER_NAME"], &[server_name]);
        variables.add(&[b"SERVER_PORT"], &[server_port]);
        variables.add(&[b"REQUEST_SCHEME"], &[scheme.name().as_bytes()]);
        if scheme == Scheme::Https {
            variables.add(&[b"HTTPS"], &[b"on"]);
        }
        match address {
            Some(address) => variables.add(&[b"REMOTE_ADDR"], &[address.to_canonical().to_string().as_bytes()]),
            // As nginx says it, and our own listeners understand: else whoever passes on is taken for the client.
            None => variables.add(&[b"REMOTE_ADDR"], &[b"unix:"]),
        }
        if let Some(port) = port {
            variables.add(&[b"REMOTE_PORT"], &[port.to_string().as_bytes()]);
        }
        if let Framing::Length(length) = self.framing {
            variables.add(&[b"CONTENT_LENGTH"], &[itoa::Buffer::new().format(length).as_bytes()]);
        }
        if !host.is_empty() {
            variables.add(&[b"HTTP_HOST"], &[host]);
        }
        let mut lines = Vec::new();
        self.write_end_to_end(&mut lines)?;
        self.write_forwarded(&mut lines, start.host)?;
        add_headers(&mut variables, &lines);
        Ok(variables)
    }
}

/// Adds what field lines stand for, each of which was checked when it was written.
fn add_headers(variables: &mut Variables, lines: &[u8]) {
    let lines = lines.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut named: Vec<(Vec<u8>, &[u8])> = lines
        .map(|line| split_once(line, b':'))
        .filter(|(name, _)| is_variable(name))
        .map(|(name, value)| (variable_part(name), value.strip_prefix(b" ").unwrap_or(value)))
        .collect();
    // Stable: those of one name stay in order.
    named.sort_by(|one, other| one.0.cmp(&other.0));
    for group in named.chunk_by(|one, other| one.0 == other.0) {
        let Some((name, _)) = group.first() else { continue };
        // RFC 9110 5.3, RFC 6265 5.4.
        let separator: &[u8] = if name == b"COOKIE" { b"; " } else { b", " };
        let mut value = Vec::new();
        for (index, (_, part)) in group.iter().enumerate() {
            if index > 0 {
                value.push(separator);
            }
            value.push(part);
        }
        let prefix: &[u8] = if name == b"CONTENT_TYPE" { b"" } else { b"HTTP_" };
        variables.add(&[prefix, name], &value);
    }
}

/// Whether a header becomes a variable.
fn is_variable(name: &[u8]) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && !is(b"proxy")
        && !is(b"x-forwarded-prefix")
}

/// RFC 3875 4.1.18.
fn variable_part(name: &[u8]) -> Vec<u8> {
    name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }).collect()
}

/// Name and port of a valid host; the usual port of the scheme where it has none.
fn split_host(host: &[u8], scheme: Scheme) -> (&[u8], &[u8]) {
    let usual: &[u8] = if scheme == Scheme::Https { b"443" } else { b"80" };
    let after_literal = host.iter().position(|byte| *byte == b']').unwrap_or(0);
    let colon = host.iter().skip(after_literal).position(|byte| *byte == b':').map(|at| after_literal + at);
    let (name, port) = match colon.and_then(|colon| host.split_at_checked(colon)) {
        Some((name, port)) => (name, port.get(1..).unwrap_or_default()),
        None => (host, usual),
    };
    // PEP 3333: neither may be empty.
    let name: &[u8] = if name.is_empty() { b"localhost" } else { name };
    (name, if port.is_empty() { usual } else { port })
}

/// What stands before and after the first `separator`; all before it where there is none.
fn split_once(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == separator).unwrap_or(bytes.len());
    (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default())
}
