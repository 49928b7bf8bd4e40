"""The supervisor: one loop on one thread over signals, messages of workers, and timers.

Receives a `Plan` with sockets that already listen; has as many workers as wanted kept (`keeper.py`), rolls
them on a reload, and ends them. It runs no application and no engine. Its parts see in `life.py` how far it
is; each of its duties is a file of its own (`duties.py`).
"""

from __future__ import annotations

import gc
import os
import sys
import time

from portico import _core, log
from portico.errors import EXIT_FINE
from portico.process.bounds import Bounds
from portico.process.control.door import Door
from portico.process.control.subject import Subject
from portico.process.duties import OnDemand, duties_in_service, duties_to_the_end
from portico.process.ends import Ends
from portico.process.generations import Generations
from portico.process.hook_calls import HookCalls
from portico.process.keeper import Keeper
from portico.process.life import ANNOUNCING, DRAINING, KILLING, QUITTING, RELOAD, UPGRADE, Life
from portico.process.loop import Duty, Loop
from portico.process.messages import Verbosity
from portico.process.observers import Observers
from portico.process.oom_kills import OomKills
from portico.process.signals import (
    SUPERVISOR_SIGNALS,
    WORKER_SIGNALS,
    SignalPipe,
    block_only,
    block_signals,
    is_of_terminal,
    signal,
    signal_name,
    unblock_signals,
)
from portico.process.totals import Totals
from portico.process.ways import forget_parent
from portico.process.worker import LOG_PATIENCE_S, Assignment, configure_log, set_up_streams
from portico.process.worker_set import WorkerSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.process.automatic_count import AutomaticCount
    from portico.process.cluster.cluster import Cluster
    from portico.process.plan import Plan
    from portico.process.pools.head_line import HeadLine
    from portico.process.pools.pools import Pools
    from portico.process.predecessor import Predecessor
    from portico.process.reforking import Reforking
    from portico.process.reread import Rereading
    from portico.process.templates import Templates
    from portico.process.upstreams.members import UpstreamMembers

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Between two looks whether somebody reads the error log again.
LOG_PAUSE_S = 0.25
# After something could not be had, until all that is due is tried again; and between two sentences about it.
SHORTAGE_PAUSE_S = 0.25
COMPLAINT_PAUSE_S = 10.0
STOPPING = "portico is stopping"


