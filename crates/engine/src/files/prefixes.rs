//! Which directory a path belongs to: the longest prefix wins, segment by segment, so that `/static` is none of
//! `/staticfiles`.

use portico_wire::mount_length;

/// Prefixes of paths, and what each of them stands for, by its index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes(Vec<(String, usize)>);

impl Prefixes {
    /// The `prefixes` in the order of their indices. Each is decoded, and empty or without a slash at its end.
    pub fn new(prefixes: impl IntoIterator<Item = String>) -> Prefixes {
        let mut found: Vec<_> = prefixes.into_iter().enumerate().map(|(index, prefix)| (prefix, index)).collect();
        found.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Prefixes(found)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `path` belongs to, and how many bytes of it are the prefix. It may have its escapes still (`is_encoded`).
    pub fn find(&self, path: &[u8], is_encoded: bool) -> Option<(usize, usize)> {
        self.0.iter().find_map(|(prefix, index)| Some((*index, mount_length(path, prefix.as_bytes(), is_encoded)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<(usize, usize)> {
        let prefixes = ["/static", "", "/static/admin", "/m e"].map(str::to_owned);
        Prefixes::new(prefixes).find(path.as_bytes(), true)
    }

    #[test]
    fn the_longest_prefix_wins() {
        assert_eq!(found("/static/a.css"), Some((0, 7)));
        assert_eq!(found("/static/admin/a.css"), Some((2, 13)));
        assert_eq!(found("/static/admin"), Some((2, 13)));
    }

    #[test]
    fn a_prefix_ends_where_a_segment_does() {
        assert_eq!(found("/staticfiles/a.css"), Some((1, 0)));
        assert_eq!(found("/static/administration"), Some((0, 7)));
        assert_eq!(Prefixes::new(["/static".to_owned()]).find(b"/staticfiles", true), None);
    }

    #[test]
    fn escapes_of_a_prefix_are_decoded_but_no_slash_is() {
        assert_eq!(found("/m%20e/a"), Some((3, 6)));
        assert_eq!(found("/%73tatic/a"), Some((0, 9)));
        assert_eq!(found("%2Fstatic/a"), None);
        assert_eq!(found("*"), None);
    }
}
