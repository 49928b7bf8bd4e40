"""The loop of `portico dev`: it keeps the sockets, looks at files, and has one worker, with today's code.

Receives a `DevelopmentPlan` with sockets that already listen. What a change means: the worker there is takes
no more requests and finishes those it has, and a new one is forked, which loads what is there now. Between
the two, connections wait in the kernel's queue. A worker asks before it accepts one, and only if it has a
thread for it: so the loop looks at the files before each request, and none waits in a worker that has to go.
A worker whose import fails serves the error page; one that dies before it can is replaced by one that says
so.

    no worker --fork--> BOOTING --Ready--> READY --change--> LEAVING     (the states of WorkerHandle)
        ^                  |                 |
        +--change, killed--+------death------+
"""

from __future__ import annotations

import os
import select
import time

from portico import _core, log
from portico.dev.access_lines import AccessLines
from portico.dev.banner import NEVER, NOTIFIED, POLLING, banner
from portico.dev.browser import open_browser
from portico.dev.changes import Changes
from portico.dev.terminal import Terminal
from portico.dev.worker import DevelopmentAssignment
from portico.dev.worker_handle import DevelopmentHandle
from portico.errors import EXIT_APPLICATION, EXIT_FINE
from portico.process.messages import Drain, Failed, Kind, Leaving, Quit, Ready
from portico.process.signals import SUPERVISOR_SIGNALS, SignalPipe, block_signals, how_it_ended, signal
from portico.process.ways import Ways, forget_parent
from portico.process.worker import (
    LOG_PATIENCE_S,
    Assignment,
    configure_log,
    set_up_streams,
    shows_colour,
)
from portico.process.worker_handle import BOOTING, KILLED, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portico.dev.options import DevelopmentPlan

# As many workers as may be there at the same time: one, and those that still finish requests of before.
_MOST_WORKERS = 8
# A worker that dies sooner is not replaced sooner.
_BACK_OFF_S = 1.0
_READ_BYTES = 65536
_STANDARD_OUTPUT_FD = 1


