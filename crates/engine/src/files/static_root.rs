//! A directory whose files are served. Receives paths beneath it and what is asked of them; hands on responses. Knows
//! nothing of prefixes, connections or applications. Waits for the disk only where it is told that it may.

use super::file_response::{Asked, FileResponse, plain, respond, to_directory};
use super::hashed_name::{IMMUTABLE, is_hashed};
use super::kept_files::{KeptFile, KeptFiles, Key, Representation};
use super::media_type::media_type;
use super::opening::{Beneath, Effort, Entry};
use super::reading::{SMALL_BYTES, read};
use super::relative_path::RelativePath;
use super::validators::{FileMetadata, Validators};
use crate::bounded::{self, MOST_NAME_BYTES};
use crate::clock;
use crate::log::RateLimited;
use portico_wire::{AcceptEncoding, ContentCoding};
use rustix::rand::{GetRandomFlags, getrandom};
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

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
    /// Its number.
    number: usize,
    /// Small files as they were within the last second, where that is good enough.
    kept: Option<Arc<KeptFiles>>,
}

/// What there is at a path.
pub enum Outcome {
    /// A response, perhaps with a file that it takes bytes of.
    Response(FileResponse, Option<File>),
    /// No file, no directory with an index: somebody else may know the path.
    Missing,
}

/// A file, or what else there is.
enum Found {
    File(File, Representation),
    /// A directory with an index, whose path has no slash at its end.
    Directory,
    Nothing,
}

impl StaticRoot {
    /// The directory of `folder`, which has this `number` among those that keep files in `kept`.
    ///
    /// # Errors
    /// It cannot be opened, or is none.
    pub fn open(folder: Folder, number: usize, kept: Option<Arc<KeptFiles>>) -> io::Result<StaticRoot> {
        Ok(StaticRoot { beneath: Beneath::open(&folder.path)?, folder, number, kept })
    }

    /// What there is at `path`; none where that takes more `effort`. `name` is how the directory itself is called, where a
    /// path has to have a slash at its end. A request with another method than GET and HEAD finds what they would, and
    /// is told that it cannot have it.
    pub fn get(&self, path: RelativePath, name: &[u8], asked: &Asked<'_>, effort: Effort) -> Option<Outcome> {
        let is_compressible = path.has_slash || media_type(&path.path).is_compressible;
        let codings = asked.accept_encoding.filter(|_| is_compressible);
        let codings = AcceptEncoding::read(codings).preferred(&ContentCoding::ALL);
        let key = Key { root: self.number, path, codings };
        match self.respond_for(&key, name, asked, effort) {
            Ok(Outcome::Response(..)) if !asked.is_reading() => Some(Outcome::Response(plain(405), None)),
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && effort == Effort::Cached => None,
            Err(error) => Some(self.failed(&key.path.path, &error)),
        }
    }

    /// The response with the file for `key`, kept or from the disk.
    fn respond_for(&self, key: &Key, name: &[u8], asked: &Asked<'_>, effort: Effort) -> io::Result<Outcome> {
        let looked_ms = clock::coarse_ms();
        if let Some(file) = self.kept.as_ref().and_then(|kept| kept.get(key, looked_ms)) {
            return Ok(Outcome::Response(self.respond_from(&file, asked), None));
        }
        let (file, representation) = match self.find(key, effort)? {
            Found::File(file, representation) => (file, representation),
            Found::Directory => {
                let own = key.path.path.rsplit(|byte| *byte == b'/').next().filter(|segment| !segment.is_empty());
                return Ok(Outcome::Response(to_directory(own.unwrap_or(name), asked.query), None));
            }
            Found::Nothing => return Ok(Outcome::Missing),
        };
        let response = self.respond(&representation, asked);
        let Some(kept) =
            self.kept.as_ref().filter(|_| is_whole(&response, asked) && representation.size <= SMALL_BYTES)
        else {
            return Ok(Outcome::Response(response, Some(file)));
        };
        let content = Arc::new(read(&file, &(0..representation.size), effort)?);
        let file = Arc::new(KeptFile { representation, content, looked_ms });
        kept.keep(key.clone(), &file);
        let FileResponse { head, body } = response;
        Ok(Outcome::Response(FileResponse { head, body: file.body(body) }, None))
    }

    fn respond(&self, representation: &Representation, asked: &Asked<'_>) -> FileResponse {
        let cache_control = if representation.is_hashed { IMMUTABLE } else { self.folder.cache_control.as_bytes() };
        respond(&representation.found(cache_control), asked, representation.seen_s, boundary)
    }

    fn respond_from(&self, file: &KeptFile, asked: &Asked<'_>) -> FileResponse {
        let FileResponse { head, body } = self.respond(&file.representation, asked);
        FileResponse { head, body: file.body(body) }
    }

    fn find(&self, key: &Key, effort: Effort) -> io::Result<Found> {
        let RelativePath { path, has_slash } = &key.path;
        let entry = if *has_slash { Entry::Directory } else { self.beneath.entry(path, effort)? };
        let (path, file, metadata) = match entry {
            Entry::File(file, metadata) => (Cow::from(path), file, metadata),
            Entry::Directory => match self.index(path, effort)? {
                Some((path, file, metadata)) if *has_slash => (Cow::from(path), file, metadata),
                Some(_) => return Ok(Found::Directory),
                None => return Ok(Found::Nothing),
            },
            Entry::Nothing => return Ok(Found::Nothing),
        };
        let media_type = media_type(&path);
        let codings = key.codings.iter().filter(|_| media_type.is_compressible);
        let mut sent = (None, file, metadata);
        for coding in codings {
            if let Some((file, sibling)) = self.sibling(&path, *coding, &metadata, effort)? {
                sent = (Some(*coding), file, sibling);
                break;
            }
        }
        let (coding, file, metadata) = sent;
        let seen_s = clock::wall_s();
        let representation = Representation {
            content_type: media_type.text,
            coding,
            varies: media_type.is_compressible,
            is_hashed: is_hashed(&path),
            size: metadata.size,
            validators: Validators::new(&metadata, seen_s),
            seen_s,
        };
        Ok(Found::File(file, representation))
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
        let directory = self.folder.path.display();
        RATE.warn(|| {
            let path = bounded::name(path, MOST_NAME_BYTES);
            format!("cannot read the static file \"{path}\" in {directory}: {error}; responded with {status}")
        });
        Outcome::Response(plain(status), None)
    }
}

/// Whether a response has all of the file in it.
fn is_whole(response: &FileResponse, asked: &Asked<'_>) -> bool {
    response.head.status == 200 && asked.method == b"GET"
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
