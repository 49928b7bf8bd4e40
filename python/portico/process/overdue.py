"""Calls that take longer than `timeout`: the worker is replaced, threads cannot be stopped one by one."""

from __future__ import annotations

from portico import log
from portico.process.calls import describe_calls, describe_overdue, is_stuck, overdue_calls
from portico.process.loop import Duty
from portico.process.messages import Drain
from portico.process.worker_handle import LEAVING, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico import _core
    from portico._core import RunningCall
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet

# How long the other calls of a worker may take in which one has taken too long, at most. With the time until
# that is found, less than what reverse proxies wait beyond the timeouts (`portico.generate.times`).
PATIENCE_S = 3.0
# The same where no call can go on, because the interpreter does not come free.
STUCK_PATIENCE_S = 1.0
# As long as it may take to write the stacks.
STACKS_PATIENCE_S = 0.5
# Between two looks at whether a worker with a call that has taken too long has finished the others.
SPARING_TICK_S = 0.1
_LONGEST_TICK_S = 1.0
_SHORTEST_TICK_S = 0.05


class OverdueCalls(Duty):
    """Looks for such calls when one may be there, and lets their workers leave."""

    __slots__ = ("_next_s", "_scoreboard", "_tell", "_worker_set")

    def __init__(
        self,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        tell: Callable[[WorkerHandle, RunningCall], None],
    ) -> None:
        """`tell` is called with each such call."""
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._tell = tell
        self._next_s = 0.0

    def look(self, now_s: float) -> None:
        judged = self._judged()
        if now_s >= self._next_s and judged:
            self._next_s = now_s + min([self._judge(worker, now_s) for worker in judged])

    def due_s(self) -> float | None:
        return self._next_s if self._judged() else None

    def _judged(self) -> list[WorkerHandle]:
        return [worker for worker in self._worker_set.in_state(READY) if worker.settings.timeout_s]

    def _judge(self, worker: WorkerHandle, now_s: float) -> float:
        """Return in how many seconds the worker may have such a call at the soonest."""
        limit_s = worker.settings.timeout_s
        status = self._scoreboard.read(worker.slot)
        what = describe_overdue(status, limit_s)
        if what:
            log.error(
                f"{worker}: {what}, longer than the timeout of {limit_s:g} s; "
                f"replacing the worker{describe_calls(status)}"
            )
            for call in overdue_calls(status, limit_s):
                self._tell(worker, call)
            worker.write_stacks()
            worker.is_overdue = True
            within_s = STUCK_PATIENCE_S if is_stuck(status, limit_s) else PATIENCE_S
            worker.leave(Drain, now_s=now_s, within_s=within_s)
            return limit_s
        # A call that waits for its client is not overdue when its time would be over.
        shortest_s = min(_LONGEST_TICK_S, max(_SHORTEST_TICK_S, limit_s / 4))
        longest_s = max([status.waiting_s, *(call.silent_s for call in status.calls)])
        return max(shortest_s, limit_s - longest_s)


class OverdueWorkers(Duty):
    """Lets a worker that leaves because of such calls end as soon as it has nothing else."""

    __slots__ = ("_next_s", "_scoreboard", "_worker_set")

    def __init__(self, worker_set: WorkerSet, scoreboard: _core.Scoreboard) -> None:
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._next_s = 0.0

    def look(self, now_s: float) -> None:
        self._next_s = now_s + SPARING_TICK_S
        for worker in self._spared():
            if now_s < worker.left_at_s + STACKS_PATIENCE_S:
                continue
            status = self._scoreboard.read(worker.slot)
            overdue = overdue_calls(status, worker.settings.timeout_s)
            if overdue and status.connections <= len(overdue):
                worker.end_patience(now_s, "has finished all other calls")

    def due_s(self) -> float | None:
        return self._next_s if self._spared() else None

    def _spared(self) -> list[WorkerHandle]:
        return [worker for worker in self._worker_set.in_state(LEAVING) if worker.is_overdue]
