//! Lines of the access log that a worker has not written yet, where its supervisor finds them if it is killed.
//!
//! In shared memory, beside the worker's own buffer of the same lines: one half for what is buffered, one for what is
//! on its way out. A line is padded with zero bytes, which no line has, so that words can be stored. A worker may be
//! killed in the middle of a write, so it notes before each what it is about to write, and after it what was.

use crate::killed_write::KilledWrite;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Room for more than is buffered before it is written; lines beyond that are only in the worker's own memory.
const WORDS: usize = 5 * 1024;

const NO_FILE: u64 = u64::MAX;

/// Both halves.
#[repr(C)]
pub struct Unwritten {
    halves: [Half; 2],
}

#[repr(C)]
struct Half {
    /// How many words there are.
    words: AtomicU64,
    /// How many bytes of the lines are written.
    written: AtomicU64,
    /// How many bytes after these are being written.
    begun: AtomicU64,
    /// How long the file was before, at least; `NO_FILE` where they go elsewhere.
    begun_at: AtomicU64,
    lines: [AtomicU64; WORDS],
}

impl Unwritten {
    /// Adds a line to a half; false if it has no room.
    ///
    /// # Safety
    /// Nobody else adds to this half meanwhile, or reads it.
    #[expect(unsafe_code, reason = "only its caller knows that nobody else does")]
    // SAFETY: as is said above.
    pub unsafe fn add(&self, half: usize, line: &[u8]) -> bool {
        let half = &self.halves[half & 1];
        let start = half.words.load(Relaxed);
        let place = usize::try_from(start).ok().and_then(|start| half.lines.get(start..)).unwrap_or_default();
        let count = line.len().div_ceil(8);
        if count > place.len() {
            return false;
        }
        if let Some(last) = place.get(count.wrapping_sub(1)) {
            // What the line leaves of its last word, and is not written below.
            last.store(0, Relaxed);
        }
        #[expect(unsafe_code, reason = "a line is copied at once, not word by word")]
        // SAFETY: `place` has `count` words or more, which are as many bytes as the line or more, in cells that may change
        // while they are shared; and nobody else looks at them meanwhile.
        unsafe {
            ptr::copy_nonoverlapping(line.as_ptr(), place.as_ptr().cast::<u8>().cast_mut(), line.len());
        }
        // After the line itself, wherever the worker is killed: who sees the count sees that.
        half.words.store(start + count as u64, Release);
        true
    }

    /// Notes that a write of so many more bytes of a half begins, to a file of `file_bytes` at least if it is one.
    pub fn begin(&self, half: usize, bytes: usize, file_bytes: Option<u64>) {
        let half = &self.halves[half & 1];
        half.begun_at.store(file_bytes.unwrap_or(NO_FILE), Relaxed);
        half.begun.store(bytes as u64, Release);
    }

    /// Notes that the write has ended, with so many bytes.
    pub fn wrote(&self, half: usize, bytes: usize) {
        let half = &self.halves[half & 1];
        half.begun.store(0, Relaxed);
        half.written.fetch_add(bytes as u64, Relaxed);
    }

    /// Empties a half.
    pub fn clear(&self, half: usize) {
        let half = &self.halves[half & 1];
        half.words.store(0, Release);
        half.begun.store(0, Relaxed);
        half.written.store(0, Relaxed);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.halves.iter().all(|half| half.words.load(Relaxed) == 0)
    }

    /// The lines, of a worker that has ended. Those of a write that it was killed in are not among them as far as they
    /// are in `log`, if that is a file that can be read, and else taken for written: most of such a write is over.
    pub fn lines(&self, log: BorrowedFd<'_>) -> Vec<u8> {
        self.halves.iter().flat_map(|half| half.unwritten(log)).collect()
    }
}

