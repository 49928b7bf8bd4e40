"""How long to wait before a worker is started again, where those before it have failed."""

from __future__ import annotations

_FIRST_S = 0.1
_LONGEST_S = 5.0


class BackOff:
    """A delay that doubles with each failure. Times are on the monotonic clock.

    `not_before_s` is when the next try may be.
    """

    __slots__ = ("_failures", "_longest_s", "not_before_s")

    def __init__(self, *, longest_s: float = _LONGEST_S) -> None:
        self._failures = 0
        self._longest_s = longest_s
        self.not_before_s = 0.0

    def failed(self, now_s: float) -> None:
        """Note a failure."""
        self.not_before_s = now_s + min(self._longest_s, _FIRST_S * 2.0 ** min(self._failures, 10))
        self._failures += 1

    def succeeded(self) -> None:
        """Begin anew with the shortest delay."""
        self._failures = 0

    def end(self) -> None:
        """Let the next try be now: something has changed."""
        self.not_before_s = 0.0

    def next_try(self, now_s: float) -> str:
        """Return the end of a sentence about a failure."""
        if self.not_before_s > now_s:
            return f"the next one starts in {self.not_before_s - now_s:.1f} s"
        return "starting another"
