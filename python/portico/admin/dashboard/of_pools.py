"""Reports of pools, put among those of the server in front of them.

Receives what the supervisor tells (`portico.process.admin.overview`), in which each pool has what its own
supervisor has said last, as JSON. That may be another user's, and of another version: each row is made anew
with what is shown of it, and what cannot be understood is said of the pool.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Shape = Mapping[str, Callable[[Any], Any]]

_OF_POOL = ("apps", "why", "pid", "workers", "workers_wanted")
_NOT_UNDERSTOOD = "what it has said is not understood"
_MOST_CHARACTERS = 1000
_MOST_STACK_LINES = 60


def _text(value: Any) -> str:
    return str(value)[:_MOST_CHARACTERS]


def _texts(value: Any) -> list[str]:
    return [_text(each) for each in value][:_MOST_STACK_LINES]


_WORKER: Shape = {
    **dict.fromkeys(("slot", "pid", "workers_before", "threads", "running", "requests", "errors"), int),
    **dict.fromkeys(("connections", "rss_bytes"), int),
    "state": _text,
    "age_s": float,
}
_REQUEST: Shape = {
    **dict.fromkeys(("pid", "slot"), int),
    **dict.fromkeys(("method", "path"), _text),
    **dict.fromkeys(("seconds", "silent_s"), float),
}
_ERROR: Shape = {
    **dict.fromkeys(("worker", "line", "count", "status"), int),
    **dict.fromkeys(("method", "path", "route", "request_id", "error", "file", "function", "source"), _text),
    **dict.fromkeys(("at", "first_at"), float),
}
_LINE: Shape = {
    **dict.fromkeys(("line", "requests"), int),
    **dict.fromkeys(("file", "function", "source"), _text),
    "seconds": float,
}
_RECENT: Shape = {
    **dict.fromkeys(("method", "path", "route", "request_id"), _text),
    **dict.fromkeys(("at", "seconds"), float),
    "worker": int,
    "stack": _texts,
}
_LISTS: tuple[tuple[str, str, Shape, str, int], ...] = (
    ("workers", "workers", _WORKER, "", 500),
    ("requests", "requests", _REQUEST, "seconds", 50),
    ("errors", "errors", _ERROR, "at", 30),
    ("slow", "lines", _LINE, "seconds", 50),
    ("slow", "recent", _RECENT, "at", 20),
)
"""Of each list: its report, its name there, what its rows have, by which of that it is sorted, the greatest
first, and how many are shown."""


def join_pools(overview: dict[str, Any]) -> list[dict[str, Any]]:
    """Add to the reports in `overview` those of pools, with their names; return how each pool stands."""
    if "pools" not in overview:
        return []
    # Here, because few servers have pools.
    import json

    status = overview["status"]
    standing = {pool["name"]: pool for pool in status.get("pools", ())}
    found = []
    for name, state, text, age_s in overview["pools"]:
        its = standing.get(name, {})
        pool = {"name": name, "state": state, "age_s": age_s, **{each: its.get(each) for each in _OF_POOL}}
        found.append(pool)
        if not text:
            continue
        try:
            rows, running = _rows_of(name, json.loads(text))
        except (ValueError, TypeError, AttributeError, RecursionError):
            pool["why"] = _NOT_UNDERSTOOD
            continue
        status["running"] += running
        for (report, listed, *_), more in zip(_LISTS, rows, strict=True):
            overview.setdefault(report, {}).setdefault(listed, []).extend(more)
    for report, listed, _, greatest, most in _LISTS:
        all_rows = overview.get(report, {}).get(listed, [])
        if greatest:
            all_rows.sort(key=lambda row: -row[greatest])
        del all_rows[most:]
    return found


def _rows_of(name: str, reports: Mapping[str, Any]) -> tuple[list[list[dict[str, Any]]], int]:
    """Return the rows of each list, and how many calls run. Raises an error if these are no reports."""
    rows = [
        [{**_row_of(shape, row), "pool": name} for row in reports.get(report, {}).get(listed, ())]
        for report, listed, shape, *_ in _LISTS
    ]
    return rows, int(reports.get("status", {}).get("running", 0))


def _row_of(shape: Shape, row: Mapping[str, Any]) -> dict[str, Any]:
    # What is not there is 0, or an empty text.
    return {name: kind(row.get(name) or (0 if kind in (int, float) else "")) for name, kind in shape.items()}
