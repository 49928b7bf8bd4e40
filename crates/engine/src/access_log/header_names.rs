//! Which headers a request may have: found out once, by the first field that asks for one, so that those that it does
//! not have are not looked for among all.

use crate::message::inbound::Inbound;
use std::cell::OnceCell;

/// The names of a request's headers.
#[derive(Default)]
pub struct HeaderNames(OnceCell<u64>);

impl HeaderNames {
    /// Whether `request`, whose names they are, may have a header called `name`, in lower case.
    pub fn may_have(&self, request: &Inbound, name: &str) -> bool {
        // A gateway's are called otherwise.
        if request.gateway().is_some() {
            return true;
        }
        let names = self.0.get_or_init(|| {
            let bytes = request.bytes();
            request.head.headers.iter().fold(0, |names, header| names | bit_of(header.name.of(bytes)))
        });
        names & bit_of(name.as_bytes()) != 0
    }
}

/// One of 64, by the first letter in any case and the length: a browser's other headers share none with those that
/// lines have.
fn bit_of(name: &[u8]) -> u64 {
    let first = name.first().map_or(0, |byte| usize::from(byte | 0x20));
    1 << ((first * 4 + name.len()) % 64)
}
