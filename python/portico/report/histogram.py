"""Durations in buckets whose width grows with them, as HdrHistogram has them: percentiles in bounded memory.

Each power of two is split into 64 buckets of the same width. What is said of a bucket is its middle, so a
percentile is wrong by at most 1/128 (0.8 %) of itself; below 128 ns it is exact. One that has seen a second
has 1,600 numbers at most, however many durations.
"""

from __future__ import annotations

import math
from array import array

_SPLIT_BITS = 6
_SPLIT = 1 << _SPLIT_BITS
# A hundred days; more is a mistake of who wrote the log.
LARGEST_NS = (1 << 53) - 1
ERROR = 1 / (2 * _SPLIT)
"""How much of a percentile it may be wrong by."""

_STANDARD_DEVIATIONS = 2.58
"""Of an interval that has the true value in 99 of 100 cases."""


class Histogram:
    """How many durations there were of which length, in nanoseconds."""

    __slots__ = ("_buckets", "_first", "count", "largest_ns", "smallest_ns")

    def __init__(self) -> None:
        # From the first bucket with something in it to the last one.
        self._first = 0
        self._buckets = array("Q")
        self.count = 0
        self.smallest_ns = LARGEST_NS
        self.largest_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one; what is longer than LARGEST_NS is counted as that."""
        duration_ns = min(duration_ns, LARGEST_NS)
        index = _index(duration_ns)
        place = index - self._first
        if not 0 <= place < len(self._buckets):
            self._reach(index)
            place = index - self._first
        self._buckets[place] += 1
        self.count += 1
        if duration_ns > self.largest_ns:
            self.largest_ns = duration_ns
        if duration_ns < self.smallest_ns:
            self.smallest_ns = duration_ns

    def merge(self, other: Histogram) -> None:
        """Add all that `other` has counted."""
        if not other.count:
            return
        self._reach(other._first)
        self._reach(other._first + len(other._buckets) - 1)
        for place, count in enumerate(other._buckets, other._first - self._first):
            self._buckets[place] += count
        self.count += other.count
        self.largest_ns = max(self.largest_ns, other.largest_ns)
        self.smallest_ns = min(self.smallest_ns, other.smallest_ns)

    def percentile(self, percent: float) -> int:
        """Return the duration that `percent` of all do not exceed; 0 if there are none."""
        return self._at_rank(math.ceil(self.count * percent / 100))

    def interval(self, percent: float) -> tuple[int, int] | None:
        """Return between which durations the true percentile is, or None if there are too few to say so.

        By the binomial distribution of ranks, whatever the distribution of the durations is (David and
        Nagaraja, Order Statistics, 7.1).
        """
        share = percent / 100
        middle = self.count * share
        reach = _STANDARD_DEVIATIONS * math.sqrt(middle * (1 - share))
        low, high = math.floor(middle - reach), math.ceil(middle + reach)
        if low < 1 or high > self.count:
            return None
        return self._at_rank(low), self._at_rank(high)

    def _reach(self, index: int) -> None:
        """Have the bucket `index`."""
        if not self._buckets:
            self._first = index
        missing = self._first - index
        if missing > 0:
            self._buckets[:0] = array("Q", bytes(missing * self._buckets.itemsize))
            self._first = index
        missing = index - self._first - len(self._buckets) + 1
        if missing > 0:
            self._buckets.frombytes(bytes(missing * self._buckets.itemsize))

    def _at_rank(self, rank: int) -> int:
        if self.count == 0:
            return 0
        left = max(rank, 1)
        for index, count in enumerate(self._buckets, self._first):
            left -= count
            if left <= 0:
                return max(self.smallest_ns, min(_middle(index), self.largest_ns))
        return self.largest_ns


def _index(value: int) -> int:
    shift = value.bit_length() - _SPLIT_BITS - 1
    return value if shift <= 0 else (shift << _SPLIT_BITS) + (value >> shift)


def _middle(index: int) -> int:
    if index < 2 * _SPLIT:
        return index
    shift = (index >> _SPLIT_BITS) - 1
    lowest = (index - (shift << _SPLIT_BITS)) << shift
    return lowest + (1 << shift) // 2
