"""Pools: which applications of a server share processes, and by which settings each pool is served.

Receives the routes and the settings of the server as a whole, hands on what crosses to its supervisor in
plain values, or the settings of one pool. An application that asks for nothing of its own shares a pool with
all that do not either; where that is the only one, there are no pools, and nobody stands before it. Runs in
the process of the command line only.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from portico.config.clashes import clashes
from portico.config.error_pages import changed_ns
from portico.config.file import FileValues
from portico.config.routes.keys import OF_A_POOL, TABLES, AppKeys
from portico.config.routes.table import Action, Route, Routes
from portico.config.settings import Settings
from portico.errors import OperatorError, quoted, raise_mistakes

SHARED = "shared"
"""What the pool of those is called that ask for nothing of their own."""
_UPSTREAM = "upstream"
"""What the router has in the place of an `[[app]]`."""
_LEFT_TO_POOL = {"eject_after": 0, "timeout_s": 0.0, "tunnel_timeout_s": 0.0}
"""How long a response may take a pool knows itself, and there is no other to go to."""

_PLACES = {"mounts", "hosts"}
_OF_EACH = {*_PLACES, *(row.attribute for row in (AppKeys.strip, Settings.app, Settings.factory))}
_OF_EACH |= {row.attribute for row in (Settings.middleware, Settings.name, Settings.error_pages)}
"""What each of several applications may have for itself, while all share their workers."""

_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_NAME_CHARACTERS = 40
_MOST_FILE_CHARACTERS = 24
"""The path of a socket has 107 at most."""

_VENV = AppKeys.venv.attribute
_OF_ROUTER_ALONE = (
    *(Settings.bind, Settings.pid_file, Settings.access_log, Settings.health_paths, Settings.drain_delay_s),
    *(Settings.access_log_format, Settings.access_log_fields, Settings.access_log_if),
    *(Settings.access_log_skip, Settings.access_log_sample),
    *(Settings.admin_bind, Settings.admin_token_file),
    *(Settings.statsd, Settings.statsd_prefix, Settings.statsd_tags, Settings.statsd_interval_s),
    *(Settings.static_directories, Settings.script_name, Settings.app, Settings.name),
)
"""What is said of the server as a whole, and means nothing in a pool, which has the router before it."""
_OF_ALL_PROCESSES = (Settings.name, Settings.graceful_timeout_s, Settings.boot_timeout_s)
_OF_POOLS_ALONE = (
    *(row for row in OF_A_POOL if row.group.table in ("processes", "scaling", "reloads", "care")),
    *(Settings.hooks, Settings.middleware, Settings.script_name, Settings.factory),
)
"""What means nothing to the router, which calls no application."""
_OF_CLIENTS = (
    *(Settings.bind, Settings.access_log, Settings.health_paths),
    *(Settings.forwarded_allow_ips, Settings.keep_alive_s),
)
_ROOT = 0
_KEEP_ALIVE_S = 60.0
"""Of a connection of the router, which closes it long before."""
_ANY_NUMBER = 1_000_000


class Pool:
    """Applications that are served by the same processes.

    `name` is unique; `actions` are the applications, `routes` their rows. `values` and `origins` are the
    settings that it has for itself, `venv` is its virtual environment, if it has one of its own.
    """

    def __init__(self, name: str, actions: list[Action], routes: Routes) -> None:
        self.name = name
        self.actions = actions
        self.routes = routes
        first = actions[0]
        own = first.values if has_own(first) else {}
        self.values = {key: value for key, value in own.items() if key not in _OF_EACH and key != _VENV}
        self.origins = {key: first.origins[key] for key in self.values if key in first.origins}
        self.venv: str = own.get(_VENV, "")
        # The file that is its application's alone, if there is one.
        self.source = first.source[0]
        self.socket_name = _socket_name(self)


def pools_of(routes: Routes | None, folder: str) -> list[Pool]:
    """Return the pools; none where all applications share one, and no `folder` may bring others."""
    actions = [] if routes is None else routes.applications
    alone = [action for action in actions if has_own(action)]
    if routes is None or (not folder and (len(actions) < 2 or not alone)):
        return []
    groups = [[action] for action in alone]
    if shared := [action for action in actions if not has_own(action)]:
        groups.append(shared)
    rows: dict[int, list[Route]] = {}
    for route in routes.routes:
        rows.setdefault(id(route.action), []).append(route)
    tables = [Routes([row for action in group for row in rows[id(action)]]) for group in groups]
    names = _names(groups, tables)
    pools = [Pool(*each) for each in zip(names, groups, tables, strict=True)]
    for pool in pools:
        for action in pool.actions:
            action.pool = pool.name
    return pools


def has_own(action: Action) -> bool:
    """Say whether an application asks for something of its own; one of a file of its own is to end alone."""
    return bool(action.source[0]) or any(key not in _OF_EACH for key in action.values)


def _names(groups: Sequence[Sequence[Action]], tables: Sequence[Routes]) -> list[str]:
    """Return a name for each group, whose rows `tables` has: what was said, or what it is called.

    Who comes or goes leaves the others their names, else these would be other pools. So those that would be
    called the same have their places besides, which no order changes, and a file of the folder takes no name
    of `portico.toml`.
    """
    firsts = [group[0] for group in groups]
    said: list[str] = [first.values.get("name", "") if has_own(first) else "" for first in firsts]
    called = [_called(first) for first in firsts]
    own = [has_own(first) and not name for first, name in zip(firsts, said, strict=True)]
    alike = Counter(itertools.compress(called, own))
    names = [
        name or (each + _place(table.routes[0]) if alike[each] > 1 else each)
        for table, name, each in zip(tables, said, called, strict=True)
    ]
    of_file = [bool(first.source[0]) for first in firsts]
    others, taken = set(said), set[str]()
    for index in sorted(range(len(names)), key=lambda index: (of_file[index], not said[index])):
        wanted, number = names[index], 1
        while names[index] in taken or (number > 1 and of_file[index] and names[index] in others):
            number += 1
            names[index] = f"{wanted}-{number}"
        taken.add(names[index])
    return names


def _called(action: Action) -> str:
    """Return what a pool is called after its application."""
    if not has_own(action):
        return SHARED
    # Of a file its name, wherever it is.
    return _fit(action.values["app"].rpartition("/")[2].replace(".py", "")) or "pool"


def _place(route: Route) -> str:
    """Return how the name of a pool ends that has the place of `route` in it."""
    return "".join(f"-{fit}" for fit in map(_fit, (route.host, route.path)) if fit)


def _fit(text: str) -> str:
    return _NAME.sub("-", text).strip("-.")[:_MOST_NAME_CHARACTERS]


def file_name(name: str) -> str:
    """Return what files of the pool `name` are called: that, if it may be; another one for each name."""
    fit = _file_fit(name)
    return fit if fit == name else f"{fit}-{_digest(name)[:8]}"


def _socket_name(pool: Pool) -> str:
    """Return what its socket is called: another one for other rows, so that it is asked for its own alone."""
    rows = [(route.host, route.path, route.is_exact) for route in pool.routes.routes]
    return f"{_file_fit(pool.name)}-{_digest(repr((pool.name, rows)))[:8]}"


def _file_fit(name: str) -> str:
    return _NAME.sub("-", name).lstrip("-.")[:_MOST_FILE_CHARACTERS]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def take_pools(settings: Settings, file: FileValues) -> list[Pool]:
    """Return the pools of `file`, and note in `settings` what the supervisor in front of them is told.

    Their routes lead to pools then. There are none where all applications share one. Raises OperatorError for
    the rules that settings of a pool break among themselves.
    """
    pools = pools_of(file.routes, file.folder)
    if not pools and not file.folder:
        return []
    assert file.routes is not None, "a folder makes routes"
    found = file.applications
    common = _common(settings)
    all_settings = {pool.name: settings_of(pool, settings, common) for pool in pools}
    mistakes = _mistakes(pools, all_settings)
    for pool in [pool for pool in pools if mistakes[pool.name] and pool.source]:
        assert found is not None, "it has that file"
        found.left_out[pool.source] = mistakes.pop(pool.name)
        pools.remove(pool)
    raise_mistakes(list(dict.fromkeys(itertools.chain(*mistakes.values()))), file.path)
    settings.pools = {
        # Where their sockets are, which the supervisor says.
        "directory": "",
        "folder": file.folder,
        "changed_ns": found.changed_ns if found else {},
        "left_out": found.left_out if found else {},
        "workers": file.router_workers,
        "starts_at_once": file.starts_at_once,
        "max_request_body": _largest_body([all_settings[pool.name] for pool in pools]),
        "pools": _records(pools, all_settings, settings, common),
    }
    settings.routes = _led_to(pools, file.routes).dump()
    settings.values[Settings.app.attribute] = ""
    return pools


def _mistakes(pools: Sequence[Pool], all_settings: Mapping[str, Settings]) -> dict[str, list[str]]:
    """Return the rules that the settings of each pool break among themselves; those of many are alike."""
    found: dict[str, list[str]] = {}
    fine: set[str] = set()
    for pool in pools:
        settings = all_settings[pool.name]
        said = repr(sorted(pool.values.items()))
        found[pool.name] = [] if said in fine else clashes(settings, settings.chdir)
        if not found[pool.name]:
            fine.add(said)
    return found


def one_pool(name: str, settings: Settings, file: FileValues | None) -> Settings:
    """Return the settings of the pool `name` of `file`, without a look at those of the others."""
    pools = [] if file is None else pools_of(file.routes, file.folder)
    found = pool_settings(name, pools, settings)
    raise_mistakes(clashes(found, found.chdir), "" if file is None else file.path)
    return found


def _largest_body(pools: Sequence[Settings]) -> int:
    """Return the largest request body of any pool, 0 for no limit."""
    limits = [settings.max_request_body_bytes for settings in pools]
    return 0 if 0 in limits else max(limits, default=Settings.max_request_body_bytes.default)


def _led_to(pools: Sequence[Pool], routes: Routes) -> Routes:
    """Return `routes` as the router has them: with pools in the place of their applications."""
    usual = {row.attribute: row.default for row in TABLES[_UPSTREAM] if row.attribute not in _PLACES}
    # Several for the pool of those that share one, if they have pages of their own.
    actions: dict[tuple[str, tuple[str, ...]], Action] = {}
    for pool in pools:
        for pages in map(pages_of, pool.actions):
            own = {"pool_file": pool.socket_name, Settings.error_pages.attribute: pages}
            action = Action(_UPSTREAM, {**usual, **_LEFT_TO_POOL, **own}, f"pool {pool.name}")
            actions.setdefault((pool.name, pages), action)

    def led_to(action: Action) -> Action | None:
        return actions.get((action.pool, pages_of(action))) if action.table == "app" else action

    led = [(route, led_to(route.action)) for route in routes.routes]
    return Routes(
        [
            Route(
                route.host,
                route.path,
                action,
                is_exact=route.is_exact,
                host_origin=route.host_origin,
                path_origin=route.path_origin,
            )
            for route, action in led
            if action is not None
        ],
        unknown_host=routes.unknown_host,
        unknown_host_origin=routes.unknown_host_origin,
    )


def pages_of(action: Action) -> tuple[str, ...]:
    """Return the error pages that are an action's own."""
    return tuple(action.values.get(Settings.error_pages.attribute, ()))


