//! Strings of JSON, as logs have them: whatever is in a text, it cannot end the string or the line.

use std::io::Write as _;

/// Which version of the Elastic Common Schema the names of members are of.
pub const ECS_VERSION: &str = "8.11.0";

/// Bytes that are looked at together, by instructions for as many.
const CHUNK_BYTES: usize = 16;

/// Whether all of `text` is printable ASCII but quotes and backslashes. It looks at each byte, whatever those before are,
/// so many can be looked at together; those at the end with some that were looked at before.
pub fn is_plain(text: &[u8]) -> bool {
    if let Some(last) = text.last_chunk::<CHUNK_BYTES>() {
        return text.as_chunks::<CHUNK_BYTES>().0.iter().all(is_plain_chunk) && is_plain_chunk(last);
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        return is_plain_word(u64::from_ne_bytes(*first)) && is_plain_word(u64::from_ne_bytes(*last));
    }
    is_plain_word(match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            (u64::from(u32::from_ne_bytes(*first)) << 32) | u64::from(u32::from_ne_bytes(*last))
        }
        // What there is not is plain.
        _ => text.iter().fold(u64::from_ne_bytes([b' '; 8]), |word, byte| (word << 8) | u64::from(*byte)),
    })
}

fn is_plain_chunk(chunk: &[u8; CHUNK_BYTES]) -> bool {
    let is_other = |byte: &u8| !matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    chunk.iter().fold(0, |others, byte| others | u8::from(is_other(byte))) == 0
}

/// The same of eight bytes in a word. Each of these sums and differences sets the uppermost bit of a byte that is none:
/// what it carries to the next byte matters no more then.
fn is_plain_word(word: u64) -> bool {
    let all = |byte: u8| u64::from_ne_bytes([byte; 8]);
    // Beyond ASCII, DEL, control characters, and a byte that makes zero with a quote or a backslash.
    let high = word | word.wrapping_add(all(1)) | word.wrapping_sub(all(b' '));
    let quote = (word ^ all(b'"')).wrapping_sub(all(1));
    let backslash = (word ^ all(b'\\')).wrapping_sub(all(1));
    (high | quote | backslash) & all(0x80) == 0
}

/// Appends `text` as a string of JSON (RFC 8259 7), with its quotes.
pub fn push_json(line: &mut Vec<u8>, text: &[u8]) {
    line.push(b'"');
    push_json_text(line, text, usize::MAX);
    line.push(b'"');
}

/// Appends `text` as it stands between the quotes of a string of JSON. Bytes that are no UTF-8 are `\xNN` in it, as in the
/// other formats, with the backslash that JSON wants before that. What is longer than `most_bytes` is truncated.
pub fn push_json_text(line: &mut Vec<u8>, text: &[u8], most_bytes: usize) {
    if text.len() <= most_bytes && is_plain(text) {
        line.extend_from_slice(text);
    } else {
        push_json_characters(line, text, most_bytes);
    }
}

#[cold]
fn push_json_characters(line: &mut Vec<u8>, text: &[u8], most_bytes: usize) {
    let end = line.len().saturating_add(most_bytes);
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if line.len() >= end {
                line.extend_from_slice(b"...");
                return;
            }
            // Writing to a Vec cannot fail.
            let _ = match character {
                '"' | '\\' => write!(line, "\\{character}"),
                // Those that end a line for some reader, or turn the text around for another, are shown as what they are.
                '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                    write!(line, "\\u{:04x}", u32::from(character))
                }
                _ => write!(line, "{character}"),
            };
        }
        for byte in chunk.invalid() {
            let _ = write!(line, "\\\\x{byte:02x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn a_text_is_plain_if_each_of_its_bytes_is() {
        for length in 0..70 {
            assert!(is_plain(&vec![b'a'; length]), "{length}");
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'~'; length];
                    text[place] = byte;
                    let expected = (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
                    assert_eq!(is_plain(&text), expected, "{byte} at {place} of {length}");
                }
            }
        }
    }
}
