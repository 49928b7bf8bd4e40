//! Receives the Accept fields of a request and a media type; hands on whether the client takes it (RFC 9110 12.5.1).

use crate::accept_encoding::read_weight;
use crate::grammar::trim_ows;

/// Whether a client whose Accept fields have these `values` takes `media_type`, such as `text/html; charset=utf-8`; one
/// that has none takes anything. Of several entries that fit the most specific counts. Parameters are passed over, but for
/// the weight; an entry that is malformed says nothing.
#[must_use]
pub fn accepts<'a>(values: impl IntoIterator<Item = &'a [u8]>, media_type: &str) -> bool {
    let wanted = essence(media_type.as_bytes());
    let (mut says_something, mut best) = (false, (0, 0));
    for entry in values.into_iter().flat_map(|value| value.split(|&byte| byte == b',')) {
        let range = essence(entry);
        let Some(weight) = weight(entry).filter(|_| !range.is_empty()) else { continue };
        says_something = true;
        let rank = rank(range, wanted);
        if rank > best.0 {
            best = (rank, weight);
        } else if rank == best.0 {
            best.1 = best.1.max(weight);
        }
    }
    !says_something || (best.0 > 0 && best.1 > 0)
}

/// A media type, or range of them, without its parameters.
fn essence(text: &[u8]) -> &[u8] {
    trim_ows(text.split(|&byte| byte == b';').next().unwrap_or_default())
}

/// How closely `range` fits `wanted`; 0 where it does not.
fn rank(range: &[u8], wanted: &[u8]) -> u8 {
    if range.eq_ignore_ascii_case(wanted) {
        return 3;
    }
    if range == b"*/*" {
        return 1;
    }
    let slash = wanted.iter().position(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let of_kind = range.strip_suffix(b"*").zip(wanted.get(..slash));
    if of_kind.is_some_and(|(range, kind)| range.eq_ignore_ascii_case(kind)) { 2 } else { 0 }
}

/// The weight of an entry, in thousandths; none where it is malformed.
fn weight(entry: &[u8]) -> Option<u16> {
    let mut parameters = entry.split(|&byte| byte == b';').skip(1).map(trim_ows);
    let weight = parameters.find_map(|parameter| match parameter {
        [b'q' | b'Q', b'=', weight @ ..] => Some(weight),
        _ => None,
    });
    weight.map_or(Some(1000), read_weight)
}

#[cfg(test)]
mod tests {
    use super::accepts;

    #[test]
    fn a_client_takes_what_it_names_most_closely() {
        let cases: [(&[&str], bool); 14] = [
            (&[], true),
            (&[""], true),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], true),
            (&["*/*"], true),
            (&["TEXT/*"], true),
            (&["application/json"], false),
            (&["application/json", "text/html;q=0.1"], true),
            (&["text/html;q=0, */*"], false),
            (&["text/*;q=0, text/html"], true),
            (&["text/*;q=0.0, */*"], false),
            (&["text/html;level=1;q=0.5"], true),
            (&["text/html;q=two"], true),
            (&["texts/*, tex/html, /*, *"], false),
            (&["application/json;q=0.2, , text/plain"], false),
        ];
        for (values, expected) in cases {
            let found = accepts(values.iter().map(|value| value.as_bytes()), "text/html; charset=utf-8");
            assert_eq!(found, expected, "{values:?}");
        }
    }
}
