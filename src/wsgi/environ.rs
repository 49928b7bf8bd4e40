//! environ: a template per listening socket, copied, then filled from the request (PEP 3333
//! "environ Variables", RFC 3875 4.1).
//!
//! What came over uwsgi, FastCGI or SCGI is in `environ/gateway.rs`, what never gets there in `environ/dropped.rs`.
//!
//! The template holds all fixed keys and a place for every key that each request sets: with that many
//! entries a dict has room for about twenty headers before it must grow.

mod dropped;
mod gateway;

use dropped::{Dropped, HeaderRules};

use super::disconnect::Callables;
use super::draining::Draining;
use super::input::Input;
use super::ladder::{ExtendDeadline, Extensions};
use super::parking::Waits;
use super::proxy_errors::ProxyErrors;
use super::recent::{Recent, hash_of_number, hash_of_text};
use super::references::is_only_ours;
use super::socket;
use super::start_response::PythonExchange;
use portico_engine::bounded::{self, MOST_NAME_BYTES};
use portico_engine::connection::origin::Sender;
use portico_engine::listener::{Listener, ServerIdentity};
use portico_engine::message::body::Body;
use portico_engine::message::inbound::Inbound;
use portico_engine::resources::Resources;
use portico_engine::settings::UntrustedForwarded;
use portico_engine::trace::Trace;
use portico_wire::{Forwarded, Scheme, is_forwarded_name, percent_decode_into};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::net::IpAddr;
use std::ptr;
use std::sync::Arc;

/// Ports of clients remembered as strings.
const PORTS: usize = 256;

/// What environ is made from; one for each crew thread.
pub struct Environ {
    templates: Vec<Py<PyDict>>,
    keys: Keys,
    /// `wsgi.input` of a request without a body, which stands in each template.
    empty: Py<Input>,
    /// That of a request with one, if the call before has not kept it.
    spare: Option<Py<Input>>,
    /// What makes `portico.extend_deadline`, and the one that stands in each template; a thread has it.
    extension: Option<(Extensions, Py<ExtendDeadline>)>,
    /// Those of the call before, which stand in each template.
    callables: Option<Callables>,
    /// `REMOTE_ADDR` of each template.
    standing_address: Option<IpAddr>,
    /// `REMOTE_ADDR` of the last call that had another one.
    last_address: Option<IpAddr>,
    /// `HTTP_HOST` of each template.
    standing_host: Option<Box<[u8]>>,
    /// `HTTP_HOST` of the last call that had another one.
    last_host: Vec<u8>,
    /// Header names with their environ key.
    names: Recent<Box<[u8]>, Key>,
    /// Variables of other protocols with theirs.
    variables: Recent<Box<[u8]>, Key>,
    /// Addresses of clients as strings.
    addresses: Recent<IpAddr, Py<PyString>>,
    /// Where applications are mounted, as strings.
    mounts: Recent<Box<[u8]>, Py<PyString>>,
    /// Hosts and media types, of which most clients send the same few.
    values: Recent<Box<[u8]>, Py<PyString>>,
    /// Lengths of bodies as strings.
    lengths: Recent<u64, Py<PyString>>,
    ports: Vec<Option<(u16, Py<PyString>)>>,
    decoded: Vec<u8>,
}

