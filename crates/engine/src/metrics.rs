//! Metrics of the application's own (`portico.metrics`): counters, histograms and gauges.
//!
//! A part of the scoreboard that all workers share. A counter is one number that every process adds to, so it is exact
//! whatever becomes of any of them. Most gauges are each worker's own, in a row for its slot that is cleared when it ends.
//! A series is an entry that is found by the hash of its key; what a key means, Python decides. Entries are never changed
//! or removed, and there are only so many. No locks: a process may be killed anywhere, and loses the room of one entry.

use std::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::thread;
use std::time::{Duration, Instant};

/// Entries at most: series, and what is said of metrics.
pub const ENTRIES: usize = 4096;
/// Of those, the ones that `Room::Bounded` asks for.
pub const SERIES: usize = 2048;
/// A longer key finds no room.
pub const MOST_KEY_BYTES: usize = 4096;

/// Twice the entries, so that those with the same hash are near. A power of two.
const PLACES: usize = 2 * ENTRIES;
const CELLS: usize = 1 << 16;
const KEY_WORDS: usize = 1 << 16;

/// In a place: somebody makes the entry.
const CLAIMED: u32 = u32::MAX;
/// In a place: who has claimed it was killed, or too slow.
const LOST: u32 = u32::MAX - 1;
/// How long is waited for one who has claimed a place: a thousand times what it takes.
const PATIENCE: Duration = Duration::from_millis(50);

/// A gauge that was never set is zero in memory: values are stored with these bits, of a number that is none, reversed.
const UNSET: u64 = 0x7ff8_7061_0000_0001;

/// Which bound counts for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// That of all: there are as many as a program defines.
    Defined,
    /// `SERIES`: there are as many as requests bring.
    Bounded,
}

/// An entry, as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number, which stays.
    pub number: usize,
    /// The first of its cells.
    pub cell: usize,
}

/// An entry, as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its number.
    pub number: usize,
    /// Its key.
    pub key: Vec<u8>,
    /// When it was stamped last, in monotonic nanoseconds; 0 is never.
    pub stamped_ns: u64,
    /// What is in its cells: the last is a sum, those before it count.
    pub figures: Vec<f64>,
}

/// The metrics of one server. All zero is none.
#[repr(C)]
pub struct Metrics {
    /// How many entries are taken, how many of them are bounded, and how much of what follows.
    entries_taken: AtomicU32,
    bounded_taken: AtomicU32,
    cells_taken: AtomicU32,
    words_taken: AtomicU32,
    /// 1 once somebody has said that there is no room.
    is_full_said: AtomicU64,
    /// By hash: the number of an entry, from 1 on; 0 is none.
    places: [AtomicU32; PLACES],
    entries: [Entry; ENTRIES],
    cells: [AtomicU64; CELLS],
    keys: [AtomicU64; KEY_WORDS],
}

#[repr(C)]
struct Entry {
    /// The hash of the key; 0 while the entry is not whole.
    hash: AtomicU64,
    /// Where the key is: its first word, and how many bytes, in a half each. The same of the cells.
    key: AtomicU64,
    cells: AtomicU64,
    stamped_ns: AtomicU64,
}

impl Metrics {
    /// The entry with this key, a new one with `cells` of them if there is none yet; none if there is no room.
    pub fn entry(&self, key: &[u8], cells: usize, room: Room) -> Option<Found> {
        if key.len() > MOST_KEY_BYTES {
            return None;
        }
        let hash = hash_of(key);
        // The upper half is the better one of a product.
        let start = (hash >> 32) as usize;
        let mut step = 0;
        while step < PLACES {
            let place = &self.places[start.wrapping_add(step) % PLACES];
            match place.compare_exchange(0, CLAIMED, AcqRel, Acquire) {
                Ok(_) => {
                    let made = self.make(hash, key, cells, room);
                    let shown = made.map_or(0, |found| u32::try_from(found.number).unwrap_or(LOST - 1) + 1);
                    // Should another have lost its patience: the entry is there all the same, and whoever reads adds up.
                    let _ = place.compare_exchange(CLAIMED, shown, AcqRel, Relaxed);
                    return made;
                }
                // It is looked at once more.
                Err(CLAIMED) => wait_for(place),
                Err(LOST) => step += 1,
                Err(number) => {
                    let number = number as usize - 1;
                    if self.entries.get(number).is_some_and(|entry| self.has_key(entry, hash, key)) {
                        return Some(Found { number, cell: halves(&self.entries[number].cells).0 });
                    }
                    step += 1;
                }
            }
        }
        None
    }

