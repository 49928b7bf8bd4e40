"""Which lines of the application have held most of the time of slow calls, over all workers there have been.

Receives what workers tell of calls that are slower than `slow_after` (`crates/engine/src/slow_calls.rs`):
where each stands now and then, and its end. Each such look credits the innermost line of the application's
own code with the time since the look before, and the end credits the last line with the rest. Runs in the
supervisor, and is imported when the first worker tells of one, or somebody asks. Bounded.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    # Its slot, its cell of the scoreboard and its start.
    CallKey: TypeAlias = tuple[int, int, int]
    # Its file, number, function and source.
    Place: TypeAlias = tuple[str, int, str, str]

MOST_LINES = 200
"""Of them; of more, the one with the least time is forgotten."""

MOST_RECENT = 50
_MOST_ROUTES = 20
# Calls that have not ended: no server has more threads that are all slow for long.
_MOST_OPEN = 1024
OTHER = "_OTHER"
"""What a line's routes beyond a bound are counted as."""


class _Call:
    """A slow call, as far as it has come. `credits` is in seconds, by line."""

    __slots__ = (
        *("at_s", "credits", "method", "path", "request_id", "route", "seconds", "slot", "stack"),
        *("ended", "place"),
    )

    def __init__(self, slot: int, what: str, started_s: float) -> None:
        self.slot = slot
        self.at_s = started_s
        self.method, _, self.path = what.partition(" ")
        self.route = ""
        self.request_id = ""
        self.seconds = 0.0
        self.credits: dict[Place, float] = {}
        self.stack: list[str] = []
        self.place: Place | None = None
        # Where each line was left for the code of others, last.
        self.ended: dict[Place, Place] = {}

    def credit(self, seconds: float) -> None:
        """Credit the line that it has been seen at last with all until `seconds`."""
        if self.place is not None:
            self.credits[self.place] = self.credits.get(self.place, 0.0) + max(0.0, seconds - self.seconds)
        self.seconds = max(self.seconds, seconds)

    def report(self) -> dict[str, Any]:
        return {
            "at": round(self.at_s, 3),
            "request_id": self.request_id,
            "method": self.method,
            "path": self.path,
            "route": self.route,
            # People count from one.
            "worker": self.slot + 1,
            "seconds": round(self.seconds, 3),
            "stack": self.stack,
        }


class _Line:
    """What a line has held; `routes` is in seconds too."""

    __slots__ = ("ended", "requests", "routes", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.requests = 0
        self.routes: dict[str, float] = {}
        self.ended: Place | None = None

    def copy(self) -> _Line:
        other = _Line()
        other.seconds, other.requests, other.ended = self.seconds, self.requests, self.ended
        other.routes = self.routes.copy()
        return other


class SlowLines:
    """Sums of it, and the calls that were slow last."""

    __slots__ = ("_lines", "_open", "_recent")

    def __init__(self) -> None:
        self._lines: dict[Place, _Line] = {}
        self._open: dict[CallKey, _Call] = {}
        # The oldest first; those that have not ended are not among them.
        self._recent: list[dict[str, Any]] = []

    def hear(self, slot: int, text: str, running: dict[tuple[int, int], str]) -> None:
        """Take in what the worker in `slot` has told; `running` are requests by cell and start."""
        head, *lines = text.split("\n")
        words = head.split(" ")
        if len(words) != 4:
            return
        event, key, seconds = words[0], (slot, int(words[1]), int(words[2])), float(words[3])
        if event == "stood" and len(lines) >= 2:
            if key not in self._open:
                if len(self._open) >= _MOST_OPEN:
                    self._close(next(iter(self._open)))
                self._open[key] = _Call(slot, running.get(key[1:], ""), time.time() - seconds)
            call = self._open[key]
            call.place = _place(lines[0])
            call.credit(seconds)
            call.stack = lines[2:]
            call.ended[call.place] = _place(lines[1])
        elif event == "ended" and len(lines) >= 4 and key in self._open:
            call = self._open[key]
            call.method, call.path, call.route, call.request_id = lines[:4]
            call.credit(seconds)
            self._close(key)

    def worker_gone(self, slot: int) -> None:
        """The worker in `slot` has ended, and with it its calls."""
        for key in [key for key in self._open if key[0] == slot]:
            self._close(key)

    def report(self) -> dict[str, Any]:
        """Return the lines, the one with most time first, and the calls, the latest first."""
        lines = {place: line.copy() for place, line in self._lines.items()}
        for call in self._open.values():
            _add(lines, call)
        recent = [call.report() for call in self._open.values()] + self._recent[::-1]
        recent.sort(key=lambda record: -float(record["at"]))
        return {
            "lines": [
                {
                    **_named(place),
                    "seconds": round(line.seconds, 3),
                    "requests": line.requests,
                    "routes": {route: round(seconds, 3) for route, seconds in line.routes.items()},
                    "ended": _named(line.ended or place),
                }
                for place, line in sorted(lines.items(), key=lambda item: -item[1].seconds)
            ],
            "recent": recent[:MOST_RECENT],
        }

    def hand_over(self) -> dict[str, Any]:
        """Return all of it as plain values, but for calls that have not ended."""
        lines = [
            (place, line.seconds, line.requests, line.routes, line.ended or place)
            for place, line in self._lines.items()
        ]
        return {"lines": lines, "recent": self._recent}

    def take_over(self, record: dict[str, Any]) -> None:
        """Go on with what `hand_over` has returned."""
        for place, seconds, requests, routes, ended in record["lines"]:
            line = self._lines[tuple(place)] = _Line()
            line.seconds, line.requests, line.routes, line.ended = seconds, requests, routes, tuple(ended)
        self._recent = [*record["recent"]]

    def _close(self, key: CallKey) -> None:
        call = self._open.pop(key)
        _add(self._lines, call)
        while len(self._lines) > MOST_LINES:
            del self._lines[min(self._lines, key=lambda place: self._lines[place].seconds)]
        self._recent.append(call.report())
        del self._recent[:-MOST_RECENT]


def _add(lines: dict[Place, _Line], call: _Call) -> None:
    route = call.route or f"{call.method} {call.path}".strip()
    for place, seconds in call.credits.items():
        line = lines.setdefault(place, _Line())
        line.seconds += seconds
        line.requests += 1
        line.ended = call.ended[place]
        key = route if route in line.routes or len(line.routes) < _MOST_ROUTES else OTHER
        line.routes[key] = line.routes.get(key, 0.0) + seconds


def _place(text: str) -> Place:
    file, line, function, source = (*text.split("\t", 3), "", "", "")[:4]
    return (file, int(line) if line.isdigit() else 0, function, source.strip())


def _named(place: Place) -> dict[str, Any]:
    return dict(zip(("file", "line", "function", "source"), place, strict=True))
