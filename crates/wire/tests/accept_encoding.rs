//! Which coding a response gets, by what its client says in Accept-Encoding.

use portico_wire::ContentCoding::{Brotli, Gzip, Zstd};
use portico_wire::{AcceptEncoding, ContentCoding};

const ALL: &[ContentCoding] = &[Brotli, Zstd, Gzip];

fn read(values: &[&str]) -> AcceptEncoding {
    AcceptEncoding::read(values.iter().map(|value| value.as_bytes()))
}

/// The values of the fields, what is available, the choice.
type Case = (&'static [&'static str], &'static [ContentCoding], Option<ContentCoding>);

#[test]
fn chooses_what_the_client_likes_best_and_among_equals_the_first() {
    let cases: &[Case] = &[
        // Nothing is asked for.
        (&[], ALL, None),
        (&[""], ALL, None),
        (&[" \t "], ALL, None),
        (&[",,"], ALL, None),
        (&["identity"], ALL, None),
        (&["compress, deflate"], ALL, None),
        (&["gzip"], &[], None),
        (&["gzip"], &[Brotli, Zstd], None),
        // One is.
        (&["gzip"], ALL, Some(Gzip)),
        (&["br"], ALL, Some(Brotli)),
        (&["zstd"], ALL, Some(Zstd)),
        (&["GZip"], ALL, Some(Gzip)),
        (&["x-gzip"], ALL, Some(Gzip)),
        (&["X-GZIP;q=0.2"], ALL, Some(Gzip)),
        (&["gzip, identity"], ALL, Some(Gzip)),
        // The order of those that are available breaks ties.
        (&["gzip, deflate, br, zstd"], ALL, Some(Brotli)),
        (&["gzip, deflate, br, zstd"], &[Zstd, Brotli, Gzip], Some(Zstd)),
        (&["gzip, deflate, br, zstd"], &[Gzip, Zstd, Brotli], Some(Gzip)),
        (&["gzip, deflate, br"], &[Zstd, Gzip], Some(Gzip)),
        // Weights go before it.
        (&["br;q=0.5, gzip"], ALL, Some(Gzip)),
        (&["br;q=0.999, zstd;q=0.998, gzip;q=0.997"], &[Gzip, Zstd, Brotli], Some(Brotli)),
        (&["gzip;q=0.001"], ALL, Some(Gzip)),
        (&["gzip;q=1.000, br;q=0.9"], ALL, Some(Gzip)),
        (&["gzip;q=1., br;q=0.9"], ALL, Some(Gzip)),
        (&["gzip;Q=0.8, br;q=0.7"], ALL, Some(Gzip)),
        (&["gzip ; q=0.8 ,\tbr;q=0.9"], ALL, Some(Brotli)),
        // 0 excludes.
        (&["gzip;q=0"], ALL, None),
        (&["gzip;q=0.000, br;q=0."], ALL, None),
        (&["br;q=0, gzip;q=0.1"], ALL, Some(Gzip)),
        // No coding, where the client likes that better.
        (&["identity;q=1, gzip;q=0.5"], ALL, None),
        (&["identity;q=0.5, gzip;q=0.5"], ALL, Some(Gzip)),
        (&["identity;q=0.5, gzip;q=0.7"], ALL, Some(Gzip)),
        (&["identity;q=0"], ALL, None),
        (&["identity;q=0, gzip;q=0.1"], ALL, Some(Gzip)),
        (&["identity;q=0, br"], &[Gzip], None),
        // Everything else.
        (&["*"], ALL, Some(Brotli)),
        (&["*"], &[Gzip], Some(Gzip)),
        (&["*;q=0.1"], &[Zstd], Some(Zstd)),
        (&["*;q=0"], ALL, None),
        (&["gzip, *;q=0"], ALL, Some(Gzip)),
        (&["*;q=0, zstd;q=0.3"], ALL, Some(Zstd)),
        (&["br;q=0, *"], ALL, Some(Zstd)),
        (&["gzip;q=0.5, *;q=0.2"], ALL, Some(Gzip)),
        (&["gzip;q=0.5, *"], ALL, Some(Brotli)),
        (&["gzip;q=0.5, *"], &[Gzip], None), // of what is there it likes no coding better
        (&["gzip;q=0.5, identity;q=0.1, *"], &[Gzip], Some(Gzip)),
        (&["identity;q=0.6, *;q=0.5"], ALL, None),
        // Several fields are one list.
        (&["gzip", "br"], ALL, Some(Brotli)),
        (&["gzip;q=0.4", "br;q=0.3"], ALL, Some(Gzip)),
        (&["", "gzip"], ALL, Some(Gzip)),
        // Of several entries the least weight counts.
        (&["gzip, gzip;q=0"], ALL, None),
        (&["gzip;q=0, gzip"], ALL, None),
        (&["gzip;q=0", "x-gzip"], ALL, None),
        // What is malformed says nothing.
        (&["gzip;q=2"], ALL, None),
        (&["gzip;q=1.001"], ALL, None),
        (&["gzip;q=0.0001"], ALL, None),
        (&["gzip;q=-1, br"], ALL, Some(Brotli)),
        (&["gzip;q="], ALL, None),
        (&["gzip;q=.5"], ALL, None),
        (&["gzip;q=0,5"], ALL, None),
        (&["gzip;q=0.a, zstd"], ALL, Some(Zstd)),
        (&["gzip;q =1"], ALL, None),
        (&["gzip;level=9"], ALL, None),
        (&["gzip;q=1;q=1"], ALL, None),
        (&["gzip;"], ALL, None),
        (&["gzip br"], ALL, None),
        (&["\"gzip\""], ALL, None),
        (&["; q=1"], ALL, None),
        (&["gzipp, bro, zst"], ALL, None),
    ];
    for (values, available, choice) in cases {
        assert_eq!(read(values).choose(available), *choice, "{values:?} of {available:?}");
    }
}

#[test]
fn all_that_it_likes_no_less_than_none_come_best_first() {
    let cases: &[(&str, &[ContentCoding])] = &[
        ("gzip, deflate, br, zstd", &[Brotli, Zstd, Gzip]),
        ("gzip;q=1.0, br;q=0.9", &[Gzip, Brotli]),
        ("*;q=0.5, gzip", &[Gzip, Brotli, Zstd]),
        ("br;q=0, *", &[Zstd, Gzip]),
        ("identity;q=0.5, gzip;q=0.5, br;q=0.4", &[Gzip]),
        ("identity;q=0", &[]),
        ("", &[]),
    ];
    for (value, preferred) in cases {
        assert_eq!(read(&[value]).preferred(ALL), *preferred, "{value:?}");
    }
}

#[test]
fn a_coding_is_found_by_the_name_that_it_has() {
    for coding in ContentCoding::ALL {
        assert_eq!(ContentCoding::named(coding.name().as_bytes()), Some(coding));
    }
    assert_eq!(ContentCoding::named(b"deflate"), None);
}