    /// Notes that somebody uses the entry, at this time.
    pub fn stamp(&self, number: usize, now_ns: u64) {
        if let Some(entry) = self.entries.get(number) {
            entry.stamped_ns.store(now_ns, Relaxed);
        }
    }

    /// Adds to the number in a cell.
    pub fn add(&self, cell: usize, amount: f64) {
        if let Some(cell) = self.cells.get(cell) {
            add(cell, amount, 0);
        }
    }

    /// Sets the number in a cell.
    pub fn set(&self, cell: usize, value: f64) {
        if let Some(cell) = self.cells.get(cell) {
            cell.store(value.to_bits(), Relaxed);
        }
    }

    /// The number in a cell.
    pub fn number(&self, cell: usize) -> f64 {
        self.cells.get(cell).map_or(0.0, |cell| f64::from_bits(cell.load(Relaxed)))
    }

    /// Counts one more in a cell.
    pub fn count(&self, cell: usize) {
        if let Some(cell) = self.cells.get(cell) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// What is in the cells of an entry: as `Row::figures`.
    pub fn figures(&self, number: usize) -> Vec<f64> {
        self.entries.get(number).map(|entry| self.figures_of(entry)).unwrap_or_default()
    }

    /// All entries, in the order in which they were made. Two may have the same key, if one who made it was too slow.
    pub fn rows(&self) -> Vec<Row> {
        let entries = self.entries.iter().enumerate().take(self.taken());
        let whole = entries.filter(|(_, entry)| entry.hash.load(Acquire) != 0);
        whole
            .map(|(number, entry)| Row {
                number,
                key: self.key_of(entry),
                stamped_ns: entry.stamped_ns.load(Relaxed),
                figures: self.figures_of(entry),
            })
            .collect()
    }

    /// The numbers of the entries whose keys begin so.
    pub fn entries_with(&self, start: &[u8]) -> Vec<usize> {
        let entries = self.entries.iter().enumerate().take(self.taken());
        let whole = entries.filter(|(_, entry)| entry.hash.load(Acquire) != 0);
        whole.filter(|(_, entry)| self.key_of(entry).starts_with(start)).map(|(number, _)| number).collect()
    }

    /// How many entries are taken.
    pub fn taken(&self) -> usize {
        (self.entries_taken.load(Acquire) as usize).min(ENTRIES)
    }

    /// Whether nobody has said yet that there is no room; who asks says it.
    pub fn is_to_say_full(&self) -> bool {
        self.is_full_said.swap(1, Relaxed) == 0
    }

    /// Makes an entry that nobody finds yet.
    fn make(&self, hash: u64, key: &[u8], cells: usize, room: Room) -> Option<Found> {
        let words = key.len().div_ceil(8);
        let has_room = |taken: &AtomicU32, more: usize, most: usize| taken.load(Relaxed) as usize + more <= most;
        // First, so that nothing is taken for one that finds no room elsewhere, or hardly ever.
        if !has_room(&self.words_taken, words, KEY_WORDS) || !has_room(&self.cells_taken, cells, CELLS) {
            return None;
        }
        if room == Room::Bounded {
            take(&self.bounded_taken, 1, SERIES)?;
        }
        let (first_word, first_cell) =
            (take(&self.words_taken, words, KEY_WORDS)?, take(&self.cells_taken, cells, CELLS)?);
        let number = take(&self.entries_taken, 1, ENTRIES)?;
        let entry = self.entries.get(number)?;
        for (place, piece) in self.keys.get(first_word..)?.iter().zip(key.chunks(8)) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            place.store(u64::from_ne_bytes(word), Relaxed);
        }
        entry.key.store((first_word as u64) << 32 | key.len() as u64, Relaxed);
        entry.cells.store((first_cell as u64) << 32 | cells as u64, Relaxed);
        // After the rest: who sees the hash sees that.
        entry.hash.store(hash, Release);
        Some(Found { number, cell: first_cell })
    }

