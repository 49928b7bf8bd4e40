//! What the tasks of a server have: the resources of its connections, and the crew that calls the application.

use crate::exchange::request::Request;
use crate::resources::Resources;
use portico_crew::Crew;
use std::sync::Arc;

/// The server, as its tasks see it.
pub struct Server {
    /// What its connections share.
    pub resources: Arc<Resources>,
    /// Who calls the application.
    pub crew: Crew<Request>,
}

impl Server {
    /// Has the crew's first thread handle the signals that have come, wherever it waits.
    pub fn interrupt(&self) {
        self.resources.interrupts.interrupt();
        self.crew.interrupt();
    }
}
