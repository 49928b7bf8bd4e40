//! A request head as plain values, independent of the bytes it was read from, to be compared as a whole.

use portico_wire::{Framing, Limits, RequestHead, Span, TargetForm, Version, WireError};

/// All that [`RequestHead`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of RequestHead
pub struct ObservedHead {
    /// Length of the head in bytes.
    pub length: usize,
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub form: TargetForm,
    pub path: Vec<u8>,
    pub query: Vec<u8>,
    pub authority: Vec<u8>,
    pub scheme: Vec<u8>,
    pub version: Version,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub framing: Framing,
    /// `keep_alive`, `expect_continue`, `is_head`, `upgrade`.
    pub flags: [bool; 4],
}

/// What reading a head came to.
pub type HeadOutcome = Result<Option<ObservedHead>, WireError>;

/// Reads a head from the start of `bytes` into `head`, which may have been used before, and checks that
/// every span lies in the head.
///
/// # Errors
///
/// The reader's own.
pub fn read(head: &mut RequestHead, bytes: &[u8], limits: &Limits) -> HeadOutcome {
    let length = head.read(bytes, limits)?;
    Ok(length.map(|length| observe(head, bytes, length)))
}

/// As [`read`], but goes on where the call before stopped: `bytes` are the same ones with more behind them.
///
/// # Errors
///
/// The reader's own.
pub fn read_on(head: &mut RequestHead, bytes: &[u8], limits: &Limits) -> HeadOutcome {
    let length = head.read_on(bytes, limits)?;
    Ok(length.map(|length| observe(head, bytes, length)))
}

/// The values of a head that was read from `bytes`.
#[must_use]
pub fn observe(head: &RequestHead, bytes: &[u8], length: usize) -> ObservedHead {
    assert!(length <= bytes.len(), "a head of {length} bytes in {}", bytes.len());
    let part = |span: Span| {
        assert!(span.start <= span.end && span.end as usize <= length, "{span:?} in a head of {length} bytes");
        span.of(bytes).to_vec()
    };
    ObservedHead {
        length,
        method: part(head.method),
        target: part(head.target),
        form: head.form,
        path: part(head.path),
        query: part(head.query),
        authority: part(head.authority),
        scheme: part(head.scheme),
        version: head.version,
        headers: head.headers.iter().map(|header| (part(header.name), part(header.value))).collect(),
        framing: head.framing,
        flags: [head.keep_alive, head.expect_continue, head.is_head, head.upgrade],
    }
}
