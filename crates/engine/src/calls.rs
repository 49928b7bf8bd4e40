//! Calls of the application: the loop that joins the queue of requests and whatever calls an application. A call is one
//! run of the application for one request; its cell of the scoreboard, its time and its account are kept here.

use crate::access_log::record::Keeper;
use crate::call_times::CallTimes;
use crate::clock;
use crate::connection::origin::Sender;
use crate::exchange::account::{Account, OfCall};
use crate::exchange::error_response::{Overload, shed};
use crate::exchange::request::Request;
use crate::exchange::responder::Responder;
use crate::log::{Level, log};
use crate::message::body::Body;
use crate::message::inbound::Inbound;
use crate::resources::Resources;
use crate::scoreboard::{ShownRequest, Slot};
use crate::server::Server;
use crate::slow_calls::Named;
use crate::thread_cpu::ThreadCpu;
use portico_crew::Called;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// One thread's means to call the application: the bridge to Python, or a plain function.
pub trait Caller {
    /// Runs `wait`, which may take long, holding nothing that other threads need (such as an interpreter's lock).
    fn outside<T: Send>(&mut self, wait: impl FnOnce() -> T + Send) -> T;

    /// Calls the application once, and ends its response.
    fn call(&mut self, call: &mut Call<'_>) -> Outcome;
}

/// What a call is given. It is large, so it is lent; what each call takes out of it is optional.
pub struct Call<'a> {
    /// The request's head.
    pub inbound: &'a Inbound,
    /// The request's body.
    pub body: Option<Body>,
    /// Who has sent the request.
    pub sender: &'a Sender,
    /// Where the response goes; it ends when this is dropped.
    pub responder: Option<Responder>,
    /// Which of the server's applications is called.
    pub application: usize,
    /// How many bytes before the path are where it is mounted, by the routes.
    pub mounted: u32,
    /// The call's cell of the scoreboard.
    pub cell: usize,
    /// When the call began, monotonic nanoseconds.
    pub started_ns: u64,
    /// What the server shares.
    pub resources: &'a Arc<Resources>,
    /// Where what the access line has of the environ is kept, if it has something.
    pub said: Option<&'a Keeper>,
}

/// What a call has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The status; 0 if the client was gone before any.
    pub status: u16,
    /// Body bytes accepted for sending.
    pub body_bytes: u64,
}

/// The calls of one crew thread.
pub struct Calls<'a, C> {
    /// The server.
    pub server: &'a Server,
    /// What calls the application.
    pub caller: &'a mut C,
    /// The thread.
    pub me: usize,
    /// Since when the thread has what it takes out of the queue next: before it waited for the interpreter.
    pub free_since_ns: u64,
    /// When its last call ended, if it has had the interpreter ever since; else 0.
    pub ended_ns: u64,
    /// What the thread's calls use; none where others run on it between their beginning and their end.
    pub cpu: Option<ThreadCpu>,
    /// What was kept of its call before, for the next one to be kept in.
    pub spare: Option<Keeper>,
}

impl<'a, C> Calls<'a, C> {
    /// Those of the thread `me`.
    pub fn new(server: &'a Server, caller: &'a mut C, me: usize) -> Calls<'a, C> {
        Calls { server, caller, me, free_since_ns: 0, ended_ns: 0, cpu: Some(ThreadCpu::default()), spare: None }
    }

    /// A call in the cell `me`, on a thread that has others at the same time. It has the interpreter.
    pub fn beside_others(server: &'a Server, caller: &'a mut C, me: usize, spare: Option<Keeper>) -> Calls<'a, C> {
        Calls { server, caller, me, free_since_ns: clock::monotonic_ns(), ended_ns: 0, cpu: None, spare }
    }
}

