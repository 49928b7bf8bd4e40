//! What the tasks of a server have: the resources of its connections, the crew that calls the application, the files that
//! are served without it, and the gate.

use crate::exchange::file_serving::Files;
use crate::exchange::request::Request;
use crate::gate::{Gate, Passage};
use crate::resources::Resources;
use crate::routing::Routing;
use portico_crew::Crew;
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
    /// Waits until the connection that waits at a socket may come in, where there is a gate.
    pub async fn pass_gate(&self) -> Option<Passage<'_>> {
        let crew = &self.crew;
        let has_thread = || crew.queued() + crew.running() < self.resources.settings.threads;
        Some(self.gate.as_ref()?.pass(has_thread).await)
    }

    /// Has the crew's first thread handle the signals that have come, wherever it waits.
    pub fn interrupt(&self) {
        self.resources.interrupts.interrupt();
        self.crew.interrupt();
    }
}
