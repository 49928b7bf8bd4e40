"""The supervisor: one loop on one thread over signals, messages of workers, and timers.

Receives a `Plan` with sockets that already listen; forks workers until as many as wanted are there,
replaces those that die, rolls them on a reload, and ends them. It runs no application and no engine. What
the loop wants is decided in one place, `_manage`, from the state of the workers; events only change state.

    SERVING --TERM--> ANNOUNCING --drain_delay, TERM--> DRAINING --INT--> QUITTING --INT--> KILLING
                                                   (INT also from SERVING and ANNOUNCING)

Without a `drain_delay` there is no ANNOUNCING. All but that and SERVING start no workers. In a rest (WINCH)
it is SERVING with no workers wanted.
"""

from __future__ import annotations

import gc
import os
import time

from portico import _core, log
from portico.config.shares import share_of
from portico.errors import EXIT_APPLICATION, EXIT_FINE
from portico.hooks import Request, Server, Worker
from portico.process.accounting import Accounting
from portico.process.automatic_count import AutomaticCount
from portico.process.back_off import BackOff
from portico.process.banner import banner
from portico.process.boots import Boots
from portico.process.calls import describe_calls
from portico.process.care import Care
from portico.process.control.door import Door
from portico.process.control.subject import Subject
from portico.process.drain_delay import DrainDelay
from portico.process.generations import Generations
from portico.process.hook_processes import SupervisorHooks
from portico.process.hooks import server_of
from portico.process.last_connections import let_nobody_in
from portico.process.limits import timeout_s
from portico.process.listeners import close_all_but
from portico.process.loop import Duty, Loop
from portico.process.messages import Drain, Failed, Leaving, Quit, Ready, Verbosity, Warmed
from portico.process.overdue import OverdueCalls, OverdueWorkers
from portico.process.proctitle import name_process
from portico.process.reforking import Reforking
from portico.process.reopening import reopen_logs
from portico.process.reread import UPGRADE, Rereading
from portico.process.signals import (
    SUPERVISOR_SIGNALS,
    SignalPipe,
    block_only,
    block_signals,
    how_it_ended,
    is_of_terminal,
    signal,
    signal_name,
)
from portico.process.templates import Templates
from portico.process.touch_reload import TouchReload
from portico.process.ways import Ways, forget_parent
from portico.process.worker import LOG_PATIENCE_S, Assignment, configure_log
from portico.process.worker_handle import BOOTING, READY, WorkerHandle
from portico.process.worker_set import WorkerSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.process.plan import Plan
    from portico.process.predecessor import Predecessor

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
SERVING, ANNOUNCING, DRAINING = "serving", "announcing", "draining"
QUITTING, KILLING = "quitting", "killing"

# A worker that dies sooner after it was ready counts like one that died at boot.
STABLE_AFTER_S = 1.0
# Between two looks whether somebody reads the error log again.
LOG_PAUSE_S = 0.25


