//! Files that an application names in a header of its response, which are sent in place of a body: X-Sendfile has the path
//! of one, X-Accel-Redirect a path of the URLs, which is nobody else's. Only those below directories that are listed for it.
//!
//! Receives a head and what the request asks; hands on the head and the file that are sent, or why there is none. Waits
//! for the disk.

use super::file_response::{Asked, FileBody, FileResponse, Found, plain, respond};
use super::media_type::media_type;
use super::opening::{Beneath, Effort, Entry};
use super::prefixes::Prefixes;
use super::static_root::boundary;
use super::validators::{FileMetadata, Validators};
use crate::bounded::{self, MOST_NAME_BYTES};
use crate::clock;
use crate::message::response_head::{ResponseHead, lines, split_line};
use crate::os_error::without_number;
use crate::settings::{Directories, StaticDirectories};
use portico_wire::percent_decode_into;
use std::fs::File;
use std::path::{Component, Path, PathBuf};

const X_SENDFILE: &str = "X-Sendfile";
const X_ACCEL_REDIRECT: &str = "X-Accel-Redirect";
/// What nginx takes for itself, that header among it.
const X_ACCEL: &[u8] = b"X-Accel-";

/// Fields of the body that is not sent: the file has its own.
const OF_THE_BODY: [&[u8]; 10] = [
    b"content-type",
    b"etag",
    b"last-modified",
    b"accept-ranges",
    b"content-range",
    b"content-encoding",
    b"content-md5",
    b"digest",
    b"content-digest",
    b"repr-digest",
];

/// The directories.
pub struct NamedFiles {
    /// For X-Sendfile: by their own paths.
    by_path: Listed,
    /// For X-Accel-Redirect: by their prefixes.
    by_prefix: Listed,
}

/// Directories, each with what the name of a file in it begins with.
struct Listed {
    prefixes: Prefixes,
    directories: Vec<Beneath>,
}

/// What a head names.
pub struct NamedFile {
    header: &'static str,
    name: Vec<u8>,
}

/// What is sent.
pub struct Named {
    /// The response.
    pub response: FileResponse,
    /// The file that it takes bytes of.
    pub file: Option<File>,
    /// Why it is not the named file's.
    pub why_not: Option<String>,
}

impl NamedFiles {
    /// Opens the directories; none if there are none.
    ///
    /// # Errors
    /// A sentence about one that cannot be opened.
    pub fn open(x_sendfile: &Directories, x_accel_redirect: &StaticDirectories) -> Result<Option<NamedFiles>, String> {
        if x_sendfile.0.is_empty() && x_accel_redirect.0.is_empty() {
            return Ok(None);
        }
        let x_sendfile = x_sendfile.0.iter().map(|directory| {
            let directory = absolute(directory);
            // One that stands for all ends without a slash, too.
            (directory.to_string_lossy().trim_end_matches('/').to_owned(), directory)
        });
        Ok(Some(NamedFiles {
            by_path: Listed::open("x_sendfile", x_sendfile)?,
            by_prefix: Listed::open("x_accel_redirect", x_accel_redirect.0.iter().cloned())?,
        }))
    }

    /// What `head` names, if anything.
    pub fn named_in(&self, head: &ResponseHead) -> Option<NamedFile> {
        lines(&head.fields).map(split_line).find_map(|(name, value)| {
            let is = |header: &str, listed: &Listed| {
                !listed.prefixes.is_empty() && name.eq_ignore_ascii_case(header.as_bytes())
            };
            let header = if is(X_SENDFILE, &self.by_path) {
                X_SENDFILE
            } else if is(X_ACCEL_REDIRECT, &self.by_prefix) {
                X_ACCEL_REDIRECT
            } else {
                return None;
            };
            Some(NamedFile { header, name: value.to_vec() })
        })
    }

    /// The response with the file that `head` has `named`, whatever is `asked` of it.
    pub fn respond(&self, named: &NamedFile, head: &ResponseHead, asked: &Asked<'_>) -> Named {
        if matches!(head.status, 204 | 205 | 304) {
            let mut bodyless = ResponseHead { status_line: head.status_line.clone(), fields: Vec::new(), ..*head };
            self.keep(head, &[], &mut bodyless.fields);
            let response = FileResponse { head: bodyless, body: FileBody::Text(Vec::new()) };
            return Named { response, file: None, why_not: None };
        }
        match self.find(named) {
            Ok((path, file, metadata)) => {
                let response = self.response(&path, &metadata, head, asked);
                Named { response, file: Some(file), why_not: None }
            }
            Err((status, why)) => Named { response: plain(status), file: None, why_not: Some(why) },
        }
    }

