//! What comes in: the read buffer with the head parsed from it.

use super::framing::ResponseFraming;
use crate::budget::Budget;
use crate::clock;
use crate::message::spoken::Protocol;
use crate::settings::Settings;
use crate::trace::Trace;
use portico_wire::{
    Forwarded, Framing, GatewayHead, RequestHead, Scheme, Span, TargetForm, Understood, UwsgiModifiers, UwsgiPacket,
    WireError, mount_length, request_start_ns,
};
use rustix::buffer::{SpareCapacity, spare_capacity};
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// First size of a read buffer; a pooled buffer that grew beyond it is freed instead of kept.
const BUFFER_BYTES: usize = 16 * 1024;

/// What is at the start of a read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A head of so many bytes.
    Head(usize),
    /// A uwsgi ping of so many bytes.
    Ping(usize),
    /// A uwsgi packet that is not for a WSGI server.
    Foreign(UwsgiModifiers),
}

/// A read buffer and the head that points into it, reused from request to request.
pub struct Inbound {
    bytes: Vec<u8>,
    /// The head parsed from the start of the buffer.
    pub head: RequestHead,
    /// What a trusted reverse proxy says of the request.
    pub forwarded: Option<Box<Forwarded>>,
    /// The trace that it is a part of, where there are spans (`spans`).
    pub trace: Option<Box<Trace>>,
    /// Bytes of the client after the request, where the application has upgraded the connection.
    pub after_upgrade: AtomicU64,
    /// What the response has to look like; with it, whether there are variables.
    pub response_framing: ResponseFraming,
    /// The variables, where the request came with those instead of an HTTP head.
    gateway: Box<GatewayHead>,
    /// What `bytes` is counted in.
    memory: Arc<Budget>,
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes.capacity() as u64);
    }
}

impl Inbound {
    /// An empty buffer, counted in `memory`: without one nothing can be read, so it is granted in any case.
    pub fn new(memory: &Arc<Budget>) -> Inbound {
        memory.overdraw(BUFFER_BYTES as u64);
        Inbound {
            bytes: Vec::with_capacity(BUFFER_BYTES),
            head: RequestHead::new(),
            forwarded: None,
            trace: None,
            after_upgrade: AtomicU64::new(0),
            response_framing: ResponseFraming::Http,
            gateway: Box::default(),
            memory: memory.clone(),
        }
    }

    /// The bytes read so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether a read has left no room.
    pub fn is_full(&self) -> bool {
        self.bytes.len() == self.bytes.capacity()
    }

    /// Room for the next read, in bytes; grows a full buffer (the limit on heads bounds it).
    pub fn room(&mut self) -> usize {
        let capacity = self.bytes.capacity();
        if self.is_full() {
            self.memory.overdraw(capacity as u64);
            self.bytes.reserve_exact(capacity);
        }
        self.bytes.capacity() - self.bytes.len()
    }