class Supervisor:
    """What the server is doing; `run` is its life."""

    def __init__(self, plan: Plan, before: Predecessor | None = None) -> None:
        self._before = before
        self._life = Life()
        self._generations = Generations(plan, before)
        self._worker_set = WorkerSet(plan.most_workers)
        self._scoreboard = (
            before.scoreboard(self._worker_set) if before else _core.Scoreboard(self._worker_set.slots)
        )
        self._totals = Totals(before.totals if before else None)
        self._signals = SignalPipe()
        self._loop = Loop()
        self._bounds = Bounds(self._life, self._generations, self._worker_set)
        self._life.wanted = self._bounds.first
        # From the first plan on whose number of workers is not fixed.
        self._automatic_count: AutomaticCount | None = None
        # From the first plan on that has load balancers to tell.
        self._cluster: Cluster | None = None
        self._added_before = before.added if before else []
        # Whether all is imported that may be needed.
        self._is_settled = False
        # When to say once more what cannot be had.
        self._next_complaint_s = 0.0
        # Whether a reload is on its way that ends a rest.
        self._is_woken = False
        # From the first reload or upgrade on.
        self._rereading: Rereading | None = None
        # From the first plan on that has any.
        self._pools: Pools | None = None
        # From when somebody first asks for them.
        self._members: UpstreamMembers | None = None
        self._observers = Observers(
            self._loop,
            self._generations,
            self._life,
            self._worker_set,
            self._scoreboard,
            self._totals,
            leave=self._leave_to_hook,
            leave_to_admin=self._leave_to_admin,
            subject=self._subject,
        )
        # Of a pool, to the supervisor of all.
        self._head_line: HeadLine | None = None
        self._hooks = HookCalls(self._generations, self._life, self._leave_to_hook)
        self._keeper = Keeper(
            self._life,
            self._loop,
            self._generations,
            self._worker_set,
            self._scoreboard,
            self._bounds,
            self._hooks,
            self._totals,
            leave=self._leave_to_worker,
            member_orders=lambda: "" if self._members is None else self._members.orders(),
            spans_fd=lambda: self._observers.spans_fd,
            is_kept_waiting=lambda: self._pools is not None and self._pools.keep_router_waiting,
            on_templates=self._have_templates,
        )
        oom_kills = OomKills()
        self._ends = Ends(
            self._life,
            self._loop,
            self._generations,
            self._worker_set,
            self._scoreboard,
            self._keeper,
            self._hooks,
            self._totals,
            oom_kills,
            other_ended=self._other_ended,
            any_ended=self._observers.any_ended,
            stop=self._stop,
        )
        self._door = Door(self._loop, plan, self._subject())
        self._duties: list[Duty] = [
            *duties_to_the_end(self._worker_set, self._scoreboard),
            OnDemand(lambda: self._life.is_announced and self._plan.has_load_balancers, self._join_cluster),
            oom_kills,
            self._door,
            self._hooks,
            OnDemand(
                lambda: self._pools is not None or self._plan.settings.pools is not None, self._have_pools
            ),
            *self._observers.duties,
        ]
        if plan.settings.pool is not None and "line_fd" in plan.settings.pool:
            self._duties.append(self._line_to_head(plan.settings.pool["line_fd"]))
        if "NOTIFY_SOCKET" in os.environ:
            self._duties[:0] = self._service_manager_duties()
        # No longer once told to stop.
        self._duties_in_service: list[Duty] = [
            *duties_in_service(
                self._generations,
                self._worker_set,
                self._scoreboard,
                self._keeper,
                self._hooks,
                self._reload,
            ),
            OnDemand(lambda: self._plan.is_scaled, self._count_automatically),
        ]

    def run(self) -> int | Assignment:
        """Supervise until told to stop and return the exit code; in a forked child, return its assignment."""
        self._name()
        configure_log(self._plan.settings)
        set_up_streams()
        self._signals.watch(SUPERVISOR_SIGNALS)
        if self._before is None:
            # They wait since the command line has made the first file.
            unblock_signals(WORKER_SIGNALS)
        self._loop.watch(self._signals.read_fd, self._take_signals)
        self._observers.open_log()
        is_upgraded = self._before is not None
        if self._before is not None:
            self._take_over(self._before)
            self._before = None
        self._have_names_looked_up()
        self._observers.prepare_metric_files(is_upgraded=is_upgraded)
        # What exists now lives as long as the process: leave it out of collections, which would copy its
        # pages in every worker (gc.freeze in the documentation of the module gc).
        gc.disable()
        gc.collect()
        gc.freeze()
        if sys.version_info < (3, 12):
            # Which attributes types have is remembered together with their names. What a worker remembers
            # takes the place of that, and would write to the names forgotten; later, nobody counts those.
            sys._clear_type_cache()
        _core.give_back_memory()
        pid = os.getpid()
        while True:
            try:
                assignment = self._manage(time.monotonic())
                if assignment is not None:
                    return assignment
                if self._may_end(time.monotonic()):
                    break
                if self._life.is_announced and not self._is_settled:
                    self._settle()
                self._wait()
            except (OSError, ImportError) as error:
                if os.getpid() != pid:
                    raise
                self._go_on_after(error)
        self._end()
        return self._life.exit_code

    def _go_on_after(self, error: OSError | ImportError) -> None:
        """Something could not be had, such as a descriptor: what is due stays due, so try again soon."""
        now_s = time.monotonic()
        if now_s >= self._next_complaint_s:
            self._next_complaint_s = now_s + COMPLAINT_PAUSE_S
            # Without `reason_of`: the codec that it quotes with may be what cannot be read.
            why = getattr(error, "strerror", None) or error
            log.error(f"the supervisor cannot do all that is due: {why}; it tries again")
        time.sleep(SHORTAGE_PAUSE_S)

    def _end(self) -> None:
        """Let go of all there is, the last worker has left."""
        if self._pools is not None:
            self._pools.end()
        if self._members is not None:
            self._members.end()
        self._observers.end()
        if self._head_line is not None:
            self._head_line.say_last_words(time.monotonic())
        self._generations.close_listeners()
        self._generations.close_admin()
        self._door.end()
        # The interpreter gives signals their default effect while it ends itself: one more TERM would be
        # taken for the reason of the end.
        block_signals(SUPERVISOR_SIGNALS)
        _core.flush_log(LOG_PATIENCE_S)
        self._observers.end_log()

    def _may_end(self, now_s: float) -> bool:
        if not self._life.is_stopping or self._has_any or not self._hooks.have_ended():
            return False
        if self._life.readings.is_on_its_way:
            return False  # what the dry run has opened is to be closed: it is killed, and ends soon
        if self._cluster is not None and not self._cluster.may_end(now_s):
            return False
        return self._observers.may_end(now_s)

    def _settle(self) -> None:
        from portico.process.settling import settle

        settle(self._plan)
        self._is_settled = True

    def _service_manager_duties(self) -> list[Duty]:
        # Here, because without a service manager it would be in every worker's memory for nothing.
        from portico.process.service_manager.opening import duties_of
        from portico.process.service_manager.service import Service

        service = Service(self._generations, self._worker_set, self._scoreboard, self._life)
        return duties_of(service, os.environ)

    def _count_automatically(self) -> Duty:
        from portico.process.automatic_count import AutomaticCount

        self._automatic_count = AutomaticCount(
            self._life, self._loop, self._generations, self._worker_set, self._scoreboard, self._bounds
        )
        return self._automatic_count

    @property
    def _has_any(self) -> bool:
        """Whether a process serves, or leaves."""
        return self._keeper.has_any or (self._pools is not None and self._pools.has_any)

    def _have_pools(self, directory: str = "") -> Pools:
        """Return the pools; in `directory` are those of a supervisor before an upgrade."""
        if self._pools is None:
            # Here, because few servers have any, and each worker would have it.
            from portico.process.pools.pools import Pools

            self._pools = Pools(
                self._life,
                self._loop,
                self._generations,
                self._worker_set,
                self._reload,
                directory=directory,
            )
        return self._pools

    def _have_members(self) -> UpstreamMembers:
        if self._members is None:
            # Here, because few servers have upstreams, and each worker would have it.
            from portico.process.upstreams.members import UpstreamMembers

            self._members = UpstreamMembers(
                self._loop, self._generations, self._worker_set, self._life, self._leave_to_hook
            )
            self._duties.append(self._members)
        return self._members

    def _have_names_looked_up(self) -> None:
        """Have members if the plan has names that the DNS is asked for: they see to that."""
        if self._members is None and self._plan.settings.routes:
            from portico.config.routes.table import asks_dns

            if asks_dns(self._plan.settings.routes):
                self._have_members()

    def _line_to_head(self, fd: int) -> Duty:
        from portico.process.pools.head_line import HeadLine

        self._head_line = HeadLine(
            self._loop,
            fd,
            self._subject(),
            is_asleep=lambda: self._is_asleep,
            metrics_directory=lambda: self._observers.metrics_directory,
        )
        return self._head_line

    def _join_cluster(self) -> Duty:
        from portico.process.cluster.cluster import Cluster

        self._cluster = Cluster(
            self._life,
            self._loop,
            self._generations,
            self._worker_set,
            self._scoreboard,
            is_asleep=lambda: self._is_asleep,
            added_before=self._added_before,
        )
        return self._cluster

    def _have_templates(self, templates: Templates, reforking: Reforking) -> None:
        self._duties.append(templates)
        self._duties_in_service.append(reforking)

    def _manage(self, now_s: float) -> Assignment | None:
        """Do what is due, and have the workers that are wanted; returns an assignment in a forked child."""
        if self._is_woken and not self._life.readings.is_on_its_way:
            # Also one that has come to nothing: whoever has asked for it wants a server again.
            self._is_woken = False
            if not self._life.wanted:
                self._resize_to(self._plan.worker_count)
        for duty in self._duties:
            duty.look(now_s)
        self._keeper.kill_the_late(now_s)
        if self._life.is_stopping:
            return None
        for duty in self._duties_in_service:
            duty.look(now_s)
        return self._keeper.look(now_s)

    def _wait(self) -> None:
        """Sleep until something happens or is due, and take in all that has happened."""
        due_s = [worker.kill_at_s for worker in self._worker_set.workers.values()]
        if not _core.flush_log(0):
            due_s.append(time.monotonic() + LOG_PAUSE_S)
        due_s += [duty.due_s() for duty in self._duties]
        if not self._life.is_stopping:
            due_s += [duty.due_s() for duty in self._duties_in_service]
            if self._keeper.may_fork:
                due_s.append(self._keeper.back_off.not_before_s)
        # Whatever has woken it: a signal is taken before what the workers may say of the same one.
        self._loop.wait(due_s, first=self._take_signals)
        if self._loop.is_resumed:
            self._worker_set.resume(time.monotonic())

    def _leave(self) -> None:
        """In a forked process: let go of what is the supervisor's, but for the sockets that are served."""
        forget_parent(self._signals)
        self._keeper.close()
        if self._rereading is not None:
            self._rereading.close()
        for each in (self._pools, self._head_line, self._members):
            if each is not None:
                each.close()
        self._observers.close()
        self._door.close()
        if self._cluster is not None:
            self._cluster.close()

    def _leave_to_worker(self) -> None:
        self._leave()
        self._observers.use_metric_files()

    def _leave_to_hook(self) -> None:
        self._leave()
        self._generations.keep_only(())

    def _leave_to_admin(self) -> None:
        self._leave()
        self._generations.keep_only(self._plan.admin)

    @property
    def _plan(self) -> Plan:
        """What the next worker is made by."""
        return self._generations.current

    def _name(self, state: str = "") -> None:
        title = f"portico: supervisor {self._plan.name}"
        _core.name_process("portico", f"{title} ({state})" if state else title)

    # -- signals

    def _take_signals(self, now_s: float) -> None:
        numbers = self._signals.read()
        if not numbers:
            return
        if any(number in _STOPS for number in numbers):
            self._life.has_stop_signal = True
        # Before the signal somebody may have got ready, which is said before the end is.
        for worker in list(self._worker_set.workers.values()):
            self._keeper.read_messages(worker, now_s)
        for index, number in enumerate(numbers):
            try:
                self._take_signal(number, now_s)
            except (OSError, ImportError):
                self._signals.again(bytes([*numbers[index:], signal.SIGCHLD]))
                raise
        self._ends.reap(now_s)

    def _take_signal(self, number: int, now_s: float) -> None:
        if number == signal.SIGTERM:
            if not self._life.is_stopping:
                self._end_service(now_s)
        elif number in (signal.SIGINT, signal.SIGQUIT):
            self._stop(KILLING if self._life.stage in (QUITTING, KILLING) else QUITTING, now_s)
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

    def _take_winch(self) -> None:
        if is_of_terminal():
            log.debug("SIGWINCH: the size of the terminal has changed")
        elif not self._life.is_announced:
            log.warning("SIGWINCH has no effect before the start is over")
        elif self._life.is_serving:
            self._rest()

    # -- the end

    def _end_service(self, now_s: float) -> None:
        """TERM: announce the stop, if somebody is to hear of it before and anybody is served; else, stop."""
        delay_s = self._plan.settings.drain_delay_s
        is_announced = delay_s or self._cluster is not None
        # Not by who is ready: all workers may have got the signal, too, and leave already.
        is_reached = self._life.wanted > 0 or (self._cluster is not None and self._is_asleep)
        is_served = self._life.is_announced and is_reached
        if not self._life.is_serving or not is_announced or not is_served:
            self._stop(DRAINING, now_s)
            return
        from portico.process.drain_delay import DrainDelay

        self._life.stage = ANNOUNCING
        if self._rereading is not None:
            self._rereading.stop(STOPPING)
        self._name("stops soon")
        self._duties.append(
            DrainDelay(
                self._life,
                self._worker_set,
                lambda now_s: self._stop(DRAINING, now_s),
                may_end=lambda now_s: self._cluster is None or self._cluster.may_close(now_s),
                delay_s=delay_s,
                now_s=now_s,
            )
        )

    def _stop(self, stage: str, now_s: float) -> None:
        from portico.process.last_connections import let_nobody_in

        self._life.stage = stage
        self._end_sleep()
        if stage == DRAINING:
            # The workers serve those who have come, to the last one.
            for listener in self._generations.listeners:
                let_nobody_in(listener)
        # Whoever comes now shall find the door closed at once instead of waiting in a queue that nobody
        # serves.
        self._generations.close_listeners()
        if self._rereading is not None:
            self._rereading.stop(STOPPING)
        self._name("stops")
        names = {
            DRAINING: "stopping after the requests in flight",
            QUITTING: "stopping",
            KILLING: "killing the workers",
        }
        if self._life.exit_code == EXIT_FINE:
            log.info(names[stage])
        self._keeper.dismiss_all(now_s)

    # -- reload and upgrade

    def _reload(self) -> None:
        if not self._life.is_serving:
            return
        rereading = self._have_rereading()
        self._is_woken = not self._life.wanted and not self._is_asleep
        # At once: the file may have been moved away, whatever the configuration is.
        self._generations.open_error_log()
        log.info("reloading: reading the configuration")
        rereading.begin(RELOAD)

    def _have_rereading(self) -> Rereading:
        if self._rereading is None:
            from portico.process.reread import Rereading

            self._rereading = Rereading(
                self._life.readings,
                self._loop,
                self._generations,
                self._take_plan,
                hand_over=self._hand_over,
                replace=self._be_replaced,
            )
            self._duties_in_service.append(self._rereading)
        return self._rereading

    def _other_ended(self, pid: int, exit_code: int) -> None:
        """A child has ended that is no worker, no template and no hook."""
        if self._pools is not None and self._pools.ended(pid, exit_code, time.monotonic()):
            return
        if self._members is not None and self._members.ended(pid, exit_code):
            return
        if self._observers.ended(pid, exit_code):
            return
        if self._rereading is not None:
            self._rereading.ended(pid, exit_code)

    def _take_plan(self, plan: Plan, said: str) -> str:
        """Serve by `plan` from now on, or return why not; `said` is what the command line had to say."""
        if not self._life.is_serving:
            return STOPPING
        for line in said.splitlines():
            log.info(line.removeprefix("portico: "))
        before = self._plan
        self._door.take_plan(plan, before)
        if self._pools is not None:
            self._pools.take_plan(plan, before)
        if self._members is not None:
            self._members.take_plan(plan)
        # Whether this plan serves, only a worker can tell.
        if self._automatic_count is not None:
            self._automatic_count.wake()
        self._generations.take(plan)
        self._generations.open_error_log()
        self._observers.open_log()
        self._have_names_looked_up()
        self._observers.prepare_metric_files()
        self._keeper.take_plan(before)
        # The rest follows from it: workers of this generation are started, and those before it drained.
        self._hooks.reloading()
        log.info("reloading: each worker is replaced once its successor is ready")
        return ""

    def _upgrade(self) -> None:
        if not self._life.is_serving:
            return
        rereading = self._have_rereading()
        log.info("upgrading: trying the program that is there now")
        rereading.begin(UPGRADE)

    def _hand_over(self) -> dict[str, Any]:
        """Return what a supervisor in this one's place needs to know."""
        from portico.process.upgrade import hand_over

        added = self._cluster.added if self._cluster is not None else self._added_before
        return hand_over(
            self._generations,
            self._worker_set,
            self._scoreboard,
            self._life,
            added=added,
            pools=self._pools,
            members=self._members,
            totals=self._totals,
            observers=self._observers,
        )

    def _be_replaced(self, report: dict[str, Any]) -> str:
        """Become the program that a dry run has tried; return why that cannot be."""
        from portico.process.upgrade import become

        if not self._life.is_serving:
            return STOPPING
        record = self._hand_over()
        if self._head_line is not None:
            self._head_line.flush()
        # A reload or upgrade that was asked for since is the next one's.
        if self._rereading is not None and self._rereading.again:
            is_upgrade = self._rereading.again == UPGRADE
            record["signals"].append(signal.SIGUSR2 if is_upgrade else signal.SIGHUP)
        log.info(f"upgrading: portico {report['portico']} under Python {report['Python']} takes over")
        _core.flush_log(LOG_PATIENCE_S)
        return become(report, record, self._signals)

    def _take_over(self, before: Predecessor) -> None:
        """Go on with what the supervisor before has left; its workers count as those before a reload."""
        self._life.is_announced = before.is_announced
        # None are wanted in sleep, and in a rest.
        if self._plan.worker_count == before.worker_count and before.wanted:
            self._life.wanted = before.wanted
        self._life.wanted = min(self._life.wanted, self._worker_set.most_workers)
        for worker in before.workers:
            self._keeper.adopt(worker)
        self._door.take_plan(self._plan, before.plan)
        self._generations.take_over(before.settings)
        if before.pools:
            pools = self._have_pools(before.pools["directory"])
            pools.take_plan(self._plan, before.plan)
            # A version of before has handed over none.
            pools.take_over(before.pools["pools"], before.pools.get("metrics", []))
        if before.members:
            self._have_members().take_over(before.members, before.plan)
        self._observers.take_over(before)
        self._hooks.upgraded()
        log.info(f"upgraded from {before}: each worker is replaced once its successor is ready")
        self._signals.again(bytes([*before.signals, signal.SIGCHLD]))
        block_only(before.blocked)

    # -- how many

    def _resize(self, by: int) -> None:
        fewest, most = self._bounds.both
        present = self._life.wanted
        # In a rest there are none.
        wanted = max(present + by, fewest) if by > 0 else present + by
        if not self._life.is_serving or not fewest <= wanted <= most:
            log.warning(f"the number of workers stays at {present}")
            return
        self._resize_to(wanted)

    def _resize_to(self, count: int) -> None:
        # None is none, though a connection may wait.
        self._end_sleep()
        self._life.wanted = count
        self._name("" if count else "rests")
        log.info(f"the number of workers is {count} now")

    @property
    def _is_asleep(self) -> bool:
        return self._automatic_count is not None and self._automatic_count.is_asleep

    def _end_sleep(self) -> None:
        if self._automatic_count is not None:
            self._automatic_count.stop()

    def _rest(self) -> None:
        """Let the workers finish, and keep the sockets until a reload, or more workers, end that."""
        self._is_woken = False
        self._resize_to(0)
        log.info("resting: the workers finish and leave, connections wait until a reload")

    # -- control

    def _subject(self) -> Subject:
        """Return what may be asked over the control socket."""
        return Subject(
            loop=self._loop,
            life=self._life,
            worker_set=self._worker_set,
            scoreboard=self._scoreboard,
            generations=self._generations,
            back_off=self._keeper.back_off,
            totals=self._totals,
            reload=self._reload,
            upgrade=self._upgrade,
            stop=self._stop_by_control,
            bounds=lambda: self._bounds.both,
            resize_to=self._resize_to,
            rest=self._rest,
            reopen_logs=self._reopen_logs,
            set_log_level=self._set_log_level,
            pools=lambda: self._pools,
            cluster=lambda: self._cluster,
            members=self._have_members,
            figures=self._observers.figures,
        )

    def _stop_by_control(self, at_once: bool, now_s: float) -> None:
        self._take_signal(signal.SIGINT if at_once else signal.SIGTERM, now_s)

    def _reopen_logs(self) -> None:
        from portico.process.reopening import reopen_logs

        reopen_logs(self._generations, self._keeper.all)
        self._observers.reopen()
        if self._pools is not None:
            self._pools.tell("reopen-logs")
        log.info("the files of the logs are opened anew")

    def _set_log_level(self, level: str) -> None:
        # New workers have it from the settings; a reload reads them anew.
        self._plan.settings.values["log_level"] = level
        self._plan.settings.origins["log_level"] = "portico ctl log-level"
        _core.set_log_level(level)
        for worker in self._keeper.all:
            worker.tell(Verbosity, level)
        self._observers.renew()
        if self._pools is not None:
            self._pools.tell("log-level", level)
