//! What a file is, by the end of its name.
//!
//! A table of our own, of what browsers and their scripts fetch: that of a machine (/etc/mime.types) would make the same
//! file another one on the next machine, and the registry's thousand other types are fetched to be saved, for which
//! `application/octet-stream` does.

/// The type of what has no type of its own.
const OCTET_STREAM: MediaType = MediaType { text: "application/octet-stream", is_compressible: false };

/// A media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// The value of Content-Type, with the charset where it is text.
    pub text: &'static str,
    /// Whether compressing it is worth while: then precompressed siblings are looked for.
    pub is_compressible: bool,
}

/// The type of the file called `name`, perhaps with a path before it.
pub fn media_type(name: &[u8]) -> MediaType {
    let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else { return OCTET_STREAM };
    let end = name.get(dot + 1..).unwrap_or_default().to_ascii_lowercase();
    let found = TYPES.binary_search_by(|(known, ..)| known.as_bytes().cmp(&end));
    let row = found.ok().and_then(|index| TYPES.get(index));
    row.map_or(OCTET_STREAM, |(_, text, is_compressible)| MediaType { text, is_compressible: *is_compressible })
}

const COMPRESSES: bool = true;
const DENSE: bool = false;

/// Ends of names, in the order of the alphabet.
const TYPES: &[(&str, &str, bool)] = &[
    ("7z", "application/x-7z-compressed", DENSE),
    ("aac", "audio/aac", DENSE),
    ("apk", "application/vnd.android.package-archive", DENSE),
    ("apng", "image/apng", DENSE),
    ("atom", "application/atom+xml", COMPRESSES),
    ("avi", "video/x-msvideo", DENSE),
    ("avif", "image/avif", DENSE),
    ("bmp", "image/bmp", COMPRESSES),
    ("br", "application/x-brotli", DENSE),
    ("bz2", "application/x-bzip2", DENSE),
    ("cjs", "text/javascript; charset=utf-8", COMPRESSES),
    ("css", "text/css; charset=utf-8", COMPRESSES),
    ("csv", "text/csv; charset=utf-8", COMPRESSES),
    ("doc", "application/msword", DENSE),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", DENSE),
    ("eot", "application/vnd.ms-fontobject", COMPRESSES),
    ("epub", "application/epub+zip", DENSE),
    ("flac", "audio/flac", DENSE),
    ("geojson", "application/geo+json", COMPRESSES),
    ("gif", "image/gif", DENSE),
    ("glb", "model/gltf-binary", COMPRESSES),
    ("gltf", "model/gltf+json", COMPRESSES),
    ("gz", "application/gzip", DENSE),
    ("heic", "image/heic", DENSE),
    ("htm", "text/html; charset=utf-8", COMPRESSES),
    ("html", "text/html; charset=utf-8", COMPRESSES),
    ("ico", "image/vnd.microsoft.icon", COMPRESSES),
    ("ics", "text/calendar; charset=utf-8", COMPRESSES),
    ("jar", "application/java-archive", DENSE),
    ("jpeg", "image/jpeg", DENSE),
    ("jpg", "image/jpeg", DENSE),
    ("js", "text/javascript; charset=utf-8", COMPRESSES),
    ("json", "application/json", COMPRESSES),
    ("jsonld", "application/ld+json", COMPRESSES),
    ("jxl", "image/jxl", DENSE),
    ("m3u8", "application/vnd.apple.mpegurl", COMPRESSES),
    ("m4a", "audio/mp4", DENSE),
    ("m4v", "video/mp4", DENSE),
    ("map", "application/json", COMPRESSES),
    ("markdown", "text/markdown; charset=utf-8", COMPRESSES),
    ("md", "text/markdown; charset=utf-8", COMPRESSES),
    ("mid", "audio/midi", DENSE),
    ("mjs", "text/javascript; charset=utf-8", COMPRESSES),
    ("mov", "video/quicktime", DENSE),
    ("mp3", "audio/mpeg", DENSE),
    ("mp4", "video/mp4", DENSE),
    ("mpd", "application/dash+xml", COMPRESSES),
    ("mpeg", "video/mpeg", DENSE),
    ("odp", "application/vnd.oasis.opendocument.presentation", DENSE),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet", DENSE),
    ("odt", "application/vnd.oasis.opendocument.text", DENSE),
    ("oga", "audio/ogg", DENSE),
    ("ogg", "audio/ogg", DENSE),
    ("ogv", "video/ogg", DENSE),
    ("opus", "audio/ogg", DENSE),
    ("otf", "font/otf", COMPRESSES),
    ("pdf", "application/pdf", DENSE),
    ("png", "image/png", DENSE),
    ("ppt", "application/vnd.ms-powerpoint", DENSE),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", DENSE),
    ("ps", "application/postscript", COMPRESSES),
    ("rar", "application/vnd.rar", DENSE),
    ("rdf", "application/rdf+xml", COMPRESSES),
    ("rss", "application/rss+xml", COMPRESSES),
    ("rtf", "application/rtf", COMPRESSES),
    ("svg", "image/svg+xml", COMPRESSES),
    ("svgz", "image/svg+xml", DENSE),
    ("tar", "application/x-tar", COMPRESSES),
    ("tif", "image/tiff", DENSE),
    ("tiff", "image/tiff", DENSE),
    ("toml", "application/toml", COMPRESSES),
    ("ts", "video/mp2t", DENSE),
    ("tsv", "text/tab-separated-values; charset=utf-8", COMPRESSES),
    ("ttc", "font/collection", COMPRESSES),
    ("ttf", "font/ttf", COMPRESSES),
    ("txt", "text/plain; charset=utf-8", COMPRESSES),
    ("vcf", "text/vcard; charset=utf-8", COMPRESSES),
    ("vtt", "text/vtt; charset=utf-8", COMPRESSES),
    ("wasm", "application/wasm", COMPRESSES),
    ("wav", "audio/wav", DENSE),
    ("weba", "audio/webm", DENSE),
    ("webm", "video/webm", DENSE),
    ("webmanifest", "application/manifest+json", COMPRESSES),
    ("webp", "image/webp", DENSE),
    ("woff", "font/woff", DENSE),
    ("woff2", "font/woff2", DENSE),
    ("xhtml", "application/xhtml+xml", COMPRESSES),
    ("xls", "application/vnd.ms-excel", DENSE),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", DENSE),
    ("xml", "application/xml", COMPRESSES),
    ("xsl", "application/xslt+xml", COMPRESSES),
    ("xz", "application/x-xz", DENSE),
    ("yaml", "application/yaml", COMPRESSES),
    ("yml", "application/yaml", COMPRESSES),
    ("zip", "application/zip", DENSE),
    ("zst", "application/zstd", DENSE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(TYPES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn the_last_end_counts_in_any_case() {
        for (name, expected) in [
            ("a.css", "text/css; charset=utf-8"),
            ("deep.d/A.HTML", "text/html; charset=utf-8"),
            ("a.min.js", "text/javascript; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.tar.gz", "application/gzip"),
            ("a.css/b", "application/octet-stream"),
            ("README", "application/octet-stream"),
            ("a.unheard-of", "application/octet-stream"),
            ("a.", "application/octet-stream"),
        ] {
            assert_eq!(media_type(name.as_bytes()).text, expected, "{name}");
        }
    }

    #[test]
    fn what_is_compressed_already_has_no_siblings() {
        assert!(media_type(b"a.svg").is_compressible);
        assert!(!media_type(b"a.png").is_compressible);
        assert!(!media_type(b"a").is_compressible);
    }
}
