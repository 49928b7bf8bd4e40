//! How the short pieces that a line is made of are appended to it.
//!
//! As many bytes as a piece may have at most are appended, always, and what is too much is taken off again: that is a
//! few moves of the processor, where as many as there are would be a call for each.

use std::net::Ipv4Addr;

/// Bytes of a prepared text that are appended without asking how many there are.
const SHORT_BYTES: usize = 32;
/// The least number that does not fit in eight digits.
const EIGHT_DIGITS: u64 = 100_000_000;

/// A text that is appended to many lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    text: String,
    start: [u8; SHORT_BYTES],
}

impl Prepared {
    /// This one.
    pub fn new(text: String) -> Prepared {
        let mut start = [0; SHORT_BYTES];
        for (place, byte) in start.iter_mut().zip(text.as_bytes()) {
            *place = *byte;
        }
        Prepared { text, start }
    }

    /// How long it is.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Appends it.
    #[inline]
    pub fn push(&self, line: &mut Vec<u8>) {
        if self.text.len() > SHORT_BYTES {
            line.extend_from_slice(self.text.as_bytes());
        } else {
            push_start(line, &self.start, self.text.len());
        }
    }
}

/// Appends a number.
#[expect(clippy::inline_always, reason = "a line has many, most of which are appended in one place")]
#[inline(always)]
pub fn push_number(line: &mut Vec<u8>, number: u64) {
    if number < 10 {
        line.push(b'0' + last_byte(number));
    } else if number < EIGHT_DIGITS {
        // The zeros before the first other digit, which there is here, are shifted out.
        let digits = eight_digits(number);
        let zeros = digits.trailing_zeros() / 8;
        push_start(line, &(shown(digits) >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
    } else {
        push_long_number(line, number);
    }
}

#[inline(never)]
fn push_long_number(line: &mut Vec<u8>, number: u64) {
    push_number(line, number / EIGHT_DIGITS);
    line.extend_from_slice(&shown(eight_digits(number % EIGHT_DIGITS)).to_le_bytes());
}

/// The digits of a number that has at most eight, the first one in the lowest byte. All are found together, with one
/// division: a word of two numbers of four digits becomes one of four numbers of two, and that one of eight. What is
/// multiplied and shifted in each step is a division of all numbers in the word, exact for what is below 10,000 and 100.
fn eight_digits(number: u64) -> u64 {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

/// Digits as they are written.
fn shown(digits: u64) -> u64 {
    digits | 0x3030_3030_3030_3030
}

fn last_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

/// The last three digits of a number.
pub fn three_digits(number: u64) -> [u8; 3] {
    [100, 10, 1].map(|place| b'0' + last_byte(number / place % 10))
}

/// Appends a point and the last `count` digits of a number, at most seven.
pub fn push_decimals(line: &mut Vec<u8>, number: u64, count: usize) {
    let digits = shown(eight_digits(number % EIGHT_DIGITS)) >> (8 * (8 - count));
    push_start(line, &(digits << 8 | u64::from(b'.')).to_le_bytes(), 1 + count);
}

/// Appends an address as four numbers.
pub fn push_ipv4(line: &mut Vec<u8>, address: Ipv4Addr) {
    let [first, others @ ..] = address.octets();
    push_number(line, first.into());
    for octet in others {
        line.push(b'.');
        push_number(line, octet.into());
    }
}

/// Appends the first `length` of these bytes.
#[inline]
fn push_start<const MOST: usize>(line: &mut Vec<u8>, bytes: &[u8; MOST], length: usize) {
    line.reserve(MOST);
    let start = line.len();
    #[expect(unsafe_code, reason = "all bytes are copied, and only those that count are the line's")]
    // SAFETY: there is room for `MOST` bytes after the line, all of which are written, and it grows by no more than these.
    unsafe {
        line.as_mut_ptr().add(start).cast::<[u8; MOST]>().write(*bytes);
        line.set_len(start + length.min(MOST));
    }
}
