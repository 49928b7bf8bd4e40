//! Receives the fuzzer's bytes; hands on a message and everything that is chosen beside it. The choices are
//! the last eight bytes, so that a raw request with eight bytes behind it is a seed, and a mutation
//! of the message leaves the choices alone.

use portico_wire::{GatewayLimits, Limits};

/// Bytes of the choices at the end of an input.
pub const CHOICE_BYTES: usize = 8;

/// A message, and what is chosen beside it.
pub struct FuzzInput<'a> {
    /// The bytes a peer sends, or what an application passes in.
    pub message: &'a [u8],
    /// The choices; 0 is the plain case (default limits).
    pub choices: u64,
}

impl<'a> FuzzInput<'a> {
    /// Splits `bytes`; an input too short for choices has none.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        match bytes.split_last_chunk::<CHOICE_BYTES>() {
            Some((message, choices)) => Self { message, choices: u64::from_le_bytes(*choices) },
            None => Self { message: bytes, choices: 0 },
        }
    }

    /// The default limits, or, for three of four choices, limits so small that inputs reach them.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let defaults = Limits::default();
        let small = |shift: u32, most: usize| usize::try_from(self.choices >> shift & 0xff).unwrap_or(0) % most;
        match self.choices & 3 {
            0 => defaults,
            1 => Limits {
                max_head_bytes: 16 + small(8, 240),
                max_request_line_bytes: 1 + small(16, 64),
                max_header_bytes: 1 + small(24, 64),
                ..defaults
            },
            2 => Limits {
                max_headers: small(8, 6),
                max_trailer_bytes: small(16, 24),
                max_chunk_extension_bytes: small(24, 12),
                ..defaults
            },
            _ => Limits { max_head_bytes: 1 + small(8, 120), max_headers: small(16, 40), ..defaults },
        }
    }

    /// The default limits of variables, or, for three of four choices, limits so small that inputs reach them.
    #[must_use]
    pub fn gateway_limits(&self) -> GatewayLimits {
        let defaults = GatewayLimits::default();
        let small = |shift: u32| usize::try_from(self.choices >> shift & 0xff).unwrap_or(0);
        match self.choices & 3 {
            0 => defaults,
            1 => GatewayLimits { max_variables_bytes: 16 + 2 * small(8), ..defaults },
            2 => GatewayLimits { max_variables: small(8) % 12, ..defaults },
            _ => GatewayLimits { max_variables_bytes: 64 + 8 * small(8), max_variables: small(16) % 40 },
        }
    }

    /// A source of further choices, the same for the same input.
    #[must_use]
    pub fn random(&self) -> Random {
        // xorshift needs a state that is not zero.
        Random(self.choices.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
}

/// xorshift64: a repeatable sequence, of no quality beyond that.
pub struct Random(u64);

impl Random {
    /// A number below `limit`; 0 if there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }

    /// `bytes` in pieces: mostly short ones, so that splits fall inside lines, with a long one now and then.
    pub fn pieces<'a>(&mut self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = [1, 3, 16, 200][self.below(4)];
            let (piece, after) = rest.split_at((1 + self.below(most)).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_put_together_are_the_message() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for choices in 0..50 {
            let pieces = FuzzInput { message: &bytes, choices }.random().pieces(&bytes);
            assert!(pieces.len() > 10 && pieces.iter().all(|piece| !piece.is_empty()));
            assert_eq!(pieces.concat(), bytes);
        }
    }

    #[test]
    fn the_last_eight_bytes_are_the_choices() {
        let input = FuzzInput::of(b"message\x01\0\0\0\0\0\0\0");
        assert_eq!((input.message, input.choices), (&b"message"[..], 1));
        let short = FuzzInput::of(b"short");
        assert_eq!((short.message, short.choices), (&b"short"[..], 0));
    }
}
