"""A template as itself, with `preload`: the application is loaded once, and workers are forked from here.

    loading --Ready--> forking, on order of the supervisor --end of file, Quit--> the end

Runs in a process of its own below the supervisor, which runs no application. The workers are the supervisor's
children nevertheless (`_core.fork_orphan`): it hears of their end, and nobody else has to. What they share
with the template is its memory as it was at the fork, until either writes to it; so the template does
nothing but fork.

With `refork_after` a worker that has served becomes a template: it has ended its engine, and with it all
threads, and is as it was before, with warm caches. It never returns from being one.
"""

from __future__ import annotations

import gc
import os
import select
import sys

from portico import _core, log
from portico.errors import EXIT_FINE
from portico.process.fork_hazards import Descriptor, find_hazards, open_descriptors
from portico.process.forked import no_server_is_left
from portico.process.messages import (
    Born,
    Decoder,
    Failed,
    Message,
    New,
    Promote,
    Quit,
    Ready,
    Reopen,
    Verbosity,
    Warmed,
    encode,
)
from portico.process.signals import (
    SUPERVISOR_SIGNALS,
    WORKER_SIGNALS,
    SignalPipe,
    forget_signals,
    pass_over_signals,
    signal,
    unblock_signals,
)
from portico.process.ways import Ways
from portico.process.worker import (
    Assignment,
    WorkerProcess,
    begin,
    configure_logging,
    flush_all,
    give_up_privileges,
    hand_on_records,
    leave,
    leave_at_once,
    load_and_warm_up,
    name_template,
    open_access_log,
    prepare_calls,
    serve,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

    from portico.process.loaded import Loaded

_STANDARD_ERROR_FD = 2
# How long a worker that has finished waits to hear whether it is to be a template: the supervisor is awake,
# or gone.
_REPLY_S = 5.0


def run_template(assignment: Assignment) -> NoReturn:
    """Load the application, and fork workers until told to stop; ends this process, and each of these."""
    signals = begin(assignment)
    # Each worker has it from here: their user need not be able to open it.
    access_log_fd = open_access_log(assignment.plan)
    before = open_descriptors()
    configure_logging(assignment)
    give_up_privileges(assignment)
    known = open_descriptors()
    event_loop = prepare_calls(assignment)
    # What a loop has for itself is its own business in a fork.
    before |= open_descriptors() - known
    loaded = load_and_warm_up(assignment, event_loop=event_loop)
    lost = loaded.event_loop.leave_behind() if loaded.event_loop is not None else []
    for hazard in [*find_hazards(before), *lost]:
        log.warning(f"preload: {hazard}")
    template = Template(assignment, loaded, signals=signals, access_log_fd=access_log_fd)
    while True:
        # Comes back in a worker only; that comes round once more to be a template.
        worker = template.fork_workers()
        template = _serve(worker, loaded, template.access_log_fd)


def _serve(assignment: Assignment, loaded: Loaded, access_log_fd: int) -> Template:
    """Be a worker; returns when it is to be a template, and ends the process otherwise."""
    signals = begin(assignment)
    hand_on_records(assignment)
    reseed()
    before = open_descriptors()
    if loaded.event_loop is not None:
        loaded.event_loop.begin_anew()
    load_and_warm_up(assignment, loaded)
    signals.watch_what_is_free(WORKER_SIGNALS)
    process = WorkerProcess(assignment, loaded, signals=signals, access_log_fd=access_log_fd)
    serve(loaded, process, assignment)
    if assignment.plan.settings.logconfig:
        from portico.process.python_logging.in_worker import end_thread

        # What is said from here on goes where the supervisor's records go; a template has one thread.
        end_thread()
    if not assignment.plan.settings.refork_after or not _is_promoted(assignment, before):
        leave(assignment)
    no_server_is_left()
    forget_signals()
    pass_over_signals()
    signals.receive()
    assignment.is_template = True
    name_template(assignment.plan)
    return Template(assignment, loaded, signals=signals, access_log_fd=access_log_fd)


def reseed() -> None:
    """Let no two workers have the same random numbers.

    Python sees to its own after a fork: `random` by os.register_at_fork, `secrets`, `uuid` and `tempfile` by
    asking the system; and OpenSSL notices that the process is another. Of numpy's two, the old one goes on.
    """
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


class Template:
    """The process that forks, and its end of the socketpair to the supervisor."""

    def __init__(
        self, assignment: Assignment, loaded: Loaded, *, signals: SignalPipe, access_log_fd: int
    ) -> None:
        self.access_log_fd = access_log_fd
        self._assignment = assignment
        self._loaded = loaded
        self._signals = signals
        self._fd = assignment.supervisor_fd

    def fork_workers(self) -> Assignment:
        """Fork a worker whenever the supervisor says so, and return in it. Ends with the supervisor."""
        _be_shared()
        self._say(Ready(self._loaded.name))
        decoder = Decoder()
        fds: list[int] = []
        while received := _core.receive_descriptors(self._fd):
            fds += received[1]
            for order in decoder.feed(received[0]):
                if order.kind is New:
                    worker = self._fork(order)
                    if worker is not None:
                        return worker
                elif order.kind is Reopen:
                    self._reopen_logs(order.text, fds)
                elif order.kind is Verbosity:
                    self._assignment.plan.settings.values["log_level"] = order.text
                    _core.set_log_level(order.text)
                else:
                    leave_at_once(EXIT_FINE)
        leave_at_once(EXIT_FINE)

    def _reopen_logs(self, letters: str, fds: list[int]) -> None:
        """Let the workers that are forked from now on write to the files that came along."""
        for letter in letters:
            if letter == "l":
                from portico.process.python_logging.applying import reopen_files

                reopen_files()
                continue
            fd = fds.pop(0)
            if letter == "a" and self.access_log_fd < 0:
                self.access_log_fd = fd
                continue
            if letter == "a":
                os.dup2(fd, self.access_log_fd, inheritable=False)
            else:
                os.dup2(fd, _STANDARD_ERROR_FD)
            os.close(fd)

    def _fork(self, order: Message) -> Assignment | None:
        """Fork a worker by `order`, and tell the supervisor; returns its assignment in the worker."""
        try:
            ways = Ways(_core.socket_pair, os.pipe)
            pid = ways.fork(_core.fork_orphan)
        except OSError as error:
            self._say(Failed(error.strerror or str(error), number=order.number))
            return None
        if pid == 0:
            return self._become_worker(order, *ways.ends)
        self._say(Born(str(pid), number=order.number), ways.ends)
        for fd in ways.ends:
            os.close(fd)
        return None

    def _become_worker(self, order: Message, supervisor_fd: int, stack_fd: int) -> Assignment:
        """In the worker: let go of what is the template's, and of nothing that is the application's."""
        signal.set_wakeup_fd(-1)
        unblock_signals(SUPERVISOR_SIGNALS)
        self._signals.close()
        os.close(self._fd)
        slot, multiprocess, member_orders = order.text.split(" ", 2)
        return Assignment(
            self._assignment.plan,
            self._assignment.scoreboard,
            slot=int(slot),
            supervisor_fd=supervisor_fd,
            stack_fd=stack_fd,
            multiprocess=multiprocess == "1",
            server=self._assignment.server,
            spans_fd=self._assignment.spans_fd,
            member_orders=member_orders,
        )

    def _say(self, message: Message, fds: Iterable[int] = ()) -> None:
        _send(self._fd, message, fds)


def _be_shared() -> None:
    """Have as little as possible written to the memory that workers share with this process.

    A collection writes to each object that it looks at, so what exists now is left out of those in the
    workers; and what is free goes back to the system instead of being each worker's own (gc.freeze in the
    documentation of the module gc). Loading without collections, as is said there, took 4 MB more with
    Django. What was kept to be written would be written by each.
    """
    flush_all()
    gc.collect()
    gc.disable()
    gc.freeze()
    _core.give_back_memory()


def _is_promoted(assignment: Assignment, before: set[Descriptor]) -> bool:
    """In a worker that has finished: ask whether it is to be a template, and see whether it can be one."""
    # Before its slot is cleared: workers begin with the gauges that it has set.
    assignment.scoreboard.use_for_metrics(None)
    fd = assignment.supervisor_fd
    # The engine has made it one that does not block.
    os.set_blocking(fd, True)
    _send(fd, Warmed())
    listener_fds = _wait_for_promotion(fd)
    if listener_fds is None:
        return False
    # The engine has closed its own.
    for listener, listener_fd in zip(assignment.plan.listeners, listener_fds, strict=True):
        listener.fd = listener_fd
    given = {each for each in open_descriptors() if each[0] in listener_fds}
    _close_connections_of_django()
    hazards = find_hazards(before | given)
    for hazard in hazards:
        log.warning(f"refork_after: this worker cannot be a template: {hazard}")
    return not hazards


def _wait_for_promotion(fd: int) -> list[int] | None:
    """Return the listeners that come with the order to be a template; None if there is another, or none."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    decoder = Decoder()
    fds: list[int] = []
    while poll.poll(_REPLY_S * 1000) and (received := _core.receive_descriptors(fd)):
        fds += received[1]
        for order in decoder.feed(received[0]):
            if order.kind is Promote:
                return fds
            if order.kind is Reopen:
                # This worker has nothing more to write, and a template is sent them anew.
                del fds[: len(order.text)]
            if order.kind is Quit:
                return None
    return None


def _close_connections_of_django() -> None:
    """Close the connections to databases that the main thread has kept (CONN_MAX_AGE)."""
    database = sys.modules.get("django.db")
    if database is not None:
        database.connections.close_all()


def _send(fd: int, message: Message, fds: Iterable[int] = ()) -> None:
    """Send `message` with `fds`; ends the process if there is no supervisor any more."""
    try:
        _core.send_descriptors(fd, encode(message), [*fds])
    except OSError:
        leave_at_once(EXIT_FINE)
