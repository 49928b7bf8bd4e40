//! Where the time of a call goes: what the record of a request says of it.

/// In nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTimes {
    /// From the complete request until a thread had it.
    pub queue_ns: u64,
    /// How long that thread waited for the interpreter.
    pub lock_ns: u64,
    /// From the start of the call to its end.
    pub call_ns: u64,
    /// How much of that was waiting for the client: for its body, or until it took the response.
    pub client_ns: u64,
    /// How much CPU time the thread has used for it; none where nobody wants to know.
    pub cpu_ns: Option<u64>,
    /// From the complete request until the head of the response was made; none if it never was, or nobody wants to know.
    pub head_ns: Option<u64>,
}

impl CallTimes {
    /// The application's own part of the call.
    pub fn application_ns(&self) -> u64 {
        self.call_ns.saturating_sub(self.client_ns)
    }
}
