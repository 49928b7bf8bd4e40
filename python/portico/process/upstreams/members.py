"""The members of upstreams, as the supervisor has them: it tells workers of changes, and asks how they are.

A change by a client holds for all workers there are and will be, over reloads that leave the row's `to` as it
is, and over upgrades. What names have that the DNS is asked for is told to all workers, too.
"""

from __future__ import annotations

import time

from portico import _core, log
from portico.config.routes.table import SYSTEM
from portico.process.loop import Duty
from portico.process.messages import Members
from portico.process.upstreams.changes import Changes, found_order, rows_of, upstreams_of
from portico.process.upstreams.resolver import Resolver
from portico.process.upstreams.survey import Survey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from portico.config.routes.table import Action
    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.loop import Loop
    from portico.process.plan import Plan
    from portico.process.upstreams.changes import Row
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet

# A name may have thousands of addresses, all of which may change.
_MOST_SHOWN = 20


class UpstreamMembers(Duty):
    """What was changed, what names have, and the workers that are told.

    As a duty it looks after the process that looks up names, and wakes those who wait for an outcome. `leave`
    lets a forked process have nothing of the supervisor.
    """

    __slots__ = (
        *("_failing", "_found", "_generations", "_life", "_plan", "_resolver", "_wake_at_s", "_worker_set"),
        "changes",
    )

    def __init__(
        self,
        loop: Loop,
        generations: Generations,
        worker_set: WorkerSet,
        life: Life,
        leave: Callable[[], None],
    ) -> None:
        self._generations = generations
        self._worker_set = worker_set
        self._life = life
        self._resolver = Resolver(
            loop, generations, leave=leave, found=self._have_found, failed=self._have_failed
        )
        self.changes = Changes()
        # By place and resolver, as the engine reads them.
        self._found: dict[tuple[str, str], str] = {}
        # Those whose latest look-up has failed.
        self._failing: set[tuple[str, str]] = set()
        self._wake_at_s: float | None = None
        # That of the names that are looked up.
        self._plan: Plan | None = None

    @property
    def rows(self) -> dict[str, Row]:
        """The upstreams of the current plan, by what they are called."""
        return {row[0]: row for row in rows_of(self._generations.current.settings)}

    @property
    def workers(self) -> list[WorkerHandle]:
        """Those that are there."""
        return list(self._worker_set.workers.values())

    def orders(self) -> str:
        """Return what a new worker has to be told; empty if that is nothing."""
        settings = self._generations.current.settings
        changes = self.changes.orders(rows_of(settings)) if self.changes else ""
        found = (
            found_order(row[0], place, self._found[place, resolver])
            for row, place, resolver, _ in self._names()
            if (place, resolver) in self._found
        )
        return changes + "".join(found)

    def tell(self, order: str) -> Callable[[], bool]:
        """Give all workers `order`; return what says whether all that serve have taken it."""
        workers = self.workers
        for worker in workers:
            worker.tell(Members, order)
        self._look_for_names()

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

    def hand_over(self) -> list[Any]:
        """Return what the supervisor in this one's place needs, for `take_over`."""
        return [self.changes.hand_over(), [[*key, found] for key, found in self._found.items()]]

    def take_over(self, record: list[Any], confirmed: Plan) -> None:
        """Have what the supervisor before an upgrade has left; `confirmed` is what there is to go back to."""
        changes, found = record[:2]
        self.changes.take_over(changes)
        self._found = {(place, resolver): addresses for place, resolver, addresses in found}
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

    # -- names

    def _look_for_names(self) -> None:
        """Have those looked up that the current plan and clients name, and the DNS is asked for."""
        self._resolver.ask({(place, resolver): retry_s for _, place, resolver, retry_s in self._names()})

    def _names(self) -> Iterator[tuple[Row, str, str, float]]:
        """Yield each name that the DNS is asked for: of which row, by which resolver, how often at least."""
        for row, values in self._asking().items():
            for place in self.changes.places(row):
                if _core.read_member(place)[1]:
                    yield row, place, values["resolver"], values["resolve_s"]

    def _asking(self) -> dict[Row, dict[str, Any]]:
        """Return the rows that have a resolver, with their values."""
        upstreams: dict[str, Action] = upstreams_of(self._generations.current.settings)
        return {
            (name, tuple(action.values["to"])): action.values
            for name, action in upstreams.items()
            if action.values.get("resolver", SYSTEM) != SYSTEM
        }

    def asks_dns(self, row: Row) -> bool:
        """Say whether names of `row` are looked up by the DNS."""
        return row in self._asking()

    def _have_found(self, key: tuple[str, str], addresses: str, lacking: str) -> None:
        before = self._found.get(key, "")
        if addresses != before:
            self._found[key] = addresses
            log.info(f"upstream {key[0]}: {_change(before, addresses)}")
            self._tell_found(key)
        if lacking:
            self._say_why(key, lacking)
        else:
            self._failing.discard(key)

    def _have_failed(self, key: tuple[str, str], why: str) -> None:
        self._say_why(key, why)
        if not self._found.setdefault(key, ""):
            # New workers wait for it no longer.
            self._tell_found(key)

    def _say_why(self, key: tuple[str, str], why: str) -> None:
        """Say once why a name cannot be looked up, or not all of it."""
        addresses = self._found.get(key, "")
        if key not in self._failing:
            self._failing.add(key)
            count = addresses.count(",") + 1
            there = f"going on with the addresses of before: {count}" if addresses else "it has no members"
            log.warning(f"upstream {key[0]}: cannot look up the name: {why}; {there}")

    def _tell_found(self, key: tuple[str, str]) -> None:
        rows = [row for row, place, resolver, _ in self._names() if (place, resolver) == key]
        order = "".join(found_order(row[0], key[0], self._found[key]) for row in rows)
        for worker in self.workers if order else ():
            worker.tell(Members, order)

    def ended(self, pid: int, exit_code: int) -> bool:
        """Take note if `pid`, which has ended, looked up names; say whether it has."""
        return self._resolver.ended(pid, exit_code, is_wanted=self._life.is_serving)

    def end(self) -> None:
        """At the end of the server: nothing is looked up any more."""
        self._resolver.end()

    def close(self) -> None:
        """In a forked process: let go of what is the supervisor's."""
        self._resolver.close()

    # -- as a duty

    def wake(self, within_s: float) -> None:
        """Let the loop go round once more within so many seconds: somebody waits for an outcome."""
        at_s = time.monotonic() + within_s
        self._wake_at_s = at_s if self._wake_at_s is None else min(at_s, self._wake_at_s)

    def look(self, now_s: float) -> None:
        if self._wake_at_s is not None and now_s >= self._wake_at_s:
            self._wake_at_s = None
        if self._plan is not self._generations.current:
            # A reload has brought another, or was taken back.
            self._plan = self._generations.current
            self._look_for_names()
        if self._life.is_serving:
            self._resolver.look(now_s)

    def due_s(self) -> float | None:
        dues = [self._wake_at_s, self._resolver.start_at_s if self._life.is_serving else None]
        return min((each for each in dues if each is not None), default=None)


def _change(before: str, after: str) -> str:
    """Return what has changed between two lists of addresses, for people."""
    old, new = ({part.partition(" ")[0] for part in text.split(",") if part} for text in (before, after))
    parts = [f"+ {each}" for each in sorted(new - old)] + [f"- {each}" for each in sorted(old - new)]
    count = f"{len(new)} address{'es' if len(new) != 1 else ''}"
    if len(parts) > _MOST_SHOWN:
        parts[_MOST_SHOWN:] = [f"and {len(parts) - _MOST_SHOWN} other changes"]
    return f"the name has {count} now: {', '.join(parts) or 'other weights'}"
