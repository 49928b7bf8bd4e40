"""The members of upstreams, as the supervisor has them: it tells workers of changes, and asks how they are.

A change holds for all workers there are and will be, over reloads that leave the row's `to` as it is, and
over upgrades.
"""

from __future__ import annotations

import time

from portico import log
from portico.process.loop import Duty
from portico.process.messages import Members
from portico.process.upstreams.changes import Changes, rows_of
from portico.process.upstreams.survey import Survey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portico.process.generations import Generations
    from portico.process.plan import Plan
    from portico.process.upstreams.changes import Row
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet


class UpstreamMembers(Duty):
    """What was changed, and the workers that are told. As a duty it wakes those who wait for an outcome."""

    __slots__ = ("_generations", "_wake_at_s", "_worker_set", "changes")

    def __init__(self, generations: Generations, worker_set: WorkerSet) -> None:
        self._generations = generations
        self._worker_set = worker_set
        self.changes = Changes()
        self._wake_at_s: float | None = None

    @property
    def rows(self) -> dict[str, Row]:
        """The upstreams of the current plan, by what they are called."""
        return {row[0]: row for row in rows_of(self._generations.current.settings)}

    @property
    def workers(self) -> list[WorkerHandle]:
        """Those that are there."""
        return list(self._worker_set.workers.values())

    def orders(self) -> str:
        """Return what a new worker has to be told; empty if nothing was changed."""
        return self.changes.orders(rows_of(self._generations.current.settings)) if self.changes else ""

    def tell(self, order: str) -> Callable[[], bool]:
        """Give all workers `order`; return what says whether all that serve have taken it."""
        workers = self.workers
        for worker in workers:
            worker.tell(Members, order)

        def have_all() -> bool:
            return all(
                worker.has_taken_orders or not worker.ready_at_s or worker.message_fd < 0
                for worker in workers
            )

        return have_all

    def ask(self) -> Survey:
        """Ask all workers how their members are."""
        return Survey(self.workers)

    def take_plan(self, plan: Plan) -> None:
        """A reload has brought `plan`: say what does not hold under it. It is kept until the plan serves."""
        there = (self._generations.current, self._generations.confirmed)
        self.changes.keep(row for each in there for row in rows_of(each.settings))
        self._say_what_is_lost(plan)

    def take_over(self, record: list[Any], confirmed: Plan) -> None:
        """Have what the supervisor before an upgrade has left; `confirmed` is what there is to go back to."""
        self.changes.take_over(record)
        plan = self._generations.current
        self.changes.keep(row for each in (plan, confirmed) for row in rows_of(each.settings))
        self._say_what_is_lost(plan)

    def _say_what_is_lost(self, plan: Plan) -> None:
        rows = set(rows_of(plan.settings))
        for name, to in self.changes.changed_rows:
            if (name, to) not in rows:
                log.warning(
                    f"upstream {name}: its row has another `to` or is gone, so what portico ctl has changed "
                    "of its members holds no longer"
                )

    def wake(self, within_s: float) -> None:
        """Let the loop go round once more within so many seconds: somebody waits for an outcome."""
        at_s = time.monotonic() + within_s
        self._wake_at_s = at_s if self._wake_at_s is None else min(at_s, self._wake_at_s)

    def look(self, now_s: float) -> None:
        if self._wake_at_s is not None and now_s >= self._wake_at_s:
            self._wake_at_s = None

    def due_s(self) -> float | None:
        return self._wake_at_s
