"""All commands, and the group of them."""

from __future__ import annotations

import click

from portico import _core
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
