"""How this host stands: what load balancers are to do with it.

    UP --TERM--> DRAINING --drain_delay--> CLOSED --last worker--> GONE
    UP --told to rest--> DRAINING --last worker--> RESTING --a reload, more workers--> UP
    UP --no worker is ready--> DOWN --one is--> UP

In sleep (`workers_min` 0) it is UP, since the next connection starts a worker. Nobody looks before the first
workers are ready.
"""

from __future__ import annotations

from portico.process.life import ANNOUNCING
from portico.process.worker_handle import READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.process.life import Life
    from portico.process.worker_set import WorkerSet

UP, DOWN = "up", "down"
DRAINING, RESTING, CLOSED, GONE = "draining", "resting", "closed", "gone"


class Standing:
    """Looks at the supervisor's state.

    `is_asleep` says whether there are no workers because nobody asks. `is_closing` is set when the sockets
    are about to be closed: CLOSED comes before they are, so that load balancers hear of it first.
    """

    __slots__ = ("_is_asleep", "_life", "_worker_set", "is_closing")

    def __init__(self, life: Life, worker_set: WorkerSet, is_asleep: Callable[[], bool]) -> None:
        self._life = life
        self._worker_set = worker_set
        self._is_asleep = is_asleep
        self.is_closing = False

    @property
    def now(self) -> str:
        """One of the constants of this module."""
        life = self._life
        if life.is_stopping:
            return CLOSED if self._worker_set.workers else GONE
        if life.stage == ANNOUNCING:
            return CLOSED if self.is_closing else DRAINING
        if not life.wanted and not self._is_asleep():
            return DRAINING if self._worker_set.workers else RESTING
        return UP if not life.wanted or self._worker_set.in_state(READY) else DOWN
