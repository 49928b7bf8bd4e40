"""How many workers are wanted by what they have been seen to do: the rule, without a clock or a process.

Receives samples, each with its time, and returns a number. Workers are added by what the last two looks have
both seen, and leave by the most that any look of the last minute has seen. So a single look starts nobody,
a load that comes and goes within a minute keeps its workers, and the two bounds are far enough apart that
a worker that has left is not missed at once.
"""

from __future__ import annotations

# Above this share of what the workers can do there are too few,
_TOO_BUSY = 0.7
# and so many are wanted that they do this share.
_AIM = 0.6
# Nobody is added while what waits becomes less by this share from one look to the next: it will be done soon.
_FALLING = 0.03
# One leaves if the others would do less than this share, had they all that was done at the worst moment
_IDLE = 0.5
# of so many seconds.
REMEMBERED_S = 60.0
# Between two that leave.
_PAUSE_S = 10.0
# The worst moments are kept by spans of so many seconds.
_SPAN_S = 5.0


class Sample:
    """What was seen at one moment.

    `busy` is what the workers do, each of them 1 at most; `ready` is how many of them serve. `waiting` is how
    many connections are in no call: their requests wait for a thread, or they have none.
    """

    __slots__ = ("busy", "now_s", "ready", "waiting")

    def __init__(self, now_s: float, *, ready: int, busy: float, waiting: int = 0) -> None:
        self.now_s = now_s
        self.ready = ready
        self.busy = busy
        self.waiting = waiting


class Scaling:
    """The rule, and the samples that it remembers."""

    __slots__ = ("_before", "_left_s", "_most_busy", "_since_s")

    def __init__(self) -> None:
        self._before: Sample | None = None
        # Spans by their numbers, and the most that was done in each.
        self._most_busy: dict[int, float] = {}
        # Since when workers are counted that may leave.
        self._since_s: float | None = None
        self._left_s = float("-inf")

    def want(self, sample: Sample, wanted: int, *, least: int, most: int) -> int:
        """Return how many workers are wanted, from `least` to `most`, where until now `wanted` were."""
        before, self._before = self._before, sample
        self._remember(sample)
        if sample.ready < wanted:
            # Those that are on their way will help: not more until they do.
            return min(max(wanted, least), most)
        grown = self._grown(before, sample) if before is not None else 0
        if grown > wanted:
            return min(grown, most)
        if wanted > least and self._may_leave(sample, wanted):
            self._left_s = sample.now_s
            return min(wanted - 1, most)
        return min(max(wanted, least), most)

    @property
    def most_busy(self) -> float:
        """The most that was done in the time that is remembered, in workers."""
        return max(self._most_busy.values(), default=0.0)

    def _grown(self, before: Sample, sample: Sample) -> int:
        busy = min(before.busy, sample.busy)
        if busy <= _TOO_BUSY * sample.ready:
            return 0
        if before.waiting - sample.waiting > _FALLING * before.waiting:
            return 0
        # If all are busy there may be any amount of work behind it: this is two thirds more of them then.
        # Rounded up; the module `math` would be in the supervisor's memory for this alone.
        return int(-(-busy // _AIM))

    def _may_leave(self, sample: Sample, wanted: int) -> bool:
        if self._since_s is None or sample.now_s - self._since_s < REMEMBERED_S:
            return False
        if sample.now_s - self._left_s < _PAUSE_S:
            return False
        return wanted == 1 or self.most_busy < _IDLE * (wanted - 1)

    def _remember(self, sample: Sample) -> None:
        if self._since_s is None:
            self._since_s = sample.now_s
        number = int(sample.now_s // _SPAN_S)
        self._most_busy[number] = max(self._most_busy.get(number, 0.0), sample.busy)
        oldest = number - int(REMEMBERED_S // _SPAN_S)
        for each in [each for each in self._most_busy if each < oldest]:
            del self._most_busy[each]
