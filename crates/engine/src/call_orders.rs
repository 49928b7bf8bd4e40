//! What the supervisor wants of one call that takes long. The call is named by its cell of the scoreboard and its start,
//! so an order that comes late never means the next call of the same thread.

use std::sync::OnceLock;

/// What is to become of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The stack of its thread is logged.
    Stack,
    /// An exception is raised in it.
    Interrupt,
    /// The server responds in its place, whatever the call does.
    Respond,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOrder {
    /// What to do.
    pub measure: Measure,
    /// The call's cell.
    pub cell: usize,
    /// When the call began.
    pub started_ns: u64,
    /// What the supervisor has to say of it.
    pub sentence: String,
}

impl CallOrder {
    /// Reads the text of an order: cell, start and sentence, with spaces between.
    pub fn read(measure: Measure, text: &[u8]) -> Option<CallOrder> {
        let text = String::from_utf8_lossy(text);
        let mut parts = text.splitn(3, ' ');
        let (cell, started_ns) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(CallOrder { measure, cell, started_ns, sentence: parts.next().unwrap_or_default().into() })
    }
}

/// Who takes such orders: whoever calls the application. May be called on any thread, and must not wait.
pub type Taker = Box<dyn Fn(CallOrder) + Send + Sync>;

/// The way to that.
#[derive(Default)]
pub struct CallOrders(OnceLock<Taker>);

impl CallOrders {
    /// Sets who takes them, once.
    pub fn taken_by(&self, taker: Taker) {
        // A second one would be a second server in this one's place.
        let _ = self.0.set(taker);
    }

    /// Hands one over; where nobody takes them, nothing comes of it.
    pub fn take(&self, order: CallOrder) {
        if let Some(taker) = self.0.get() {
            taker(order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_the_call_and_may_say_more() {
        let read = CallOrder::read(Measure::Stack, b"3 12345678901 GET /a b has taken 2 s");
        let sentence = "GET /a b has taken 2 s".into();
        assert_eq!(read, Some(CallOrder { measure: Measure::Stack, cell: 3, started_ns: 12_345_678_901, sentence }));
        let read = CallOrder::read(Measure::Interrupt, b"0 7");
        let sentence = String::new();
        assert_eq!(read, Some(CallOrder { measure: Measure::Interrupt, cell: 0, started_ns: 7, sentence }));
        assert_eq!(CallOrder::read(Measure::Stack, b"3"), None);
        assert_eq!(CallOrder::read(Measure::Stack, b"x 1"), None);
    }
}
