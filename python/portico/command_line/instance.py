"""The server that a command asks: the options that say which, and where that is asked."""

from __future__ import annotations

from typing import Any

import click

WHICH = (
    "Which server: the one of the configuration that `portico run` would have here with the same APP, or the "
    "one that an option names, or the only one that runs."
)
"""For the help."""


def instance_argument() -> click.Argument:
    return click.Argument(["app"], required=False, metavar="[APP]")


def instance_options() -> tuple[click.Option, ...]:
    return (
        click.Option(
            ["-c", "--config", "config_file"],
            metavar="FILE|none",
            help="The server of this configuration file.",
        ),
        click.Option(["--name"], metavar="NAME", help="The server of this name."),
        click.Option(["--pool"], metavar="NAME", help="This pool of it, in place of the whole."),
        click.Option(["--pid-file"], metavar="FILE", help="The server whose process id is in there."),
        click.Option(["--socket", "socket_path"], metavar="PATH", help="The server that is asked there."),
    )


def find_instance(
    *,
    config_file: str | None = None,
    socket_path: str | None = None,
    pid_file: str | None = None,
    name: str | None = None,
    pool: str | None = None,
    app: str | None = None,
    **others: Any,
) -> tuple[str, dict[str, Any]]:
    """Return the control socket of the server that is meant, and the `others`. Raises OperatorError."""
    from portico.ctl.instances import Wish, find_socket, pool_socket

    path = find_socket(Wish(socket_path or "", pid_file or "", name or "", config_file, app or ""))
    return (pool_socket(path, pool) if pool else path), others
