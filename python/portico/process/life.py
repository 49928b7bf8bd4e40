"""How far a supervisor is, and how many workers it wants: what all of its parts go by.

    SERVING --TERM--> ANNOUNCING --drain_delay, TERM--> DRAINING --INT--> QUITTING --INT--> KILLING
                                                   (INT also from SERVING and ANNOUNCING)

Without a `drain_delay` there is no ANNOUNCING. All but that and SERVING start no workers. In a rest (WINCH)
it is SERVING with no workers wanted.
"""

from __future__ import annotations

from portico.errors import EXIT_FINE

SERVING, ANNOUNCING, DRAINING = "serving", "announcing", "draining"
QUITTING, KILLING = "quitting", "killing"
# What the configuration is read anew for.
RELOAD, UPGRADE = "reload", "upgrade"


class Readings:
    """How far the configuration was read anew, for reloads and upgrades (`reread.py`).

    `asked` is how often it was to be read, `done` how many of these are over; `failure` is why the last one
    has come to nothing, if it has. `is_on_its_way`: it is being read.
    """

    __slots__ = ("asked", "done", "failure", "is_on_its_way")

    def __init__(self) -> None:
        self.asked = self.done = 0
        self.failure = ""
        self.is_on_its_way = False


class Life:
    """State of one supervisor.

    `wanted` is how many workers there should be, `is_announced` whether the first ones have been ready,
    `has_stop_signal` whether a signal was taken that means a stop, `exit_code` what the process ends with.
    """

    __slots__ = ("exit_code", "has_stop_signal", "is_announced", "readings", "stage", "wanted")

    def __init__(self) -> None:
        self.stage = SERVING
        self.wanted = 0
        self.is_announced = False
        self.has_stop_signal = False
        self.exit_code = EXIT_FINE
        self.readings = Readings()

    @property
    def is_serving(self) -> bool:
        """Whether nobody has asked for a stop."""
        return self.stage == SERVING

    @property
    def is_stopping(self) -> bool:
        """Whether the workers leave, and nobody takes their place."""
        return self.stage in (DRAINING, QUITTING, KILLING)
