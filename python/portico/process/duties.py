"""The duties of a supervisor: which it has, and by which settings.

Those that only some settings ask for are imported when one does: what is here is in every worker's memory.
"""

from __future__ import annotations

from portico.process.boots import Boots
from portico.process.limits import shortest_s
from portico.process.loop import NEVER_S, Duty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico import _core
    from portico.process.generations import Generations
    from portico.process.hook_calls import HookCalls
    from portico.process.keeper import Keeper
    from portico.process.worker_set import WorkerSet


class OnDemand(Duty):
    """A duty that there is from the moment on that `is_asked_for`."""

    __slots__ = ("_duty", "_is_asked_for", "_make")

    def __init__(self, is_asked_for: Callable[[], bool], make: Callable[[], Duty]) -> None:
        self._is_asked_for = is_asked_for
        self._make = make
        self._duty: Duty | None = None

    def look(self, now_s: float) -> None:
        if self._duty is None and self._is_asked_for():
            self._duty = self._make()
        if self._duty is not None:
            self._duty.look(now_s)

    def due_s(self) -> float | None:
        if self._duty is not None:
            return self._duty.due_s()
        return 0.0 if self._is_asked_for() else None


def duties_to_the_end(worker_set: WorkerSet, scoreboard: _core.Scoreboard) -> list[Duty]:
    """Return those that there are as long as there are workers."""

    def overdue_workers() -> Duty:
        from portico.process.overdue import OverdueWorkers

        return OverdueWorkers(worker_set, scoreboard)

    return [OnDemand(lambda: any(each.given_up for each in worker_set.workers.values()), overdue_workers)]


def duties_in_service(
    generations: Generations,
    worker_set: WorkerSet,
    scoreboard: _core.Scoreboard,
    keeper: Keeper,
    hooks: HookCalls,
    reload: Callable[[], None],
) -> list[Duty]:
    """Return those that there are no longer once the server is told to stop."""

    def overdue_calls() -> Duty:
        from portico.process.overdue import OverdueCalls

        return OverdueCalls(worker_set, scoreboard, hooks.overdue)

    def care() -> Duty:
        from portico.process.care import Care

        return Care(worker_set, scoreboard, lambda: keeper.at_a_time)

    def touch_reload() -> Duty:
        from portico.process.touch_reload import TouchReload

        return TouchReload(generations, reload)

    workers = worker_set.workers
    return [
        # By the settings of each: workers of before a reload go on by their own.
        OnDemand(
            lambda: any(shortest_s(each.settings) < NEVER_S for each in workers.values()), overdue_calls
        ),
        Boots(lambda: keeper.booting),
        OnDemand(lambda: any(each.has_limits for each in workers.values()), care),
        OnDemand(lambda: bool(generations.current.settings.touch_reload), touch_reload),
    ]
