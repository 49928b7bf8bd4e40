//! What is done with a request by its route: which application is called, where that is mounted, which other servers are
//! asked, or what is responded instead. Where there is no table there is one application, and none of this.

use crate::files::error_pages::FilesOfRows;
use crate::files::static_root::Folder;
use crate::message::inbound::Inbound;
use crate::upstream::group::Upstream;
use portico_wire::{Routed, Routes};
use std::sync::Arc;

/// A table of routes with what each leads to.
#[derive(Debug, Default)]
pub struct Routing {
    /// By host and path.
    pub routes: Routes,
    /// By the numbers of its rows.
    pub targets: Vec<Target>,
    /// The directories whose files rows lead to.
    pub folders: Vec<Folder>,
    /// The upstreams that rows lead to, each once.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The bodies of what the server responds with in their place.
    pub error_pages: FilesOfRows,
}

/// What a row leads to.
#[derive(Debug)]
pub enum Target {
    /// One of the server's applications.
    Application {
        /// Which.
        index: usize,
        /// The path that is taken from the request's and becomes SCRIPT_NAME; empty for none.
        mount: Box<str>,
    },
    /// Files.
    Files {
        /// In which of the folders.
        folder: usize,
        /// The path that is taken from the request's.
        mount: Box<str>,
        /// Whether a request for what is not there is left to the next row that takes it.
        falls_back: bool,
    },
    /// Other servers.
    Upstream(Arc<UpstreamRow>),
    /// A response that is always the same.
    Response(Arc<FixedResponse>),
    /// Another address.
    Redirect(Arc<Redirect>),
}

/// A row by which other servers respond.
#[derive(Debug)]
pub struct UpstreamRow {
    /// They.
    pub upstream: Arc<Upstream>,
    /// Which of the upstreams that is.
    pub number: usize,
    /// The path that is taken from the request's; empty for none.
    pub mount: Box<str>,
}

/// A response that the configuration has.
#[derive(Debug)]
pub struct FixedResponse {
    /// Its status.
    pub status: u16,
    /// Its headers, beside those of the server.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Where else something is.
#[derive(Debug)]
pub struct Redirect {
    /// The status, 3xx.
    pub status: u16,
    /// The address.
    pub to: String,
    /// The path in whose place the address stands, where what follows it in the request's and the query are put behind
    /// the address; none where that is the whole.
    pub in_place_of: Option<Box<str>>,
}

/// What is to be done with one request.
#[derive(Debug)]
pub enum Aim {
    /// An application is called.
    Application {
        /// Which.
        index: usize,
        /// How many bytes were taken from the path: `Inbound::leave` gives them back.
        entered: u32,
    },
    /// A file is looked for.
    Files {
        /// In which of the folders.
        folder: usize,
        /// How many bytes of the path lead to it.
        mount_bytes: usize,
        /// The first row that a request for what is not there is left to; none if to none.
        next: Option<usize>,
    },
    /// Other servers are asked.
    Upstream(Arc<UpstreamRow>),
    /// The server responds itself.
    Reply(Reply),
}

/// What the server responds itself.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With a status and what it says of itself.
    Status(u16),
    /// As configured.
    Fixed(Arc<FixedResponse>),
    /// With an address.
    Elsewhere {
        /// The status.
        status: u16,
        /// The address.
        location: Vec<u8>,
    },
}

impl Reply {
    /// Its status.
    pub fn status(&self) -> u16 {
        match self {
            Reply::Status(status) | Reply::Elsewhere { status, .. } => *status,
            Reply::Fixed(response) => response.status,
        }
    }

    /// The headers that it has of its own.
    pub fn headers(&self) -> Vec<(&[u8], &[u8])> {
        match self {
            Reply::Status(_) => Vec::new(),
            Reply::Elsewhere { location, .. } => vec![(b"Location", location)],
            Reply::Fixed(response) => {
                response.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
            }
        }
    }

    /// Its body; none where it says its status.
    pub fn body(&self) -> Option<&[u8]> {
        match self {
            Reply::Fixed(response) => Some(&response.body),
            Reply::Status(_) | Reply::Elsewhere { .. } => None,
        }
    }
}

