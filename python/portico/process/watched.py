"""One worker as `care.py` watches it: its own limits, its requests, and how much memory it has."""

from __future__ import annotations

import os

from portico.config.units import format_size
from portico.process.growth import Growth, mebibytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico import _core
    from portico.process.worker_handle import WorkerHandle

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Watched:
    """What was seen of one worker, and its own limits."""

    __slots__ = (
        "_at_s",
        "_has_size",
        "_least_s",
        "_pid",
        "_ready_at_s",
        "_requests",
        "_requests_limit",
        "_scoreboard",
        "_slot",
        "growth",
        "is_measured",
        "rss_bytes",
        "settings",
        "until_s",
        "was_large_from_the_start",
    )

    def __init__(self, worker: WorkerHandle, scoreboard: _core.Scoreboard) -> None:
        settings = self.settings = worker.settings
        self._scoreboard = scoreboard
        self._pid, self._slot = worker.pid, worker.slot
        self._requests = 0
        self._requests_limit = settings.max_requests + round(_at_random() * settings.max_requests_jitter)
        self._ready_at_s = worker.ready_at_s
        self._least_s = worker.ready_at_s + settings.min_lifetime_s
        lifetime_s = settings.max_lifetime_s + _at_random() * settings.max_lifetime_jitter_s
        self.until_s = worker.ready_at_s + lifetime_s if settings.max_lifetime_s else float("inf")
        self._at_s = worker.ready_at_s
        self.growth = Growth()
        self._has_size = bool(settings.max_rss_bytes or settings.max_rss_hard_bytes)
        # Whether it has to be looked at now and again, and not only at the end of its time.
        self.is_measured = bool(settings.max_requests or self._has_size)
        self.rss_bytes = self._measure()
        self.was_large_from_the_start = self.rss_bytes >= settings.max_rss_bytes > 0

    def look(self, now_s: float) -> bool:
        """See what it has become; return whether that is something else than before."""
        if not self.is_measured:
            return False
        status = self._scoreboard.read(self._slot)
        rss_bytes = self._measure()
        changed = status.requests != self._requests or rss_bytes != self.rss_bytes or bool(status.calls)
        if self._has_size:
            calls = self._scoreboard.latest_calls(self._slot, max(0.0, now_s - self._at_s))
            self.growth.note(rss_bytes - self.rss_bytes, calls)
        self._requests, self.rss_bytes, self._at_s = status.requests, rss_bytes, now_s
        return changed

    @property
    def is_too_large(self) -> bool:
        return self.rss_bytes > self.settings.max_rss_hard_bytes > 0

    def why(self, now_s: float) -> str:
        """Return why it should be replaced, or nothing."""
        settings = self.settings
        if now_s >= self.until_s:
            return f"has served for {now_s - self._ready_at_s:.1f} s"
        if now_s < self._least_s:
            return ""
        if settings.max_requests and self._requests >= self._requests_limit:
            return f"has served {self._requests} requests"
        if self.rss_bytes > settings.max_rss_bytes > 0 and not self.was_large_from_the_start:
            limit = format_size(settings.max_rss_bytes)
            return f"has {mebibytes(self.rss_bytes)}, more than max_rss of {limit}{self.growth.describe()}"
        return ""

    def why_too_large(self) -> str:
        """Return why it should leave at once."""
        limit = format_size(self.settings.max_rss_hard_bytes)
        return f"has {mebibytes(self.rss_bytes)}, more than max_rss_hard of {limit}"

    def why_left_alone(self) -> str:
        """Return the sentence about a limit that replaces nothing."""
        return (
            f"max_rss is {format_size(self.settings.max_rss_bytes)}, and a worker has "
            f"{mebibytes(self.rss_bytes)} before its first request: no worker is replaced by it"
        )

    def _measure(self) -> int:
        """Return its resident set; 0 where that cannot be had, or need not."""
        if not self._has_size:
            return 0
        try:
            with open(f"/proc/{self._pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0


def _at_random() -> float:
    """Return a number from 0 to 1; the module `random` would cost the supervisor more than this."""
    return int.from_bytes(os.urandom(4), "little") / 0xFFFF_FFFF