def _records(
    pools: Sequence[Pool], all_settings: Mapping[str, Settings], base: Settings, common: Mapping[str, Any]
) -> list[dict[str, Any]]:
    # Error pages are read again where one of them has changed.
    pages_ns = changed_ns(base.error_pages, base.chdir)
    whole = _digest(repr((sorted(common.items()), base.virtual_environment, pages_ns, has_metrics(base))))
    return [_record(pool, all_settings[pool.name], base, whole) for pool in pools]


def _record(pool: Pool, settings: Settings, base: Settings, digest: str) -> dict[str, Any]:
    """Return what the supervisor is told of a pool; `digest` is of what all have."""
    rows = [
        (route.host, route.path, route.is_exact, sorted(route.action.values.items(), key=str))
        for route in pool.routes.routes
    ]
    sources = [action.source for action in pool.actions]
    pages_ns = [changed_ns(pages_of(action), settings.chdir) for action in pool.actions]
    own = (pool.name, sorted(pool.values.items()), rows, pool.venv, sources, pages_ns)
    return {
        "name": pool.name,
        "file": pool.socket_name,
        "source": pool.source,
        "apps": [action.values["app"] for action in pool.actions],
        # Of two that are alike the processes are, too.
        "digest": _digest(digest + repr(own)),
        "venv": settings.virtual_environment,
        "is_own_user": is_own_user(pool, settings),
        # Nobody serves it before somebody asks, and after a while without.
        "sleeps": settings.workers_min == 0,
        "control": "off" if base.control == "off" else "auto",
        "graceful_timeout_s": settings.graceful_timeout_s,
    }