impl Half {
    fn unwritten(&self, log: BorrowedFd<'_>) -> Vec<u8> {
        let count = |number: &AtomicU64| usize::try_from(number.load(Acquire)).unwrap_or(0);
        let bytes = self.lines.iter().take(count(&self.words)).flat_map(|word| word.load(Relaxed).to_ne_bytes());
        let mut rest: Vec<u8> = bytes.filter(|byte| *byte != 0).skip(count(&self.written)).collect();
        let begun = rest.get(..count(&self.begun)).unwrap_or(&rest);
        let write =
            KilledWrite { bytes: begun, from: Some(self.begun_at.load(Relaxed)).filter(|from| *from != NO_FILE) };
        rest.drain(..write.done(log));
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::{Unwritten, WORDS};
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    #[expect(clippy::large_stack_arrays, reason = "on the stack of a test there is room")]
    fn empty() -> Box<Unwritten> {
        let half = || super::Half {
            words: 0.into(),
            written: 0.into(),
            begun: 0.into(),
            begun_at: 0.into(),
            lines: std::array::from_fn(|_| std::sync::atomic::AtomicU64::new(0)),
        };
        Box::new(Unwritten { halves: [half(), half()] })
    }

    fn add(unwritten: &Unwritten, half: usize, line: &[u8]) -> bool {
        #[expect(unsafe_code, reason = "as a log calls it")]
        // SAFETY: this is the only thread that has it.
        unsafe {
            unwritten.add(half, line)
        }
    }

    /// Its lines, where the log is none that can be looked into.
    fn lines(unwritten: &Unwritten) -> Vec<u8> {
        unwritten.lines(std::io::stdout().as_fd())
    }

    #[test]
    fn lines_of_any_length_come_back() {
        let unwritten = empty();
        for length in [1, 7, 8, 9, 100] {
            assert!(add(&unwritten, 0, &[vec![b'x'; length], b"\n".to_vec()].concat()));
        }
        let expected: Vec<u8> =
            [1, 7, 8, 9, 100].iter().flat_map(|length| [vec![b'x'; *length], b"\n".to_vec()].concat()).collect();
        assert_eq!(lines(&unwritten), expected);
    }

    #[test]
    fn what_is_written_is_left_out() {
        let unwritten = empty();
        add(&unwritten, 0, b"first\n");
        add(&unwritten, 0, b"second\n");
        add(&unwritten, 1, b"third\n");
        unwritten.wrote(0, 6);
        unwritten.wrote(0, 3);
        assert_eq!(lines(&unwritten), b"ond\nthird\n");
        unwritten.clear(0);
        assert_eq!(lines(&unwritten), b"third\n");
    }

    #[test]
    fn what_is_being_written_is_taken_for_written_where_nobody_can_see() {
        let unwritten = empty();
        add(&unwritten, 0, b"first\n");
        add(&unwritten, 0, b"second\n");
        unwritten.begin(0, 6, None);
        assert_eq!(lines(&unwritten), b"second\n");
        unwritten.wrote(0, 6);
        assert_eq!(lines(&unwritten), b"second\n");
        unwritten.begin(0, 7, None);
        unwritten.wrote(0, 0);
        assert_eq!(lines(&unwritten), b"second\n");
    }

    #[test]
    fn what_is_being_written_is_looked_for_in_a_file() -> std::io::Result<()> {
        let unwritten = empty();
        add(&unwritten, 0, b"first\n");
        add(&unwritten, 0, b"second\n");
        let path = std::env::temp_dir().join(format!("portico-unwritten-{}", std::process::id()));
        let mut log = std::fs::File::create(&path)?;
        log.write_all(b"first\nbefore\n")?;
        unwritten.begin(0, 13, Some(13));
        assert_eq!(unwritten.lines(log.as_fd()), b"first\nsecond\n");
        log.write_all(b"other\nfirst\nsecond\nother\n")?;
        assert_eq!(unwritten.lines(log.as_fd()), b"");
        std::fs::remove_file(&path)
    }

    #[test]
    fn a_line_without_room_is_not_begun() {
        let unwritten = empty();
        assert!(add(&unwritten, 1, &vec![b'x'; (WORDS - 1) * 8]));
        assert!(!add(&unwritten, 1, &[b'y'; 9]));
        assert!(add(&unwritten, 1, &[b'z'; 8]));
        assert!(!add(&unwritten, 1, b"z"));
        assert_eq!(lines(&unwritten).len(), WORDS * 8);
    }
}
