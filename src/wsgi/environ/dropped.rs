//! Headers that no application sees: why, and that the log has it once of each name.

use portico_engine::log::Level;
use portico_engine::notices::Notices;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What decides about the headers of one request, and who is told of it.
#[derive(Clone, Copy)]
pub(super) struct HeaderRules<'a> {
    /// Whether forwarded headers are for the application.
    pub(super) shows_forwarded: bool,
    /// Whose request it is.
    pub(super) client: Option<IpAddr>,
    pub(super) notices: &'a Notices,
}

/// A header that is dropped, or may be.
pub(super) struct Dropped {
    why: &'static str,
    /// Whether the log has it already, as far as this thread knows: so that nothing is looked up for each request.
    is_logged: AtomicBool,
}

impl Dropped {
    pub(super) const fn because(why: &'static str) -> Dropped {
        Dropped { why, is_logged: AtomicBool::new(false) }
    }

    /// Proxy, over whichever protocol ("httpoxy").
    pub(super) const fn httpoxy() -> Dropped {
        Dropped::because("programs take HTTP_PROXY for their own proxy setting")
    }

    /// A header called `name` is dropped.
    pub(super) fn log(&self, name: &[u8], rules: HeaderRules<'_>) {
        if self.is_logged.swap(true, Relaxed) {
            return;
        }
        let client = rules.client.map_or_else(|| "a peer without an address".into(), |client| client.to_string());
        let message = |name: &str| format!("the header {name} of {client} is dropped: {}", self.why);
        rules.notices.dropped_header.log(Level::Info, name, message);
    }
}
