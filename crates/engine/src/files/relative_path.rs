//! Where below a directory the rest of a path leads, without asking the disk. What could lead elsewhere, or to what is
//! not meant to be seen, is rejected: it is no file of ours, and no application is asked either.

use portico_wire::percent_decode_into;

/// A path below a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelativePath {
    /// Segments separated by one slash each, decoded; empty for the directory itself.
    pub path: Vec<u8>,
    /// Whether a slash stands at its end: then it means a directory.
    pub has_slash: bool,
}

/// What a path below a prefix means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// Perhaps a file.
    Path(RelativePath),
    /// Nothing that could be a file, such as an empty segment.
    Nothing,
    /// What nobody gets.
    Rejected,
}

/// The longest path that Linux opens (PATH_MAX), less what the name of a precompressed sibling adds.
const MAX_BYTES: usize = 4096 - 16;

/// What `rest`, which follows a prefix and is empty or begins with a slash, means. It may have its escapes still
/// (`is_encoded`).
///
/// Rejected are dot segments, also where their dots are escaped (RFC 3986 5.2.4: clients remove them, so that who sends
/// one wants out), an escaped slash or NUL, which no name of a file has, and every segment that begins with a dot, but
/// for `.well-known` (RFC 8615). A backslash is a character as any other.
pub fn below(rest: &[u8], is_encoded: bool) -> Meant {
    let mut path = Vec::with_capacity(rest.len());
    let mut is_nothing = false;
    let mut decoded = Vec::new();
    let mut segments = rest.split(|byte| *byte == b'/').skip(1).peekable();
    let has_slash = rest.last() == Some(&b'/');
    while let Some(segment) = segments.next() {
        decoded.clear();
        if is_encoded {
            percent_decode_into(segment, &mut decoded);
        } else {
            decoded.extend_from_slice(segment);
        }
        if decoded.contains(&0)
            || decoded.contains(&b'/')
            || decoded.first() == Some(&b'.') && decoded != b".well-known"
        {
            return Meant::Rejected;
        }
        if decoded.is_empty() {
            // The last one is what follows the slash at the end.
            is_nothing |= segments.peek().is_some();
            continue;
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&decoded);
    }
    if is_nothing || path.len() > MAX_BYTES {
        return Meant::Nothing;
    }
    Meant::Path(RelativePath { path, has_slash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str, has_slash: bool) -> Meant {
        Meant::Path(RelativePath { path: path.into(), has_slash })
    }

    #[test]
    fn segments_are_decoded_once() {
        assert_eq!(below(b"/a/b.css", true), path("a/b.css", false));
        assert_eq!(below(b"/a%20b", true), path("a b", false));
        assert_eq!(below(b"/a%2520b", true), path("a%20b", false));
        assert_eq!(below(b"/a%20b", false), path("a%20b", false));
        assert_eq!(below(b"/%", true), path("%", false));
        assert_eq!(below(b"/a\\b", true), path("a\\b", false));
    }

    #[test]
    fn a_slash_at_the_end_means_a_directory() {
        assert_eq!(below(b"", true), path("", false));
        assert_eq!(below(b"/", true), path("", true));
        assert_eq!(below(b"/a/", true), path("a", true));
    }

    #[test]
    fn what_could_lead_elsewhere_is_rejected() {
        let paths = [
            "/..",
            "/../a",
            "/a/../b",
            "/%2e%2e/a",
            "/.%2E/a",
            "/a%2fb",
            "/..%2f..%2fetc/passwd",
            "/a%00.css",
            "/./a",
            "/.env",
            "/a/.git/config",
            "/%2egit/config",
            "/.well-known2",
            "//..",
            "/.../a",
            "/..;/a",
            "/a/..",
        ];
        for path in paths {
            assert_eq!(below(path.as_bytes(), true), Meant::Rejected, "{path}");
        }
        assert_eq!(below(b"/a\0b", false), Meant::Rejected);
        assert_eq!(below(b"/.well-known/acme-challenge/x", true), path(".well-known/acme-challenge/x", false));
    }

    #[test]
    fn an_empty_segment_is_no_file() {
        assert_eq!(below(b"//a", true), Meant::Nothing);
        assert_eq!(below(b"/a//", true), Meant::Nothing);
        assert_eq!(below(&[b"/".as_slice(), &[b'a'; 5000]].concat(), true), Meant::Nothing);
    }
}
