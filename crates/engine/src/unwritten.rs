//! Lines of the access log that a worker has not written yet, where its supervisor finds them if it is killed.
//!
//! In shared memory, beside the worker's own buffer of the same lines: one half for what is buffered, one for what is
//! on its way out. A line is padded with zero bytes, which no line has, so that words can be stored.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Room for more than is buffered before it is written; lines beyond that are only in the worker's own memory.
const WORDS: usize = 5 * 1024;

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
    lines: [AtomicU64; WORDS],
}

impl Unwritten {
    /// Adds a line to a half; false if it has no room.
    pub fn add(&self, half: usize, line: &[u8]) -> bool {
        let half = &self.halves[half & 1];
        let start = half.words.load(Relaxed);
        let place = usize::try_from(start).ok().and_then(|start| half.lines.get(start..)).unwrap_or_default();
        let count = line.len().div_ceil(8);
        if count > place.len() {
            return false;
        }
        let (pieces, rest) = line.as_chunks::<8>();
        for (word, piece) in place.iter().zip(pieces) {
            word.store(u64::from_ne_bytes(*piece), Relaxed);
        }
        if let Some(last) = place.get(pieces.len()).filter(|_| !rest.is_empty()) {
            let mut padded = [0; 8];
            padded[..rest.len()].copy_from_slice(rest);
            last.store(u64::from_ne_bytes(padded), Relaxed);
        }
        // After the line itself: who sees the count sees that.
        half.words.store(start + count as u64, Release);
        true
    }

    /// Notes that so many more bytes of a half have been written.
    pub fn wrote(&self, half: usize, bytes: usize) {
        self.halves[half & 1].written.fetch_add(bytes as u64, Relaxed);
    }

    /// Empties a half.
    pub fn clear(&self, half: usize) {
        let half = &self.halves[half & 1];
        half.words.store(0, Release);
        half.written.store(0, Relaxed);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.halves.iter().all(|half| half.words.load(Relaxed) == 0)
    }

    /// The lines, of a worker that has ended.
    pub fn lines(&self) -> Vec<u8> {
        self.halves.iter().flat_map(Half::unwritten).collect()
    }
}

impl Half {
    fn unwritten(&self) -> impl Iterator<Item = u8> {
        let words = usize::try_from(self.words.load(Acquire)).unwrap_or(0);
        let bytes = self.lines.iter().take(words).flat_map(|word| word.load(Relaxed).to_ne_bytes());
        let written = usize::try_from(self.written.load(Relaxed)).unwrap_or(0);
        bytes.filter(|byte| *byte != 0).skip(written)
    }
}

#[cfg(test)]
mod tests {
    use super::{Unwritten, WORDS};

    #[expect(clippy::large_stack_arrays, reason = "on the stack of a test there is room")]
    fn empty() -> Box<Unwritten> {
        let half = || super::Half {
            words: 0.into(),
            written: 0.into(),
            lines: std::array::from_fn(|_| std::sync::atomic::AtomicU64::new(0)),
        };
        Box::new(Unwritten { halves: [half(), half()] })
    }

    #[test]
    fn lines_of_any_length_come_back() {
        let unwritten = empty();
        for length in [1, 7, 8, 9, 100] {
            assert!(unwritten.add(0, &[vec![b'x'; length], b"\n".to_vec()].concat()));
        }
        let expected: Vec<u8> =
            [1, 7, 8, 9, 100].iter().flat_map(|length| [vec![b'x'; *length], b"\n".to_vec()].concat()).collect();
        assert_eq!(unwritten.lines(), expected);
    }

    #[test]
    fn what_is_written_is_left_out() {
        let unwritten = empty();
        unwritten.add(0, b"first\n");
        unwritten.add(0, b"second\n");
        unwritten.add(1, b"third\n");
        unwritten.wrote(0, 6);
        unwritten.wrote(0, 3);
        assert_eq!(unwritten.lines(), b"ond\nthird\n");
        unwritten.clear(0);
        assert_eq!(unwritten.lines(), b"third\n");
    }

    #[test]
    fn a_line_without_room_is_not_begun() {
        let unwritten = empty();
        assert!(unwritten.add(1, &vec![b'x'; (WORDS - 1) * 8]));
        assert!(!unwritten.add(1, &[b'y'; 9]));
        assert!(unwritten.add(1, &[b'z'; 8]));
        assert!(!unwritten.add(1, b"z"));
        assert_eq!(unwritten.lines().len(), WORDS * 8);
    }
}
