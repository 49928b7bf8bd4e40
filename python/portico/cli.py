"""The command line: argv to settings to the supervisor, nothing else. All commands, and what starts them.

Each command is a file of commands/. Those that take settings have them as options, which are generated from
the table; their texts are read by config/sources.py, together with the environment's and the file's, so that
a bad value is reported alike wherever it came from. Options of other servers are put into our words first
(config/old_words). `COMMANDS` is the list of all commands.
"""

from __future__ import annotations

import sys

import click

from portico import _core, log
from portico.command_line.group import Commands
from portico.command_line.settings_help import help_all
from portico.commands import (
    check,
    completion,
    config,
    ctl,
    dev,
    generate,
    man,
    profile,
    report,
    routes,
    run,
    schema,
    top,
)
from portico.errors import EXIT_UNEXPECTED, OperatorError, reason_of
from portico.process.standard_streams import open_standard_streams


def main() -> None:
    """Entry point of `portico` and of `python -m portico`."""
    try:
        open_standard_streams()
        commands.main(prog_name="portico")
    except OperatorError as error:
        log.say(error.message)
        sys.exit(error.exit_code)
    except OSError as error:
        log.say(reason_of(error))
        sys.exit(EXIT_UNEXPECTED)


COMMANDS: tuple[click.Command, ...] = (
    run.COMMAND,
    check.COMMAND,
    dev.COMMAND,
    config.COMMAND,
    routes.COMMAND,
    ctl.COMMAND,
    report.COMMAND,
    top.COMMAND,
    profile.COMMAND,
    generate.COMMAND,
    schema.COMMAND,
    completion.COMMAND,
    man.COMMAND,
)
"""All commands, in the order of the help."""

commands = Commands(
    name="portico",
    default="run",
    commands=COMMANDS,
    params=[help_all()],
    options_metavar=None,
    subcommand_metavar="[COMMAND] [APP] [OPTIONS]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
click.version_option(
    _core.__version__, "-V", "--version", prog_name="portico", message="%(prog)s %(version)s"
)(commands)
