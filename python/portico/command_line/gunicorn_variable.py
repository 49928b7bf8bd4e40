"""The options of gunicorn in the environment, GUNICORN_CMD_ARGS, read as a command line is."""

from __future__ import annotations

from collections.abc import Sequence

import click

from portico import log
from portico.command_line.options import flags_of
from portico.command_line.parameters import FILE
from portico.command_line.settings_command import SettingsCommand
from portico.config.file_names import VARIABLE
from portico.config.old_words.reading import understand_variable
from portico.config.settings import TABLE
from portico.config.sources import GUNICORN_VARIABLE, raw_arguments
from portico.errors import OperatorError


def gunicorn_arguments(text: str) -> dict[str, Sequence[str]]:
    """Return the texts in `text`, the variable's, by setting name, having said that there are some."""
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
