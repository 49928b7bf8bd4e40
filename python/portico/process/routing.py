"""What a worker with routes serves: applications and other servers, and which requests are whose.

Receives settings with routes, hands on what is served (`portico.types.EngineRouting`). Imported where there
are routes.
"""

from __future__ import annotations

import os

from portico.config.routes.table import SYSTEM, Action, Routes
from portico.config.routes.tls import UpstreamTls
from portico.errors import OperatorError, quoted
from portico.process.loaded import Loaded
from portico.process.plan import ROUTER, handed_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portico.config.routes.table import Route
    from portico.config.settings import Settings
    from portico.types import (
        EngineApplication,
        EngineFolder,
        EnginePages,
        EngineRoute,
        EngineTls,
        EngineUpstream,
        Environ,
        StartResponse,
        WSGIApplication,
    )


class OtherApplication:
    """An application beside the first (`portico.types.EngineApplication`)."""

    def __init__(self, loaded: Loaded) -> None:
        self.application: WSGIApplication = loaded.application
        self.application_name = loaded.name
        self.innermost: WSGIApplication | None = loaded.innermost
        self.has_middleware = loaded.has_middleware


class WorkerRoute:
    """A row of the table (`portico.types.EngineRoute`)."""

    def __init__(self, route: Route) -> None:
        self.host = route.host
        self.path = route.path
        self.is_exact = route.is_exact
        self.application: tuple[int, str] | None = None
        self.files: tuple[int, str, bool] | None = None
        self.response: tuple[int, list[tuple[str, str]], bytes] | None = None
        self.redirect: tuple[int, str, str | None] | None = None
        self.upstream: tuple[int, str] | None = None


class WorkerUpstream:
    """Other servers (`portico.types.EngineUpstream`)."""

    def __init__(self, action: Action, key: str, hosts: Sequence[str], directory: str) -> None:
        values = action.values
        self.name = values.get("name") or action.origin
        self.key = key
        # Of a pool: by that name the supervisor finds what its requests took.
        self.counted_as = action.origin if "pool_file" in values else ""
        self.to: Sequence[str] = values["to"]
        self.variables: Sequence[tuple[str, str]] = [tuple(variable) for variable in values["variables"]]
        self.balance: str = values["balance"]
        self.keep: int = values["keep"]
        self.keep_timeout_s: float = values["keep_timeout_s"]
        self.connect_timeout_s: float = values["connect_timeout_s"]
        self.timeout_s: float = values["timeout_s"]
        self.tunnel_timeout_s: float = values["tunnel_timeout_s"]
        self.max_in_flight: int = values["max_in_flight"]
        self.retries: int = values["retries"]
        self.eject_after: int = values["eject_after"]
        self.eject_for_s: float = values["eject_for_s"]
        self.tls: EngineTls = UpstreamTls(values, directory)
        # None where the supervisor says what addresses names have.
        is_by_worker = values.get("resolver", SYSTEM) == SYSTEM
        self.resolve_s: float | None = values["resolve_s"] if is_by_worker else None
        self.health_path: str = values["health_path"]
        # One that they serve, if any is named.
        self.health_host = next((host for host in hosts if host and not host.startswith("*")), "localhost")
        self.health_interval_s: float = values["health_interval_s"]
        self.health_timeout_s: float = values["health_timeout_s"]


class WorkerRouting:
    """The table (`portico.types.EngineRouting`)."""

    def __init__(self, routes: Routes) -> None:
        self.others: Sequence[EngineApplication] = ()
        self.folders: Sequence[EngineFolder] = ()
        self.upstreams: Sequence[EngineUpstream] = ()
        self.rows = [WorkerRoute(route) for route in routes.routes]
        self.routes: Sequence[EngineRoute] = self.rows
        self.rejects_unknown_hosts = bool(routes.unknown_host)
        self.error_pages: EnginePages = ([], [], [])
        # What has changed since the configuration was read: told by whoever makes a worker.
        self.member_orders = ""


def load_routes(directory: str, settings: Settings, load_one: Callable[[str, Settings], Loaded]) -> Loaded:
    """Return the first application of the routes, with the table in its `routing`, which has the others.

    Where there is none, since the rows need none, it is one that nothing leads to.
    `load_one` returns the application that settings name. Raises OperatorError when there is no such
    application, middleware, or file of a response.
    """
    own = Action("app", {"strip": True}, "")
    routes = Routes.load(settings.routes)
    if settings.app:
        routes = routes.completed(own, settings.script_name)
    routing = WorkerRouting(routes)
    applications = routes.applications
    upstreams = [action for action in routes.actions if action.table == "upstream"]
    loaded = [load_one(directory, _settings_of(action, settings)) for action in applications]
    first, *others = loaded or [Loaded(_no_application, ROUTER)]
    routing.others = [OtherApplication(loaded) for loaded in others]
    folders = [action for action in routes.actions if action.table == "static"]
    routing.folders = [_folder(action, directory) for action in folders]
    keys = {id(action): name for name, action in routes.upstreams.items()}
    routing.upstreams = [
        WorkerUpstream(
            action,
            keys.get(id(action), ""),
            [route.host for route in routes.routes if route.action is action],
            directory,
        )
        for action in upstreams
    ]
    routing.error_pages = (_pages(applications), _pages(folders), _pages(upstreams))
    numbers = {
        id(action): number
        for actions in (applications, folders, upstreams)
        for number, action in enumerate(actions)
    }
    for row, route in zip(routing.rows, routes.routes, strict=True):
        _lead(row, route, numbers, directory)
    first.routing = routing
    first.title = ", ".join([first.name, *(loaded.name for loaded in others)])
    return first


def _pages(actions: Sequence[Action]) -> Sequence[Sequence[str]]:
    return [list(action.values.get("error_pages", ())) for action in actions]


def _no_application(_environ: Environ, start_response: StartResponse) -> Sequence[bytes]:
    """Stand where an application would: no route leads here."""
    start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"404 Not Found\n"]


def _settings_of(action: Action, settings: Settings) -> Settings:
    return handed_settings({**settings.values, **action.values}, settings.origins)


def _folder(action: Action, directory: str) -> EngineFolder:
    values = action.values
    return os.path.join(directory, values["root"]), list(values["index"]), values["cache_control"]


def _lead(row: WorkerRoute, route: Route, numbers: dict[int, int], directory: str) -> None:
    """Say what `row` leads to."""
    action, values = route.action, route.action.values
    if action.table == "app":
        row.application = (numbers[id(action)], route.path if action.strips else "")
    elif action.table == "static":
        row.files = (numbers[id(action)], route.path, action.falls_back)
    elif action.table == "redirect":
        rest = route.path if values["append"] and not route.is_exact else None
        row.redirect = (values["status"], values["to"], rest)
    elif action.table == "upstream":
        row.upstream = (numbers[id(action)], route.path if action.strips else "")
    else:
        body = _read(os.path.join(directory, values["file"])) if values["file"] else values["body"].encode()
        row.response = (values["status"], [tuple(header) for header in values["headers"]], body)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise OperatorError(f"cannot read {quoted(path)}: {error.strerror}") from None
