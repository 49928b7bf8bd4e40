"""Loading the application where it will run: enter its folder, put that on the import path, import, wrap.

Used by workers, and by `portico check` in a process that only tries. An exception of the application's own
passes through.
"""

from __future__ import annotations

import os

from portico.app_loader import load_application
from portico.app_loader.modules import extend_path
from portico.config.values import THREADS
from portico.errors import OperatorError, quoted
from portico.process.loaded import Loaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from portico.config.settings import Settings
    from portico.types import EventLoop


EXIT_LOADED = 64
"""How a process ends that was to load the application and no more: 0 is what an import may end it with."""


def load_in(directory: str, settings: Settings) -> Loaded:
    """Return the application of `settings` in its middleware; `directory` is entered.

    Raises OperatorError when there is no such folder or application, or when a middleware is none.
    """
    enter(directory, settings.pythonpath)
    return load(directory, settings)


def enter(directory: str, pythonpath: Sequence[str]) -> None:
    """Make `directory` the working directory, and import from there first, then from `pythonpath`.

    Raises OperatorError when there is no such folder.
    """
    try:
        # By its path at every start: a reload follows a link that was switched to the next release.
        os.chdir(directory)
    except OSError as error:
        raise OperatorError(
            f"cannot enter the working directory {quoted(directory)}: {error.strerror}"
        ) from None
    extend_path([directory, *(os.path.join(directory, path) for path in pythonpath)])


def prepare_event_loop(directory: str, settings: Settings) -> EventLoop | None:
    """Return what the calls are on, if not threads, ready for the application to be imported.

    Before anything of the user's is, whose names would be those of before. Raises OperatorError where it
    cannot be.
    """
    if settings.worker == THREADS:
        return None
    # Here, because few have one, and each worker would have it.
    from portico.event_loops import event_loop_of

    enter(directory, settings.pythonpath)
    event_loop = event_loop_of(settings)
    event_loop.prepare()
    return event_loop


def load(directory: str, settings: Settings) -> Loaded:
    """As `load_in`, where `directory` has been entered."""
    if settings.pools is not None:
        from portico.process.pools.router import load_router

        return load_router(directory, settings)
    if not settings.routes:
        return load_one(directory, settings)
    # Here, because few servers have any, and each worker would have it.
    from portico.process.routing import load_routes

    return load_routes(directory, settings, load_one)


def load_one(directory: str, settings: Settings) -> Loaded:
    """Return the application that the settings name themselves, whatever the routes are."""
    adapt: Callable[[Any], Any] | None = None
    if settings.worker == "tornado":
        # Here, because few have it.
        from portico.event_loops.tornado import as_wsgi_application

        adapt = as_wsgi_application
    application, full_name = load_application(
        settings.app, directory=directory, factory=settings.factory, adapt=adapt
    )
    loaded = Loaded(application, full_name)
    if settings.middleware:
        from portico.process.wrapping import wrapped

        loaded.application = wrapped(application, settings.middleware)
        loaded.has_middleware = True
    return loaded
