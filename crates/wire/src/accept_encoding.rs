//! Receives the Accept-Encoding fields of a request and the content codings that a response can have; hands on the one
//! that it gets (RFC 9110 12.5.3), or none. For whoever compresses responses, and for whoever has compressed files.

use crate::grammar::trim_ows;

/// A content coding that responses can have (RFC 9110 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl ContentCoding {
    /// All that there are: the better they compress, the earlier.
    pub const ALL: [ContentCoding; 3] = [ContentCoding::Brotli, ContentCoding::Zstd, ContentCoding::Gzip];

    /// Its name in Content-Encoding.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ContentCoding::Brotli => "br",
            ContentCoding::Zstd => "zstd",
            ContentCoding::Gzip => "gzip",
        }
    }

    /// The coding of this name, in any case.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<ContentCoding> {
        // RFC 9110 8.4.1.3: x-gzip is gzip.
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(ContentCoding::Gzip);
        }
        Self::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()))
    }
}

/// What a client says of content codings: the weight of each, in thousandths, if it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    brotli: Option<u16>,
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    everything_else: Option<u16>,
}

impl AcceptEncoding {
    /// Reads the values of all Accept-Encoding fields of a request; without any, and where they are empty, no coding is
    /// wanted. (RFC 9110 would allow any where there is no field: such clients rarely read one.)
    ///
    /// An entry that is malformed says nothing. Of several for one coding the one with the least weight counts: no client
    /// gets what it has excluded.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> AcceptEncoding {
        let mut accepted = AcceptEncoding::default();
        let entries = values.into_iter().flat_map(|value| value.split(|&byte| byte == b','));
        for (name, weight) in entries.filter_map(read_entry) {
            if let Some(known) = accepted.weight_of(name) {
                *known = Some(known.map_or(weight, |before| before.min(weight)));
            }
        }
        accepted
    }

    /// Which of the `available` codings a response gets: the first that is `preferred`. None for no coding.
    #[must_use]
    pub fn choose(&self, available: &[ContentCoding]) -> Option<ContentCoding> {
        self.preferred(available).first().copied()
    }

    /// Those of the `available` codings that the client likes at least as well as none, the best first; what it likes
    /// equally well stays in its order. Where there is none a response is sent without, also to a client that has
    /// excluded that (RFC 9110 12.5.3 would have a 406, which helps nobody).
    #[must_use]
    pub fn preferred(&self, available: &[ContentCoding]) -> Vec<ContentCoding> {
        // What is not named is acceptable, but nobody has asked for it.
        let none = self.identity.or(self.everything_else).unwrap_or(0);
        let mut preferred = Vec::new();
        for &coding in available {
            let weight = self.weight(coding);
            if weight > 0 && weight >= none {
                // Behind its equals.
                let place = preferred.iter().position(|&better| self.weight(better) < weight);
                preferred.insert(place.unwrap_or(preferred.len()), coding);
            }
        }
        preferred
    }

    fn weight(&self, coding: ContentCoding) -> u16 {
        let named = match coding {
            ContentCoding::Brotli => self.brotli,
            ContentCoding::Zstd => self.zstd,
            ContentCoding::Gzip => self.gzip,
        };
        named.or(self.everything_else).unwrap_or(0)
    }

    /// Where the weight of this name is kept.
    fn weight_of(&mut self, name: &[u8]) -> Option<&mut Option<u16>> {
        if name == b"*" {
            return Some(&mut self.everything_else);
        }
        if name.eq_ignore_ascii_case(b"identity") {
            return Some(&mut self.identity);
        }
        Some(match ContentCoding::named(name)? {
            ContentCoding::Brotli => &mut self.brotli,
            ContentCoding::Zstd => &mut self.zstd,
            ContentCoding::Gzip => &mut self.gzip,
        })
    }
}

/// `codings [ weight ]`: the name and the weight in thousandths.
fn read_entry(entry: &[u8]) -> Option<(&[u8], u16)> {
    let Some(semicolon) = entry.iter().position(|&byte| byte == b';') else { return Some((trim_ows(entry), 1000)) };
    let (name, parameter) = entry.split_at(semicolon);
    let weight = match trim_ows(parameter.get(1..)?) {
        [b'q' | b'Q', b'=', weight @ ..] => read_weight(weight)?,
        _ => return None,
    };
    Some((trim_ows(name), weight))
}

/// `qvalue` of RFC 9110 12.4.2: from 0 to 1, with at most three decimals.
pub(crate) fn read_weight(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut weight = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (decimal, place) in decimals.iter().zip([100, 10, 1]) {
        weight += u16::from(decimal.is_ascii_digit().then(|| decimal - b'0')?) * place;
    }
    (weight <= 1000).then_some(weight)
}
