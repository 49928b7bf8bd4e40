//! Receives one variable after the other; fills in a [`GatewayHead`], or says which rule was broken.
//!
//! What becomes of a variable (RFC 3875 4.1 names most of them):
//!
//! | variable | |
//! |---|---|
//! | those of [`Given`] | read, checked, and kept as fields of the head; an empty one counts as absent |
//! | `HTTP_*` | a header, under the rules for HTTP's values |
//! | `HTTP_PROXY`, and any `HTTP_*` with anything but A-Z, 0-9 and `_` | dropped, with its name for the log |
//! | `HTTP_CONTENT_LENGTH`, `HTTP_CONTENT_TYPE`, `HTTP_TRANSFER_ENCODING` | dropped: the reverse proxy has undone the framing |
//! | `UWSGI_*` but `UWSGI_SCHEME` | dropped: uWSGI takes files to load and much else from them |
//! | `SCGI`, `GATEWAY_INTERFACE`, `SERVER_SOFTWARE` | dropped: they are about the reverse proxy's side |
//! | a name with anything but A-Z, 0-9 and `_` | dropped: `wsgi.input`, and what Apache notes for itself |
//! | an empty name, or a NUL in a name or value | rejected: nobody sends it, and C programs would read it in two ways |
//! | any other | the application's |
//!
//! Of a name that comes more than once the last counts, as everywhere with these protocols: an operator's own values
//! follow those of an included file (`include fastcgi_params`). That is not so where the client could be behind it:
//! headers are joined (nginx before 1.23 sends repeated ones apart), and what frames or routes a request is rejected.

use super::path::PathInfo;
use super::{GatewayHead, path};
use crate::forwarded::read_port;
use crate::grammar::{is_field_value, is_token};
use crate::http1::{fields, target};
use crate::{Client, GatewayLimits, Header, RequestHead, Scheme, Span, Version, WireError};

/// The variables that make the request; each has its place in the head.
#[derive(Default)]
struct Given {
    method: Option<Span>,
    request_uri: Option<Span>,
    document_uri: Option<Span>,
    script_name: Option<Span>,
    path_info: Option<Span>,
    query: Option<Span>,
    protocol: Option<Span>,
    content_length: Option<Span>,
    content_type: Option<Span>,
    remote_addr: Option<Span>,
    remote_port: Option<Span>,
    server_name: Option<Span>,
    server_port: Option<Span>,
    uwsgi_scheme: Option<Span>,
    https: Option<Span>,
    request_scheme: Option<Span>,
    host: Option<Span>,
}

/// A head that is being read from `bytes`.
pub(crate) struct Collector<'a> {
    head: &'a mut GatewayHead,
    bytes: &'a [u8],
    given: Given,
    /// How many variables may still come.
    room: usize,
}

impl<'a> Collector<'a> {
    /// Begins a head anew.
    pub(crate) fn new(head: &'a mut GatewayHead, bytes: &'a [u8], limits: &GatewayLimits) -> Self {
        head.clear();
        Self { head, bytes, given: Given::default(), room: limits.max_variables }
    }