/// What a header becomes.
enum Key {
    /// `HTTP_*`, joined with a comma when repeated; cookies with a semicolon (RFC 6265bis 5.7.3, RFC 9113 8.2.3).
    Named(Py<PyString>, &'static str),
    /// The same, but only if a trusted reverse proxy sent it, or the operator wants it so.
    Forwarded(Py<PyString>, Dropped),
    /// `HTTP_HOST`, which is never repeated.
    Host,
    /// CONTENT_TYPE, neither.
    ContentType,
    /// The server's own: CONTENT_LENGTH comes from the framing, and the coding is undone.
    Framing,
    /// Not for the application.
    Dropped(Dropped),
}

macro_rules! keys {
    ($($field:ident = $name:literal),* $(,)?) => {
        /// Interned keys of environ.
        struct Keys { $($field: Py<PyString>),* }
        impl Keys {
            fn new(py: Python<'_>) -> Keys {
                Keys { $($field: PyString::intern(py, $name).unbind()),* }
            }
            fn clone_ref(&self, py: Python<'_>) -> Keys {
                Keys { $($field: self.$field.clone_ref(py)),* }
            }
        }
    };
}

keys! {
    request_method = "REQUEST_METHOD", path_info = "PATH_INFO", query_string = "QUERY_STRING",
    request_uri = "REQUEST_URI", raw_uri = "RAW_URI", server_protocol = "SERVER_PROTOCOL",
    remote_addr = "REMOTE_ADDR", remote_port = "REMOTE_PORT", content_type = "CONTENT_TYPE",
    content_length = "CONTENT_LENGTH", transfer_encoding = "HTTP_TRANSFER_ENCODING",
    chunked = "chunked", http_host = "HTTP_HOST", input = "wsgi.input", errors = "wsgi.errors",
    disconnected = "portico.disconnected", on_disconnect = "portico.on_disconnect",
    extend_deadline = "portico.extend_deadline",
    script_name = "SCRIPT_NAME", server_name = "SERVER_NAME", server_port = "SERVER_PORT",
    url_scheme = "wsgi.url_scheme", https = "HTTPS", on = "on", https_scheme = "https",
    peer = "portico.peer", proxy = "portico.proxy", post = "POST", http11 = "HTTP/1.1", http10 = "HTTP/1.0", empty = "", root = "/",
}

/// What environ is told of a request.
pub struct RequestParts<'a> {
    /// What the server shares.
    pub resources: &'a Arc<Resources>,
    /// The call's cell of the scoreboard.
    pub cell: usize,
    /// How the call waits for its client.
    pub waits: &'a Waits,
    /// The head.
    pub inbound: &'a Inbound,
    /// The body.
    pub body: Body,
    /// Who has sent it.
    pub sender: &'a Sender,
    /// How many bytes before its path are where the application is mounted, by the routes.
    pub mounted: u32,
}

/// What all requests of a worker have in common.
pub struct Common<'py> {
    /// `wsgi.multithread`.
    pub multithread: bool,
    /// `wsgi.multiprocess`.
    pub multiprocess: bool,
    /// `wsgi.errors`.
    pub errors: &'py Py<PyAny>,
    /// `portico.draining`.
    pub draining: &'py Py<Draining>,
    /// Where the application is mounted.
    pub script_name: &'py str,
}

