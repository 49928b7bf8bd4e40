//! How fast bytes have to move, and how much patience is left with who is slower.

/// `grace_ms` may be waited for bytes, and each that moves earns the time that it takes at `bytes_per_s`, up to the
/// grace again. So nobody saves up a long stall by being fast before.
#[derive(Clone, Copy)]
pub struct Pace {
    /// What may be waited without any byte moving, in all.
    pub grace_ms: u64,
    /// The least average rate; 0 bounds only the single waits.
    pub bytes_per_s: u64,
}

/// How much of a pace's grace is left.
pub struct Patience {
    pace: Pace,
    left_ms: u64,
}

impl Patience {
    /// All of it.
    pub fn new(pace: Pace) -> Patience {
        Patience { pace, left_ms: pace.grace_ms }
    }

    /// How long the next wait may be.
    pub fn left_ms(&self) -> u64 {
        self.left_ms.max(1)
    }

    /// Accounts for a wait.
    pub fn waited(&mut self, waited_ms: u64) {
        if self.pace.bytes_per_s > 0 {
            self.left_ms = self.left_ms.saturating_sub(waited_ms);
        }
    }

    /// Accounts for bytes that moved.
    pub fn moved(&mut self, bytes: u64) {
        let earned_ms = bytes.saturating_mul(1_000).checked_div(self.pace.bytes_per_s).unwrap_or(0);
        self.left_ms = self.left_ms.saturating_add(earned_ms).min(self.pace.grace_ms);
    }
}
