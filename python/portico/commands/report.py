"""`portico report`: say what an access log says."""

from __future__ import annotations

from typing import Any

import click

from portico.command_line.whole_number import WholeNumber


def _report(**values: Any) -> None:
    from portico.report.command import Wishes, report

    report(Wishes(**values))


COMMAND = click.Command(
    "report",
    callback=_report,
    params=[
        click.Argument(["logs"], nargs=-1, required=True, metavar="ACCESS..."),
        click.Option(
            ["--before"],
            multiple=True,
            metavar="OLD",
            help="An earlier log: say what changed since. May be repeated.",
        ),
        click.Option(
            ["--format"],
            metavar="FORMAT",
            help="json, logfmt, combined, common, short, gunicorn, uwsgi, or a template such as "
            "'%(h)s %(t)s \"%(r)s\" %(s)s %(D)s'.  [default: by the first lines]",
        ),
        click.Option(["--before-format"], metavar="FORMAT", help="The same for the earlier log."),
        click.Option(
            ["--by"],
            type=click.Choice(["route", "path"]),
            default="route",
            help="Count by the framework's route where a line has it, or always by path.  [default: route]",
        ),
        click.Option(
            ["--top"],
            type=WholeNumber(min=1),
            default=20,
            metavar="N",
            help="Show so many routes.  [default: 20]",
        ),
        click.Option(["--html"], metavar="FILE", help="Write a page, complete in one file."),
        click.Option(["--json"], metavar="FILE", help="Write the figures as JSON."),
    ],
    help="Say what an access log says: which routes take the time, percentiles, errors, where the time went, "
    "and what changed against an earlier log. Reads portico's formats, gunicorn's, uWSGI's and the combined "
    "one, compressed by gzip or not; - is standard input.\n\n"
    "A page and what changed: portico report access.json --before gunicorn.log --html report.html.",
    short_help="Tell of an access log.",
)
