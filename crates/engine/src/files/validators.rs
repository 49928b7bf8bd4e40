//! By what a client knows a file again: its entity tag and the date of its last modification (RFC 9110 8.8).

use httpdate::HttpDate;
use std::time::{Duration, UNIX_EPOCH};

/// The last second that a date has room for.
const LAST_SECOND: u64 = 253_402_300_799;

/// The validators of one representation of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// A strong entity tag, in its quotes.
    pub etag: String,
    /// The last modification, in whole seconds since 1970.
    pub modified_s: u64,
}

/// What a disk says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMetadata {
    /// Its size in bytes.
    pub size: u64,
    /// Its last modification: seconds since 1970.
    pub modified_s: i64,
    /// The nanoseconds of that.
    pub modified_ns: i64,
    /// Its number in its file system.
    pub inode: u64,
}

impl Validators {
    /// Of a file with these metadata at the time `now_s`.
    ///
    /// The inode tells apart what was replaced by a file of the same size and time, as archives unpack them and builds
    /// with a fixed date make them.
    pub fn new(metadata: &FileMetadata, now_s: u64) -> Validators {
        let FileMetadata { size, modified_s, modified_ns, inode } = *metadata;
        let etag = format!("\"{inode:x}-{size:x}-{modified_s:x}.{modified_ns:x}\"");
        // RFC 9110 8.8.2.1: never in the future.
        let modified_s = u64::try_from(modified_s).unwrap_or(0).min(now_s).min(LAST_SECOND);
        Validators { etag, modified_s }
    }

    /// The value of Last-Modified.
    pub fn last_modified(&self) -> String {
        HttpDate::from(UNIX_EPOCH + Duration::from_secs(self.modified_s)).to_string()
    }
}

/// A date in any of the three forms (RFC 9110 5.6.7), in seconds since 1970.
pub fn parse_date(value: &[u8]) -> Option<u64> {
    let time = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|duration| duration.as_secs())
}
