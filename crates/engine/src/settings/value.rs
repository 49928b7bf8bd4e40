//! The types of settings, in the engine's own units. One whose 0 means "no limit" is the largest number here, so that
//! nobody else has to know.

use super::source::Source;
use portico_wire::{ContentCoding, Networks};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// A type that a setting can have.
pub trait Value: Sized {
    /// Reads the setting called `name`.
    fn read<S: Source>(source: &S, name: &'static str) -> Result<Self, S::Error>;
}

impl Value for u64 {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<u64, S::Error> {
        source.integer(name)
    }
}

impl Value for usize {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<usize, S::Error> {
        source.count(name)
    }
}

impl Value for bool {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<bool, S::Error> {
        source.flag(name)
    }
}

impl Value for String {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<String, S::Error> {
        source.text(name)
    }
}

/// A number of things or bytes; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u64);

impl Limit {
    /// The most that may be.
    pub fn most(self) -> u64 {
        self.0
    }
}

impl Value for Limit {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<Limit, S::Error> {
        Ok(Limit(unlimited_if_0(source.integer(name)?)))
    }
}

/// A time, in whole milliseconds, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(u64);

impl Seconds {
    /// In milliseconds.
    pub fn ms(self) -> u64 {
        self.0
    }
}

impl Value for Seconds {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<Seconds, S::Error> {
        Ok(Seconds(milliseconds(source.number(name)?)))
    }
}

/// As `Seconds`; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondsOrNever(u64);

impl SecondsOrNever {
    /// In milliseconds.
    pub fn ms(self) -> u64 {
        self.0
    }

    /// In nanoseconds.
    pub fn ns(self) -> u64 {
        self.0.saturating_mul(1_000_000)
    }
}

impl Value for SecondsOrNever {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<SecondsOrNever, S::Error> {
        Ok(SecondsOrNever(unlimited_if_0(milliseconds(source.number(name)?))))
    }
}

impl Value for Networks {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<Networks, S::Error> {
        // How an empty list is written.
        let entries = source.texts(name)?.into_iter().filter(|entry| entry != "none");
        Networks::parse(entries).map_err(|error| source.invalid(name, error.to_string()))
    }
}

/// Some of all, from 0, which is none, to 1, which is all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

impl Share {
    /// How many of `whole` that are.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "in bounds"
    )]
    pub fn of(self, whole: u64) -> u64 {
        (self.0.clamp(0.0, 1.0) * whole as f64) as u64
    }
}

impl Value for Share {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<Share, S::Error> {
        Ok(Share(source.number(name)?))
    }
}

/// Texts, of which each is something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(Vec<String>);

impl Texts {
    /// All of them.
    pub fn texts(&self) -> &[String] {
        &self.0
    }
}

impl Value for Texts {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<Texts, S::Error> {
        // How an empty list is written.
        Ok(Texts(source.texts(name)?.into_iter().filter(|text| text != "none").collect()))
    }
}

/// Paths of URLs, as they are on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(Vec<Vec<u8>>);

