"""`portico dev`: serve an application to who develops it."""

from __future__ import annotations

import time
from typing import Any

import click

from portico import log
from portico.command_line.given import read_settings, remarks
from portico.command_line.settings_command import SettingsCommand
from portico.errors import OperatorError

_STARTED_AT_S = time.monotonic()


def _dev(watch: tuple[str, ...], reload: bool, open: bool, show_locals: bool, **values: Any) -> None:
    settings = read_settings(values)
    if settings.pools is not None:
        names = ", ".join(record["name"] for record in settings.pools["pools"])
        raise OperatorError(f"portico dev serves one pool: --pool says which of {names or 'none'}")
    for sentence in remarks(settings):
        log.say(sentence)
    from portico.dev.launch import develop
    from portico.dev.options import Options

    options = Options(globs=watch, reloads=reload, opens_browser=open, shows_locals=show_locals)
    develop(settings, options, started_at_s=_STARTED_AT_S)


COMMAND = SettingsCommand(
    "dev",
    callback=_dev,
    own_title="Development",
    options=[
        click.Option(
            ["--watch"],
            metavar="GLOB",
            multiple=True,
            help="Reload when such a file changes, too. May be repeated.",
        ),
        click.Option(
            ["--reload/--no-reload"], default=True, help="Reload when a file changes.  [default: reload]"
        ),
        click.Option(["--open"], is_flag=True, help="Open the browser."),
        click.Option(["--show-locals"], is_flag=True, help="Show variables on the pages of errors."),
    ],
    help="Serve the application APP to who develops it: with one worker, which is replaced when a file "
    "that it has imported, a template or a file of --watch changes. An error is shown on the terminal "
    "and in the browser.",
    short_help="Develop with reloads.",
)
