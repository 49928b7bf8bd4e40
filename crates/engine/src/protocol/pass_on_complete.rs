//! A request whose body is complete, or streams like one for the application, and that an upstream responds to: one of
//! uwsgi, SCGI or FastCGI, or one for which files were looked for first. A task of its own passes it on.
//!
//! What has come as variables becomes a head of HTTP/1 again, held against its grammar: they may hold anything. The client
//! is the one that the reverse proxy names, and what the headers say of others is left out.

use super::pass_on::client_response::end_to_end;
use super::pass_on::directions::disconnected;
use super::pass_on::{client_gone, report};
use crate::budget::Reservation;
use crate::exchange::engine_response::EngineResponse;
use crate::exchange::request::Request;
use crate::exchange::server_response::reason_phrase;
use crate::message::body::{Body, Rest};
use crate::message::inbound::Inbound;
use crate::message::response_head::ResponseHead;
use crate::message::temporary_file::TemporaryFile;
use crate::routing::UpstreamRow;
use crate::upstream::ends::{RequestSource, ResponseSink, SourceGone};
use crate::upstream::failure::Reason;
use crate::upstream::forward::forward;
use portico_wire::{
    ForwardedFamily, Forwarding, Framing, GatewayHead, Limits, PassedConnection, PassedOn, RequestHead, Scheme,
    Understood, WireError, check_response_header_name, check_response_header_value, percent_decode_into, write_header,
};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What of a file is handed on at a time.
const BLOCK_BYTES: usize = 64 * 1024;
/// So much of a response is coalesced before it leaves.
const COALESCED_BYTES: usize = 32 * 1024;

/// Has the upstream of `row` respond to `request`, which has its room among those in flight.
pub fn pass_on_complete(request: Request, row: Arc<UpstreamRow>) {
    let handle = request.connection.resources.handle.clone();
    handle.spawn(respond(request, row));
}

async fn respond(request: Request, row: Arc<UpstreamRow>) {
    let connection = request.connection.clone();
    let origin = &connection.origin;
    let copied = Copied::of(&request, &row, origin.client(), origin.is_tls());
    let buffered = match &request.body {
        Body::Buffered(range) => request.inbound.bytes().get(range.clone()).unwrap_or_default().to_vec(),
        _ => Vec::new(),
    };
    let trace = request.inbound.trace.as_ref().map(|trace| trace.passed_on());
    let (response, body) = EngineResponse::new(request);
    let mut sink = Whole { response: Some(response), out: Vec::new(), has_left: false };
    let mut source = Source::of(body, buffered);
    let outcome = match copied {
        Ok(copied) => {
            let framing = source.framing(copied.head.framing);
            let is_trusted = copied.is_trusted;
            let (peer, scheme) = (copied.peer, copied.scheme);
            let understood = copied.understood();
            let passed_on = PassedOn {
                head: &copied.head,
                bytes: &copied.bytes,
                prefix: &copied.prefix,
                target: copied.target.as_deref(),
                host: None,
                framing,
                connection: PassedConnection::Keep,
                forwarding: Forwarding { family: ForwardedFamily::XForwarded, is_trusted, peer, scheme },
                understood: Some(understood),
                trace,
                via: "",
            };
            let buffers = &connection.resources.buffers;
            let outcome = tokio::select! {
                biased;
                outcome = forward(&row.upstream, passed_on, &mut source, &mut sink, buffers) => outcome,
                () = disconnected(&connection) => Err(client_gone(&row)),
            };
            outcome.map(|_| ()).map_err(|unforwarded| {
                let request = (&copied.head, copied.bytes.as_slice());
                report(&connection, &row, request, &unforwarded.failure, sink.has_left);
                unforwarded.failure.reason
            })
        }
        Err(error) => Err(Reason::Unfit(error)),
    };
    if let Err(reason) = outcome
        && let Some(response) = sink.response.filter(|_| !sink.has_left)
        && reason.status() > 0
    {
        send_status(response, reason.status());
    }
}

/// Responds in the place of the members.
fn send_status(mut response: EngineResponse, status: u16) {
    let line = format!("{status} {}", reason_phrase(status));
    let mut body = format!("{line}\n").into_bytes();
    let mut head = ResponseHead { status, status_line: line.into_bytes(), ..ResponseHead::default() };
    write_header(&mut head.fields, b"Content-Type", b"text/plain; charset=utf-8");
    if status == 503 {
        write_header(&mut head.fields, b"Retry-After", b"1");
    }
    response.put_error_page(&mut head, &mut body);
    response.start(&head, Some(body.len() as u64));
    response.end_with_block(body);
}

/// A request's head that does not depend on its buffer, which is the response's now.
struct Copied {
    head: RequestHead,
    bytes: Vec<u8>,
    target: Option<Vec<u8>>,
    /// What of the path is not in that.
    prefix: Vec<u8>,
    is_trusted: bool,
    peer: Option<IpAddr>,
    scheme: Scheme,
    /// What is understood of the client, beside the host of the head and what is in `prefix`.
    client: (Option<IpAddr>, Option<u16>),
    client_scheme: Scheme,
    forwarded_host: Vec<u8>,
    forwarded_prefix: Vec<u8>,
}

