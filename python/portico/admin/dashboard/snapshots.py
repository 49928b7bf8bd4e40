"""Looks at the server once a second while somebody watches, and says what is to be shown of it.

A *point* is what a second was like, of which the last are kept as the history; a *snapshot* is the latest
point with all that is there now. What was seen before, without which there are no rates, is forgotten once
nobody has watched for a while. Durations are known in buckets alone, as everybody else has them
(`portico.admin`).
"""

from __future__ import annotations

import time
from _thread import allocate_lock

from portico._core import DURATION_BOUNDS_S
from portico.admin import SilentError
from portico.admin.dashboard.of_pools import join_pools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from portico.admin import Samples, Source

    Key = tuple[str, ...]

_REQUESTS = "http_server_request_duration_seconds"
_PASSED_ON = "portico_router_request_duration_seconds"
_PARTS = "portico_request_part_seconds_total"
_QUEUE = "portico_request_queue_seconds"
_LOCK = "portico_gil_wait_seconds"

_PERIOD_S = 0.95
"""A bit less than a second: who comes a second after the last look is not too early."""
_FORGET_AFTER_S = 5.0
_POINTS = 180
_WINDOW_S, _STEP_S = 60.0, 10.0
"""Routes are told of the last minute, which moves on in steps."""
_MOST_ROUTES = 20
_NO_CLASS = "none"
# Of a series of requests; that of a pool has its name behind them.
_OWN_LABELS = 4
_OF_WORKERS = (
    *("slot", "pid", "state", "generation", "age_s", "workers_before", "threads", "running", "requests"),
    *("errors", "connections", "rss_bytes"),
)
_OF_SERVER = (
    *("name", "version", "python", "pid", "uptime_s", "stage", "generation", "reloading", "restarts"),
    *("workers_wanted", "total", "rss_bytes"),
)


class Snapshots:
    """The latest snapshot, as JSON by `write`, for however many ask for it."""

    def __init__(self, source: Source, write: Callable[[Any], bytes]) -> None:
        self._source = source
        self._write = write
        self._lock = allocate_lock()
        self._taken_at_s = float("-inf")
        self._latest = b""
        self._history: list[dict[str, Any]] = []
        # Those before the latest ones, at least a step apart, the oldest first: to compare with.
        self._looks: list[_Look] = []
        self._last: _Look | None = None

    def history(self) -> bytes:
        """Return the points that are kept, and what is the same in all of them."""
        with self._lock:
            self._forget(time.monotonic())
            return self._write({"bounds_s": list(DURATION_BOUNDS_S), "points": self._history})

    def latest(self) -> bytes:
        """Return what is to be shown now, no older than a second."""
        with self._lock:
            now_s = time.monotonic()
            if now_s >= self._taken_at_s + _PERIOD_S:
                self._forget(now_s)
                self._taken_at_s = now_s
                self._latest = self._write(self._take(now_s))
            return self._latest

    def _forget(self, now_s: float) -> None:
        if now_s > self._taken_at_s + _FORGET_AFTER_S:
            self._history.clear()
            self._looks.clear()
            self._last = None

    def _take(self, now_s: float) -> dict[str, Any]:
        try:
            samples, overview = self._source.ask(kept_s=_PERIOD_S / 2), self._source.overview()
        except SilentError:
            return {"silent": True}
        look = _Look(now_s, samples)
        pools = join_pools(overview)
        point = None if self._last is None else _point(look, self._last, overview)
        if point is not None:
            self._history = [*self._history, point][-_POINTS:]
        self._last = look
        self._looks = [each for each in self._looks if each.at_s >= now_s - _WINDOW_S]
        before = self._looks[0] if self._looks else None
        if not self._looks or now_s >= self._looks[-1].at_s + _STEP_S:
            self._looks.append(look)
        return {
            "silent": False,
            "server": _some(overview["status"], _OF_SERVER),
            "pools": pools,
            "point": point,
            "minute": None if before is None else _window(look, before),
            "start": _window(look, None),
            "workers": [_some(worker, (*_OF_WORKERS, "pool")) for worker in overview["workers"]["workers"]],
            "requests": overview["requests"]["requests"],
            "running": overview["status"]["running"],
            # A version without that verb has none.
            "slow": overview.get("slow"),
            "errors": overview.get("errors", {}).get("errors", []),
            # Each pool makes its own.
            "has_profile": overview["has_profile"] and not pools,
        }


