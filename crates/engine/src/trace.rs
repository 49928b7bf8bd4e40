//! The trace that a request is a part of, with the server's own span in it.

use portico_wire::{PassedTrace, Scheme, TraceParent};

/// Words that one takes in the scoreboard.
pub const WORDS: usize = 5;
/// In the last of them, beside the flags.
const IS_THERE: u64 = 1 << 8;
const HAS_STATE: u64 = 1 << 9;
const IS_HTTPS: u64 = 1 << 10;

/// A request's trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace, and in it the server's span: what is done for the request is a child of that.
    pub own: TraceParent,
    /// The client's span, of which that is a child; none where the trace begins here.
    pub parent_id: Option<[u8; 8]>,
    /// Whether `tracestate`, if the request has one, belongs to this trace.
    pub has_state: bool,
    /// The scheme that the client has used.
    pub scheme: Scheme,
}

impl Trace {
    /// What another server is sent of it.
    pub fn passed_on(&self) -> PassedTrace {
        PassedTrace { parent: self.own, keeps_state: self.has_state }
    }

    /// As words, for the scoreboard.
    pub fn words(&self) -> [u64; WORDS] {
        let Trace { own: TraceParent { trace_id, parent_id, flags }, .. } = self;
        let half = |place: usize| {
            let bytes = trace_id.as_chunks::<8>().0.get(place).copied().unwrap_or_default();
            u64::from_be_bytes(bytes)
        };
        let (high, low) = (half(0), half(1));
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let last = u64::from(*flags)
            | IS_THERE
            | flag(self.has_state, HAS_STATE)
            | flag(self.scheme == Scheme::Https, IS_HTTPS);
        let parent = u64::from_be_bytes(self.parent_id.unwrap_or_default());
        [high, low, u64::from_be_bytes(*parent_id), parent, last]
    }

    /// What those words say, if they are any.
    pub fn from_words(words: [u64; WORDS]) -> Option<Trace> {
        let [high, low, own, parent, last] = words;
        let trace_id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        let flags = u8::try_from(last & 0xff).unwrap_or_default();
        (last & IS_THERE != 0).then_some(Trace {
            own: TraceParent { trace_id, parent_id: own.to_be_bytes(), flags },
            parent_id: (parent != 0).then_some(parent.to_be_bytes()),
            has_state: last & HAS_STATE != 0,
            scheme: if last & IS_HTTPS != 0 { Scheme::Https } else { Scheme::Http },
        })
    }
}
