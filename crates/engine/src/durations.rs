//! How long requests have taken, as histograms: one series for each application, method, route and class of status.
//!
//! A part of a worker's slot of the scoreboard, so all of it is atomics: the worker counts, its supervisor reads, also when
//! the worker is no more. Any thread of the worker may count, but one after the other. A series is found by the hash of
//! its key, and stays until the slot is cleared. There are only so many; what comes when all are taken is counted by its
//! class of status alone. The series that are taken are the first ones, so that nobody has to look at the others, whose
//! memory stays unallocated.

use crate::call_times::CallTimes;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// The upper bounds of the buckets, in nanoseconds: those that OpenTelemetry recommends for requests over HTTP.
pub const BOUNDS_NS: [u64; 14] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];
/// One for each bound, and one for what is beyond all.
pub const BUCKETS: usize = BOUNDS_NS.len() + 1;
/// The parts of a call that are added up: waiting for a thread, for the interpreter, computing, and waiting for the client.
/// What is left of its time is waiting in the application.
pub const PARTS: usize = 4;
/// Series at most, beside those for what finds none.
pub const SERIES: usize = 512;
/// What a label says of a value that it does not have.
pub const OTHER: &str = "_OTHER";

/// A method has a label if it is one of these (RFC 9110 9.3, RFC 5789).
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
/// Classes of status by their first digits; the first is of those that had no status.
const CLASSES: [&str; 6] = ["", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// How much there is of the name of an application.
const APPLICATION_WORDS: usize = 8;
/// How much there is of a route.
const ROUTE_WORDS: usize = 16;
/// How many applications have their names here, those of the lowest numbers.
const APPLICATIONS: usize = 32;
const KEY_WORDS: usize = 1 + APPLICATION_WORDS + ROUTE_WORDS;
/// Twice the series, so that those with the same hash are near. A power of two.
const PLACES: usize = 2 * SERIES;

/// What a request was.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The name of the application; empty if none was called.
    pub application: &'a str,
    /// The method.
    pub method: &'a [u8],
    /// The rule that a framework has found its path by; empty if none has said so.
    pub route: &'a [u8],
    /// The status of its response; 0 if it had none.
    pub status: u16,
}

/// The histograms of one worker.
#[repr(C)]
pub struct Durations {
    queue: Histogram,
    interpreter: Histogram,
    /// How many series are taken.
    taken: AtomicU32,
    /// By hash: the number of a series, from 1 on; 0 is none.
    places: [AtomicU32; PLACES],
    /// What finds no series, by class of status.
    others: [Histogram; CLASSES.len()],
    series: [Series; SERIES],
    /// The names of the applications by their numbers, for who counts what a worker that was killed has left.
    applications: [Name; APPLICATIONS],
}

#[repr(C)]
struct Name {
    bytes: AtomicU64,
    words: [AtomicU64; APPLICATION_WORDS],
}

#[repr(C)]
struct Series {
    /// The hash of the key.
    hash: AtomicU64,
    key: [AtomicU64; KEY_WORDS],
    histogram: Histogram,
}

#[repr(C)]
struct Histogram {
    /// How many there are in each bucket, and not in one before it.
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
    /// How much of that each part of the calls has taken.
    parts_ns: [AtomicU64; PARTS],
}

/// What has been counted of a histogram: in each bucket, and not in one before it, and the sum in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Those of the buckets.
    pub counts: [u64; BUCKETS],
    /// The sum of all.
    pub sum_ns: u64,
    /// How much of that each part of the calls has taken, in the order in which these are named at `PARTS`.
    pub parts_ns: [u64; PARTS],
}

/// Who counts in a slot: a worker has one, behind a lock. A request changes ten numbers, and each atomic addition takes as
/// long as many other instructions, or as the lock; under that a number is loaded and stored. Should the worker be killed
/// in between, there is one before or one after, as with an addition.
#[derive(Debug, Default)]
pub struct Counter(());

/// The labels of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The name of the application, or its beginning.
    pub application: String,
    /// The method, `_OTHER` for one that is not known.
    pub method: &'static str,
    /// The route, or its beginning.
    pub route: String,
    /// The class of the status, such as `2xx`.
    pub status_class: &'static str,
}

impl Durations {
    /// Counts a request that has taken `duration_ns`, and no call.
    pub fn count(&self, _: &mut Counter, key: &Key<'_>, duration_ns: u64) {
        self.histogram(key).count(duration_ns);
    }