    /// Takes one variable.
    pub(crate) fn add(&mut self, name: Span, value: Span) -> Result<(), WireError> {
        self.room = self.room.checked_sub(1).ok_or(WireError::TOO_MANY_VARIABLES)?;
        let (key, content) = (name.of(self.bytes), value.of(self.bytes));
        if key.is_empty() || memchr::memchr(0, key).is_some() {
            return Err(WireError::VARIABLE_NAME);
        }
        if memchr::memchr(0, content).is_some() {
            return Err(WireError::VARIABLE_VALUE);
        }
        if key.starts_with(b"HTTP_") {
            return self.add_header(name, value);
        }
        let given = &mut self.given;
        let place = match key {
            b"REQUEST_METHOD" => return once(&mut given.method, value, WireError::VARIABLE_REPEATED),
            b"CONTENT_LENGTH" => return once(&mut given.content_length, value, WireError::CONTENT_LENGTH_REPEATED),
            b"CONTENT_TYPE" => {
                // RFC 9110 8.3, as for HTTP.
                once(&mut given.content_type, value, WireError::CONTENT_TYPE_REPEATED)?;
                return check_value(content);
            }
            b"SERVER_PROTOCOL" => &mut given.protocol,
            b"REQUEST_URI" => &mut given.request_uri,
            // Paths are decoded already, so that any byte may stand in them: `%0A` can be part of a name.
            b"DOCUMENT_URI" => {
                // nginx's own; CGI does not know it, but some applications do.
                given.document_uri = Some(value);
                self.head.variables.push(Header { name, value });
                return Ok(());
            }
            b"SCRIPT_NAME" => &mut given.script_name,
            b"PATH_INFO" => &mut given.path_info,
            b"QUERY_STRING" => {
                check_value(content)?;
                &mut given.query
            }
            b"REMOTE_ADDR" => &mut given.remote_addr,
            b"REMOTE_PORT" => &mut given.remote_port,
            b"SERVER_NAME" => {
                check_value(content)?;
                &mut given.server_name
            }
            b"SERVER_PORT" => &mut given.server_port,
            b"UWSGI_SCHEME" => &mut given.uwsgi_scheme,
            b"HTTPS" => &mut given.https,
            b"REQUEST_SCHEME" => &mut given.request_scheme,
            b"SCGI" | b"GATEWAY_INTERFACE" | b"SERVER_SOFTWARE" => return Ok(()),
            key => {
                // Values of these are the operator's or the reverse proxy's own and may have several lines, as
                // SSL_CLIENT_CERT does.
                if is_variable_name(key) && !key.starts_with(b"UWSGI_") {
                    self.head.variables.push(Header { name, value });
                }
                return Ok(());
            }
        };
        *place = Some(value);
        Ok(())
    }

    fn add_header(&mut self, name: Span, value: Span) -> Result<(), WireError> {
        let header_name = name.of(self.bytes).get(b"HTTP_".len()..).unwrap_or_default();
        match header_name {
            b"HOST" => once(&mut self.given.host, value, WireError::HOST_REPEATED)?,
            b"CONTENT_LENGTH" | b"CONTENT_TYPE" | b"TRANSFER_ENCODING" => return Ok(()),
            // As for HTTP: programs take HTTP_PROXY for their own setting ("httpoxy").
            header_name if header_name == b"PROXY" || !is_variable_name(header_name) => {
                self.head.dropped.push(Header { name, value });
                return Ok(());
            }
            _ => {}
        }
        check_value(value.of(self.bytes))?;
        self.head.headers.push(Header { name, value });
        Ok(())
    }

    /// Makes the request of what was given.
    pub(crate) fn finish(self, path_info: PathInfo) -> Result<(), WireError> {
        let Self { head, bytes, given, .. } = self;
        let present = |span: Option<Span>| span.filter(|span| !span.is_empty());
        let text = |span: Option<Span>| present(span).map(|span| span.of(bytes));

        head.method = present(given.method).ok_or(WireError::METHOD_MISSING)?;
        head.target = given.request_uri.unwrap_or_default();
        let target = read_target(head, bytes)?;
        head.is_head = head.method.of(bytes) == b"HEAD";
        head.query = given.query.unwrap_or(target.query);

        let paths = path::GivenPath {
            script_name: given.script_name.unwrap_or_default(),
            path_info: given.path_info,
            target_path: present(Some(target.path)),
            document_uri: present(given.document_uri),
        };
        paths.split(head, bytes, path_info)?;

        head.protocol = given.protocol.unwrap_or_default();
        head.version = read_protocol(head.protocol.of(bytes))?;
        head.scheme = read_scheme(text(given.uwsgi_scheme), text(given.https), text(given.request_scheme))?;
        head.client = read_client(text(given.remote_addr), text(given.remote_port))?;
        head.server_name = given.server_name.unwrap_or_default();
        head.server_port = given.server_port.unwrap_or_default();
        if text(given.server_port).is_some_and(|port| read_port(port).is_none()) {
            return Err(WireError::SERVER_PORT_INVALID);
        }
        head.content_type = given.content_type.unwrap_or_default();
        head.content_length = text(given.content_length).map(fields::read_content_length).transpose()?;
        // The reverse proxy has seen to it that there is one where there has to be.
        fields::check_host(given.host.map(|host| host.of(bytes)), Version::Http10)
    }
}