impl Environ {
    /// Templates for these listening sockets.
    pub fn new<'a>(
        py: Python<'_>,
        listeners: impl Iterator<Item = &'a Arc<Listener>>,
        common: &Common<'_>,
    ) -> PyResult<Box<Environ>> {
        let keys = Keys::new(py);
        let templates =
            listeners.map(|listener| template(py, &listener.identity, common, &keys)).collect::<PyResult<_>>()?;
        Environ::with(py, templates, keys)
    }

    /// Has `portico.loop` in the environs that are made from now on.
    pub fn show_loop(&self, py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        self.templates.iter().try_for_each(|template| template.bind(py).set_item("portico.loop", event_loop))
    }

    /// The same, with what a thread has for itself.
    pub fn for_thread(&self, py: Python<'_>, extensions: Extensions) -> PyResult<Box<Environ>> {
        let copies = self.templates.iter().map(|template| template.bind(py).copy().map(Bound::unbind));
        let mut environ = Environ::with(py, copies.collect::<PyResult<_>>()?, self.keys.clone_ref(py))?;
        environ.set_extension(py, extensions)?;
        Ok(environ)
    }

    /// In a box, and not inlined: it takes some kilobytes, which would be on the stack of each thread several times for as
    /// long as it serves.
    #[inline(never)]
    fn with(py: Python<'_>, templates: Vec<Py<PyDict>>, keys: Keys) -> PyResult<Box<Environ>> {
        let empty = Input::empty(py)?;
        let mut environ = Box::new(Environ {
            templates,
            keys,
            empty: empty.clone_ref(py),
            spare: None,
            extension: None,
            callables: None,
            standing_address: None,
            last_address: None,
            standing_host: None,
            last_host: Vec::new(),
            names: Recent::new(),
            variables: Recent::new(),
            addresses: Recent::new(),
            mounts: Recent::new(),
            values: Recent::new(),
            lengths: Recent::new(),
            ports: Vec::new(),
            decoded: Vec::new(),
        });
        environ.set_empty_input(py, empty)?;
        Ok(environ)
    }

    /// After a call: what it has kept of a request without a body, or read on in, is closed, and the next request has
    /// another. Most keep nothing.
    pub fn renew_empty_input(&mut self, py: Python<'_>) -> PyResult<()> {
        if Input::is_as_new(&self.empty, self.references()) {
            return Ok(());
        }
        let empty = Input::empty(py)?;
        Input::end(&self.empty, py);
        self.set_empty_input(py, empty)
    }

    /// After a call: what it has read the body from is closed, and has the next body if it was not kept.
    pub fn take_back_input(&mut self, py: Python<'_>, input: Py<Input>) {
        if Input::end(&input, py) {
            self.spare = Some(input);
        }
    }

    fn set_empty_input(&mut self, py: Python<'_>, empty: Py<Input>) -> PyResult<()> {
        for template in &self.templates {
            template.bind(py).set_item(&self.keys.input, &empty)?;
        }
        self.empty = empty;
        Ok(())
    }

    /// After a call: a callable that it has kept is of no use to the next one, which has another.
    pub fn renew_extension(&mut self, py: Python<'_>) -> PyResult<()> {
        let ours = self.references();
        match self.extension.take_if(|(_, callable)| !is_only_ours(callable, ours)) {
            Some((extensions, _)) => self.set_extension(py, extensions),
            None => Ok(()),
        }
    }

    fn set_extension(&mut self, py: Python<'_>, extensions: Extensions) -> PyResult<()> {
        let callable = extensions.make(py)?;
        for template in &self.templates {
            template.bind(py).set_item(&self.keys.extend_deadline, &callable)?;
        }
        self.extension = Some((extensions, callable));
        Ok(())
    }

    /// Has the templates have the callables of `exchange`, which usually are those of the call before.
    fn show_callables(&mut self, py: Python<'_>, exchange: &PythonExchange) -> PyResult<()> {
        let Callables { disconnected, on_disconnect } = &exchange.callables;
        if self.callables.as_ref().is_some_and(|before| before.disconnected.is(disconnected)) {
            return Ok(());
        }
        for template in &self.templates {
            template.bind(py).set_item(&self.keys.disconnected, disconnected)?;
            template.bind(py).set_item(&self.keys.on_disconnect, on_disconnect)?;
        }
        self.callables = Some(exchange.callables.clone_ref(py));
        Ok(())
    }

    /// How many references there are here to each of what a thread has in its templates: one, and one in each.
    pub fn references(&self) -> usize {
        1 + self.templates.len()
    }

    /// The environ of one request, and what `wsgi.input` in it has to be closed after the call, if anything.
    pub fn build<'py>(
        &mut self,
        py: Python<'py>,
        call: RequestParts<'_>,
        exchange: &PythonExchange,
    ) -> PyResult<(Bound<'py, PyDict>, Option<Py<Input>>)> {
        let RequestParts { resources, inbound, sender, mounted, .. } = call;
        self.show_callables(py, exchange)?;
        let template = self.templates.get(sender.listener).or(self.templates.first());
        let environ = template.map_or_else(|| Ok(PyDict::new(py)), |template| template.bind(py).copy())?;
        let settings = &resources.settings;
        let keeps_untrusted = settings.untrusted_forwarded == UntrustedForwarded::Keep;
        let (address, port) = inbound.client(sender.client);
        let rules = |shows_forwarded| HeaderRules { shows_forwarded, client: address, notices: &resources.notices };
        match inbound.gateway() {
            None => {
                let rules = rules(sender.is_trusted || keeps_untrusted);
                self.set_request(py, &environ, inbound, rules)?;
            }
            Some(gateway) => {
                // They are those of the reverse proxy's own client.
                let rules = rules(settings.trusts(address) || keeps_untrusted);
                self.forget_host(&environ)?;
                self.set_gateway(py, &environ, gateway, inbound.bytes(), rules)?;
            }
        }
        if let Some(trace) = &inbound.trace {
            set_trace(&environ, trace)?;
        }
        if mounted > 0 {
            self.set_mount(py, &environ, inbound, mounted)?;
        }
        self.set_client(py, &environ, address, port)?;
        let forwarded = inbound.forwarded.as_deref();
        let scheme = inbound
            .gateway()
            .map_or_else(|| forwarded.and_then(|forwarded| forwarded.scheme), |gateway| gateway.scheme);
        // A reverse proxy nearer to the client knows better than a load balancer behind it.
        if scheme.map_or_else(|| sender.is_tls(), |scheme| scheme == Scheme::Https) {
            environ.set_item(&self.keys.url_scheme, &self.keys.https_scheme)?;
            environ.set_item(&self.keys.https, &self.keys.on)?;
        }
        self.set_connection(py, &environ, sender)?;
        if let Some(forwarded) = forwarded {
            self.set_forwarded(py, &environ, forwarded, inbound.bytes())?;
        }
        if sender.takes_errors {
            let log = environ.as_any().get_item(&self.keys.errors)?.unbind();
            environ.set_item(&self.keys.errors, ProxyErrors::new(&exchange.response, log).into_pyobject(py)?)?;
        }
        if inbound.head.upgrade {
            socket::offer(py, &environ, exchange, call.cell)?;
        }
        let input = self.set_body(py, &environ, call)?;
        Ok((environ, input))
    }

    /// The request line and the headers of HTTP.
    fn set_request(
        &mut self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        inbound: &Inbound,
        rules: HeaderRules<'_>,
    ) -> PyResult<()> {
        let (bytes, head) = (inbound.bytes(), &inbound.head);
        self.set_method(py, environ, head.method.of(bytes))?;
        let keys = &self.keys;
        if head.version == portico_wire::Version::Http10 {
            environ.set_item(&keys.server_protocol, &keys.http10)?;
        }
        let path = head.path.of(bytes);
        if head.target.of(bytes) == b"/" && path == b"/" {
            // Stands in the template, three times.
            return self.set_headers(py, environ, inbound, rules);
        }
        let target = latin1(py, head.target.of(bytes))?;
        // RFC 9110 4.2.3: an empty path of an absolute target is "/", unless it was taken for the mount.
        let is_implied = || head.form == portico_wire::TargetForm::Absolute && head.path.start == head.authority.end;
        if path == b"/" || path.is_empty() && is_implied() {
            // Stands in the template.
        } else if head.form == portico_wire::TargetForm::Asterisk {
            // RFC 3875 4.1.5: empty or from a slash on.
            environ.set_item(&keys.path_info, &keys.empty)?;
        } else if path.contains(&b'%') {
            self.decoded.clear();
            percent_decode_into(path, &mut self.decoded);
            environ.set_item(&keys.path_info, latin1(py, &self.decoded)?)?;
        } else if head.path == head.target {
            environ.set_item(&keys.path_info, &target)?;
        } else {
            environ.set_item(&keys.path_info, latin1(py, path)?)?;
        }
        if !head.query.is_empty() {
            environ.set_item(&keys.query_string, latin1(py, head.query.of(bytes))?)?;
        }
        environ.set_item(&keys.request_uri, &target)?;
        environ.set_item(&keys.raw_uri, &target)?;
        self.set_headers(py, environ, inbound, rules)
    }

    /// What the routes have taken from the path.
    fn set_mount(
        &mut self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        inbound: &Inbound,
        mounted: u32,
    ) -> PyResult<()> {
        let end = inbound.head.path.start as usize;
        let mount = inbound.bytes().get(end.saturating_sub(mounted as usize)..end).unwrap_or_default();
        let before = inbound.gateway().map(|gateway| gateway.script_name.of(inbound.bytes())).unwrap_or_default();
        // Nearly all are.
        if before.is_empty() && mount.iter().all(|byte| byte.is_ascii() && *byte != b'%') {
            let make = || PyString::new(py, std::str::from_utf8(mount).unwrap_or_default()).unbind();
            return environ.set_item(&self.keys.script_name, &*self.mounts.of_name(mount, make));
        }
        self.decoded.clear();
        self.decoded.extend_from_slice(before);
        if inbound.gateway().is_none_or(|gateway| gateway.path_is_encoded) {
            percent_decode_into(mount, &mut self.decoded);
        } else {
            self.decoded.extend_from_slice(mount);
        }
        environ.set_item(&self.keys.script_name, latin1(py, &self.decoded)?)
    }

    fn set_method(&self, py: Python<'_>, environ: &Bound<'_, PyDict>, method: &[u8]) -> PyResult<()> {
        let keys = &self.keys;
        match method {
            // Stands in the template.
            b"GET" => Ok(()),
            b"POST" => environ.set_item(&keys.request_method, &keys.post),
            method => environ.set_item(&keys.request_method, latin1(py, method)?),
        }
    }

    /// What is known of the connection beside addresses, where anything is.
    fn set_connection(&self, py: Python<'_>, environ: &Bound<'_, PyDict>, sender: &Sender) -> PyResult<()> {
        if let Some(credentials) = sender.credentials {
            environ.set_item(&self.keys.peer, credentials)?;
        }
        if let Some(proxied) = &sender.proxied {
            let attributes = PyDict::new(py);
            for (name, value) in &proxied.attributes {
                attributes.set_item(name, latin1(py, value)?)?;
            }
            environ.set_item(&self.keys.proxy, attributes)?;
        }
        Ok(())
    }

    fn set_client(
        &mut self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        address: Option<IpAddr>,
        port: Option<u16>,
    ) -> PyResult<()> {
        let Some(address) = address else { return environ.set_item(&self.keys.remote_addr, &self.keys.empty) };
        self.set_address(py, environ, address)?;
        let Some(port) = port else { return Ok(()) };
        if self.ports.is_empty() {
            self.ports.resize_with(PORTS, || None);
        }
        let Some(place) = self.ports.get_mut(usize::from(port) % PORTS) else { return Ok(()) };
        match place {
            Some((known, text)) if *known == port => environ.set_item(&self.keys.remote_port, &*text),
            _ => {
                let text = PyString::new(py, &port.to_string());
                environ.set_item(&self.keys.remote_port, &text)?;
                *place = Some((port, text.unbind()));
                Ok(())
            }
        }
    }

    /// An address that came twice in a row, as that of a reverse proxy does, is in the templates from then on.
    fn set_address(&mut self, py: Python<'_>, environ: &Bound<'_, PyDict>, address: IpAddr) -> PyResult<()> {
        if self.standing_address == Some(address) {
            self.last_address = None;
            return Ok(());
        }
        let make = || (address, PyString::new(py, &address.to_string()).unbind());
        let text = self.addresses.get_or_make(hash_of_address(address), |known| *known == address, make);
        environ.set_item(&self.keys.remote_addr, text)?;
        if self.last_address.replace(address) == Some(address) {
            self.standing_address = None;
            for template in &self.templates {
                template.bind(py).set_item(&self.keys.remote_addr, text)?;
            }
            self.standing_address = Some(address);
        }
        Ok(())
    }

    /// A host that came twice in a row is in the templates from then on: nearly all requests of a server have the same.
    fn set_host(&mut self, py: Python<'_>, environ: &Bound<'_, PyDict>, host: &[u8]) -> PyResult<()> {
        if self.standing_host.as_deref() == Some(host) {
            self.last_host.clear();
            return Ok(());
        }
        set_usual(py, environ, &self.keys.http_host, &mut self.values, host)?;
        if self.last_host == host {
            self.standing_host = None;
            for template in &self.templates {
                set_usual(py, template.bind(py), &self.keys.http_host, &mut self.values, host)?;
            }
            self.standing_host = Some(host.into());
        }
        self.last_host.clear();
        self.last_host.extend_from_slice(host);
        Ok(())
    }

    /// The request names none, or not by a header.
    fn forget_host(&self, environ: &Bound<'_, PyDict>) -> PyResult<()> {
        if self.standing_host.is_some() { environ.del_item(&self.keys.http_host) } else { Ok(()) }
    }

    /// What a trusted reverse proxy says takes the place of what this server sees.
    fn set_forwarded(
        &self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        forwarded: &Forwarded,
        bytes: &[u8],
    ) -> PyResult<()> {
        let keys = &self.keys;
        if let Some(host) = forwarded.host {
            environ.set_item(&keys.http_host, latin1(py, host.of(bytes))?)?;
        }
        if let Some(name) = forwarded.server_name(bytes) {
            environ.set_item(&keys.server_name, latin1(py, name)?)?;
        }
        if let Some(port) = forwarded.server_port(bytes) {
            environ.set_item(&keys.server_port, itoa::Buffer::new().format(port))?;
        }
        if let Some(prefix) = forwarded.prefix {
            let mount = environ.as_any().get_item(&keys.script_name)?;
            environ.set_item(&keys.script_name, latin1(py, prefix.of(bytes))?.add(mount)?)?;
        }
        Ok(())
    }

    fn set_headers(
        &mut self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        inbound: &Inbound,
        rules: HeaderRules<'_>,
    ) -> PyResult<()> {
        let (bytes, head) = (inbound.bytes(), &inbound.head);
        let mut host = None;
        for header in &head.headers {
            let name = header.name.of(bytes);
            let value = header.value.of(bytes);
            match &*self.names.of_name(name, || Key::of(py, name)) {
                Key::Named(key, separator) => set_header(py, environ, key, separator, value)?,
                Key::Forwarded(key, _) if rules.shows_forwarded => {
                    set_header(py, environ, key, LIST_SEPARATOR, value)?;
                }
                Key::Host => host = Some(value),
                Key::ContentType => set_usual(py, environ, &self.keys.content_type, &mut self.values, value)?,
                Key::Forwarded(_, dropped) | Key::Dropped(dropped) => dropped.log(name, rules),
                Key::Framing => {}
            }
        }
        match host {
            Some(host) => self.set_host(py, environ, host)?,
            None => self.forget_host(environ)?,
        }
        if !head.authority.is_empty() {
            // RFC 9112 3.2.2: the target's authority replaces the Host header.
            environ.set_item(&self.keys.http_host, latin1(py, head.authority.of(bytes))?)?;
        }
        Ok(())
    }

    fn set_body(
        &mut self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        call: RequestParts<'_>,
    ) -> PyResult<Option<Py<Input>>> {
        let RequestParts { resources, cell, waits, inbound, body, .. } = call;
        let length = match &body {
            Body::Empty if inbound.head.framing == portico_wire::Framing::Empty => return Ok(None),
            Body::Empty => Some(0),
            Body::Buffered(range) => Some(range.len() as u64),
            Body::Kept(kept) => Some(kept.len()),
            Body::Streamed(stream) => stream.rest.length,
        };
        if let Some(length) = length {
            let make = || (length, PyString::new(py, itoa::Buffer::new().format(length)).unbind());
            let text = self.lengths.get_or_make(hash_of_number(length), |known| *known == length, make);
            environ.set_item(&self.keys.content_length, text)?;
        } else {
            // Without CONTENT_LENGTH applications take a body for empty, unless this says that there is one.
            environ.set_item(&self.keys.transfer_encoding, &self.keys.chunked)?;
            resources.notices.unsized_body.warn(|| unsized_body(resources, inbound));
        }
        let input = self.spare.take().map_or_else(|| Input::empty(py), Ok)?;
        input.get().begin(py, (resources, cell, waits), inbound.bytes(), body);
        environ.set_item(&self.keys.input, &input)?;
        Ok(Some(input))
    }
}

