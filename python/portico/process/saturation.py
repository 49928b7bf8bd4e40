"""How much of what this host can do it does, from 0 to 1, and the weight that follows from it.

Looked at when somebody asks, so it costs nothing while nobody does. The weight follows slowly and never falls
below a fifth: hosts whose weights follow each other's load would swing from one to the other else.
"""

from __future__ import annotations

from portico import _core
from portico.process.busyness import Busyness
from portico.process.unaccepted import count_unaccepted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.process.generations import Generations
    from portico.process.plan import Listener
    from portico.process.worker_set import WorkerSet

# Between two looks: a shorter time tells little of the CPU that workers use.
_PAUSE_S = 0.5
# How long it takes the share to follow by some two thirds.
_FOLLOWS_S = 4.0
_LEAST_PERCENT, _MOST_PERCENT = 20, 100


class Saturation:
    """What was seen of the workers and the queues in front of them."""

    __slots__ = ("_busyness", "_generations", "_looked_at_s", "_share")

    def __init__(self, generations: Generations, worker_set: WorkerSet, scoreboard: _core.Scoreboard) -> None:
        self._generations = generations
        self._busyness = Busyness(generations, worker_set, scoreboard)
        self._looked_at_s = 0.0
        self._share = 0.0

    def weight_percent(self, now_s: float) -> int:
        """Return what share of its weight this host should have."""
        return round(_MOST_PERCENT - (_MOST_PERCENT - _LEAST_PERCENT) * self.share(now_s))

    def share(self, now_s: float) -> float:
        """Return how much of what this host can do it does, from 0 to 1, followed slowly."""
        elapsed_s = now_s - self._looked_at_s
        if elapsed_s >= _PAUSE_S:
            self._looked_at_s = now_s
            self._share += (self._look(now_s) - self._share) * elapsed_s / (elapsed_s + _FOLLOWS_S)
        return self._share

    def _look(self, now_s: float) -> float:
        sample = self._busyness.look(now_s)
        if not sample.ready:
            return 0.0
        threads = self._generations.current.settings.most_calls
        waiting = count_waiting(self._generations.listeners)
        return min(1.0, (sample.busy + waiting / threads) / sample.ready)


def count_waiting(listeners: Iterable[Listener]) -> int:
    """Return how many connections nobody has accepted yet; of each Unix socket one at most."""
    return sum(map(_waiting, listeners))


def _waiting(listener: Listener) -> int:
    """Return how many connections nobody has accepted yet; of a Unix socket, whether there is one."""
    count = count_unaccepted([listener])
    exact = _core.unaccepted_connections(listener.fd) if count else None
    return count if exact is None else exact
