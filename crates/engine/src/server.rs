//! What the tasks of a server have: the resources of its connections, the crew that calls the application, the files that
//! are served without it, and the gate.

use crate::exchange::file_serving::Files;
use crate::exchange::health;
use crate::exchange::request::Request;
use crate::gate::{Gate, Passage};
use crate::message::inbound::Inbound;
use crate::resources::Resources;
use crate::routing::{Routing, UpstreamRow};
use crate::upstream::group::Upstream;
use portico_crew::Crew;
use portico_wire::Framing;
use std::sync::{Arc, Weak};

/// The server, as its tasks see it.
pub struct Server {
    /// What its connections share.
    pub resources: Arc<Resources>,
    /// Who calls the application.
    pub crew: Crew<Request>,
    /// What is done with which request, where that is not always the same.
    pub routing: Option<Routing>,
    /// Who is asked before each connection is accepted, if anybody is.
    pub gate: Option<Gate>,
    /// The directories whose files are served without the application, if there are any.
    pub files: Option<Files>,
    /// Itself, for who goes on with a request elsewhere.
    pub this: Weak<Server>,
}

impl Server {
    /// Whether a request, whose head is complete, is one for the application, and no other may come behind it.
    pub fn is_for_crew(&self, inbound: &Inbound) -> bool {
        !health::is_health_check(&self.resources.settings, inbound)
            && self.upstream_for(inbound).is_none()
            && !self.offers_socket(inbound)
    }

    /// Whether the application may take the connection of a request for itself. Not where all others would wait for the end
    /// of that.
    pub fn offers_socket(&self, inbound: &Inbound) -> bool {
        inbound.asks_for_web_socket() && !self.resources.settings.calls_follow_each_other()
    }

    /// The row by which other servers respond to a request, if they do, and its body may be passed on as it comes. Files
    /// go before all rows; what has come as variables of a reverse proxy is complete first.
    pub fn upstream_for(&self, inbound: &Inbound) -> Option<&Arc<UpstreamRow>> {
        let row = self.routing.as_ref()?.upstream_for(inbound)?;
        let is_file = || self.files.as_ref().is_some_and(|files| files.place_of(inbound).is_some());
        let is_known = || inbound.head.framing != Framing::Chunked || !row.upstream.has_variables();
        (inbound.gateway().is_none() && is_known() && !is_file()).then_some(row)
    }

    /// The upstreams that there are.
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        self.routing.as_ref().map_or(&[], |routing| &routing.upstreams)
    }

    /// Waits until the connection that waits at a socket may come in, where there is a gate.
    pub async fn pass_gate(&self) -> Option<Passage<'_>> {
        let crew = &self.crew;
        let has_thread = || crew.queued() + crew.running() < self.resources.settings.most_calls();
        Some(self.gate.as_ref()?.pass(has_thread).await)
    }

    /// Has the crew's first thread handle the signals that have come, wherever it waits.
    pub fn interrupt(&self) {
        self.resources.interrupts.interrupt();
        self.crew.interrupt();
    }
}
