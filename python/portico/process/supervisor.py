"""The supervisor: one loop on one thread over signals, messages of workers, and timers.

Receives a `Plan` with sockets that already listen; forks workers until as many as wanted are there,
replaces those that die, rolls them on a reload, and ends them. It runs no application and no engine. What
the loop wants is decided in one place, `_manage`, from the state of the workers; events only change state.

    SERVING --TERM--> DRAINING --INT--> QUITTING --INT--> KILLING      (INT also from SERVING)
"""

from __future__ import annotations

import gc
import os
import select
import time

from portico import _core, log
from portico.errors import EXIT_APPLICATION, EXIT_FINE
from portico.process.banner import banner
from portico.process.calls import describe_calls, describe_overdue, is_stuck, overdue_calls
from portico.process.messages import Drain, Failed, Leaving, Message, Quit, Ready
from portico.process.proctitle import name_process
from portico.process.signals import (
    SUPERVISOR_SIGNALS,
    SignalPipe,
    block_signals,
    how_it_ended,
    signal,
    signal_name,
)
from portico.process.standard_streams import write_errors_to
from portico.process.ways import Ways, forget_parent
from portico.process.worker import LOG_PATIENCE_S, Assignment, configure_log
from portico.process.worker_handle import BOOTING, LEAVING, READY, WorkerHandle
from portico.process.worker_set import WorkerSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Plan

SERVING, DRAINING, QUITTING, KILLING = "serving", "draining", "quitting", "killing"

# After INT a worker leaves in 0.3 s, unless a call holds its main thread: nothing but a KILL ends that.
QUIT_PATIENCE_S = 1.0
# Beyond its own graceful timeout a worker needs a moment to leave.
DRAIN_MARGIN_S = 1.0
# How long the other calls of a worker may take in which one has taken too long, at most. With the time until
# that is found, less than what reverse proxies wait beyond the timeouts (`portico.generate.times`).
OVERDUE_PATIENCE_S = 3.0
# The same where no call can go on, because the interpreter does not come free.
STUCK_PATIENCE_S = 1.0
# As long as it may take to write the stacks.
STACKS_PATIENCE_S = 0.5
# Between two looks at whether a worker with a call that has taken too long has finished the others.
OVERDUE_TICK_S = 0.1
FIRST_BACK_OFF_S = 0.1
LONGEST_BACK_OFF_S = 5.0
# A worker that dies sooner after it was ready counts like one that died at boot.
STABLE_AFTER_S = 1.0
# Between two looks whether somebody reads the error log again.
LOG_PAUSE_S = 0.25


