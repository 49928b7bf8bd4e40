"""One server of this process, on the thread that asks for it, until it is stopped from any other.

Receives an application, settings and open sockets; the engine (`_core.serve`) does the rest. Signals stay the
program's: no handler is set. On the main thread the engine lets handlers run while it waits, of which it
hears by the interpreter's wakeup descriptor, as long as the program has none of its own; what a handler
raises ends the server and is raised here. On other threads nothing of that is its business.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence

from portico import _core
from portico.config.address import Address
from portico.config.log_daemon import is_log_daemon
from portico.config.settings import Settings
from portico.config.sources import DEFAULT_ORIGIN
from portico.config.values import AUTO
from portico.process.worker import shows_colour
from portico.types import (
    EngineListener,
    EngineRouting,
    ErrorLog,
    EventLoop,
    OnInterrupt,
    OnResponse,
    WSGIApplication,
)

STANDARD_OUTPUT_FD = 1
STANDARD_ERROR_FD = 2

# As the engine reads them (`portico.types.EngineProcess.signal_fd`).
_GRACEFUL = bytes((signal.SIGTERM,))
_QUICK = bytes((signal.SIGINT,))


class Stop:
    """Tells one server to leave: from any thread, while it serves or before."""

    def __init__(self) -> None:
        # A handler of a signal may ask while its own thread does.
        self._lock = threading.RLock()
        self._order = b""
        self._fd = -1

    def gracefully(self) -> None:
        """Finish what has come in, then leave."""
        self._ask(_GRACEFUL)

    def at_once(self) -> None:
        """Leave as soon as no call runs, at most 0.3 s later."""
        self._ask(_QUICK)

    def _ask(self, order: bytes) -> None:
        with self._lock:
            self._order = order
            if self._fd >= 0:
                os.write(self._fd, order)

    @contextlib.contextmanager
    def orders(self) -> Iterator[int]:
        """Yield the descriptor that brings what was asked, which is forgotten afterwards."""
        read_fd, write_fd = os.pipe()
        try:
            with self._lock:
                self._fd = write_fd
                os.write(write_fd, self._order)
            yield read_fd
        finally:
            with self._lock:
                self._fd, self._order = -1, b""
            os.close(read_fd)
            os.close(write_fd)


class Wakeups:
    """Where the interpreter writes that a signal has come while the main thread serves; -1 for nowhere."""

    def __init__(self) -> None:
        self.read_fd = self.write_fd = -1

    @contextlib.contextmanager
    def received(self) -> Iterator[None]:
        """Have it write here for as long as the block lasts. On the main thread only."""
        self.read_fd, self.write_fd = os.pipe()
        try:
            os.set_blocking(self.write_fd, False)
            _set_wakeup(self.write_fd, instead_of=-1)
            try:
                yield
            finally:
                _set_wakeup(-1, instead_of=self.write_fd)
        finally:
            os.close(self.read_fd)
            os.close(self.write_fd)


def _set_wakeup(fd: int, *, instead_of: int) -> None:
    """Have the interpreter write to `fd`, unless it writes elsewhere by now: that is somebody else's."""
    before = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    if before != instead_of:
        signal.set_wakeup_fd(before)


class EmbeddedListener:
    """A socket to serve (`portico.types.EngineListener`); the engine closes `fd`."""

    def __init__(self, fd: int, address: Address, display: str, *, is_connection: bool = False) -> None:
        self.fd = fd
        self.protocol = address.scheme
        self.proxy = address.proxy
        self.persistent = address.persistent
        self.stderr = address.stderr
        self.display = display
        self.is_connection = is_connection


class EmbeddedProcess:
    """What the engine is told of this process (`portico.types.EngineProcess`)."""

    def __init__(
        self,
        listeners: Sequence[EngineListener],
        *,
        orders_fd: int,
        wakeups: Wakeups,
        access_log_fd: int,
        errors: ErrorLog,
        on_interrupt: OnInterrupt | None,
        on_response: OnResponse | None,
    ) -> None:
        self.listeners = list(listeners)
        self.signal_fd = orders_fd
        self.wakeup_fd, self.wakeup_read_fd = wakeups.write_fd, wakeups.read_fd
        self.supervisor_fd = self.gate_fd = -1
        self.ready_frame = b""
        self.multiprocess = False
        self.access_log_fd = access_log_fd
        self.access_log_colour = access_log_fd >= 0 and shows_colour(access_log_fd)
        # Nobody exports them.
        self.spans_fd = -1
        self.errors = errors
        self.has_metrics = False
        self.application_name = ""
        self.innermost: WSGIApplication | None = None
        self.has_middleware = False
        self.on_interrupt = on_interrupt
        self.on_response = on_response
        self.event_loop: EventLoop | None = None
        self.routing: EngineRouting | None = None


def serve_here(
    application: WSGIApplication,
    settings: Settings,
    listeners: Sequence[EngineListener],
    *,
    stop: Stop,
    errors: ErrorLog,
    access_log_fd: int = -1,
    on_response: OnResponse | None = None,
) -> bool:
    """Serve on the calling thread until `stop`, or until all of `listeners` are connections that have ended.

    `errors` is `wsgi.errors`; `access_log_fd`, where access lines go, stays the caller's. On the main thread,
    raises what a signal's handler raises (KeyboardInterrupt, as a rule). Returns whether everything that had
    come in was responded to.
    """
    interruptions: list[BaseException] = []

    def interrupt(error: BaseException) -> None:
        interruptions.append(error)
        stop.at_once()

    if settings.origins["log_level"] != DEFAULT_ORIGIN:
        # Of the whole process, so not touched unless somebody asks for it.
        _core.configure_log(
            settings.log_level, shows_colour(STANDARD_ERROR_FD), settings.error_log_format == "json"
        )
    if AUTO in settings.static_directories:
        # Here, because few ask for it.
        from portico.process.static_files import with_static_files

        settings = with_static_files(settings, application, settings.app or "the application", tells=True)
    is_main = threading.current_thread() is threading.main_thread()
    wakeups = Wakeups()
    with stop.orders() as orders_fd, wakeups.received() if is_main else contextlib.nullcontext():
        process = EmbeddedProcess(
            listeners,
            orders_fd=orders_fd,
            wakeups=wakeups,
            access_log_fd=access_log_fd,
            errors=errors,
            on_interrupt=interrupt if is_main else None,
            on_response=on_response,
        )
        all_finished = _core.serve(application, settings, process, _core.Scoreboard(1), 0)
    if interruptions:
        raise interruptions.pop(0)
    return all_finished


@contextlib.contextmanager
def access_log_of(settings: Settings) -> Iterator[int]:
    """Yield a descriptor for the access log that `settings` ask for, -1 if for none.

    Raises OSError if the file cannot be written, or a log daemon not be connected to.
    """
    if settings.access_log == "off":
        yield -1
        return
    if settings.access_log == "-":
        fd = os.dup(STANDARD_OUTPUT_FD)
    elif is_log_daemon(settings.access_log):
        fd = _core.open_log_socket(settings.access_log)[0]
    else:
        fd = os.open(settings.access_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)
