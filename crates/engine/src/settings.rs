//! The engine's settings, read once from whoever has them. A setting of the engine is one field here; its name is the
//! attribute's of the table of settings (python/portico/config/settings), and its type says how it is read.
//!
//! The bounds of the protocols' readers are declared where they are kept to, in portico-wire.
//!
//! 1. `source`: who is asked for a value. `lines`: a text with a setting on each line is one.
//! 2. `value`: how a value of each type is read.

mod lines;
mod source;
mod value;

pub use lines::Lines;
pub use source::Source;
pub use value::{
    Codings, Directories, ErrorPageFiles, Limit, MediaTypes, Paths, Seconds, SecondsOrNever, Share, StaticDirectories,
    Texts, UntrustedForwarded,
};

use crate::pace::Pace;
use portico_wire::{GatewayLimits, Limits, Networks};
use std::net::IpAddr;
use value::Value;

/// Declares the settings: the struct, how it is read, and the names.
macro_rules! settings {
    ($($(#[$documentation:meta])+ $name:ident: $type:ty,)+) => {
        /// The settings of one server.
        pub struct Settings {
            /// Limits of request heads, chunk lines and trailers.
            pub wire: Limits,
            /// Limits of the variables that a reverse proxy sends.
            pub gateway: GatewayLimits,
            $($(#[$documentation])+ pub $name: $type,)+
        }

        impl Settings {
            /// Reads all settings from `source`.
            ///
            /// # Errors
            /// What `source` says of one that it does not have, or that is not what it should be.
            pub fn read<S: Source>(source: &S) -> Result<Settings, S::Error> {
                Ok(Settings {
                    wire: Limits::read(|name| source.count(name))?,
                    gateway: GatewayLimits::read(|name| source.count(name))?,
                    $($name: <$type>::read(source, stringify!($name))?,)+
                })
            }

            /// The names of all settings.
            pub fn names() -> Vec<&'static str> {
                let own = [$(stringify!($name)),+];
                [Limits::NAMES, GatewayLimits::NAMES, &own].concat()
            }
        }
    };
}

settings! {
    /// Where the application is mounted: empty, or a path that begins, but does not end, with `/`.
    script_name: String,
    /// What the Server header of responses says; empty for none.
    server_header: String,
    /// Whether all that the application does against PEP 3333 is an error.
    strict: bool,
    /// What the application calls at one time are: `threads`, or the tasks of an event loop.
    worker: String,
    /// The most of them, where they are threads.
    threads: usize,
    /// The most of them, where they are tasks.
    greenlets: usize,
    /// How long a graceful stop may take.
    graceful_timeout_s: Seconds,
    /// Peers that may connect to a uwsgi listener.
    uwsgi_allow_from: Networks,
    /// Peers that may connect to a FastCGI listener.
    fastcgi_allow_from: Networks,
    /// Peers that may connect to a SCGI listener.
    scgi_allow_from: Networks,
    /// Peers whose PROXY protocol header is believed.
    proxy_allow_from: Networks,
    /// Largest request body.
    max_request_body_bytes: Limit,
    /// Bytes of one request body kept in memory.
    body_memory_bytes: u64,
    /// Bytes of one request body received before the call; a larger body is streamed to the application.
    body_spool_bytes: u64,
    /// Requests in a row that did not wait for the response before.
    max_pipelined: Limit,
    /// Requests on one connection.
    max_requests_per_connection: Limit,
    /// Open connections.
    max_connections: usize,
    /// Open connections of one address.
    max_connections_per_address: Limit,
    /// Requests running or waiting.
    max_in_flight: usize,
    /// Memory of read buffers, bodies and responses, in all.
    max_buffered_bytes: u64,
    /// Bytes of temporary files, in all.
    max_temporary_bytes: u64,
    /// Bytes of one response kept in memory for a slow reader.
    response_memory_bytes: u64,
    /// Bytes of one response kept for a slow reader, in memory and on disk.
    response_spool_bytes: u64,
    /// How long a client may take no byte of a response.
    write_timeout_s: Seconds,
    /// Bytes per second that a client has to take; 0 is no rule.
    min_response_rate_bytes: u64,
    /// From accept to the first byte.
    handshake_timeout_s: Seconds,
    /// From a request's first byte to the end of its head.
    head_timeout_s: Seconds,
    /// How long a request body may stall in all, besides what its rate earns it.
    body_timeout_s: Seconds,
    /// Bytes per second that a request body has to bring; 0 is no rule.
    min_body_rate_bytes: u64,
    /// From a request's first byte to its last.
    request_timeout_s: SecondsOrNever,
    /// How long a request may wait for a thread.
    queue_timeout_s: SecondsOrNever,
    /// How long an idle connection is kept; 0 closes after each response.
    keep_alive_s: Seconds,
    /// How long what still comes in is thrown away after the last response.
    linger_timeout_s: Seconds,
    /// Reverse proxies whose forwarded headers are believed.
    forwarded_allow_ips: Networks,
    /// What becomes of the forwarded headers of others.
    untrusted_forwarded: UntrustedForwarded,
    /// Paths whose response comes without the application: health checks.
    health_paths: Paths,
    /// Directories whose files are served without the application, each with its prefix.
    static_directories: StaticDirectories,
    /// Directories of the files that the application may name in X-Sendfile.
    x_sendfile: Directories,
    /// Directories of those that it may name in X-Accel-Redirect, each with the prefix that stands for it there.
    x_accel_redirect: StaticDirectories,
    /// The files that are the bodies of what the server responds with itself.
    error_pages: ErrorPageFiles,
    /// The codings in which responses are compressed; none if they are not.
    compress: Codings,
    /// Which of them are.
    compress_types: MediaTypes,
    /// The shortest that are, where the length is known.
    compress_min_bytes: u64,
    /// How well: from 1, the quickest, to 9.
    compress_level: usize,
    /// Where access lines go; the process has opened it.
    access_log: String,
    /// What kind of program syslog and the journal are told of.
    syslog_facility: String,
    /// And its name.
    syslog_tag: String,
    /// What an access line looks like: the name of a format, or a template.
    access_log_format: String,
    /// Fields that a format of pairs has beside its own.
    access_log_fields: Texts,
    /// What has to hold for a request that has a line; empty is nothing.
    access_log_if: String,
    /// Patterns of the paths whose requests have none.
    access_log_skip: Texts,
    /// How many of the others have one.
    access_log_sample: Share,
    /// How many of the traces that begin here are recorded.
    trace_sample: Share,
    /// Who says which trace a request is a part of: `any` client, or a `trusted` reverse proxy alone.
    traceparent_from: String,
}

impl Settings {
    /// Whether this peer, or one on a Unix socket, is a reverse proxy whose forwarded headers are believed.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        is_among(&self.forwarded_allow_ips, peer)
    }

    /// The most application calls at one time.
    pub fn most_calls(&self) -> usize {
        if self.worker == "threads" { self.threads } else { self.greenlets }
    }

    /// Bytes of one request body received before the call, whatever its length is: a call on the thread of a loop that
    /// others wait for is not to wait in the middle of the application.
    pub fn bytes_before_call(&self) -> u64 {
        if self.calls_follow_each_other() { u64::MAX } else { self.body_spool_bytes }
    }

    /// Whether a call that waits in the application has all others wait.
    pub fn calls_follow_each_other(&self) -> bool {
        matches!(self.worker.as_str(), "asyncio" | "tornado")
    }

    /// How a request body has to come in.
    pub fn body_pace(&self) -> Pace {
        Pace { grace_ms: self.body_timeout_s.ms(), bytes_per_s: self.min_body_rate_bytes }
    }

    /// How a response has to be taken.
    pub fn response_pace(&self) -> Pace {
        Pace { grace_ms: self.write_timeout_s.ms(), bytes_per_s: self.min_response_rate_bytes }
    }

    /// How long a request's head may take, from its first byte on.
    pub fn head_ms(&self) -> u64 {
        self.head_timeout_s.ms().min(self.request_timeout_s.ms())
    }
}

/// Whether a peer is one of `networks`; one without an address is on a Unix socket.
pub fn is_among(networks: &Networks, peer: Option<IpAddr>) -> bool {
    peer.map_or_else(|| networks.contains_unix(), |peer| networks.contains(peer))
}