class _Look:
    """The figures at one time."""

    __slots__ = ("at_s", "parts", "requests", "samples", "seen")

    def __init__(self, at_s: float, samples: Samples) -> None:
        self.at_s = at_s
        self.samples = samples
        self.requests: dict[Key, list[int]] = {
            key: figures for key, figures in samples.get(_REQUESTS, ()) if isinstance(figures, list)
        }
        # As clients have seen them: not in pools, but in front of these.
        self.seen: dict[Key, list[int]] = {
            key: figures for key, figures in self.requests.items() if len(key) == _OWN_LABELS
        }
        for (pool, method, status_class), figures in samples.get(_PASSED_ON, ()):
            if isinstance(figures, list):
                self.seen[("", method, "", status_class, pool)] = figures
        # Seconds, by application, method, route and pool, and then by part.
        self.parts: dict[Key, dict[str, float]] = {}
        for labels, value in samples.get(_PARTS, ()):
            # That of a pool has its name behind all others.
            key, part = (*labels[:3], *labels[5:]), labels[4]
            if isinstance(value, (int, float)):
                parts = self.parts.setdefault(key, {})
                parts[part] = parts.get(part, 0.0) + value

    def since(self, before: _Look | None) -> Iterator[tuple[Key, list[int]]]:
        """Yield of each series of requests what has come since then, or since there are counts."""
        yield from _since(self.requests, None if before is None else before.requests)

    def seen_since(self, before: _Look) -> Iterator[tuple[Key, list[int]]]:
        """Yield the same of what clients have seen."""
        yield from _since(self.seen, before.seen)

    def parts_since(self, before: _Look | None, key: Key, total_s: float) -> dict[str, float]:
        """Return of all time of a route's requests since then what was spent how, which adds up."""
        then = {} if before is None else before.parts.get(key, {})
        parts = {name: max(0.0, s - then.get(name, 0.0)) for name, s in self.parts.get(key, {}).items()}
        # What was counted of requests that have not ended yet at the time of the look is not in the total.
        # Of calls that share a thread nobody knows which has computed.
        rest = "application" if parts and "cpu" not in parts else "waiting"
        parts[rest] = max(0.0, total_s - sum(parts.values()))
        return {name: round(s, 6) for name, s in parts.items()}

    def waits_since(self, name: str, before: _Look | None) -> list[int]:
        """Return the figures of one of the two waits since then."""
        now, then = self._whole(name), None if before is None else before._whole(name)
        return _less(now, then)

    def numbers(self, name: str, *labels: str) -> list[float]:
        """Return the values of a metric: of the server, or with pools of each of these, if they tell it."""
        values: dict[bool, list[float]] = {True: [], False: []}
        for found, value in self.samples.get(name, ()):
            if found[: len(labels)] == labels and isinstance(value, (int, float)):
                values[len(found) > len(labels)].append(value)
        return values[True] or values[False]

    def _whole(self, name: str) -> list[int]:
        return _summed(figures for _, figures in self.samples.get(name, ()) if isinstance(figures, list))


def _point(look: _Look, before: _Look, overview: dict[str, Any]) -> dict[str, Any]:
    elapsed_s = max(look.at_s - before.at_s, 0.001)
    classes: dict[str, int] = {}
    all_figures = []
    for key, figures in look.seen_since(before):
        all_figures.append(figures)
        if count := sum(figures[:-1]):
            of_class = key[_OWN_LABELS - 1] or _NO_CLASS
            classes[of_class] = classes.get(of_class, 0) + count
    busy, idle = (sum(look.numbers("portico_worker_threads", state)) for state in ("busy", "idle"))
    # Of several pools that of the busiest: the others cannot help it.
    saturation = max(look.numbers("portico_saturation"), default=None)
    return {
        "at": round(time.time(), 1),
        "rates": {name: round(count / elapsed_s, 2) for name, count in classes.items()},
        "counts": _summed(all_figures)[:-1],
        "queue_s": _mean_s(look.waits_since(_QUEUE, before)),
        "lock_s": _mean_s(look.waits_since(_LOCK, before)),
        "busy": busy,
        "threads": busy + idle,
        # Those that wait for a thread, too, and those whose responses are still sent.
        "active": sum(look.numbers("http_server_active_requests")),
        "backlog": sum(look.numbers("portico_accept_backlog")),
        "saturation": None if saturation is None else round(saturation, 4),
        "running": overview["status"]["running"],
    }


