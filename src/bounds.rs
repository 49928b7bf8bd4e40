//! How much and how long: every bound of the engine, taken from the settings once, in the engine's own units.
//!
//! A setting whose 0 means "no limit" is the largest number here, so that nobody else has to know.

use crate::settings::Settings;
use portico_wire::{GatewayLimits, Limits, Networks};
use std::net::IpAddr;

/// The bounds of one worker.
pub struct Bounds {
    /// Limits of request heads, chunk lines and trailers.
    pub wire: Limits,
    /// Limits of the variables that a front server sends.
    pub gateway: GatewayLimits,
    /// Open connections.
    pub connections: usize,
    /// Temporary files.
    pub temporary_files: u64,
    /// Open connections of one address.
    pub connections_per_address: usize,
    /// Requests on one connection.
    pub requests_per_connection: u64,
    /// Requests in a row that did not wait for the answer before.
    pub pipelined: u64,
    /// Requests running or waiting.
    pub in_flight: usize,
    /// Largest request body.
    pub request_body_bytes: u64,
    /// Bytes of one request body kept in memory.
    pub body_memory_bytes: u64,
    /// Bytes of one request body buffered before the call.
    pub body_spool_bytes: u64,
    /// Bytes of one answer kept in memory for a slow reader.
    pub response_memory_bytes: u64,
    /// Bytes of one answer kept for a slow reader, in memory and on disk.
    pub response_spool_bytes: u64,
    /// From accept to the first byte.
    pub handshake_ms: u64,
    /// From a request's first byte to the end of its head.
    pub head_ms: u64,
    /// How a request body has to come in.
    pub body: Pace,
    /// From a request's first byte to its last.
    pub request_ms: u64,
    /// How long an idle connection is kept; 0 closes after each answer.
    pub keep_alive_ms: u64,
    /// How an answer has to be taken.
    pub write: Pace,
    /// How long what still comes in is thrown away after the last answer.
    pub linger_ms: u64,
    /// How long a request may wait for a thread.
    pub queue_ns: u64,
    /// Paths that are answered without the application.
    pub health_paths: Vec<Vec<u8>>,
    /// Front servers whose forwarded headers are believed.
    pub trusted: Networks,
    /// Whether forwarded headers of other peers stay in environ.
    pub keep_untrusted_forwarded: bool,
}

/// How fast bytes have to move: `grace_ms` may be waited for them, and each that moves earns the time that it takes at
/// `bytes_per_s`, up to the grace again. So nobody saves up a long stall by being fast before.
#[derive(Clone, Copy)]
pub struct Pace {
    /// What may be waited without any byte moving, in all.
    pub grace_ms: u64,
    /// The least average rate; 0 bounds only the single waits.
    pub bytes_per_s: u64,
}

impl Bounds {
    /// The bounds that `settings` ask for, with no more connections than this process may have descriptors.
    ///
    /// # Errors
    /// What is wrong with `forwarded_allow_ips`.
    pub fn new(settings: &Settings) -> Result<Bounds, String> {
        let trusted = Networks::parse(&settings.forwarded_allow_ips);
        let (possible_connections, temporary_files) = shares_of_descriptors();
        Ok(Bounds {
            trusted: trusted.map_err(|error| format!("forwarded_allow_ips: {error}"))?,
            keep_untrusted_forwarded: settings.keep_untrusted_forwarded,
            wire: Limits {
                max_head_bytes: settings.max_head_bytes,
                max_header_bytes: settings.max_header_bytes,
                max_headers: settings.max_headers,
                max_request_line_bytes: settings.max_request_line_bytes,
                max_chunk_extension_bytes: settings.max_chunk_extension_bytes,
                max_trailer_bytes: settings.max_trailer_bytes,
            },
            gateway: GatewayLimits {
                max_variables_bytes: settings.max_variables_bytes,
                max_variables: settings.max_variables,
            },
            connections: settings.max_connections.min(possible_connections),
            temporary_files,
            connections_per_address: unlimited_if_0(settings.max_connections_per_address),
            requests_per_connection: unlimited_if_0_u64(settings.max_requests_per_connection),
            pipelined: unlimited_if_0_u64(settings.max_pipelined),
            in_flight: settings.max_in_flight,
            request_body_bytes: unlimited_if_0_u64(settings.max_request_body_bytes),
            body_memory_bytes: settings.body_memory_bytes,
            body_spool_bytes: settings.body_spool_bytes,
            response_memory_bytes: settings.response_memory_bytes,
            response_spool_bytes: settings.response_spool_bytes,
            handshake_ms: milliseconds(settings.handshake_timeout_s),
            head_ms: milliseconds(settings.head_timeout_s),
            body: Pace { grace_ms: milliseconds(settings.body_timeout_s), bytes_per_s: settings.min_body_rate_bytes },
            request_ms: unlimited_if_0_u64(milliseconds(settings.request_timeout_s)),
            keep_alive_ms: milliseconds(settings.keep_alive_s),
            write: Pace {
                grace_ms: milliseconds(settings.write_timeout_s),
                bytes_per_s: settings.min_response_rate_bytes,
            },
            linger_ms: milliseconds(settings.linger_timeout_s),
            queue_ns: unlimited_if_0_u64(milliseconds(settings.queue_timeout_s).saturating_mul(1_000_000)),
            health_paths: settings.health_paths.iter().map(|path| path.clone().into_bytes()).collect(),
        })
    }
}

impl Bounds {
    /// Whether this peer, or one on a Unix socket, is a front server whose forwarded headers are believed.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or_else(|| self.trusted.contains_unix(), |peer| self.trusted.contains(peer))
    }
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

/// A duration of the settings in whole milliseconds, rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration that was checked before")]
pub fn milliseconds(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1_000.0).ceil() as u64
}

fn unlimited_if_0(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}

fn unlimited_if_0_u64(limit: u64) -> u64 {
    if limit == 0 { u64::MAX } else { limit }
}

/// How many descriptors connections may use, and how many temporary files: what the process may open, less a reserve
/// for the application and the logs. Both are bounded, so that slow readers whose answers are kept in files cannot
/// keep others from coming in.
fn shares_of_descriptors() -> (usize, u64) {
    const RESERVE: u64 = 64;
    const MOST_FILES: u64 = 2048;
    let all = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = (all / 5).min(MOST_FILES);
    let connections = (all - files).saturating_sub(RESERVE).max(all / 2);
    (usize::try_from(connections).unwrap_or(usize::MAX).max(1), files)
}
