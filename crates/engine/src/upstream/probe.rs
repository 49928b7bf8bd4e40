//! Active health checks: each member is asked for a path in time, and gets no requests while it does not respond well. One
//! task for an upstream, which ends with it.

use super::connect::connect;
use super::encoding::encode;
use super::ends::{ResponseSink, WholeBody};
use super::group::{ProbeTerms, Times, Upstream};
use super::member::Member;
use super::outgoing::Outgoing;
use super::tls::TlsTerms;
use super::transfer::Transfer;
use crate::log::{Level, log};
use crate::message::buffers::Buffers;
use crate::message::spoken::Protocol;
use crate::timer::{sleep, timeout};
use portico_wire::{
    ForwardedFamily, Forwarding, Framing, Limits, PassedConnection, PassedOn, RequestHead, ResponseHead, ResponseTo,
    Scheme,
};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;

/// Whether a member responds to a probe with a status of 200 to 399, in time.
pub async fn is_well(member: &Member, terms: &ProbeTerms, tls: &TlsTerms, limits: &Limits, buffers: &Buffers) -> bool {
    let ms = terms.timeout_ms;
    let times = Times { connect_ms: ms, first_byte_ms: ms, idle_ms: ms, tunnel_ms: ms };
    let probe = async {
        let link = connect(&member.address, tls, buffers).await.ok()?;
        let protocol = member.address.protocol;
        let (head, to) = (head(protocol, terms)?, ResponseTo::default());
        let request = Outgoing { protocol, head: &head, framing: Framing::Empty, link: &link };
        let transfer = Transfer { request, name: &member.name, to, times: &times, limits, buffers };
        transfer.run(&mut WholeBody::default(), &mut Discard).await.ok()
    };
    let probed = timeout(Duration::from_millis(ms), probe).await;
    matches!(probed, Some(Some(transferred)) if (200..400).contains(&transferred.status))
}

/// The head of a probe; none if it cannot be asked for in this protocol.
fn head(protocol: Protocol, terms: &ProbeTerms) -> Option<Vec<u8>> {
    let text = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", terms.path, terms.host);
    if protocol == Protocol::Http {
        return Some(text.into_bytes());
    }
    let bytes = text.as_bytes();
    let mut head = RequestHead::new();
    head.read(bytes, &Limits::default()).ok()?;
    // Of this server itself: it has no client.
    let peer = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let request = PassedOn {
        head: &head,
        bytes,
        target: None,
        prefix: b"",
        host: None,
        framing: Framing::Empty,
        connection: PassedConnection::Close,
        forwarding: Forwarding { family: ForwardedFamily::Neither, is_trusted: false, peer, scheme: Scheme::Http },
        understood: None,
        trace: None,
        via: "",
    };
    encode(&request, protocol, &terms.variables).ok()
}

/// Asks the members of `upstream` until it is gone.
pub async fn watch(upstream: Weak<Upstream>, terms: ProbeTerms, buffers: Arc<Buffers>) {
    let mut streaks = HashMap::new();
    let terms = Arc::new(terms);
    loop {
        let Some(there) = upstream.upgrade() else { return };
        let mut probes = JoinSet::new();
        for member in there.members().iter() {
            let (member, terms, buffers) = (member.clone(), terms.clone(), buffers.clone());
            let (limits, tls) = (there.terms.limits, there.terms.tls.clone());
            probes.spawn(async move {
                let is_well = is_well(&member, &terms, &tls, &limits, &buffers).await;
                (member, is_well)
            });
        }
        drop(there);
        let mut next = HashMap::new();
        while let Some(probed) = probes.join_next().await {
            // A probe that has panicked says nothing.
            let Ok((member, is_well)) = probed else { continue };
            let streak = Streak::after(streaks.get(&member.name).copied(), is_well);
            streak.judge(&member, &terms);
            next.insert(member.name.clone(), streak);
        }
        streaks = next;
        sleep(Duration::from_millis(terms.interval_ms)).await;
    }
}

/// Equal results in a row.
#[derive(Clone, Copy)]
struct Streak {
    is_well: bool,
    length: u32,
}

impl Streak {
    fn after(before: Option<Streak>, is_well: bool) -> Streak {
        let length = before.filter(|before| before.is_well == is_well).map_or(0, |before| before.length);
        Streak { is_well, length: length.saturating_add(1) }
    }

    fn judge(self, member: &Member, terms: &ProbeTerms) {
        let enough = if self.is_well { terms.well_after } else { terms.ill_after };
        if self.length >= enough && member.set_well(self.is_well) {
            let name = &member.name;
            if self.is_well {
                log(Level::Info, &format!("upstream {name}: responds well again to health checks"));
            } else {
                log(Level::Warning, &format!("upstream {name}: does not respond well to health checks"));
            }
        }
    }
}

/// Takes a response and keeps nothing of it.
struct Discard;

impl ResponseSink for Discard {
    async fn interim(&mut self, _: &ResponseHead, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    async fn start(&mut self, _: &ResponseHead, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    async fn data(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    async fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}