/// The server's span in place of its client's: what the application does is a child of it.
#[cold]
fn set_trace(environ: &Bound<'_, PyDict>, trace: &Trace) -> PyResult<()> {
    let py = environ.py();
    environ.set_item(intern!(py, "HTTP_TRACEPARENT"), latin1(py, &trace.own.encode())?)?;
    let state = intern!(py, "HTTP_TRACESTATE");
    if !trace.has_state && environ.contains(state)? {
        environ.del_item(state)?;
    }
    Ok(())
}

/// What is said of a body that is streamed without a length.
fn unsized_body(resources: &Resources, inbound: &Inbound) -> String {
    let (bytes, head) = (inbound.bytes(), &inbound.head);
    format!(
        "the body of {} {} has no Content-Length and is larger than body_spool ({} bytes): the application gets it \
         with HTTP_TRANSFER_ENCODING: chunked and without CONTENT_LENGTH, and a framework that goes by that alone \
         takes it for empty",
        bounded::name(head.method.of(bytes), MOST_NAME_BYTES),
        bounded::name(head.path.of(bytes), MOST_NAME_BYTES),
        resources.settings.bytes_before_call(),
    )
}

/// Between the values of a header that is repeated (RFC 9110 5.3).
const LIST_SEPARATOR: &str = ", ";

