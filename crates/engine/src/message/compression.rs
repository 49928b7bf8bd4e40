//! Receives a response's head and what its client accepts; hands on whether the body is compressed, and the head that
//! says so. Knows nothing of how bodies are compressed.
//!
//! A response that is sent in several codings is several representations (RFC 9110 8.8.3): `Vary` says so to caches, and
//! an ETag that the application has made strong, for the bytes that it knows, is a weak one of the compressed body. Weak,
//! and not another one: so the application recognises it in `If-None-Match`, which compares weakly (RFC 9110 13.1.2),
//! while `If-Range` and `If-Match`, which are about bytes, do not hold.

use crate::message::inbound::Inbound;
use crate::message::response_head::{ResponseHead, lines, split_line};
use crate::settings::Settings;
use portico_wire::{AcceptEncoding, ContentCoding, write_header};

/// What a client has said that matters for compression.
pub struct Negotiation {
    /// The coding that a response to it gets.
    coding: Option<ContentCoding>,
    /// Its If-None-Match.
    held_tags: Vec<u8>,
}

/// What there is to do with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is the same for all clients.
    Unrelated,
    /// It is about a compressed response that the client has.
    NotModified,
    /// It can be sent in this coding, and is sent as it is to others.
    Negotiated(Option<ContentCoding>),
}

impl Negotiation {
    /// With the client of a request.
    pub fn with(inbound: &Inbound, settings: &Settings) -> Negotiation {
        let coding = AcceptEncoding::read(inbound.headers("accept-encoding")).choose(settings.compress.list());
        let held_tags = inbound.headers("if-none-match").collect::<Vec<_>>().join(&b","[..]);
        Negotiation { coding, held_tags }
    }

    /// Judges a response by its head. `length` is its body's if that is known; for HEAD, that of GET's.
    pub fn judge(&self, head: &ResponseHead, length: Option<u64>, settings: &Settings) -> Verdict {
        let fields = Fields::read(&head.fields);
        match head.status {
            304 if fields.etag.is_some_and(|tag| self.holds_weakly(tag)) => return Verdict::NotModified,
            // Without a body, or a part of one.
            204..=206 | 304 => return Verdict::Unrelated,
            _ => {}
        }
        let is_worth_it = length.is_none_or(|length| length >= settings.compress_min_bytes);
        let is_of_type = fields.media_type.is_some_and(|media_type| settings.compress_types.contains(media_type));
        if is_worth_it && is_of_type && !fields.is_final {
            Verdict::Negotiated(self.coding)
        } else {
            Verdict::Unrelated
        }
    }

    /// Whether the client has the response whose ETag `tag` would be, if it was not strong.
    fn holds_weakly(&self, tag: &[u8]) -> bool {
        let mut held = self.held_tags.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        tag.starts_with(b"\"") && held.any(|held| held.strip_prefix(b"W/") == Some(tag))
    }
}

/// The head of a response that is compressed for others.
pub fn varying_head(head: &ResponseHead) -> ResponseHead {
    let mut fields = Vec::with_capacity(head.fields.len() + VARY_LINE.len());
    write_varying(&mut fields, &head.fields, Vec::extend_from_slice);
    ResponseHead { fields, status_line: head.status_line.clone(), ..*head }
}

/// The head of a 304 about a compressed response.
pub fn not_modified_head(head: &ResponseHead) -> ResponseHead {
    let mut fields = Vec::with_capacity(head.fields.len() + VARY_LINE.len());
    write_varying(&mut fields, &head.fields, write_weakened);
    ResponseHead { fields, status_line: head.status_line.clone(), ..*head }
}

/// The head of a response in `coding`, which has no length yet.
pub fn coded_head(head: &ResponseHead, coding: ContentCoding) -> ResponseHead {
    let mut fields = Vec::with_capacity(head.fields.len() + 2 * VARY_LINE.len());
    write_varying(&mut fields, &head.fields, |fields, line| {
        // Those that the application has are of the body as it was.
        if !split_line(line).0.eq_ignore_ascii_case(b"accept-ranges") {
            write_weakened(fields, line);
        }
    });
    write_header(&mut fields, b"Content-Encoding", coding.name().as_bytes());
    ResponseHead { fields, status_line: head.status_line.clone(), content_length: None, ..*head }
}

const VARY_LINE: &[u8] = b"Vary: Accept-Encoding\r\n";

/// Copies the lines of `fields` by `copy`, and names Accept-Encoding in Vary, if nothing there does so yet.
fn write_varying(out: &mut Vec<u8>, fields: &[u8], copy: impl Fn(&mut Vec<u8>, &[u8])) {
    let mut is_said = Fields::read(fields).varies;
    for line in lines(fields) {
        let (name, value) = split_line(line);
        if is_said || value.is_empty() || !name.eq_ignore_ascii_case(b"vary") {
            copy(out, line);
            continue;
        }
        write_header(out, name, &[value, b"Accept-Encoding"].join(&b", "[..]));
        is_said = true;
    }
    if !is_said {
        out.extend_from_slice(VARY_LINE);
    }
}

/// Copies a line; an ETag becomes a weak one.
fn write_weakened(out: &mut Vec<u8>, line: &[u8]) {
    match split_line(line) {
        (name, value @ [b'"', ..]) if name.eq_ignore_ascii_case(b"etag") => {
            write_header(out, name, &[b"W/", value].concat());
        }
        _ => out.extend_from_slice(line),
    }
}

/// Fields of a response whose bytes are settled: the application compresses itself (with `identity` it says that it does
/// not want to), sends a part, or has sums of what it sends (RFC 9530, RFC 3230, RFC 1864).
const FINAL: [&[u8]; 6] =
    [b"content-encoding", b"content-range", b"content-digest", b"repr-digest", b"digest", b"content-md5"];

/// What of a response's fields matters for compression.
#[derive(Default)]
struct Fields<'a> {
    /// Of Content-Type, without parameters.
    media_type: Option<&'a [u8]>,
    etag: Option<&'a [u8]>,
    /// Whether Vary says already that the response depends on Accept-Encoding.
    varies: bool,
    /// Whether the bytes of the body are settled.
    is_final: bool,
}

impl<'a> Fields<'a> {
    fn read(fields: &'a [u8]) -> Fields<'a> {
        let mut found = Fields::default();
        for (name, value) in lines(fields).map(split_line) {
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            match name.len() {
                4 if is(b"etag") => found.etag = Some(value),
                4 if is(b"vary") => found.varies |= has_item(value, b"accept-encoding") || has_item(value, b"*"),
                12 if is(b"content-type") => {
                    found.media_type = value.split(|&byte| byte == b';').next().map(<[u8]>::trim_ascii);
                }
                // RFC 9111 5.2.2.6.
                13 if is(b"cache-control") => found.is_final |= has_item(value, b"no-transform"),
                _ => found.is_final |= FINAL.iter().any(|known| is(known)),
            }
        }
        found
    }
}

/// Whether a list has this item, in any case.
fn has_item(list: &[u8], item: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|entry| entry.trim_ascii().eq_ignore_ascii_case(item))
}
