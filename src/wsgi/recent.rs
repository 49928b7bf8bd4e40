//! A small cache that costs the same whatever clients send: a few entries for each hash, the oldest of which goes, and no
//! long name at all.
//!
//! The hash is a multiplication, not a keyed one: keys chosen to fall together only push each other out, and a
//! lookup never compares more than `WAYS` of them. Values are made again then, as for any key that is new.

use std::ops::Deref;

const SETS: usize = 64;
/// Entries for one hash: with the twenty-odd keys of usual traffic, five of one hash are as good as never met.
const WAYS: usize = 4;
/// A longer name is not kept: those that applications know are shorter, and clients may send any.
const LONGEST_NAME_BYTES: usize = 64;

/// The values of at most 256 keys.
pub struct Recent<K, V> {
    sets: [Vec<(K, V)>; SETS],
}

impl<K, V> Recent<K, V> {
    /// An empty cache.
    pub fn new() -> Recent<K, V> {
        Recent { sets: [const { Vec::new() }; SETS] }
    }

    /// The value of the key with this `hash` that `is_it`; made, and kept, if it is not there.
    pub fn get_or_make(&mut self, hash: u64, is_it: impl Fn(&K) -> bool, make: impl FnOnce() -> (K, V)) -> &V {
        let set = &mut self.sets[(hash >> 32) as usize % SETS];
        let place = set.iter().position(|(key, _)| is_it(key)).unwrap_or_else(|| {
            set.truncate(WAYS - 1);
            set.insert(0, make());
            0
        });
        &set[place].1
    }
}

/// The value of a name.
pub enum Found<'a, V> {
    /// It is kept.
    Kept(&'a V),
    /// It was made for this once.
    Made(V),
}

impl<V> Deref for Found<'_, V> {
    type Target = V;

    fn deref(&self) -> &V {
        match self {
            Found::Kept(value) => value,
            Found::Made(value) => value,
        }
    }
}

impl<V> Recent<Box<[u8]>, V> {
    /// The value of `name`; made if it is not there, and kept unless the name is long.
    pub fn of_name(&mut self, name: &[u8], make: impl FnOnce() -> V) -> Found<'_, V> {
        if name.len() > LONGEST_NAME_BYTES {
            return Found::Made(make());
        }
        Found::Kept(self.get_or_make(hash_of_text(name), |known| **known == *name, || (name.into(), make())))
    }
}

/// A hash of a short text: its ends and its length. Names that agree in these fall together, which is harmless.
pub fn hash_of_text(text: &[u8]) -> u64 {
    let ends = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29),
        _ => text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    hash_of_number(ends ^ text.len() as u64)
}

/// A hash of a number, in its upper bits (Fibonacci hashing, Knuth, TAOCP 3, 6.4).
pub fn hash_of_number(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