impl Key {
    fn forwarded(key: Py<PyString>) -> Key {
        Key::Forwarded(key, Dropped::because("it is believed only from forwarded_allow_ips"))
    }

    fn of(py: Python<'_>, name: &[u8]) -> Key {
        let upper = name.to_ascii_uppercase();
        let key = || {
            let key: Vec<u8> =
                b"HTTP_".iter().chain(&upper).map(|byte| if *byte == b'-' { b'_' } else { *byte }).collect();
            text_of(py, &key)
        };
        match upper.as_slice() {
            b"HOST" => Key::Host,
            b"CONTENT-TYPE" => Key::ContentType,
            b"CONTENT-LENGTH" | b"TRANSFER-ENCODING" => Key::Framing,
            b"PROXY" => Key::Dropped(Dropped::httpoxy()),
            upper if upper.contains(&b'_') => {
                Key::Dropped(Dropped::because("in environ its underscore could not be told from a hyphen"))
            }
            upper if is_forwarded_name(upper) => Key::forwarded(key()),
            b"COOKIE" => Key::Named(key(), "; "),
            _ => Key::Named(key(), LIST_SEPARATOR),
        }
    }
}

/// A key of environ. Not interned: clients invent names, and some interpreters keep interned strings for ever (3.12, and
/// those without a global lock).
fn text_of(py: Python<'_>, key: &[u8]) -> Py<PyString> {
    PyString::new(py, &String::from_utf8_lossy(key)).unbind()
}

