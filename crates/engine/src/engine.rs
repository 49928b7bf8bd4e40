//! The engine: one server, made of all the parts; served, stopped, freed. Many can be in one process.

use crate::access_log::AccessLog;
use crate::access_log::style::Style;
use crate::account_terms::AccountTerms;
use crate::call_orders::Taker;
use crate::calls::{Caller, Calls};
use crate::clock;
use crate::drain;
use crate::exchange::file_serving::Files;
use crate::exchange::request::Request;
use crate::files::error_pages::{ErrorPages, FilesOfRows};
use crate::files::kept_files::KeptFiles;
use crate::files::named_files::NamedFiles;
use crate::gate::Gate;
use crate::heap;
use crate::interrupts::Handler;
use crate::listener::{BoundListener, Listener};
use crate::lock::lock;
use crate::log::RateLimited;
use crate::loop_thread::{self, LoopThread};
use crate::orders::OrderDescriptors;
use crate::profiling;
use crate::resources::Resources;
use crate::routing::Routing;
use crate::runtime::Runtime;
use crate::scoreboard::SlotRef;
use crate::server::Server;
use crate::settings::Settings;
use crate::slow_calls::SlowCalls;
use crate::spans::Spans;
use crate::stacks::{Teller, TellerOfTasks};
use crate::timer::timeout;
use portico_crew::{Crew, Driver, Taken, Terms};
use rustix::process::{Resource, getrlimit};
use rustix::thread::gettid;
use std::env;
use std::future::Future;
use std::io::{self, IsTerminal as _};
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long threads that are still in the application may take to leave after the crew has stopped.
const LEAVE: Duration = Duration::from_millis(200);

/// What only the process knows of a server, beside its settings.
#[derive(Default)]
pub struct Descriptors {
    /// Where to accept connections.
    pub listeners: Vec<BoundListener>,
    /// Where the server is told to leave.
    pub orders: OrderDescriptors,
    /// Where access lines go, and whether they carry terminal colours.
    pub access_log: Option<(OwnedFd, bool)>,
    /// Where spans go (`spans`).
    pub spans: Option<OwnedFd>,
    /// The names of the applications, for accounts that have them.
    pub applications: Vec<String>,
    /// Whether durations of requests are counted.
    pub has_metrics: bool,
    /// The socket to who is asked before each connection is accepted, if anybody is (`gate`).
    pub gate: Option<OwnedFd>,
    /// What is done with which request, where that is not always the same.
    pub routing: Option<Routing>,
}

/// Whoever calls an application. One for a server.
pub trait Application: Send + Sync + 'static {
    /// A crew thread's whole life: makes what the thread needs to call the application, and has the thread serve.
    ///
    /// # Errors
    /// What the thread needs cannot be made.
    fn run(&self, thread: CrewThread<'_>) -> Result<(), String>;

    /// Whether calls on several threads compute at the same time: where no interpreter's lock is in the way.
    fn computes_in_parallel(&self) -> bool {
        false
    }

    /// Whether all calls are on one thread, that of an event loop: then that is the only one which `run` is called on, with
    /// what `CrewThread::into_loop` is for.
    fn has_event_loop(&self) -> bool {
        false
    }
}

/// A thread of the crew, before it serves.
pub struct CrewThread<'a> {
    server: &'a Arc<Server>,
    driver: &'a IoDriver,
    me: usize,
    /// What it has to call before anything else.
    first: Option<Taken<'a, Request>>,
}

/// A server that is ready to serve.
pub struct Engine {
    driver: IoDriver,
    server: Arc<Server>,
    listeners: Vec<(Arc<Listener>, OwnedFd)>,
    orders: OrderDescriptors,
}

/// How a server has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything that had been accepted was responded to.
    InPeace,
    /// Something was aborted, or a thread is still in the application.
    Aborted,
}

impl CrewThread<'_> {
    /// Which of the crew's threads it is, from 0: the cell of its calls.
    pub fn cell(&self) -> usize {
        self.me
    }

    /// Serves until the server stops.
    pub fn serve(mut self, caller: &mut impl Caller) {
        let (server, me) = (self.server, self.me);
        server.resources.slot.has_interpreter(me);
        server.resources.slot.set_thread_id(me, gettid().as_raw_nonzero().get().unsigned_abs().into());
        server.crew.serve(me, self.first.take(), self.driver, &mut Calls::new(server, caller, me));
    }

    /// The thread of an event loop, which serves by itself.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn into_loop(self) -> io::Result<LoopThread> {
        LoopThread::new(self.server.clone())
    }
}

