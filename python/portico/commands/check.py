"""`portico check`: try what `portico run` would do, and serve nothing."""

from __future__ import annotations

from typing import Any

import click

from portico import log
from portico.command_line.given import read_settings, remarks
from portico.command_line.settings_command import SettingsCommand


def _check(**values: Any) -> None:
    settings = read_settings(values)
    from portico.config.check import left_out, warnings

    # What is not served because of a mistake is none here, but a mistake.
    wrong = left_out(settings)
    for sentence in remarks(settings):
        if sentence not in wrong:
            log.say(sentence)
    from portico.process.trial import try_out

    if settings.pools is not None:
        # Here, because most servers have none.
        from portico.process.pools.trial import try_pools

        sentences = try_pools(settings)
    else:
        sentences = try_out(settings)
    for sentence in sentences:
        click.echo(sentence)
    for warning in warnings(settings):
        log.say(warning)


COMMAND = SettingsCommand(
    "check",
    callback=_check,
    help="Try what `portico run` would do with the same options, and serve nothing: all settings are "
    "validated, the application is imported in a process of its own, and the addresses are bound and let "
    "go. The exit code is 0 if it would serve, 2 for a setting or an address, 3 for the application.",
    short_help="Try it, serve nothing.",
)
