"""`portico run`: serve an application."""

from __future__ import annotations

from typing import Any

from portico.command_line.settings_command import SettingsCommand


def _run(**values: Any) -> None:
    from portico.command_line.start import start

    start(values)


COMMAND = SettingsCommand(
    "run",
    is_brief=True,
    callback=_run,
    help="Serve APP, such as shop.wsgi:application or shop:create_app().",
    short_help="Serve an application.",
)
