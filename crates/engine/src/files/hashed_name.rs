//! Whether a file's name has a hash of its content: then what is behind the name never changes, and no client need ever
//! ask again. Who is told so of a file that does change keeps the old one for a year; so in doubt it is no hash.

/// What clients may do with a file whose name has a hash.
pub const IMMUTABLE: &[u8] = b"public, max-age=31536000, immutable";
/// What they may do with any other, unless that is said: keep it, but ask before they use it, which costs a 304 where
/// nothing has changed.
pub const REVALIDATED: &str = "no-cache";

/// Lengths of hexadecimal hashes: Django's ManifestStaticFilesStorage has 12, webpack and Parcel 8 to 64.
const HEXADECIMAL: std::ops::RangeInclusive<usize> = 8..=64;
/// Length of the hashes of Vite and Rollup, in the alphabet of base64url.
const BASE64: usize = 8;
/// Where Vite puts files with hashes, unless told otherwise.
const VITE_DIRECTORY: &[u8] = b"assets";

/// Whether the name of the file at `path` has one.
pub fn is_hashed(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_of_vite = path.split(|byte| *byte == b'/').rev().skip(1).any(|segment| segment == VITE_DIRECTORY);
    // `app.3f2a1b9c04de.css`, `app.3f2a1b9c04de.css.map`: in the middle, between dots or after a dash.
    let parts: Vec<_> = name.split(|byte| *byte == b'.').collect();
    let Some((_, parts)) = parts.split_last() else { return false };
    let mut parts = parts.iter();
    // What the name begins with is a hash at most after a dash.
    let first = parts.next().is_some_and(|first| has_hash_at_end(first, is_of_vite));
    first || parts.any(|part| is_hexadecimal_hash(part) || has_hash_at_end(part, is_of_vite))
}

fn has_hash_at_end(part: &[u8], is_of_vite: bool) -> bool {
    let after_dash = part.iter().rposition(|byte| *byte == b'-').and_then(|dash| part.get(dash + 1..));
    if after_dash.is_some_and(is_hexadecimal_hash) {
        return true;
    }
    let Some(start) = part.len().checked_sub(BASE64).filter(|start| *start > 1) else { return false };
    part.get(start - 1) == Some(&b'-') && part.get(start..).is_some_and(|hash| is_base64_hash(hash, is_of_vite))
}

/// Digits and letters both, so that neither `20240115` nor `deadbeef` is one.
fn is_hexadecimal_hash(part: &[u8]) -> bool {
    HEXADECIMAL.contains(&part.len())
        && part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && part.iter().any(u8::is_ascii_digit)
        && part.iter().any(u8::is_ascii_lowercase)
}

/// Eight characters look like a hash and not like a word (`original`, `Summer24`, `iPhone15`) by how often they change
/// between capitals, small letters and digits. Fewer changes are enough where Vite puts its files.
fn is_base64_hash(part: &[u8], is_of_vite: bool) -> bool {
    let kinds = part.iter().map(|byte| match byte {
        b'A'..=b'Z' => Some('A'),
        b'a'..=b'z' => Some('a'),
        b'0'..=b'9' => Some('0'),
        b'_' | b'-' if is_of_vite => Some('_'),
        _ => None,
    });
    let Some(kinds) = kinds.collect::<Option<Vec<_>>>() else { return false };
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    changes >= if is_of_vite { 3 } else { 5 } && kinds.contains(&'A')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_hash_are_immutable() {
        let names = [
            "css/app.0123456789ab.css",
            "admin/css/base.1f3b6f1c8a9d.css",
            "main.3f2a1b9c.js",
            "main.3f2a1b9c.js.map",
            "chunk-3f2a1b9c04de5566.js",
            "name-BgK3x2aQ.js",
            "assets/index-D4kTa9Zq.js",
            "assets/index-C_k3-a9Z.css",
            "assets/deep/logo-Ab3dEfgh.svg",
            "static/js/2.4c1dbe4a.chunk.js",
        ];
        for name in names {
            assert!(is_hashed(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_without_are_not() {
        let names = [
            "index.html",
            "jquery-migrated.js",
            "bootstrap-datetime.js",
            "jquery-3.7.1.min.js",
            "data.20240115.csv",
            "report-Summer24.pdf",
            "case-iPhone15.jpg",
            "assets/logo-Original.svg",
            "assets/report-Summer24.pdf",
            "0123456789ab.css",
            "x.deadbeef.css",
            "x.0123456789AB.css",
            "app.0123456789ab",
            "-BgK3x2aQ.js",
            "",
        ];
        for name in names {
            assert!(!is_hashed(name.as_bytes()), "{name}");
        }
    }
}