impl Drop for CrewThread<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.first.take() {
            taken.put_back();
        }
    }
}

impl Engine {
    /// A server with these settings, which counts in `slot`.
    ///
    /// # Errors
    /// The I/O runtime cannot be made, or a directory of files not be opened.
    pub fn new(settings: Settings, process: Descriptors, slot: SlotRef) -> io::Result<Engine> {
        let runtime = Arc::new(Runtime::new()?);
        let terms = Terms {
            threads: settings.most_calls(),
            queue_ns: settings.queue_timeout_s.ns(),
            thread_cpu_ns: clock::thread_cpu_ns,
        };
        slot.set_threads(settings.most_calls());
        let named_files =
            NamedFiles::open(&settings.x_sendfile, &settings.x_accel_redirect).map_err(io::Error::other)?;
        let folders = process.routing.as_ref().map_or(&[][..], |routing| &routing.folders);
        let access_log = match process.access_log {
            Some((fd, colour)) => {
                let style = Style::read(&settings, fd.is_terminal()).map_err(io::Error::other)?;
                style.read_metrics_for(&slot).map_err(io::Error::other)?;
                Some(AccessLog::new(&fd, colour, style, Some(slot.clone()))?)
            }
            None => None,
        };
        let has_metrics = process.has_metrics || access_log.as_ref().is_some_and(|log| log.style().wants_durations());
        if has_metrics {
            slot.use_durations().name_applications(&process.applications);
        }
        let has_spans = process.spans.is_some();
        let account_terms = AccountTerms::new(access_log.as_ref(), has_metrics, has_spans, process.applications);
        let spans = process.spans.map(|socket| Spans::new(socket, &settings, account_terms.variables.clone()));
        let spans = spans.transpose()?.map(Box::new);
        let no_rows = FilesOfRows::default();
        let pages_of_rows = process.routing.as_ref().map_or(&no_rows, |routing| &routing.error_pages);
        let error_pages = ErrorPages::read(&settings.error_pages, pages_of_rows).map_err(io::Error::other)?;
        let resources =
            Resources::new(settings, slot, (access_log, spans), account_terms, named_files, error_pages, &runtime);
        let static_directories = &resources.settings.static_directories;
        // Who changes files, or tests what does, is to see each change at once.
        let is_in_production = process.orders.supervisor.is_some() && process.gate.is_none();
        let kept = is_in_production.then(|| KeptFiles::new(&resources.budgets.memory));
        let files =
            Files::open(static_directories, folders, &resources.file_threads, kept).map_err(io::Error::other)?;
        let gate = {
            let _in_runtime = runtime.enter();
            process.gate.map(Gate::new).transpose()?
        };
        let listeners = process.listeners.into_iter().enumerate().map(|(index, bound)| {
            let (listener, socket) = Listener::new(index, bound);
            (Arc::new(listener), socket)
        });
        Ok(Engine {
            driver: IoDriver { runtime, resources: resources.clone() },
            listeners: listeners.collect(),
            server: Arc::new_cyclic(|this| Server {
                resources,
                crew: Crew::new(terms),
                routing: process.routing,
                gate,
                files,
                this: this.clone(),
            }),
            orders: process.orders,
        })
    }

    /// Sets what handles signals. Called on the thread that `serve` is called on, when it waits for a client or for a
    /// request.
    pub fn on_interrupt(&self, handler: Handler) {
        self.server.resources.interrupts.on_interrupt(handler);
    }

    /// Sets who knows the stacks of the crew's threads, and of the tasks of an event loop.
    pub fn show_stacks_by(&self, of_calls: Teller, of_tasks: TellerOfTasks) {
        self.server.resources.stacks.show_by(of_calls, of_tasks);
    }

    /// Sets who takes orders about single calls.
    pub fn on_call_order(&self, taker: Taker) {
        self.server.resources.call_orders.taken_by(taker);
    }

    /// The calls that take long, for who sees where they stand.
    pub fn slow_calls(&self) -> Arc<SlowCalls> {
        self.server.resources.slow_calls.clone()
    }

    /// Sets who takes orders for profiles.
    pub fn on_profile_order(&self, taker: profiling::Taker) {
        self.server.resources.profile_orders.taken_by(taker);
    }

