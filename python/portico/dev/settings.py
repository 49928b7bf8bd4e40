"""The settings of a server, as one develops with them. Used before the exec, by whoever starts it."""

from __future__ import annotations

from typing import Any

from portico.config.routes.table import SYSTEM, Routes
from portico.config.setting import Setting
from portico.config.settings import Settings
from portico.config.settings.privileges import PrivilegeSettings
from portico.config.sources import DEFAULT_ORIGIN

_ORIGIN = "the default of portico dev"


def for_development(settings: Settings) -> Settings:
    """Return `settings` as one develops with them.

    One worker, always. Nothing is ended because it takes long, since it may be at a breakpoint, and no
    connection is kept, since the next request may be for newer code: both unless the command line says so,
    because what a file says is meant for production, too. One thread, unless more are asked for anywhere. The
    worker is who has started it, and may do what that may: it is a person's. It looks up names itself.
    """
    values, origins = dict(settings.values), dict(settings.origins)
    unless_on_the_command_line = {
        Settings.timeout_s.attribute: 0.0,
        Settings.queue_timeout_s.attribute: 0.0,
        Settings.graceful_timeout_s.attribute: 2.0,
        Settings.keep_alive_s.attribute: 0.0,
        Settings.access_log.attribute: "-",
    }
    changes: dict[str, Any] = {
        Settings.workers.attribute: 1,
        Settings.workers_min.attribute: None,
        Settings.workers_max.attribute: None,
        Settings.hooks.attribute: "",
        Settings.admin_bind.attribute: "off",
        Settings.statsd.attribute: "off",
        Settings.otlp.attribute: "off",
    }
    changes |= {
        row.attribute: row.default for row in vars(PrivilegeSettings).values() if isinstance(row, Setting)
    }
    for attribute, value in unless_on_the_command_line.items():
        if not origins[attribute].endswith(" on the command line"):
            changes[attribute] = value
    if origins[Settings.threads.attribute] == DEFAULT_ORIGIN:
        changes[Settings.threads.attribute] = 1
    values.update(changes)
    origins.update(dict.fromkeys(changes, _ORIGIN))
    return Settings(values, origins, _by_system(settings.routes))


def _by_system(record: list[Any]) -> list[Any]:
    """Return routes whose names the system is asked for: there is no supervisor that would ask the DNS."""
    if not record:
        return record
    routes = Routes.load(record)
    for action in routes.actions:
        if "resolver" in action.values:
            action.values["resolver"] = SYSTEM
    return routes.dump()
