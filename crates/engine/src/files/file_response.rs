//! A file and what is asked of it become a response: its head, and which bytes of which file follow. No I/O.

use super::conditions::{Conditions, Verdict, is_same_as};
use super::ranges::{Wanted, wanted};
use super::validators::Validators;
use crate::message::response_head::ResponseHead;
use portico_wire::{ContentCoding, write_header};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// What a request asks of a file. Fields in several lines are one, with commas between them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The query with its question mark, or empty.
    pub query: &'a [u8],
    /// The conditions.
    pub conditions: Conditions<'a>,
    /// If-Range.
    pub if_range: Option<&'a [u8]>,
    /// Range.
    pub range: Option<&'a [u8]>,
    /// Accept-Encoding.
    pub accept_encoding: Option<&'a [u8]>,
}

impl Asked<'_> {
    /// Whether the method is one that files have.
    pub fn is_reading(&self) -> bool {
        matches!(self.method, b"GET" | b"HEAD")
    }
}

/// A file that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// What it is: the value of Content-Type.
    pub content_type: &'a [u8],
    /// What it is compressed in.
    pub coding: Option<ContentCoding>,
    /// Whether it may be compressed for one client and not for another.
    pub varies: bool,
    /// What clients may do with it: the value of Cache-Control, if that is said here.
    pub cache_control: Option<&'a [u8]>,
    /// Its size in bytes.
    pub size: u64,
    /// By what clients know it again.
    pub validators: &'a Validators,
}

/// A response.
pub struct FileResponse {
    /// Its head; the length of the body always is in it.
    pub head: ResponseHead,
    /// What follows.
    pub body: FileBody,
}

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileBody {
    /// These bytes.
    Text(Vec<u8>),
    /// A part of the file, from memory.
    Shared(Shared),
    /// A part of the file.
    Range(Range<u64>),
    /// Parts of the file, each with bytes before it, and bytes at the end.
    Parts(Vec<(Vec<u8>, Range<u64>)>, Vec<u8>),
}

/// A part of a content that others have too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    content: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Shared {
    /// The bytes of `content` in `range`.
    pub fn new(content: &Arc<Vec<u8>>, range: Range<u64>) -> Shared {
        let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
        Shared { content: content.clone(), range: start..end }
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.content.get(self.range.clone()).unwrap_or_default()
    }
}

/// The response to a GET or HEAD of `found` at the time `now_s`. `boundary` makes a line that stands nowhere in the file.
pub fn respond(found: &Found<'_>, asked: &Asked<'_>, now_s: u64, boundary: impl FnOnce() -> String) -> FileResponse {
    let Found { size, validators, .. } = found;
    match asked.conditions.judge(validators) {
        Verdict::Failed => return plain(412),
        Verdict::NotModified => {
            let mut head = head_of(304);
            write_header(&mut head.fields, b"ETag", validators.etag.as_bytes());
            write_caching(&mut head.fields, found);
            return FileResponse { head, body: FileBody::Text(Vec::new()) };
        }
        Verdict::Hold => {}
    }
    // RFC 9110 14.2: ranges are for GET.
    let has_range = asked.method == b"GET" && asked.range.is_some();
    let is_range_due = has_range && is_same_as(asked.if_range, validators, now_s);
    let ranges = match wanted(asked.range.filter(|_| is_range_due), *size) {
        Wanted::Whole => return whole(found),
        Wanted::Ranges(ranges) => ranges,
        Wanted::Unsatisfiable => {
            let mut response = plain(416);
            write_header(&mut response.head.fields, b"Content-Range", format!("bytes */{size}").as_bytes());
            return response;
        }
    };
    match ranges.as_slice() {
        [range] => {
            let mut head = head_of(206);
            write_type(&mut head.fields, found.content_type);
            write_header(&mut head.fields, b"Content-Range", content_range(range, *size).as_bytes());
            write_representation(&mut head.fields, found);
            head.content_length = Some(range.end - range.start);
            FileResponse { head, body: FileBody::Range(range.clone()) }
        }
        _ => multipart(found, &ranges, &boundary()),
    }
}