impl Copied {
    fn of(request: &Request, row: &UpstreamRow, peer: Option<SocketAddr>, is_tls: bool) -> Result<Copied, WireError> {
        let inbound = &request.inbound;
        let scheme = if is_tls { Scheme::Https } else { Scheme::Http };
        let understood = inbound.understood(peer, scheme);
        let is_trusted = inbound.gateway().is_none() && request.connection.origin.is_trusted();
        let mut copied = Copied {
            head: RequestHead::new(),
            bytes: Vec::new(),
            target: None,
            prefix: Vec::new(),
            is_trusted,
            peer: peer.map(|peer| peer.ip()),
            scheme,
            client: (understood.address, understood.port),
            client_scheme: understood.scheme,
            forwarded_host: understood.host.to_vec(),
            forwarded_prefix: understood.prefix.to_vec(),
        };
        let Some(gateway) = inbound.gateway() else {
            (copied.head, copied.bytes) = (inbound.head.clone(), inbound.bytes().to_vec());
            copied.head.upgrade = false;
            copied.target = row.target(inbound);
            if copied.target.is_some() {
                copied.prefix = row.mount.as_bytes().to_vec();
            }
            return Ok(copied);
        };
        copied.bytes = head_of_variables(inbound)?;
        if copied.head.read(&copied.bytes, &Limits::default())?.is_none() {
            return Err(WireError::HEAD_TOO_LARGE);
        }
        copied.head.upgrade = false;
        // A body that is said to be empty is another matter than none.
        copied.head.framing = inbound.head.framing;
        // Whom the reverse proxy names is the client, and nobody is before that.
        (copied.peer, copied.scheme) = (understood.address, understood.scheme);
        copied.forwarded_host = copied.head.effective_host(&copied.bytes).to_vec();
        if let Some(target) = target_below(inbound, gateway, &row.mount) {
            let script_name = gateway.script_name.of(inbound.bytes());
            copied.target = Some(target);
            copied.prefix = [script_name, row.mount.as_bytes()].concat();
        }
        Ok(copied)
    }

    fn understood(&self) -> Understood<'_> {
        let (address, port) = self.client;
        Understood {
            address,
            port,
            scheme: self.client_scheme,
            host: &self.forwarded_host,
            prefix: &self.forwarded_prefix,
        }
    }
}

/// The target without what the reverse proxy says that it is mounted at, and without `mount`; none if it is what the
/// client has sent.
fn target_below(inbound: &Inbound, gateway: &GatewayHead, mount: &str) -> Option<Vec<u8>> {
    let bytes = inbound.bytes();
    if gateway.script_name.is_empty() && mount.is_empty() && is_as_sent(gateway, bytes) {
        return None;
    }
    let path = if mount.is_empty() { inbound.head.path.of(bytes) } else { inbound.below(mount)? };
    let mut target = Vec::new();
    if gateway.path_is_encoded {
        target.extend_from_slice(path);
    } else {
        write_quoted(&mut target, path);
    }
    if target.is_empty() {
        target.push(b'/');
    }
    write_query(&mut target, gateway.query.of(bytes));
    Some(target)
}

/// Whether the reverse proxy has the path and the query that the client has sent. Where it has rewritten them, or made
/// one path of `/a/../b`, its own are those that it has decided on.
fn is_as_sent(gateway: &GatewayHead, bytes: &[u8]) -> bool {
    let target = gateway.target.of(bytes);
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    let (path, query) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut decoded = Vec::with_capacity(path.len());
    percent_decode_into(path, &mut decoded);
    let is_path = gateway.path_is_encoded || decoded == gateway.path_info.of(bytes);
    // Without a target one is made, of both.
    target.is_empty() || (is_path && query == gateway.query.of(bytes))
}

fn write_query(target: &mut Vec<u8>, query: &[u8]) {
    if !query.is_empty() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
}

