//! How values are written so that no client can forge a line or a field.

use crate::json_text::is_plain;
use std::io::Write as _;

/// Appends `text` with quotes, backslashes and all but printable ASCII as `\xNN`. What is longer than `most_bytes` then
/// is truncated.
pub fn push_escaped(line: &mut Vec<u8>, text: &[u8], most_bytes: usize) {
    if text.len() <= most_bytes && is_plain(text) {
        line.extend_from_slice(text);
        return;
    }
    let end = line.len().saturating_add(most_bytes);
    for byte in text {
        if line.len() >= end {
            line.extend_from_slice(b"...");
            return;
        }
        if is_plain(&[*byte]) {
            line.push(*byte);
        } else {
            // Writing to a Vec cannot fail.
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}

/// Appends `text` as a value of `key=value`: in quotes if it is empty or has what would end it.
pub fn push_value(line: &mut Vec<u8>, text: &[u8], most_bytes: usize) {
    if !text.is_empty() && text.len() <= most_bytes && is_plain(text) && !text.iter().any(|byte| b" =".contains(byte)) {
        line.extend_from_slice(text);
        return;
    }
    line.push(b'"');
    push_escaped(line, text, most_bytes);
    line.push(b'"');
}