fn whole(found: &Found<'_>) -> FileResponse {
    let mut head = head_of(200);
    write_type(&mut head.fields, found.content_type);
    write_representation(&mut head.fields, found);
    head.content_length = Some(found.size);
    FileResponse { head, body: FileBody::Range(0..found.size) }
}

/// RFC 9110 14.6.
fn multipart(found: &Found<'_>, ranges: &[Range<u64>], boundary: &str) -> FileResponse {
    let mut head = head_of(206);
    write_type(&mut head.fields, format!("multipart/byteranges; boundary={boundary}").as_bytes());
    write_representation(&mut head.fields, found);
    let part = |range: &Range<u64>| {
        let mut before = format!("\r\n--{boundary}\r\n").into_bytes();
        write_type(&mut before, found.content_type);
        write_header(&mut before, b"Content-Range", content_range(range, found.size).as_bytes());
        before.extend_from_slice(b"\r\n");
        (before, range.clone())
    };
    let parts: Vec<_> = ranges.iter().map(part).collect();
    let end = format!("\r\n--{boundary}--\r\n").into_bytes();
    let length: u64 = parts.iter().map(|(before, range)| before.len() as u64 + range.end - range.start).sum();
    head.content_length = Some(length + end.len() as u64);
    FileResponse { head, body: FileBody::Parts(parts, end) }
}

/// The response with this status, which says no more than that.
pub fn plain(status: u16) -> FileResponse {
    let mut head = head_of(status);
    write_type(&mut head.fields, b"text/plain; charset=utf-8");
    if status == 405 {
        // RFC 9110 15.5.6.
        write_header(&mut head.fields, b"Allow", b"GET, HEAD");
    }
    let mut body = head.status_line.clone();
    body.push(b'\n');
    head.content_length = Some(body.len() as u64);
    FileResponse { head, body: FileBody::Text(body) }
}

/// A directory has a slash at its end, or what is relative in its index would lead elsewhere. `name` is its last segment:
/// the location is relative too, so that it is right whatever a reverse proxy has taken from the path, and leads to no
/// other host.
pub fn to_directory(name: &[u8], query: &[u8]) -> FileResponse {
    let mut response = plain(308);
    let mut location = String::from("./");
    for byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            location.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(location, "%{byte:02X}");
        }
    }
    location.push('/');
    write_header(&mut response.head.fields, b"Location", &[location.as_bytes(), query].concat());
    response
}

/// Its status line, and no fields yet.
fn head_of(status: u16) -> ResponseHead {
    let reason = match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        308 => "Permanent Redirect",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        _ => "Internal Server Error",
    };
    let mut head =
        ResponseHead { status, status_line: format!("{status} {reason}").into_bytes(), ..ResponseHead::default() };
    head.fields.reserve(320);
    head
}

fn write_type(fields: &mut Vec<u8>, content_type: &[u8]) {
    write_header(fields, b"Content-Type", content_type);
}

/// The fields of a response with the file in it.
fn write_representation(fields: &mut Vec<u8>, found: &Found<'_>) {
    if let Some(coding) = found.coding {
        write_header(fields, b"Content-Encoding", coding.name().as_bytes());
    }
    write_header(fields, b"ETag", found.validators.etag.as_bytes());
    write_header(fields, b"Last-Modified", found.validators.last_modified().as_bytes());
    write_header(fields, b"Accept-Ranges", b"bytes");
    write_caching(fields, found);
}

/// What a 304 has too (RFC 9110 15.4.5).
fn write_caching(fields: &mut Vec<u8>, found: &Found<'_>) {
    if let Some(cache_control) = found.cache_control {
        write_header(fields, b"Cache-Control", cache_control);
    }
    if found.varies {
        // Also where there is no sibling now: one may be put there, and caches would keep giving out this one.
        write_header(fields, b"Vary", b"Accept-Encoding");
    }
}

/// RFC 9110 14.4: the last position is included.
fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}
