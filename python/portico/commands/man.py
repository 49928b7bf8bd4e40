"""`portico man`: print the manual page, of all commands."""

from __future__ import annotations

import click

from portico.command_line.group import root_group


def _man() -> None:
    click.echo(manual_page(root_group()), nl=False)


def manual_page(group: click.Group) -> str:
    """Return the page for man(1) of the commands in `group`."""
    from portico.config.manual import manual

    return manual({name: (command.help or "").split("\n\n")[0] for name, command in group.commands.items()})


COMMAND = click.Command(
    "man",
    callback=_man,
    help="Print the manual page: portico man | man -l -",
    short_help="Print the manual page.",
)