fn once(place: &mut Option<Span>, value: Span, repeated: WireError) -> Result<(), WireError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(repeated),
    }
}

/// RFC 9110 5.5: what an HTTP header could not hold, a variable that tells of one cannot either.
fn check_value(value: &[u8]) -> Result<(), WireError> {
    if is_field_value(value) { Ok(()) } else { Err(WireError::FIELD_VALUE) }
}

/// A name that cannot be one of the server's own keys in environ.
fn is_variable_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
}

/// Holds method and target against the rules for a request line, RFC 9112 3. A reverse proxy that tells no target
/// leaves only the method.
fn read_target(head: &GatewayHead, bytes: &[u8]) -> Result<RequestHead, WireError> {
    let method = head.method.of(bytes);
    if !is_token(method) {
        return Err(WireError::METHOD);
    }
    let mut line = RequestHead { method: head.method, target: head.target, ..RequestHead::default() };
    if !head.target.is_empty() {
        target::interpret(&mut line, bytes)?;
    } else if matches!(method, b"CONNECT" | b"TRACE") {
        return Err(WireError::METHOD_NOT_ALLOWED);
    }
    Ok(line)
}

/// `SERVER_PROTOCOL`, RFC 3875 4.1.16: whichever version the reverse proxy speaks with the client.
fn read_protocol(protocol: &[u8]) -> Result<Version, WireError> {
    match protocol {
        b"HTTP/1.0" | b"HTTP/0.9" => Ok(Version::Http10),
        []
        | [b'H', b'T', b'T', b'P', b'/', b'1'..=b'9']
        | [b'H', b'T', b'T', b'P', b'/', b'1'..=b'9', b'.', b'0'..=b'9'] => Ok(Version::Http11),
        _ => Err(WireError::VERSION_SYNTAX),
    }
}

/// The scheme: as said for this server (`UWSGI_SCHEME`), else as CGI has it (`HTTPS`), else as nginx and Apache
/// name that of their own side. An operator whose TLS ends before nginx sets one of the former.
fn read_scheme(
    uwsgi_scheme: Option<&[u8]>,
    https: Option<&[u8]>,
    request_scheme: Option<&[u8]>,
) -> Result<Option<Scheme>, WireError> {
    let scheme = match (uwsgi_scheme, https, request_scheme) {
        (None, Some(https), _) => match https {
            b"1" => Scheme::Https,
            b"0" => Scheme::Http,
            _ if https.eq_ignore_ascii_case(b"on") => Scheme::Https,
            _ if https.eq_ignore_ascii_case(b"off") => Scheme::Http,
            _ => return Err(WireError::SCHEME_INVALID),
        },
        (Some(scheme), ..) | (None, None, Some(scheme)) => Scheme::named(scheme).ok_or(WireError::SCHEME_INVALID)?,
        (None, None, None) => return Ok(None),
    };
    Ok(Some(scheme))
}

/// `REMOTE_ADDR` and `REMOTE_PORT`. A wrong guess of who the client is could let it in somewhere, so what cannot be
/// read is rejected.
fn read_client(address: Option<&[u8]>, port: Option<&[u8]>) -> Result<Option<Client>, WireError> {
    let Some(address) = address else { return Ok(None) };
    // nginx of a client on a Unix socket.
    if address == b"unix:" {
        return Ok(Some(Client::default()));
    }
    let address = str::from_utf8(address).ok().and_then(|address| address.parse().ok());
    let address: std::net::IpAddr = address.ok_or(WireError::REMOTE_ADDR_INVALID)?;
    let port = port.map(|port| read_port(port).ok_or(WireError::REMOTE_PORT_INVALID)).transpose()?;
    // Port 0 is no port.
    Ok(Some(Client { address: Some(address.to_canonical()), port: port.filter(|port| *port != 0) }))
}
