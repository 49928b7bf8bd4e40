//! Values of metrics in a line: uWSGI's `%(metric.worker.1.requests)`, and those of the application, by their names.
//!
//! Read in the scoreboard when the line is made, which costs what it costs; without such a variable nothing of it is
//! there. A line is made without the interpreter: so the keys of the application's metrics are understood here, as they
//! are written by `portico.metrics` (python/portico/admin/keys.py).

use super::memory::Memory;
use crate::durations::Durations;
use crate::scoreboard::SlotRef;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

/// What a template has before the name.
pub const PREFIX: &str = "metric.";

/// What each worker has, by the names that uWSGI has for it.
const OF_WORKERS: [(&str, Figure); 8] = [
    ("avg_response_time", Figure::AverageTime),
    ("delta_requests", Figure::Requests),
    ("failed_requests", Figure::Failed),
    ("requests", Figure::Requests),
    ("rss_size", Figure::Memory(Memory::Resident)),
    ("running_time", Figure::Time),
    ("total_tx", Figure::Sent),
    ("vsz_size", Figure::Memory(Memory::Virtual)),
];

/// What all have together.
const OF_ALL: [(&str, What); 9] = [
    ("core.avg_response_time", What::All(Figure::AverageTime)),
    ("core.busy_workers", What::Workers { are_busy: true }),
    ("core.idle_workers", What::Workers { are_busy: false }),
    ("core.total_rss", What::All(Figure::Memory(Memory::Resident))),
    ("core.total_running_time", What::All(Figure::Time)),
    ("core.total_tx", What::All(Figure::Sent)),
    ("core.total_vsz", What::All(Figure::Memory(Memory::Virtual))),
    ("rss_size", What::All(Figure::Memory(Memory::Resident))),
    ("vsz_size", What::All(Figure::Memory(Memory::Virtual))),
];

/// A number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Requests,
    Failed,
    Sent,
    /// Of requests, in microseconds.
    Time,
    AverageTime,
    Memory(Memory),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Of the worker with this number, from 1 on.
    Worker(usize, Figure),
    All(Figure),
    /// How many workers have a call, or none.
    Workers {
        are_busy: bool,
    },
    Application,
}

/// A metric, by its name.
pub struct Metric {
    name: String,
    what: What,
    source: OnceLock<Source>,
}

/// Where its values are.
struct Source {
    slot: SlotRef,
    of_application: Option<OfApplication>,
}

/// A metric of the application.
struct OfApplication {
    /// What the keys of its series begin with.
    series: Vec<u8>,
    part: Part,
}

/// What is read of the series of a metric.
#[derive(Clone, Copy)]
enum Part {
    /// The last number: a value, or the sum of a histogram.
    Last,
    /// All before it: how many a histogram has.
    Count,
    /// Of a gauge of each worker: one value for all of them, or that of this one.
    Gauges(fn(f64, f64) -> f64),
    OwnGauge,
}

impl fmt::Debug for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", self.name)
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Metric) -> bool {
        self.name == other.name
    }
}

impl Eq for Metric {}

impl Metric {
    /// The metric called `name`: one of uWSGI's that there is here, or one that may be an application's.
    pub fn named(name: &str) -> Option<Metric> {
        let of_all = OF_ALL.iter().find(|(known, _)| *known == name).map(|(_, what)| *what);
        let what = of_all.or_else(|| of_worker(name)).or_else(|| is_plain(name).then_some(What::Application))?;
        Some(Metric { name: name.to_owned(), what, source: OnceLock::new() })
    }

    /// Reads it for the worker of `slot` from now on.
    ///
    /// # Errors
    /// A sentence: it is the application's, and there is none of that name.
    pub fn read_for(&self, slot: &SlotRef) -> Result<(), String> {
        let of_application = match self.what {
            What::Application => Some(OfApplication::find(&self.name, slot)?),
            _ => None,
        };
        let _ = self.source.set(Source { slot: slot.clone(), of_application });
        Ok(())
    }

    /// Whether it is made of durations, which have to be counted.
    pub fn is_of_durations(&self) -> bool {
        let (What::Worker(_, figure) | What::All(figure)) = self.what else { return false };
        matches!(figure, Figure::Time | Figure::AverageTime)
    }

    /// Its value now; none where nobody knows it.
    #[cold]
    pub fn value(&self) -> Option<f64> {
        let Source { slot, of_application } = self.source.get()?;
        match self.what {
            What::Worker(number, figure) => figure.of(&[slot.other(number - 1).filter(SlotRef::has_worker)?]),
            What::All(figure) => figure.of(&slot.workers()),
            What::Workers { are_busy } => {
                // This one has the request of the line.
                let is_busy = |worker: &&SlotRef| worker.index() == slot.index() || worker.has_call();
                let workers = slot.workers();
                let busy = workers.iter().filter(is_busy).count();
                Some(float(if are_busy { busy } else { workers.len() - busy } as u64))
            }
            What::Application => of_application.as_ref()?.value(slot),
        }
        .filter(|value| value.is_finite())
    }
}

