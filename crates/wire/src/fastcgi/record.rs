//! The header of a record (FastCGI 1.0, 3.3).

use super::{HEADER_BYTES, VERSION};
use crate::WireError;

/// A record's header.
#[derive(Clone, Copy)]
pub(super) struct RecordHeader {
    pub(super) kind: u8,
    pub(super) id: u16,
    pub(super) content: u16,
    pub(super) padding: u8,
}

impl RecordHeader {
    /// Reads a header; another protocol is rejected by its first byte.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, WireError> {
        if bytes.first().is_some_and(|version| *version != VERSION) {
            return Err(WireError::FASTCGI_VERSION);
        }
        Ok(bytes.first_chunk::<HEADER_BYTES>().map(|&[_, kind, id_high, id_low, high, low, padding, _]| Self {
            kind,
            id: u16::from_be_bytes([id_high, id_low]),
            content: u16::from_be_bytes([high, low]),
            padding,
        }))
    }
}
