"""How many workers are wanted while nobody says so: by load, and none while nobody asks.

    as many as at the start --too busy, or hardly--> more or fewer, from `workers_min` to `workers_max`
    one or some --no connection for idle_timeout--> none, and the sockets are watched here
    none --a connection waits, a reload, TTIN--> one

Decides by `scaling.py`, by what `busyness.py` sees, within `bounds.py`. Imported with the first plan whose
number of workers is not fixed. Whoever else changes the number (TTIN, TTOU, a
reload) is heeded: what was remembered is forgotten then.
"""

from __future__ import annotations

from portico import log
from portico.process.busyness import Busyness
from portico.process.loop import Duty
from portico.process.scaling import Scaling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico import _core
    from portico.process.bounds import Bounds
    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.loop import Loop
    from portico.process.worker_set import WorkerSet

# Between two looks: while there is something to do, and while there is not.
_TICK_S = 0.5
_IDLE_TICK_S = 2.0


class AutomaticCount(Duty):
    """Changes how many are wanted when there should be more or fewer."""

    __slots__ = (
        "_bounds",
        "_busyness",
        "_generations",
        "_idle_since_s",
        "_life",
        "_loop",
        "_next_s",
        "_scaling",
        "_scoreboard",
        "_seen_wanted",
        "_watched",
        "_worker_set",
    )

    def __init__(
        self,
        life: Life,
        loop: Loop,
        generations: Generations,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        bounds: Bounds,
    ) -> None:
        self._life = life
        self._loop = loop
        self._generations = generations
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._bounds = bounds
        self._busyness = Busyness(generations, worker_set, scoreboard)
        # From the first look on.
        self._scaling: Scaling | None = None
        self._seen_wanted = -1
        self._next_s = 0.0
        self._idle_since_s: float | None = None
        # The sockets that are watched while there are no workers.
        self._watched: list[int] = []

    @property
    def is_asleep(self) -> bool:
        """Whether there are no workers because nobody has asked for a while."""
        return bool(self._watched)

    def look(self, now_s: float) -> None:
        wanted = self._life.wanted
        if self._watched and wanted:
            self._watch_no_longer()
        if not self._generations.current.is_scaled or not wanted or now_s < self._next_s:
            return
        if wanted != self._seen_wanted or self._scaling is None:
            # Another has said so: what was seen before must not undo it at once.
            self._scaling = Scaling()
            self._idle_since_s = None
        sample = self._busyness.look(now_s)
        self._next_s = now_s + self._tick_s(is_idle=self._busyness.is_idle)
        least, most = self._bounds.both
        grown = self._scaling.want(sample, wanted, least=least, most=most)
        if grown > wanted:
            self._change(grown, f"{sample.busy:.1f} of {sample.ready} were busy")
        elif grown < wanted:
            self._change(grown, f"no more than {self._scaling.most_busy:.1f} of {wanted} were busy of late")
        self._seen_wanted = self._life.wanted
        self._sleep_if_idle(now_s, is_idle=self._busyness.is_idle and sample.ready == wanted)

    def due_s(self) -> float | None:
        is_awake = self._generations.current.is_scaled and self._life.wanted > 0
        return self._next_s if is_awake else None

    def wake(self) -> None:
        """Want a worker again if there is none because nobody asked; none in a rest is another's will."""
        if self.is_asleep:
            self._watch_no_longer()
            self._life.wanted = 1

    def stop(self) -> None:
        """Be woken by no connection: the sockets are about to be closed, or somebody has said how many."""
        self._watch_no_longer()

    def _change(self, wanted: int, why: str) -> None:
        self._life.wanted = wanted
        log.info(f"the number of workers is {wanted} now: {why}")

    def _tick_s(self, *, is_idle: bool) -> float:
        if not is_idle:
            return _TICK_S
        return max(_TICK_S, min(_IDLE_TICK_S, self._generations.current.settings.idle_timeout_s / 2))

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
            self._life.wanted = 0
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
