//! How much of a write to a log has reached it, of a process that was killed in the middle: the call that would have said
//! so has not returned.
//!
//! A log is appended to, by several processes. A kernel that kills a writer ends its write at a border of pages, if it has
//! begun it; or it lets the write end, and then the process.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// So much of the log is searched: more than others append until a supervisor looks.
const SEARCHED_BYTES: u64 = 4 * 1024 * 1024;
/// The smallest page there is.
const PAGE_BYTES: u64 = 4096;

/// A write that has begun, and nobody knows how it has ended.
pub struct KilledWrite<'a> {
    /// What was to be written.
    pub bytes: &'a [u8],
    /// How long the log was before, at least; none if it is no file.
    pub from: Option<u64>,
}

impl KilledWrite<'_> {
    /// How many of the bytes are in `log`; all are taken to be where that cannot be seen.
    pub fn done(&self, log: BorrowedFd<'_>) -> usize {
        let since = self.from.map(|from| appended(log, from).map(|since| self.done_in(&since, from)));
        since.and_then(Result::ok).unwrap_or(self.bytes.len())
    }

    /// As `done`, of a log that has got `since`.
    fn done_in(&self, since: &[u8], from: u64) -> usize {
        let Some(first) = self.bytes.first() else { return 0 };
        let starts = since.iter().enumerate().filter(|(_, byte)| *byte == first).map(|(start, _)| start);
        let lengths = starts.filter_map(|start| {
            let length = common(since.get(start..)?, self.bytes);
            let end = from + (start + length) as u64;
            (length == self.bytes.len() || end.is_multiple_of(PAGE_BYTES)).then_some(length)
        });
        lengths.max().unwrap_or(0)
    }
}

/// What `log` has got after its first `from` bytes.
fn appended(log: BorrowedFd<'_>, from: u64) -> io::Result<Vec<u8>> {
    // It is open for writing only.
    let mut log = File::open(format!("/proc/self/fd/{}", log.as_raw_fd()))?;
    log.seek(SeekFrom::Start(from))?;
    let mut since = Vec::new();
    log.take(SEARCHED_BYTES).read_to_end(&mut since)?;
    Ok(since)
}

/// How many bytes both begin with.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::{KilledWrite, PAGE_BYTES};

    const LINES: &[u8] = b"10.0.0.1 first\n10.0.0.1 second\n";

    fn done(since: &[u8], from: u64) -> usize {
        KilledWrite { bytes: LINES, from: Some(from) }.done_in(since, from)
    }

    #[test]
    fn all_of_it_wherever_others_have_written() {
        assert_eq!(done(LINES, 7), LINES.len());
        assert_eq!(done(&[b"10.0.0.1 other\n", LINES, b"10.0.0.1 other\n"].concat(), 7), LINES.len());
    }

    #[test]
    fn nothing_where_only_others_have_written() {
        assert_eq!(done(b"", 7), 0);
        assert_eq!(done(b"10.0.0.1 other\n10.0.0.1 first", 7), 0);
    }

    #[test]
    fn as_much_as_there_is_up_to_a_page() {
        for length in 1..LINES.len() {
            let since = [&LINES[..length], b"2001:db8::1 other\n"].concat();
            assert_eq!(done(&since, PAGE_BYTES - length as u64), length);
            let before: &[u8] = b"10.0.0.1 other\n";
            assert_eq!(done(&[before, &since].concat(), 2 * PAGE_BYTES - (before.len() + length) as u64), length);
        }
    }

    #[test]
    fn a_line_of_somebody_else_that_only_crosses_a_page_is_not_it() {
        assert_eq!(done(b"10.0.0.1 other\n", PAGE_BYTES - 4), 0);
    }
}