impl Paths {
    /// Whether `path` is one of them.
    pub fn contains(&self, path: &[u8]) -> bool {
        self.0.iter().any(|known| known == path)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value for Paths {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<Paths, S::Error> {
        Ok(Paths(source.texts(name)?.into_iter().map(String::into_bytes).collect()))
    }
}

/// Directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directories(pub Vec<PathBuf>);

impl Value for Directories {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<Directories, S::Error> {
        Ok(Directories(source.texts(name)?.into_iter().map(PathBuf::from).collect()))
    }
}

/// Prefixes of paths, each empty or without a slash at its end, and the directories whose files are served below them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticDirectories(pub Vec<(String, PathBuf)>);

impl Value for StaticDirectories {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<StaticDirectories, S::Error> {
        let read = |text: String| match text.split_once('=') {
            Some((prefix, directory)) if prefix.starts_with('/') && !directory.is_empty() => {
                Ok((prefix.trim_end_matches('/').to_owned(), directory.into()))
            }
            _ => Err(source.invalid(name, format!("expected PREFIX=DIRECTORY, got {text:?}"))),
        };
        source.texts(name)?.into_iter().map(read).collect::<Result<_, _>>().map(StaticDirectories)
    }
}

/// Which statuses of responses have which file for their body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorPageFiles(pub Vec<(RangeInclusive<u16>, PathBuf)>);

impl ErrorPageFiles {
    /// Those in `entries` such as `404=errors/404.html` and `5xx=errors/500.html`.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn parse(entries: Vec<String>) -> Result<ErrorPageFiles, String> {
        entries.into_iter().map(|entry| page_file(&entry)).collect::<Result<_, _>>().map(ErrorPageFiles)
    }
}

fn page_file(entry: &str) -> Result<(RangeInclusive<u16>, PathBuf), String> {
    let statuses = |status: &str| {
        let class = status.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok()?.checked_mul(100));
        let first = class.or_else(|| status.parse().ok()).filter(|first| (400..600).contains(first))?;
        Some(first..=if class.is_some() { first + 99 } else { first })
    };
    let found = entry.split_once('=').filter(|(_, path)| !path.is_empty());
    found
        .and_then(|(status, path)| Some((statuses(status)?, path.into())))
        .ok_or_else(|| format!("expected STATUS=FILE, got {entry:?}"))
}

impl Value for ErrorPageFiles {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<ErrorPageFiles, S::Error> {
        ErrorPageFiles::parse(source.texts(name)?).map_err(|error| source.invalid(name, error))
    }
}

/// Content codings, in order of preference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codings(Vec<ContentCoding>);

impl Codings {
    /// The codings.
    pub fn list(&self) -> &[ContentCoding] {
        &self.0
    }
}

impl Value for Codings {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<Codings, S::Error> {
        // How an empty list is written.
        let entries = source.texts(name)?.into_iter().filter(|entry| entry != "none");
        let named = entries.map(|entry| {
            ContentCoding::named(entry.as_bytes())
                .ok_or_else(|| source.invalid(name, format!("expected names of content codings, got {entry:?}")))
        });
        Ok(Codings(named.collect::<Result<_, _>>()?))
    }
}

/// Media types, such as `text/*`, in lower case. A `*` stands for anything; but streams of events are only what is named:
/// each would keep an encoder for as long as it lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaTypes(Vec<Vec<u8>>);

impl MediaTypes {
    /// Whether `media_type`, in any case, is one of them.
    pub fn contains(&self, media_type: &[u8]) -> bool {
        let media_type = media_type.to_ascii_lowercase();
        let is_of = |known: &Vec<u8>| match known.iter().position(|&byte| byte == b'*') {
            Some(star) if media_type != b"text/event-stream" => {
                let (before, after) =
                    (known.get(..star).unwrap_or_default(), known.get(star + 1..).unwrap_or_default());
                media_type.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
            }
            _ => *known == media_type,
        };
        self.0.iter().any(is_of)
    }
}

impl Value for MediaTypes {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<MediaTypes, S::Error> {
        let entries = source.texts(name)?.into_iter().map(|entry| entry.to_ascii_lowercase().into_bytes());
        Ok(MediaTypes(entries.collect()))
    }
}

/// What becomes of the forwarded headers of peers that are not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntrustedForwarded {
    /// The application does not see them.
    Remove,
    /// The application sees them as any others.
    Keep,
}

impl Value for UntrustedForwarded {
    fn read<S: Source>(source: &S, name: &'static str) -> Result<UntrustedForwarded, S::Error> {
        match source.text(name)?.as_str() {
            "remove" => Ok(UntrustedForwarded::Remove),
            "keep" => Ok(UntrustedForwarded::Keep),
            other => Err(source.invalid(name, format!("expected remove or keep, got {other:?}"))),
        }
    }
}

fn unlimited_if_0(limit: u64) -> u64 {
    if limit == 0 { u64::MAX } else { limit }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration that was checked before")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1_000.0).ceil() as u64
}
