//! Small files that somebody has got within the last second, with their content: who asks for one again gets it as it was,
//! and nothing is opened, read or closed for that.
//!
//! Nothing is compared either, and no descriptor kept: what is older than that is as if it were not here, and is looked for
//! anew beneath its directory. So every change is seen after a second, whatever it was: other content, another file, a link
//! that leads elsewhere, one compressed file more. What nobody asks for any more is forgotten at the next tick.
//!
//! Shared by the thread that drives I/O and those that wait for disks; waits for nothing but its lock.

use super::file_response::{FileBody, Found, Shared};
use super::relative_path::RelativePath;
use super::validators::Validators;
use crate::budget::{Budget, Reservation};
use crate::heap;
use crate::lock::lock;
use portico_wire::ContentCoding;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A second, less what the clock may be behind: it counts the kernel's ticks, of at most 10 ms.
const KEEPS_MS: u64 = 990;
/// All of them together: some hundred of those that a page consists of. What is more is looked up each time.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// What one takes beside its content and its path, about.
const ENTRY_BYTES: usize = 384;
/// So much memory is worth a system call to give it back to the system.
const WORTH_BYTES: u64 = 1024 * 1024;

/// What is asked for: all that the choice of a file depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The number of the directory.
    pub root: usize,
    /// Where below that.
    pub path: RelativePath,
    /// In which codings the client likes to have it, the best first.
    pub codings: Vec<ContentCoding>,
}

/// What is to be known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representation {
    /// What it is: the value of Content-Type.
    pub content_type: &'static str,
    /// What it is compressed in.
    pub coding: Option<ContentCoding>,
    /// Whether it may be compressed for one client and not for another.
    pub varies: bool,
    /// Whether its name has a hash of its content.
    pub is_hashed: bool,
    /// Its size in bytes.
    pub size: u64,
    /// By what clients know it again.
    pub validators: Validators,
    /// When that was so: seconds since 1970.
    pub seen_s: u64,
}

/// A file with its content.
pub struct KeptFile {
    /// What is to be known of it.
    pub representation: Representation,
    /// All of it.
    pub content: Arc<Vec<u8>>,
    /// When somebody began to look for it, coarse milliseconds.
    pub looked_ms: u64,
}

/// The files.
pub struct KeptFiles(Mutex<State>);

struct State {
    files: HashMap<Key, Arc<KeptFile>>,
    held: Reservation,
    /// Most bytes since there was nothing.
    peak_bytes: u64,
}

impl Representation {
    /// The same for a response, which says `cache_control` unless the name has a hash.
    pub fn found<'a>(&'a self, cache_control: &'a [u8]) -> Found<'a> {
        Found {
            content_type: self.content_type.as_bytes(),
            coding: self.coding,
            varies: self.varies,
            cache_control: Some(cache_control).filter(|text| !text.is_empty()),
            size: self.size,
            validators: &self.validators,
        }
    }
}

impl KeptFile {
    /// `body` with the bytes of this file in place of its ranges.
    pub fn body(&self, body: FileBody) -> FileBody {
        let bytes = |range| Shared::new(&self.content, range);
        match body {
            FileBody::Range(range) => FileBody::Shared(bytes(range)),
            FileBody::Parts(parts, end) => {
                let mut text = Vec::new();
                for (before, range) in parts {
                    text.extend_from_slice(&before);
                    text.extend_from_slice(bytes(range).as_ref());
                }
                text.extend_from_slice(&end);
                FileBody::Text(text)
            }
            body @ (FileBody::Text(_) | FileBody::Shared(_)) => body,
        }
    }

    fn is_recent(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.looked_ms) < KEEPS_MS
    }

    fn bytes(&self, key: &Key) -> u64 {
        (self.content.len() + key.path.path.len() + ENTRY_BYTES) as u64
    }
}

impl KeptFiles {
    /// None yet, which takes no memory; that of all is counted in `memory`.
    pub fn new(memory: &Arc<Budget>) -> KeptFiles {
        KeptFiles(Mutex::new(State { files: HashMap::new(), held: Reservation::for_response(memory), peak_bytes: 0 }))
    }

    /// What was found for `key` within a second before `now_ms`.
    pub fn get(&self, key: &Key, now_ms: u64) -> Option<Arc<KeptFile>> {
        let state = lock(&self.0);
        state.files.get(key).filter(|file| file.is_recent(now_ms)).cloned()
    }

    /// Keeps a file, if there is room for it.
    pub fn keep(&self, key: Key, file: &Arc<KeptFile>) {
        let mut state = lock(&self.0);
        if let Some((key, earlier)) = state.files.remove_entry(&key) {
            if earlier.looked_ms > file.looked_ms {
                // Who waited for a disk longer has not seen what is newer.
                state.files.insert(key, earlier);
                return;
            }
            state.held.shrink(earlier.bytes(&key));
        }
        let bytes = file.bytes(&key);
        if state.held.bytes() + bytes <= MOST_BYTES && state.held.grow(bytes) {
            state.peak_bytes = state.peak_bytes.max(state.held.bytes());
            state.files.insert(key, file.clone());
        }
    }

    /// Forgets what is older than a second at `now_ms`; whether nothing is left.
    pub fn forget_old(&self, now_ms: u64) -> bool {
        let mut state = lock(&self.0);
        let State { files, held, peak_bytes } = &mut *state;
        files.retain(|key, file| {
            let is_kept = file.is_recent(now_ms);
            if !is_kept {
                held.shrink(file.bytes(key));
            }
            is_kept
        });
        if !files.is_empty() {
            return false;
        }
        // With the memory of the table itself.
        *files = HashMap::new();
        let were_many = std::mem::take(peak_bytes) >= WORTH_BYTES;
        drop(state);
        if were_many {
            heap::trim();
        }
        true
    }
}
