//! Byte ranges (RFC 9110 14): which bytes of a file a request wants.

use std::ops::Range;

/// A request that wants more gets the whole file (RFC 9110 17.15).
const MAX_RANGES: usize = 32;
/// Ranges with less between them are sent as one: what a part costs is more.
const GAP_BYTES: u64 = 80;

/// What the field Range asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All: there is no range, or none that counts.
    Whole,
    /// One range or several, none of them empty, and none over another.
    Ranges(Vec<Range<u64>>),
    /// Nothing that the file has: 416.
    Unsatisfiable,
}

/// What `field` asks for of `size` bytes. It does not count where its unit is another one, where it is malformed, where it
/// has too many ranges, or where they are together longer than the file, so much lies over each other (RFC 9110 14.2).
/// An empty file has no ranges: who asks for some gets it as it is.
pub fn wanted(field: Option<&[u8]>, size: u64) -> Wanted {
    let Some(field) = field.filter(|_| size > 0) else { return Wanted::Whole };
    let Some(specs) = read(field, size) else { return Wanted::Whole };
    let ranges: Vec<_> = specs.into_iter().filter(|range| range.start < range.end).collect();
    let total = ranges.iter().fold(0_u64, |total, range| total.saturating_add(range.end - range.start));
    match ranges.len() {
        0 => Wanted::Unsatisfiable,
        2.. if total > size => Wanted::Whole,
        _ => Wanted::Ranges(merged(ranges)),
    }
}

/// All ranges, cut to the file; those that are outside of it are empty. None where the field is to be ignored.
fn read(field: &[u8], size: u64) -> Option<Vec<Range<u64>>> {
    const UNIT: &[u8] = b"bytes=";
    let (unit, set) = field.trim_ascii().split_at_checked(UNIT.len())?;
    if !unit.eq_ignore_ascii_case(UNIT) {
        return None;
    }
    let mut ranges = Vec::new();
    for spec in set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        // RFC 9110 5.6.1.2: empty elements do not count.
        if spec.is_empty() {
            continue;
        }
        if ranges.len() == MAX_RANGES {
            return None;
        }
        let dash = spec.iter().position(|byte| *byte == b'-')?;
        ranges.push(match (spec.get(..dash)?, spec.get(dash + 1..)?) {
            ([], suffix) => size.saturating_sub(number(suffix)?)..size,
            (first, []) => number(first)?..size,
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return None;
                }
                first..last.saturating_add(1).min(size)
            }
        });
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// A number of at least one digit; one too large for any file is the largest.
fn number(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        digits.iter().fold(0, |value: u64, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

/// The same bytes with what touches or nearly does put together, in the order in which they were asked for
/// (RFC 9110 15.3.7.2).
fn merged(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.into_iter().enumerate().map(|(place, range)| (range, place)).collect();
    sorted.sort_by_key(|(range, _)| (range.start, range.end));
    let mut found: Vec<(Range<u64>, usize)> = Vec::with_capacity(sorted.len());
    for (range, place) in sorted {
        match found.last_mut() {
            Some((last, first_place)) if range.start <= last.end.saturating_add(GAP_BYTES) => {
                last.end = last.end.max(range.end);
                *first_place = place.min(*first_place);
            }
            _ => found.push((range, place)),
        }
    }
    found.sort_by_key(|(_, place)| *place);
    found.into_iter().map(|(range, _)| range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(field: &str) -> Wanted {
        wanted(Some(field.as_bytes()), 1000)
    }

    #[test]
    fn single_ranges() {
        #[expect(clippy::single_range_in_vec_init, reason = "one range")]
        for (field, expected) in [
            ("bytes=0-0", vec![0..1]),
            ("bytes=0-", vec![0..1000]),
            ("bytes=999-", vec![999..1000]),
            ("bytes=500-99999999999999999999999999", vec![500..1000]),
            ("bytes=-1", vec![999..1000]),
            ("bytes=-2000", vec![0..1000]),
            ("Bytes=1-2", vec![1..3]),
            ("bytes=,1-2,,", vec![1..3]),
            ("bytes=1-2,2000-", vec![1..3]),
        ] {
            assert_eq!(ranges(field), Wanted::Ranges(expected), "{field}");
        }
    }

    #[test]
    fn several_ranges_stay_in_their_order_and_are_put_together_where_they_touch() {
        assert_eq!(ranges("bytes=900-,0-9"), Wanted::Ranges(vec![900..1000, 0..10]));
        assert_eq!(ranges("bytes=0-9,10-19,900-"), Wanted::Ranges(vec![0..20, 900..1000]));
        assert_eq!(ranges("bytes=0-9,50-59,900-909"), Wanted::Ranges(vec![0..60, 900..910]));
        assert_eq!(ranges("bytes=500-599,0-9,550-649"), Wanted::Ranges(vec![500..650, 0..10]));
    }

    #[test]
    fn what_is_silly_or_malformed_is_ignored() {
        let many = format!("bytes={}", vec!["0-0"; MAX_RANGES + 1].join(","));
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=2-1",
            "bytes=0-1,2-1",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes =0-1",
            "bytes=0x1-2",
            "bytes=+1-2",
            "lines=0-1",
            "bytes=0-,0-",
            "bytes=0-1;2-3",
            &many,
        ] {
            assert_eq!(ranges(field), Wanted::Whole, "{field}");
        }
        assert_eq!(wanted(Some(b"bytes=0-0"), 0), Wanted::Whole);
        assert_eq!(wanted(None, 10), Wanted::Whole);
    }

    #[test]
    fn what_is_not_in_the_file_is_unsatisfiable() {
        for field in ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=99999999999999999999999-", "bytes=2000-,-0"]
        {
            assert_eq!(ranges(field), Wanted::Unsatisfiable, "{field}");
        }
    }
}
