"""`portico run`: serve an application."""

from __future__ import annotations

import time
from typing import Any

from portico import log
from portico.command_line.given import read_settings, remarks
from portico.command_line.settings_command import SettingsCommand
from portico.config.check import check

_STARTED_AT_S = time.monotonic()


def _run(**values: Any) -> None:
    settings = read_settings(values)
    for sentence in remarks(settings):
        log.say(sentence)
    check(settings)
    from portico.process.launch import launch

    launch(settings, started_at_s=_STARTED_AT_S)


COMMAND = SettingsCommand(
    "run",
    is_brief=True,
    callback=_run,
    help="Serve APP, such as shop.wsgi:application or shop:create_app().",
    short_help="Serve an application.",
)