    /// Where the next read goes: behind the bytes that were read. What is not used of it is never touched, and so takes
    /// no memory.
    pub fn spare(&mut self) -> SpareCapacity<'_, u8> {
        self.room();
        spare_capacity(&mut self.bytes)
    }

    /// Adds bytes that were read elsewhere.
    pub fn push(&mut self, bytes: &[u8]) {
        while self.room() < bytes.len() {
            let capacity = self.bytes.capacity();
            self.memory.overdraw(capacity as u64);
            self.bytes.reserve_exact(2 * capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
    }

    /// Forgets all bytes from `end` on.
    pub fn truncate(&mut self, end: usize) {
        self.bytes.truncate(end);
    }

    /// Reads what is at the start of the buffer, over `protocol`; a head goes into `head`. Where this `goes_on` after a
    /// read of the same bytes that wanted more, a head that comes in many pieces is not read from its start for each.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn read_head(
        &mut self,
        protocol: Protocol,
        is_persistent: bool,
        goes_on: bool,
        settings: &Settings,
    ) -> Result<Option<Packet>, WireError> {
        if protocol != Protocol::Http {
            // These say first how long they are: nothing is read before all of it is there.
            return self.read_gateway(protocol, is_persistent, settings);
        }
        let Inbound { bytes, head, .. } = self;
        let read = if goes_on { head.read_on(bytes, &settings.wire) } else { head.read(bytes, &settings.wire) };
        Ok(read?.map(Packet::Head))
    }

    fn read_gateway(
        &mut self,
        protocol: Protocol,
        is_persistent: bool,
        settings: &Settings,
    ) -> Result<Option<Packet>, WireError> {
        let Inbound { bytes, gateway, head, .. } = self;
        // Of an earlier request, and what is rejected below is not known to be one.
        head.is_head = false;
        let (packet, framing) = match protocol {
            Protocol::Scgi => (gateway.read_scgi(bytes, &settings.gateway)?.map(Packet::Head), ResponseFraming::Scgi),
            Protocol::Uwsgi => {
                let packet = gateway.read_uwsgi(bytes, &settings.gateway)?.map(|packet| match packet {
                    UwsgiPacket::Request { length } => Packet::Head(length),
                    UwsgiPacket::Ping { length } => Packet::Ping(length),
                    UwsgiPacket::Unsupported(modifiers) => Packet::Foreign(modifiers),
                });
                (packet, ResponseFraming::Uwsgi)
            }
            // These are read elsewhere: a head by `read_head`, variables in records by `read_params`.
            Protocol::Http | Protocol::FastCgi => return Ok(None),
        };
        if let Some(Packet::Head(_)) = packet {
            self.adopt_gateway(framing, is_persistent);
        }
        Ok(packet)
    }

    /// Reads the variables that a FastCGI request has sent, all of which are in the buffer.
    ///
    /// # Errors
    /// The rule that they break.
    pub fn read_params(&mut self, id: u16, keep_alive: bool, settings: &Settings) -> Result<(), WireError> {
        // Also for an error response, which has to be sent in the request's own records.
        self.response_framing = ResponseFraming::FastCgi { id };
        self.head.is_head = false;
        let Inbound { bytes, gateway, .. } = self;
        gateway.read_fastcgi(bytes, &settings.gateway)?;
        self.adopt_gateway(ResponseFraming::FastCgi { id }, keep_alive);
        Ok(())
    }

    /// Tells of the variables in `head` what all protocols have in common.
    fn adopt_gateway(&mut self, framing: ResponseFraming, keep_alive: bool) {
        let Inbound { head, gateway, .. } = self;
        head.method = gateway.method;
        head.target = gateway.target;
        head.form = TargetForm::Origin;
        head.path = gateway.path_info;
        head.query = gateway.query;
        head.authority = Span::default();
        head.scheme = Span::default();
        head.host = None;
        head.version = gateway.version;
        head.headers.clear();
        head.framing = gateway.framing();
        head.keep_alive = keep_alive;
        head.expect_continue = false;
        head.is_head = gateway.is_head;
        head.upgrade = false;
        head.has_forwarded = false;
        self.response_framing = framing;
    }

    /// The variables of a request that did not come over HTTP.
    pub fn gateway(&self) -> Option<&GatewayHead> {
        (self.response_framing != ResponseFraming::Http).then_some(&*self.gateway)
    }

    /// Value of the first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let Some(gateway) = self.gateway() else { return self.head.header(self.bytes(), name) };
        gateway.header(self.bytes(), &variable_name(name))
    }

    /// Values of all headers of this name, in lower case.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let (bytes, headers, name) = match self.gateway() {
            Some(gateway) => (self.bytes(), &gateway.headers, variable_name(name)),
            None => (self.bytes(), &self.head.headers, name.to_owned()),
        };
        let named = headers.iter().filter(move |header| header.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()));
        named.map(|header| header.value.of(bytes))
    }

    /// Whether the client wants to go on with a web socket (RFC 6455 4.1), which an application may speak itself.
    #[inline]
    pub fn asks_for_web_socket(&self) -> bool {
        self.head.upgrade && self.is_web_socket()
    }

    #[cold]
    fn is_web_socket(&self) -> bool {
        let RequestHead { method, framing, keep_alive, .. } = &self.head;
        self.gateway().is_none()
            && method.of(self.bytes()) == b"GET"
            && matches!(framing, Framing::Empty | Framing::Length(0))
            // Who asks for the close of the connection too has not understood one of both.
            && *keep_alive
            && self.headers("upgrade").any(|value| {
                value.split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
            })
    }

    /// How many headers it has, or variables.
    pub fn field_count(&self) -> usize {
        match self.gateway() {
            Some(gateway) => gateway.headers.len() + gateway.variables.len(),
            None => self.head.headers.len(),
        }
    }

    /// How long a reverse proxy says that it has had the request, if it can be believed. Another machine's clock is
    /// compared here, which only the wall clock can do; what looks like the future or like more than an hour is a
    /// clock that is wrong.
    pub fn waited_ahead_ns(&self, is_trusted: bool) -> u64 {
        const CREDIBLE_NS: u64 = 3_600_000_000_000;
        let start_ns = match self.gateway() {
            Some(gateway) => gateway.request_start_ns(self.bytes()),
            None if self.head.has_forwarded && is_trusted => request_start_ns(&self.head, self.bytes()),
            None => None,
        };
        let waited_ns = start_ns.map_or(0, |start_ns| clock::wall_ns().saturating_sub(start_ns));
        if waited_ns <= CREDIBLE_NS { waited_ns } else { 0 }
    }

    /// Takes over what the reverse proxy says of the parsed head, if the peer `is_trusted`.
    ///
    /// # Errors
    /// What it says is invalid.
    pub fn read_forwarded(&mut self, is_trusted: bool, settings: &Settings) -> Result<(), WireError> {
        self.forwarded = None;
        if self.head.has_forwarded && is_trusted {
            let trusted = &settings.forwarded_allow_ips;
            self.forwarded = Forwarded::read(&self.head, self.bytes(), trusted)?.map(Box::new);
        }
        Ok(())
    }

    /// Whether a reverse proxy says itself where the application is mounted, and has taken that from the path.
    pub fn is_mounted(&self) -> bool {
        self.gateway().is_some_and(|gateway| !gateway.script_name.is_empty())
    }

    /// Takes `mount` from the path of a complete request, where that is below it: so many bytes; none if it is not.
    pub fn enter(&mut self, mount: &str) -> Option<u32> {
        let is_gateway = self.gateway().is_some();
        let Inbound { bytes, head, gateway, .. } = self;
        // A target of `*` is no path.
        let path = head.path.of(bytes);
        if path == b"*" {
            return Some(0);
        }
        let is_encoded = !is_gateway || gateway.path_is_encoded;
        let length = u32::try_from(mount_length(path, mount.as_bytes(), is_encoded)?).ok()?;
        head.path.start += length;
        if is_gateway {
            gateway.path_info = head.path;
        }
        Some(length)
    }

    /// How many bytes `mount` is of the path of a complete request, where that is below it.
    pub fn mount_bytes(&self, mount: &str) -> Option<usize> {
        let is_encoded = self.gateway().is_none_or(|gateway| gateway.path_is_encoded);
        mount_length(self.head.path.of(self.bytes()), mount.as_bytes(), is_encoded)
    }

    /// What follows `mount` there.
    pub fn below(&self, mount: &str) -> Option<&[u8]> {
        self.head.path.of(self.bytes()).get(self.mount_bytes(mount)?..)
    }

    /// For which host the request is, as a reverse proxy says, or its target, or its Host header.
    pub fn host(&self) -> Option<&[u8]> {
        let bytes = self.bytes();
        if let Some(host) = self.forwarded.as_ref().and_then(|forwarded| forwarded.host) {
            return Some(host.of(bytes));
        }
        let authority = self.head.authority.of(bytes);
        if !authority.is_empty() {
            return Some(authority);
        }
        if self.gateway().is_some() { self.header("host") } else { self.head.host.map(|host| host.of(bytes)) }
    }

    /// Gives the path back what `enter` has taken from it.
    pub fn leave(&mut self, taken: u32) {
        if taken > 0 {
            self.head.path.start -= taken;
            if self.gateway().is_some() {
                self.gateway.path_info = self.head.path;
            }
        }
    }

    /// Address and port of the client: as a reverse proxy says, else those of the `peer`. A Unix socket has neither.
    pub fn client(&self, peer: Option<SocketAddr>) -> (Option<IpAddr>, Option<u16>) {
        let named = match self.gateway() {
            Some(gateway) => gateway.client,
            None => self.forwarded.as_ref().and_then(|forwarded| forwarded.client),
        };
        match named {
            Some(client) => (client.address, client.port),
            // An IPv4 client of a dual-stack socket is shown as what it is.
            None => (peer.map(|peer| peer.ip().to_canonical()), peer.map(|peer| peer.port())),
        }
    }

    /// What is understood of the client, whose connection is that of `peer` and has the scheme `scheme`.
    pub fn understood(&self, peer: Option<SocketAddr>, scheme: Scheme) -> Understood<'_> {
        let (address, port) = self.client(peer);
        let said = match self.gateway() {
            Some(gateway) => gateway.scheme,
            None => self.forwarded.as_ref().and_then(|forwarded| forwarded.scheme),
        };
        let prefix = self.forwarded.as_ref().and_then(|forwarded| forwarded.prefix).unwrap_or_default();
        Understood {
            address,
            port,
            scheme: said.unwrap_or(scheme),
            host: self.host().unwrap_or_default(),
            prefix: prefix.of(self.bytes()),
        }
    }

    /// The request line of the parsed head, as it was on the wire; made up where there was none.
    pub fn request_line(&self) -> Cow<'_, [u8]> {
        const VERSION_BYTES: usize = " HTTP/1.1".len();
        let (start, end) = (self.head.method.start as usize, self.head.target.end as usize + VERSION_BYTES);
        let bytes = self.bytes();
        let Some(gateway) = self.gateway() else { return bytes.get(start..end).unwrap_or_default().into() };
        let target = if gateway.target.is_empty() { gateway.path_info } else { gateway.target };
        [gateway.method.of(bytes), target.of(bytes), gateway.protocol.of(bytes)].join(&b' ').into()
    }

    /// The first line as it came, at most `most` bytes of it: for the log, whatever the bytes are.
    pub fn first_line(&self, most: usize) -> &[u8] {
        let start = self.bytes().iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
        let line = self.bytes().get(start..).unwrap_or_default();
        let line = line.get(..most).unwrap_or(line);
        let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(line.len());
        line.get(..end).unwrap_or_default()
    }

    /// Makes the buffer as new; false if it is not worth keeping.
    pub fn reset(&mut self) -> bool {
        self.bytes.clear();
        self.head.headers.clear();
        self.forwarded = None;
        self.trace = None;
        *self.after_upgrade.get_mut() = 0;
        self.response_framing = ResponseFraming::Http;
        self.head.is_head = false;
        self.bytes.capacity() == BUFFER_BYTES
    }
}

/// The variable that a reverse proxy makes of a header.
fn variable_name(header: &str) -> String {
    format!("HTTP_{}", header.to_ascii_uppercase().replace('-', "_"))
}
