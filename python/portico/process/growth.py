"""Which paths were called while a worker grew.

Receives, with each look at a worker, by how much it has grown since the look before and the latest call of
each of its threads. No call is measured, so this is no proof: a path that is in most of the growth, but in
few of the looks, is a likely cause.
"""

from __future__ import annotations

# Routes told apart; an application with a first segment for each user would have any number.
_MOST_ROUTES = 64
_SHOWN = 3
_REST = "other paths"


class Growth:
    """The growth of one worker, divided among the routes: first segments of paths."""

    __slots__ = ("_grown_bytes", "_looks", "_routes")

    def __init__(self) -> None:
        # Of each route: bytes, and looks that have seen it.
        self._routes: dict[str, list[float]] = {}
        self._grown_bytes = 0
        self._looks = 0.0

    def note(self, grown_bytes: int, calls: list[str]) -> None:
        """Note a look: what the worker has grown by, if it has, and its calls, such as `GET /path`."""
        if not calls:
            return
        self._looks += 1
        grown_bytes = max(0, grown_bytes)
        self._grown_bytes += grown_bytes
        for call in calls:
            route = _route(call)
            if route not in self._routes and len(self._routes) >= _MOST_ROUTES:
                route = _REST
            share = self._routes.setdefault(route, [0.0, 0.0])
            share[0] += grown_bytes / len(calls)
            share[1] += 1 / len(calls)

    def describe(self) -> str:
        """Return the end of a sentence that names the likeliest routes, or nothing."""
        if not self._grown_bytes:
            return ""
        routes = sorted(self._routes.items(), key=lambda item: -item[1][0])
        shown = ", ".join(
            f"{route} ({grown_bytes / self._grown_bytes:.0%} of the growth, "
            f"{looks / self._looks:.0%} of the calls)"
            for route, (grown_bytes, looks) in routes[:_SHOWN]
            if grown_bytes
        )
        return f"; seen in calls while it grew by {mebibytes(self._grown_bytes)}: {shown}"


def mebibytes(size_bytes: int) -> str:
    """Return a size that was measured, for a sentence."""
    return f"{size_bytes / (1 << 20):.0f} MiB"


def _route(call: str) -> str:
    """Return `/shop` of `GET /shop/basket`."""
    path = call.partition(" ")[2].partition("?")[0]
    return "/" + path.removeprefix("/").partition("/")[0]
