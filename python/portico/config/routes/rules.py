"""Rules that tables of routes break, each alone or among themselves: a row that is there twice, a folder that
falls back to nothing, a redirect to itself.

Receives the tables of a file, hands on sentences with their places. Runs in the process of the command line
only.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from portico.config.routes.entry import Entry, Row
from portico.config.routes.keys import (
    AppKeys,
    RedirectKeys,
    RespondKeys,
    RoutesKeys,
    StaticKeys,
    UpstreamKeys,
)
from portico.config.routes.kinds import SCHEMES_WITH_TLS, SCHEMES_WITH_VARIABLES, UpstreamAddress
from portico.config.routes.table import ANY_HOST, MISDIRECTED, SYSTEM, Route, Routes
from portico.config.setting import Setting
from portico.config.settings import Settings
from portico.config.toml_positions import Place

Mistake: TypeAlias = "tuple[Place, str]"
RowKey: TypeAlias = "tuple[str, str, bool, bool]"
"""What two rows cannot have both."""
_NEEDED: dict[str, tuple[Setting[Any], ...]] = {
    "app": (Settings.app,),
    "static": (StaticKeys.root,),
    "upstream": (UpstreamKeys.to,),
    "redirect": (RedirectKeys.to,),
}
_WITHOUT_BODY = (204, 205, 304)
"""RFC 9110 15.3.5, 15.3.6 and 15.4.5."""


def of_entry(entry: Entry, *, is_named_elsewhere: bool = False) -> Iterator[Mistake]:
    """Yield what one table lacks, or says twice; an application may be named elsewhere, or be found."""
    for row in _NEEDED.get(entry.table, ()):
        if not entry.has(row) and entry.is_whole and not is_named_elsewhere:
            yield entry.place, f"expected {row.key} in {entry.header}, got none"
    if (
        entry.table in ("redirect", "respond")
        and entry.has(RedirectKeys.mounts)
        and entry.has(RedirectKeys.paths)
    ):
        yield entry.place_of(RedirectKeys.paths), "path: expected mount or path, got both"
    for key in (AppKeys.hosts, AppKeys.mounts, RedirectKeys.paths, UpstreamKeys.to):
        values = entry.found.values.get(key.attribute)
        if values == ():
            # Not any host, and not all of it: that is said by no key.
            yield entry.place_of(key), f"{key.key}: expected at least one, got none"
        elif isinstance(values, tuple):
            for value in sorted({value for value in values if values.count(value) > 1}):
                yield entry.place_of(key), f"{key.key}: {value or '/'} is given twice"
    if entry.table == "redirect":
        yield from _of_redirect(entry)
    elif entry.table == "respond":
        yield from _of_respond(entry)
    elif entry.table == "upstream":
        yield from _of_upstream(entry)


def _of_redirect(entry: Entry) -> Iterator[Mistake]:
    append = RedirectKeys.append
    if entry.found.values.get(append.attribute) and has_query(entry.get(RedirectKeys.to)):
        yield entry.place_of(append), "append: expected false, since to has a query or a fragment, got true"


def _of_upstream(entry: Entry) -> Iterator[Mistake]:
    services = [each for each in entry.get(UpstreamKeys.to) if each.startswith(UpstreamAddress.services)]
    is_read = UpstreamKeys.resolver.attribute not in entry.found.unread
    if services and is_read and entry.get(UpstreamKeys.resolver) == SYSTEM:
        yield (
            entry.place_of(UpstreamKeys.to),
            f"to: expected a resolver of dns in {entry.header}, since {services[0]} is in SRV records, which "
            "that of the system does not tell",
        )
    to, variables = UpstreamKeys.to, UpstreamKeys.variables
    if entry.get(variables) and not any(
        address.startswith(SCHEMES_WITH_VARIABLES) for address in entry.get(to)
    ):
        yield entry.place_of(variables), "variables: expected a uwsgi or fastcgi server in to, got none"
    yield from _of_tls(entry)


def _of_tls(entry: Entry) -> Iterator[Mistake]:
    ca, certificate, key = UpstreamKeys.ca, UpstreamKeys.client_certificate, UpstreamKeys.client_key
    verify, server_name, to = UpstreamKeys.verify, UpstreamKeys.server_name, UpstreamKeys.to
    is_tls = any(address.startswith(SCHEMES_WITH_TLS) for address in entry.get(to))
    for row in (ca, server_name, certificate, key, verify):
        if entry.has(row) and not is_tls and to.attribute in entry.found.values:
            yield entry.place_of(row), f"{row.key}: expected an https server in to, got none"
    for row, other in ((certificate, key), (key, certificate)):
        if entry.has(row) and not entry.has(other):
            yield entry.place_of(row), f"{row.key}: expected {other.key} beside it, got none"
    for row in (ca, server_name):
        if entry.has(row) and not entry.get(verify):
            yield entry.place_of(row), f"{row.key}: expected verify to be true, since it says who is trusted"


def _of_respond(entry: Entry) -> Iterator[Mistake]:
    body, file, status = RespondKeys.body, RespondKeys.file, RespondKeys.status
    if entry.has(body) and entry.has(file):
        yield entry.place_of(file), "file: expected body or file, got both"
    if entry.get(status) in _WITHOUT_BODY and (entry.get(body) or entry.get(file)):
        yield entry.place_of(status), f"status: expected one that has a body, got {entry.get(status)}"


def of_names(entries: Iterable[Entry], seen: dict[str, Entry] | None = None) -> Iterator[Mistake]:
    """Yield applications that have the name of another; `seen` are those of before, and gets these."""
    seen = {} if seen is None else seen
    for entry in entries:
        name = entry.get(Settings.name) if entry.table == "app" else ""
        if name in seen:
            yield (
                entry.place_of(Settings.name),
                f"name: {name} is the name of {entry.header} at {seen[name].origin} already",
            )
        elif name:
            seen[name] = entry


def of_upstream_names(entries: Iterable[Entry]) -> Iterator[Mistake]:
    """Yield other servers that have the name of others."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        name = entry.get(UpstreamKeys.name) if entry.table == "upstream" else ""
        if name and seen.setdefault(name, entry) is not entry:
            yield (
                entry.place_of(UpstreamKeys.name),
                f"name: {name} is the name of {entry.header} at {seen[name].origin} already",
            )