class Supervisor:
    """All state of the supervisor; `run` is its life."""

    def __init__(self, plan: Plan, before: Predecessor | None = None) -> None:
        self._before = before
        self._generations = Generations(plan, before)
        self._worker_set = WorkerSet(plan.most_workers)
        self._scoreboard = (
            before.scoreboard(self._worker_set) if before else _core.Scoreboard(self._worker_set.slots)
        )
        self._signals = SignalPipe()
        self._loop = Loop()
        self._automatic_count = AutomaticCount(
            self._loop,
            self._generations,
            self._worker_set,
            self._scoreboard,
            wanted=lambda: self._wanted,
            want=self._want,
        )
        self._wanted = self._automatic_count.first
        self._stage = SERVING
        # Whether a reload is on its way that ends a rest.
        self._is_woken = False
        self._exit_code = EXIT_FINE
        self._has_stop_signal = False
        self._announced = False
        self._back_off = BackOff()
        self._accounting = Accounting(self._scoreboard)
        self._rereading = Rereading(
            self._loop,
            self._generations,
            self._take_plan,
            hand_over=self._hand_over,
            replace=self._be_replaced,
        )
        self._templates = Templates(
            self._loop,
            self._generations,
            add_worker=self._add_worker,
            cannot_fork=self._cannot_fork,
            renew=self._renew,
        )
        self._reforking = Reforking(
            self._generations,
            self._worker_set,
            self._scoreboard,
            self._templates,
            wanted=lambda: self._wanted,
        )
        self._door = Door(self._loop, plan, self._subject())
        self._hooks = SupervisorHooks(self._generations, self._leave_to_hook)
        self._drain_delay = DrainDelay(self._worker_set, self._end_drain_delay)
        self._duties: list[Duty] = [
            OverdueWorkers(self._worker_set, self._scoreboard),
            self._templates,
            self._door,
            self._hooks,
            self._drain_delay,
        ]
        if "NOTIFY_SOCKET" in os.environ:
            self._duties[:0] = self._service_manager_duties()
        # No longer once told to stop.
        self._duties_in_service: list[Duty] = [
            OverdueCalls(self._worker_set, self._scoreboard, self._tell_overdue),
            Boots(lambda: [*self._worker_set.in_state(BOOTING), *self._templates.booting]),
            Care(self._worker_set, self._scoreboard, self._at_a_time),
            self._rereading,
            TouchReload(self._generations, self._reload),
            self._automatic_count,
            self._reforking,
        ]

    def run(self) -> int | Assignment:
        """Supervise until told to stop and return the exit code; in a forked child, return its assignment."""
        self._name()
        configure_log(self._plan.settings)
        self._signals.watch(SUPERVISOR_SIGNALS)
        self._loop.watch(self._signals.read_fd, self._take_signals)
        if self._before is not None:
            self._take_over(self._before)
            self._before = None
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
            is_over = self._is_stopping and not self._worker_set.workers and not self._templates.exist
            if is_over and self._hooks.have_ended(self._server()):
                self._generations.close_listeners()
                self._door.end()
                # The interpreter gives signals their default effect while it ends itself: one more TERM would
                # be taken for the reason of the end.
                block_signals(SUPERVISOR_SIGNALS)
                _core.flush_log(LOG_PATIENCE_S)
                return self._exit_code
            self._wait()

    def _service_manager_duties(self) -> list[Duty]:
        # Here, because without a service manager it would be in every worker's memory for nothing.
        from portico.process.service_manager.opening import duties_of
        from portico.process.service_manager.service import Service

        service = Service(
            self._generations,
            self._worker_set,
            self._scoreboard,
            self._rereading,
            is_ready=lambda: self._announced,
            is_stopping=lambda: self._stage != SERVING,
            wanted=lambda: self._wanted,
        )
        return duties_of(service, os.environ)

    # -- what is wanted

    def _manage(self, now_s: float) -> Assignment | None:
        """Bring the workers nearer to what is wanted. Returns an assignment in a newly forked child."""
        if self._is_woken and not self._rereading.is_on_its_way:
            # Also one that has come to nothing: whoever has asked for it wants a server again.
            self._is_woken = False
            if not self._wanted:
                self._resize_to(self._plan.worker_count)
        for duty in self._duties:
            duty.look(now_s)
        for worker in list(self._worker_set.workers.values()):
            if worker.kill_at_s is not None and now_s >= worker.kill_at_s:
                log.warning(
                    f"{worker} {worker.patience}"
                    f"{'' if worker.has_taken_orders else ' and has not taken the order to leave'}"
                    f": killed{describe_calls(self._status(worker))}"
                )
                worker.kill()
        if not self._keeps_workers:
            return None
        for duty in self._duties_in_service:
            duty.look(now_s)
        while True:
            for worker in self._worker_set.surplus(self._generations.number, self._wanted):
                self._drain(worker, now_s)
            is_full = not self._may_fork()
            if is_full or now_s < self._back_off.not_before_s:
                return None
            if not self._hooks.let_fork(self._server(), self._worker_set.free_slot()):
                return None
            try:
                assignment = self._make(now_s)
            except OSError as error:
                self._cannot_fork(str(error.strerror), now_s)
                return None
            if assignment is not None:
                return assignment

    def _lacks_worker(self) -> bool:
        return self._worker_set.lacks_worker(self._generations.number, self._wanted, self._at_a_time())

    def _at_a_time(self) -> int:
        """How many workers may be replaced at the same time."""
        return share_of(self._plan.settings.reload_parallel, self._wanted)

    def _may_fork(self) -> bool:
        """Say whether somebody is missing, and nobody has to be waited for before."""
        if self._templates.is_busy or not self._worker_set.has_room:
            return False
        return self._templates.is_missing or self._lacks_worker()

    def _make(self, now_s: float) -> Assignment | None:
        """Fork a worker; with `preload`, a template if there is none, or else have that fork one."""
        if not self._plan.settings.preload:
            return self._fork(now_s)
        if self._templates.is_missing:
            server = self._server()
            ends = self._templates.fork(now_s)
            if ends is None:
                return None
            message_fd, stack_fd = ends
            return self._become_worker(0, message_fd, stack_fd, server, is_template=True)
        self._templates.order_worker(
            self._worker_set.free_slot(), multiprocess=self._is_multiprocess, now_s=now_s
        )
        return None

    def _cannot_fork(self, why: str, now_s: float) -> None:
        self._back_off.failed(now_s)
        log.error(f"cannot fork a worker: {why}; {self._back_off.next_try(now_s)}")

    def _fork(self, now_s: float) -> Assignment | None:
        slot = self._worker_set.free_slot()
        server = self._server()
        ways = Ways(_core.socket_pair, os.pipe)
        pid = ways.fork()
        message_fd, stack_fd = ways.ends
        if pid == 0:
            return self._become_worker(slot, message_fd, stack_fd, server)
        worker = WorkerHandle(
            self._plan.settings,
            pid=pid,
            slot=slot,
            generation=self._generations.number,
            message_fd=message_fd,
            stack_fd=stack_fd,
            now_s=now_s,
        )
        self._add_worker(worker, now_s)
        return None

    def _add_worker(self, worker: WorkerHandle, now_s: float) -> None:
        """Take in a worker that was forked just now, by whom ever."""
        self._hooks.forked(worker.slot)
        self._adopt(worker)
        self._drain_delay.tell(worker)
        log.debug(f"{worker} started as worker {worker.slot + 1}")
        if self._is_stopping:
            self._dismiss(worker, now_s)

    def _become_worker(
        self, slot: int, supervisor_fd: int, stack_fd: int, server: Server, *, is_template: bool = False
    ) -> Assignment:
        self._leave_supervisor()
        self._generations.keep_only_current()
        return Assignment(
            self._plan,
            self._scoreboard,
            slot=slot,
            supervisor_fd=supervisor_fd,
            stack_fd=stack_fd,
            multiprocess=self._is_multiprocess,
            server=server,
            is_template=is_template,
        )

    @property
    def _is_multiprocess(self) -> bool:
        return max(self._wanted, self._plan.most_workers) > 1

    def _leave_supervisor(self) -> None:
        """In a forked process: let go of what is the supervisor's, but for the sockets that are served."""
        forget_parent(self._signals)
        for worker in self._worker_set.workers.values():
            worker.close()
        self._templates.close()
        self._rereading.close()
        self._door.close()

    def _leave_to_hook(self) -> None:
        self._leave_supervisor()
        for listener in self._generations.listeners:
            os.close(listener.fd)

    def _server(self) -> Server:
        """What hooks are told."""
        number = self._generations.number
        return server_of(self._plan, pid=os.getpid(), workers=self._wanted, generation=number)

    def _tell_overdue(self, worker: WorkerHandle, call: _core.RunningCall) -> None:
        request = Request(call.what, elapsed_s=call.elapsed_s, timeout_s=timeout_s(worker.settings, call))
        self._hooks.tell("request_timeout", self._server(), Worker(worker.slot + 1, pid=worker.pid), request)

    def _drain(self, worker: WorkerHandle, now_s: float) -> None:
        worker.leave(Drain, now_s=now_s)

    def _warn_of_import(self, worker: WorkerHandle, sentence: str) -> None:
        if sentence:
            log.warning(f"{worker}: {sentence}")

    # -- what happens

    def _wait(self) -> None:
        """Sleep until something happens or is due, and take in all that has happened."""
        due_s = [worker.kill_at_s for worker in self._worker_set.workers.values()]
        if not _core.flush_log(0):
            due_s.append(time.monotonic() + LOG_PAUSE_S)
        due_s += [duty.due_s() for duty in self._duties]
        if self._keeps_workers:
            due_s += [duty.due_s() for duty in self._duties_in_service]
            if self._may_fork():
                due_s.append(self._back_off.not_before_s)
        # Whatever has woken it: a signal is taken before what the workers may say of the same one.
        self._loop.wait(due_s, first=self._take_signals)
        if self._loop.is_resumed:
            self._worker_set.resume(time.monotonic())

    def _take_signals(self, now_s: float) -> None:
        numbers = self._signals.read()
        if not numbers:
            return
        self._has_stop_signal = self._has_stop_signal or any(number in _STOPS for number in numbers)
        # Before the signal somebody may have got ready, which is said before the end is.
        for worker in list(self._worker_set.workers.values()):
            self._read_messages(worker, now_s)
        for number in numbers:
            self._take_signal(number, now_s)
        self._reap(now_s)

    def _take_signal(self, number: int, now_s: float) -> None:
        if number == signal.SIGTERM:
            if not self._is_stopping:
                self._end_service(now_s)
        elif number in (signal.SIGINT, signal.SIGQUIT):
            self._stop(KILLING if self._stage in (QUITTING, KILLING) else QUITTING, now_s)
        elif number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR1:
            self._reopen_logs()
        elif number == signal.SIGWINCH:
            self._take_winch()
        elif number in (signal.SIGTTIN, signal.SIGTTOU):
            self._resize(1 if number == signal.SIGTTIN else -1)
        elif number == signal.SIGUSR2:
            self._upgrade()
        elif number != signal.SIGCHLD:
            log.warning(f"{signal_name(number)} has no meaning here")

    @property
    def _is_stopping(self) -> bool:
        return self._stage in (DRAINING, QUITTING, KILLING)

    @property
    def _keeps_workers(self) -> bool:
        """Whether as many workers as wanted are kept."""
        return self._stage in (SERVING, ANNOUNCING)

    def _end_service(self, now_s: float) -> None:
        """TERM: announce the stop, if that is to have a delay and anybody is served; else, stop."""
        delay_s = self._plan.settings.drain_delay_s
        # Not by who is ready: all workers may have got the signal, too, and leave already.
        is_served = self._announced and self._wanted > 0
        if self._stage != SERVING or not delay_s or not is_served:
            self._stop(DRAINING, now_s)
            return
        self._stage = ANNOUNCING
        self._rereading.stop()
        self._name("stops soon")
        self._drain_delay.begin(delay_s, now_s)

    def _end_drain_delay(self, now_s: float) -> None:
        self._stop(DRAINING, now_s)

    def _take_winch(self) -> None:
        if is_of_terminal():
            log.debug("SIGWINCH: the size of the terminal has changed")
        elif not self._announced:
            log.warning("SIGWINCH has no effect before the start is over")
        elif self._stage == SERVING:
            self._rest()

    def _rest(self) -> None:
        """Let the workers finish, and keep the sockets until a reload, or more workers, end that."""
        self._is_woken = False
        self._resize_to(0)
        log.info("resting: the workers finish and leave, connections wait until a reload")

    def _name(self, state: str = "") -> None:
        title = f"portico: supervisor {self._plan.name}"
        name_process("portico", f"{title} ({state})" if state else title)

    def _reload(self) -> None:
        if self._stage != SERVING:
            return
        self._is_woken = not self._wanted and not self._automatic_count.is_asleep
        # At once: the file may have been moved away, whatever the configuration is.
        self._generations.open_error_log()
        log.info("reloading: reading the configuration")
        self._rereading.begin()

    def _upgrade(self) -> None:
        if self._stage != SERVING:
            return
        log.info("upgrading: trying the program that is there now")
        self._rereading.begin(UPGRADE)

    def _hand_over(self) -> dict[str, Any]:
        """Return what a supervisor in this one's place needs to know."""
        from portico.process.upgrade import hand_over

        return hand_over(
            self._generations,
            self._worker_set,
            self._scoreboard,
            wanted=self._wanted,
            is_announced=self._announced,
        )

    def _be_replaced(self, report: dict[str, Any]) -> str:
        """Become the program that a dry run has tried; return why that cannot be."""
        from portico.process.upgrade import become

        if self._stage != SERVING:
            return "portico is stopping"
        record = self._hand_over()
        # A reload or upgrade that was asked for since is the next one's.
        if self._rereading.again:
            record["signals"].append(signal.SIGUSR2 if self._rereading.again == UPGRADE else signal.SIGHUP)
        log.info(f"upgrading: portico {report['portico']} under Python {report['Python']} takes over")
        _core.flush_log(LOG_PATIENCE_S)
        return become(report, record, self._signals)

    def _take_over(self, before: Predecessor) -> None:
        """Go on with what the supervisor before has left; its workers count as those before a reload."""
        self._announced = before.is_announced
        # None are wanted in sleep, and in a rest.
        if self._plan.worker_count == before.worker_count and before.wanted:
            self._wanted = before.wanted
        self._wanted = min(self._wanted, self._worker_set.most_workers)
        for worker in before.workers:
            self._adopt(worker)
        self._door.take_plan(self._plan, before.plan)
        self._generations.take_over(before.settings)
        self._hooks.take_over(self._server())
        log.info(f"upgraded from {before}: each worker is replaced once its successor is ready")
        self._signals.again(bytes([*before.signals, signal.SIGCHLD]))
        block_only(before.blocked)

    def _adopt(self, worker: WorkerHandle) -> None:
        self._worker_set.add(worker)
        if worker.message_fd >= 0:
            self._loop.watch(worker.message_fd, lambda now_s: self._read_messages(worker, now_s))

    def _take_plan(self, plan: Plan, said: str) -> None:
        """Serve by `plan` from now on; `said` is what the command line had to say about it."""
        if self._stage != SERVING:
            close_all_but(plan, [self._plan])
            return
        for line in said.splitlines():
            log.info(line.removeprefix("portico: "))
        before = self._plan
        self._door.take_plan(plan, before)
        # Whether this plan serves, only a worker can tell.
        self._automatic_count.wake()
        self._generations.take(plan)
        self._templates.give_up()
        self._generations.open_error_log()
        self._want_as(plan, before)
        self._back_off.end()
        # The rest follows from it: `_manage` starts workers of this generation and drains those before it.
        self._hooks.tell("on_reload", self._server())
        log.info("reloading: each worker is replaced once its successor is ready")

    def _want_as(self, plan: Plan, before: Plan) -> None:
        """Want as many workers as `plan` says, if `before` has said something else: TTIN and TTOU hold on."""
        if plan.worker_count == before.worker_count and plan.is_scaled == before.is_scaled:
            return
        self._wanted = min(plan.worker_count, self._worker_set.most_workers)
        if self._wanted < plan.worker_count:
            log.warning(f"workers: {self._wanted} are the most without a restart, got {plan.worker_count}")

    def _resize(self, by: int) -> None:
        fewest, most = self._automatic_count.bounds
        # In a rest there are none.
        wanted = max(self._wanted + by, fewest) if by > 0 else self._wanted + by
        if self._stage != SERVING or not fewest <= wanted <= most:
            log.warning(f"the number of workers stays at {self._wanted}")
            return
        self._resize_to(wanted)

    def _resize_to(self, count: int) -> None:
        # None is none, though a connection may wait.
        self._automatic_count.stop()
        self._want(count)
        self._name("" if count else "rests")
        log.info(f"the number of workers is {count} now")

    def _want(self, count: int) -> None:
        self._wanted = count

    # -- control

    def _subject(self) -> Subject:
        """Return what may be asked over the control socket."""
        return Subject(
            worker_set=self._worker_set,
            scoreboard=self._scoreboard,
            generations=self._generations,
            rereading=self._rereading,
            back_off=self._back_off,
            serving=SERVING,
            stage=lambda: self._stage,
            wanted=lambda: self._wanted,
            reload=self._reload,
            upgrade=self._upgrade,
            stop=self._stop_by_control,
            bounds=lambda: self._automatic_count.bounds,
            resize_to=self._resize_to,
            rest=self._rest,
            reopen_logs=self._reopen_logs,
            set_log_level=self._set_log_level,
        )

    def _stop_by_control(self, at_once: bool, now_s: float) -> None:
        self._take_signal(signal.SIGINT if at_once else signal.SIGTERM, now_s)

    def _reopen_logs(self) -> None:
        reopen_logs(self._generations, self._all_processes())
        log.info("the files of the logs are opened anew")

    def _set_log_level(self, level: str) -> None:
        # New workers have it from the settings; a reload reads them anew.
        self._plan.settings.values["log_level"] = level
        self._plan.settings.origins["log_level"] = "portico ctl log-level"
        _core.set_log_level(level)
        for worker in self._all_processes():
            worker.tell(Verbosity, level)

    def _all_processes(self) -> list[WorkerHandle]:
        return [*self._worker_set.workers.values(), *self._templates.all]

    def _stop(self, stage: str, now_s: float) -> None:
        self._stage = stage
        self._automatic_count.stop()
        if stage == DRAINING:
            # The workers serve those who have come, to the last one.
            for listener in self._generations.listeners:
                let_nobody_in(listener)
        # Whoever comes now shall find the door closed at once instead of waiting in a queue that nobody
        # serves.
        self._generations.close_listeners()
        self._drain_delay.end()
        self._rereading.stop()
        self._name("stops")
        names = {
            DRAINING: "stopping after the requests in flight",
            QUITTING: "stopping",
            KILLING: "killing the workers",
        }
        if self._exit_code == EXIT_FINE:
            log.info(names[stage])
        self._templates.end()
        for worker in list(self._worker_set.workers.values()):
            self._dismiss(worker, now_s)

    def _dismiss(self, worker: WorkerHandle, now_s: float) -> None:
        """Let `worker` leave as the stage says."""
        if self._stage == DRAINING:
            self._drain(worker, now_s)
        elif self._stage == QUITTING:
            worker.leave(Quit, now_s=now_s)
        else:
            worker.kill()

    def _read_messages(self, worker: WorkerHandle, now_s: float) -> None:
        fd = worker.message_fd
        for message in worker.read_messages():
            if isinstance(message, Failed):
                worker.failure = message.text
            elif isinstance(message, Ready):
                worker.ready_at_s = now_s
                self._warn_of_import(worker, worker.import_watch.end(now_s))
                if worker.state == BOOTING:
                    worker.state = READY
                    if worker.generation == self._generations.number:
                        self._generations.confirm()
                        self._templates.confirm()
                    self._automatic_count.worker_ready(worker)
                    self._welcome(worker, message.text)
            elif isinstance(message, Leaving):
                self._let_leave(worker, message.text, now_s)
            elif isinstance(message, Warmed) and self._reforking.take(worker, now_s):
                # From here on it is among the templates.
                self._worker_set.remove(worker)
                self._scoreboard.reset(worker.slot)
                return
        if worker.message_fd < 0:
            self._loop.forget(fd)

    def _let_leave(self, worker: WorkerHandle, order_kind: str, now_s: float) -> None:
        """Somebody has sent a signal to this worker: it leaves as if so ordered, and gets a successor."""
        order = Quit if order_kind == Quit.kind.decode() else Drain
        # Ctrl-C reaches the workers too: that is no signal which somebody has sent to this one alone.
        if worker.is_active and not self._has_stop_signal:
            self._lived(now_s - worker.ready_at_s, now_s)
            log.info(f"{worker} leaves because of a signal; {self._back_off.next_try(now_s)}")
        worker.expect_end(order, now_s=now_s)

    def _welcome(self, worker: WorkerHandle, application: str) -> None:
        """A worker is ready; the last of the first ones is what the user has been waiting for."""
        if self._announced:
            log.info(f"{worker} is ready after {worker.ready_at_s - worker.forked_at_s:.2f} s")
        elif len(self._worker_set.in_state(READY)) >= self._wanted:
            self._announced = True
            startup_s = worker.ready_at_s - self._plan.started_at_s
            log.info(
                banner(
                    self._plan,
                    application,
                    workers=self._wanted,
                    version=_core.__version__,
                    pid=os.getpid(),
                    startup_s=startup_s,
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
                exit_code = os.waitstatus_to_exitcode(wait_status)
                if template := self._templates.ended(pid, now_s):
                    self._on_template_exit(template, exit_code, now_s)
                elif not self._hooks.ended(pid, exit_code):
                    self._rereading.ended(pid, exit_code)
                continue
            self._reforking.has_ended(worker)
            self._read_messages(worker, now_s)  # its last words may still be in the socket
            # A child of the worker may hold the other end.
            self._loop.forget(worker.message_fd)
            worker.close()
            # Out of the set first: from here on its pid may belong to another process.
            self._worker_set.remove(worker)
            exit_code = os.waitstatus_to_exitcode(wait_status)
            self._on_exit(worker, exit_code, now_s)
            ended = Worker(worker.slot + 1, pid=pid, exit_code=exit_code, was_expected=not worker.is_active)
            self._hooks.tell("worker_exit", self._server(), ended)
            self._scoreboard.reset(worker.slot)

    # -- workers that end

    def _on_exit(self, worker: WorkerHandle, exit_code: int, now_s: float) -> None:
        """Say what happened and when its place is filled; the scoreboard still has what it was doing."""
        how = how_it_ended(exit_code)
        if self._accounting.settle(worker, exit_code, self._plan) == "killed:oom":
            how += ", for want of memory in its cgroup,"
        if not worker.is_active:
            log.debug(f"{worker} has left: it {how}")
        elif worker.state == BOOTING:
            self._boot_failed(worker, how, now_s)
        else:
            lived_s = now_s - worker.ready_at_s
            self._lived(lived_s, now_s)
            log.error(
                f"{worker} {how} after {lived_s:.1f} s{describe_calls(self._status(worker))}; "
                f"{self._back_off.next_try(now_s)}"
            )

    def _on_template_exit(self, template: WorkerHandle, exit_code: int, now_s: float) -> None:
        """The workers serve on; from what the next ones are forked, `_manage` sees to."""
        how = how_it_ended(exit_code)
        if not template.is_active or self._stage != SERVING or self._has_stop_signal:
            log.debug(f"{template} has left: it {how}")
        elif template.state == BOOTING:
            self._boot_failed(template, how, now_s)
        else:
            self._lived(now_s - template.ready_at_s, now_s)
            log.error(f"{template} {how}; {self._back_off.next_try(now_s)}")

    def _renew(self, template: WorkerHandle) -> int:
        """A worker has become the template: let all workers be made of it, as in a reload."""
        # Its engine may have been sent others than it was forked with.
        reopen_logs(self._generations, [template])
        number = self._generations.renew()
        self._reforking.has_renewed(number)
        return number

    def _boot_failed(self, worker: WorkerHandle, how: str, now_s: float) -> None:
        workers, generation = self._worker_set, self._generations.number
        reason = _after_colon(worker.failure or f"the {worker.sort} {how} while it loaded the application")
        # A worker that died without a word says nothing about the application if another one has loaded it.
        if not self._announced and (worker.failure or not workers.has_ready(generation)):
            if self._exit_code == EXIT_FINE:
                log.critical(f"cannot load {self._plan.settings.app}{reason}")
                self._exit_code = EXIT_APPLICATION
                self._stop(QUITTING, now_s)
        elif workers.has_ready_before(generation) and not workers.has_ready(generation):
            log.error(f"reload failed, the workers of before go on serving{reason}")
            self._go_back(worker.failure or reason.removeprefix(": "))
        else:
            self._back_off.failed(now_s)
            log.error(
                f"{worker} cannot load {self._plan.settings.app} ({self._back_off.next_try(now_s)}){reason}"
            )

    def _go_back(self, why: str) -> None:
        """No worker of this generation can be: stay with those of before, and what they were made by."""
        for worker in self._worker_set.in_state(BOOTING):
            worker.kill()
        failed = self._plan
        self._generations.go_back(why)
        self._templates.go_back()
        self._want_as(self._plan, failed)
        self._worker_set.adopt(self._generations.number)

    def _lived(self, lived_s: float, now_s: float) -> None:
        """A worker has served for `lived_s` without having been told to leave."""
        if lived_s < STABLE_AFTER_S:
            self._back_off.failed(now_s)
        else:
            self._back_off.succeeded()

    @property
    def _plan(self) -> Plan:
        """What the next worker is made by."""
        return self._generations.current

    def _status(self, worker: WorkerHandle) -> _core.WorkerStatus:
        return self._scoreboard.read(worker.slot)


def _after_colon(text: str) -> str:
    """Let a traceback begin on a line of its own."""
    return ":\n" + text if "\n" in text else ": " + text
