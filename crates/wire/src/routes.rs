//! Which row of a table of routes takes a request, by its host and path: text in, the number of a row out.
//!
//! Rows with the request's very host come first, then those with `*.` and the longest end of it, then those for any
//! host; among these one for exactly the request's path, then the longest that it is or lies below. Segments are whole:
//! `/a` takes `/a` and `/a/b`, not `/ab`. Paths are compared decoded, but an encoded slash separates nothing.

use crate::grammar::hex_digit;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// By a text of the table. Clients ask for any, but add none: so the hash need not be one that they cannot foresee.
type ByText<T> = FxHashMap<Box<[u8]>, T>;

/// The table.
#[derive(Debug, Default)]
pub struct Routes {
    hosts: ByText<Paths>,
    /// By what follows the `*`, with its dot.
    wildcards: ByText<Paths>,
    any: Paths,
    /// Whether a host that no row names is nobody's, whatever there is for any host.
    rejects_unknown_hosts: bool,
}

/// What there is for one host: rows by their path.
#[derive(Debug, Default)]
struct Paths {
    exact: ByText<Rows>,
    below: ByText<Rows>,
    longest: usize,
}

/// The numbers of the rows for the same host and path, in their order; hardly ever more than one.
type Rows = Vec<usize>;

/// What a table has for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routed {
    /// The number of a row, in the order in which they were added.
    Row(usize),
    /// There is none for the path.
    NoPath,
    /// There is none for the host: it is another server's (RFC 9110 15.5.20).
    UnknownHost,
}

impl Routes {
    /// An empty table; `rejects_unknown_hosts` where a host that no row names is not to be served by rows for any host.
    #[must_use]
    pub fn new(rejects_unknown_hosts: bool) -> Routes {
        Routes { rejects_unknown_hosts, ..Routes::default() }
    }

    /// Adds a row with this number, for `path` and all below it, or if it `is_exact` for nothing else. `host` is in lower
    /// case without a port, begins with `*.` for all below a name, and is empty for any; `path` is decoded, and if it is
    /// not exact, empty or begins and does not end with a slash. Rows are added the most specific first.
    pub fn add(&mut self, host: &str, path: &str, is_exact: bool, number: usize) {
        let paths = match host.as_bytes() {
            b"" => &mut self.any,
            [b'*', end @ ..] => self.wildcards.entry(end.into()).or_default(),
            host => self.hosts.entry(host.into()).or_default(),
        };
        let rows = if is_exact {
            &mut paths.exact
        } else {
            paths.longest = paths.longest.max(path.len());
            &mut paths.below
        };
        rows.entry(path.as_bytes().into()).or_default().push(number);
    }

    /// Whether any row is for some hosts only.
    #[must_use]
    pub fn tells_hosts_apart(&self) -> bool {
        self.rejects_unknown_hosts || !self.hosts.is_empty() || !self.wildcards.is_empty()
    }

    /// The row for a request to `host`, as in its Host header or target, for `path` as it was sent, without the query.
    #[must_use]
    pub fn find(&self, host: &[u8], path: &[u8]) -> Routed {
        self.find_from(0, host, path, true)
    }

    /// The same among the rows with the number `first` and those after it: where those before have left a request to the
    /// next. `is_encoded` says whether `path` has its escapes still; one that a reverse proxy has decoded has none.
    #[must_use]
    pub fn find_from(&self, first: usize, host: &[u8], path: &[u8], is_encoded: bool) -> Routed {
        let decoded = if is_encoded { decoded(path) } else { None };
        let path = decoded.as_deref().unwrap_or(path);
        let mut is_known = !self.rejects_unknown_hosts;
        if self.tells_hosts_apart() {
            let host = lower_case(host_name(host));
            let exact = self.hosts.get(&*host);
            let dots = host.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
            // What is for all below a name is not for the name itself.
            let wild = dots.filter(|at| *at > 0).filter_map(|at| self.wildcards.get(host.get(at..)?));
            for paths in exact.into_iter().chain(wild) {
                is_known = true;
                if let Some(row) = paths.find(path, first) {
                    return Routed::Row(row);
                }
            }
        }
        if !is_known {
            return Routed::UnknownHost;
        }
        self.any.find(path, first).map_or(Routed::NoPath, Routed::Row)
    }
}

impl Paths {
    /// The first row for `path` that has the number `first` or a later one: of one for exactly the path, then the longest
    /// that it is or lies below.
    fn find(&self, path: &[u8], first: usize) -> Option<usize> {
        let of = |rows: &Rows| rows.iter().copied().find(|row| *row >= first);
        if !self.exact.is_empty()
            && let Some(row) = self.exact.get(path).and_then(of)
        {
            return Some(row);
        }
        // None of the rows is longer.
        let most = path.len().min(self.longest + 1);
        let ends = path.iter().take(most).enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let whole = (path.len() <= self.longest).then_some(path.len());
        let mut longest = whole.into_iter().chain(ends).filter_map(|end| self.below.get(path.get(..end)?).and_then(of));
        // What begins with no slash, `*`, is below nothing but everything.
        longest.next().or_else(|| self.below.get(&b""[..]).and_then(of))
    }
}

/// The host of `authority`, without its port and without the dot of a name that is complete.
fn host_name(authority: &[u8]) -> &[u8] {
    let host = match authority {
        // An address of IP version 6.
        [b'[', ..] => authority.iter().position(|byte| *byte == b']').map_or(authority, |end| &authority[..=end]),
        _ => authority.iter().position(|byte| *byte == b':').map_or(authority, |end| &authority[..end]),
    };
    host.strip_suffix(b".").unwrap_or(host)
}

fn lower_case(host: &[u8]) -> Cow<'_, [u8]> {
    // Most are, and need no copy.
    if host.iter().any(u8::is_ascii_uppercase) { host.to_ascii_lowercase().into() } else { host.into() }
}

/// `path` without percent-encoding, where it has any that is no slash.
fn decoded(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'%', path)?;
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let byte = match after {
            [high, low, ..] if *first == b'%' => {
                hex_digit(*high).zip(hex_digit(*low)).map(|(high, low)| high << 4 | low).filter(|byte| *byte != b'/')
            }
            _ => None,
        };
        out.push(byte.unwrap_or(*first));
        rest = after.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    Some(out)
}
