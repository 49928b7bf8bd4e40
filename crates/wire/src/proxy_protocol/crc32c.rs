//! The checksum of RFC 9260 Appendix A (Castagnoli's polynomial, bits reversed), byte by byte: it is computed once per
//! connection, over a few hundred bytes.

const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Remainders of all bytes.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0u8;
    loop {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = (remainder >> 1) ^ if remainder & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[byte as usize] = remainder;
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

/// The checksum of these bytes, one after the other.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let add = |remainder: u32, byte: &u8| {
        let index = (remainder ^ u32::from(*byte)) & 0xff;
        (remainder >> 8) ^ TABLE[index as usize]
    };
    !parts.iter().flat_map(|part| part.iter()).fold(u32::MAX, add)
}
