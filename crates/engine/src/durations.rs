//! How long requests have taken, as histograms: one series for each application, method, route and class of status.
//!
//! A part of a worker's slot of the scoreboard, so all of it is atomics: any thread of the worker counts, its supervisor
//! reads, also when the worker is no more. A series is found by the hash of its key, and stays until the slot is cleared.
//! There are only so many; what comes when all are taken is counted by its class of status alone. The series that are
//! taken are the first ones, so that nobody has to look at the others, whose memory stays unallocated.

use crate::call_times::CallTimes;
use std::ops::Range;
use std::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

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
}

#[repr(C)]
struct Series {
    /// The hash of the key; 0 while that is not there.
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
    pub fn count(&self, key: &Key<'_>, duration_ns: u64) {
        self.histogram(key).count(duration_ns);
    }

    /// Counts a request that has taken `duration_ns`, and a call.
    pub fn count_call(&self, key: &Key<'_>, duration_ns: u64, times: &CallTimes) {
        let histogram = self.histogram(key);
        histogram.count(duration_ns);
        let parts_ns = [times.queue_ns, times.lock_ns, times.cpu_ns.unwrap_or(0), times.client_ns];
        for (sum_ns, part_ns) in histogram.parts_ns.iter().zip(parts_ns) {
            if part_ns > 0 {
                sum_ns.fetch_add(part_ns, Relaxed);
            }
        }
        self.queue.count(times.queue_ns);
        self.interpreter.count(times.lock_ns);
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
        let series = self.taken().iter().filter(|series| series.hash.load(Acquire) != 0);
        let found = series.map(|series| (series.labels(), series.histogram.counted()));
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
        for series in self.taken() {
            series.hash.store(0, Relaxed);
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
        let mut mine = None;
        for step in 0..PLACES {
            let place = &self.places[start.wrapping_add(step) % PLACES];
            let mut found = place.load(Acquire);
            if found == 0 {
                let number = mine.or_else(|| self.take(hash, key))?;
                mine = Some(number);
                match place.compare_exchange(0, number + 1, AcqRel, Acquire) {
                    Ok(_) => return self.series.get(number as usize),
                    // Another thread was faster, perhaps with the same key.
                    Err(other) => found = other,
                }
            }
            let series = self.series.get(found as usize - 1)?;
            if series.has_key(hash, key) {
                if let Some(number) = mine {
                    self.give_back(number);
                }
                return Some(series);
            }
        }
        None
    }

    /// Takes the next series for a key; nobody finds it yet.
    fn take(&self, hash: u64, key: &KeyWords) -> Option<u32> {
        let next = |taken: u32| ((taken as usize) < SERIES).then_some(taken + 1);
        let number = self.taken.fetch_update(AcqRel, Acquire, next).ok()?;
        let series = self.series.get(number as usize)?;
        for (place, word) in series.key.iter().zip(key.words) {
            place.store(word, Relaxed);
        }
        // After the key: who sees the hash sees that.
        series.hash.store(hash, Release);
        Some(number)
    }

    /// Gives back a series that nobody has found; it is lost if another was taken after it.
    fn give_back(&self, number: u32) {
        if let Some(series) = self.series.get(number as usize) {
            series.hash.store(0, Release);
        }
        let _ = self.taken.compare_exchange(number + 1, number, AcqRel, Relaxed);
    }
}

impl Series {
    // Not inline: the whole key would be taken out of it before the first comparison.
    #[inline(never)]
    fn has_key(&self, hash: u64, key: &KeyWords) -> bool {
        self.hash.load(Acquire) == hash
            && key.filled().all(|places| {
                self.key[places.clone()]
                    .iter()
                    .zip(&key.words[places])
                    .all(|(word, wanted)| word.load(Relaxed) == *wanted)
            })
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
        let bucket = BOUNDS_NS.partition_point(|bound_ns| *bound_ns < duration_ns);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(duration_ns, Relaxed);
    }

    fn counted(&self) -> Counted {
        Counted {
            counts: std::array::from_fn(|bucket| self.counts[bucket].load(Relaxed)),
            sum_ns: self.sum_ns.load(Relaxed),
            parts_ns: std::array::from_fn(|part| self.parts_ns[part].load(Relaxed)),
        }
    }
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
    fn filled(&self) -> impl Iterator<Item = Range<usize>> {
        let route = 1 + APPLICATION_WORDS;
        [0..1 + self.application, route..route + self.route].into_iter()
    }

    /// Never 0, which is none.
    fn hash(&self) -> u64 {
        let words = self.filled().flat_map(|places| &self.words[places]);
        words.fold(0, |hash: u64, word| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1
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
