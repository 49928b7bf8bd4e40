"""What a server has said, for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portico.config.settings import Settings
from portico.config.show import as_toml

Result = Mapping[str, Any]

# Of slow requests; all are in what --json prints.
_SHOWN_LINES = 20
_SHOWN_RECENT = 10


def status(result: Result) -> str:
    """Return a line for each thing worth to know of the server."""
    workers = result["workers"]
    others = ", ".join(f"{count} {state}" for state, count in workers.items() if count and state != "ready")
    rows = [
        ("server", f"{result['name']}, pid {result['pid']}, portico {result['version']}"),
        ("stage", f"{result['stage']}{', reloading' if result['reloading'] else ''}"),
        ("uptime", _duration(result["uptime_s"])),
        ("generation", str(result["generation"])),
        ("directory", result["directory"]),
        ("listening on", ", ".join(result["listeners"]) or "nothing any more"),
        (
            "workers",
            f"{workers['ready']} of {result['workers_wanted']} ready{f', {others}' if others else ''}",
        ),
        ("requests", f"{result['requests']} served, {result['errors']} errors, {result['running']} running"),
        ("connections", f"{result['connections']} open, {result['connections_total']} accepted"),
        ("sent", _size(result["bytes_sent"])),
        ("memory", f"{_size(result['rss_bytes'])} supervisor, {_size(result['workers_rss_bytes'])} workers"),
        ("control", result["control"]),
    ]
    restarts = {reason: count for reason, count in result.get("restarts", {}).items() if count}
    if restarts:
        rows.append(("restarts", ", ".join(f"{count} {reason}" for reason, count in restarts.items())))
    if result["pid_file"]:
        rows.append(("pid file", result["pid_file"]))
    rows += [
        ("cluster" if number == 0 else "", _balancer(each))
        for number, each in enumerate(result.get("cluster", ()))
    ]
    rows += [
        ("pools" if number == 0 else "", _pool(pool)) for number, pool in enumerate(result.get("pools", ()))
    ]
    return "\n".join(f"{name:13} {text}" for name, text in rows)


def _balancer(each: Result) -> str:
    """Return how this host stands with a load balancer."""
    name = f"{each['name']} is " if each["name"] else "says "
    why = f", got {each['why']}" if each["why"] else ""
    return f"{each['is']} at {each['at']}: {name}{each['state']}{why}"


def _pool(pool: Result) -> str:
    parts = [f"{pool['name']}: {pool['state']}"]
    if pool["pid"]:
        parts += [f"{pool['workers']} of {pool['workers_wanted']} workers ready", f"pid {pool['pid']}"]
    if "requests" in pool:
        parts.append(f"{pool['requests']} served, {pool['errors']} errors, {pool['running']} running")
    return ", ".join([*parts, *filter(None, [pool["why"]])])


def not_asked(result: Result) -> list[str]:
    """Return a sentence for each pool that could not be asked; that it sleeps is no news."""
    asked_in_vain = result.get("not_asked", {}).items() if "pools" not in result else ()
    return [sentence for _, sentence in asked_in_vain]


def _pools_of(rows: Sequence[Result]) -> tuple[str, ...]:
    """Return the head of a column for pools, if there is any."""
    return ("POOL",) if any("pool" in row for row in rows) else ()


def _in_pool(row: Result, column: Sequence[str]) -> tuple[str, ...]:
    """Return the cell of that column; of the router it is empty."""
    return (row.get("pool", "-"),) if column else ()


def workers(result: Result) -> str:
    """Return a table of the workers."""
    pool = _pools_of(result["workers"])
    head = (
        *pool,
        *("PID", "SLOT", "STATE", "GEN", "AGE", "REQUESTS", "ERRORS", "RUNNING", "CONNS", "SENT", "RSS"),
    )
    rows = [
        (
            *_in_pool(each, pool),
            str(each["pid"]),
            str(each["slot"]),
            each["state"],
            str(each["generation"] or "-"),
            _duration(each["age_s"]),
            str(each["requests"]),
            str(each["errors"]),
            str(each["running"]),
            str(each["connections"]),
            _size(each["bytes_sent"]),
            _size(each["rss_bytes"]),
        )
        for each in result["workers"]
    ]
    return _table(head, rows)


def requests(result: Result) -> str:
    """Return a table of what runs."""
    pool = _pools_of(result["requests"])
    rows = [
        (*_in_pool(each, pool), str(each["pid"]), f"{each['seconds']:.1f}", each["method"], _path_of(each))
        for each in result["requests"]
    ]
    return _table((*pool, "PID", "SECONDS", "METHOD", "PATH"), rows) if rows else "no request is running"


def _path_of(request: Result) -> str:
    # A worker of a version that knew of none says nothing of it.
    return f"{request['path']} (web socket)" if request.get("web_socket") else str(request["path"])


def slow(result: Result) -> str:
    """Return a table of the lines that have held most of the time, and one of the latest slow calls."""
    if not result["lines"]:
        return "no request has been slower than slow_after"
    pool = _pools_of([*result["lines"], *result["recent"]])
    lines = [
        (
            *_in_pool(each, pool),
            f"{each['seconds']:.1f}",
            str(each["requests"]),
            _place(each),
            _most(each["routes"]),
            each["source"],
        )
        for each in result["lines"][:_SHOWN_LINES]
    ]
    recent = [
        (
            *_in_pool(each, pool),
            _clock(each["at"]),
            f"{each['seconds']:.1f}",
            str(each["worker"]),
            each["method"] or "-",
            each["path"] or "-",
            each["request_id"] or "-",
        )
        for each in result["recent"][:_SHOWN_RECENT]
    ]
    return "\n".join(
        [
            _table((*pool, "SECONDS", "REQUESTS", "LINE", "MOSTLY OF", "SOURCE"), lines),
            "",
            _table((*pool, "AT (UTC)", "SECONDS", "WORKER", "METHOD", "PATH", "REQUEST ID"), recent),
        ]
    )


def errors(result: Result) -> str:
    """Return a table of the requests that have failed last."""
    pool = _pools_of(result["errors"])
    rows = [
        (
            *_in_pool(each, pool),
            _clock(each["at"]),
            str(each["count"]),
            str(each["worker"]),
            each["error"] or (str(each["status"]) if each["status"] else "-"),
            each["method"],
            each["path"],
            each["route"] or "-",
            each["request_id"] or "-",
            _place(each) if each["file"] else "-",
        )
        for each in result["errors"][:_SHOWN_LINES]
    ]
    if not rows:
        return "no request has failed"
    return _table(
        (*pool, "AT (UTC)", "COUNT", "WORKER", "ERROR", "METHOD", "PATH", "ROUTE", "REQUEST ID", "LINE"), rows
    )


def _place(each: Result) -> str:
    return f"{each['file']}:{each['line']} {each['function']}"


def _most(routes: Mapping[str, float]) -> str:
    """Return the route that has most of it."""
    return max(routes, key=lambda route: routes[route], default="-") or "-"


def _clock(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_s))


def upstreams(result: Result) -> str:
    """Return a table of the members of upstreams."""
    head = ("UPSTREAM", "MEMBER", "STATE", "WEIGHT", "RUNNING", "REQUESTS", "FAILURES", "FROM")
    rows = [
        (
            upstream["name"],
            each["member"],
            _states(each["workers"]) or each["state"],
            str(each["weight"]),
            str(each["in_flight"]),
            str(each["requests"]),
            str(each["failures"]),
            each["from"],
        )
        for upstream in result["upstreams"]
        for each in upstream["members"]
    ]
    if not result["upstreams"]:
        return "the server has no [[upstream]]"
    lines = [_table(head, rows)] if rows else []
    lines += [f"{each['name']} has no members" for each in result["upstreams"] if not each["members"]]
    lines += [f"worker {pid} has not told of its own" for pid in result["unheard"]]
    return "\n".join(lines)


def _states(workers: Mapping[str, int]) -> str:
    """Return in which states workers see a member; how many do, if they differ."""
    if len(workers) == 1:
        return next(iter(workers))
    return ", ".join(f"{state} {count}" for state, count in workers.items())


def config(result: Result) -> str:
    """Return the settings as a configuration file."""
    return as_toml(Settings(dict(result["values"]), dict(result["origins"])), only_changed=False).rstrip("\n")


SENTENCES: Mapping[str, Callable[[Result], str]] = {
    "status": status,
    "workers": workers,
    "requests": requests,
    "slow": slow,
    "errors": errors,
    "config": config,
    "reload": lambda result: (
        f"all workers are new, this is generation {result['generation']}"
        if "generation" in result
        else "reloading; the error log says what comes of it"
    ),
    "upgrade": lambda result: (
        f"all workers are new, this is generation {result['generation']}"
        if "generation" in result
        else "upgrading; the error log says what comes of it"
    ),
    "stop": lambda result: (
        "the server has ended" if "ended" in result else f"the server is {result['stage']}"
    ),
    "scale": lambda result: f"the number of workers is {result['workers']}",
    "drain": lambda result: "the workers leave after their requests; scale or reload starts new ones",
    "recycle": lambda result: f"worker {result['pid']} is replaced",
    "stacks": lambda result: f"worker {result['pid']} writes its stacks to the error log",
    "reopen-logs": lambda result: "the files of the logs are opened anew",
    "upstream": upstreams,
    "upstream-add": lambda result: f"{result['member']} of {result['upstream']} gets requests",
    "upstream-drain": lambda result: f"{result['member']} of {result['upstream']} gets no more requests",
    "upstream-remove": lambda result: f"{result['member']} is no member of {result['upstream']} any more",
    "log-level": lambda result: "the level of the error log is set, until the next reload",
}
"""How each verb's result is said."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _size(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    size = count / 1024
    units = ["KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        del units[0]
    return f"{size:.1f} {units[0]}"
