"""What is done to the server during a run, and when: a table of moments, decided before the run begins.

Workers are killed at regular intervals. Reloads (HUP), each of which replaces all workers, come between
kills in the first part only: then one worker is spared for the rest of the run, old enough to show a leak.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

RELOADS_UNTIL = 0.4
"""Share of the run in which there are reloads."""
KILLS_PER_RELOAD = 3


class Fault(Enum):
    """What is done."""

    KILL = "kill -9"
    RELOAD = "HUP"


@dataclass(frozen=True, slots=True)
class Moment:
    """A fault, seconds after the start of the run."""

    at_s: float
    fault: Fault


def timetable(seconds: float, every_s: float) -> list[Moment]:
    """A kill each `every_s`, but none in the last `every_s` / 2; reloads between the first ones."""
    kills = [Moment(every_s * number, Fault.KILL) for number in range(1, int(seconds / every_s + 0.5))]
    reloads = [
        Moment(kill.at_s + every_s / 2, Fault.RELOAD)
        for kill in kills[::KILLS_PER_RELOAD]
        if kill.at_s + every_s / 2 <= seconds * RELOADS_UNTIL
    ]
    return sorted(kills + reloads, key=lambda moment: moment.at_s)
