"""Says what a run means: whose fault a missing response was, whether memory grows, and what failed.

Pure functions over what `run.py` has recorded; no process, file or clock.

A missing response is *in flight* if the connection belonged to a worker that was killed: known from the
`X-Worker` of an earlier response on it, or of its own head. On a new connection nobody can know the worker:
there it counts as in flight if it was under way at the very moment of a kill and ended with it. Everything
else is *lost*, and there must be none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

NOTICE_S = 2.0
"""A client on a busy machine notices the end of its connection this late at the most."""
BY_WORKER, BY_MOMENT, LOST = "in the killed worker", "on a new connection at a kill", "lost"


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker that was killed, and when another took its place (monotonic clock)."""

    pid: int
    sent_s: float
    gone_s: float
    ready_s: float | None

    @property
    def respawn_s(self) -> float | None:
        """From the kill to the readiness of the next one."""
        return None if self.ready_s is None else self.ready_s - self.sent_s


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process held at one moment; `at_s` counts from the start of the run."""

    at_s: float
    pid: int
    rss_bytes: int
    pss_bytes: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that must be so."""

    what: str
    bar: str
    measured: str
    held: bool | None
    """None: the run was too short to say."""


def blame(*, began_s: float, ended_s: float, worker: int | None, kills: Sequence[Kill]) -> str:
    """Whose fault a missing response was."""
    if worker is not None:
        # A pid may come again in a long run: only from its kill on is it the one that was killed.
        is_killed = any(kill.pid == worker and ended_s >= kill.sent_s for kill in kills)
        return BY_WORKER if is_killed else LOST
    at_kill = any(
        began_s <= kill.gone_s and kill.sent_s <= ended_s <= kill.gone_s + NOTICE_S for kill in kills
    )
    return BY_MOMENT if at_kill else LOST


def slope_kib_per_minute(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line nearest to (seconds, bytes), by least squares."""
    if len(points) < 2:
        return 0.0
    mean_s = sum(second for second, _ in points) / len(points)
    mean_bytes = sum(size for _, size in points) / len(points)
    spread = sum((second - mean_s) ** 2 for second, _ in points)
    if not spread:
        return 0.0
    together = sum((second - mean_s) * (size - mean_bytes) for second, size in points)
    return together / spread / 1024 * 60


def after_warm_up(samples: Sequence[Sample], warm_up_s: float) -> list[Sample]:
    """A process's samples without the first `warm_up_s` of its life."""
    return [sample for sample in samples if sample.at_s >= samples[0].at_s + warm_up_s] if samples else []


def at_age(samples: Sequence[Sample], age_s: float) -> Sample | None:
    """The first sample of a process that is at least `age_s` old; None if it did not live so long."""
    return next((sample for sample in samples if sample.at_s - samples[0].at_s >= age_s), None)


def halves(values: Sequence[float]) -> tuple[float, float] | None:
    """The medians of the first and the second half, in the order given; None for fewer than four."""
    if len(values) < 4:
        return None
    middle = len(values) // 2
    return median(values[:middle]), median(values[middle:])
