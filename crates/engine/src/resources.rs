//! What all connections of a server share and no connection is needed for: settings, budgets, counters, logs, the
//! wheel, and the way into the runtime.

use crate::access_log::AccessLog;
use crate::access_log::record::AccessRecord;
use crate::access_log::style::Wants;
use crate::account_terms::AccountTerms;
use crate::admission::Admission;
use crate::blocking::BlockingThreads;
use crate::budget::{Budget, Budgets};
use crate::call_orders::CallOrders;
use crate::coalescing::Coalescing;
use crate::disconnect::DisconnectWatcher;
use crate::durations::Counter;
use crate::failed_requests::FailedRequests;
use crate::files::error_pages::{Asking, ErrorPage, ErrorPages, Whose};
use crate::files::named_files::NamedFiles;
use crate::interrupts::Interrupts;
use crate::log::{Level, log};
use crate::message::buffers::Buffers;
use crate::message::encoder::Encoders;
use crate::message::inbound::Inbound;
use crate::notices::Notices;
use crate::profiling::ProfileOrders;
use crate::runtime::Runtime;
use crate::scoreboard::SlotRef;
use crate::settings::Settings;
use crate::slow_calls::SlowCalls;
use crate::spans::Spans;
use crate::stacks::Stacks;
use crate::wheel::Wheel;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use tokio::runtime::Handle;

/// How many threads wait for disks at the same time.
const FILE_THREADS: usize = 4;

/// The shared state.
pub struct Resources {
    /// Bounds and times.
    pub settings: Settings,
    /// What requests and responses may take together.
    pub budgets: Budgets,
    /// Read buffers for reuse.
    pub buffers: Buffers,
    /// Compress responses.
    pub encoders: Arc<Encoders>,
    /// Wait for disks, where files are sent.
    pub file_threads: Arc<BlockingThreads>,
    /// The files that the application may name in place of a body, if any.
    pub named_files: Option<NamedFiles>,
    /// The bodies of what it responds with itself, if they are more than sentences.
    pub error_pages: Option<ErrorPages>,
    /// This server's counters and calls.
    pub slot: SlotRef,
    /// Counts durations in the slot, where these are counted.
    pub durations_counter: Mutex<Counter>,
    /// Where access lines go, if they are wanted.
    pub access_log: Option<AccessLog>,
    /// Where spans go, if they are.
    pub spans: Option<Box<Spans>>,
    /// What is kept of requests until their accounts are made.
    pub account_terms: AccountTerms,
    /// Connections in all and by address.
    pub admission: Admission,
    /// All connections that have a task, and when they are late.
    pub wheel: Wheel,
    /// Responses with coalesced bytes.
    pub coalescing: Coalescing,
    /// What is told once.
    pub notices: Notices,
    /// Interruptions of the crew's first thread.
    pub interrupts: Interrupts,
    /// The stacks of the crew's threads, and of tasks.
    pub stacks: Stacks,
    /// Orders about single calls.
    pub call_orders: CallOrders,
    /// Calls that take long.
    pub slow_calls: Arc<SlowCalls>,
    /// Requests that the application has failed, until the supervisor knows.
    pub failed_requests: Arc<FailedRequests>,
    /// Orders for profiles.
    pub profile_orders: ProfileOrders,
    /// Tells applications of clients that leave.
    pub disconnects: DisconnectWatcher,
    /// Spawns tasks, also from threads that do not drive I/O.
    pub handle: Handle,
    /// Drives I/O. Weak: tasks hold what holds this, and the runtime holds the tasks.
    runtime: Weak<Runtime>,
    /// Set once the server is to leave, now or soon: responses announce `Connection: close`.
    is_draining: Arc<AtomicBool>,
    last_connection_id: AtomicU64,
}

/// What has come of a wait in a call.
pub enum Waited<T> {
    /// What was waited for.
    Done(T),
    /// A signal has come; the wait may be begun again.
    Interrupted,
    /// The server has ended.
    Ended,
}

impl Resources {
    /// The resources of a server that has had no connection.
    pub fn new(
        settings: Settings,
        slot: SlotRef,
        (access_log, spans): (Option<AccessLog>, Option<Box<Spans>>),
        account_terms: AccountTerms,
        named_files: Option<NamedFiles>,
        error_pages: Option<ErrorPages>,
        runtime: &Arc<Runtime>,
    ) -> Arc<Resources> {
        let (possible_connections, temporary_files) = shares_of_descriptors();
        let connections = settings.max_connections.min(possible_connections);
        let memory = Budget::new(settings.max_buffered_bytes);
        Arc::new(Resources {
            admission: Admission::new(
                connections,
                settings.max_connections_per_address.most(),
                settings.max_in_flight,
                slot.clone(),
            ),
            buffers: Buffers::new(&memory),
            encoders: Encoders::new(u32::try_from(settings.compress_level).unwrap_or(9), &memory),
            file_threads: Arc::new(BlockingThreads::new(FILE_THREADS)),
            named_files,
            error_pages,
            budgets: Budgets {
                memory,
                temporary: Budget::new(settings.max_temporary_bytes),
                files: Budget::new(temporary_files),
            },
            settings,
            slot,
            durations_counter: Mutex::default(),
            access_log,
            spans,
            account_terms,
            wheel: Wheel::new(),
            coalescing: Coalescing::default(),
            notices: Notices::default(),
            interrupts: Interrupts::default(),
            stacks: Stacks::default(),
            call_orders: CallOrders::default(),
            slow_calls: Arc::default(),
            failed_requests: Arc::default(),
            profile_orders: ProfileOrders::default(),
            disconnects: DisconnectWatcher::default(),
            handle: runtime.handle().clone(),
            runtime: Arc::downgrade(runtime),
            is_draining: Arc::default(),
            last_connection_id: AtomicU64::new(0),
        })
    }