/// The head of HTTP/1 that a reverse proxy's variables stand for.
fn head_of_variables(inbound: &Inbound) -> Result<Vec<u8>, WireError> {
    let (bytes, Some(gateway)) = (inbound.bytes(), inbound.gateway()) else { return Err(WireError::METHOD) };
    let mut out = [gateway.method.of(bytes), b" "].concat();
    if gateway.target.is_empty() {
        let path = [gateway.script_name.of(bytes), gateway.path_info.of(bytes)].concat();
        write_quoted(&mut out, if path.is_empty() { b"/" } else { &path });
        write_query(&mut out, gateway.query.of(bytes));
    } else {
        out.extend_from_slice(gateway.target.of(bytes));
    }
    let mut spaces = out.iter().filter(|byte| **byte == b' ');
    if spaces.next().is_none() || spaces.next().is_some() || out.iter().any(u8::is_ascii_control) {
        return Err(WireError::TARGET_CHARACTER);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let has_host = gateway.headers.iter().any(|header| header.name.of(bytes) == b"HTTP_HOST");
    let named = gateway.headers.iter().map(|header| (name_of(header.name.of(bytes)), header.value.of(bytes)));
    let host = (!has_host).then(|| (b"host".to_vec(), gateway.server_name.of(bytes)));
    let content_type = gateway.content_type.of(bytes);
    let content_type = (!content_type.is_empty()).then(|| (b"content-type".to_vec(), content_type));
    for (name, value) in host.into_iter().chain(content_type).chain(named) {
        if !check_response_header_name(&name) {
            return Err(WireError::FIELD_NAME);
        }
        if !check_response_header_value(value) {
            return Err(WireError::FIELD_VALUE);
        }
        // The body's end is known otherwise, and the reverse proxy has answered what the client has expected.
        if !matches!(&*name, b"content-length" | b"transfer-encoding" | b"expect" | b"connection") {
            write_header(&mut out, &name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// `HTTP_X_NAME` as a header's name.
fn name_of(variable: &[u8]) -> Vec<u8> {
    let name = variable.strip_prefix(b"HTTP_").unwrap_or(variable);
    name.iter().map(|byte| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect()
}

/// A decoded path as it stands in a target (RFC 3986 3.3).
fn write_quoted(out: &mut Vec<u8>, path: &[u8]) {
    for byte in path {
        if byte.is_ascii_alphanumeric() || b"/:@!$&'()*+,;=-._~".contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

/// Where the request's body is.
struct Source {
    memory: Vec<u8>,
    file: Option<TemporaryFile>,
    rest: Option<Rest>,
    /// What of memory or file was handed on.
    given: u64,
    /// Whether something of the rest was, which is lost then.
    is_rest_begun: bool,
    /// What the kept bytes hold of the server's budgets.
    held: Option<Reservation>,
}

impl Source {
    fn of(body: Body, buffered: Vec<u8>) -> Source {
        let (kept, rest) = match body {
            Body::Empty | Body::Buffered(_) => (None, None),
            Body::Kept(kept) => (Some(*kept), None),
            Body::Streamed(stream) => (Some(stream.before_call), Some(stream.rest)),
        };
        let mut source = Source { memory: buffered, file: None, rest, given: 0, is_rest_begun: false, held: None };
        if let Some(kept) = kept {
            (source.memory, source.file, source.held) = (kept.memory, kept.file, Some(kept.held));
        }
        source
    }

    /// Bytes that are there.
    fn len(&self) -> u64 {
        self.file.as_ref().map_or(self.memory.len() as u64, TemporaryFile::length)
    }

    /// How the body is framed that `declared` is the framing of.
    fn framing(&self, declared: Framing) -> Framing {
        match &self.rest {
            Some(rest) => rest.length.map_or(Framing::Chunked, Framing::Length),
            None if self.len() == 0 && declared != Framing::Length(0) => Framing::Empty,
            None => Framing::Length(self.len()),
        }
    }
}

impl RequestSource for Source {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, SourceGone> {
        if self.given < self.len() {
            let block = match &self.file {
                None => self.memory.clone(),
                Some(file) => {
                    let size = usize::try_from(file.length() - self.given).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
                    let mut block = vec![0; size];
                    // Written a moment ago, and never to be kept: it is in the page cache.
                    file.read_at(&mut block, self.given).map_err(|_| SourceGone)?;
                    block
                }
            };
            self.given += block.len() as u64;
            return Ok(Some(block));
        }
        let Some(rest) = &mut self.rest else { return Ok(None) };
        self.is_rest_begun = true;
        rest.next().await.transpose().map_err(|_| SourceGone)
    }

    fn is_at_hand(&self) -> bool {
        self.rest.is_none() || self.given < self.len()
    }

    fn rewind(&mut self) -> bool {
        self.given = 0;
        !self.is_rest_begun
    }

    async fn next_raw(&mut self) -> io::Result<Option<Vec<u8>>> {
        // No upgrade was asked for.
        Ok(None)
    }
}

/// Where the response goes.
struct Whole {
    /// None once it has ended.
    response: Option<EngineResponse>,
    /// What is coalesced.
    out: Vec<u8>,
    /// Whether something may have left: until then another response can take its place.
    has_left: bool,
}

impl Whole {
    async fn send(&mut self, is_last: bool) -> io::Result<()> {
        let Some(response) = &mut self.response else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let mut out = std::mem::take(&mut self.out);
        if !response.has_body() {
            out.clear();
        }
        if out.is_empty() && !is_last { Ok(()) } else { response.block(out, is_last).await }
    }
}

impl ResponseSink for Whole {
    async fn interim(&mut self, _: &portico_wire::ResponseHead, _: &[u8]) -> io::Result<()> {
        // Reverse proxies that speak other protocols do not know them.
        Ok(())
    }

    async fn start(&mut self, head: &portico_wire::ResponseHead, bytes: &[u8]) -> io::Result<()> {
        self.has_left = true;
        if let Some(response) = &mut self.response {
            response.start(&end_to_end(head, bytes), None);
        }
        Ok(())
    }

    async fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(bytes);
        if self.out.len() >= COALESCED_BYTES { self.send(false).await } else { Ok(()) }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.send(false).await
    }

    async fn end(&mut self) -> io::Result<()> {
        self.send(true).await?;
        self.response = None;
        Ok(())
    }
}
