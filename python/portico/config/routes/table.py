"""The table of routes as a value: which row takes a request, by its host and its path.

Receives actions (what takes requests) and routes (where), sorts these, the most specific first, and finds.
This is what routing means; another implementation is held to the same corpus (tests/corpus/routes). Nothing
here reads a file: a supervised process may have this module, by way of `dump` and `load`.

    a host       shop.example.com exactly, then *.example.com (the longest first), then any
    then a path  one that is exactly it, then the longest prefix, of whole segments

A path is decoded once and otherwise as it was sent, and an encoded slash separates nothing; a prefix has no
slash at its end, so that all of a host is the empty text.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

NOT_FOUND = 404
MISDIRECTED = 421
"""RFC 9110 15.5.20: the server does not respond for such a host."""
ANY_HOST = ""
ENCODED_SLASH = "\udc2f"
"""What stands for `%2F` in a path that is compared: no other byte becomes that (PEP 383)."""
_BELOW = ("static", "redirect")
"""Those for which only what is below the prefix counts, whatever it is."""
SYSTEM = "system"
"""The resolver that is getaddrinfo(3), in each worker."""
FALLS_BACK = "app"
"""The word for a folder whose missing files are left to the next row."""


class Action:
    """What takes requests: a table of the file, `[[app]]` or another, with what it says by attribute.

    `origin` is where it stands, `origins` is where its values do, as far as they were given; these are not
    in its plain values. `source` says of a file of its own which, and when that was changed. `pool` is the
    name of the pool that serves it, empty if there are none.
    """

    __slots__ = ("origin", "origins", "pool", "source", "table", "values")

    def __init__(
        self,
        table: str,
        values: Mapping[str, Any],
        origin: str,
        *,
        origins: Mapping[str, str] | None = None,
        source: tuple[str, int] = ("", 0),
    ) -> None:
        self.table = table
        self.values = dict(values)
        self.origin = origin
        self.origins = dict(origins or {})
        self.source = source
        self.pool = ""

    @property
    def falls_back(self) -> bool:
        """Whether it may leave a request to the next row."""
        return self.values.get("fallback") == FALLS_BACK

    @property
    def strips(self) -> bool:
        """Whether the prefix is taken from the path; it becomes the SCRIPT_NAME of an application."""
        return bool(self.values.get("strip", self.table in _BELOW))


class Route:
    """A row: `host` and `path` of the requests that `action` takes.

    `host` is a name, `*.` and a name, or empty for any. `path` is a prefix, or with `is_exact` all of it.
    `host_origin` and `path_origin` are where they stand, empty if nothing was said.
    """

    __slots__ = ("action", "host", "host_origin", "is_exact", "path", "path_origin")

    def __init__(
        self,
        host: str,
        path: str,
        action: Action,
        *,
        is_exact: bool = False,
        host_origin: str = "",
        path_origin: str = "",
    ) -> None:
        self.host = host
        self.path = path
        self.action = action
        self.is_exact = is_exact
        self.host_origin = host_origin
        self.path_origin = path_origin

    @property
    def is_wildcard(self) -> bool:
        """Whether all names below a domain are meant."""
        return self.host.startswith("*.")

    def takes_host(self, host: str) -> bool:
        """Say whether `host`, as `request_host` returns it, is among those of this row."""
        if self.is_wildcard:
            # Names of any depth, but not the domain itself.
            return host.endswith(self.host[1:]) and len(host) >= len(self.host)
        return self.host in (ANY_HOST, host)

    def takes_path(self, path: str) -> bool:
        """Say whether `path`, decoded, is among those of this row."""
        if self.is_exact:
            return path == self.path
        # The empty prefix takes `*`, too, the target of OPTIONS.
        return not self.path or path == self.path or path.startswith(f"{self.path}/")

    def takes_all_of(self, other: Route) -> bool:
        """Say whether it takes the host of `other` and the path that this begins with."""
        is_below = self.is_wildcard and other.host.removeprefix("*").endswith(self.host[1:])
        return (self.host in (ANY_HOST, other.host) or is_below) and self.takes_path(other.path)


class Found:
    """What becomes of a request: `route` takes it, or there is none and it gets `status`.

    `host` and `path` are as they were compared. `script_name` and `path_info` are what they are called for an
    application; for other actions, the latter is what of the path is theirs.
    """

    __slots__ = ("host", "path", "path_info", "route", "script_name", "status")

    def __init__(self, host: str, path: str, *, route: Route | None = None, status: int = 0) -> None:
        self.host = host
        self.path = path
        self.route = route
        self.status = status
        prefix = route.path if route is not None and route.action.strips else ""
        self.script_name = prefix
        self.path_info = path[len(prefix) :].replace(ENCODED_SLASH, "/")


class Routes:
    """All routes, sorted: the first that fits is the most specific one.

    `unknown_host` is the status for hosts that no row names, or 0 to leave them to rows for any host;
    `unknown_host_origin` is where that stands, empty if nothing was said.
    """

    __slots__ = ("_has_hosts", "actions", "routes", "unknown_host", "unknown_host_origin")

    def __init__(
        self, routes: Sequence[Route], *, unknown_host: int = 0, unknown_host_origin: str = ""
    ) -> None:
        self.routes = _sorted(routes)
        self.actions = list({id(route.action): route.action for route in self.routes}.values())
        self.unknown_host = unknown_host
        self.unknown_host_origin = unknown_host_origin
        self._has_hosts = any(route.host != ANY_HOST for route in routes)

    def find(self, host: str, path: str, *, after: Route | None = None) -> Found:
        """Return which row takes a request.

        `host` is the value of its Host header, or the authority of its target; empty if there is none. `path`
        is decoded, bytes that are no UTF-8 as surrogates (PEP 383); `*` is that of `OPTIONS *`. `after` is a
        row that has left it to the next.
        """
        host = request_host(host)
        if self.unknown_host and not self.knows(host):
            return Found(host, path, status=self.unknown_host)
        rows = self.routes if after is None else self.routes[self.routes.index(after) + 1 :]
        for route in rows:
            if route.takes_host(host) and route.takes_path(path):
                return Found(host, path, route=route)
        return Found(host, path, status=NOT_FOUND)

    @property
    def applications(self) -> list[Action]:
        """The actions that are applications, in the order of their first rows."""
        return [action for action in self.actions if action.table == "app"]

    @property
    def upstreams(self) -> dict[str, Action]:
        """Other servers that the file names, by what they are called there.

        That is their name, or else host and path of their first row in alphabetical order.
        """
        places: dict[int, str] = {}
        for route in self.routes:
            place = f"{route.host}{route.path or '/'}"
            places[id(route.action)] = min(place, places.get(id(route.action), place))
        return {
            action.values.get("name") or places[id(action)]: action
            for action in self.actions
            if action.table == "upstream" and "pool_file" not in action.values
        }

    def completed(self, application: Action, mount: str) -> Routes:
        """Return these, and if there is no application among them, `application` for all that they leave."""
        if self.applications:
            return self
        return Routes(
            [*self.routes, Route(ANY_HOST, mount, application)],
            unknown_host=self.unknown_host,
            unknown_host_origin=self.unknown_host_origin,
        )

    def knows(self, host: str) -> bool:
        """Say whether a row names `host`, as `request_host` returns it."""
        return any(route.host != ANY_HOST and route.takes_host(host) for route in self.routes)

    def dump(self) -> list[Any]:
        """Return all of it in plain values, for `load` and for the engine; see there for their order."""
        numbers = {id(action): number for number, action in enumerate(self.actions)}
        return [
            self.unknown_host,
            self.unknown_host_origin,
            [[action.table, list(action.values.items()), action.origin] for action in self.actions],
            [
                [
                    route.host,
                    route.path,
                    int(route.is_exact),
                    numbers[id(route.action)],
                    route.host_origin,
                    route.path_origin,
                ]
                for route in self.routes
            ],
        ]

    @staticmethod
    def load(record: Sequence[Any]) -> Routes:
        """Return the routes that `dump` has written.

        A record is the status for unknown hosts and where that stands; the actions, each its table, its
        values by attribute, and where it stands; the rows in their order, each its host, its path, 1 if that
        is exact, the number of its action, and where host and path stand.
        """
        unknown_host, unknown_host_origin, actions, rows = record
        made = [Action(table, dict(values), origin) for table, values, origin in actions]
        return Routes(
            [
                Route(
                    host,
                    path,
                    made[number],
                    is_exact=bool(is_exact),
                    host_origin=host_origin,
                    path_origin=path_origin,
                )
                for host, path, is_exact, number, host_origin, path_origin in rows
            ],
            unknown_host=unknown_host,
            unknown_host_origin=unknown_host_origin,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Routes) and self.dump() == other.dump()

    __hash__ = None  # type: ignore[assignment]


def needs_no_application(record: Sequence[Any]) -> bool:
    """Say whether what `Routes.dump` has written leaves nothing to an application, and has none.

    Other servers are enough for that, as a router has them; or files, redirects and fixed responses that take
    whatever is asked for.
    """
    if not record:
        return False
    unknown_host, _, actions, rows = record
    tables = {table for table, _, _ in actions}
    if tables & {"app", "upstream"}:
        return "app" not in tables
    hosts = {host for host, *_ in rows}
    # A row that leaves files that are not there to the next takes not all.
    last = [dict(values).get("fallback") != "app" for _, values, _ in actions]
    whole = {host for host, path, is_exact, action, *_ in rows if not path and not is_exact and last[action]}
    return ANY_HOST in whole or (unknown_host == MISDIRECTED and hosts - {ANY_HOST} <= whole)


def asks_dns(record: Sequence[Any]) -> bool:
    """Say whether what `Routes.dump` has written has names that the DNS is asked for."""
    actions = [dict(values) for table, values, _ in record[2] if table == "upstream"] if record else []
    return any(values.get("resolver", SYSTEM) != SYSTEM for values in actions)


def request_host(text: str) -> str:
    """Return the host in a Host header as it is compared: in lower case, without its port."""
    host = text
    if not text.startswith("["):
        host = text.partition(":")[0]
    elif "]" in text:
        host = text[: text.index("]") + 1]
    return host.removesuffix(".").lower()


def _sorted(routes: Sequence[Route]) -> list[Route]:
    """Return `routes`, the most specific first; rows of one host stand together, else in their order."""
    first: dict[str, int] = {}
    for index, route in enumerate(routes):
        first.setdefault(route.host, index)

    def key(route: Route) -> tuple[int, int, int, int, bool, bool]:
        rank = 2 if route.host == ANY_HOST else int(route.is_wildcard)
        return (
            rank,
            -len(route.host) if route.is_wildcard else 0,
            first[route.host],
            -len(route.path),
            not route.is_exact,
            not route.action.falls_back,
        )

    return sorted(routes, key=key)
