//! Requests for files, and who serves them. A small file that the kernel has in memory is sent at once, by the thread that
//! drives I/O: that takes less than to wake another. Everything else is for a few threads that may wait for a disk: they
//! look for the file and send what the socket takes; the rest is the send queue's, so that a slow reader holds no thread.

use super::engine_response::EngineResponse;
use super::file_parts::{BLOCK_BYTES, Piece, in_memory, parts, pieces};
use super::request::Request;
use crate::blocking::BlockingThreads;
use crate::files::asked::Fields;
use crate::files::file_response::{FileBody, FileResponse, plain};
use crate::files::hashed_name::REVALIDATED;
use crate::files::kept_files::KeptFiles;
use crate::files::opening::Effort;
use crate::files::prefixes::Prefixes;
use crate::files::reading::read;
use crate::files::relative_path::{Meant, below};
use crate::files::static_root::{Folder, Outcome, StaticRoot};
use crate::message::inbound::Inbound;
use crate::os_error::without_number;
use crate::settings::StaticDirectories;
use std::borrow::Cow;
use std::fs::File;
use std::sync::Arc;

/// What stands for a directory where that is not said.
const INDEX: &str = "index.html";

/// The directories of a server.
pub struct Files {
    /// Those that go before all routes.
    prefixes: Prefixes,
    /// First these, then those that rows of the table of routes lead to.
    roots: Vec<Arc<StaticRoot>>,
    /// What they keep for a second, if anything.
    kept: Option<Arc<KeptFiles>>,
    threads: Arc<BlockingThreads>,
}

/// What a request is for.
pub struct Place {
    root: usize,
    prefix_bytes: usize,
}

impl Files {
    /// Opens the directories, and the folders that rows lead to; none if there are none. Disks are waited for on `threads`,
    /// and small files kept in `kept`.
    ///
    /// # Errors
    /// A sentence about one that cannot be opened.
    pub fn open(
        directories: &StaticDirectories,
        folders: &[Folder],
        threads: &Arc<BlockingThreads>,
        kept: Option<KeptFiles>,
    ) -> Result<Option<Files>, String> {
        let StaticDirectories(directories) = directories;
        if directories.is_empty() && folders.is_empty() {
            return Ok(None);
        }
        let before_routes = directories.iter().map(|(prefix, path)| {
            let cache_control = REVALIDATED.to_owned();
            let folder = Folder { path: path.clone(), index: vec![INDEX.to_owned()], cache_control };
            (folder, format!("static: cannot open the directory {} for {}", path.display(), shown(prefix)))
        });
        let of_rows = folders
            .iter()
            .map(|folder| (folder.clone(), format!("[[static]]: cannot open the directory {}", folder.path.display())));
        let kept = kept.map(Arc::new);
        let roots = before_routes.chain(of_rows).enumerate().map(|(number, (folder, what))| {
            let root = StaticRoot::open(folder, number, kept.clone());
            root.map(Arc::new).map_err(|error| without_number(&format!("{what}: {error}")).into_owned())
        });
        Ok(Some(Files {
            roots: roots.collect::<Result<_, _>>()?,
            kept,
            prefixes: Prefixes::new(directories.iter().map(|(prefix, _)| prefix.clone())),
            threads: threads.clone(),
        }))
    }

    /// The directory that a request's path belongs to before all routes, if to any. Prefixes are those of the whole path,
    /// wherever the application is mounted.
    pub fn place_of(&self, inbound: &Inbound) -> Option<Place> {
        if self.prefixes.is_empty() {
            return None;
        }
        let (path, is_encoded) = whole_path(inbound);
        let (root, prefix_bytes) = self.prefixes.find(&path, is_encoded)?;
        Some(Place { root, prefix_bytes })
    }

    /// The folder of a row to which so many bytes of a request's path lead.
    pub fn place_in(&self, folder: usize, mount_bytes: usize, inbound: &Inbound) -> Place {
        let before = inbound.gateway().map_or(0, |gateway| gateway.script_name.of(inbound.bytes()).len());
        Place { root: self.prefixes.len() + folder, prefix_bytes: before + mount_bytes }
    }

