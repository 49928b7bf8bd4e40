//! Receives the head of a request that a trusted reverse proxy passed on; hands on what that server says of the
//! client and of the request as the client made it. Never call it for other peers: they could say anything.
//!
//! Each reverse proxy adds to the right of what it received, so a list is true only as far as the servers that
//! wrote it are trusted. The walk therefore goes from the right: the first address that is no trusted server is
//! the client, and all that is left of it was the client's to invent.
//!
//! A reverse proxy sets either `Forwarded` (RFC 7239) or the `X-Forwarded-*` family, and may pass on the other one
//! as the client sent it. So where both say something they have to say the same.

mod element;
mod node;
mod request_start;

pub(crate) use request_start::read_request_start;
pub use request_start::request_start_ns;

use crate::grammar::trim_ows;
use crate::http1::target::is_authority;
use crate::{Networks, RequestHead, Span, WireError};
use element::read_element;
pub(crate) use node::read_port;
use node::{Node, read_number};
use std::net::IpAddr;

/// What trusted reverse proxies say of a request; spans are of the bytes that its head was read from.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Who made the request, if that was said; never without an address.
    pub client: Option<Client>,
    /// By which scheme it was made.
    pub scheme: Option<Scheme>,
    /// For whom it was: a valid host, with a port or without.
    pub host: Option<Span>,
    /// `X-Forwarded-Port`; see [`Forwarded::server_port`].
    pub port: Option<u16>,
    /// Where the application is mounted: empty, or a path that begins and does not end with `/`.
    pub prefix: Option<Span>,
}

/// A client as a reverse proxy names it.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Client {
    /// None where it is `unknown`, hidden behind an obfuscated identifier (RFC 7239 6), or not to be read.
    pub address: Option<IpAddr>,
    /// None where it was not said.
    pub port: Option<u16>,
}

/// The scheme that the client used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

impl Scheme {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The scheme called `name`, in any case. Some servers name that of a WebSocket, which begins as a request of HTTP
    /// (RFC 6455 3 and 4.1).
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let is = |scheme: &[u8]| name.eq_ignore_ascii_case(scheme);
        if is(b"https") || is(b"wss") {
            Some(Self::Https)
        } else if is(b"http") || is(b"ws") {
            Some(Self::Http)
        } else {
            None
        }
    }
}

impl Forwarded {
    /// Reads the forwarded headers of `head`, whose peer is in `trusted`.
    ///
    /// # Returns
    ///
    /// `None` where they say nothing.
    ///
    /// # Errors
    ///
    /// [`WireError::FORWARDED`], where a value that counts is invalid, or the two families contradict each other.
    pub fn read(head: &RequestHead, bytes: &[u8], trusted: &Networks) -> Result<Option<Self>, WireError> {
        if !head.has_forwarded {
            return Ok(None);
        }
        let message = Message { head, bytes };
        let named = message.read_client(trusted);
        let standard = message.read_standard(trusted)?;
        let skipped = named.or(standard.map(|chosen| (chosen.client.unwrap_or_default(), chosen.skipped)));
        let skipped = skipped.map_or(0, |(_, skipped)| skipped);
        let standard = standard.unwrap_or_default();

        let port = message.entry("x-forwarded-port", skipped);
        let prefix = message.entry("x-forwarded-prefix", skipped);
        let scheme = message.entry("x-forwarded-proto", skipped).map(read_scheme).transpose()?;
        let host = message.entry("x-forwarded-host", skipped).map(read_host).transpose()?;
        let forwarded = Self {
            // Of one that is hidden, or cannot be read, nothing is known.
            client: agreed_client(named.map(|(client, _)| client), standard.client)?
                .filter(|client| client.address.is_some()),
            scheme: agreed(scheme, standard.scheme, |one, other| one == other)?,
            host: agreed(host, standard.host, |one, other| one.eq_ignore_ascii_case(other))?
                .map(|host| message.span(host)),
            port: port.map(|port| read_port(port).filter(|port| *port != 0).ok_or(WireError::FORWARDED)).transpose()?,
            prefix: prefix.map(read_prefix).transpose()?.map(|prefix| message.span(prefix)),
        };
        Ok((forwarded != Self::default()).then_some(forwarded))
    }

    /// The host without its port, an IPv6 address in its brackets (RFC 3875 4.1.14).
    #[must_use]
    pub fn server_name<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.host.map(|host| split_authority(host.of(bytes)).0)
    }

    /// The port that the client used: as it was said, else that of the host, else that of the scheme; none where
    /// neither was said.
    #[must_use]
    pub fn server_port(&self, bytes: &[u8]) -> Option<u16> {
        let of_host = || self.host.and_then(|host| read_port(split_authority(host.of(bytes)).1));
        self.port.or_else(of_host).or(match self.scheme {
            Some(Scheme::Https) => Some(443),
            Some(Scheme::Http) => Some(80),
            None => self.host.map(|_| 80),
        })
    }
}

/// Whether `name` is one of the headers that only a trusted reverse proxy may set, in any case: the six of
/// [`Forwarded`], and X-Request-Start.
#[must_use]
pub fn is_forwarded_name(name: &[u8]) -> bool {
    // Nearly every name ends here, Accept-Encoding and the like too.
    if !matches!(name, [b'X' | b'x' | b'F' | b'f', ..]) {
        return false;
    }
    let lower_case: &[u8] = match name.len() {
        9 => b"forwarded",
        15 if name.get(2).is_some_and(|byte| byte | 0x20 == b'r') => b"x-request-start",
        15 => b"x-forwarded-for",
        16 if name.get(12).is_some_and(|byte| byte | 0x20 == b'h') => b"x-forwarded-host",
        16 => b"x-forwarded-port",
        17 => b"x-forwarded-proto",
        18 => b"x-forwarded-prefix",
        _ => return false,
    };
    name.eq_ignore_ascii_case(lower_case)
}

