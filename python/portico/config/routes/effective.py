"""The routes that are in effect: those of the file, or the one of the application that is served without.

Receives the name of a file, if one was given, and the environment. Runs in the process of the command line
only.
"""

from __future__ import annotations

from collections.abc import Mapping

from portico import log
from portico.config.check import check_app, left_out
from portico.config.find_file import find_file
from portico.config.finding import find_application
from portico.config.routes.table import Action, Route, Routes, needs_no_application
from portico.config.settings import Settings
from portico.config.sources import DEFAULT_ORIGIN, resolve
from portico.config.working_directory import working_directory


def effective_routes(chosen: str | None, environment: Mapping[str, str]) -> Routes:
    """Return the table; raises OperatorError with all mistakes of the file, or if there is no application."""
    file = find_file(chosen, environment)
    settings = resolve({}, environment, file)
    if settings.pools is not None:
        assert file is not None, "it has the pools"
        assert file.routes is not None, "a folder makes routes"
        for sentence in left_out(settings):
            log.say(sentence)
        return file.routes
    routes = Routes.load(settings.routes) if settings.routes else None
    if routes is not None and routes.applications:
        return routes
    if not settings.app and not needs_no_application(settings.routes):
        settings = find_application(settings, working_directory(settings), environment)
    if not settings.app and routes is not None:
        return routes  # there is none for what the rows leave, and `portico run` says so
    check_app(settings)
    mount = settings.origins[Settings.script_name.attribute]
    values = {"app": settings.app, "name": settings.name, "strip": True}
    action = Action("app", values, settings.origins[Settings.app.attribute])
    if routes is not None:
        return routes.completed(action, settings.script_name)
    path_origin = "" if mount == DEFAULT_ORIGIN else mount
    return Routes([Route("", settings.script_name, action, path_origin=path_origin)])