    /// Whether the server is on its way out, now and when it has ended.
    pub fn drain_flag(&self) -> Arc<AtomicBool> {
        self.server.resources.drain_flag()
    }

    /// The listening sockets, by index.
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners.iter().map(|(listener, _)| listener)
    }

    /// Serves `application` until told to stop; the calling thread is the crew's first. Everything that the server had
    /// is given back when this returns, but for what a thread has that is still in the application.
    ///
    /// # Errors
    /// The server could not begin to serve.
    pub fn serve(self, application: impl Application) -> Result<Ended, String> {
        let begun =
            self.begin(application).map_err(|error| format!("cannot start the server's own thread: {error}"))?;
        let Shared { driver, server, application, .. } = &*begun.shared;
        let first = application.run(CrewThread { server, driver, me: 0, first: None });
        begun.end(first)
    }

    /// Starts all but the crew's first thread. Not inlined: what this has on the stack would be there for as long as the
    /// server serves.
    #[inline(never)]
    fn begin<A: Application>(self, application: A) -> io::Result<Begun<A>> {
        let Engine { driver, server, listeners, orders } = self;
        let outcome = Arc::new(OnceLock::new());
        let shared = Arc::new(Shared { driver, server, application, alive: Mutex::new(0), ended: Condvar::new() });
        let Shared { driver, server, .. } = &*shared;
        if shared.application.computes_in_parallel() {
            server.crew.compute_in_parallel();
        }
        if orders.supervisor.is_some() {
            // This process does nothing but serve.
            heap::share_arenas();
        }
        let beside = if shared.application.has_event_loop() { drive_beside(&shared)? } else { watch(&shared)? };
        driver.runtime.spawn(drain::follow(server.clone(), listeners, orders, outcome.clone()));
        Ok(Begun { shared, beside, outcome })
    }
}

/// Starts the watchdog, and has the crew start its threads when they are needed.
fn watch<A: Application>(shared: &Arc<Shared<A>>) -> io::Result<Beside> {
    let server = &shared.server;
    server.crew.on_spawn({
        let shared = Arc::downgrade(shared);
        Box::new(move |me| spawn(&shared, me))
    });
    server.resources.coalescing.on_first({
        let server = Arc::downgrade(server);
        Box::new(move || {
            if let Some(server) = server.upgrade() {
                server.crew.watchdog().wake();
            }
        })
    });
    let there = shared.clone();
    let thread = Builder::new()
        .name("portico-watch".into())
        .stack_size(128 * 1024)
        .spawn(move || there.server.crew.watch(&there.driver))?;
    Ok(Beside { thread, stop: Arc::default() })
}

/// Starts the thread that drives I/O where all calls are on the one of an event loop.
fn drive_beside<A: Application>(shared: &Arc<Shared<A>>) -> io::Result<Beside> {
    let (coalesced, stop): (Arc<Notify>, Arc<Notify>) = Default::default();
    shared.server.resources.coalescing.on_first({
        let coalesced = coalesced.clone();
        Box::new(move || coalesced.notify_one())
    });
    let (there, until) = (shared.clone(), stop.clone());
    let thread = Builder::new().name("portico-io".into()).spawn(move || {
        there.driver.runtime.block_on(loop_thread::drive(&there.server, &coalesced, &until));
    })?;
    Ok(Beside { thread, stop })
}

/// The plain thread beside those that call the application: the watchdog, or who drives I/O.
struct Beside {
    thread: JoinHandle<()>,
    /// Ends the latter; the watchdog leaves with the crew.
    stop: Arc<Notify>,
}

/// A server whose first thread may serve.
struct Begun<A> {
    shared: Arc<Shared<A>>,
    beside: Beside,
    /// Whether everything was responded to, once that is known.
    outcome: Arc<OnceLock<Result<bool, String>>>,
}