/// A head with the bytes it was read from.
#[derive(Clone, Copy)]
struct Message<'a> {
    head: &'a RequestHead,
    bytes: &'a [u8],
}

/// The element of `Forwarded` that tells of the client.
#[derive(Clone, Copy, Default)]
struct Element<'a> {
    client: Option<Client>,
    scheme: Option<Scheme>,
    host: Option<&'a [u8]>,
    /// Elements to its right.
    skipped: usize,
}

impl<'a> Message<'a> {
    /// Values of all field lines called `name`; together they are one list (RFC 9110 5.3).
    fn lines(self, name: &'static str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let Message { head, bytes } = self;
        let named = move |name_span: Span| name_span.of(bytes).eq_ignore_ascii_case(name.as_bytes());
        head.headers.iter().filter(move |header| named(header.name)).map(move |header| header.value.of(bytes))
    }

    /// The entries of the list called `name` from the right, without empty ones (RFC 9110 5.6.1).
    fn entries_from_right(self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let entries = self.lines(name).rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).map(trim_ows);
        entries.filter(|entry| !entry.is_empty())
    }

    /// Entry `skipped` from the right; of a shorter list, the leftmost: a server further out wrote none.
    fn entry(self, name: &'static str, skipped: usize) -> Option<&'a [u8]> {
        self.entries_from_right(name).take(skipped.saturating_add(1)).last()
    }

    /// X-Forwarded-For: the client, and how many trusted servers are named to its right.
    fn read_client(self, trusted: &Networks) -> Option<(Client, usize)> {
        let mut leftmost = None;
        for (skipped, text) in self.entries_from_right("x-forwarded-for").enumerate() {
            let node = Node::read(text);
            leftmost = Some((node.client(), skipped));
            if !node.is_in(trusted) {
                break;
            }
        }
        leftmost
    }

    /// Forwarded: read from the left, since a quoted string can be told only from there; what the walk from the
    /// right would choose is the last element that is not trusted, else the first one. All of it has to be well
    /// formed, so that a quote which the client left open cannot hide what a server added.
    fn read_standard(self, trusted: &Networks) -> Result<Option<Element<'a>>, WireError> {
        let mut chosen = None;
        for line in self.lines("forwarded") {
            let mut rest = line;
            while let Some((pairs, after)) = read_element(rest)? {
                rest = after;
                let node = pairs.node.map(Node::read);
                let is_trusted = node.is_some_and(|node| node.is_in(trusted));
                match &mut chosen {
                    Some((_, skipped)) if is_trusted => *skipped += 1,
                    chosen => *chosen = Some((pairs, 0)),
                }
            }
        }
        let Some((pairs, skipped)) = chosen else { return Ok(None) };
        Ok(Some(Element {
            client: pairs.node.map(|node| Node::read(node).client()),
            scheme: pairs.proto.map(read_scheme).transpose()?,
            host: pairs.host.map(read_host).transpose()?,
            skipped,
        }))
    }

    /// Where `part` lies in the bytes it was taken from.
    fn span(self, part: &[u8]) -> Span {
        let start = part.as_ptr().addr().wrapping_sub(self.bytes.as_ptr().addr());
        Span::new(start, start + part.len())
    }
}

/// What both families say, or the one that says something.
fn agreed<T>(one: Option<T>, other: Option<T>, are_equal: impl Fn(&T, &T) -> bool) -> Result<Option<T>, WireError> {
    match (one, other) {
        (Some(one), Some(other)) if !are_equal(&one, &other) => Err(WireError::FORWARDED),
        (one, other) => Ok(one.or(other)),
    }
}

/// Only one of them may know the port.
fn agreed_client(one: Option<Client>, other: Option<Client>) -> Result<Option<Client>, WireError> {
    let port = agreed(one.and_then(|one| one.port), other.and_then(|other| other.port), u16::eq)?;
    let client = agreed(one, other, |one, other| one.address == other.address)?;
    Ok(client.map(|client| Client { port, ..client }))
}

fn read_scheme(text: &[u8]) -> Result<Scheme, WireError> {
    Scheme::named(text).ok_or(WireError::FORWARDED)
}

fn read_host(text: &[u8]) -> Result<&[u8], WireError> {
    if is_authority(text) { Ok(text) } else { Err(WireError::FORWARDED) }
}

/// A path without the slashes at its end, as `SCRIPT_NAME` has it (RFC 3875 4.1.13: `/` is the empty one). A URL
/// that began with `//host`, or with what browsers take for it, would lead elsewhere (RFC 3986 4.2).
fn read_prefix(text: &[u8]) -> Result<&[u8], WireError> {
    let has_control = text.iter().any(u8::is_ascii_control);
    if has_control || !text.starts_with(b"/") || matches!(text, [_, b'/' | b'\\', ..]) {
        return Err(WireError::FORWARDED);
    }
    let end = text.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    Ok(text.get(..end).unwrap_or_default())
}

/// The host and the port, which may be empty, of a valid authority.
fn split_authority(authority: &[u8]) -> (&[u8], &[u8]) {
    let after_literal = memchr::memrchr(b']', authority).unwrap_or(0);
    let colon = memchr::memchr(b':', authority.get(after_literal..).unwrap_or_default());
    let (host, port) = authority.split_at(colon.map_or(authority.len(), |colon| after_literal + colon));
    (host, port.get(1..).unwrap_or_default())
}
