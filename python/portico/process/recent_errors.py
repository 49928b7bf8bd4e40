"""Requests that have failed last, and how many are alike, over all workers there have been.

Receives what workers tell of requests in which the application has raised, that it has responded to with a
status of 500 or above, or that another server has not responded to (`crates/engine/src/failed_requests.rs`),
and those that a worker has taken along at its end. Runs in the supervisor, and is imported with the first.
Bounded: of more kinds than that, the one that was seen longest ago is forgotten.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Key: TypeAlias = tuple[object, ...]

MOST_KINDS = 100
_TEXTS = 6
_MOST_LOST = 20
"""Of calls of one worker that has ended."""


class RecentErrors:
    """The latest of each kind, with their number."""

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        # The one that was seen last at the end.
        self._kinds: dict[Key, dict[str, Any]] = {}

    def hear(self, slot: int, text: str) -> None:
        """Take in what the worker in `slot` has told."""
        head, *texts = text.split("\n")
        count, _, status = head.partition(" ")
        if len(texts) != _TEXTS or not (count.isdigit() and status.isdigit()):
            return
        method, path, route, request_id, error, place = texts
        file, line, function, source = (*place.split("\t", 3), "", "", "")[:4]
        self._add(
            {
                "at": round(time.time(), 3),
                "method": method,
                "path": path,
                "route": route,
                "request_id": request_id,
                # People count from one.
                "worker": slot + 1,
                "status": int(status) or None,
                "error": error,
                "file": file,
                "line": int(line) if line.isdigit() else 0,
                "function": function,
                "source": source.strip(),
            },
            int(count),
        )

    def lost(self, slot: int, calls: list[str], cause: str) -> None:
        """The worker in `slot` has ended by `cause`, with these calls, each a method and a path."""
        for what in calls[:_MOST_LOST]:
            method, _, path = what.partition(" ")
            self.hear(slot, f"1 0\n{method}\n{path}\n\n\n{cause}\n")

    def report(self) -> list[dict[str, Any]]:
        """Return them, the latest first."""
        return [*reversed(self._kinds.values())]

    def hand_over(self) -> list[dict[str, Any]]:
        """Return them as plain values."""
        return [*self._kinds.values()]

    def take_over(self, records: list[dict[str, Any]]) -> None:
        """Go on with what `hand_over` has returned."""
        for record in records:
            self._kinds[_key(record)] = record

    def _add(self, record: dict[str, Any], count: int) -> None:
        key = _key(record)
        before = self._kinds.pop(key, None)
        record["count"] = count + (before["count"] if before else 0)
        record["first_at"] = before["first_at"] if before else record["at"]
        self._kinds[key] = record
        if len(self._kinds) > MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]


def _key(record: dict[str, Any]) -> Key:
    """Return what is the same in all of a kind: not the path, where a route or a line says where it was."""
    where = record["route"] or ("" if record["file"] else record["path"])
    names = ("method", "status", "error", "file", "line")
    return (where, *(record[name] for name in names))
