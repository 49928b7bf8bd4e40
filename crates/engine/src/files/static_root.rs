//! A directory whose files are served. Receives paths beneath it and what is asked of them; hands on responses. Knows
//! nothing of prefixes, connections or applications. Waits for the disk only where it is told that it may.

use super::file_response::{Asked, FileResponse, Found, plain, respond, to_directory};
use super::media_type::media_type;
use super::opening::{Beneath, Effort};
use super::relative_path::RelativePath;
use super::validators::{FileMetadata, Validators};
use crate::clock;
use crate::log::RateLimited;
use portico_wire::{AcceptEncoding, ContentCoding};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What a directory is asked for when it is asked for itself.
const INDEX: &[u8] = b"index.html";

/// The directory.
pub struct StaticRoot {
    /// Where it was, for log lines.
    path: PathBuf,
    beneath: Beneath,
}

/// What there is at a path.
pub enum Outcome {
    /// A response, perhaps with a file that it takes bytes of.
    Response(FileResponse, Option<File>),
    /// No file, no directory with an index: somebody else may know the path.
    Missing,
}

/// What is at a path.
enum Entry {
    File(File, FileMetadata),
    Directory,
    Nothing,
}

impl StaticRoot {
    /// The directory at `path`.
    ///
    /// # Errors
    /// It cannot be opened, or is none.
    pub fn open(path: &Path) -> io::Result<StaticRoot> {
        Ok(StaticRoot { path: path.to_owned(), beneath: Beneath::open(path)? })
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
        let index = if path.is_empty() { INDEX.to_vec() } else { [path, INDEX].join(&b'/') };
        let (path, file, metadata) = if *has_slash {
            match self.entry(&index, effort)? {
                Entry::File(file, metadata) => (&index, file, metadata),
                Entry::Directory | Entry::Nothing => return Ok(Outcome::Missing),
            }
        } else {
            match self.entry(path, effort)? {
                Entry::File(file, metadata) => (path, file, metadata),
                Entry::Directory if matches!(self.entry(&index, effort)?, Entry::File(..)) => {
                    let name =
                        path.rsplit(|byte| *byte == b'/').next().filter(|segment| !segment.is_empty()).unwrap_or(name);
                    return Ok(Outcome::Response(to_directory(name, asked.query), None));
                }
                Entry::Directory | Entry::Nothing => return Ok(Outcome::Missing),
            }
        };
        let now_s = clock::wall_s();
        let media_type = media_type(path);
        let codings = asked.accept_encoding.filter(|_| media_type.is_compressible);
        let mut sent = (None, file, metadata);
        for coding in AcceptEncoding::read(codings).preferred(&ContentCoding::ALL) {
            if let Some((file, sibling)) = self.sibling(path, coding, &metadata, effort)? {
                sent = (Some(coding), file, sibling);
                break;
            }
        }
        let (coding, file, metadata) = sent;
        let validators = Validators::new(&metadata, now_s);
        let found = Found { path, media_type, coding, size: metadata.size, validators };
        Ok(Outcome::Response(respond(&found, asked, now_s, boundary), Some(file)))
    }

    /// What is at `path`. One that may not be read is an error only where it is a file.
    fn entry(&self, path: &[u8], effort: Effort) -> io::Result<Entry> {
        let file = match self.beneath.get(path, effort) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entry::Nothing),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Ok(Entry::Directory);
        }
        if !metadata.is_file() {
            return Ok(Entry::Nothing);
        }
        let metadata = FileMetadata {
            size: metadata.size(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            inode: metadata.ino(),
        };
        Ok(Entry::File(file, metadata))
    }

    /// The file beside `path` that is compressed in `coding`. One that is older was made of other content.
    fn sibling(
        &self,
        path: &[u8],
        coding: ContentCoding,
        plain: &FileMetadata,
        effort: Effort,
    ) -> io::Result<Option<(File, FileMetadata)>> {
        match self.entry(&[path, suffix(coding)].concat(), effort) {
            Ok(Entry::File(file, metadata)) if metadata.modified_s >= plain.modified_s => Ok(Some((file, metadata))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // What else is wrong with it is no reason to do without the file itself.
            _ => Ok(None),
        }
    }

    fn failed(&self, path: &[u8], error: &io::Error) -> Outcome {
        static RATE: RateLimited = RateLimited::new();
        let status = if error.kind() == io::ErrorKind::PermissionDenied { 403 } else { 500 };
        let (directory, path) = (self.path.display(), path.escape_ascii());
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
fn boundary() -> String {
    let mut bytes = [0_u8; 16];
    // It fails only on a kernel without it, and is interrupted only where it gives much.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    format!("{:032x}", u128::from_ne_bytes(bytes))
}
