"""`portico top`: follow a server that runs, on a terminal."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

import click

from portico.command_line.instance import WHICH, find_instance, instance_argument, instance_options
from portico.command_line.seconds import Seconds
from portico.errors import OperatorError


def _top(interval: float, once: bool, **which: Any) -> None:
    from portico.top.sample import take_sample

    path, _ = find_instance(**which)
    has_screen = sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM") != "dumb"
    if once or not has_screen:
        click.echo(_table(path, interval))
        return
    if find_spec("textual") is None:
        raise OperatorError(
            "top: expected the package textual for the view, got none: pip install 'portico-server[top]'; "
            "portico top --once prints a table without it"
        )
    first = take_sample(path)
    # Here, because it takes a quarter of a second.
    from portico.top.view import TopApp

    no_color = bool(os.environ.get("NO_COLOR"))
    TopApp(path, first, lambda: find_instance(**which)[0], interval_s=interval, no_color=no_color).run(
        mouse=False
    )


def _table(path: str, interval_s: float) -> str:
    """Return the table, with the rates of one interval; every request in full where nobody looks at it."""
    import shutil
    import time

    from portico.top.model import read_head, read_rows
    from portico.top.sample import take_sample
    from portico.top.table import plain_table

    before = take_sample(path)
    time.sleep(interval_s)
    sample = take_sample(path)
    cells = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return plain_table(read_head(sample, before), read_rows(sample, before), cells)


COMMAND = click.Command(
    "top",
    callback=_top,
    params=[
        instance_argument(),
        click.Option(
            ["--interval"],
            type=Seconds(0.1),
            default=1.0,
            metavar="S",
            help="Ask the server every so many seconds.  [default: 1]",
        ),
        click.Option(
            ["--once"],
            is_flag=True,
            help="Print the table after one interval, as is done where there is no terminal, or a dumb one.",
        ),
        *instance_options(),
    ],
    help="Follow a server that runs, on the terminal: its workers, what each does now, and how much. `?` "
    f"says what keys do.\n\n{WHICH}",
    short_help="Follow a running server.",
)
