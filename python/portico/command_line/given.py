"""From what was given on the command line, in the environment and in a file to `Settings`."""

from __future__ import annotations

import os

from portico.command_line.parameters import FILE, POOL, POOL_WAYS, WRITTEN
from portico.config.check import left_out, unknown_variables
from portico.config.find_file import find_file
from portico.config.settings import Settings
from portico.config.sources import GUNICORN_VARIABLE, raw_arguments, resolve, what_was_found
from portico.config.working_directory import working_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def read_settings(values: dict[str, Any]) -> Settings:
    """Return the settings that the command line, in `values`, the environment and the file ask for.

    If none of them names an application, it is the one that the working directory has, unless all requests go
    to other servers.
    """
    file = find_file(values.pop(FILE, None), os.environ)
    pool, ways = values.pop(POOL, None), values.pop(POOL_WAYS, None)
    written = values.pop(WRITTEN, None)
    settings = resolve(
        raw_arguments(values),
        os.environ,
        file,
        written=written,
        inherited=_gunicorn_arguments(),
        pool=pool or "",
    )
    if settings.pool is not None:
        # Here, because most servers have none.
        from portico.process.pools.entry import enter_pool

        enter_pool(settings, ways)
    elif settings.virtual_environment:
        from portico.process.virtual_environment import enter_virtual_environment

        enter_virtual_environment(settings)
    if settings.app or settings.pools is not None:
        return settings
    # Here, because most name one.
    from portico.config.finding import find_application
    from portico.config.routes.table import needs_no_application

    if needs_no_application(settings.routes):
        return settings
    return find_application(settings, working_directory(settings), os.environ)


def remarks(settings: Settings) -> list[str]:
    """Return what the operator should hear of before anything is done."""
    return [*unknown_variables(os.environ), *what_was_found(settings), *left_out(settings)]


def _gunicorn_arguments() -> dict[str, Sequence[str]]:
    text = os.environ.get(GUNICORN_VARIABLE, "").strip()
    if not text:
        return {}
    # Here, because few have any.
    from portico.command_line.gunicorn_variable import gunicorn_arguments

    return gunicorn_arguments(text)
