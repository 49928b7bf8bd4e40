//! The PROXY protocol header with which a load balancer begins a connection that it passes on.
//!
//! Only where the listener says so is there one, and then it has to be: nothing is guessed. It comes before everything
//! else, TLS too.

use super::intake::End;
use super::{Connection, Inbound, refusal};
use crate::deadlines::Wait;
use portico_wire::{PROXY_MAX_BYTES, ProxyEndpoints, ProxyHeader, Span};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a load balancer says of a connection.
pub struct Proxied {
    /// The client; none where it has no address.
    pub client: Option<SocketAddr>,
    /// Whether the client is a front server whose forwarded headers are believed.
    pub is_trusted: bool,
    /// Whether the client's connection is encrypted.
    pub is_tls: bool,
    /// More about the connection, for the application: names and values.
    pub facts: Vec<(&'static str, Vec<u8>)>,
}

/// Reads the header, where there is to be one; gives back what follows it.
pub async fn read(connection: &Arc<Connection>, inbound: Option<Box<Inbound>>) -> Result<Option<Box<Inbound>>, End> {
    if !connection.listener.has_proxy_header {
        return Ok(inbound);
    }
    Box::pin(read_header(connection, inbound)).await
}

async fn read_header(
    connection: &Arc<Connection>,
    mut inbound: Option<Box<Inbound>>,
) -> Result<Option<Box<Inbound>>, End> {
    let engine = connection.engine;
    let deadline_ms = engine.bounds.handshake_ms;
    connection.expect(Wait::FirstByte, deadline_ms);
    loop {
        if let Some(mut buffer) = inbound.take() {
            match ProxyHeader::read(buffer.bytes(), PROXY_MAX_BYTES) {
                Ok(None) => {}
                Ok(Some(header)) => {
                    // There is none yet: this is read once.
                    let _ = connection.proxied.set(Arc::new(told(connection, &header, buffer.bytes())));
                    buffer.consume(header.length);
                    if buffer.is_empty() {
                        engine.return_buffer(buffer);
                        return Ok(None);
                    }
                    return Ok(Some(buffer));
                }
                Err(error) => {
                    refusal::tell_of_front_server(connection, error, buffer.bytes());
                    // Nobody knows yet what is spoken here, so there is no answer.
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

fn told(connection: &Connection, header: &ProxyHeader, bytes: &[u8]) -> Proxied {
    let client = match header.endpoints {
        ProxyEndpoints::Ip { source, .. } => Some(source),
        ProxyEndpoints::Unix { .. } => None,
        ProxyEndpoints::Local | ProxyEndpoints::Unknown => connection.peer,
    };
    let mut facts = Vec::new();
    let mut add = |name, span: Option<Span>| facts.extend(span.map(|span| (name, span.of(bytes).to_vec())));
    add("alpn", header.alpn);
    add("authority", header.authority);
    add("unique_id", header.unique_id);
    let tls = header.tls.as_ref();
    add("tls_version", tls.and_then(|tls| tls.version));
    add("tls_cipher", tls.and_then(|tls| tls.cipher));
    add("tls_client_cn", tls.and_then(|tls| tls.common_name));
    if let ProxyEndpoints::Ip { destination, .. } = header.endpoints {
        facts.push(("destination", destination.to_string().into_bytes()));
    }
    Proxied {
        client,
        is_trusted: connection.engine.bounds.trusts(client.map(|client| client.ip())),
        is_tls: tls.is_some_and(|tls| tls.is_used),
        facts,
    }
}
