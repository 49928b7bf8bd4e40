"""How long a call may take: by its path where a setting says something of that, else by the one for all.

Of several paths the longest that the call's is, or lies below, counts. What the scoreboard has of a path is
enough for those that can be set.
"""

from __future__ import annotations

from portico.process.loop import NEVER_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico._core import RunningCall
    from portico.config.settings import Settings


def timeout_s(settings: Settings, call: RunningCall) -> float:
    """Return after how many seconds the call is over; infinity where it never is."""
    return _limit_s(settings.timeout_s, settings.route_timeout, call)


def slow_after_s(settings: Settings, call: RunningCall) -> float:
    """Return after how many seconds its stack is logged; infinity where it never is."""
    return _limit_s(settings.slow_after_s, settings.route_slow_after, call)


def shortest_s(settings: Settings) -> float:
    """Return the shortest of all these limits; infinity where there is none."""
    routes = (*settings.route_timeout, *settings.route_slow_after)
    limits = (settings.timeout_s, settings.slow_after_s, *(limit_s for _, limit_s in routes))
    return min([limit_s for limit_s in limits if limit_s], default=NEVER_S)


def _limit_s(for_all_s: float, routes: Iterable[tuple[str, float]], call: RunningCall) -> float:
    limit_s = for_all_s
    longest = -1
    path = call.what.partition(" ")[2]
    for route, route_s in routes:
        route = route.rstrip("/")
        if len(route) > longest and (path == route or path.startswith(f"{route}/")):
            longest, limit_s = len(route), route_s
    return limit_s or NEVER_S
