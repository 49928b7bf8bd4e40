//! Which of several members gets a request: pure functions of the members' weights and load, the same in every worker and
//! on every machine where they depend on the request alone.

use portico_wire::RequestHead;

/// How members are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn, as often as their weights say.
    RoundRobin,
    /// The one with the fewest requests for its weight.
    LeastRequests,
    /// The same one for the same value of this.
    ConsistentHash(HashBy),
}

/// What a consistent hash is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// A header; all of its values.
    Header(String),
    /// A cookie.
    Cookie(String),
}

/// A member, as far as the choice goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its share; one with 0 gets nothing.
    pub weight: u32,
    /// Requests that it has now.
    pub in_flight: u32,
    /// What tells it from the others, and stays the same: `hash` of its name.
    pub identity: u64,
    /// It is chosen only where nobody of a lower number may be.
    pub priority: u16,
    /// Whether it may be given a request.
    pub is_available: bool,
}

impl Candidate {
    /// Whether it may be.
    pub fn may_be_chosen(&self) -> bool {
        self.is_available && self.weight > 0
    }
}

/// Leaves those of the lowest priority number of all that may be chosen (RFC 2782, "Priority").
pub fn keep_first(candidates: &mut [Candidate]) {
    let first =
        candidates.iter().filter(|candidate| candidate.may_be_chosen()).map(|candidate| candidate.priority).min();
    for candidate in candidates {
        candidate.is_available &= Some(candidate.priority) == first;
    }
}

/// The numbers of `count` members, each once, from that of `first` on.
pub fn in_turn(first: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |offset| (first % count + offset) % count)
}

/// The next in turn, smoothly: one with weight 3 beside one with 1 gets `a a b a` and not `a a a b`. `credits` is what
/// each has saved up, by index; of another length than `candidates`, it begins again.
pub fn round_robin(credits: &mut Vec<i64>, candidates: &[Candidate]) -> Option<usize> {
    if credits.len() != candidates.len() {
        *credits = vec![0; candidates.len()];
    }
    let mut total = 0;
    let mut chosen: Option<(usize, i64)> = None;
    for (index, (credit, candidate)) in credits.iter_mut().zip(candidates).enumerate() {
        if !candidate.may_be_chosen() {
            continue;
        }
        let weight = i64::from(candidate.weight);
        total += weight;
        *credit = credit.saturating_add(weight);
        if chosen.is_none_or(|(_, most)| *credit > most) {
            chosen = Some((index, *credit));
        }
    }
    let (index, _) = chosen?;
    if let Some(credit) = credits.get_mut(index) {
        *credit = credit.saturating_sub(total);
    }
    Some(index)
}

/// The one with the fewest requests for its weight, counting the one that is to be given. Among equals the first from
/// `ticket` on, which differs from request to request.
pub fn least_requests(ticket: usize, candidates: &[Candidate]) -> Option<usize> {
    let load = |candidate: &Candidate| (u64::from(candidate.in_flight) + 1, u64::from(candidate.weight));
    let mut chosen: Option<(usize, (u64, u64))> = None;
    for index in in_turn(ticket, candidates.len()) {
        let Some(candidate) = candidates.get(index).filter(|candidate| candidate.may_be_chosen()) else { continue };
        let (requests, weight) = load(candidate);
        // requests / weight, without a division.
        if chosen.is_none_or(|(_, (least, its_weight))| requests * its_weight < least * weight) {
            chosen = Some((index, (requests, weight)));
        }
    }
    Some(chosen?.0)
}

/// The one with the highest score for `key` (rendezvous hashing, Thaler and Ravishankar, 1998; weighted by Schindelhauer
/// and Schomaker, 2005). A member that comes takes its share from all others, one that leaves gives its own to all
/// others, and no other key moves.
pub fn consistent(key: u64, candidates: &[Candidate]) -> Option<usize> {
    let mut chosen: Option<(usize, f64)> = None;
    for (index, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| candidate.may_be_chosen()) {
        let score = score(key, candidate);
        if chosen.is_none_or(|(_, highest)| score > highest) {
            chosen = Some((index, score));
        }
    }
    Some(chosen?.0)
}

/// A number with the exponential distribution whose rate is the weight, negated and inverted: the highest of several is
/// each one's as often as its weight says.
fn score(key: u64, candidate: &Candidate) -> f64 {
    const BITS: u32 = 53;
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds exactly")]
    let uniform = ((mix(key ^ candidate.identity) >> (u64::BITS - BITS)) as f64 + 0.5) / (1_u64 << BITS) as f64;
    -f64::from(candidate.weight) / uniform.ln()
}

/// A hash that stays the same from version to version and from machine to machine: FNV-1a, mixed.
pub fn hash(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv))
}

/// Spreads all bits over all bits (`SplitMix64`, Steele et al., 2014).
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl HashBy {
    /// The hash of what a request has of this; none if it has nothing.
    pub fn key(&self, head: &RequestHead, bytes: &[u8]) -> Option<u64> {
        let values = |name: &str| {
            let name = name.as_bytes().to_owned();
            let named = head.headers.iter().filter(move |header| header.name.of(bytes).eq_ignore_ascii_case(&name));
            named.map(|header| header.value.of(bytes))
        };
        match self {
            HashBy::Header(name) => {
                let values: Vec<&[u8]> = values(name).collect();
                (!values.is_empty()).then(|| hash(&values.join(&b',')))
            }
            HashBy::Cookie(name) => values("cookie").find_map(|cookies| cookie(cookies, name.as_bytes())).map(hash),
        }
    }
}

/// The value of the first cookie called `name` (RFC 6265 4.2.1); names are case-sensitive.
fn cookie<'a>(cookies: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    cookies.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).find_map(|cookie| {
        let value = cookie.strip_prefix(name)?.strip_prefix(b"=")?;
        (!value.is_empty()).then_some(value)
    })
}
