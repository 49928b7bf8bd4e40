//! What a profile has seen: how often which stack, of which route, in which state. Nothing is formatted here; code objects
//! are kept, and told apart by where they are. Bounded: what is beyond the bounds is counted.

use pyo3::prelude::*;
use std::collections::HashMap;

/// As many different stacks are kept.
const MOST_STACKS: usize = 10_000;
/// As many different routes.
const MOST_ROUTES: usize = 500;
/// As many calls may wait for their end, which tells their routes.
const MOST_OPEN: usize = 4096;

const OTHER_ROUTES: &str = "(other routes)";
const UNKNOWN_ROUTE: &str = "(unknown)";
/// What waits before its call has no route yet.
const NO_ROUTE: &str = "(before the call)";

/// What a thread did in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It computed.
    Cpu,
    /// It waited for something.
    Waiting,
    /// It waited for the interpreter.
    Lock,
}

impl Kind {
    /// Its name in the result.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Cpu => "cpu",
            Kind::Waiting => "waiting",
            Kind::Lock => "lock",
        }
    }
}

/// A call: the cell of its thread, and its start; 0 before the call.
pub type CallName = (usize, u64);

/// A stack as it was found: code objects from the innermost on, and what stands for what is no code.
pub struct Stack {
    /// The functions that were called, the innermost first.
    pub codes: Vec<Py<PyAny>>,
    /// What the innermost does, in words, where that is known; or why there is no stack.
    pub note: Option<&'static str>,
    /// Whether there are more of them.
    pub is_truncated: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct StackKey {
    codes: Box<[usize]>,
    note: Option<&'static str>,
    is_truncated: bool,
}

/// A line of the result: route, kind, the stack's code objects from the outermost on, its note, whether it is truncated, how
/// often.
pub type Line<'a> = (&'a str, &'static str, Vec<&'a Py<PyAny>>, Option<&'static str>, bool, u64);

/// All that was seen.
#[derive(Default)]
pub struct Tally {
    /// Each code object by its address, which is its own while it is kept.
    codes: HashMap<usize, Py<PyAny>>,
    stacks: HashMap<StackKey, usize>,
    /// Of calls that have not ended.
    open: HashMap<CallName, HashMap<(Kind, usize), u64>>,
    /// The paths of calls whose routes nobody will tell, perhaps.
    paths: HashMap<CallName, String>,
    routes: HashMap<String, usize>,
    counts: HashMap<(usize, Kind, usize), u64>,
    /// Samples whose stacks were too many.
    pub dropped: u64,
}

impl Tally {
    /// Adds `ticks` of a call.
    pub fn add(&mut self, call: CallName, kind: Kind, stack: Stack, ticks: u64) {
        let addresses = stack.codes.iter().map(|code| code.as_ptr() as usize).collect();
        let key = StackKey { codes: addresses, note: stack.note, is_truncated: stack.is_truncated };
        let next = self.stacks.len();
        let number = match self.stacks.get(&key) {
            Some(number) => *number,
            None if next >= MOST_STACKS => {
                self.dropped += ticks;
                return;
            }
            None => {
                for code in stack.codes {
                    self.codes.entry(code.as_ptr() as usize).or_insert(code);
                }
                self.stacks.insert(key, next);
                next
            }
        };
        let (_, started_ns) = call;
        if started_ns == 0 {
            self.count(NO_ROUTE, kind, number, ticks);
            return;
        }
        if self.open.len() >= MOST_OPEN && !self.open.contains_key(&call) {
            self.close_all();
        }
        *self.open.entry(call).or_default().entry((kind, number)).or_default() += ticks;
    }

    /// A call has begun before the profile, or goes on after it: where nobody tells its route, this is it.
    pub fn will_have(&mut self, call: CallName, path: &str) {
        if self.paths.len() < MOST_OPEN {
            self.paths.entry(call).or_insert_with(|| path.to_owned());
        }
    }

    /// A call has ended, or the profile ends before it: this is its route.
    pub fn close(&mut self, call: CallName, route: &str) {
        for ((kind, stack), ticks) in self.open.remove(&call).unwrap_or_default() {
            self.count(route, kind, stack, ticks);
        }
    }

    /// Nobody will tell the routes of those calls that are left.
    pub fn close_all(&mut self) {
        let calls: Vec<CallName> = self.open.keys().copied().collect();
        for call in calls {
            let route = self.paths.remove(&call);
            self.close(call, route.as_deref().unwrap_or(UNKNOWN_ROUTE));
        }
    }

    fn count(&mut self, route: &str, kind: Kind, stack: usize, ticks: u64) {
        let is_full = self.routes.len() >= MOST_ROUTES && !self.routes.contains_key(route);
        let route = if is_full { OTHER_ROUTES } else { route };
        let next = self.routes.len();
        let route = *self.routes.entry(route.to_owned()).or_insert(next);
        *self.counts.entry((route, kind, stack)).or_default() += ticks;
    }

    /// What is to be said of it, the most frequent first; of `route` alone, unless that is empty.
    pub fn lines(&self, route: &str) -> Vec<Line<'_>> {
        let routes: HashMap<usize, &str> = self.routes.iter().map(|(name, number)| (*number, name.as_str())).collect();
        let stacks: HashMap<usize, &StackKey> = self.stacks.iter().map(|(key, number)| (*number, key)).collect();
        let mut lines: Vec<Line<'_>> = self
            .counts
            .iter()
            .filter_map(|((number, kind, stack), ticks)| {
                let (name, key) = (*routes.get(number)?, stacks.get(stack)?);
                let codes = key.codes.iter().rev().filter_map(|address| self.codes.get(address)).collect();
                let is_wanted = route.is_empty() || route == name;
                is_wanted.then(|| (name, kind.name(), codes, key.note, key.is_truncated, *ticks))
            })
            .collect();
        lines.sort_by_key(|(.., ticks)| std::cmp::Reverse(*ticks));
        lines
    }

    /// The routes that were seen, and how often each.
    pub fn routes(&self) -> Vec<(&str, u64)> {
        let ticks_of = |number: usize| {
            let of_route = self.counts.iter().filter(|((route, ..), _)| *route == number);
            of_route.map(|(_, ticks)| ticks).sum()
        };
        self.routes.iter().map(|(name, number)| (name.as_str(), ticks_of(*number))).collect()
    }
}
