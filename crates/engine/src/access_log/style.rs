//! Which requests have lines, and what those look like: what the settings say of the access log.

use super::condition::{Condition, is_like};
use super::destination::Destination;
use super::field::{Field, Time};
use super::format::Format;
use super::record::{self, AccessRecord, Keeper};
use super::repeated::Repeated;
use super::request_line::Part;
use super::syslog::{Header, Source};
use crate::scoreboard::SlotRef;
use crate::settings::Settings;
use rustix::rand::{GetRandomFlags, getrandom};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the settings say.
pub struct Style {
    /// Where lines go.
    pub destination: Destination,
    /// What stands before each, if that is syslog.
    header: Option<Header>,
    /// What a line looks like.
    pub format: Format,
    /// What has to hold for a request that has one.
    condition: Option<Condition>,
    /// Patterns of paths whose requests have none.
    skipped: Vec<String>,
    /// Of 2^32 requests so many have one.
    share: u64,
    /// What the next lot is drawn with.
    lot: AtomicU64,
    /// What has to be taken for it.
    pub wants: Wants,
}

/// What has to be taken of a request for the fields of its line, since it costs something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is wanted, or not")]
pub struct Wants {
    /// The head of the response.
    pub head: bool,
    /// Also if the name of the request is not in it.
    pub whole_head: bool,
    /// When that was made.
    pub head_time: bool,
    /// The thread's CPU time.
    pub cpu: bool,
    /// Variables of the environ.
    pub environ: bool,
}

impl Wants {
    /// Where it is kept, if something of the response or the environ is: in `spare`, if nobody has that any more.
    pub fn keeper(self, spare: Option<Keeper>) -> Option<Keeper> {
        (self.head || self.environ).then(|| spare.and_then(record::emptied).unwrap_or_default())
    }

    /// The same for a request without an environ.
    pub fn head_keeper(self) -> Option<Keeper> {
        self.head.then(Keeper::default)
    }
}

/// All of them have one.
const ALL: u64 = 1 << 32;
/// A status from which on a request has one whatever the sample is.
const FAILED: u16 = 500;

impl Style {
    /// What `settings` say of lines for a terminal, or for something else.
    ///
    /// # Errors
    /// A sentence: which of them is wrong, and why.
    pub fn read(settings: &Settings, is_terminal: bool) -> Result<Style, String> {
        let destination = Destination::read(&settings.access_log)?;
        let source = Source::read(&settings.syslog_facility, &settings.syslog_tag)?;
        let text = match settings.access_log_format.trim() {
            "auto" if matches!(destination, Destination::Journal(_)) => "%(message)",
            "auto" => {
                if is_terminal {
                    "short"
                } else {
                    "combined"
                }
            }
            text => text,
        };
        let mut format = Format::parse(text).map_err(|why| format!("access_log_format: {why}"))?;
        if let Destination::Journal(_) = destination {
            format = format.into_entry(&source);
        }
        format.add(settings.access_log_fields.texts()).map_err(|why| format!("access_log_fields: {why}"))?;
        if destination != Destination::Stream && text.contains(['\n', '\0']) {
            return Err("access_log_format: expected one line, got a line end in it".to_owned());
        }
        let header = match destination {
            Destination::Stream | Destination::Journal(_) => None,
            Destination::LocalSyslog(_) => Some(Header::local(source)),
            Destination::RemoteSyslog(_) => {
                Some(Header::remote(source, &rustix::system::uname().nodename().to_string_lossy()))
            }
        };
        let condition = match settings.access_log_if.trim() {
            "" => None,
            text => Some(Condition::parse(text, &mut format.wanted).map_err(|why| format!("access_log_if: {why}"))?),
        };
        let share = settings.access_log_sample.of(ALL);
        let skipped = settings.access_log_skip.texts().to_vec();
        let looked_at = condition.as_ref().map(Condition::fields).unwrap_or_default();
        let any = |wants: fn(&Field) -> bool| format.fields().chain(looked_at.iter().copied()).any(wants);
        let wants = Wants {
            head: any(Field::wants_head),
            whole_head: any(|field| field.wants_head() && *field != Field::RequestId),
            head_time: any(|field| matches!(field, Field::Time(Time::FirstByte, _))),
            cpu: any(|field| matches!(field, Field::Time(Time::Cpu, _))),
            environ: !format.wanted.0.is_empty(),
        };
        Ok(Style { destination, header, format, condition, skipped, share, lot: AtomicU64::new(any_number()), wants })
    }

    /// Reads the metrics that lines have for the worker of `slot`.
    ///
    /// # Errors
    /// A sentence: the application has none of that name.
    pub fn read_metrics_for(&self, slot: &SlotRef) -> Result<(), String> {
        self.format.wanted.1.iter().try_for_each(|metric| metric.read_for(slot))
    }

    /// Whether durations have to be counted for it.
    pub fn wants_durations(&self) -> bool {
        self.format.wanted.1.iter().any(|metric| metric.is_of_durations())
    }

    /// Appends the line of `record`, whose end is the moment `wall_ns`, without a line end. Where it `is_bounded`, it is
    /// so short that what is no file takes it at once.
    pub fn push(
        &self,
        line: &mut Vec<u8>,
        record: &AccessRecord<'_>,
        wall_ns: u64,
        repeated: &mut Repeated,
        is_bounded: bool,
    ) {
        if let Some(header) = &self.header {
            header.push(line, record, wall_ns, &mut repeated.dates);
        }
        self.format.push(line, record, wall_ns, repeated, is_bounded);
    }

    /// Whether `record` has a line. What has ended by something else than its response always has one.
    pub fn selects(&self, record: &AccessRecord<'_>, wall_ns: u64) -> bool {
        if record.cause.is_some() {
            return true;
        }
        let path = || record.request_line.part(Part::Path).unwrap_or_default();
        let is_skipped = self.skipped.iter().any(|pattern| is_like(path(), pattern.as_bytes()));
        !is_skipped
            && self.condition.as_ref().is_none_or(|condition| condition.holds(record, wall_ns))
            && (self.share >= ALL || record.status >= FAILED || self.is_drawn())
    }

    /// Whether the next request is one of the sample: as if by lot, but no two servers draw alike.
    fn is_drawn(&self) -> bool {
        // splitmix64 of a counter: each value has the same chance, whatever the order of requests is.
        let mut drawn = self.lot.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        drawn = (drawn ^ drawn >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ drawn >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (drawn ^ drawn >> 31) >> 32 < self.share
    }
}

/// Each server begins elsewhere: else the first requests of all workers would be drawn alike.
fn any_number() -> u64 {
    let mut bytes = [0; 8];
    // It fails only on a kernel without it.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}