    /// Counts a request that has taken `duration_ns`, and a call.
    pub fn count_call(&self, _: &mut Counter, key: &Key<'_>, duration_ns: u64, times: &CallTimes) {
        let histogram = self.histogram(key);
        histogram.count(duration_ns);
        let parts_ns = [times.queue_ns, times.lock_ns, times.cpu_ns.unwrap_or(0), times.client_ns];
        for (sum_ns, part_ns) in histogram.parts_ns.iter().zip(parts_ns) {
            add(sum_ns, part_ns);
        }
        self.queue.count(times.queue_ns);
        self.interpreter.count(times.lock_ns);
    }

    /// Notes what the applications are called that are counted here.
    pub fn name_applications(&self, names: &[String]) {
        for (place, name) in self.applications.iter().zip(names) {
            let mut words = [0; APPLICATION_WORDS];
            let name = truncated(name.as_bytes(), APPLICATION_WORDS * 8);
            fill(&mut words, name);
            place.bytes.store(name.len() as u64, Relaxed);
            place.words.iter().zip(words).for_each(|(place, word)| place.store(word, Relaxed));
        }
    }

    /// The name of an application, or its beginning; empty if that was not noted.
    pub fn application(&self, index: usize) -> String {
        let bytes = |name: &Name| usize::try_from(name.bytes.load(Relaxed)).unwrap_or(0);
        self.applications.get(index).map_or_else(String::new, |name| text(&name.words, bytes(name)))
    }

    fn histogram(&self, key: &Key<'_>) -> &Histogram {
        match self.find(&KeyWords::of(key)) {
            Some(series) => &series.histogram,
            None => &self.others[class_of(key.status)],
        }
    }

    /// How long requests have waited in the queue.
    pub fn queue(&self) -> Counted {
        self.queue.counted()
    }

    /// How long their threads have waited for the interpreter.
    pub fn interpreter(&self) -> Counted {
        self.interpreter.counted()
    }

    /// All series in which something was counted.
    pub fn series(&self) -> Vec<(Labels, Counted)> {
        let found = self.taken().iter().map(|series| (series.labels(), series.histogram.counted()));
        let others = self.others.iter().zip(CLASSES).map(|(histogram, status_class)| {
            let labels = Labels { application: String::new(), method: OTHER, route: OTHER.into(), status_class };
            (labels, histogram.counted())
        });
        found.chain(others).filter(|(_, counted)| *counted != Counted::default()).collect()
    }

    /// How many requests were counted, and how many nanoseconds they have taken.
    pub fn sums(&self) -> (u64, u64) {
        let histograms = self.taken().iter().map(|series| &series.histogram).chain(&self.others);
        let counted = histograms.map(Histogram::counted);
        counted.fold((0, 0), |(count, sum_ns), each| (count + each.counts.iter().sum::<u64>(), sum_ns + each.sum_ns))
    }

    /// Forgets all; nobody counts any more.
    pub fn clear(&self) {
        let series = self.taken().iter().map(|series| &series.histogram);
        for histogram in series.chain(&self.others).chain([&self.queue, &self.interpreter]) {
            for word in histogram.counts.iter().chain([&histogram.sum_ns]).chain(&histogram.parts_ns) {
                word.store(0, Relaxed);
            }
        }
        for place in &self.places {
            place.store(0, Relaxed);
        }
        self.taken.store(0, Release);
    }

    fn taken(&self) -> &[Series] {
        let taken = self.taken.load(Acquire) as usize;
        &self.series[..taken.min(SERIES)]
    }

    /// The series with this key, a new one if there is none yet; none if all are taken.
    fn find(&self, key: &KeyWords) -> Option<&Series> {
        let hash = key.hash();
        // The upper half is the better one of a product.
        let start = (hash >> 32) as usize;
        for step in 0..PLACES {
            let place = &self.places[start.wrapping_add(step) % PLACES];
            let found = place.load(Relaxed);
            if found == 0 {
                return self.take(place, hash, key);
            }
            let series = self.series.get(found as usize - 1)?;
            if series.has_key(hash, key) {
                return Some(series);
            }
        }
        None
    }

    /// Takes the next series for a key, which is found in that place from now on.
    fn take(&self, place: &AtomicU32, hash: u64, key: &KeyWords) -> Option<&Series> {
        let taken = self.taken.load(Relaxed);
        let series = self.series.get(taken as usize)?;
        for (place, word) in series.key.iter().zip(key.words) {
            place.store(word, Relaxed);
        }
        series.hash.store(hash, Relaxed);
        place.store(taken + 1, Relaxed);
        // After the key: who sees that it is taken sees that.
        self.taken.store(taken + 1, Release);
        Some(series)
    }
}

