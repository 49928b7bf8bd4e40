//! Requests for files, and who serves them: a few threads that may wait for a disk look for the file and send what the
//! socket takes at once; the rest is the send queue's, so that a slow reader holds no thread.

use super::conditions::Conditions;
use super::file_response::{Asked, FileBody, FileResponse, plain};
use super::prefixes::Prefixes;
use super::relative_path::{Meant, below};
use super::static_root::{Outcome, StaticRoot};
use crate::blocking::BlockingThreads;
use crate::exchange::engine_response::EngineResponse;
use crate::exchange::request::Request;
use crate::exchange::responder::Part;
use crate::message::inbound::Inbound;
use crate::message::send_queue::FileRange;
use crate::settings::StaticDirectories;
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

/// How many threads wait for disks at the same time.
const THREADS: usize = 4;
/// A body up to this size is read, and leaves with the head in one system call.
const SMALL_BYTES: u64 = 32 * 1024;
/// What is read at a time where files cannot be sent as they are: one record of FastCGI.
const BLOCK_BYTES: u64 = 65_528;

/// The directories of a server, below their prefixes.
pub struct Files {
    prefixes: Prefixes,
    roots: Vec<Arc<StaticRoot>>,
    threads: Arc<BlockingThreads>,
}

/// What a request is for.
pub struct Place {
    root: usize,
    prefix_bytes: usize,
}

impl Files {
    /// Opens the directories; none if there are none.
    ///
    /// # Errors
    /// A sentence about one that cannot be opened.
    pub fn open(directories: &StaticDirectories) -> Result<Option<Files>, String> {
        let StaticDirectories(directories) = directories;
        if directories.is_empty() {
            return Ok(None);
        }
        let roots = directories.iter().map(|(prefix, path)| {
            let opened = StaticRoot::open(path).map(Arc::new);
            opened.map_err(|error| {
                let prefix = if prefix.is_empty() { "/" } else { prefix };
                format!("static: cannot open the directory {} for {prefix}: {error}", path.display())
            })
        });
        Ok(Some(Files {
            roots: roots.collect::<Result<_, _>>()?,
            prefixes: Prefixes::new(directories.iter().map(|(prefix, _)| prefix.clone())),
            threads: Arc::new(BlockingThreads::new(THREADS)),
        }))
    }

    /// The directory that a request's path belongs to, if to any. Prefixes are those of the whole path, wherever the
    /// application is mounted.
    pub fn place_of(&self, inbound: &Inbound) -> Option<Place> {
        let (path, is_encoded) = whole_path(inbound);
        let (root, prefix_bytes) = self.prefixes.find(&path, is_encoded)?;
        Some(Place { root, prefix_bytes })
    }

    /// Serves a request for `place` whose turn it is, or gives it to `otherwise` if there is no such file.
    pub fn serve(&self, request: Request, place: Place, otherwise: impl FnOnce(Request) + Send + 'static) {
        let Some(root) = self.roots.get(place.root).cloned() else { return otherwise(request) };
        let threads = self.threads.clone();
        self.threads.run(move || match look_up(&root, &place, &request.inbound) {
            Outcome::Missing => otherwise(request),
            Outcome::Response(response, file) => send(request, response, file, threads),
        });
    }

    /// What there is for a request for `place`. Waits for the disk.
    pub fn look_up(&self, place: &Place, inbound: &Inbound) -> Outcome {
        self.roots.get(place.root).map_or(Outcome::Missing, |root| look_up(root, place, inbound))
    }

    /// Ends the threads; false if one is still at work after `patience`.
    pub fn stop(&self, patience: Duration) -> bool {
        self.threads.stop(patience)
    }
}

/// The path of a request, with whether it has its escapes still; where a reverse proxy has split it, put together.
fn whole_path(inbound: &Inbound) -> (Cow<'_, [u8]>, bool) {
    let (bytes, path) = (inbound.bytes(), inbound.head.path.of(inbound.bytes()));
    match inbound.gateway() {
        None => (path.into(), true),
        Some(gateway) if gateway.script_name.is_empty() => (path.into(), gateway.path_is_encoded),
        Some(gateway) => ([gateway.script_name.of(bytes), path].concat().into(), gateway.path_is_encoded),
    }
}

fn look_up(root: &StaticRoot, place: &Place, inbound: &Inbound) -> Outcome {
    let (path, is_encoded) = whole_path(inbound);
    let (prefix, rest) = path.split_at_checked(place.prefix_bytes).unwrap_or((&path, b""));
    // RFC 9110 4.2.3: an empty path of an absolute target is "/".
    let rest = if path.is_empty() { b"/" } else { rest };
    let path = match below(rest, is_encoded) {
        Meant::Path(path) => path,
        Meant::Nothing => return Outcome::Missing,
        Meant::Rejected => return Outcome::Response(plain(404), None),
    };
    let fields = Fields::of(inbound);
    let name = prefix.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    root.get(&path, name, &fields.asked(inbound))
}

/// The fields that files look at; several lines of one are put together (RFC 9110 5.3).
#[derive(Default)]
struct Fields<'a>([Option<Cow<'a, [u8]>>; Fields::NAMES.len()]);

