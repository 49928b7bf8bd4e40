"""A load at a fixed rate of which every request is accounted for: `load.c` sends it, and says how they end.

Runs beside whatever the caller does to the server meanwhile, in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_SOURCE = Path(__file__).with_name("load.c")
_CACHE = Path(__file__).with_name(".cache")
NEVER_ACCEPTED = ("refused", "unconnected")
"""How requests end that had no connection."""
_TENTH_S = 0.1


class LoadFailed(Exception):
    """The load could not be compiled, or has not ended as it should."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was not answered rightly. Times are on the monotonic clock, as `time.monotonic()`."""

    outcome: str
    """One of those that `load.c` lists."""
    number: int
    is_kept: bool
    """Whether on a connection that stays open."""
    worker: int
    """The pid of who has responded on that connection before; 0 if nobody has."""
    began_s: float
    ended_s: float
    bytes: int
    """Of a response, that have come."""
    error: int
    """errno, or 0."""
    status: int
    """Of the response, or 0."""

    @property
    def was_accepted(self) -> bool:
        return self.outcome not in NEVER_ACCEPTED

    def was_under_way(self, from_s: float, until_s: float) -> bool:
        """Whether it had begun by `until_s`, and had not ended at `from_s`."""
        return self.began_s <= until_s and self.ended_s >= from_s


@dataclass(frozen=True, slots=True)
class Tenth:
    """A tenth of a second: how many requests that began in it were right, the longest time that one took, and
    how late the load was with one of its own accord; both in seconds."""

    right: int
    longest_s: float
    late_s: float


@dataclass(frozen=True, slots=True)
class Tally:
    """How all requests have ended."""

    sent: int
    counts: dict[str, int]
    """Requests by how they ended: `load.c` lists how they can."""
    failures: list[Failure]
    tenths: list[Tenth]
    closed_idle: int
    """Connections that the server ended while no request was due on them; costs none."""
    announced: int
    """Connections that the server has said it would end (`Connection: close`)."""
    held_back: int
    """Requests that were due and never sent, since every connection was busy."""
    began_s: float
    ended_s: float

    @property
    def right(self) -> int:
        return self.counts["right"]

    @property
    def stale(self) -> int:
        return self.counts["stale"]

    @property
    def never_accepted(self) -> int:
        return sum(self.counts[outcome] for outcome in NEVER_ACCEPTED)

    @property
    def lost(self) -> int:
        """Those that were accepted and not answered rightly."""
        return self.sent - self.right - self.never_accepted

    @property
    def longest_s(self) -> float:
        """The longest time from a request to the end of its response."""
        return max((tenth.longest_s for tenth in self.tenths), default=0.0)

    @property
    def stall_s(self) -> float:
        """The longest time that a request took, less how late the load itself was while it waited.

        A machine that stands still makes everybody wait; the load, which does next to nothing, is late then.
        """
        return max((self._stall_s(index) for index in range(len(self.tenths))), default=0.0)

    def within(self, from_s: float, until_s: float) -> list[Failure]:
        """The failures of which the request was under way between these times."""
        return [failure for failure in self.failures if failure.was_under_way(from_s, until_s)]

    def stall_within_s(self, from_s: float, until_s: float) -> float:
        """The longest stall of requests that began between these times, to the tenth of a second."""
        first = max(0, int((from_s - self.began_s) / _TENTH_S))
        last = min(len(self.tenths) - 1, int((until_s - self.began_s) / _TENTH_S))
        return max((self._stall_s(index) for index in range(first, last + 1)), default=0.0)

    def _stall_s(self, index: int) -> float:
        longest_s = self.tenths[index].longest_s
        after = index + int(longest_s / _TENTH_S) + 2
        return max(0.0, longest_s - sum(tenth.late_s for tenth in self.tenths[index:after]))

    def summary(self) -> str:
        """One line for people."""
        bad = ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items() if count)
        return (
            f"{self.sent} sent: {bad}; longest {self.longest_s:.3f} s, stall {self.stall_s:.3f} s, "
            f"{self.closed_idle} closed idle, {self.announced} announced, {self.held_back} held back"
        )


class Load:
    """A running load; a context manager, of which `tally` is there after its end.

    `new_per_s` requests a second on new connections and `kept_per_s` over `kept` connections that stay open.
    One that has no complete response after `patience_s` is lost.
    """

    def __init__(
        self,
        port: int,
        *,
        new_per_s: float = 200,
        kept: int = 16,
        kept_per_s: float = 100,
        patience_s: float = 10,
    ) -> None:
        arguments = [port, new_per_s, kept, kept_per_s, patience_s]
        self._patience_s = patience_s
        self._process = subprocess.Popen(
            [str(program()), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.began_s = time.monotonic()
        self.tally = Tally(0, {}, [], [], 0, 0, 0, 0, 0)

    def __enter__(self) -> Load:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._process.kill()
        self.end()

    def end(self) -> None:
        """Send nothing new, and wait until all that was sent has ended."""
        # Closes its standard input.
        output, said = self._process.communicate(timeout=self._patience_s + 30)
        if self._process.returncode == 0:
            self.tally = _read(output)
        elif self._process.returncode > 0:
            raise LoadFailed(said.strip())


def _read(output: str) -> Tally:
    fields: dict[str, Any] = json.loads(output)
    failures = [Failure(**each) for each in fields.pop("failures")]
    tenths = [Tenth(*each) for each in fields.pop("tenths")]
    return Tally(failures=failures, tenths=tenths, **fields)


def program() -> Path:
    """The compiled `load.c`; compiles it if that has changed."""
    compiled = _CACHE / "load"
    if compiled.exists() and compiled.stat().st_mtime > _SOURCE.stat().st_mtime:
        return compiled
    _CACHE.mkdir(exist_ok=True)
    # Several tests may do so at the same time.
    fresh = _CACHE / f"load.{os.getpid()}"
    command = ["cc", "-O2", "-Wall", "-o", str(fresh), str(_SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LoadFailed(f"load.c could not be compiled: {done.stderr}")
    fresh.replace(compiled)
    return compiled