/// Sets a header's key, or adds to the value it has.
fn set_header(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    key: &Py<PyString>,
    separator: &str,
    value: &[u8],
) -> PyResult<()> {
    let value = latin1(py, value)?;
    let others = environ.len();
    #[expect(unsafe_code, reason = "pyo3 looks a new key up twice, before Python 3.13")]
    // SAFETY: the thread is attached, and the three objects are alive; what is returned is borrowed from the dict, which
    // nobody else has yet, and owned before anything else is done with that.
    let before = unsafe {
        let found = ffi::PyDict_SetDefault(environ.as_ptr(), key.as_ptr(), value.as_ptr());
        Bound::from_borrowed_ptr_or_err(py, found)?
    };
    if environ.len() > others {
        return Ok(());
    }
    environ.set_item(key, before.add(separator)?.add(value)?)
}

/// Sets a header's key, where the value is usually one of a few that have come before.
fn set_usual(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    key: &Py<PyString>,
    values: &mut Recent<Box<[u8]>, Py<PyString>>,
    value: &[u8],
) -> PyResult<()> {
    if value.is_ascii() {
        let make = || PyString::new(py, str::from_utf8(value).unwrap_or_default()).unbind();
        return environ.set_item(key, &*values.of_name(value, make));
    }
    environ.set_item(key, latin1(py, value)?)
}

