//! Which content codings a client takes, best first (RFC 9110 12.5.3), of those that files are precompressed in.

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli, RFC 7932.
    Brotli,
    /// Zstandard, RFC 8878.
    Zstandard,
    /// gzip, RFC 1952.
    Gzip,
}

impl Coding {
    /// All, the smallest files first.
    pub const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstandard, Coding::Gzip];

    /// What Content-Encoding calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstandard => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// How the name of a file in it ends.
    pub const fn suffix(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstandard => ".zst",
            Coding::Gzip => ".gz",
        }
    }
}

/// Weights are thousandths.
const MOST: u16 = 1000;

/// The codings that a client takes at least as gladly as none, best first; what it likes equally well in the order of
/// `Coding::ALL`. `accept_encoding` are all lines of the field.
pub fn accepted(accept_encoding: Option<&[u8]>) -> impl Iterator<Item = Coding> {
    let field = accept_encoding.unwrap_or_default();
    let mut weights = [None; 3];
    let (mut everything_else, mut identity) = (None, None);
    for item in field.split(|byte| *byte == b',') {
        let mut parts = item.splitn(2, |byte| *byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let Some(weight) = parts.next().map_or(Some(MOST), weight) else { continue };
        match &*name {
            b"br" => weights[0] = Some(weight),
            b"zstd" => weights[1] = Some(weight),
            // RFC 9110 8.4.1.3: another name of it.
            b"gzip" | b"x-gzip" => weights[2] = Some(weight),
            b"identity" => identity = Some(weight),
            b"*" => everything_else = Some(weight),
            _ => {}
        }
    }
    let identity = identity.unwrap_or(0);
    let mut found: Vec<_> = Coding::ALL
        .into_iter()
        .zip(weights)
        .map(|(coding, weight)| (coding, weight.or(everything_else).unwrap_or(0)))
        .filter(|(_, weight)| *weight > 0 && *weight >= identity)
        .collect();
    // Stable: equals stay in their order.
    found.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    found.into_iter().map(|(coding, _)| coding)
}

/// The weight in the parameters of an item, `q=0.5` (RFC 9110 12.4.2); none if it is malformed.
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', digits @ ..] = parameter.trim_ascii() else { return None };
    let (whole, fraction) = match digits {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut weight = u16::from(whole - b'0') * MOST;
    for (digit, unit) in fraction.iter().zip([100, 10, 1]) {
        weight += u16::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?) * unit;
    }
    (weight <= MOST).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(field: &str) -> String {
        accepted(Some(field.as_bytes())).map(Coding::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_client_decides_by_weight_and_the_server_among_equals() {
        let cases = [
            ("gzip, deflate, br, zstd", "br zstd gzip"),
            ("gzip;q=1.0, br;q=0.9", "gzip br"),
            ("br;q=0.001", "br"),
            ("*", "br zstd gzip"),
            ("*;q=0.5, gzip", "gzip br zstd"),
            ("br;q=0, *", "zstd gzip"),
            ("x-GZip", "gzip"),
            ("GZIP ; Q=0.5", "gzip"),
            ("identity, gzip;q=0.5", ""),
            ("identity;q=0.5, gzip;q=0.5", "gzip"),
            ("identity;q=0", ""),
            ("gzip;q=0", ""),
            ("", ""),
            (",,gzip,", "gzip"),
        ];
        for (field, expected) in cases {
            assert_eq!(names(field), expected, "{field}");
        }
        assert_eq!(accepted(None).count(), 0);
    }

    #[test]
    fn an_item_whose_weight_is_malformed_does_not_count() {
        for field in
            ["gzip;q=2", "gzip;q=1.001", "gzip;q=0.1234", "gzip;q=x", "gzip;q=-1", "gzip;q=.5", "gzip;level=1", "gzip;"]
        {
            assert_eq!(names(field), "", "{field}");
        }
    }
}
