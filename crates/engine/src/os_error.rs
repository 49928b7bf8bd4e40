//! What the operating system has to say, without its number: "No such file or directory (os error 2)" is what Rust makes of
//! an error, and the number tells people nothing.

use std::borrow::Cow;

const BEFORE: &str = " (os error ";

/// `message` with no number of an error in its first line. Below that may stand what an application has raised, which is
/// its own.
pub fn without_number(message: &str) -> Cow<'_, str> {
    let (sentence, rest) = message.split_at(message.find('\n').unwrap_or(message.len()));
    if !sentence.contains(BEFORE) {
        return Cow::Borrowed(message);
    }
    let mut shown = String::with_capacity(message.len());
    let mut parts = sentence.split(BEFORE);
    shown.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match part.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '-').strip_prefix(')') {
            Some(after) => shown.push_str(after),
            None => shown.extend([BEFORE, part]),
        }
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::without_number;
    use std::io;

    #[test]
    fn what_the_system_says_has_no_number() {
        let error = io::Error::from_raw_os_error(2);
        let message = format!("cannot reopen the log: {error}; going on: {error}");
        assert_eq!(
            without_number(&message),
            "cannot reopen the log: No such file or directory; going on: No such file or directory"
        );
    }

    #[test]
    fn what_stands_below_the_sentence_and_what_is_no_number_stay() {
        for message in ["failed\nraised: a (os error 2)", "a (os error of ours)", "a (os error 2", "", "a\n"] {
            assert_eq!(without_number(message), message);
        }
    }
}
