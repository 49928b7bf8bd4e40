//! Files that are the bodies of what the server responds with itself, from 400 on: read once when the server starts, and
//! sent to clients that take their media type; others get a sentence, as where there are none.

use super::media_type::media_type;
use crate::message::inbound::Inbound;
use crate::message::response_head::{ResponseHead, lines, split_line};
use crate::os_error::without_number;
use crate::settings::ErrorPageFiles;
use portico_wire::{accepts, write_header};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest: each is in the memory of each worker.
pub const MOST_BYTES: u64 = 64 * 1024;
/// RFC 9111 5.2.2.5: what is wrong may be so for a moment only, and the page depends on what the client accepts.
const CACHE_CONTROL: &[u8] = b"no-store";

/// A page.
pub struct ErrorPage {
    /// What it is: the value of Content-Type.
    pub content_type: &'static str,
    /// The file.
    pub body: Vec<u8>,
}

/// Whose pages a response has before those of the server as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// Nobody's.
    #[default]
    Server,
    /// Those of the application with this number.
    Application(usize),
    /// Those of the folder with this number among those that rows lead to.
    Folder(usize),
    /// Those of the upstream with this number.
    Upstream(usize),
}

/// The files of what rows of the table of routes lead to, by their numbers.
#[derive(Debug, Default)]
pub struct FilesOfRows {
    /// Of applications.
    pub applications: Vec<ErrorPageFiles>,
    /// Of folders.
    pub folders: Vec<ErrorPageFiles>,
    /// Of upstreams.
    pub upstreams: Vec<ErrorPageFiles>,
}

/// The pages of a server.
pub struct ErrorPages {
    server: Pages,
    applications: Vec<Pages>,
    folders: Vec<Pages>,
    upstreams: Vec<Pages>,
}

/// Pages by status; the first that fits is the one that is meant.
type Pages = Vec<(RangeInclusive<u16>, Arc<ErrorPage>)>;

/// What is to be known of a request once it may be gone.
pub struct Asking {
    whose: Whose,
    accept: Option<Vec<u8>>,
}

impl ErrorPage {
    /// The headers that a response has of it.
    pub fn headers(&self) -> [(&[u8], &[u8]); 2] {
        [(b"Content-Type", self.content_type.as_bytes()), (b"Cache-Control", CACHE_CONTROL)]
    }

    /// Makes `head`, of a sentence, one of this page. Its length is left to who sends it.
    pub fn replace(&self, head: &mut ResponseHead) {
        let kept = lines(&head.fields).filter(|line| !split_line(line).0.eq_ignore_ascii_case(b"content-type"));
        head.fields = kept.flatten().copied().collect();
        for (name, value) in self.headers() {
            write_header(&mut head.fields, name, value);
        }
    }
}

impl Asking {
    /// The request in `inbound`, if its head was understood.
    pub fn of(whose: Whose, inbound: Option<&Inbound>) -> Asking {
        let accept = inbound.and_then(|inbound| {
            let values: Vec<&[u8]> = inbound.headers("accept").collect();
            (!values.is_empty()).then(|| values.join(&b","[..]))
        });
        Asking { whose, accept }
    }
}

impl ErrorPages {
    /// Reads the files of a server and of its rows; none if there are none.
    ///
    /// # Errors
    /// A sentence about one that cannot be read.
    pub fn read(server: &ErrorPageFiles, rows: &FilesOfRows) -> Result<Option<ErrorPages>, String> {
        let all = || [&rows.applications, &rows.folders, &rows.upstreams].into_iter().flatten().chain([server]);
        if all().all(|files| files.0.is_empty()) {
            return Ok(None);
        }
        let mut known = Vec::new();
        let mut read = |files: &[ErrorPageFiles]| {
            files.iter().map(|files| pages(files, &mut known)).collect::<Result<Vec<Pages>, String>>()
        };
        let (applications, folders, upstreams) =
            (read(&rows.applications)?, read(&rows.folders)?, read(&rows.upstreams)?);
        let mut server = pages(server, &mut known)?;
        if let ([only], [], []) = (&applications[..], &folders[..], &upstreams[..]) {
            // Whatever is wrong with a request, it was meant for this.
            server.splice(0..0, only.iter().cloned());
        }
        Ok(Some(ErrorPages { server, applications, folders, upstreams }))
    }

    /// The page of a response with `status`, if there is one that its client takes.
    pub fn find(&self, asking: &Asking, status: u16) -> Option<&Arc<ErrorPage>> {
        let own = match asking.whose {
            Whose::Server => None,
            Whose::Application(number) => self.applications.get(number),
            Whose::Folder(number) => self.folders.get(number),
            Whose::Upstream(number) => self.upstreams.get(number),
        };
        let mut pages = own.into_iter().flatten().chain(&self.server);
        let (_, page) = pages.find(|(statuses, _)| statuses.contains(&status))?;
        accepts(asking.accept.as_deref(), page.content_type).then_some(page)
    }
}

/// Reads each of `files` once, and remembers it in `known`.
fn pages(files: &ErrorPageFiles, known: &mut Vec<(PathBuf, Arc<ErrorPage>)>) -> Result<Pages, String> {
    let mut pages = Pages::new();
    for (statuses, path) in &files.0 {
        let page = if let Some((_, page)) = known.iter().find(|(read, _)| read == path) {
            page.clone()
        } else {
            let page = Arc::new(read(path)?);
            known.push((path.clone(), page.clone()));
            page
        };
        // One for a single status goes before one for all that begin alike.
        let place = if statuses.len() == 1 { 0 } else { pages.len() };
        pages.insert(place, (statuses.clone(), page));
    }
    Ok(pages)
}

fn read(path: &Path) -> Result<ErrorPage, String> {
    let size = fs::metadata(path).map(|metadata| metadata.len());
    let body = size.and_then(|size| if size > MOST_BYTES { Ok(None) } else { fs::read(path).map(Some) });
    let shown = path.display();
    let body =
        body.map_err(|error| without_number(&format!("error_pages: cannot read {shown}: {error}")).into_owned())?;
    let body = body.ok_or_else(|| format!("error_pages: expected at most {MOST_BYTES} bytes in {shown}, got more"))?;
    Ok(ErrorPage { content_type: media_type(path.as_os_str().as_encoded_bytes()).text, body })
}