/// What there is, for the sentence about one that there is not; empty if `name` is of something else.
pub fn known(name: &str) -> String {
    if !name.starts_with(PREFIX) {
        return String::new();
    }
    let of_all: Vec<&str> = OF_ALL.iter().map(|(name, _)| *name).collect();
    let of_workers: Vec<&str> = OF_WORKERS.iter().map(|(name, _)| *name).collect();
    format!(
        ": expected {}, worker.N. with {}, or the name of a metric of the application",
        of_all.join(", "),
        of_workers.join(", ")
    )
}

/// `worker.1.requests`; worker 0 is all of them.
fn of_worker(name: &str) -> Option<What> {
    let (number, figure) = name.strip_prefix("worker.")?.split_once('.')?;
    let (_, figure) = OF_WORKERS.iter().find(|(known, _)| *known == figure)?;
    let number = number.parse::<u16>().ok().filter(|found| found.to_string() == number)?;
    Some(if number == 0 { What::All(*figure) } else { What::Worker(number.into(), *figure) })
}

fn is_plain(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[expect(clippy::cast_precision_loss, reason = "a count in 53 bits")]
fn float(number: u64) -> f64 {
    number as f64
}

impl Figure {
    fn of(self, workers: &[SlotRef]) -> Option<f64> {
        let sum = |of: fn(&SlotRef) -> u64| Some(float(workers.iter().map(of).sum()));
        match self {
            Figure::Requests => sum(|worker| worker.requests.load(Relaxed)),
            Figure::Failed => sum(|worker| worker.errors.load(Relaxed)),
            Figure::Sent => sum(|worker| worker.bytes_sent.load(Relaxed)),
            Figure::Time | Figure::AverageTime => {
                let sums = workers.iter().filter_map(|worker| worker.durations()).map(Durations::sums);
                let (count, sum_ns) =
                    sums.fold((0, 0), |(count, sum), (more, ns): (u64, u64)| (count + more, sum + ns));
                let micros = sum_ns / 1000;
                Some(float(if self == Figure::Time { micros } else { micros.checked_div(count).unwrap_or(0) }))
            }
            Figure::Memory(memory) => {
                let bytes = workers.iter().filter_map(|worker| memory.of_thread(worker.any_thread_id()?));
                Some(float(bytes.sum()))
            }
        }
    }
}

impl OfApplication {
    /// The one called `name`, with what the samples of counters and histograms have behind that.
    fn find(name: &str, slot: &SlotRef) -> Result<OfApplication, String> {
        let rows = slot.mapping().metrics().rows();
        let mut names = Vec::new();
        let mut found: Option<(u64, OfApplication)> = None;
        for row in &rows {
            let texts = unpacked(&row.key);
            let [what, kind, metric, special, ..] = texts.as_slice() else { continue };
            if *what != "metric" {
                continue;
            }
            names.push(format!("{metric}{}", if *kind == "histogram" { "_count" } else { "" }));
            let part = match (*kind, name.strip_prefix(metric), *special) {
                ("counter", Some("" | "_total"), _) | ("gauge", Some(""), "last") | ("histogram", Some("_sum"), _) => {
                    Part::Last
                }
                ("histogram", Some("_count"), _) => Part::Count,
                ("gauge", Some(""), "max") => Part::Gauges(f64::max),
                ("gauge", Some(""), "min") => Part::Gauges(f64::min),
                ("gauge", Some(""), "each") => Part::OwnGauge,
                ("gauge", Some(""), _) => Part::Gauges(|sum, value| sum + value),
                _ => continue,
            };
            // Of two with one name, which a reload has changed, the one that was defined last.
            if found.as_ref().is_none_or(|(stamped_ns, _)| *stamped_ns <= row.stamped_ns) {
                let series = [packed("series"), packed(&row.number.to_string())].concat();
                found = Some((row.stamped_ns, OfApplication { series, part }));
            }
        }
        names.sort_unstable();
        names.dedup();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let unknown =
            || format!("access log: unknown metric {name}: expected one of the application, which has {known}");
        found.map(|(_, found)| found).ok_or_else(unknown)
    }

    /// That of all its series together.
    fn value(&self, slot: &SlotRef) -> Option<f64> {
        let mapping = slot.mapping();
        let series = mapping.metrics().entries_with(&self.series);
        let figures = || series.iter().map(|number| mapping.metrics().figures(*number));
        match self.part {
            Part::Last => Some(figures().filter_map(|figures| figures.last().copied()).sum()),
            Part::Count => Some(figures().filter_map(|each| Some(each.split_last()?.1.iter().sum::<f64>())).sum()),
            Part::Gauges(joined) => {
                let slots = (0..mapping.slots()).filter_map(|index| mapping.gauges(index));
                slots.flat_map(|gauges| series.iter().filter_map(|number| gauges.get(*number))).reduce(joined)
            }
            Part::OwnGauge => {
                let gauges = mapping.gauges(slot.index())?;
                series.iter().filter_map(|number| gauges.get(*number)).reduce(|sum, value| sum + value)
            }
        }
    }
}

/// A text of a key, behind its length.
fn packed(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_le_bytes(), text.as_bytes()].concat()
}

/// The texts of a key.
fn unpacked(mut key: &[u8]) -> Vec<&str> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = key.split_first_chunk::<2>() {
        let Some((text, rest)) = rest.split_at_checked(u16::from_le_bytes(*length).into()) else { break };
        texts.push(str::from_utf8(text).unwrap_or_default());
        key = rest;
    }
    texts
}