impl Routing {
    /// The row by which other servers respond to the request in `inbound`, if they do.
    pub fn upstream_for(&self, inbound: &Inbound) -> Option<&Arc<UpstreamRow>> {
        if self.upstreams.is_empty() {
            return None;
        }
        match self.find(inbound, 0) {
            Routed::Row(row) => match self.targets.get(row) {
                Some(Target::Upstream(row)) => Some(row),
                _ => None,
            },
            Routed::NoPath | Routed::UnknownHost => None,
        }
    }

    fn find(&self, inbound: &Inbound, first: usize) -> Routed {
        let path = inbound.head.path.of(inbound.bytes());
        let is_encoded = inbound.gateway().is_none_or(|gateway| gateway.path_is_encoded);
        let host = if self.routes.tells_hosts_apart() { inbound.host() } else { None };
        self.routes.find_from(first, host.unwrap_or_default(), path, is_encoded)
    }

    /// What is to be done with the request in `inbound`, whose head was read, by the row with the number `first` or a
    /// later one.
    pub fn aim(&self, inbound: &mut Inbound, first: usize) -> Aim {
        let mut first = first;
        loop {
            let row = match self.find(inbound, first) {
                Routed::UnknownHost => return Aim::Reply(Reply::Status(421)),
                Routed::NoPath => break,
                Routed::Row(row) => row,
            };
            let Some(target) = self.targets.get(row) else { break };
            match target.aim(inbound, row) {
                Some(aim) => return aim,
                // A target of `*` is below nothing.
                None if matches!(target, Target::Files { falls_back: true, .. }) => first = row + 1,
                None => break,
            }
        }
        Aim::Reply(Reply::Status(404))
    }
}

impl Target {
    /// What the row with the number `row`, which leads here, has done with a request; none if that is not below its mount.
    fn aim(&self, inbound: &mut Inbound, row: usize) -> Option<Aim> {
        Some(match self {
            Target::Application { index, mount } if mount.is_empty() => Aim::Application { index: *index, entered: 0 },
            Target::Application { index, mount } => Aim::Application { index: *index, entered: inbound.enter(mount)? },
            Target::Files { folder, mount, falls_back } => Aim::Files {
                folder: *folder,
                mount_bytes: inbound.mount_bytes(mount)?,
                next: falls_back.then_some(row + 1),
            },
            Target::Upstream(row) => Aim::Upstream(row.clone()),
            Target::Response(response) => Aim::Reply(Reply::Fixed(response.clone())),
            Target::Redirect(redirect) => {
                Aim::Reply(Reply::Elsewhere { status: redirect.status, location: redirect.location(inbound) })
            }
        })
    }
}

impl UpstreamRow {
    /// The target that other servers are sent, where it is not the request's own: without the mount. None where that is not
    /// in the path, as in `*`.
    pub fn target(&self, inbound: &Inbound) -> Option<Vec<u8>> {
        if self.mount.is_empty() {
            return None;
        }
        let rest = inbound.below(&self.mount)?;
        let mut target = if rest.is_empty() { b"/".to_vec() } else { rest.to_vec() };
        let query = inbound.head.query.of(inbound.bytes());
        if !query.is_empty() {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        Some(target)
    }
}

/// `to` with `rest` behind it, which is empty or begins with a slash: with one slash between them, and never so that the
/// client's path becomes a host (`//host`).
fn join(to: &[u8], rest: &[u8]) -> Vec<u8> {
    if rest.is_empty() {
        return to.to_vec();
    }
    let base = to.get(..to.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1)).unwrap_or_default();
    let rest = if base.is_empty() {
        let hosts = rest.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
        [b"/", rest.get(hosts..).unwrap_or_default()].concat()
    } else {
        rest.to_vec()
    };
    [base, &rest].concat()
}

impl Redirect {
    fn location(&self, inbound: &Inbound) -> Vec<u8> {
        let to = self.to.as_bytes();
        let Some(mount) = &self.in_place_of else { return to.to_vec() };
        let (bytes, head) = (inbound.bytes(), &inbound.head);
        // As it was sent: it was valid in a target, and is in this.
        let mut location = join(to, inbound.below(mount).unwrap_or_default());
        if !head.query.is_empty() {
            location.push(b'?');
            location.extend_from_slice(head.query.of(bytes));
        }
        location
    }
}