fn hash_of_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => hash_of_number(address.to_bits().into()),
        IpAddr::V6(address) => hash_of_text(&address.octets()),
    }
}

fn template(py: Python<'_>, identity: &ServerIdentity, common: &Common<'_>, keys: &Keys) -> PyResult<Py<PyDict>> {
    let template = PyDict::new(py);
    // Interned: without the interpreter's lock these are not counted, which all threads would do in one place at each call.
    let text = |text: &str| PyString::intern(py, text);
    template.set_item(&keys.request_method, text("GET"))?;
    for key in [&keys.path_info, &keys.request_uri, &keys.raw_uri] {
        template.set_item(key, &keys.root)?;
    }
    template.set_item(&keys.query_string, &keys.empty)?;
    template.set_item(&keys.script_name, latin1(py, common.script_name.as_bytes())?)?;
    template.set_item(&keys.server_name, text(&identity.server_name))?;
    template.set_item(&keys.server_port, text(&identity.server_port))?;
    template.set_item(text("SERVER_SOFTWARE"), text(concat!("portico/", env!("CARGO_PKG_VERSION"))))?;
    template.set_item(text("GATEWAY_INTERFACE"), text("CGI/1.1"))?;
    template.set_item(&keys.server_protocol, &keys.http11)?;
    template.set_item(text("wsgi.version"), (1, 0))?;
    template.set_item(&keys.url_scheme, text("http"))?;
    template.set_item(&keys.errors, common.errors)?;
    template.set_item(text("wsgi.multithread"), common.multithread)?;
    template.set_item(text("wsgi.multiprocess"), common.multiprocess)?;
    template.set_item(text("wsgi.run_once"), false)?;
    template.set_item(text("portico.draining"), common.draining)?;
    template.set_item(text("wsgi.input_terminated"), true)?;
    template.set_item(text("wsgi.file_wrapper"), py.get_type::<super::file_wrapper::FileWrapper>())?;
    for key in [&keys.disconnected, &keys.on_disconnect, &keys.extend_deadline, &keys.input] {
        template.set_item(key, py.None())?;
    }
    Ok(template.unbind())
}

/// A `str` whose code points are the bytes (PEP 3333 "Unicode Issues").
pub fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let length = ffi::Py_ssize_t::try_from(bytes.len()).unwrap_or(ffi::Py_ssize_t::MAX);
    // Of one character there is one that all share.
    if length > 1 && bytes.is_ascii() {
        #[expect(unsafe_code, reason = "pyo3 has no safe way to make a string of what is known to be ASCII")]
        // SAFETY: the string is new, so nobody else reads it yet; it has room for `length` characters of a byte each, and
        // needs no other preparation.
        return unsafe {
            let text = Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_New(length, 0x7f))?;
            ptr::copy_nonoverlapping(bytes.as_ptr(), ffi::PyUnicode_1BYTE_DATA(text.as_ptr()), bytes.len());
            Ok(text)
        };
    }
    #[expect(unsafe_code, reason = "pyo3 has no safe latin-1 decoder")]
    // SAFETY: the pointer and length are those of a live slice; the call returns a new reference or NULL with an
    // exception set, which is what from_owned_ptr_or_err expects.
    unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null()))
    }
}