    /// A number for a new connection.
    pub fn next_connection_id(&self) -> u64 {
        self.last_connection_id.fetch_add(1, Relaxed) + 1
    }

    /// The page of a response of the server's with this `status` to the request in `inbound`, if that was understood.
    pub fn error_page(&self, whose: Whose, inbound: Option<&Inbound>, status: u16) -> Option<&Arc<ErrorPage>> {
        let pages = self.error_pages.as_ref()?;
        pages.find(&Asking::of(whose, inbound), status)
    }

    /// Begins to drain: for clients, from the moment that the end is announced.
    pub fn drain(&self) {
        self.is_draining.store(true, SeqCst);
    }

    /// Whether this server is on its way out, for who wants to know it for longer than there is a server.
    pub fn drain_flag(&self) -> Arc<AtomicBool> {
        self.is_draining.clone()
    }

    /// Whether this server is on its way out.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Relaxed)
    }

    /// Whether connections may outlive a response.
    pub fn keeps_connections(&self) -> bool {
        self.settings.keep_alive_s.ms() > 0 && !self.is_draining()
    }

    /// What has to be taken of requests for their accounts.
    pub fn wants(&self) -> Wants {
        self.account_terms.wants
    }

    /// Writes a finished request to the access log, if there is one, and its span to where these go.
    pub fn log_access(self: &Arc<Self>, record: &AccessRecord<'_>) {
        if let Some(spans) = &self.spans {
            spans.end(record);
        }
        if let Some(access_log) = &self.access_log
            && access_log.add(record)
        {
            // Not here: this may be attached to the interpreter, and a disk slow.
            let there = self.clone();
            self.handle.spawn(async move { there.flush_access_log() });
        }
    }

    /// Lets access lines go to `file` from now on, if there is an access log.
    pub fn reopen_access_log(&self, file: &OwnedFd) {
        if let Some(Err(error)) = self.access_log.as_ref().map(|access_log| access_log.reopen(file)) {
            log(Level::Error, &format!("cannot reopen the access log: {error}; going on with the file of before"));
        }
    }

    /// Whether the access log should be written before the next call.
    pub fn is_access_log_due(&self) -> bool {
        self.access_log.as_ref().is_some_and(AccessLog::is_due)
    }

    /// How much who reads the access log has not taken yet.
    pub fn access_log_bytes(&self) -> usize {
        self.access_log.as_ref().map_or(0, AccessLog::left_bytes)
    }

    /// Writes what the access log has buffered, after whoever does at the moment.
    pub fn flush_access_log_in_turn(&self) {
        if let Some(access_log) = &self.access_log {
            access_log.flush_in_turn();
        }
    }

    /// Writes what the access log has buffered, as far as it can be without waiting; false if some of it is left.
    pub fn flush_access_log(&self) -> bool {
        self.access_log.as_ref().is_none_or(AccessLog::flush)
    }

    /// Waits for a client, driving I/O, on a thread that is in the application for the call in `cell`: the call's time
    /// stands still. What is ready at once costs no wait.
    pub fn wait_in_call<F: Future>(&self, cell: usize, until: F) -> Waited<F::Output> {
        let mut until = pin!(until);
        if let Poll::Ready(output) = until.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Waited::Done(output);
        }
        let Some(runtime) = self.runtime.upgrade() else { return Waited::Ended };
        self.slot.call_rests(cell);
        let output = runtime.block_on(async {
            tokio::select! {
                biased;
                output = until => Waited::Done(output),
                () = self.interrupts.next(), if cell == 0 => Waited::Interrupted,
            }
        });
        self.slot.call_goes_on(cell);
        output
    }

    /// As `wait_in_call`, where a signal ends nothing: handlers run, and the wait goes on. None if the server has ended.
    pub fn wait_out_call<F: Future>(&self, cell: usize, until: F) -> Option<F::Output> {
        let mut until = pin!(until);
        loop {
            match self.wait_in_call(cell, until.as_mut()) {
                Waited::Done(output) => return Some(output),
                Waited::Interrupted => self.interrupts.handle(),
                Waited::Ended => return None,
            }
        }
    }
}

/// How many descriptors connections may use, and how many temporary files: what the process may open, less a reserve
/// for the application and the logs. Both are bounded, so that slow readers whose responses are kept in files cannot
/// keep others from coming in.
fn shares_of_descriptors() -> (usize, u64) {
    const RESERVE: u64 = 64;
    const MAX_FILES: u64 = 2048;
    let all = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = (all / 5).min(MAX_FILES);
    let connections = (all - files).saturating_sub(RESERVE).max(all / 2);
    (usize::try_from(connections).unwrap_or(usize::MAX).max(1), files)
}
