//! A block of a response that is sent after the call that made it: without a copy.

use super::framing::ResponseFraming;
use std::borrow::Cow;
use std::ops::Range;

/// Bytes that outlive the call that made them.
pub type OwnedBlock = Box<dyn AsRef<[u8]> + Send + Sync>;

/// A block that outlives the call that made it, or the part of it that is to be sent.
pub struct Block {
    /// The block.
    pub owned: OwnedBlock,
    /// The part.
    pub range: Range<usize>,
}

impl Block {
    /// The bytes to be sent.
    pub fn bytes(&self) -> &[u8] {
        (*self.owned).as_ref().get(self.range.clone()).unwrap_or_default()
    }

    /// Bytes of memory that it keeps alive.
    pub fn held_bytes(&self) -> u64 {
        (*self.owned).as_ref().len() as u64
    }

    /// The same bytes as `framing` wants them.
    #[must_use]
    pub fn enclosed(self, framing: ResponseFraming) -> Block {
        let records = match framing.enclosed(self.bytes()) {
            Cow::Borrowed(_) => return self,
            Cow::Owned(records) => records,
        };
        let range = 0..records.len();
        Block { owned: Box::new(records), range }
    }
}
