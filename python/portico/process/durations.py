"""How long requests have taken: the histograms of all workers together, also of those that are no more.

Receives rows of the scoreboard, each a key and its figures: how many there are in each bucket, and not in one
before it, and the sum in nanoseconds. Runs in the supervisor, and is imported once something was counted, or
somebody asks.
"""

from __future__ import annotations

from portico import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Key: TypeAlias = tuple[str, ...]
    Row: TypeAlias = tuple[Key, list[int]]

REQUEST, QUEUE, INTERPRETER = "request", "queue", "interpreter"
"""What durations are of, which keys begin with: a whole request, and two waits of its call."""

PARTS = "parts"
"""Where calls have spent their time: keys are as those of requests, and figures sums for PART_NAMES."""

PART_NAMES = ("queue", "lock", "cpu", "client")
"""Waiting for a thread and for the interpreter, computing, waiting for the client."""

METRICS = {
    REQUEST: "http_server_request_duration_seconds",
    QUEUE: "portico_request_queue_seconds",
    INTERPRETER: "portico_gil_wait_seconds",
}
"""What they are called, by what they are of."""

MOST_SERIES = 512
"""Of requests, as in the scoreboard for each worker; all that is told of them leaves in one write."""

_OTHER = "_OTHER"
_FIGURES = len(_core.DURATION_BOUNDS_S) + 2


def _figures_of(key: Key) -> int:
    return len(PART_NAMES) if key[0] == PARTS else _FIGURES


def counts_of_requests(rows: Iterable[Row]) -> list[int]:
    """Return how many requests there are in each bucket, and not in one before it, of all series together.

    The buckets are those of `_core.DURATION_BOUNDS_S`, and one for what is beyond all of them.
    """
    sums = [0] * _FIGURES
    for key, figures in rows:
        if key[0] == REQUEST:
            _add(sums, figures)
    return sums[: len(_core.DURATION_BOUNDS_S) + 1]


class Durations:
    """Sums of what workers have counted. What has a series of its own keeps it."""

    __slots__ = ("_of_requests", "_sums")

    def __init__(self) -> None:
        self._sums: dict[Key, list[int]] = {}
        self._of_requests = 0

    def hand_over(self) -> list[Row]:
        """Return them as plain values."""
        return list(self._sums.items())

    def add_handed_over(self, record: Iterable[Row]) -> None:
        """Add what `hand_over` has returned, perhaps in another version, which may have other buckets."""
        self.add((key, figures) for key, figures in record if len(figures) == _figures_of(key))

    def add(self, rows: Iterable[Row]) -> None:
        """Add what a worker has counted whose slot is about to be cleared."""
        for key, figures in rows:
            _add(self._sums[self._series(key)], figures)

    def with_rows(self, rows: Iterable[Row]) -> dict[Key, list[int]]:
        """Return the sums with what workers that are there have counted until now."""
        rows = [(self._series(key), figures) for key, figures in rows]
        sums = {key: figures.copy() for key, figures in self._sums.items()}
        for key, figures in rows:
            _add(sums[key], figures)
        return sums

    def _series(self, key: Key) -> Key:
        """Return the key of the series for `key`, which may be that of all others of its class of status."""
        if key not in self._sums:
            if key[0] == REQUEST:
                if self._of_requests >= MOST_SERIES:
                    key = (REQUEST, "", _OTHER, _OTHER, key[-1])
                else:
                    self._of_requests += 1
            elif key[0] == PARTS and (REQUEST, *key[1:]) not in self._sums:
                # Its requests have stood before it.
                key = (PARTS, "", _OTHER, _OTHER, key[-1])
            self._sums.setdefault(key, [0] * _figures_of(key))
        return key


def _add(sums: list[int], figures: list[int]) -> None:
    for index, figure in enumerate(figures):
        sums[index] += figure
