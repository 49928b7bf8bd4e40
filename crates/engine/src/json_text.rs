//! Strings of JSON, as logs have them: whatever is in a text, it cannot end the string or the line.

use std::io::Write as _;

/// Which version of the Elastic Common Schema the names of members are of.
pub const ECS_VERSION: &str = "8.11.0";

/// Whether all of `text` is printable ASCII but quotes and backslashes. It looks at each byte, whatever those before are:
/// so the compiler can have many looked at together.
pub fn is_plain(text: &[u8]) -> bool {
    let is_other = |byte: &u8| !matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    text.iter().fold(0, |others, byte| others | u8::from(is_other(byte))) == 0
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
