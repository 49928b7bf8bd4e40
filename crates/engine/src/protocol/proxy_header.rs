//! The PROXY protocol header with which a load balancer begins a connection that it passes on.
//!
//! Only where the listener says so is there one, and then it has to be: nothing is guessed. It comes before everything
//! else, TLS too.

use super::end::End;
use crate::connection::Connection;
use crate::connection::origin::Proxied;
use crate::deadline::Wait;
use crate::exchange::error_response::warn_about_reverse_proxy;
use crate::message::inbound::Inbound;
use portico_wire::{PROXY_MAX_BYTES, ProxyEndpoints, ProxyHeader, Span};
use std::sync::Arc;

/// Reads the header, where there is to be one; gives back what follows it.
pub async fn read(connection: &Arc<Connection>, inbound: Option<Box<Inbound>>) -> Result<Option<Box<Inbound>>, End> {
    if !connection.origin.listener.options.proxy {
        return Ok(inbound);
    }
    Box::pin(read_header(connection, inbound)).await
}

async fn read_header(
    connection: &Arc<Connection>,
    mut inbound: Option<Box<Inbound>>,
) -> Result<Option<Box<Inbound>>, End> {
    let resources = &connection.resources;
    connection.expect(Wait::FirstByte, resources.settings.handshake_timeout_s.ms());
    loop {
        if let Some(mut buffer) = inbound.take() {
            match ProxyHeader::read(buffer.bytes(), PROXY_MAX_BYTES) {
                Ok(None) => {}
                Ok(Some(header)) => {
                    connection.origin.set_proxied(proxied(connection, &header, buffer.bytes()));
                    buffer.consume(header.length);
                    if buffer.is_empty() {
                        resources.buffers.give_back(buffer);
                        return Ok(None);
                    }
                    return Ok(Some(buffer));
                }
                Err(error) => {
                    warn_about_reverse_proxy(connection, error, buffer.bytes());
                    // Nobody knows yet what is spoken here, so there is no response.
                    return Err(End::Gone);
                }
            }
            inbound = Some(buffer);
        }
        if connection.fill(&mut inbound).await? == 0 {
            // Balancers that only look whether somebody is there.
            return Err(End::Gone);
        }
    }
}

fn proxied(connection: &Connection, header: &ProxyHeader, bytes: &[u8]) -> Proxied {
    let client = match header.endpoints {
        ProxyEndpoints::Ip { source, .. } => Some(source),
        ProxyEndpoints::Unix { .. } => None,
        ProxyEndpoints::Local | ProxyEndpoints::Unknown => connection.origin.peer,
    };
    let mut attributes = Vec::new();
    let mut add = |name, span: Option<Span>| attributes.extend(span.map(|span| (name, span.of(bytes).to_vec())));
    add("alpn", header.alpn);
    add("authority", header.authority);
    add("unique_id", header.unique_id);
    let tls = header.tls.as_ref();
    add("tls_version", tls.and_then(|tls| tls.version));
    add("tls_cipher", tls.and_then(|tls| tls.cipher));
    add("tls_client_cn", tls.and_then(|tls| tls.common_name));
    if let ProxyEndpoints::Ip { destination, .. } = header.endpoints {
        attributes.push(("destination", destination.to_string().into_bytes()));
    }
    Proxied {
        client,
        is_trusted: connection.resources.settings.trusts(client.map(|client| client.ip())),
        is_tls: tls.is_some_and(|tls| tls.is_used),
        attributes,
    }
}
