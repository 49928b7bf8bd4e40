"""`portico man`: print the manual page, of all commands."""

from __future__ import annotations

from collections.abc import Iterator

import click

from portico.command_line.group import root_group


def _man() -> None:
    click.echo(manual_page(root_group()), nl=False)


def manual_page(group: click.Group) -> str:
    """Return the page for man(1) of the commands in `group`."""
    from portico.config.manual import manual

    return manual(dict(_sentences(group)))


def _sentences(group: click.Group, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield each command, those within it after it, with what it does."""
    for name, command in group.commands.items():
        yield before + name, (command.help or "").split("\n\n")[0]
        if isinstance(command, click.Group):
            yield from _sentences(command, f"{before}{name} ")


COMMAND = click.Command(
    "man",
    callback=_man,
    help="Print the manual page: portico man | man -l -",
    short_help="Print the manual page.",
)
