"""Keeps the pools that the configuration has: starts those that are new, changes those that have changed, and
ends those that it has no longer.

Runs in the supervisor that was started, in its loop; imported where there are pools. A pool that cannot start
or that ends is tried again by itself, and no other is touched. Only a few start or change at a time, in the
order of the configuration; one that a request waits for goes before all others.
"""

from __future__ import annotations

import os

from portico import log
from portico.process.cpus import allowed_cpus
from portico.process.life import KILLING, QUITTING
from portico.process.loop import NEVER_S, Duty
from portico.process.pools.directory import make_directory, remove_directory
from portico.process.pools.folder_watch import FolderWatch
from portico.process.pools.pool import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.loop import Loop
    from portico.process.plan import Plan
    from portico.process.pools.pool_metrics import PoolMetrics
    from portico.process.pools.pool_process import PoolProcess
    from portico.process.worker_set import WorkerSet


# With one, a pool that waits for a database would keep all others waiting.
_FEWEST_AT_ONCE = 2


class Pools(Duty):
    """All pools, by their sockets; those that the configuration has no longer, until they have ended.

    `keep_router_waiting`: its new processes would ask pools that are to follow others, and do not serve yet.
    """

    __slots__ = (
        "_directory",
        "_generations",
        "_leaving",
        "_life",
        "_loop",
        "_metrics",
        "_next_s",
        "_pools",
        "_watch",
        "_worker_set",
        "keep_router_waiting",
    )

    def __init__(
        self,
        life: Life,
        loop: Loop,
        generations: Generations,
        worker_set: WorkerSet,
        reload: Callable[[], None],
        *,
        directory: str = "",
    ) -> None:
        """`directory` is where sockets are already, of a supervisor before an upgrade."""
        self._life = life
        self._loop = loop
        self._generations = generations
        self._worker_set = worker_set
        self._pools: dict[str, Pool] = {}
        # From when somebody first asks for them.
        self._metrics: PoolMetrics | None = None
        self._leaving: list[Pool] = []
        # When another may begin although those before are not done.
        self._next_s: float | None = None
        self.keep_router_waiting = False
        self._watch = FolderWatch(generations, reload)
        record = generations.current.settings.pools
        # Made by the command line; not by that of a reload, which is another process.
        made = directory or (record["directory"] if record is not None else "")
        self._directory: str = made or make_directory()
        if record is not None:
            record["directory"] = self._directory

    @property
    def all(self) -> list[Pool]:
        return [*self._pools.values(), *self._leaving]

    @property
    def shown(self) -> list[Pool]:
        """Those that serve, or should: not who has another one serve in its place."""
        return [pool for pool in self.all if not pool.is_represented]

    @property
    def metrics(self) -> PoolMetrics:
        """What they count."""
        if self._metrics is None:
            # Here, because nobody may ask for it.
            from portico.process.pools.pool_metrics import PoolMetrics

            self._metrics = PoolMetrics()
        return self._metrics

    @property
    def has_any(self) -> bool:
        """Whether there is a process of one."""
        return any(pool.processes for pool in self.all)

    @property
    def are_settled(self) -> bool:
        """Whether all are as the configuration has them, or cannot be."""
        return not self._leaving and all(pool.is_settled for pool in self._pools.values())

    @property
    def failures(self) -> list[str]:
        """The names of those that the latest configuration has changed, or brought, in vain."""
        return [pool.record["name"] for pool in self._pools.values() if pool.has_come_to_nothing]

    def look(self, now_s: float) -> None:
        if self._life.is_stopping:
            self._end(now_s)
            return
        self._watch.look(now_s)
        wanted = self._wanted()
        self._have(wanted)
        if self._is_router_new:
            # Nobody passes requests on to them any more, unless those that follow them come to nothing.
            for file, pool in [each for each in self._pools.items() if each[0] not in wanted]:
                if pool.after is None or not pool.after.is_to_follow:
                    self._let_go(file, now_s)
        for pool in self.all:
            pool.look(now_s)
        self._begin_some(now_s)
        self._let_router_wait(now_s)
        self._forget_ended()

    def _have(self, wanted: dict[str, dict[str, Any]]) -> None:
        """Let each of the `wanted` have its record, in their order."""
        pools = self._pools
        is_any_new = bool(wanted.keys() - pools.keys())
        serving = {pool.record["name"]: pool for pool in pools.values() if is_any_new and pool.serves}
        for file, record in wanted.items():
            if file in pools:
                pools[file].record = record
            else:
                pools[file] = self._new(record)
                if before := serving.get(record["name"]):
                    pools[file].follow(before)
        if list(pools) != list(wanted):
            last = [file for file in pools if file not in wanted]
            self._pools = {file: pools[file] for file in (*wanted, *last)}

    def _let_go(self, file: str, now_s: float) -> None:
        """Have the pool at `file` no longer, unless the one that was to follow it has given up."""
        pool = self._pools.pop(file)
        after = pool.after
        if after is not None and after.has_given_up:
            pool.take_place(after)
            self._pools[pool.record["file"]] = pool
        else:
            if after is not None and after.serves:
                log.info(f"{pool}: the new process serves, the one before leaves")
            self._leaving.append(pool)
            pool.drop(now_s=now_s)
        pool.part()

    def _begin_some(self, now_s: float) -> None:
        """Let as many begin as may at a time."""
        self._next_s = None
        is_confirmed = self._is_confirmed
        waiting = [pool for pool in self._pools.values() if pool.waits(now_s, is_confirmed=is_confirmed)]
        if not waiting:
            return
        under_way = [
            until_s for pool in self._pools.values() if (until_s := pool.under_way_until_s()) is not None
        ]
        under_way = sorted(until_s for until_s in under_way if until_s > now_s)
        # Those that somebody waits for first, a request or the router, else in their order.
        waiting.sort(key=lambda pool: not (pool.is_asked_for or pool.is_to_follow))
        free = max(0, self._most_at_once - len(under_way))
        for pool in waiting[:free]:
            pool.begin(self._generations.current.invocation, now_s)
        if len(waiting) > free:
            # If it is none of these, one that has just begun tells when it is done.
            self._next_s = under_way[0] if under_way else now_s + 1.0

    def _let_router_wait(self, now_s: float) -> None:
        """Have the router's new processes start when all that they ask for is served, or will not be soon.

        Then their requests wait: at a socket where nobody serves yet.
        """
        self.keep_router_waiting = False
        if self._is_confirmed or not self._worker_set.has_ready_before(self._generations.number):
            return
        to_follow = [pool for pool in self._pools.values() if pool.is_to_follow]
        # One that has not begun does so in its turn.
        untils_s = [
            NEVER_S if pool.current is None else pool.under_way_until_s() or now_s for pool in to_follow
        ]
        until_s = max(untils_s, default=now_s)
        if until_s > now_s:
            self.keep_router_waiting = True
            self._next_s = min(until_s, self._next_s or until_s)

    @property
    def _most_at_once(self) -> int:
        record = self._generations.current.settings.pools
        said = record.get("starts_at_once") if record is not None else None
        return int(said or max(_FEWEST_AT_ONCE, allowed_cpus()[0]))

    def due_s(self) -> float | None:
        dues = [pool.due_s() for pool in self.all]
        if not self._life.is_stopping:
            dues += (self._watch.due_s(), self._next_s)
        return min((due_s for due_s in dues if due_s is not None), default=None)

    def take_plan(self, plan: Plan, before: Plan) -> None:
        """A configuration was read anew: `plan` is to take the place of `before`."""
        if plan.settings.pools is None:
            return
        plan.settings.pools["directory"] = self._directory
        if plan.settings.pools["left_out"] and before.settings.pools is not None:
            # Here, because files are seldom wrong.
            from portico.process.pools.carried import carry_over

            carry_over(plan, before)
        for pool in self._pools.values():
            pool.changed()

    def ended(self, pid: int, exit_code: int, now_s: float) -> bool:
        """Take note if `pid`, which has ended, was a process of a pool; say whether it was."""
        for pool in self.all:
            for process in pool.processes:
                if process.pid == pid:
                    # Its last words may still be in the line.
                    process.read_all(now_s)
                    self._loop.forget(process.fd)
                    if process.reply is not None:
                        self.metrics.ended(pool.record["name"], process.reply)
                    pool.ended(process, exit_code, now_s)
                    return True
        return False

    def tell(self, *words: str) -> None:
        """Have all processes do something."""
        for pool in self.all:
            for process in pool.processes:
                process.order(*words)

    def close(self) -> None:
        """In a forked process: let go of what is the supervisor's."""
        for pool in self.all:
            pool.close_in_child()

    def end(self) -> None:
        """Leave nothing behind; all processes have ended."""
        for pool in self.all:
            pool.close()
        remove_directory(self._directory)

    def report(self) -> list[dict[str, Any]]:
        """Return what `portico ctl status` tells of each."""
        return [pool.report() for pool in self.shown]

    def hand_over(self) -> dict[str, Any]:
        """Return what the supervisor after an upgrade needs to know."""
        return {
            "directory": self._directory,
            "pools": [pool.hand_over() for pool in self.all],
            "metrics": [] if self._metrics is None else self._metrics.hand_over(),
        }

    @property
    def fds(self) -> list[int]:
        """What is open for all of them."""
        return [fd for pool in self.all for fd in pool.fds]

    def take_over(self, records: list[dict[str, Any]], metrics: list[Any]) -> None:
        """Go on with the pools of the supervisor before an upgrade. Those that stay upgrade too, in turn."""
        if metrics:
            self.metrics.take_over(metrics)
        staying = _records_of(self._generations.current)
        for record in records:
            pool = self._new(record["record"])
            pool.take_over(record, is_to_stay=record["record"]["file"] in staying)
            if pool.is_wanted:
                self._pools[record["record"]["file"]] = pool
            else:
                self._leaving.append(pool)

    def _wanted(self) -> dict[str, dict[str, Any]]:
        """Return the pools of the current plan, and while no worker has confirmed it those of before."""
        return {**_records_of(self._generations.confirmed), **_records_of(self._generations.current)}

    @property
    def _is_confirmed(self) -> bool:
        """Whether a process of the router serves by the current plan."""
        return self._generations.current is self._generations.confirmed

    @property
    def _is_router_new(self) -> bool:
        """Whether all of them do."""
        number, workers = self._generations.number, self._worker_set.workers.values()
        return self._is_confirmed and all(worker.generation == number for worker in workers)

    def _new(self, record: dict[str, Any]) -> Pool:
        identity = self._generations.current.identity
        # The router's processes connect.
        owner = (-1, -1) if identity is None else (identity.uid, identity.gid)
        path = os.path.join(self._directory, f"{record['file']}.sock")
        return Pool(record, path, owner=owner, loop=self._loop, watch=self._listen_to)

    def _listen_to(self, process: PoolProcess) -> None:
        self._loop.watch(process.fd, lambda now_s: self._read(process, now_s))

    def _read(self, process: PoolProcess, now_s: float) -> None:
        if not process.read(now_s):
            # Its end is told by the kernel, too.
            self._loop.forget(process.fd)

    def _end(self, now_s: float) -> None:
        """The server ends: first the router, which passes on what it has taken, then the pools."""
        if self._worker_set.workers:
            return
        at_once = self._life.stage in (QUITTING, KILLING)
        for pool in self.all:
            if pool.is_wanted or (at_once and any(not each.is_quitting for each in pool.processes)):
                pool.drop(now_s=now_s, at_once=at_once)
            pool.look(now_s)

    def _forget_ended(self) -> None:
        for pool in [pool for pool in self._leaving if not pool.processes]:
            pool.close()
            self._leaving.remove(pool)


def _records_of(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return the records of the pools of `plan`, by their files."""
    pools = plan.settings.pools
    return {} if pools is None else {record["file"]: record for record in pools["pools"]}