impl<C: Caller> portico_crew::JobHandler<Request> for Calls<'_, C> {
    fn outside<T: Send>(&mut self, wait: impl FnOnce() -> T + Send) -> T {
        let (slot, is_timed) = (&self.server.resources.slot, self.server.resources.account_terms.is_timed);
        let (come_of_it, free_since_ns) = self.caller.outside(|| {
            let come_of_it = wait();
            // Who holds the interpreter may never give it back.
            slot.waits_for_interpreter(self.me);
            (come_of_it, if is_timed { clock::monotonic_ns() } else { 0 })
        });
        self.free_since_ns = free_since_ns;
        self.ended_ns = 0;
        slot.has_interpreter(self.me);
        come_of_it
    }

    fn interrupted(&mut self) {
        self.server.resources.interrupts.handle();
    }

    fn call(&mut self, me: usize, request: Request) -> Called {
        let Server { resources, crew, .. } = self.server;
        // In a batch a call begins where the one before has ended: one look at the clock for both.
        let started_ns = if self.ended_ns == 0 { clock::monotonic_ns() } else { self.ended_ns };
        if crew.is_expired(&request, started_ns) {
            shed(request, Overload::WaitedTooLong);
            self.flush_access_log_if_due();
            return Called { started_ns, ended_ns: started_ns };
        }
        let Request { connection, inbound, body, application, mounted, keep_alive, arrived_ns, room, whose, .. } =
            request;
        let (bytes, head) = (inbound.bytes(), &inbound.head);
        let sender = connection.sender();
        let client = sender.client;
        let line = resources.account_terms.is_recorded.then(|| inbound.request_line());
        let shown = ShownRequest {
            application,
            method: head.method.of(bytes),
            path: head.path.of(bytes),
            arrived_ns,
            taken_ns: self.free_since_ns,
            logged: line.as_deref().map(|line| (inbound.client(client).0, line)),
            trace: inbound.trace.as_deref(),
        };
        let wants = resources.wants();
        let said = wants.keeper(self.spare.take());
        let cpu_ns = self.cpu.as_mut().filter(|_| wants.cpu).map(|cpu| cpu.at(started_ns));
        let entered = Cell::enter(&resources.slot, me, &shown, started_ns);
        connection.trace(|| format!("called on thread {me}"));

        let mut call = Call {
            inbound: &inbound,
            responder: Some(Responder::new(connection, Some(me), &inbound, &body, keep_alive, room, whose)),
            body: Some(body),
            sender: &sender,
            application,
            mounted,
            cell: me,
            started_ns,
            resources,
            said: said.as_ref(),
        };
        if wants.head
            && let Some(responder) = &mut call.responder
        {
            responder.keep(&said);
        }
        // A panic is one response with 500: its responder sees to that when it is dropped.
        let called = catch_unwind(AssertUnwindSafe(|| self.caller.call(&mut call)));
        drop(call);
        let Outcome { status, body_bytes } = called.unwrap_or_else(|panic| panicked(&*panic));

        if me == 0 {
            resources.interrupts.doubt();
        }
        let ended_ns = clock::monotonic_ns();
        let duration_ns = ended_ns.saturating_sub(arrived_ns);
        let is_timed = resources.account_terms.is_timed;
        let mut times =
            if is_timed { resources.slot.call_times(me, started_ns, ended_ns) } else { CallTimes::default() };
        times.cpu_ns = self.cpu.as_mut().zip(cpu_ns).map(|(cpu, before_ns)| cpu.at(ended_ns).saturating_sub(before_ns));
        if resources.slow_calls.has(me) {
            let times = if is_timed { times } else { resources.slot.call_times(me, started_ns, ended_ns) };
            let application = resources.account_terms.application(application);
            let named = Named { method: head.method.of(bytes), path: head.path.of(bytes), status, application };
            if let Some(record) = resources.slow_calls.end(me, started_ns, &times, &named) {
                log(Level::Warning, &record);
            }
        }
        resources.slot.settle_at_end(me, started_ns, || {
            let account = Account {
                client,
                inbound: Some(&inbound),
                has_head: true,
                status,
                body_bytes,
                duration_ns,
                call: Some(OfCall { application, thread: me, ended_ns, times }),
                said: said.as_ref(),
            };
            account.settle(resources);
        });
        drop(entered);
        self.spare = said;
        self.free_since_ns = ended_ns;
        self.ended_ns = ended_ns;
        resources.buffers.give_back(inbound);
        self.flush_access_log_if_due();
        Called { started_ns, ended_ns }
    }
}

impl<C: Caller> Calls<'_, C> {
    /// In a batch of calls nobody else may come to it.
    fn flush_access_log_if_due(&mut self) {
        let resources = &self.server.resources;
        if resources.is_access_log_due() {
            self.caller.outside(|| resources.flush_access_log_in_turn());
        }
    }
}

/// A call's cell of the scoreboard, which is left when this is dropped.
struct Cell<'a> {
    slot: &'a Slot,
    index: usize,
}

impl Cell<'_> {
    fn enter<'a>(slot: &'a Slot, index: usize, request: &ShownRequest<'_>, now_ns: u64) -> Cell<'a> {
        slot.call_started(index, request, now_ns);
        Cell { slot, index }
    }
}

impl Drop for Cell<'_> {
    fn drop(&mut self) {
        self.slot.call_ended(self.index);
    }
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    log(Level::Error, &format!("a call has panicked: {}", panic_message(panic)));
    Outcome { status: 500, body_bytes: 0 }
}

/// What a panic says.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