def _window(look: _Look, before: _Look | None) -> dict[str, Any]:
    """Return what all requests of a time were like, and the slowest routes in it."""
    routes: dict[Key, list[list[int]]] = {}
    failed: dict[Key, int] = {}
    for (application, method, route, status_class, *pool), figures in look.since(before):
        if not (count := sum(figures[:-1])):
            continue
        key = (application, method, route, *pool)
        routes.setdefault(key, []).append(figures)
        failed[key] = failed.get(key, 0) + (count if status_class == "5xx" else 0)
    rows: list[dict[str, Any]] = []
    for key, several in routes.items():
        figures = _summed(several)
        total_s = figures[-1] / 1e9
        rows.append(
            {
                **dict(zip(("application", "method", "route", "pool"), key, strict=False)),
                "requests": sum(figures[:-1]),
                "errors": failed[key],
                "mean_s": _mean_s(figures),
                "p95_s": _quantile_s(figures, 0.95),
                "total_s": round(total_s, 3),
                "parts_s": look.parts_since(before, key, total_s),
            }
        )
    everything = _summed(figures for several in routes.values() for figures in several)
    return {
        "seconds": None if before is None else round(look.at_s - before.at_s, 1),
        "requests": sum(everything[:-1]),
        "quantiles_s": {f"p{share}": _quantile_s(everything, share / 100) for share in (50, 95, 99)},
        "parts_s": _parts_of_all(row["parts_s"] for row in rows if row["application"]),
        "routes": sorted(rows, key=lambda row: -(row["mean_s"] or 0))[:_MOST_ROUTES],
        "failing": sorted((row for row in rows if row["errors"]), key=lambda row: -row["errors"])[
            :_MOST_ROUTES
        ],
    }


def _parts_of_all(several: Iterable[dict[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for parts in several:
        for name, s in parts.items():
            sums[name] = sums.get(name, 0.0) + s
    return {name: round(s, 6) for name, s in sums.items()}


def _since(now: dict[Key, list[int]], then: dict[Key, list[int]] | None) -> Iterator[tuple[Key, list[int]]]:
    for key, figures in now.items():
        yield key, _less(figures, None if then is None else then.get(key))


def _less(now: Sequence[int], then: Sequence[int] | None) -> list[int]:
    if then is None:
        return list(now)
    return [max(0, figure - before) for figure, before in zip(now, then, strict=True)]


def _summed(several: Iterable[Sequence[int]]) -> list[int]:
    sums = [0] * (len(DURATION_BOUNDS_S) + 2)
    for figures in several:
        for index, figure in enumerate(figures):
            sums[index] += figure
    return sums


def _mean_s(figures: Sequence[int]) -> float | None:
    count = sum(figures[:-1])
    return round(figures[-1] / count / 1e9, 6) if count else None


def _quantile_s(figures: Sequence[int], share: float) -> float | None:
    """Return the duration that this share of requests has not exceeded, as `histogram_quantile` reckons it.

    None without any; what is beyond the last bound counts as that.
    """
    rank = share * sum(figures[:-1])
    if not rank:
        return None
    below, least_s = 0, 0.0
    for count, bound_s in zip(figures, DURATION_BOUNDS_S, strict=False):
        if count and below + count >= rank:
            return round(least_s + (bound_s - least_s) * (rank - below) / count, 6)
        below += count
        least_s = bound_s
    return DURATION_BOUNDS_S[-1]


def _some(report: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: report[name] for name in names if name in report}
