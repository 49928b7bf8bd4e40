"""Children that have ended: each is reaped, its end is said and accounted for, and what follows is begun.

As PID 1 of a container that is also every process which others have left behind.
"""

from __future__ import annotations

import os

from portico import log
from portico.errors import EXIT_APPLICATION, EXIT_FINE, after_colon
from portico.process.accounting import OUT_OF_MEMORY, Accounting
from portico.process.calls import describe_calls
from portico.process.keeper import STABLE_AFTER_S
from portico.process.life import QUITTING
from portico.process.signals import how_it_ended, signal
from portico.process.worker_handle import BOOTING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico import _core
    from portico.process.generations import Generations
    from portico.process.hook_calls import HookCalls
    from portico.process.keeper import Keeper
    from portico.process.life import Life
    from portico.process.loop import Loop
    from portico.process.oom_kills import OomKills
    from portico.process.totals import Totals
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet

_FOR_MEMORY = ", for want of memory in its cgroup,"

_STABLE_IN_MEMORY_S = 30.0


class Ends:
    """What is made of the ends of children.

    `other_ended` is told of those that are nobody's here, `any_ended` of all; `stop` ends the server in a
    stage, since no worker can be started.
    """

    __slots__ = (
        *("_accounting", "_any_ended", "_generations", "_hooks", "_keeper", "_killed", "_life", "_loop"),
        *("_other_ended", "_scoreboard", "_stop", "_totals", "_worker_set"),
    )

    def __init__(
        self,
        life: Life,
        loop: Loop,
        generations: Generations,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        keeper: Keeper,
        hooks: HookCalls,
        totals: Totals,
        oom_kills: OomKills,
        *,
        other_ended: Callable[[int, int], object],
        any_ended: Callable[[int], object],
        stop: Callable[[str, float], None],
    ) -> None:
        self._life = life
        self._loop = loop
        self._generations = generations
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._keeper = keeper
        self._hooks = hooks
        self._totals = totals
        self._other_ended = other_ended
        self._any_ended = any_ended
        self._stop = stop
        self._accounting = Accounting(scoreboard, oom_kills)
        # How many were killed while they loaded the application.
        self._killed = 0

    def reap(self, now_s: float) -> None:
        """Take leave of every child that has ended."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            exit_code = os.waitstatus_to_exitcode(wait_status)
            self._any_ended(pid)
            worker = self._worker_set.workers.get(pid)
            if worker is not None:
                self._reap_worker(worker, exit_code, now_s)
            elif template := self._template(pid, now_s):
                self._on_template_exit(template, exit_code, now_s)
            elif not self._hooks.ended(pid, exit_code):
                self._other_ended(pid, exit_code)

    def _template(self, pid: int, now_s: float) -> WorkerHandle | None:
        templates = self._keeper.templates
        return None if templates is None else templates.ended(pid, now_s)

    def _reap_worker(self, worker: WorkerHandle, exit_code: int, now_s: float) -> None:
        if self._keeper.reforking is not None:
            self._keeper.reforking.has_ended(worker)
        self._keeper.read_messages(worker, now_s)  # its last words may still be in the socket
        # A child of the worker may hold the other end.
        self._loop.forget(worker.message_fd)
        worker.close()
        # Out of the set first: from here on its pid may belong to another process.
        self._worker_set.remove(worker)
        self._on_exit(worker, exit_code, now_s)
        self._hooks.worker_ended(worker, exit_code)
        self._totals.add(self._scoreboard, worker.slot)
        self._scoreboard.reset(worker.slot)

    def _on_exit(self, worker: WorkerHandle, exit_code: int, now_s: float) -> None:
        """Say what happened and when its place is filled; the scoreboard still has what it was doing."""
        how = how_it_ended(exit_code)
        plan, spans_fd = self._generations.current, self._keeper.spans_fd()
        cause = self._accounting.settle(worker, exit_code, plan, spans_fd)
        is_for_memory = cause == OUT_OF_MEMORY
        if lost := [call.what for call in self._scoreboard.read(worker.slot).calls]:
            self._totals.recent_errors.lost(worker.slot, lost, cause)
        self._totals.ended(worker, is_for_memory=is_for_memory)
        if is_for_memory:
            how += _FOR_MEMORY
        if not worker.is_active:
            log.debug(f"{worker} has left: it {how}")
        elif worker.state == BOOTING:
            self._boot_failed(worker, how, now_s, is_killed=exit_code == -signal.SIGKILL)
        else:
            lived_s = now_s - worker.ready_at_s
            # The memory that a worker dies for may be what the ones started before it have taken.
            stable_after_s = _STABLE_IN_MEMORY_S if is_for_memory else STABLE_AFTER_S
            self._keeper.lived(lived_s, now_s, stable_after_s=stable_after_s)
            log.error(
                f"{worker} {how} after {lived_s:.1f} s{describe_calls(self._scoreboard.read(worker.slot))}; "
                f"{self._keeper.back_off.next_try(now_s)}"
            )

    def _on_template_exit(self, template: WorkerHandle, exit_code: int, now_s: float) -> None:
        """The workers serve on; from what the next ones are forked, the keeper sees to."""
        how = how_it_ended(exit_code)
        if self._accounting.was_for_memory(template, exit_code):
            how += _FOR_MEMORY
        if not template.is_active or not self._life.is_serving or self._life.has_stop_signal:
            log.debug(f"{template} has left: it {how}")
        elif template.state == BOOTING:
            self._boot_failed(template, how, now_s, is_killed=exit_code == -signal.SIGKILL)
        else:
            self._keeper.lived(now_s - template.ready_at_s, now_s)
            log.error(f"{template} {how}; {self._keeper.back_off.next_try(now_s)}")

    def _boot_failed(self, worker: WorkerHandle, how: str, now_s: float, *, is_killed: bool) -> None:
        workers, generation = self._worker_set, self._generations.number
        app, back_off = self._generations.current.settings.app, self._keeper.back_off
        reason = after_colon(worker.failure or f"the {worker.sort} {how} while it loaded the application")
        # A worker that died without a word says nothing about the application if another one has loaded it;
        # nor if somebody has killed it, such as the kernel for want of memory, and others are loading.
        self._killed += is_killed
        may_others = is_killed and self._killed < self._life.wanted and bool(self._keeper.booting)
        is_hopeless = worker.failure or not (workers.has_ready(generation) or may_others)
        if not self._life.is_announced and is_hopeless:
            if self._life.exit_code == EXIT_FINE:
                log.critical(f"cannot load {app}{reason}")
                self._life.exit_code = EXIT_APPLICATION
                self._stop(QUITTING, now_s)
        elif workers.has_ready_before(generation) and not workers.has_ready(generation):
            log.error(f"reload failed, the workers of before go on serving{reason}")
            self._keeper.go_back(worker.failure or reason.removeprefix(": "))
        else:
            back_off.failed(now_s)
            log.error(f"{worker} cannot load {app} ({back_off.next_try(now_s)}){reason}")
