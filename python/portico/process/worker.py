"""A worker as itself: forget the supervisor, load the application, report, serve, leave.

With `preload` the application is loaded already, and it is `template.py` that calls what is here.

Runs in a forked process, on its main thread. Receives an `Assignment`; everything after the application is
loaded is the engine's (`_core.serve`). It must not keep any descriptor by which another process would be
taken for alive.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import sys

# The engine imports `threads` in each worker: here, all have it in the memory that they share.
from portico import _core, log, threads  # noqa: F401
from portico.config.identity import are_privileges_given_up
from portico.config.log_daemon import is_log_daemon
from portico.config.log_file import open_log_file
from portico.config.values import AUTO, THREADS
from portico.errors import EXIT_APPLICATION, EXIT_FINE, EXIT_UNEXPECTED, OperatorError
from portico.process.forked import leave_server_behind
from portico.process.import_watch import show_no_stack, show_stack_when_asked
from portico.process.loaded import Loaded
from portico.process.loading import enter, load_in, prepare_event_loop
from portico.process.messages import Failed, Ready, encode
from portico.process.signals import STACKS_SIGNAL, WORKER_SIGNALS, SignalPipe, signal
from portico.process.tracebacks import traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from portico.config.settings import Settings
    from portico.hooks import Server
    from portico.process.plan import Listener, Plan
    from portico.types import (
        EngineListener,
        EngineRouting,
        ErrorLog,
        EventLoop,
        OnInterrupt,
        OnResponse,
        WSGIApplication,
    )

# At the end, for who reads the error log.
LOG_PATIENCE_S = 0.2
STANDARD_OUTPUT_FD = 1
_STANDARD_ERROR_FD = 2


class Assignment:
    """What a forked process takes over from the supervisor to become a worker, or a template of workers."""

    __slots__ = (
        "is_template",
        "member_orders",
        "multiprocess",
        "plan",
        "scoreboard",
        "server",
        "slot",
        "spans_fd",
        "stack_fd",
        "supervisor_fd",
    )

    def __init__(
        self,
        plan: Plan,
        scoreboard: _core.Scoreboard,
        *,
        slot: int,
        supervisor_fd: int,
        stack_fd: int,
        multiprocess: bool,
        server: Server | None = None,
        is_template: bool = False,
        member_orders: str = "",
        spans_fd: int = -1,
    ) -> None:
        self.server = server
        self.plan = plan
        self.scoreboard = scoreboard
        self.slot = slot
        self.supervisor_fd = supervisor_fd
        self.stack_fd = stack_fd
        self.multiprocess = multiprocess
        self.is_template = is_template
        # What was ordered of members of upstreams before.
        self.member_orders = member_orders
        # Where spans of requests go, if anywhere.
        self.spans_fd = spans_fd


class WorkerListener:
    """What the engine reads of one listener (`portico.types.EngineListener`)."""

    def __init__(self, listener: Listener) -> None:
        address = listener.address
        self.fd = listener.fd
        self.protocol = address.scheme
        self.proxy = address.proxy
        self.persistent = address.persistent
        self.stderr = address.stderr
        self.display = listener.display
        self.is_connection = False


class WorkerProcess:
    """What only this process knows (`portico.types.EngineProcess`), beside the settings."""

    def __init__(
        self, assignment: Assignment, loaded: Loaded, *, signals: SignalPipe, access_log_fd: int
    ) -> None:
        self.listeners: list[EngineListener] = [
            WorkerListener(listener) for listener in assignment.plan.listeners
        ]
        self.signal_fd = signals.read_fd
        self.wakeup_fd = signals.write_fd
        self.wakeup_read_fd = -1
        self.supervisor_fd = assignment.supervisor_fd
        self.ready_frame = encode(Ready(loaded.title))
        # Connections are accepted as they come.
        self.gate_fd = -1
        self.multiprocess = assignment.multiprocess
        self.access_log_fd = access_log_fd
        self.access_log_colour = access_log_fd >= 0 and shows_colour(access_log_fd)
        self.spans_fd = assignment.spans_fd
        self.errors: ErrorLog = log.ErrorStream()
        self.has_metrics = assignment.plan.has_metrics
        self.application_name = loaded.name
        self.innermost: WSGIApplication | None = loaded.innermost
        self.has_middleware = loaded.has_middleware
        # An application is not asked what becomes of its worker.
        self.on_interrupt: OnInterrupt | None = None
        self.on_response: OnResponse | None = None
        self.event_loop: EventLoop | None = loaded.event_loop
        self.routing: EngineRouting | None = loaded.routing
        if self.routing is not None:
            self.routing.member_orders = assignment.member_orders


def run_worker(assignment: Assignment) -> NoReturn:
    """Be a worker until told to stop; ends the process."""
    signals = begin(assignment)
    # The last of what only the supervisor's user may do; nothing of the application's has run yet.
    access_log_fd = open_access_log(assignment.plan)
    configure_logging(assignment)
    give_up_privileges(assignment)
    hand_on_records(assignment)
    loaded = load_and_warm_up(assignment, event_loop=prepare_calls(assignment))
    signals.watch_what_is_free(WORKER_SIGNALS)
    process = WorkerProcess(assignment, loaded, signals=signals, access_log_fd=access_log_fd)
    serve_and_leave(loaded, process, assignment)


def set_up_streams() -> None:
    """Let what an application prints leave line by line, as on a terminal; and a crash say where it was.

    In the process that forks the workers, once: what each did for itself would be in its own memory.
    """
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()


def begin(assignment: Assignment) -> SignalPipe:
    """Make this forked process a worker, with nothing loaded yet; return where it hears of signals."""
    gc.enable()
    assignment.scoreboard.use_for_metrics(None if assignment.is_template else assignment.slot)
    # People count from one.
    if assignment.is_template:
        name_template(assignment.plan)
    else:
        _core.name_process("portico worker", f"portico: worker {assignment.slot + 1} {assignment.plan.name}")
    configure_log(assignment.plan.settings)
    faulthandler.register(STACKS_SIGNAL, file=_STANDARD_ERROR_FD)
    # Before the application is loaded, which may take signals, or the interpreter's wakeups, for itself.
    signals = SignalPipe()
    signals.receive()
    return signals


def name_template(plan: Plan) -> None:
    """Call this process what it is: it loads the application, and forks workers."""
    _core.name_process("portico preload", f"portico: template {plan.name}")


def configure_log(settings: Settings) -> None:
    """Let this process write to the error log: each does so for itself."""
    is_json = settings.error_log_format == "json"
    _core.configure_log(settings.log_level, shows_colour(_STANDARD_ERROR_FD), is_json)


def shows_colour(fd: int) -> bool:
    """Say whether what is written to `fd` may be coloured (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    # A dumb terminal shows the bytes that others make colours of.
    return bool(os.environ.get("FORCE_COLOR")) or (os.isatty(fd) and os.environ.get("TERM") != "dumb")


def configure_logging(assignment: Assignment) -> None:
    """Have Python's logging as the settings say, with the files that only the supervisor may open."""
    plan = assignment.plan
    if not plan.settings.logconfig:
        return
    # Here, because few have it, and each worker would have it.
    from portico.process.python_logging.in_worker import configure

    try:
        enter(plan.directory, plan.settings.pythonpath)
        configure(plan)
    except OperatorError as error:
        fail(assignment, error.message)


def hand_on_records(assignment: Assignment) -> None:
    """Have the records of this process handed to the logging that was configured, by a thread of their own.

    After privileges were given up: some of them a thread has by itself.
    """
    if assignment.plan.settings.logconfig:
        from portico.process.python_logging.in_worker import begin_thread

        begin_thread(assignment.slot + 1)


def give_up_privileges(assignment: Assignment) -> None:
    """Become who the plan says, and keep no more than it says."""
    plan = assignment.plan
    if not are_privileges_given_up(plan.settings, plan.identity):
        return
    # Here, because most give up nothing, and each worker would have it.
    from portico.process.privileges import give_up

    try:
        # What there is to say of it was said before the start.
        give_up(plan.settings, plan.identity, plan.directory)
    except OperatorError as error:
        fail(assignment, error.message)


def prepare_calls(assignment: Assignment) -> EventLoop | None:
    """Return what the calls are on, if not threads, before anything of the application is imported."""
    try:
        return prepare_event_loop(assignment.plan.directory, assignment.plan.settings)
    except OperatorError as error:
        fail(assignment, error.message)
    except BaseException as error:
        fail(assignment, traceback_of(error))


def load_and_warm_up(
    assignment: Assignment, loaded: Loaded | None = None, *, event_loop: EventLoop | None = None
) -> Loaded:
    """Return what is to be served, ready to be, on `event_loop`; `loaded` is what a template has loaded."""
    show_stack_when_asked(assignment.stack_fd)
    plan = assignment.plan
    try:
        _call_hook(assignment, "post_fork")
        if loaded is None:
            loaded = load_in(plan.directory, plan.settings)
            loaded.event_loop = event_loop
            find_static_files(loaded, assignment)
            _look_at_patches(assignment)
        if plan.settings.warmup and not assignment.is_template:
            from portico.process.warmup import warm_up

            warm_up(loaded.application, plan)
        _call_hook(assignment, "worker_ready")
    except OperatorError as error:
        fail(assignment, error.message)
    except BaseException as error:
        # SystemExit and KeyboardInterrupt too: whatever an import raises, the supervisor has to hear of it.
        fail(assignment, traceback_of(error))
    show_no_stack(assignment.stack_fd)
    return loaded


def find_static_files(loaded: Loaded, assignment: Assignment) -> None:
    """Have the files served that the application has, where that is asked for."""
    settings = assignment.plan.settings
    if AUTO in settings.static_directories:
        # Here, because few ask for it, and each worker would have it.
        from portico.process.static_files import with_static_files

        # Once, and not by each of them.
        tells = assignment.slot == 0 or assignment.is_template
        loaded.settings = with_static_files(settings, loaded.innermost, loaded.name, tells=tells)


def _look_at_patches(assignment: Assignment) -> None:
    """Warn of an application that is made for another way to have many calls at a time, once for all."""
    is_first = assignment.slot == 0 or assignment.is_template
    if is_first and assignment.plan.settings.worker == THREADS and "gevent.monkey" in sys.modules:
        from portico.event_loops.gevent import warn_if_patched

        warn_if_patched()


def _call_hook(assignment: Assignment, name: str) -> None:
    """Call a hook of the user's in a worker, if there is one."""
    plan, server = assignment.plan, assignment.server
    if assignment.is_template or server is None or name not in plan.hooks:
        return
    from portico.hooks import Worker
    from portico.process.hooks import run_in_worker

    enter(plan.directory, plan.settings.pythonpath)
    run_in_worker(plan, name, server, Worker(assignment.slot + 1, pid=os.getpid()))


def serve_and_leave(loaded: Loaded, process: WorkerProcess, assignment: Assignment) -> NoReturn:
    """Serve until told to stop; ends the process."""
    serve(loaded, process, assignment)
    leave(assignment)


def serve(loaded: Loaded, process: WorkerProcess, assignment: Assignment) -> None:
    """Serve until told to stop; ends the process if it is in a call then that does not end."""
    others = (process.signal_fd, process.supervisor_fd, process.gate_fd)
    leave_server_behind([*(each.fd for each in process.listeners), *(fd for fd in others if fd >= 0)])
    settings = loaded.settings or assignment.plan.settings
    log_texts = (settings.access_log_format, settings.access_log_if, *settings.access_log_fields)
    if any("metric." in text for text in log_texts):
        _check_metrics(assignment, settings)
    try:
        all_finished = _core.serve(
            loaded.application, settings, process, assignment.scoreboard, assignment.slot
        )
    except BaseException as error:
        log.error("the worker cannot go on\n" + traceback_of(error, hide_loader=False))
        fail(assignment, f"the server cannot go on: {error}", exit_code=EXIT_UNEXPECTED)
    process.errors.flush()
    if not all_finished:
        # A thread is still inside the application: waiting for it is what the interpreter's orderly end
        # would do.
        leave_at_once(EXIT_FINE)


def _check_metrics(assignment: Assignment, settings: Settings) -> None:
    """End the process if access lines are to have metrics that the application, now loaded, has not made."""
    try:
        _core.check_access_log(settings, assignment.scoreboard, assignment.slot)
    except ValueError as error:
        fail(assignment, str(error), exit_code=EXIT_APPLICATION)


def leave(assignment: Assignment) -> NoReturn:
    """End the process as a program ends that has done all it had to."""
    # What the application has registered with `atexit`, and its non-daemon threads, get as long as a
    # request gets. If the supervisor is gone nobody else would end a worker that hangs here.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, assignment.plan.settings.graceful_timeout_s + 1)
    flush_all()
    sys.exit(EXIT_FINE)


def open_access_log(plan: Plan) -> int:
    """Open the access log by name in each worker, so that a reload finds a file that was moved away."""
    if plan.settings.access_log == "off":
        return -1
    if plan.settings.access_log == "-":
        return STANDARD_OUTPUT_FD
    if is_log_daemon(plan.settings.access_log):
        return _open_log_socket(plan.settings.access_log)
    path = os.path.join(plan.directory, plan.settings.access_log)
    try:
        return open_log_file(path)
    except OSError as error:
        log.error(f"cannot write the access log {path}: {error.strerror}; serving without one")
        return -1


def _open_log_socket(access_log: str) -> int:
    """Open a socket to a log daemon; one that is gone at the moment is connected to later."""
    try:
        fd, why = _core.open_log_socket(access_log)
    except OSError as error:
        log.error(f"cannot write the access log {access_log}: {error.strerror or error}; serving without one")
        return -1
    if why:
        log.warning(
            f"cannot reach the log daemon of {access_log}: {why}; access lines are kept until it is there"
        )
    return fd


def fail(assignment: Assignment, text: str, *, exit_code: int = EXIT_APPLICATION) -> NoReturn:
    """Tell the supervisor why this worker cannot serve; ends the process."""
    data = encode(Failed(text))
    try:
        while data:
            data = data[os.write(assignment.supervisor_fd, data) :]
    except OSError:
        pass  # the supervisor is gone, or does not listen: the exit code says the rest
    leave_at_once(exit_code)


def leave_at_once(code: int) -> NoReturn:
    """End the process whatever goes on in it."""
    flush_all()
    os._exit(code)


def flush_all() -> None:
    """Write what is kept of the streams and of the log."""
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 - contextlib costs every worker 0.4 MB
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed or full: there is nobody left to tell
    _core.flush_log(LOG_PATIENCE_S)
