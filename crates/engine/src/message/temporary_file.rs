//! A temporary file without a name, of a body on its way in or a response on its way out. It is counted in the server's
//! budgets for as long as it takes up a place.

use crate::budget::{Budget, Reservation};
use crate::lock::lock;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex};
use std::thread::Builder;

/// From here on a file is given up by a thread of its own: a file system takes a tenth of a second for a gigabyte, and
/// whoever drops it drives I/O or has the thread of an event loop.
const LARGE_BYTES: u64 = 8 * 1024 * 1024;
const STACK_BYTES: usize = 64 * 1024;

/// The file.
pub struct TemporaryFile {
    /// There is none once it is dropped.
    place: Option<Place>,
}

/// Where the bytes are, and what that is counted in: given back in this order.
struct Place {
    file: File,
    bytes: Mutex<Reservation>,
    _files: Reservation,
}

impl TemporaryFile {
    /// An empty one, in the folder for temporary files.
    ///
    /// # Errors
    /// What the file system says; `StorageFull` also where there are as many files as `files` allows.
    pub fn new(temporary: &Arc<Budget>, files: &Arc<Budget>) -> io::Result<TemporaryFile> {
        let mut held = Reservation::new(files);
        if !held.grow(1) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "there are as many as descriptors allow"));
        }
        let place = Place { file: tempfile::tempfile()?, bytes: Mutex::new(Reservation::new(temporary)), _files: held };
        Ok(TemporaryFile { place: Some(place) })
    }

    /// Adds `bytes` at its end. One after the other; what is there may be read meanwhile.
    ///
    /// # Errors
    /// What the file system says, such as a full disk; `StorageFull` also where the budget is used up.
    pub fn push(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(Place { file, bytes: held, .. }) = &self.place else { return Ok(()) };
        let (end, is_granted) = {
            let mut held = lock(held);
            (held.bytes(), held.grow(bytes.len() as u64))
        };
        if !is_granted {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "max_temporary is reached"));
        }
        file.write_all_at(bytes, end).inspect_err(|_| lock(held).shrink(bytes.len() as u64))
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        self.place.as_ref().map_or(0, |place| lock(&place.bytes).bytes())
    }

    /// Fills `place` with what stands from `offset` on.
    ///
    /// # Errors
    /// What the file system says; `UnexpectedEof` where there is less.
    pub fn read_at(&self, place: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.place {
            Some(there) => there.file.read_exact_at(place, offset),
            None => Ok(()),
        }
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let is_large = self.length() >= LARGE_BYTES;
        if let Some(place) = self.place.take().filter(|_| is_large) {
            // Where no thread can be started it is dropped here.
            let _ = Builder::new().name("portico-files".into()).stack_size(STACK_BYTES).spawn(move || drop(place));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    static BLOCK: [u8; 1 << 20] = [b'x'; 1 << 20];

    fn budgets(bytes: u64) -> (Arc<Budget>, Arc<Budget>) {
        (Budget::new(bytes), Budget::new(1))
    }

    #[test]
    fn bytes_are_read_where_they_were_written() {
        let (temporary, files) = budgets(100);
        let file = TemporaryFile::new(&temporary, &files).unwrap();
        file.push(b"hello").unwrap();
        file.push(b", world").unwrap();
        let mut there = [0; 5];
        file.read_at(&mut there, 7).unwrap();
        assert_eq!((&there, file.length(), temporary.used(), files.used()), (b"world", 12, 12, 1));
        assert_eq!(file.read_at(&mut there, 8).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_budget_that_is_used_up_is_a_full_disk() {
        let (temporary, files) = budgets(7);
        let file = TemporaryFile::new(&temporary, &files).unwrap();
        file.push(b"hello").unwrap();
        assert_eq!(file.push(b"you").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!((file.length(), temporary.used()), (5, 5));
        let another = TemporaryFile::new(&temporary, &files);
        assert_eq!(another.err().unwrap().kind(), io::ErrorKind::StorageFull);
        drop(file);
        assert_eq!((temporary.used(), files.used()), (0, 0));
    }

    #[test]
    fn a_large_file_is_counted_until_it_has_gone() {
        let (temporary, files) = budgets(u64::MAX);
        let file = TemporaryFile::new(&temporary, &files).unwrap();
        (0..LARGE_BYTES / 1024 / 1024).for_each(|_| file.push(&BLOCK).unwrap());
        drop(file);
        let begun = Instant::now();
        while (temporary.used(), files.used()) != (0, 0) {
            assert!(begun.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
    }
}
