//! environ of a request that came over uwsgi, FastCGI or SCGI: the variables of the reverse proxy (RFC 3875 4.1), as
//! `portico_wire::GatewayHead` has sorted them.

use super::dropped::{Dropped, HeaderRules};
use super::{Environ, Key, LIST_SEPARATOR, latin1, set_header, text_of};
use portico_wire::{GatewayHead, is_forwarded_name, percent_decode_into};
use pyo3::prelude::*;
use pyo3::types::PyDict;

impl Environ {
    /// What the reverse proxy says of the request; `bytes` are those that the head was read from.
    pub(super) fn set_gateway(
        &mut self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        head: &GatewayHead,
        bytes: &[u8],
        rules: HeaderRules<'_>,
    ) -> PyResult<()> {
        // First, so that none of them stands for what is set below.
        for variable in &head.variables {
            let name = variable.name.of(bytes);
            let make = || Key::Named(text_of(py, name), LIST_SEPARATOR);
            if let Key::Named(key, _) = &*self.variables.of_name(name, make) {
                environ.set_item(key, latin1(py, variable.value.of(bytes))?)?;
            }
        }
        self.set_method(py, environ, head.method.of(bytes))?;
        let keys = &self.keys;
        let path = head.path_info.of(bytes);
        if path == b"/" {
            environ.set_item(&keys.path_info, &keys.root)?;
        } else if path == b"*" {
            // That of `OPTIONS *`, and empty as over HTTP.
            environ.set_item(&keys.path_info, &keys.empty)?;
        } else if head.path_is_encoded && path.contains(&b'%') {
            self.decoded.clear();
            percent_decode_into(path, &mut self.decoded);
            environ.set_item(&keys.path_info, latin1(py, &self.decoded)?)?;
        } else {
            environ.set_item(&keys.path_info, latin1(py, path)?)?;
        }
        let target = latin1(py, head.target.of(bytes))?;
        environ.set_item(&keys.request_uri, &target)?;
        environ.set_item(&keys.raw_uri, &target)?;
        for (key, span) in [
            (&keys.script_name, head.script_name),
            (&keys.query_string, head.query),
            (&keys.server_protocol, head.protocol),
            (&keys.server_name, head.server_name),
            (&keys.server_port, head.server_port),
            (&keys.content_type, head.content_type),
        ] {
            match span.of(bytes) {
                b"" => {}
                b"HTTP/1.1" => environ.set_item(key, &keys.http11)?,
                value => environ.set_item(key, latin1(py, value)?)?,
            }
        }
        for header in &head.headers {
            let (name, value) = (header.name.of(bytes), header.value.of(bytes));
            match &*self.variables.of_name(name, || Key::of_variable(py, name)) {
                Key::Named(key, separator) => set_header(py, environ, key, separator, value)?,
                Key::Forwarded(key, _) if rules.shows_forwarded => {
                    set_header(py, environ, key, LIST_SEPARATOR, value)?;
                }
                Key::Forwarded(_, dropped) | Key::Dropped(dropped) => dropped.log(name, rules),
                Key::Host | Key::ContentType | Key::Framing => {}
            }
        }
        for header in &head.dropped {
            let name = header.name.of(bytes);
            if let Key::Dropped(dropped) = &*self.variables.of_name(name, || Key::of_dropped_variable(name)) {
                dropped.log(name, rules);
            }
        }
        Ok(())
    }
}

impl Key {
    /// What a header is that is a variable already, and not for the application.
    fn of_dropped_variable(name: &[u8]) -> Key {
        Key::Dropped(match name {
            b"HTTP_PROXY" => Dropped::httpoxy(),
            _ => Dropped::because("the name of a variable has letters from A to Z, digits and underscores"),
        })
    }

    /// What a header becomes that is a variable already, such as `HTTP_COOKIE`.
    fn of_variable(py: Python<'_>, name: &[u8]) -> Key {
        let header = name.strip_prefix(b"HTTP_").unwrap_or(name);
        let header: Vec<u8> = header.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
        match header.as_slice() {
            header if is_forwarded_name(header) => Key::forwarded(text_of(py, name)),
            b"COOKIE" => Key::Named(text_of(py, name), "; "),
            _ => Key::Named(text_of(py, name), LIST_SEPARATOR),
        }
    }
}