class Loop:
    """All state of the loop; `run` is its life. Times are on the monotonic clock."""

    def __init__(self, development: DevelopmentPlan) -> None:
        plan, options = development.plan, development.options
        self._plan = plan
        self._options = options
        self._scoreboard = _core.Scoreboard(_MOST_WORKERS)
        self._signals = SignalPipe()
        self._terminal = Terminal()
        self._access_fd, self._access_write_fd = os.pipe()
        os.set_blocking(self._access_fd, False)
        self._access_lines = AccessLines(_STANDARD_OUTPUT_FD, colour=shows_colour(_STANDARD_OUTPUT_FD))
        folders = [os.path.join(plan.directory, path) for path in ("", *plan.settings.pythonpath)]
        self._changes = Changes(folders, options.globs, is_off=not options.reloads)
        self._workers: dict[int, DevelopmentHandle] = {}
        # The one that serves or is about to; all others leave.
        self._current: DevelopmentHandle | None = None
        self._is_stopping = False
        self._is_quitting = False
        self._exit_code = EXIT_FINE
        self._is_announced = False
        # Why the last worker has died while it loaded the application.
        self._failure = ""
        self._not_before_s = 0.0

    def run(self) -> int | DevelopmentAssignment:
        """Run until told to stop and return the exit code; in a forked child, return its assignment."""
        _core.name_process("portico dev", f"portico: dev {self._plan.name}")
        configure_log(self._plan.settings)
        set_up_streams()
        self._signals.watch(SUPERVISOR_SIGNALS)
        while True:
            now_s = time.monotonic()
            self._end_patience(now_s)
            if self._is_stopping:
                if not self._workers:
                    return self._end()
            else:
                if self._changes.look(now_s):
                    self._retire(now_s)
                if self._lacks_worker(now_s):
                    assignment = self._fork(now_s)
                    if assignment is not None:
                        return assignment
            self._wait()

    # -- workers

    def _retire(self, now_s: float) -> None:
        """After a change: let the worker leave, after its requests; at once if it does not serve yet."""
        self._failure = ""
        worker, self._current = self._current, None
        if worker is not None and worker.state == READY:
            self._drain(worker, now_s)
        elif worker is not None:
            worker.kill()

    def _drain(self, worker: DevelopmentHandle, now_s: float) -> None:
        worker.leave(Drain, now_s=now_s)

    def _lacks_worker(self, now_s: float) -> bool:
        if self._current is not None or now_s < max(self._changes.over_at_s, self._not_before_s):
            return False
        if len(self._workers) >= _MOST_WORKERS:
            next(iter(self._workers.values())).kill()  # the oldest
        # One that was killed may just be writing what it has compiled of a file that has changed since.
        return all(worker.state != KILLED for worker in self._workers.values())

    def _fork(self, now_s: float) -> DevelopmentAssignment | None:
        taken = {worker.slot for worker in self._workers.values()}
        slot = next(slot for slot in range(_MOST_WORKERS) if slot not in taken)
        try:
            ways = Ways(_core.socket_pair, os.pipe, _core.socket_pair)
            changed = self._changes.take(now_s)
            forked_at_ns = time.time_ns()
            pid = ways.fork()
        except OSError as error:
            self._not_before_s = now_s + _BACK_OFF_S
            log.error(f"cannot fork a worker: {error.strerror}; next try in {_BACK_OFF_S:g} s")
            return None
        message_fd, report_fd, gate_fd = ways.ends
        if pid == 0:
            return self._become_worker(slot, message_fd, report_fd, gate_fd, changed)
        if changed:
            log.info(f"reloading: {self._changes.describe(changed)} changed")
        self._current = self._workers[pid] = DevelopmentHandle(
            self._plan.settings,
            pid=pid,
            slot=slot,
            message_fd=message_fd,
            report_fd=report_fd,
            gate_fd=gate_fd,
            now_s=now_s,
            forked_at_ns=forked_at_ns,
            noticed_at_s=self._changes.noticed_at_s if changed else 0.0,
        )
        return None

    def _become_worker(
        self, slot: int, supervisor_fd: int, report_fd: int, gate_fd: int, changed: list[str]
    ) -> DevelopmentAssignment:
        """In the child: let go of all that is the loop's."""
        forget_parent(self._signals)
        self._changes.close()
        os.close(self._access_fd)
        for sibling in self._workers.values():
            sibling.close()
        worker = Assignment(
            self._plan,
            self._scoreboard,
            slot=slot,
            supervisor_fd=supervisor_fd,
            stack_fd=-1,
            multiprocess=False,
        )
        return DevelopmentAssignment(
            worker,
            self._options,
            report_fd=report_fd,
            gate_fd=gate_fd,
            access_fd=self._access_write_fd,
            changed=changed,
            failure=self._failure,
        )

    def _end_patience(self, now_s: float) -> None:
        for worker in self._workers.values():
            if worker.kill_at_s is not None and now_s >= worker.kill_at_s:
                if not self._is_quitting:
                    log.warning(f"the worker of before {worker.patience}: killed")
                worker.kill()

    # -- what happens

    def _wait(self) -> None:
        """Sleep until something happens or is due, and take in all that has happened."""
        deadline_s = self._deadline_s()
        timeout_ms = None if deadline_s is None else max(0.0, (deadline_s - time.monotonic()) * 1000) + 1
        poll = select.poll()
        for fd in self._fds():
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        ready_fds = {fd for fd, _ in poll.poll(timeout_ms)}
        now_s = time.monotonic()
        if self._access_fd in ready_fds:
            self._show_access_lines()
        for worker in self._workers.values():
            self._hear(worker, now_s)
        if self._current is not None and self._current.gate_fd in ready_fds:
            self._let_in(self._current, now_s)
        if self._changes.fd in ready_fds:
            self._changes.hear()
        if self._signals.read_fd in ready_fds:
            # Before those are taken leave of that the same signal may have ended.
            for number in self._signals.read():
                self._take_signal(number, now_s)
            self._reap(now_s)

    def _fds(self) -> Iterator[int]:
        yield from (self._signals.read_fd, self._access_fd, self._changes.fd)
        if self._current is not None:
            yield self._current.gate_fd
        for worker in self._workers.values():
            yield from (worker.message_fd, worker.report_fd)

    def _deadline_s(self) -> float | None:
        """Return when the next timer is due."""
        deadlines = [worker.kill_at_s for worker in self._workers.values()]
        if not self._is_stopping:
            deadlines.append(self._changes.due_s)
            if self._current is None and all(worker.state != KILLED for worker in self._workers.values()):
                deadlines.append(max(self._changes.over_at_s, self._not_before_s))
        return min((deadline_s for deadline_s in deadlines if deadline_s is not None), default=None)

    def _let_in(self, worker: DevelopmentHandle, now_s: float) -> None:
        """A connection waits, whose request may have been sent after a save that nobody has noticed yet."""
        if self._changes.look_at_once(now_s):
            self._retire(now_s)
        else:
            worker.let_in()

    def _show_access_lines(self) -> None:
        while True:
            try:
                data = os.read(self._access_fd, _READ_BYTES)
            except BlockingIOError:
                return
            self._access_lines.feed(data)

    def _take_signal(self, number: int, now_s: float) -> None:
        if number == signal.SIGTERM:
            self._stop(Drain, now_s)
        elif number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            # HUP: the terminal has gone.
            self._stop(Quit, now_s)

    def _stop(self, order: Kind, now_s: float) -> None:
        is_repeated = self._is_quitting
        self._is_stopping = True
        self._is_quitting = self._is_quitting or order is Quit
        for listener in self._plan.listeners:
            listener.close()
        self._plan.listeners.clear()
        for worker in self._workers.values():
            if is_repeated:
                worker.kill()
            else:
                worker.leave(order, now_s=now_s)

    def _hear(self, worker: DevelopmentHandle, now_s: float) -> None:
        # The report first: it says what a worker has read that is ready.
        for report in worker.read_reports():
            if worker is self._current:
                self._changes.follow(report, since_ns=worker.forked_at_ns)
        for message in worker.read_messages():
            if message.kind is Failed:
                worker.failure = message.text
            elif message.kind is Ready:
                worker.ready_at_s = now_s
                if worker.state == BOOTING:
                    worker.state = READY
                    self._welcome(worker, message.text)
            elif message.kind is Leaving:
                # Somebody has sent a signal to this worker: it leaves as if so ordered, and gets a successor.
                if worker is self._current:
                    self._current = None
                order = Quit if message.text == Quit.letter.decode() else Drain
                worker.expect_end(order, now_s=now_s)

    def _welcome(self, worker: DevelopmentHandle, application: str) -> None:
        """A worker is ready, with the application or, where that has no name, with the error page."""
        if not self._is_announced:
            self._is_announced = True
            self._announce(application or f"the error page of {self._plan.settings.app}", worker.ready_at_s)
        elif not application:
            log.info("the error page is served until a change mends it")
        elif worker.noticed_at_s:
            log.info(f"reloaded in {worker.ready_at_s - worker.noticed_at_s:.2f} s")

    def _announce(self, application: str, now_s: float) -> None:
        reloads = NEVER
        if self._options.reloads:
            reloads = NOTIFIED if self._changes.are_notified else POLLING
        lines = banner(
            self._plan,
            application,
            reloads=reloads,
            version=_core.__version__,
            pid=os.getpid(),
            startup_s=now_s - self._plan.started_at_s,
        )
        log.info(lines)
        if self._options.opens_browser:
            open_browser(self._plan.listeners, self._plan.settings.script_name)

    # -- ends

    def _reap(self, now_s: float) -> None:
        """Take leave of every child that has ended."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is None:
                continue  # the notifier, or the browser
            self._hear(worker, now_s)  # its last words may still be in the socket
            worker.close()
            self._scoreboard.reset(worker.slot)
            self._terminal.restore()
            if worker is self._current:
                self._current = None
                if not self._is_stopping:
                    self._on_death(worker, os.waitstatus_to_exitcode(wait_status), now_s)

    def _on_death(self, worker: DevelopmentHandle, exit_code: int, now_s: float) -> None:
        """The worker there is has died without having been told to leave."""
        how = how_it_ended(exit_code)
        if worker.ready_at_s:
            log.error(f"the worker {how}; starting another")
            if now_s - worker.ready_at_s < _BACK_OFF_S:
                self._not_before_s = now_s + _BACK_OFF_S
            return
        why = worker.failure or f"the worker {how} while it loaded the application"
        sentence = f"{self._plan.settings.app} cannot be loaded:{chr(10) if chr(10) in why else ' '}{why}"
        if not self._options.reloads:
            log.critical(sentence)
            self._exit_code = EXIT_APPLICATION
            self._stop(Quit, now_s)
            return
        log.error(sentence)
        if self._failure:
            # That of the worker which was to say so: something else is wrong than the application.
            self._not_before_s = now_s + _BACK_OFF_S
        self._failure = why

    def _end(self) -> int:
        self._show_access_lines()
        self._changes.close()
        self._terminal.restore()
        # The interpreter gives signals their default effect while it ends itself.
        block_signals(SUPERVISOR_SIGNALS)
        _core.flush_log(LOG_PATIENCE_S)
        return self._exit_code