class Supervisor:
    """All state of the supervisor; `run` is its life."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._settings = plan.settings
        self._wanted = plan.worker_count
        self._worker_set = WorkerSet(plan.worker_count)
        self._scoreboard = _core.Scoreboard(self._worker_set.slots)
        self._signals = SignalPipe()
        self._poll = select.poll()
        self._stage = SERVING
        self._exit_code = EXIT_FINE
        self._generation = 0
        self._announced = False
        self._failures = 0
        self._not_before_s = 0.0
        self._next_call_check_s = 0.0

    def run(self) -> int | Assignment:
        """Supervise until told to stop and return the exit code; in a forked child, return its assignment."""
        name_process("portico", f"portico: supervisor {self._plan.name}")
        configure_log(self._settings)
        self._signals.watch(SUPERVISOR_SIGNALS)
        self._poll.register(self._signals.read_fd, select.POLLIN)
        # What exists now lives as long as the process: leave it out of collections, which would copy its
        # pages in every worker (gc.freeze in the documentation of the module gc).
        gc.disable()
        gc.collect()
        gc.freeze()
        _core.trim_heap()
        while True:
            assignment = self._manage(time.monotonic())
            if assignment is not None:
                return assignment
            if self._stage != SERVING and not self._worker_set.workers:
                self._close_listeners()
                # The interpreter gives signals their default effect while it ends itself: one more TERM would
                # be taken for the reason of the end.
                block_signals(SUPERVISOR_SIGNALS)
                _core.flush_log(LOG_PATIENCE_S)
                return self._exit_code
            self._wait()

    # -- what is wanted

    def _manage(self, now_s: float) -> Assignment | None:
        """Bring the workers nearer to what is wanted. Returns an assignment in a newly forked child."""
        self._spare_overdue(now_s)
        for worker in list(self._worker_set.workers.values()):
            if worker.kill_at_s is not None and now_s >= worker.kill_at_s:
                log.warning(
                    f"{_name(worker)} {worker.patience}"
                    f"{'' if worker.has_taken_orders else ' and has not taken the order to leave'}"
                    f": killed{describe_calls(self._status(worker))}"
                )
                worker.kill()
        if self._stage != SERVING:
            return None
        self._check_calls(now_s)
        self._check_imports(now_s)
        while True:
            for worker in self._worker_set.surplus(self._generation, self._wanted):
                self._drain(worker, now_s)
            is_full = not self._worker_set.lacks_worker(self._generation, self._wanted)
            if is_full or now_s < self._not_before_s:
                return None
            try:
                assignment = self._fork(now_s)
            except OSError as error:
                self._back_off(now_s)
                log.error(
                    f"cannot fork a worker: {error.strerror}; next try in {self._not_before_s - now_s:.1f} s"
                )
                return None
            if assignment is not None:
                return assignment

    def _fork(self, now_s: float) -> Assignment | None:
        slot = self._worker_set.free_slot()
        ways = Ways(_core.socket_pair, os.pipe)
        pid = ways.fork()
        message_fd, stack_fd = ways.ends
        if pid == 0:
            return self._become_worker(slot, message_fd, stack_fd)
        self._worker_set.add(
            WorkerHandle(
                pid=pid,
                slot=slot,
                generation=self._generation,
                message_fd=message_fd,
                stack_fd=stack_fd,
                now_s=now_s,
            )
        )
        self._poll.register(message_fd, select.POLLIN)
        log.debug(f"worker {pid} started as worker {slot + 1}")
        return None

    def _become_worker(self, slot: int, supervisor_fd: int, stack_fd: int) -> Assignment:
        """In the child: let go of all that is the supervisor's."""
        forget_parent(self._signals)
        for sibling in self._worker_set.workers.values():
            sibling.close()
        return Assignment(
            self._plan,
            self._scoreboard,
            slot=slot,
            supervisor_fd=supervisor_fd,
            stack_fd=stack_fd,
            multiprocess=self._wanted > 1,
        )

    def _drain(self, worker: WorkerHandle, now_s: float) -> None:
        worker.leave(Drain, now_s=now_s, patience_s=self._patience_s(Drain))

    def _patience_s(self, order: type[Message]) -> float:
        """Return how long a worker may take to leave."""
        return QUIT_PATIENCE_S if order is Quit else self._settings.graceful_timeout_s + DRAIN_MARGIN_S

    def _check_calls(self, now_s: float) -> None:
        """Replace workers with a call longer than `timeout`: threads cannot be stopped one by one."""
        limit_s = self._settings.timeout_s
        if not limit_s or now_s < self._next_call_check_s:
            return
        self._next_call_check_s = now_s + min(1.0, max(0.05, limit_s / 4))
        for worker in self._worker_set.in_state(READY):
            status = self._status(worker)
            what = describe_overdue(status, limit_s)
            if what:
                log.error(
                    f"{_name(worker)}: {what}, longer than the timeout of {limit_s:g} s; "
                    f"replacing the worker{describe_calls(status)}"
                )
                worker.write_stacks()
                worker.is_overdue = True
                patience_s = STUCK_PATIENCE_S if is_stuck(status, limit_s) else OVERDUE_PATIENCE_S
                worker.leave(Drain, now_s=now_s, patience_s=min(patience_s, self._patience_s(Drain)))

    def _spare_overdue(self, now_s: float) -> None:
        """Let a worker end as soon as it has nothing but calls that have taken too long."""
        for worker in self._worker_set.in_state(LEAVING):
            if worker.is_overdue and now_s >= worker.left_at_s + STACKS_PATIENCE_S:
                status = self._status(worker)
                overdue = overdue_calls(status, self._settings.timeout_s)
                if overdue and status.connections <= len(overdue):
                    worker.end_patience(now_s, "has finished all other calls")

    def _check_imports(self, now_s: float) -> None:
        for worker in self._worker_set.in_state(BOOTING):
            self._warn_of_import(worker, worker.import_watch.look(worker.pid, now_s))

    def _warn_of_import(self, worker: WorkerHandle, sentence: str) -> None:
        if sentence:
            log.warning(f"{_name(worker)}: {sentence}")

    # -- what happens

    def _wait(self) -> None:
        """Sleep until something happens or is due, and take in all that has happened."""
        deadline_s = self._deadline_s()
        timeout_ms = None
        if not _core.flush_log(0):
            look_s = time.monotonic() + LOG_PAUSE_S
            deadline_s = look_s if deadline_s is None else min(deadline_s, look_s)
        if deadline_s is not None:
            timeout_ms = max(0.0, (deadline_s - time.monotonic()) * 1000) + 1
        ready_fds = {fd for fd, _ in self._poll.poll(timeout_ms)}
        now_s = time.monotonic()
        # The signals first, whatever poll has found: Ctrl-C reaches the workers too, and what they say of it
        # is not to be taken for a signal that somebody has sent to them alone.
        numbers = self._signals.read()
        for number in numbers:
            self._take_signal(number, now_s)
        for worker in list(self._worker_set.workers.values()):
            if worker.message_fd in ready_fds:
                self._read_messages(worker, now_s)
        if numbers:
            self._reap(now_s)

    def _deadline_s(self) -> float | None:
        """Return when the next timer is due."""
        deadlines = [
            worker.kill_at_s for worker in self._worker_set.workers.values() if worker.kill_at_s is not None
        ]
        if any(worker.is_overdue for worker in self._worker_set.in_state(LEAVING)):
            deadlines.append(time.monotonic() + OVERDUE_TICK_S)
        if self._stage == SERVING:
            deadlines += [worker.import_watch.due_s for worker in self._worker_set.in_state(BOOTING)]
            if self._settings.timeout_s:
                deadlines.append(self._next_call_check_s)
            if self._worker_set.lacks_worker(self._generation, self._wanted):
                deadlines.append(self._not_before_s)
        return min(deadlines, default=None)

    def _take_signal(self, number: int, now_s: float) -> None:
        if number == signal.SIGTERM:
            if self._stage == SERVING:
                self._stop(DRAINING, now_s)
        elif number in (signal.SIGINT, signal.SIGQUIT):
            self._stop(KILLING if self._stage in (QUITTING, KILLING) else QUITTING, now_s)
        elif number == signal.SIGHUP:
            self._reload()
        elif number in (signal.SIGTTIN, signal.SIGTTOU):
            self._resize(1 if number == signal.SIGTTIN else -1)
        elif number != signal.SIGCHLD:
            log.warning(f"{signal_name(number)} has no meaning here")

    def _reload(self) -> None:
        if self._stage != SERVING:
            return
        # The rest follows from it: `_manage` starts workers of this generation and drains those before it.
        self._generation += 1
        self._not_before_s = 0.0
        self._open_error_log()
        log.info("reloading: each worker is replaced once its successor is ready")

    def _open_error_log(self) -> None:
        """Open the file of the error log anew: it may have been moved away. Workers inherit it."""
        if self._settings.error_log == "-":
            return
        path = os.path.join(self._plan.directory, self._settings.error_log)
        try:
            write_errors_to(path)
        except OSError as error:
            log.error(f"cannot write the error log {path}: {error.strerror}; going on with the one of before")

    def _resize(self, by: int) -> None:
        wanted = self._wanted + by
        if self._stage != SERVING or not 1 <= wanted <= self._worker_set.most_workers:
            log.warning(f"the number of workers stays at {self._wanted}")
            return
        self._wanted = wanted
        log.info(f"the number of workers is {wanted} now")

    def _stop(self, stage: str, now_s: float) -> None:
        self._stage = stage
        # Whoever comes now shall find the door closed at once instead of waiting in a queue that nobody
        # serves.
        self._close_listeners()
        names = {
            DRAINING: "stopping after the requests in flight",
            QUITTING: "stopping",
            KILLING: "killing the workers",
        }
        if self._exit_code == EXIT_FINE:
            log.info(names[stage])
        for worker in list(self._worker_set.workers.values()):
            if stage == DRAINING:
                self._drain(worker, now_s)
            elif stage == QUITTING:
                worker.leave(Quit, now_s=now_s, patience_s=self._patience_s(Quit))
            else:
                worker.kill()

    def _close_listeners(self) -> None:
        for listener in self._plan.listeners:
            listener.close()
        self._plan.listeners.clear()

    def _read_messages(self, worker: WorkerHandle, now_s: float) -> None:
        fd = worker.message_fd
        if fd < 0:
            return
        for message in worker.read_messages():
            if isinstance(message, Failed):
                worker.failure = message.text
            elif isinstance(message, Ready):
                worker.ready_at_s = now_s
                self._warn_of_import(worker, worker.import_watch.end(now_s))
                if worker.state == BOOTING:
                    worker.state = READY
                    self._welcome(worker, message.text)
            elif isinstance(message, Leaving):
                self._let_leave(worker, message.text, now_s)
        if worker.message_fd < 0:
            self._poll.unregister(fd)

    def _let_leave(self, worker: WorkerHandle, order_kind: str, now_s: float) -> None:
        """Somebody has sent a signal to this worker: it leaves as if so ordered, and gets a successor."""
        order = Quit if order_kind == Quit.kind.decode() else Drain
        if worker.is_active:
            self._lived(now_s - worker.ready_at_s, now_s)
            log.info(f"{_name(worker)} leaves because of a signal; {self._next_try(now_s)}")
        worker.expect_end(order, now_s=now_s, patience_s=self._patience_s(order))

    def _welcome(self, worker: WorkerHandle, application: str) -> None:
        """A worker is ready; the last of the first ones is what the user has been waiting for."""
        if self._announced:
            log.info(f"{_name(worker)} is ready after {worker.ready_at_s - worker.forked_at_s:.2f} s")
        elif len(self._worker_set.in_state(READY)) >= self._wanted:
            self._announced = True
            startup_s = worker.ready_at_s - self._plan.started_at_s
            log.info(
                banner(
                    self._plan, application, version=_core.__version__, pid=os.getpid(), startup_s=startup_s
                )
            )

    def _reap(self, now_s: float) -> None:
        """Take leave of every child that has ended; as PID 1 also of those that others left behind."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = self._worker_set.workers.get(pid)
            if worker is None:
                continue
            self._read_messages(worker, now_s)  # its last words may still be in the socket
            if worker.message_fd >= 0:
                # A child of the worker holds the other end.
                self._poll.unregister(worker.message_fd)
            worker.close()
            # Out of the set first: from here on its pid may belong to another process.
            self._worker_set.remove(worker)
            self._on_exit(worker, os.waitstatus_to_exitcode(wait_status), now_s)
            self._scoreboard.reset(worker.slot)

    # -- workers that end

    def _on_exit(self, worker: WorkerHandle, exit_code: int, now_s: float) -> None:
        """Say what happened and when its place is filled; the scoreboard still has what it was doing."""
        how = how_it_ended(exit_code)
        if not worker.is_active:
            log.debug(f"{_name(worker)} has left: it {how}")
        elif worker.state == BOOTING:
            self._boot_failed(worker, how, now_s)
        else:
            lived_s = now_s - worker.ready_at_s
            self._lived(lived_s, now_s)
            log.error(
                f"{_name(worker)} {how} after {lived_s:.1f} s{describe_calls(self._status(worker))}; "
                f"{self._next_try(now_s)}"
            )

    def _boot_failed(self, worker: WorkerHandle, how: str, now_s: float) -> None:
        workers, generation = self._worker_set, self._generation
        reason = _after_colon(worker.failure or f"the worker {how} while it loaded the application")
        # A worker that died without a word says nothing about the application if another one has loaded it.
        if not self._announced and (worker.failure or not workers.has_ready(generation)):
            if self._exit_code == EXIT_FINE:
                log.critical(f"cannot load {self._settings.app}{reason}")
                self._exit_code = EXIT_APPLICATION
                self._stop(QUITTING, now_s)
        elif workers.has_ready_before(generation) and not workers.has_ready(generation):
            log.error(f"reload failed, the workers of before go on serving{reason}")
            workers.adopt(generation)
        else:
            self._back_off(now_s)
            log.error(f"{_name(worker)} cannot load {self._settings.app} ({self._next_try(now_s)}){reason}")

    def _lived(self, lived_s: float, now_s: float) -> None:
        """A worker has served for `lived_s` without having been told to leave."""
        if lived_s < STABLE_AFTER_S:
            self._back_off(now_s)
        else:
            self._failures = 0

    def _back_off(self, now_s: float) -> None:
        delay_s = min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._not_before_s = now_s + delay_s

    def _next_try(self, now_s: float) -> str:
        if self._not_before_s > now_s:
            return f"the next one starts in {self._not_before_s - now_s:.1f} s"
        return "starting another"

    def _status(self, worker: WorkerHandle) -> _core.WorkerStatus:
        return self._scoreboard.read(worker.slot)


def _after_colon(text: str) -> str:
    """Let a traceback begin on a line of its own."""
    return ":\n" + text if "\n" in text else ": " + text


def _name(worker: WorkerHandle) -> str:
    return f"worker {worker.pid}"