impl Series {
    // Not inline: the whole key would be taken out of it before the first comparison.
    #[inline(never)]
    fn has_key(&self, hash: u64, key: &KeyWords) -> bool {
        if self.hash.load(Relaxed) != hash {
            return false;
        }
        for places in key.filled() {
            let words = self.key[places.clone()].iter().zip(&key.words[places]);
            for (word, wanted) in words {
                if word.load(Relaxed) != *wanted {
                    return false;
                }
            }
        }
        true
    }

    fn labels(&self) -> Labels {
        let [method, class, application_bytes, route_bytes] = halves(self.key[0].load(Relaxed)).map(usize::from);
        let (application, route) = self.key[1..].split_at(APPLICATION_WORDS);
        Labels {
            application: text(application, application_bytes),
            method: METHODS.get(method).copied().unwrap_or(OTHER),
            route: text(route, route_bytes),
            status_class: CLASSES.get(class).copied().unwrap_or_default(),
        }
    }
}

impl Histogram {
    fn count(&self, duration_ns: u64) {
        // Most of them are in the first one.
        let is_first = duration_ns <= BOUNDS_NS[0];
        let bucket = if is_first { 0 } else { BOUNDS_NS.partition_point(|bound_ns| *bound_ns < duration_ns) };
        add(&self.counts[bucket], 1);
        add(&self.sum_ns, duration_ns);
    }

    fn counted(&self) -> Counted {
        Counted {
            counts: std::array::from_fn(|bucket| self.counts[bucket].load(Relaxed)),
            sum_ns: self.sum_ns.load(Relaxed),
            parts_ns: std::array::from_fn(|part| self.parts_ns[part].load(Relaxed)),
        }
    }
}

/// Adds to a number to which nobody else adds meanwhile.
fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Relaxed).wrapping_add(more), Relaxed);
}

/// A key as it is in memory: method, class and the lengths of both texts in the first word, and then those.
struct KeyWords {
    words: [u64; KEY_WORDS],
    /// How many words each text fills: the others tell nothing, as the first one has the lengths.
    application: usize,
    route: usize,
}

impl KeyWords {
    fn of(key: &Key<'_>) -> KeyWords {
        let application = truncated(key.application.as_bytes(), APPLICATION_WORDS * 8);
        let route = truncated(key.route, ROUTE_WORDS * 8);
        let method = METHODS.iter().position(|method| method.as_bytes() == key.method).unwrap_or(METHODS.len());
        let mut words = [0; KEY_WORDS];
        let first = [method, class_of(key.status), application.len(), route.len()];
        words[0] = first.iter().fold(0, |word, half| word << 16 | *half as u64);
        let (of_application, of_route) = words[1..].split_at_mut(APPLICATION_WORDS);
        let (application, route) = (fill(of_application, application), fill(of_route, route));
        KeyWords { words, application, route }
    }

    /// Where the words are that tell something.
    fn filled(&self) -> [Range<usize>; 2] {
        let route = 1 + APPLICATION_WORDS;
        [0..1 + self.application, route..route + self.route]
    }

    // Loops, here and at `has_key`, of which the compiler makes less than of iterators over iterators.
    fn hash(&self) -> u64 {
        let mut hash: u64 = 0;
        for places in self.filled() {
            for word in &self.words[places] {
                hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
        hash
    }
}

/// Puts a text there; returns how many words it fills.
fn fill(places: &mut [u64], text: &[u8]) -> usize {
    let (pieces, rest) = text.as_chunks::<8>();
    for (place, piece) in places.iter_mut().zip(pieces) {
        *place = u64::from_ne_bytes(*piece);
    }
    let Some(last) = places.get_mut(pieces.len()).filter(|_| !rest.is_empty()) else { return pieces.len() };
    let mut word = [0; 8];
    for (place, byte) in word.iter_mut().zip(rest) {
        *place = *byte;
    }
    *last = u64::from_ne_bytes(word);
    pieces.len() + 1
}

/// The four numbers in a word.
fn halves(word: u64) -> [u16; 4] {
    [48, 32, 16, 0].map(|shift| (word >> shift & 0xffff) as u16)
}

/// As much of a text in UTF-8 as there is room for: no part of a character.
fn truncated(text: &[u8], room: usize) -> &[u8] {
    if text.len() <= room {
        return text;
    }
    let end = (0..=room).rev().find(|end| text[*end] & 0xc0 != 0x80).unwrap_or(0);
    &text[..end]
}

fn text(words: &[AtomicU64], bytes: usize) -> String {
    let all: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).take(bytes).collect();
    String::from_utf8_lossy(&all).into_owned()
}

fn class_of(status: u16) -> usize {
    let class = usize::from(status / 100);
    if class < CLASSES.len() { class } else { 0 }
}