def of_rows(rows: Iterable[Row], seen: dict[RowKey, Row] | None = None) -> Iterator[Mistake]:
    """Yield rows that another one has, too: same host, same path.

    `seen` are those of before, and gets these.
    """
    seen = {} if seen is None else seen
    for row in rows:
        route = row.route
        # Before a row for the same, a folder may stand that falls back to it.
        key = (route.host, route.path, route.is_exact, route.action.falls_back)
        other = seen.setdefault(key, row)
        if other.entry is not row.entry:
            yield (
                row.place,
                f"{row.entry.header} takes {route.path or '/'} of {route.host or 'any host'}, which "
                f"{other.entry.header} takes already, at {other.route.path_origin or other.entry.origin}",
            )


def of_order(routes: Routes, rows: Iterable[Row]) -> Iterator[Mistake]:
    """Yield folders without a row that they could fall back to, and redirects that lead to themselves."""
    for row in rows:
        route = row.route
        later = routes.routes[routes.routes.index(route) + 1 :]
        if route.action.falls_back and not any(other.takes_all_of(route) for other in later):
            yield (
                row.entry.place_of(StaticKeys.fallback),
                f"fallback: expected a row that takes {route.path or '/'} after this one, got none",
            )
        if route.action.table == "redirect" and _leads_to_itself(routes.routes, route):
            to = RedirectKeys.to
            yield (
                row.entry.place_of(to),
                f"to: expected another place than this row's own, which {row.entry.get(to)} is",
            )


def _leads_to_itself(routes: Sequence[Route], route: Route) -> bool:
    to = route.action.values[RedirectKeys.to.attribute]
    if not to.startswith("/"):
        return False
    goal = Route(route.host, path_of(to), route.action, is_exact=True)
    return next((each for each in routes if each.takes_all_of(goal)), None) is route


def of_unknown_host(entry: Entry, routes: Routes) -> Iterator[Mistake]:
    """Yield what `unknown_host` says that no row can do."""
    row = RoutesKeys.unknown_host
    hosts = [route.host for route in routes.routes]
    if row.attribute not in entry.found.values:
        return
    if entry.get(row) == MISDIRECTED:
        if not any(hosts):
            yield entry.place_of(row), f"{row.key}: expected a row with host, got none: all would get a 421"
    elif hosts and ANY_HOST not in hosts:
        yield (
            entry.place_of(row),
            f"{row.key}: expected a row without host, which takes unknown ones, got none",
        )


def has_query(to: str) -> bool:
    """Say whether nothing can be appended to `to`."""
    return "?" in to or "#" in to


def path_of(to: str) -> str:
    """Return the path of `to`, decoded."""
    path = to.partition("#")[0].partition("?")[0]
    return urllib.parse.unquote(path, errors="surrogateescape")
