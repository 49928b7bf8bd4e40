//! A directory whose files are served. Receives paths beneath it and what is asked of them; hands on responses. Knows
//! nothing of prefixes, connections or applications. Waits for the disk only where it is told that it may.

use super::file_response::{Asked, FileResponse, Found, plain, respond, to_directory};
use super::hashed_name::{IMMUTABLE, is_hashed};
use super::media_type::media_type;
use super::opening::{Beneath, Effort, Entry};
use super::relative_path::RelativePath;
use super::validators::{FileMetadata, Validators};
use crate::clock;
use crate::log::RateLimited;
use portico_wire::{AcceptEncoding, ContentCoding};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// A directory whose files are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// What stands for it, or for a directory in it: the first that is there.
    pub index: Vec<String>,
    /// The Cache-Control of files whose names have no hash of their content.
    pub cache_control: String,
}

/// That directory, open.
pub struct StaticRoot {
    folder: Folder,
    beneath: Beneath,
}

/// What there is at a path.
pub enum Outcome {
    /// A response, perhaps with a file that it takes bytes of.
    Response(FileResponse, Option<File>),
    /// No file, no directory with an index: somebody else may know the path.
    Missing,
}

impl StaticRoot {
    /// The directory of `folder`.
    ///
    /// # Errors
    /// It cannot be opened, or is none.
    pub fn open(folder: Folder) -> io::Result<StaticRoot> {
        Ok(StaticRoot { beneath: Beneath::open(&folder.path)?, folder })
    }

    /// What there is at `path`; none where that takes more `effort`. `name` is how the directory itself is called, where a
    /// path has to have a slash at its end. A request with another method than GET and HEAD finds what they would, and
    /// is told that it cannot have it.
    pub fn get(&self, path: &RelativePath, name: &[u8], asked: &Asked<'_>, effort: Effort) -> Option<Outcome> {
        match self.find(path, name, asked, effort) {
            Ok(Outcome::Response(..)) if !asked.is_reading() => Some(Outcome::Response(plain(405), None)),
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && effort == Effort::Cached => None,
            Err(error) => Some(self.failed(&path.path, &error)),
        }
    }

    fn find(&self, path: &RelativePath, name: &[u8], asked: &Asked<'_>, effort: Effort) -> io::Result<Outcome> {
        let RelativePath { path, has_slash } = path;
        let entry = if *has_slash { Entry::Directory } else { self.beneath.entry(path, effort)? };
        let (path, file, metadata) = match entry {
            Entry::File(file, metadata) => (path.clone(), file, metadata),
            Entry::Directory => match self.index(path, effort)? {
                Some(found) if *has_slash => found,
                Some(_) => {
                    let own = path.rsplit(|byte| *byte == b'/').next().filter(|segment| !segment.is_empty());
                    return Ok(Outcome::Response(to_directory(own.unwrap_or(name), asked.query), None));
                }
                None => return Ok(Outcome::Missing),
            },
            Entry::Nothing => return Ok(Outcome::Missing),
        };
        let now_s = clock::wall_s();
        let media_type = media_type(&path);
        let codings = asked.accept_encoding.filter(|_| media_type.is_compressible);
        let mut sent = (None, file, metadata);
        for coding in AcceptEncoding::read(codings).preferred(&ContentCoding::ALL) {
            if let Some((file, sibling)) = self.sibling(&path, coding, &metadata, effort)? {
                sent = (Some(coding), file, sibling);
                break;
            }
        }
        let (coding, file, metadata) = sent;
        let validators = Validators::new(&metadata, now_s);
        let cache_control = if is_hashed(&path) { IMMUTABLE } else { self.folder.cache_control.as_bytes() };
        let found = Found {
            content_type: media_type.text.as_bytes(),
            coding,
            varies: media_type.is_compressible,
            cache_control: Some(cache_control).filter(|text| !text.is_empty()),
            size: metadata.size,
            validators: &validators,
        };
        Ok(Outcome::Response(respond(&found, asked, now_s, boundary), Some(file)))
    }

    /// What stands for the directory at `path`, and where; none if there is no such file.
    fn index(&self, path: &[u8], effort: Effort) -> io::Result<Option<(Vec<u8>, File, FileMetadata)>> {
        for name in &self.folder.index {
            let path = if path.is_empty() { name.as_bytes().to_vec() } else { [path, name.as_bytes()].join(&b'/') };
            if let Entry::File(file, metadata) = self.beneath.entry(&path, effort)? {
                return Ok(Some((path, file, metadata)));
            }
        }
        Ok(None)
    }

    /// The file beside `path` that is compressed in `coding`. One that is older was made of other content.
    fn sibling(
        &self,
        path: &[u8],
        coding: ContentCoding,
        plain: &FileMetadata,
        effort: Effort,
    ) -> io::Result<Option<(File, FileMetadata)>> {
        match self.beneath.entry(&[path, suffix(coding)].concat(), effort) {
            Ok(Entry::File(file, metadata)) if metadata.modified_s >= plain.modified_s => Ok(Some((file, metadata))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // What else is wrong with it is no reason to do without the file itself.
            _ => Ok(None),
        }
    }

    fn failed(&self, path: &[u8], error: &io::Error) -> Outcome {
        static RATE: RateLimited = RateLimited::new();
        let status = if error.kind() == io::ErrorKind::PermissionDenied { 403 } else { 500 };
        let (directory, path) = (self.folder.path.display(), path.escape_ascii());
        RATE.warn(|| {
            format!("cannot read the static file \"{path}\" in {directory}: {error}; responded with {status}")
        });
        Outcome::Response(plain(status), None)
    }
}

/// How the name of a file in a coding ends.
fn suffix(coding: ContentCoding) -> &'static [u8] {
    match coding {
        ContentCoding::Brotli => b".br",
        ContentCoding::Zstd => b".zst",
        ContentCoding::Gzip => b".gz",
    }
}

/// What stands in no file but by an accident that nobody can bring about.
pub fn boundary() -> String {
    let mut bytes = [0_u8; 16];
    // It fails only on a kernel without it, and is interrupted only where it gives much.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    format!("{:032x}", u128::from_ne_bytes(bytes))
}