impl<A> Begun<A> {
    /// Gives back what the server has when its first thread has ended, as `first` says. Not inlined, as `Engine::begin`.
    #[inline(never)]
    fn end(self, first: Result<(), String>) -> Result<Ended, String> {
        let Begun { shared, beside, outcome } = self;
        let server = &shared.server;
        // Where it could not begin, nobody else has stopped the crew.
        server.crew.stop();
        beside.stop.notify_one();
        // It only leaves without any panic of its own.
        let _ = beside.thread.join();
        first?;
        let deadline = Instant::now() + LEAVE;
        let have_all_left = shared.wait_for_threads(deadline);
        let left = || deadline.saturating_duration_since(Instant::now());
        let are_files_read = server.resources.file_threads.stop(left());
        let is_calm = server.resources.disconnects.stop(left());
        if let Some(access_log) = &server.resources.access_log {
            access_log.end(Instant::now() + LEAVE);
        }
        // None if the task itself has not come to its end: then nothing is known.
        let has_finished = outcome.get().cloned().unwrap_or(Ok(false))?;
        let is_in_peace = have_all_left && are_files_read && is_calm && has_finished;
        Ok(if is_in_peace { Ended::InPeace } else { Ended::Aborted })
    }
}

/// What the threads of a server share.
struct Shared<A> {
    driver: IoDriver,
    server: Arc<Server>,
    application: A,
    /// Crew threads besides the first that have not ended.
    alive: Mutex<usize>,
    ended: Condvar,
}

impl<A> Shared<A> {
    /// Waits until all threads besides the first have ended; false if `deadline` was earlier.
    fn wait_for_threads(&self, deadline: Instant) -> bool {
        let patience = deadline.saturating_duration_since(Instant::now());
        let waited = self.ended.wait_timeout_while(lock(&self.alive), patience, |alive| *alive > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }

    fn thread_ended(&self) {
        *lock(&self.alive) -= 1;
        self.ended.notify_all();
    }
}

/// Starts crew thread `me`, which leads from its first moment and asks for an interpreter once it has something to call:
/// whoever holds the interpreter must not keep I/O waiting. Called with the crew's threads locked.
fn spawn<A: Application>(shared: &Weak<Shared<A>>, me: usize) -> bool {
    static RATE: RateLimited = RateLimited::new();
    let Some(shared) = shared.upgrade() else { return false };
    *lock(&shared.alive) += 1;
    let there = shared.clone();
    let mut builder = Builder::new().name(format!("portico-{}", me + 1));
    if let Some(stack_bytes) = stack_bytes() {
        builder = builder.stack_size(stack_bytes);
    }
    let started = builder.spawn(move || {
        let Shared { driver, server, application, .. } = &*there;
        if let Some(first) = server.crew.first(me, driver) {
            // Who holds the interpreter may never give it back.
            server.resources.slot.waits_for_interpreter(me);
            if let Err(error) = application.run(CrewThread { server, driver, me, first: Some(first) }) {
                RATE.warn(|| format!("cannot prepare crew thread {me}: {error}"));
                server.resources.slot.has_interpreter(me);
                server.crew.resign(me);
            }
        }
        there.thread_ended();
    });
    if let Err(error) = &started {
        shared.thread_ended();
        RATE.warn(|| format!("cannot start crew thread {me}: {error}; serving with those there are"));
    }
    started.is_ok()
}

/// The stack of a further crew thread: what the first one may grow to, so that a call goes as deep on each. None where
/// RUST_MIN_STACK says it.
fn stack_bytes() -> Option<usize> {
    /// Where the first thread's stack is not bounded.
    const UNBOUNDED: u64 = 8 * 1024 * 1024;
    /// Of the standard library.
    const LEAST: usize = 2 * 1024 * 1024;
    if env::var_os("RUST_MIN_STACK").is_some() {
        return None;
    }
    let limit = getrlimit(Resource::Stack).current.unwrap_or(UNBOUNDED);
    Some(usize::try_from(limit).unwrap_or(usize::MAX).max(LEAST))
}

/// Drives I/O for the crew.
struct IoDriver {
    runtime: Arc<Runtime>,
    resources: Arc<Resources>,
}

impl Driver for IoDriver {
    fn drive<F: Future + Send>(&self, until: F) -> F::Output
    where
        F::Output: Send,
    {
        self.runtime.block_on(until)
    }

    fn drive_for<F: Future<Output = ()> + Send>(&self, until: F, at_most: Duration) {
        // One that ends by time is as good as any.
        let _ = self.runtime.block_on(timeout(at_most, until));
    }

    fn poll(&self) {
        // The first turn asks the kernel what is ready, the second runs the tasks that have waited for it.
        self.runtime.block_on(async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        });
    }

    fn flush(&self) -> bool {
        self.resources.coalescing.flush()
    }

    fn has_unflushed(&self) -> bool {
        self.resources.coalescing.is_any()
    }

    fn before_wait(&self) {
        self.resources.flush_access_log();
    }
}
