//! How the short pieces that a line is made of are appended to it.
//!
//! As many bytes as a piece may have at most are appended, always, and what is too much is taken off again: that is a
//! few moves of the processor, where as many as there are would be a call for each.

use std::net::Ipv4Addr;

/// Bytes of what stands before a value that are appended without asking how many there are.
const LEAD_BYTES: usize = 32;
/// How many digits a number has at most.
const DIGITS: usize = 20;
/// The numbers below a hundred, with two digits each.
const TWO_DIGITS: [[u8; 2]; 100] = {
    let mut all = [[b'0'; 2]; 100];
    let mut number: u8 = 0;
    while number < 100 {
        all[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    all
};

/// What stands before a value.
#[derive(Debug, PartialEq, Eq)]
pub struct Lead {
    text: String,
    start: [u8; LEAD_BYTES],
}

impl Lead {
    /// This one.
    pub fn new(text: String) -> Lead {
        let mut start = [0; LEAD_BYTES];
        for (place, byte) in start.iter_mut().zip(text.as_bytes()) {
            *place = *byte;
        }
        Lead { text, start }
    }

    /// Another one, made of its text.
    #[must_use]
    pub fn map(self, change: impl FnOnce(String) -> String) -> Lead {
        Lead::new(change(self.text))
    }

    /// Appends it.
    #[inline]
    pub fn push(&self, line: &mut Vec<u8>) {
        if self.text.len() > LEAD_BYTES {
            line.extend_from_slice(self.text.as_bytes());
        } else {
            push_start(line, &self.start, self.text.len());
        }
    }
}

/// Appends a number.
#[inline]
pub fn push_number(line: &mut Vec<u8>, number: u64) {
    if number < 10 {
        line.push(last_digit(number));
        return;
    }
    // The last digit stands in the middle, so that there are as many bytes behind the first one, wherever that is.
    let mut digits = [0; 2 * DIGITS];
    let (mut rest, mut start) = (number, DIGITS);
    while rest >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&TWO_DIGITS[(rest % 100) as usize]);
        rest /= 100;
    }
    if rest > 0 {
        start -= 1;
        digits[start] = last_digit(rest);
    }
    if let Some(text) = digits[start..].first_chunk::<DIGITS>() {
        push_start(line, text, DIGITS - start);
    }
}

fn last_digit(number: u64) -> u8 {
    TWO_DIGITS[(number % 10) as usize][1]
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
    let end = line.len() + length;
    line.extend_from_slice(bytes);
    line.truncate(end);
}