impl<'a> Fields<'a> {
    const NAMES: [&'static str; 7] = [
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "range",
        "accept-encoding",
    ];

    fn of(inbound: &'a Inbound) -> Fields<'a> {
        let mut fields = Fields::default();
        if inbound.gateway().is_some() {
            // Reverse proxies have put lines together.
            for (name, field) in Fields::NAMES.iter().zip(&mut fields.0) {
                *field = inbound.header(name).map(Cow::from);
            }
            return fields;
        }
        for header in &inbound.head.headers {
            let (name, value) = (header.name.of(inbound.bytes()), header.value.of(inbound.bytes()));
            let index = Fields::NAMES.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()));
            let Some(field) = index.and_then(|index| fields.0.get_mut(index)) else { continue };
            *field = Some(match field.take() {
                None => value.into(),
                Some(before) => [&before, value].join(&b","[..]).into(),
            });
        }
        fields
    }

    fn asked<'b>(&'b self, inbound: &'b Inbound) -> Asked<'b> {
        let [if_match, if_none_match, if_modified_since, if_unmodified_since, if_range, range, accept_encoding] =
            self.0.each_ref().map(Option::as_deref);
        let (bytes, head) = (inbound.bytes(), &inbound.head);
        let (target, query) = (head.target.of(bytes), head.query.of(bytes));
        let mark = target.len().checked_sub(query.len() + 1).filter(|mark| target.get(*mark) == Some(&b'?'));
        Asked {
            method: head.method.of(bytes),
            query: mark.and_then(|mark| target.get(mark..)).unwrap_or_default(),
            conditions: Conditions { if_match, if_none_match, if_modified_since, if_unmodified_since },
            if_range,
            range,
            accept_encoding,
        }
    }
}

/// Sends a response, as much of it as the socket takes at once.
fn send(request: Request, response: FileResponse, file: Option<File>, threads: Arc<BlockingThreads>) {
    let FileResponse { head, body } = response;
    let is_head = request.inbound.head.is_head;
    let (body, file) = match (body, file) {
        (FileBody::Text(text), _) => (text, None),
        (body, Some(file)) if !is_head => match small(&body, &file) {
            Some(Ok(bytes)) => (bytes, None),
            Some(Err(_)) => return send(request, plain(500), None, threads),
            None => (Vec::new(), Some((body, Arc::new(file)))),
        },
        _ => (Vec::new(), None),
    };
    let handle = request.connection.resources.handle.clone();
    // What still comes of the request's body is not wanted.
    let (mut sent, _) = EngineResponse::new(request);
    sent.start(&head, None);
    match file {
        None => sent.end_with_block(body),
        Some((body, file)) if sent.can_send_file() => sent.end_with_parts(parts(body, &file, &threads)),
        Some((body, file)) => drop(handle.spawn(send_read(sent, pieces(body), file, threads))),
    }
}

/// A body of one small range.
fn small(body: &FileBody, file: &File) -> Option<io::Result<Vec<u8>>> {
    let FileBody::Range(range) = body else { return None };
    let length = range.end - range.start;
    (length <= SMALL_BYTES).then(|| read(file, range))
}

fn read(file: &File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}

/// What is sent of a body, in order.
fn pieces(body: FileBody) -> Vec<Result<Vec<u8>, Range<u64>>> {
    match body {
        FileBody::Text(text) => vec![Ok(text)],
        FileBody::Range(range) => vec![Err(range)],
        FileBody::Parts(parts, end) => {
            let parts = parts.into_iter().flat_map(|(before, range)| [Ok(before), Err(range)]);
            parts.chain([Ok(end)]).collect()
        }
    }
}

fn parts(body: FileBody, file: &Arc<File>, threads: &Arc<BlockingThreads>) -> Vec<Part> {
    let part = |piece| match piece {
        Ok(bytes) => Part::Bytes(bytes),
        Err(Range { start, end }) => {
            let (file, threads) = (file.clone(), Some(threads.clone()));
            Part::File(FileRange { file, offset: start, length: end - start, threads })
        }
    };
    pieces(body).into_iter().map(part).collect()
}

/// Sends a body that has to be read, since records stand around it. One that cannot be read, or that nobody takes, ends
/// in the middle.
async fn send_read(
    mut response: EngineResponse,
    pieces: Vec<Result<Vec<u8>, Range<u64>>>,
    file: Arc<File>,
    threads: Arc<BlockingThreads>,
) {
    let mut left = pieces.into_iter().peekable();
    while let Some(piece) = left.next() {
        let is_last = left.peek().is_none();
        let mut range = match piece {
            Ok(bytes) => {
                if response.block(bytes, is_last).await.is_err() {
                    return;
                }
                continue;
            }
            Err(range) => range,
        };
        while range.start < range.end {
            let next = range.start..range.end.min(range.start + BLOCK_BYTES);
            range.start = next.end;
            let there = file.clone();
            let Some(Ok(block)) = threads.wait(move || read(&there, &next)).await else { return };
            if response.block(block, is_last && range.start == range.end).await.is_err() {
                return;
            }
        }
    }
}
