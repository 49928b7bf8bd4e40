"""How many workers are wanted while nobody says so: by load, by the memory there is, none while nobody asks.

    as many as at the start --too busy, or hardly--> more or fewer, from `workers_min` to `workers_max`
    one or some --no connection for idle_timeout--> none, and the sockets are watched here
    none --a connection waits, a reload, TTIN--> one

Decides by `scaling.py`, and by what `busyness.py` sees. Whoever else changes the number (TTIN, TTOU, a
reload) is heeded: what was remembered is forgotten then.
"""

from __future__ import annotations

from portico import log
from portico.process.loop import Duty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico import _core
    from portico.process.busyness import Busyness
    from portico.process.generations import Generations
    from portico.process.loop import Loop
    from portico.process.memory_room import Room
    from portico.process.plan import Plan
    from portico.process.scaling import Scaling
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet

# Between two looks: while there is something to do, and while there is not.
_TICK_S = 0.5
_IDLE_TICK_S = 2.0


class AutomaticCount(Duty):
    """Calls `want` with another number when there should be one; `wanted` returns the present one."""

    __slots__ = (
        "_busyness",
        "_generations",
        "_idle_since_s",
        "_is_for_first",
        "_loop",
        "_measured",
        "_next_s",
        "_room",
        "_scaling",
        "_scoreboard",
        "_seen_wanted",
        "_want",
        "_wanted",
        "_watched",
        "_worker_set",
    )

    def __init__(
        self,
        loop: Loop,
        generations: Generations,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        *,
        wanted: Callable[[], int],
        want: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self._generations = generations
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        # Both from the first look on.
        self._busyness: Busyness | None = None
        self._scaling: Scaling | None = None
        self._wanted = wanted
        self._want = want
        self._seen_wanted = -1
        self._next_s = 0.0
        self._idle_since_s: float | None = None
        # The sockets that are watched while there are no workers.
        self._watched: list[int] = []
        # What the memory has room for, by the first worker of this generation that was ready.
        self._room: Room | None = None
        self._measured = -1
        # Whether the others wait for the first worker, because what it takes says how many may come.
        self._is_for_first = (
            generations.current.settings.workers is None
            and generations.current.worker_count > 1
            and _is_limited()
        )

    @property
    def first(self) -> int:
        """How many workers are wanted at first."""
        return 1 if self._is_for_first else self._generations.current.worker_count

    @property
    def is_asleep(self) -> bool:
        """Whether there are no workers because nobody has asked for a while."""
        return bool(self._watched)

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most workers that may be wanted."""
        plan = self._generations.current
        if not plan.is_scaled:
            return 1, self._worker_set.most_workers
        most = min(self._most_by_memory(plan), self._worker_set.most_workers)
        return max(1, min(plan.fewest_workers, most)), most

    def worker_ready(self, worker: WorkerHandle) -> None:
        """Measure the first worker of a generation, and want as many as there is room for."""
        plan, number = self._generations.current, self._generations.number
        if worker.generation != number or self._measured == number:
            return
        self._measured = number
        before, self._room = self._room, _room(plan, worker.pid)
        wanted = self._wanted()
        if self._is_for_first or (before is not None and wanted == before.workers):
            # There were no more because of the memory.
            wanted = max(wanted, plan.worker_count)
        self._is_for_first = False
        most = self._most_by_memory(plan)
        if most < plan.most_workers:
            wanted = min(wanted, most)
            log.info(f"there will be no more than {_workers(most)}: {self._room}")
        if wanted != self._wanted():
            self._want(wanted)

    def look(self, now_s: float) -> None:
        wanted = self._wanted()
        if self._watched and wanted:
            self._watch_no_longer()
        if not self._generations.current.is_scaled or not wanted or now_s < self._next_s:
            return
        if wanted != self._seen_wanted or self._scaling is None:
            # Another has said so: what was seen before must not undo it at once.
            self._scaling = _new_scaling()
            self._idle_since_s = None
        if self._busyness is None:
            self._busyness = self._new_busyness()
        sample = self._busyness.look(now_s)
        self._next_s = now_s + self._tick_s(is_idle=self._busyness.is_idle)
        least, most = self.bounds
        grown = self._scaling.want(sample, wanted, least=least, most=most)
        if grown > wanted:
            self._change(grown, f"{sample.busy:.1f} of {sample.ready} were busy")
        elif grown < wanted:
            self._change(grown, f"no more than {self._scaling.most_busy:.1f} of {wanted} were busy of late")
        self._seen_wanted = self._wanted()
        self._sleep_if_idle(now_s, is_idle=self._busyness.is_idle and sample.ready == wanted)

    def due_s(self) -> float | None:
        is_awake = self._generations.current.is_scaled and self._wanted() > 0
        return self._next_s if is_awake else None

    def wake(self) -> None:
        """Want a worker again if there is none because nobody asked; none in a rest is another's will."""
        if self.is_asleep:
            self._watch_no_longer()
            self._want(1)

    def stop(self) -> None:
        """Be woken by no connection: the sockets are about to be closed, or somebody has said how many."""
        self._watch_no_longer()

    def _most_by_memory(self, plan: Plan) -> int:
        """Return how many workers may be without being asked for by number."""
        if self._room is None:
            return plan.most_workers
        asked_for = plan.settings.workers or plan.settings.workers_min or 1
        return min(plan.most_workers, max(self._room.workers, asked_for))

    def _change(self, wanted: int, why: str) -> None:
        self._want(wanted)
        log.info(f"the number of workers is {wanted} now: {why}")

    def _tick_s(self, *, is_idle: bool) -> float:
        if not is_idle:
            return _TICK_S
        return max(_TICK_S, min(_IDLE_TICK_S, self._generations.current.settings.idle_timeout_s / 2))

    def _new_busyness(self) -> Busyness:
        # Here, like all that is imported here: most servers do without, and it would be in every worker's.
        from portico.process.busyness import Busyness

        return Busyness(self._generations, self._worker_set, self._scoreboard)

    def _sleep_if_idle(self, now_s: float, *, is_idle: bool) -> None:
        plan, number = self._generations.current, self._generations.number
        is_settled = all(worker.generation == number for worker in self._worker_set.workers.values())
        if plan.fewest_workers or not is_idle or not is_settled:
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s = now_s
        elif now_s - self._idle_since_s >= plan.settings.idle_timeout_s:
            log.info(f"no request for {plan.settings.idle_timeout_s:g} s: no worker until one comes")
            self._idle_since_s = None
            self._want(0)
            self._watch()

    def _watch(self) -> None:
        """A connection that is not accepted waits in its socket: nothing is lost while a worker starts."""
        self._watched = [listener.fd for listener in self._generations.listeners]
        for fd in self._watched:
            self._loop.watch(fd, self._take_connection)

    def _watch_no_longer(self) -> None:
        for fd in self._watched:
            self._loop.forget(fd)
        self._watched = []

    def _take_connection(self, now_s: float) -> None:
        log.info("a connection waits: starting a worker")
        self.wake()


def _room(plan: Plan, pid: int) -> Room | None:
    """Return what there is room for by what worker `pid` takes; None without a limit, or if nobody asks."""
    if plan.settings.workers is not None and not plan.is_scaled:
        return None
    from portico.process.memory_room import Room, memory_limit, memory_of

    limit_bytes = memory_limit()
    worker_bytes = 0 if limit_bytes is None else memory_of(pid)
    return Room(limit_bytes, worker_bytes) if limit_bytes and worker_bytes else None


def _is_limited() -> bool:
    from portico.process.memory_room import memory_limit

    return memory_limit() is not None


def _new_scaling() -> Scaling:
    from portico.process.scaling import Scaling

    return Scaling()


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