def has_metrics(base: Settings) -> bool:
    """Say whether the server as a whole shows metrics at an address, or sends them."""
    return any(each != "off" for each in (base.admin_bind, base.statsd, base.otlp))


def is_own_user(pool: Pool, settings: Settings) -> bool:
    """Say whether all processes of `pool` are its user's, the supervisor, too.

    That one is root's elsewhere, as that of a server without pools. But a virtual environment, and a file of
    the folder of applications, may be written by that user: root runs and follows neither.
    """
    is_of_user = settings.virtual_environment or pool.source
    return bool(os.geteuid() == _ROOT and is_of_user and settings.user not in ("", "root", "0"))


def _common(base: Settings) -> dict[str, Any]:
    """Return the values of `base`, those of the server as a whole, as pools have them."""
    values = base.values | {row.attribute: row.default for row in _OF_ROUTER_ALONE}
    # The router has done what there is to do with a client's connection, and says what it knows of it.
    peers = [each for each in base.forwarded_allow_ips if each not in ("none", "unix")]
    return values | {"access_log": "off", "forwarded_allow_ips": ("unix", *peers)}


def settings_of(pool: Pool, base: Settings, common: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of `pool`; `base` are those of the server as a whole, `common` of all pools."""
    settings = Settings({**(common or _common(base)), **pool.values}, dict(base.origins))
    settings.values[Settings.keep_alive_s.attribute] = _KEEP_ALIVE_S
    first = pool.actions[0]
    settings.origins |= pool.origins
    settings.values |= {"name": pool.name, "app": first.values["app"]}
    settings.origins |= {each: first.origins.get(each, first.origin) for each in ("app", "name")}
    settings.routes = pool.routes.dump()
    settings.virtual_environment = pool.venv or base.virtual_environment
    if is_own_user(pool, settings):
        # Which it has open already, and may not be able to open.
        settings.values["error_log"] = "-"
    return settings


def pool_settings(name: str, pools: Sequence[Pool], base: Settings) -> Settings:
    """Return the settings of the pool `name`, and in their `pool` what is its own, and what it is by hand.

    Raises OperatorError if there is no such pool.
    """
    pool = next((pool for pool in pools if pool.name == name), None)
    if pool is None:
        names = ", ".join(pool.name for pool in pools)
        there = f"one of {names}" if names else "none, since there are no pools"
        raise OperatorError(f"--pool on the command line: expected {there}, got {quoted(name)}")
    settings = settings_of(pool, base)
    settings.pool = {
        "is_own_user": is_own_user(pool, settings),
        "file": file_name(name),
        # Somebody may ask what it counts, at the address of the server.
        "has_metrics": has_metrics(base),
        # Where nobody stands before it, it is to clients what the server would be.
        "by_hand": {row.attribute: base.values[row.attribute] for row in _OF_CLIENTS},
    }
    return settings


def router_settings(settings: Settings) -> Settings:
    """Return the settings of the processes in front of the pools that `settings` have."""
    assert settings.pools is not None, "asked where there are pools"
    router = Settings(dict(settings.values), dict(settings.origins))
    for row in _OF_POOLS_ALONE:
        if row not in _OF_ALL_PROCESSES:
            router.values[row.attribute] = row.default
    router.values |= {
        Settings.workers.attribute: settings.pools["workers"],
        Settings.threads.attribute: 1,
        # Each pool has its own limits, of which the router keeps nobody.
        Settings.max_in_flight.attribute: _ANY_NUMBER,
        Settings.max_request_body_bytes.attribute: settings.pools["max_request_body"],
    }
    router.pools, router.routes = settings.pools, settings.routes
    return router
