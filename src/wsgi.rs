//! The bridge to WSGI (PEP 3333): one call of the application for one request.
//!
//! Runs on crew threads, attached to the interpreter. `worker` makes the engine and the threads,
//! `environ` and `input` go in, `start_response` and `answer` come out. It knows heads and bodies,
//! never a socket. `src/wsgi` is the only place with Python objects beside `lib` and `settings`.

pub mod answer;
pub mod disconnect;
pub mod environ;
pub mod failure;
pub mod file_wrapper;
pub mod front_errors;
pub mod input;
mod recent;
pub mod start_response;
pub mod worker;

use crate::access_log::Record;
use crate::clock::{self, DateHeader};
use crate::connection::refusal::{self, Overload};
use crate::connection::responder::Responder;
use crate::connection::{Inbound, Request};
use crate::engine::Engine;
use environ::{Environ, Origin};
use failure::Site;
use pyo3::prelude::*;
use start_response::Starter;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

/// One crew thread's means to call the application; owned by that thread, so nothing in it is locked.
pub struct Bridge {
    engine: &'static Engine,
    application: Py<PyAny>,
    name: String,
    environ: Environ,
    starter: Starter,
    date: DateHeader,
}

/// What the account of a finished request needs.
pub struct Outcome {
    /// The status sent; 0 if the client was gone before any.
    pub status: u16,
    /// Body bytes accepted for sending.
    pub body_bytes: u64,
}

impl Bridge {
    /// A bridge for one thread.
    pub fn new(
        py: Python<'_>,
        engine: &'static Engine,
        application: &Py<PyAny>,
        environ: &Environ,
    ) -> PyResult<Bridge> {
        let name = failure::application_name(application.bind(py));
        Ok(Bridge {
            engine,
            application: application.clone_ref(py),
            environ: environ.for_thread(py),
            starter: Starter::new(py, &name)?,
            name,
            date: DateHeader::default(),
        })
    }

    /// Answers one request; true if thread `me` leads the crew afterwards.
    pub fn answer(&mut self, py: Python<'_>, me: usize, request: Request) -> bool {
        let engine = self.engine;
        let started_ns = clock::monotonic_ns();
        if engine.crew.is_expired(&request, started_ns) {
            refusal::shed(request, Overload::WaitedTooLong);
            return engine.crew.leads(me);
        }
        let Request { connection, inbound, body, keep_alive, arrived_ns, .. } = request;
        let (bytes, head) = (inbound.bytes(), &inbound.head);
        let method = head.method.of(bytes);
        let path = head.path.of(bytes);
        let site = Site { application: &self.name, method, path };
        let route = route(path);
        engine.slot.call_started(me, method, path, started_ns);
        let start = engine.crew.before_call(me, route);

        let origin = Origin::of(&connection);
        let client = origin.client;
        let responder = Responder::new(connection, &inbound, &body, keep_alive);
        let exchange = match self.starter.begin(py, responder) {
            Ok(exchange) => exchange,
            Err(failure) => {
                let (error, responder) = *failure;
                site.log_exception(py, &error);
                responder.cut();
                engine.slot.call_ended(me);
                return engine.crew.after_call(me, route, start, 0);
            }
        };
        let outcome = match self.environ.build(py, engine, &inbound, body, &origin, &exchange) {
            Ok(environ) => {
                let arguments = (environ, exchange.start_response.clone_ref(py));
                let result = self.application.bind(py).call1(arguments);
                answer::send(py, &exchange, result, &mut self.date, site)
            }
            Err(error) => answer::send(py, &exchange, Err(error), &mut self.date, site),
        };
        self.starter.end(py, exchange);

        let ended_ns = clock::monotonic_ns();
        engine.slot.call_ended(me);
        engine.slot.requests.fetch_add(1, Relaxed);
        engine.slot.bytes_sent.fetch_add(outcome.body_bytes, Relaxed);
        if outcome.status >= 500 {
            engine.slot.errors.fetch_add(1, Relaxed);
        }
        log_access(engine, &inbound, client, &outcome, ended_ns.saturating_sub(arrived_ns));
        engine.return_buffer(inbound);
        engine.crew.after_call(me, route, start, ended_ns.saturating_sub(started_ns))
    }
}

/// The route whose calls are averaged together: the path's first segment.
fn route(path: &[u8]) -> usize {
    let end = path.iter().skip(1).position(|byte| *byte == b'/').map_or(path.len(), |end| end + 1);
    // FNV-1a: a few multiplications, good enough for 256 places.
    path.iter()
        .take(end.min(32))
        .fold(0xcbf2_9ce4_8422_2325_usize, |hash, byte| (hash ^ usize::from(*byte)).wrapping_mul(0x0100_0000_01b3))
        >> 7
}

fn log_access(
    engine: &'static Engine,
    inbound: &Inbound,
    client: Option<SocketAddr>,
    outcome: &Outcome,
    duration_ns: u64,
) {
    if engine.access_log.is_none() {
        return;
    }
    engine.log_access(&Record {
        client: inbound.client(client).0,
        request_line: &inbound.request_line(),
        status: outcome.status,
        body_bytes: outcome.body_bytes,
        referer: inbound.header("referer"),
        user_agent: inbound.header("user-agent"),
        duration_ns,
    });
}
