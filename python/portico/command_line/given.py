"""From what was given on the command line, in the environment and in a file to `Settings`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from portico import log
from portico.command_line.options import FILE, POOL, POOL_WAYS, flags_of
from portico.command_line.settings_command import WRITTEN, SettingsCommand
from portico.config.check import left_out, unknown_variables
from portico.config.file import VARIABLE, find_file
from portico.config.finding import find_application, what_was_found
from portico.config.kinds import Flag
from portico.config.old_words.reading import understand_variable
from portico.config.routes.table import needs_no_application
from portico.config.settings import TABLE, Settings
from portico.config.sources import GUNICORN_VARIABLE, resolve
from portico.config.working_directory import working_directory
from portico.errors import OperatorError


def read_settings(values: dict[str, Any]) -> Settings:
    """Return the settings that the command line, in `values`, the environment and the file ask for.

    If none of them names an application, it is the one that the working directory has, unless all requests go
    to other servers.
    """
    ctx = click.get_current_context()
    file = find_file(values.pop(FILE), os.environ)
    pool, ways = values.pop(POOL, None), values.pop(POOL_WAYS, None)
    settings = resolve(
        raw_arguments(values),
        os.environ,
        file,
        written=ctx.meta.get(WRITTEN),
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
    if settings.app or settings.pools is not None or needs_no_application(settings.routes):
        return settings
    return find_application(settings, working_directory(settings), os.environ)


def remarks(settings: Settings) -> list[str]:
    """Return what the operator should hear of before anything is done."""
    return [*unknown_variables(os.environ), *what_was_found(settings), *left_out(settings)]


def raw_arguments(values: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Return the texts of what was given, by setting name."""
    texts: dict[str, Sequence[str]] = {}
    for name, value in values.items():
        if isinstance(value, bool):
            texts[name] = (Flag().show(value),)
        elif value is not None:
            texts[name] = (value,) if isinstance(value, str) else tuple(value)
    return texts


def _gunicorn_arguments() -> dict[str, Sequence[str]]:
    """Return the texts in GUNICORN_CMD_ARGS, by setting name, having said that there are some."""
    text = os.environ.get(GUNICORN_VARIABLE, "").strip()
    if not text:
        return {}
    # What prints help and ends is for a command line: it is no option here.
    command = SettingsCommand("run", add_help_option=False)
    try:
        understood = understand_variable(text, flags_of(command, click.Context(command)))
        values = command.make_context("run", understood.words).params
        if values.pop(FILE):
            raise OperatorError(f"-c is not read from here; {VARIABLE} names a configuration file")
    except (click.UsageError, OperatorError) as error:
        sentence = error.message if isinstance(error, OperatorError) else error.format_message()
        place = f"{GUNICORN_VARIABLE} in the environment: "
        raise OperatorError("\n".join(place + line for line in sentence.splitlines())) from None
    # gunicorn takes its application from the command line only.
    given = raw_arguments({row.name: values[row.name] for row in TABLE if not row.positional})
    texts = {name: found for name, found in given.items() if found}
    own = " ".join(row.environment[0] for row in TABLE if row.name in texts)
    log.say(
        f"{GUNICORN_VARIABLE} in the environment is understood; {own} would say the same"
        if own
        else f"{GUNICORN_VARIABLE} in the environment says nothing that is needed here"
    )
    return texts