    /// The file, and where it is below its directory; or a status, and why.
    fn find(&self, named: &NamedFile) -> Result<(Vec<u8>, File, FileMetadata), (u16, String)> {
        let NamedFile { header, name } = named;
        let (listed, setting, is_encoded) = match *header {
            X_SENDFILE => (&self.by_path, "x_sendfile", false),
            _ => (&self.by_prefix, "x_accel_redirect", true),
        };
        let shown = bounded::name(name, MOST_NAME_BYTES);
        let path = name.split(|byte| is_encoded && *byte == b'?').next().unwrap_or_default();
        let found = listed.prefixes.find(path, is_encoded).and_then(|(index, prefix_bytes)| {
            let below = beneath(path.get(prefix_bytes..)?, is_encoded)?;
            Some((listed.directories.get(index)?, below))
        });
        let Some((directory, path)) = found else {
            let why = format!("{header}: expected a file below a directory of {setting}, got \"{shown}\"");
            return Err((500, why));
        };
        match directory.entry(&path, Effort::Waiting) {
            Ok(Entry::File(file, metadata)) => Ok((path, file, metadata)),
            Ok(_) => Err((404, format!("{header}: there is no file \"{shown}\", or it leads out of its directory"))),
            Err(error) => Err((500, format!("{header}: cannot read \"{shown}\": {error}"))),
        }
    }

    /// Conditions and ranges are for 200, and for 206, which some frameworks have made of it before; a file in place of
    /// another page, as of an error, is sent whole.
    fn response(&self, path: &[u8], metadata: &FileMetadata, head: &ResponseHead, asked: &Asked<'_>) -> FileResponse {
        let now_s = clock::wall_s();
        let validators = Validators::new(metadata, now_s);
        let content_type =
            lines(&head.fields).map(split_line).find(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
        let content_type = content_type.map(|(_, value)| value).filter(|value| !value.is_empty());
        let found = Found {
            content_type: content_type.unwrap_or(media_type(path).text.as_bytes()),
            coding: None,
            varies: false,
            cache_control: None,
            size: metadata.size,
            validators: &validators,
        };
        let is_page = matches!(head.status, 200 | 206);
        let asked = if is_page && asked.is_reading() { *asked } else { Asked::default() };
        let mut response = respond(&found, &asked, now_s, boundary);
        if response.head.status < 400 {
            let own = std::mem::take(&mut response.head.fields);
            self.keep(head, &OF_THE_BODY, &mut response.head.fields);
            response.head.fields.extend_from_slice(&own);
            let ResponseHead { has_status, has_date, has_server, .. } = *head;
            response.head = ResponseHead { has_status, has_date, has_server, ..response.head };
            if !is_page {
                response.head.status = head.status;
                response.head.status_line.clone_from(&head.status_line);
            }
        }
        response
    }

    /// Copies the fields of `head` that are sent: not those that name files, nor `those`.
    fn keep(&self, head: &ResponseHead, those: &[&[u8]], out: &mut Vec<u8>) {
        for line in lines(&head.fields) {
            let name = split_line(line).0;
            let is_of_nginx = name.get(..X_ACCEL.len()).is_some_and(|start| start.eq_ignore_ascii_case(X_ACCEL));
            let is_for_us = name.eq_ignore_ascii_case(X_SENDFILE.as_bytes()) && !self.by_path.prefixes.is_empty()
                || is_of_nginx && !self.by_prefix.prefixes.is_empty();
            if !is_for_us && !those.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                out.extend_from_slice(line);
            }
        }
    }
}

impl Listed {
    fn open(setting: &str, directories: impl Iterator<Item = (String, PathBuf)>) -> Result<Listed, String> {
        let (prefixes, paths): (Vec<_>, Vec<_>) = directories.unzip();
        let open = |path: PathBuf| {
            let opened = Beneath::open(&path);
            opened.map_err(|error| {
                without_number(&format!("{setting}: cannot open the directory {}: {error}", path.display()))
                    .into_owned()
            })
        };
        let directories = paths.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Listed { prefixes: Prefixes::new(prefixes), directories })
    }
}

/// `directory` from the root on, without dots: as frameworks put paths together, links are left as they are.
fn absolute(directory: &Path) -> PathBuf {
    // It fails only where there is no working directory.
    let path = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    path.components().fold(PathBuf::new(), |mut path, component| {
        if component == Component::ParentDir {
            path.pop();
        } else {
            path.push(component);
        }
        path
    })
}

/// The segments of `rest`, which is empty or begins with a slash; none where they would lead elsewhere.
fn beneath(rest: &[u8], is_encoded: bool) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(rest.len());
    for segment in rest.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()) {
        if !path.is_empty() {
            path.push(b'/');
        }
        let start = path.len();
        if is_encoded {
            percent_decode_into(segment, &mut path);
        } else {
            path.extend_from_slice(segment);
        }
        let segment = path.get(start..).unwrap_or_default();
        if matches!(segment, b"." | b"..") || segment.contains(&b'/') || segment.contains(&0) {
            return None;
        }
    }
    if rest.ends_with(b"/") {
        // What has a slash at its end is no file.
        path.push(b'/');
    }
    Some(path)
}
