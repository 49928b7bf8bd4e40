"""The table of routes as text, and why one row takes a request; or both as JSON.

Receives `Routes`, hands on what is printed. Runs in the process of the command line only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from portico.config.routes.keys import TABLES
from portico.config.routes.outcome import outcome
from portico.config.routes.request import Request
from portico.config.routes.table import (
    ANY_HOST,
    ENCODED_SLASH,
    MISDIRECTED,
    NOT_FOUND,
    Action,
    Found,
    Route,
    Routes,
)
from portico.config.show import native
from portico.errors import quoted

_HEAD = ("host", "path", "taken by", "from")
_HEAD_OF_POOLS = "pool"
_STATUSES = {NOT_FOUND: "Not Found", MISDIRECTED: "Misdirected Request"}


def table_as_text(routes: Routes) -> str:
    """Return a line for each row, in the order in which they are tried."""
    lines = [_HEAD, *(_columns(route) for route in routes.routes)]
    if any(action.pool for action in routes.actions):
        pools = [_HEAD_OF_POOLS, *(route.action.pool or "-" for route in routes.routes)]
        lines = [(*line[:-1], pool, line[-1]) for line, pool in zip(lines, pools, strict=True)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    text = ["  ".join([*map(str.ljust, line, widths), line[-1]]) for line in lines]
    if any(route.host for route in routes.routes):
        text.append(_of_unknown_hosts(routes))
    return "".join(f"{line}\n" for line in text)


def table_as_json(routes: Routes) -> str:
    """Return an object with all rows, in the order in which they are tried."""
    return _json(
        {
            "unknown_host": routes.unknown_host or "default",
            "routes": [{**_row(route), "values": _values(route.action)} for route in routes.routes],
        }
    )


def request_as_text(routes: Routes, request: Request) -> str:
    """Return which row takes `request`, why, and what becomes of it."""
    found = routes.find(request.host, request.path)
    lines = [f"{request.method} {_shown(found)}", *_about(routes, found, request)]
    while found.route is not None and found.route.action.falls_back:
        found = routes.find(request.host, request.path, after=found.route)
        lines += ["without such a file:", *_about(routes, found, request)]
    return "".join(f"{line}\n" for line in lines)


def request_as_json(routes: Routes, request: Request) -> str:
    """Return the same as an object; `fallback` is what takes it where a file is not there."""
    return _json(
        {"method": request.method, **_found(routes, routes.find(request.host, request.path), request)}
    )


def _about(routes: Routes, found: Found, request: Request) -> Iterator[str]:
    route = found.route
    if route is None:
        yield f"  {found.status} {_STATUSES[found.status]}: {_why_none(routes, found)}"
        return
    yield f"  {_name(route.action)}, {route.action.origin}"
    rows = {"host": _why_host(route), "path": _why_path(route)}
    rows |= {"pool": route.action.pool} if route.action.pool else {}
    rows |= {name: _written(value) for name, value in outcome(found, request).items()}
    width = max(map(len, rows))
    yield from (f"  {name:{width}}  {text}" for name, text in rows.items())


def _why_none(routes: Routes, found: Found) -> str:
    if found.status == MISDIRECTED:
        said = f", and unknown_host at {routes.unknown_host_origin} says so"
        return f"no row names {found.host or 'no host'}" + (said if routes.unknown_host_origin else "")
    return f"no row takes {_path(found.path)}" + (f" of {found.host}" if found.host else "")


def _why_host(route: Route) -> str:
    return "any" if route.host == ANY_HOST else f"{route.host}, {route.host_origin}"


def _why_path(route: Route) -> str:
    if not route.path:
        return "any"
    origin = f", {route.path_origin}" if route.path_origin else ""
    return f"{_path(route.path)} {'alone' if route.is_exact else 'and below'}{origin}"


def _found(routes: Routes, found: Found, request: Request) -> dict[str, Any]:
    route = found.route
    shown = {
        "host": found.host,
        "path": _path(found.path),
        "route": None if route is None else _row(route),
        **outcome(found, request),
    }
    if route is not None and route.action.falls_back:
        following = routes.find(request.host, request.path, after=route)
        shown["fallback"] = _found(routes, following, request)
    return shown


def _row(route: Route) -> dict[str, Any]:
    return {
        "host": route.host or None,
        "path": route.path or "/",
        "exact": route.is_exact,
        "table": route.action.table,
        "pool": route.action.pool or None,
        "origin": route.action.origin,
        "host_origin": route.host_origin or None,
        "path_origin": route.path_origin or None,
    }


def _values(action: Action) -> dict[str, Any]:
    rows = {row.attribute: row for row in TABLES[action.table]}
    return {rows[name].key: native(rows[name], value) for name, value in action.values.items()}


def _columns(route: Route) -> tuple[str, ...]:
    path = _path(route.path or "/")
    return (
        route.host or "any",
        f"{path} alone" if route.is_exact else path,
        _name(route.action),
        route.action.origin,
    )


def _name(action: Action) -> str:
    values = action.values
    if action.table == "app":
        what = values.get("name") or values.get("app", "")
    elif action.table == "static":
        what = f"{values['root']}, or the next row" if action.falls_back else values["root"]
    elif action.table == "upstream":
        name = values.get("name")
        what = f"{f'{name}: ' if name else ''}{', '.join(values['to'])}"
    elif action.table == "redirect":
        what = f"{values['status']} to {values['to']}"
    else:
        what = str(values["status"])
    return f"[[{action.table}]] {what}"


def _of_unknown_hosts(routes: Routes) -> str:
    said = f", {routes.unknown_host_origin}" if routes.unknown_host_origin else ""
    what = f"get {routes.unknown_host}" if routes.unknown_host else "go to the rows for any host"
    return f"other hosts {what}{said}"


def _shown(found: Found) -> str:
    return f"{_path(found.path)} of {found.host}" if found.host else f"{_path(found.path)} without a host"


def _written(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return (_path(value) or '""') if isinstance(value, str) else str(value)


def _path(text: str) -> str:
    """Return `text` as it can be printed: what a terminal cannot show is escaped."""
    text = text.replace(ENCODED_SLASH, "%2F")
    return text if text.isprintable() else quoted(text)[1:-1]


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
