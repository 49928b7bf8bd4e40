//! How much of anything a peer may send before it is refused.

/// Bounds on what the readers of this crate accept, all in bytes unless named otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A whole request head, from the first byte to the empty line, inclusive: above it, 431. The caller's
    /// read buffer must be able to hold this much.
    pub max_head_bytes: usize,
    /// Number of field lines in a head: above it, 431.
    pub max_headers: usize,
    /// The request line without its CRLF: above it, 414. RFC 9112 3 asks for at least 8000.
    pub max_request_line_bytes: usize,
    /// One field line as it came, without its CRLF: above it, 431.
    pub max_header_bytes: usize,
    /// Everything between the sizes of a body's chunks and their CRLFs, of all its chunks together: above it,
    /// 400. A bound on each chunk alone would let a body be mostly extensions (RFC 9112 7.1.1).
    pub max_chunk_extension_bytes: usize,
    /// All trailer lines of one chunked body together, with their CRLFs: above it, 431.
    pub max_trailer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head_bytes: 64 * 1024,
            max_headers: 100,
            max_request_line_bytes: 8190,
            max_header_bytes: 16 * 1024,
            max_chunk_extension_bytes: 16 * 1024,
            max_trailer_bytes: 8192,
        }
    }
}
