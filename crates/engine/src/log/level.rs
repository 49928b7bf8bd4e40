//! How much a record of the error log matters.

const NAMES: [&str; 6] = ["trace", "debug", "info", "warning", "error", "critical"];

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Each step of each request.
    Trace,
    /// What a peer did wrong, and other detail.
    Debug,
    /// The life of the server.
    Info,
    /// Something an operator should look at.
    Warning,
    /// An application or a worker failed.
    Error,
    /// The server cannot go on.
    Critical,
}

impl Level {
    /// The level called `name`, one of trace, debug, info, warning, error, critical.
    pub fn named(name: &str) -> Option<Level> {
        [Level::Trace, Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical]
            .into_iter()
            .find(|level| NAMES[*level as usize] == name)
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}
