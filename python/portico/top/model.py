"""What two samples mean: a row for each worker, sums for the head, and what has happened in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from portico.top.quantiles import Quantile, counts_between, quantile
from portico.top.sample import Sample


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is in the application; `path` is as the server writes it."""

    method: str
    path: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Row:
    """A worker. Rates are per second, and None where the sample before does not tell them.

    What a server of before this version does not say is None, too.
    """

    number: int
    pid: int
    state: str
    threads: int | None
    requests_rate: float | None
    errors_rate: float | None
    bytes_rate: float | None
    # Within what time half, and 99 of 100, of the requests have ended.
    p50: Quantile | None
    p99: Quantile | None
    connections: int
    rss_bytes: int
    age_s: float
    restarts: int | None
    # The longest first.
    calls: tuple[Call, ...]
    # The name of its pool, and where that is asked; empty of a server without pools, and in front of them.
    pool: str = ""
    control: str = ""

    @property
    def oldest(self) -> Call | None:
        """The request that is there the longest."""
        return self.calls[0] if self.calls else None


@dataclass(frozen=True, slots=True)
class Head:
    """The server as a whole, with the same meaning of None."""

    name: str
    version: str
    pid: int
    uptime_s: float
    stage: str
    generation: int
    requests_rate: float | None
    errors_rate: float | None
    bytes_rate: float | None
    p50: Quantile | None
    p99: Quantile | None
    saturation: float | None
    busy: int
    threads: int | None
    backlog: int | None
    connections: int
    workers_wanted: int
    # Those that are not zero.
    states: Mapping[str, int]
    restarts: Mapping[str, int]


def read_rows(sample: Sample, before: Sample | None) -> list[Row]:
    """Return a row for each worker, in the order of their numbers."""
    counted = _Counted.between(sample, before)
    known = {} if before is None else {worker["pid"]: worker for worker in before.workers}
    calls: dict[int, list[Call]] = {}
    for call in sample.requests:
        calls.setdefault(call["pid"], []).append(Call(call["method"], call["path"], call["seconds"]))
    return [
        Row(
            number=worker["slot"],
            pid=worker["pid"],
            state=worker["state"],
            threads=worker.get("threads"),
            # One that was not there before has begun at nothing.
            **counted.rates(worker, known.get(worker["pid"], {})),
            connections=worker["connections"],
            rss_bytes=worker["rss_bytes"],
            age_s=worker["age_s"],
            restarts=worker.get("workers_before"),
            calls=tuple(sorted(calls.get(worker["pid"], ()), key=lambda call: -call.seconds)),
            pool=worker.get("pool", ""),
            control=worker.get("control", ""),
        )
        for worker in sample.workers
    ]


def read_head(sample: Sample, before: Sample | None) -> Head:
    """Return what there is to say of the whole server."""
    status, counted = _with_pools(sample.status), _Counted.between(sample, before)
    threads = status.get("threads")
    return Head(
        name=status["name"],
        version=status["version"],
        pid=status["pid"],
        uptime_s=status["uptime_s"],
        stage=f"{status['stage']}{', reloading' if status['reloading'] else ''}",
        generation=status["generation"],
        **counted.rates(_total(sample), {} if before is None else _total(before)),
        saturation=status.get("saturation"),
        busy=status["running"] if threads is None else threads["busy"],
        threads=None if threads is None else threads["busy"] + threads["idle"],
        backlog=status.get("accept_backlog"),
        connections=status["connections"],
        workers_wanted=status["workers_wanted"],
        states=_not_zero(status["workers"]),
        restarts=_not_zero(status.get("restarts", {})),
    )


def _with_pools(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a status with what pools have in the place of what the router has, which calls nobody."""
    pools = [pool for pool in status.get("pools", ()) if "threads" in pool]
    if not pools:
        return status
    restarts = dict(status.get("restarts", {}))
    for pool in pools:
        for reason, count in pool.get("restarts", {}).items():
            restarts[reason] = restarts.get(reason, 0) + count
    saturations = [pool["saturation"] for pool in pools if pool.get("saturation") is not None]
    return {
        **status,
        "threads": {state: sum(pool["threads"][state] for pool in pools) for state in ("busy", "idle")},
        # Of the busiest: the others cannot help it.
        "saturation": max(saturations, default=None),
        "restarts": restarts,
    }


def read_events(sample: Sample, before: Sample) -> Iterator[str]:
    """Yield what has happened between two samples, what matters most as the last."""
    now, then = sample.status, before.status
    if not _is_same_server(sample, before):
        yield f"another server is there: pid {now['pid']}, portico {now['version']}"
        return
    there = {worker["pid"]: worker for worker in before.workers}
    for worker in sample.workers:
        was = there.pop(worker["pid"], None)
        if was is None or was["state"] != worker["state"]:
            yield f"worker {worker['slot']}, pid {worker['pid']}, is {worker['state']}"
    for worker in there.values():
        yield f"worker {worker['slot']}, pid {worker['pid']}, has ended"
    restarts = then.get("restarts", {})
    for reason, count in now.get("restarts", {}).items():
        more = count - restarts.get(reason, 0)
        if more > 0:
            yield f"{more} worker{'s' if more > 1 else ''} replaced: {reason}"
    if now["reloading"] and not then["reloading"]:
        yield "the configuration is read anew"
    if now["version"] != then["version"]:
        yield f"upgraded to portico {now['version']}"
    if now["generation"] != then["generation"]:
        yield f"this is generation {now['generation']}"
    if now["stage"] != then["stage"]:
        yield f"the server is {now['stage']}"


def matching(rows: Iterable[Row], text: str) -> list[Row]:
    """Return the rows with `text` in their state, their process id or a request, in whatever case."""
    text = text.casefold()
    return [row for row in rows if any(text in each.casefold() for each in _searched(row))]


def _searched(row: Row) -> Iterator[str]:
    yield row.state
    yield str(row.pid)
    yield row.pool
    yield from map(str, row.calls)


@dataclass(frozen=True, slots=True)
class _Counted:
    """How long there was to count; None if nothing was before."""

    elapsed_s: float | None

    @classmethod
    def between(cls, sample: Sample, before: Sample | None) -> _Counted:
        if before is None or not _is_same_server(sample, before) or sample.at_s <= before.at_s:
            return cls(None)
        return cls(sample.at_s - before.at_s)

    def rates(self, now: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a `Row` and a `Head` have of what is counted."""
        return {
            "requests_rate": self._rate(now, then, "requests"),
            "errors_rate": self._rate(now, then, "errors"),
            "bytes_rate": self._rate(now, then, "bytes_sent"),
            "p50": self._quantile(now, then, 0.5),
            "p99": self._quantile(now, then, 0.99),
        }

    def _quantile(self, now: Mapping[str, Any], then: Mapping[str, Any], share: float) -> Quantile | None:
        return None if self.elapsed_s is None else quantile(counts_between(now, then), share)

    def _rate(self, now: Mapping[str, Any], then: Mapping[str, Any], name: str) -> float | None:
        if self.elapsed_s is None or name not in now:
            return None
        return float(max(0, now[name] - then.get(name, 0))) / self.elapsed_s


def _is_same_server(sample: Sample, before: Sample) -> bool:
    now, then = sample.status, before.status
    return bool(now["pid"] == then["pid"] and now["uptime_s"] >= then["uptime_s"])


def _total(sample: Sample) -> Mapping[str, Any]:
    # Without it counts are those of workers that live, and become less when one ends.
    total: Mapping[str, Any] = sample.status.get("total", sample.status)
    return {**total, "durations": sample.status.get("durations", [])}


def _not_zero(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}
