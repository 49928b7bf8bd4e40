//! The bridge to WSGI (PEP 3333): one call of the application for one request.
//!
//! Runs on crew threads, attached to the interpreter. `serve` brings the engine and the application together, `environ`
//! and `input` go in, `start_response` and `response` come out. It knows heads and bodies, never a socket.

pub mod disconnect;
pub mod draining;
pub mod environ;
pub mod event_loop;
pub mod failure;
pub mod file_wrapper;
mod forked;
pub mod input;
mod ladder;
mod location;
mod logged;
mod parking;
mod pending;
mod plain_response;
mod profile;
pub mod proxy_errors;
mod recent;
mod references;
mod released;
pub mod response;
pub mod serve;
mod socket;
pub mod start_response;
mod thread;
mod watched;

use crate::embedder::Embedder;
use environ::{Environ, RequestParts};
use failure::{RequestLabel, Served};
use ladder::{Extensions, ThreadCall};
use logged::{Logged, LoggedKeys};
use portico_engine::access_log::field::ROUTE;
use portico_engine::calls::{Call, Caller, Outcome, panic_message};
use portico_engine::clock::DateHeader;
use portico_engine::message::body::Body;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use start_response::ExchangePool;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use thread::Introduction;

/// What every bridge is made from.
pub struct Parts {
    /// The applications.
    pub served: Vec<Served>,
    /// What environ begins as.
    pub environ: Box<Environ>,
    /// Who has started the server.
    pub embedder: Embedder,
}

/// The means to call the application, once at a time: those of a crew thread, or of a seat beside others on the thread of an
/// event loop. Nobody else has it meanwhile, so nothing in it is locked.
pub struct Bridge {
    introduction: Introduction,
    applications: Vec<Bridged>,
    environ: Box<Environ>,
    embedder: Embedder,
    thread_call: Arc<ThreadCall>,
    date: DateHeader,
    logged_keys: LoggedKeys,
}

/// One of the server's applications.
struct Bridged {
    served: Served,
    /// From its first call on this thread.
    pool: Option<ExchangePool>,
}

impl Bridge {
    /// One for the calls that `thread_call` shows.
    pub fn new(
        py: Python<'_>,
        introduction: Introduction,
        parts: &Parts,
        thread_call: Arc<ThreadCall>,
    ) -> PyResult<Bridge> {
        let Parts { served, environ, embedder } = parts;
        Ok(Bridge {
            introduction,
            applications: served.iter().map(|one| Bridged { served: one.for_thread(py), pool: None }).collect(),
            environ: environ.for_thread(py, Extensions::new(thread_call.clone()))?,
            embedder: embedder.clone(),
            thread_call,
            date: DateHeader::default(),
            logged_keys: LoggedKeys::default(),
        })
    }

    /// The next call is a part of `task`, until `end_task`.
    pub fn begin_task(&self, task: Py<PyAny>) {
        self.thread_call.begin_task(task);
    }

    /// It was.
    pub fn end_task(&self) {
        self.thread_call.end_task();
    }
}

/// A bridge of a thread that is attached to the interpreter.
pub struct Attached<'a, 'py> {
    /// That it is.
    pub py: Python<'py>,
    /// The bridge.
    pub bridge: &'a mut Bridge,
}

impl Caller for Attached<'_, '_> {
    fn outside<T: Send>(&mut self, wait: impl FnOnce() -> T + Send) -> T {
        self.py.detach(wait)
    }

    fn call(&mut self, call: &mut Call<'_>) -> Outcome {
        let py = self.py;
        let Bridge { introduction, applications, environ, embedder, thread_call, date, logged_keys } =
            &mut *self.bridge;
        introduction.make(py);
        let Call { inbound, sender, application, mounted, cell, started_ns, resources, said, .. } = *call;
        let Some(Bridged { served: application, pool }) = applications.get_mut(application) else {
            return given_up(call);
        };
        let logged = Logged::new(resources, said);
        let failed = &resources.failed_requests;
        let label = RequestLabel { embedder, application, inbound, logged: &logged, failed };
        let pool = match pool {
            Some(pool) => pool,
            None => match ExchangePool::new(py, &application.name, thread_call) {
                Ok(made) => pool.insert(made),
                Err(error) => {
                    label.log_exception(py, &error);
                    return given_up(call);
                }
            },
        };
        let exchange = match pool.begin(py, &mut call.responder) {
            Ok(exchange) => exchange,
            Err(error) => {
                label.log_exception(py, &error);
                return given_up(call);
            }
        };
        let body = call.body.take().unwrap_or(Body::Empty);
        let parts = RequestParts { resources, cell, waits: &thread_call.waits, inbound, body, sender, mounted };
        let (mut input, mut watched) = (None, None);
        thread_call.enter(started_ns);
        // A panic here is a mistake of the bridge: one response with 500, and everybody else is served.
        let called = catch_unwind(AssertUnwindSafe(|| {
            let result = environ.build(py, parts, &exchange).and_then(|(environ, body)| {
                input = body;
                logged.will_have(&environ);
                watched = thread_call.watched.enter(&environ);
                let arguments = (environ, exchange.start_response.clone_ref(py));
                application.callable.bind(py).call1(arguments)
            });
            response::send(py, &exchange, thread_call, result, date, label)
        }));
        let outcome = called.unwrap_or_else(|panic| {
            let error = PyRuntimeError::new_err(format!("the server has panicked: {}", panic_message(&*panic)));
            response::send(py, &exchange, thread_call, Err(error), date, label)
        });
        if outcome.status >= 500 {
            label.report_status(py, outcome.status);
        }
        if resources.slow_calls.has(cell) {
            resources.slow_calls.name(cell, &logged.value(py, ROUTE), &logged.request_id(py));
        }
        logged.keep(py, logged_keys);
        thread_call.watched.leave(py, started_ns, watched);
        if let Some(input) = input {
            environ.take_back_input(py, input);
        }
        if let Err(error) = environ.renew_empty_input(py).and_then(|()| environ.renew_extension(py)) {
            label.log_exception(py, &error);
        }
        pool.end(py, exchange, environ.references());
        if let Err(error) = embedder.response_ended(py, outcome) {
            label.log_exception(py, &error);
        }
        outcome
    }
}

/// Ends the response of a call that cannot be made, as if the connection had broken.
#[cold]
fn given_up(call: &mut Call<'_>) -> Outcome {
    if let Some(responder) = call.responder.take() {
        responder.abort();
    }
    Outcome { status: 0, body_bytes: 0 }
}
