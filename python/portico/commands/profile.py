"""`portico profile`: say which functions the calls of a running server are in."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from portico.command_line.instance import WHICH, find_instance, instance_argument, instance_options
from portico.command_line.whole_number import WholeNumber
from portico.errors import EXIT_UNEXPECTED, OperatorError, quoted

# Beyond its time: the workers put what they have seen into words.
_PATIENCE_S = 30.0
_NAMES = {"html": "profile.html", "speedscope": "profile.speedscope.json", "collapsed": "-", "json": "-"}


def _profile(
    seconds: int,
    hz: int,
    route: str | None,
    worker: int | None,
    output: str | None,
    format_name: str,
    **which: Any,
) -> None:
    from portico.ctl.connection import ask
    from portico.profile import formats
    from portico.profile.page import headline, page, remarks

    path, _ = find_instance(**which)
    wishes: dict[str, Any] = {
        name: value for name, value in (("route", route), ("worker", worker)) if value is not None
    }
    output = output or _NAMES[format_name]
    if output != "-":
        _expect_writable(output)
    click.echo(f"profiling for {seconds} s", err=True)
    result = ask(path, "profile", timeout_s=seconds + _PATIENCE_S, seconds=seconds, hz=hz, **wishes)
    if route and not result["samples"]:
        routes = sorted({each["route"] for each in result["routes"]})
        seen = f"of these: {', '.join(map(quoted, routes))}" if routes else "of any"
        raise OperatorError(f"--route: no call of {quoted(route)} was seen, {seen}")
    make = {
        "html": page,
        "speedscope": formats.speedscope,
        "collapsed": formats.collapsed,
        "json": formats.as_json,
    }[format_name]
    _write(output, make(result))
    where = "" if output == "-" else f"; {output} is written"
    click.echo(f"{headline(result)}{where}", err=True)
    for sentence in remarks(result):
        click.echo(sentence, err=True)
    if not result["samples"]:
        click.echo("no call ran meanwhile", err=True)


def _expect_writable(output: str) -> None:
    """Find out before the profile whether its file can be made; leave none. Raises OperatorError."""
    is_there = os.path.exists(output)
    try:
        with open(output, "ab"):
            pass
        if not is_there:
            os.unlink(output)
    except OSError as error:
        raise OperatorError(f"--output: cannot write {quoted(output)}: {error.strerror}") from None


def _write(output: str, text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    if output == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        with open(output, "wb") as file:
            file.write(data)
    except OSError as error:
        raise OperatorError(
            f"--output: cannot write {quoted(output)}: {error.strerror}", exit_code=EXIT_UNEXPECTED
        ) from None


COMMAND = click.Command(
    "profile",
    callback=_profile,
    params=[
        instance_argument(),
        click.Option(
            ["--seconds"],
            type=WholeNumber(1, 600),
            default=10,
            metavar="S",
            help="Sample for so long.  [default: 10]",
        ),
        click.Option(
            ["--route"],
            metavar="ROUTE",
            help="Only this route: the framework's, where portico.frameworks tells it, or else a path.",
        ),
        click.Option(
            ["--worker"],
            type=WholeNumber(min=1),
            metavar="W",
            help="Only this worker: its number or its process id.  [default: all]",
        ),
        click.Option(
            ["--hz"],
            type=WholeNumber(1, 1000),
            default=100,
            metavar="N",
            help="Sample so often a second.  [default: 100]",
        ),
        click.Option(
            ["--format", "format_name"],
            type=click.Choice([*_NAMES]),
            default="html",
            help="html is a page with a flame graph, speedscope a file for speedscope.app, collapsed a line "
            "for each stack, json what the server says.  [default: html]",
        ),
        click.Option(
            ["--output"],
            metavar="FILE",
            help="Write to FILE; - is standard output.  [default: profile.html, profile.speedscope.json, or "
            "standard output]",
        ),
        *instance_options(),
    ],
    help="Say which functions the calls of a running server are in, and whether they compute, wait, or wait "
    "for the interpreter. Nothing of it costs anything while nobody asks.\n\n"
    f"The slow route of one server: portico profile --name shop --route '/order/<int:id>'.\n\n{WHICH}",
    short_help="Profile a running server.",
)