    /// Serves a request for `place` whose turn it is, or gives it to `otherwise` if there is no such file. With the effort
    /// `Cached` that may be before this returns; on a thread that drives I/O, and not where the end of one response leads
    /// to the next.
    pub fn serve(
        &self,
        request: Request,
        place: Place,
        effort: Effort,
        otherwise: impl FnOnce(Request) + Send + 'static,
    ) {
        let Some(root) = self.roots.get(place.root).cloned() else { return otherwise(request) };
        let threads = self.threads.clone();
        let found = (effort == Effort::Cached).then(|| look_up(&root, &place, &request.inbound, effort)).flatten();
        match found {
            Some(Outcome::Missing) => otherwise(request),
            Some(Outcome::Response(response, file)) => {
                match in_memory(response, file, request.inbound.head.is_head, effort) {
                    (response, None) => send(request, response, None, threads),
                    (response, file) => {
                        let found = Outcome::Response(response, file);
                        self.threads.run(move || send_found(request, found, threads, otherwise));
                    }
                }
            }
            None => self.threads.run(move || {
                let found = look_up(&root, &place, &request.inbound, Effort::Waiting).unwrap_or(Outcome::Missing);
                send_found(request, found, threads, otherwise);
            }),
        }
    }

    /// What there is for a request for `place`; none where that takes more `effort`.
    pub fn look_up(&self, place: &Place, inbound: &Inbound, effort: Effort) -> Option<Outcome> {
        self.roots.get(place.root).map_or(Some(Outcome::Missing), |root| look_up(root, place, inbound, effort))
    }

    /// Forgets what has been kept for a second at `now_ms`; whether nothing is left.
    pub fn forget_old(&self, now_ms: u64) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.forget_old(now_ms))
    }
}

fn shown(prefix: &str) -> &str {
    if prefix.is_empty() { "/" } else { prefix }
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

fn look_up(root: &StaticRoot, place: &Place, inbound: &Inbound, effort: Effort) -> Option<Outcome> {
    let (path, is_encoded) = whole_path(inbound);
    let (prefix, rest) = path.split_at_checked(place.prefix_bytes).unwrap_or((&path, b""));
    // RFC 9110 4.2.3: an empty path of an absolute target is "/".
    let rest = if path.is_empty() { b"/" } else { rest };
    let path = match below(rest, is_encoded) {
        Meant::Path(path) => path,
        Meant::Nothing => return Some(Outcome::Missing),
        Meant::Rejected => return Some(Outcome::Response(plain(404), None)),
    };
    let fields = Fields::of(inbound);
    let name = prefix.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    root.get(path, name, &fields.asked(inbound), effort)
}

/// Sends what was found, or gives the request to `otherwise`. On a thread that may wait for a disk.
fn send_found(request: Request, found: Outcome, threads: Arc<BlockingThreads>, otherwise: impl FnOnce(Request)) {
    match found {
        Outcome::Missing => otherwise(request),
        Outcome::Response(response, file) => {
            let (response, file) = in_memory(response, file, request.inbound.head.is_head, Effort::Waiting);
            send(request, response, file, threads);
        }
    }
}

/// Sends a response, as much of it as the socket takes at once.
fn send(request: Request, response: FileResponse, file: Option<File>, threads: Arc<BlockingThreads>) {
    let FileResponse { mut head, mut body } = response;
    let handle = request.connection.resources.handle.clone();
    // What still comes of the request's body nobody wants.
    let (mut sent, _) = EngineResponse::new(request);
    if let FileBody::Text(text) = &mut body {
        sent.put_error_page(&mut head, text);
    }
    sent.start(&head, None);
    match (body, file.map(Arc::new)) {
        (FileBody::Text(text), _) => sent.end_with_block(text),
        (FileBody::Shared(bytes), _) => sent.end_with_block(bytes),
        (body, Some(file)) if sent.can_send_file() => sent.end_with_parts(parts(body, &file, &threads)),
        (body, Some(file)) => drop(handle.spawn(send_read(sent, pieces(body), file, threads))),
        // Bytes of a file always come with it.
        (_, None) => {}
    }
}

/// Sends a body that has to be read, since records stand around it. One that cannot be read, or that nobody takes, ends
/// in the middle.
async fn send_read(mut response: EngineResponse, pieces: Vec<Piece>, file: Arc<File>, threads: Arc<BlockingThreads>) {
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
            let Some(Ok(block)) = threads.wait(move || read(&there, &next, Effort::Waiting)).await else { return };
            if response.block(block, is_last && range.start == range.end).await.is_err() {
                return;
            }
        }
    }
}
