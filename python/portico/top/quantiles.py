"""How long most requests have taken, by the histograms of two samples.

A histogram says how many there are between two bounds, and not where: within a bucket they are taken to be
spread evenly (as Prometheus' `histogram_quantile` does), so what comes out may be off by as much as the
bucket is wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portico import _core


@dataclass(frozen=True, slots=True, order=True)
class Quantile:
    """Seconds; `is_beyond` all that is told apart: it is more than that."""

    seconds: float
    is_beyond: bool = False


def quantile(counts: Sequence[int], share: float) -> Quantile | None:
    """Return within what time `share` (0 to 1) of the requests have ended; None if there are none.

    `counts` are as `portico.process.durations.counts_of_requests` returns them.
    """
    rank, below, lower_s = share * sum(counts), 0, 0.0
    if not any(counts):
        return None
    for count, upper_s in zip(counts, _core.DURATION_BOUNDS_S, strict=False):
        if count and below + count >= rank:
            return Quantile(lower_s + (upper_s - lower_s) * max(0.0, rank - below) / count)
        below += count
        lower_s = upper_s
    return Quantile(lower_s, is_beyond=True)


def counts_between(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[int]:
    """Return how many have ended between two samples of the same; none where that is not known."""
    counts: list[int] = now.get("durations", [])
    before: list[int] = then.get("durations") or [0] * len(counts)
    if len(counts) != len(_core.DURATION_BOUNDS_S) + 1 or len(before) != len(counts):
        return []
    return [max(0, count - was) for count, was in zip(counts, before, strict=True)]
