//! Texts that a client or an application may make as long as it likes, as far as a line for people has them; what is
//! left out of one is marked.

/// Bytes of a name in a record of the error log at most.
pub const MOST_NAME_BYTES: usize = 1200;
/// Bytes of a text of several lines at most, such as a traceback.
const MOST_TEXT_BYTES: usize = 32 * 1024;
const MARK: &str = "...";

/// The start of `name`, with all but printable ASCII escaped.
pub fn name(name: &[u8], most_bytes: usize) -> String {
    let mark = if name.len() > most_bytes { MARK } else { "" };
    name.get(..most_bytes).unwrap_or(name).escape_ascii().to_string() + mark
}

/// The start of `text`.
pub fn start(text: &str, most_bytes: usize) -> String {
    let mark = if text.len() > most_bytes { MARK } else { "" };
    format!("{}{mark}", text.split_at(boundary(text, most_bytes)).0)
}

/// The start and the end of `text`: a traceback begins with the request and ends with the error.
pub fn ends(text: String) -> String {
    let left_out = text.len().saturating_sub(MOST_TEXT_BYTES);
    if left_out == 0 {
        return text;
    }
    let half = MOST_TEXT_BYTES / 2;
    let start = text.split_at(boundary(&text, half)).0;
    let end = text.split_at(boundary(&text, text.len() - half)).1;
    format!("{start}\n{MARK} {left_out} bytes are left out {MARK}\n{end}")
}

/// Where a character begins: there, or before.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_whole() {
        assert_eq!(name(b"/a\n", 3), "/a\\n");
        assert_eq!(start("ab\u{e4}", 4), "ab\u{e4}");
        let text = "a".repeat(MOST_TEXT_BYTES);
        assert_eq!(ends(text.clone()), text);
    }

    #[test]
    fn what_is_long_is_marked_and_no_character_is_divided() {
        assert_eq!(name(b"/a\nb", 3), "/a\\n...");
        assert_eq!(start("ab\u{e4}c", 3), "ab...");
        let text = format!("a{}b", "\u{e4}".repeat(MOST_TEXT_BYTES));
        let bounded = ends(text);
        assert!(bounded.starts_with("a\u{e4}") && bounded.ends_with("\u{e4}b"));
        assert!(bounded.contains("\n... 32770 bytes are left out ...\n"), "{}", bounded.len());
        assert!(bounded.len() < MOST_TEXT_BYTES + 100);
    }
}
