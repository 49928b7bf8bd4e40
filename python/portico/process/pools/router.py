"""What the processes in front of pools serve: routes, of which those for applications lead to pools' sockets.

Runs in a worker of the supervisor that keeps the pools. To the engine a pool is another server; no
application is imported here.
"""

from __future__ import annotations

import os

from portico.config.routes.table import Routes
from portico.process.plan import handed_settings
from portico.process.routing import load_routes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from portico.config.settings import Settings
    from portico.process.loaded import Loaded


def load_router(directory: str, settings: Settings) -> Loaded:
    """Return what is served by the routes of `settings`; raises OperatorError where a file cannot be read."""
    assert settings.pools is not None, "called where there are pools"
    routes = Routes.load(settings.routes)
    for action in routes.actions:
        if file := action.values.get("pool_file"):
            action.values["to"] = [f"unix:{os.path.join(settings.pools['directory'], file)}.sock"]
    router = handed_settings({**settings.values, "app": ""}, settings.origins, routes.dump())
    loaded = load_routes(directory, router, _load_none)
    names = ", ".join(pool["name"] for pool in settings.pools["pools"])
    loaded.title = f"the pools {names}" if names else "nothing yet"
    return loaded


def _load_none(directory: str, settings: Settings) -> NoReturn:
    """Applications are in pools: none is to be loaded here."""
    raise NotImplementedError
