//! Upstreams, read from what Python hands over.

use portico_engine::upstream::address::Place;
use portico_engine::upstream::balance::{Balance, HashBy};
use portico_engine::upstream::circuit::CircuitTerms;
use portico_engine::upstream::group::{ProbeTerms, Times, Upstream, UpstreamTerms};
use portico_engine::upstream::member::MemberTerms;
use portico_engine::upstream::pool::KeepTerms;
use portico_engine::upstream::tls::{ServerName, TlsFiles, TlsTerms};
use portico_wire::Limits;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where nothing is said to be no limit: longer than any process lives.
const FOR_EVER_MS: u64 = 100 * 365 * 24 * 3_600_000;
/// How often the time for which a member is ejected is doubled.
const MOST_BACK_OFFS: u64 = 16;
/// Bad or good responses to health checks in a row after which a member is taken for ill or well.
const IN_A_ROW: u32 = 2;

/// An upstream; each field is the attribute of the same name (`portico.types.EngineUpstream`).
#[derive(FromPyObject)]
pub struct UpstreamAttributes {
    name: String,
    counted_as: String,
    key: String,
    to: Vec<String>,
    variables: Vec<(String, String)>,
    balance: String,
    keep: usize,
    keep_timeout_s: f64,
    connect_timeout_s: f64,
    timeout_s: f64,
    tunnel_timeout_s: f64,
    max_in_flight: u32,
    retries: u32,
    eject_after: u32,
    eject_for_s: f64,
    tls: TlsAttributes,
    resolve_s: Option<f64>,
    health_path: String,
    health_host: String,
    health_interval_s: f64,
    health_timeout_s: f64,
}

/// How TLS is spoken with an upstream (`portico.types.EngineTls`).
#[derive(FromPyObject)]
pub struct TlsAttributes {
    server_name: String,
    ca: PathBuf,
    client_certificate: PathBuf,
    client_key: PathBuf,
    verify: bool,
}

impl TlsAttributes {
    /// The terms; no file is read yet.
    pub fn read(self) -> PyResult<TlsTerms> {
        let Self { server_name, ca, client_certificate, client_key, verify } = self;
        let unfit = || PyValueError::new_err(format!("server_name: expected a name or an address, got {server_name}"));
        let name = if server_name.is_empty() { None } else { Some(ServerName::read(&server_name).ok_or_else(unfit)?) };
        let is_given = |path: &PathBuf| !path.as_os_str().is_empty();
        let ca = Some(ca).filter(is_given);
        let identity = Some((client_certificate, client_key)).filter(|(certificate, _)| is_given(certificate));
        Ok(TlsTerms::new(TlsFiles { ca, identity, trusts_all: !verify }, name))
    }
}

impl UpstreamAttributes {
    /// The upstream, which reads heads within the limits of the server's own.
    pub fn read(self) -> PyResult<Arc<Upstream>> {
        let Self { name, key, to, variables, balance, keep, max_in_flight, retries, eject_after, health_path, .. } =
            self;
        let places: Vec<Place> =
            to.iter().map(|text| Place::read(text)).collect::<Result<_, _>>().map_err(PyValueError::new_err)?;
        let back_off_ms = ms(self.eject_for_s);
        let circuit = CircuitTerms {
            max_failures: eject_after,
            back_off_ms,
            max_back_off_ms: back_off_ms.saturating_mul(MOST_BACK_OFFS),
        };
        let keep = KeepTerms { max_idle: keep, idle_ms: ms(self.keep_timeout_s) };
        let probe = (!health_path.is_empty()).then(|| ProbeTerms {
            path: health_path,
            host: self.health_host,
            interval_ms: ms(self.health_interval_s),
            timeout_ms: ms(self.health_timeout_s),
            variables: variables.clone(),
            ill_after: IN_A_ROW,
            well_after: IN_A_ROW,
        });
        let tls = self.tls.read()?;
        if places.iter().any(Place::is_tls) {
            // A worker that could reach nobody is none.
            tls.config().map_err(|error| PyValueError::new_err(error.to_owned()))?;
        }
        let timeout_ms = ms_or_for_ever(self.timeout_s);
        let terms = UpstreamTerms {
            name,
            key,
            counted_as: self.counted_as,
            balance: read_balance(&balance)?,
            member: MemberTerms { max_in_flight, circuit, keep },
            resolve_ms: self.resolve_s.map(ms),
            probe,
            times: Times {
                connect_ms: ms(self.connect_timeout_s),
                first_byte_ms: timeout_ms,
                idle_ms: timeout_ms,
                tunnel_ms: ms_or_for_ever(self.tunnel_timeout_s),
            },
            limits: Limits::default(),
            variables,
            tls: Arc::new(tls),
            max_retries: retries,
            via: String::new(),
        };
        Ok(Upstream::at(terms, places))
    }
}

fn read_balance(text: &str) -> PyResult<Balance> {
    Ok(match text.split_once(':') {
        None if text == "round-robin" => Balance::RoundRobin,
        None if text == "least-requests" => Balance::LeastRequests,
        Some(("header", name)) => Balance::ConsistentHash(HashBy::Header(name.to_owned())),
        Some(("cookie", name)) => Balance::ConsistentHash(HashBy::Cookie(name.to_owned())),
        _ => {
            return Err(PyValueError::new_err(format!(
                "balance: expected round-robin, least-requests, header:NAME or cookie:NAME, got {text}"
            )));
        }
    })
}

fn ms(seconds: f64) -> u64 {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_millis(FOR_EVER_MS));
    u64::try_from(duration.as_millis()).unwrap_or(FOR_EVER_MS)
}

fn ms_or_for_ever(seconds: f64) -> u64 {
    if seconds > 0.0 { ms(seconds) } else { FOR_EVER_MS }
}