    fn has_key(&self, entry: &Entry, hash: u64, key: &[u8]) -> bool {
        entry.hash.load(Acquire) == hash && self.key_of(entry) == key
    }

    fn key_of(&self, entry: &Entry) -> Vec<u8> {
        let (start, bytes) = halves(&entry.key);
        let words = self.keys.get(start..).unwrap_or_default().iter();
        words.take(bytes.div_ceil(8)).flat_map(|word| word.load(Relaxed).to_ne_bytes()).take(bytes).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "a count in 53 bits")]
    fn figures_of(&self, entry: &Entry) -> Vec<f64> {
        let (start, cells) = halves(&entry.cells);
        let words = self.cells.get(start..start + cells).unwrap_or_default();
        let Some((sum, counts)) = words.split_last() else { return Vec::new() };
        let counts = counts.iter().map(|count| count.load(Relaxed) as f64);
        counts.chain([f64::from_bits(sum.load(Relaxed))]).collect()
    }
}

/// The gauges of one worker, by the numbers of their entries.
#[repr(C)]
pub struct Gauges([AtomicU64; ENTRIES]);

impl Gauges {
    /// None is set.
    #[expect(clippy::new_without_default, clippy::large_stack_arrays, reason = "a static is made of it")]
    pub const fn new() -> Gauges {
        Gauges([const { AtomicU64::new(0) }; ENTRIES])
    }

    /// Sets the gauge with this number.
    pub fn set(&self, number: usize, value: f64) {
        if let Some(cell) = self.0.get(number) {
            cell.store(value.to_bits() ^ UNSET, Relaxed);
        }
    }

    /// Adds to the gauge with this number, which is 0 if it was never set.
    pub fn add(&self, number: usize, amount: f64) {
        if let Some(cell) = self.0.get(number) {
            add(cell, amount, UNSET);
        }
    }

    /// The gauge with this number, if it was set.
    pub fn get(&self, number: usize) -> Option<f64> {
        let bits = self.0.get(number)?.load(Relaxed);
        (bits != 0).then(|| f64::from_bits(bits ^ UNSET))
    }

    /// Takes over the first `count` of another worker's.
    pub fn copy(&self, from: &Gauges, count: usize) {
        for (to, from) in self.0.iter().zip(&from.0).take(count) {
            to.store(from.load(Relaxed), Relaxed);
        }
    }

    /// Forgets the first `count`.
    pub fn clear(&self, count: usize) {
        for cell in self.0.iter().take(count) {
            cell.store(0, Relaxed);
        }
    }
}

/// Adds to a number whose bits are stored with those of `mask` reversed; 0 in memory is 0.
fn add(cell: &AtomicU64, amount: f64, mask: u64) {
    let mut bits = cell.load(Relaxed);
    loop {
        let before = if bits == 0 { 0.0 } else { f64::from_bits(bits ^ mask) };
        match cell.compare_exchange_weak(bits, (before + amount).to_bits() ^ mask, Relaxed, Relaxed) {
            Ok(_) => return,
            Err(other) => bits = other,
        }
    }
}

/// Takes `count` of what there is `most` of; returns the first.
fn take(taken: &AtomicU32, count: usize, most: usize) -> Option<usize> {
    let next = |before: u32| u32::try_from(before as usize + count).ok().filter(|after| *after as usize <= most);
    taken.fetch_update(AcqRel, Acquire, next).ok().map(|first| first as usize)
}

/// Waits for who has claimed a place; takes it for killed after a while.
fn wait_for(place: &AtomicU32) {
    let until = Instant::now() + PATIENCE;
    while place.load(Acquire) == CLAIMED {
        if Instant::now() >= until {
            let _ = place.compare_exchange(CLAIMED, LOST, AcqRel, Relaxed);
            return;
        }
        thread::yield_now();
    }
}

/// The two numbers in a word.
fn halves(word: &AtomicU64) -> (usize, usize) {
    let word = word.load(Relaxed);
    ((word >> 32) as usize, (word & 0xffff_ffff) as usize)
}

/// Never 0, which is none.
fn hash_of(key: &[u8]) -> u64 {
    let words = key.chunks(8).map(|piece| {
        let mut word = [0; 8];
        word[..piece.len()].copy_from_slice(piece);
        u64::from_le_bytes(word)
    });
    let start = key.len() as u64;
    words.fold(start, |hash, word| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
}
