//! `werkzeug.socket` and `gunicorn.socket`: the connection of a request that asks for a web socket, for libraries that
//! speak that themselves (simple-websocket, and through it Flask-Sock and Flask-SocketIO).
//!
//! It is a plain `socket.socket`, one end of a pair: what its other end does is the engine's (`protocol/upgrade`). Once the
//! application has written to it, what it returns or raises is no response any more.

use super::failure::RequestLabel;
use super::ladder::ThreadCall;
use super::pending::OfferedSocket;
use super::start_response::PythonExchange;
use portico_engine::calls::Outcome;
use portico_engine::connection::exchange::Spoken;
use portico_engine::lock::lock;
use portico_engine::log::{Level, RateLimited, log};
use pyo3::exceptions::{PyOSError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::atomic::Ordering::Relaxed;

/// Shows the application in `environ` a socket, if the connection has one for it. The call is in `cell`.
#[cold]
pub fn offer(py: Python<'_>, environ: &Bound<'_, PyDict>, exchange: &PythonExchange, cell: usize) -> PyResult<()> {
    static RATE: RateLimited = RateLimited::new();
    let connection = lock(&exchange.response).connection.upgrade();
    let Some(upgrade) = connection.and_then(|connection| connection.exchange.offered()) else { return Ok(()) };
    let fd = match upgrade.open(cell) {
        Ok(fd) => fd,
        Err(error) => {
            // Its request is served all the same, without.
            RATE.warn(|| format!("cannot make the socket of a web socket: {error}"));
            return Ok(());
        }
    };
    // Looked up at each: gevent puts its own there.
    let class = py.import("socket")?.getattr("socket")?;
    let socket = class.call((), Some(&[("fileno", fd.as_raw_fd())].into_py_dict(py)?))?;
    // Its own from now on.
    let _ = fd.into_raw_fd();
    // Whatever socket.setdefaulttimeout() has been told.
    socket.call_method1(intern!(py, "settimeout"), (py.None(),))?;
    environ.set_item(intern!(py, "werkzeug.socket"), &socket)?;
    environ.set_item(intern!(py, "gunicorn.socket"), &socket)?;
    lock(&exchange.response).offered_socket = Some(OfferedSocket { upgrade, socket: socket.unbind() });
    Ok(())
}

/// Ends what the application was offered, if anything, with its call, which has raised `error`; what has been sent, if it
/// has taken the socket.
pub fn end(
    py: Python<'_>,
    exchange: &PythonExchange,
    call: &ThreadCall,
    label: &RequestLabel<'_>,
    error: Option<&PyErr>,
) -> Option<Outcome> {
    let OfferedSocket { upgrade, socket } = lock(&exchange.response).offered_socket.take()?;
    let Some(ending) = upgrade.end_call() else {
        // Else the interpreter would complain about one that was not closed.
        if let Err(error) = socket.call_method0(py, "close") {
            log(Level::Debug, &format!("{label} cannot close its socket: {error}"));
        }
        return None;
    };
    let resources = lock(&exchange.response).connection.upgrade().map(|connection| connection.resources.clone());
    let ended = resources.map_or(Ok(None), |resources| call.waits.wait_out(py, &resources, call.cell(), ending));
    let spoken = match ended {
        Ok(spoken) => spoken.unwrap_or_default(),
        Err(thrown) => {
            // Into a greenlet that waits for its client: nobody does any longer.
            upgrade.close();
            label.log_exception(py, &thrown);
            Spoken::default()
        }
    };
    match error {
        // How libraries leave that know of no other way: with what other servers take for the end.
        Some(error) if error.is_instance_of::<PyStopIteration>(py) || error.is_instance_of::<PyOSError>(py) => {
            log(Level::Debug, &format!("{label} has ended its web socket with {error}"));
        }
        Some(error) => label.log_exception(py, error),
        None => {}
    }
    label.inbound.after_upgrade.store(spoken.received_bytes, Relaxed);
    exchange.client.end();
    let responder = lock(&exchange.response).responder.take();
    if let Some(responder) = responder {
        responder.end_upgraded(&spoken.head);
    }
    Some(Outcome { status: spoken.status, body_bytes: spoken.body_bytes })
}
