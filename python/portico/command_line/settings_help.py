"""The help of a command that takes all settings: those that most people need, or all by their groups."""

from __future__ import annotations

from typing import Any

import click

from portico.command_line.options import parameters
from portico.command_line.parameters import FILE, POOL
from portico.config.file_names import NONE
from portico.config.kinds import Choice
from portico.config.setting import Setting
from portico.config.settings import TABLE, by_group

_SHOWS_ALL = f"{__name__}.shows_all"
"""In a context's `meta`: whether help shows all options."""
_UNITS = "Sizes are written like 64K, 10M or 1G; durations like 500ms, 30s or 2m."
_BRIEF_FILE = (f"-c, --config FILE|{NONE}", "A configuration file. [portico.toml]")


def help_all() -> click.Option:
    """Return the option that shows the help with all options."""

    def show(ctx: click.Context, parameter: click.Parameter, is_wanted: bool) -> None:
        if is_wanted and not ctx.resilient_parsing:
            ctx.meta[_SHOWS_ALL] = True
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()

    return click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show all options, by group.",
    )


def shows_all(ctx: click.Context) -> bool:
    """Say whether all options are asked for."""
    return bool(ctx.meta.get(_SHOWS_ALL))


def format_brief(formatter: click.HelpFormatter) -> None:
    """Write the options that most people need."""
    with formatter.section("Options"):
        rows = [(_brief_option(row), _brief_text(row)) for row in TABLE if row.summary]
        formatter.write_dl([*rows, _BRIEF_FILE])
    with formatter.indentation():
        formatter.write_paragraph()
        formatter.write_text(
            "All options: portico run --help-all. Each is a variable, too: PORTICO_BIND, "
            "PORTICO_THREADS, PORTICO_MAX_REQUEST_BODY, PORTICO_LOG_LEVEL and so on."
        )


def format_all(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter, *, own_title: str
) -> None:
    """Write all options of `command`: its own, under `own_title`, then the settings by group."""
    records = {
        parameter.name: record
        for parameter in command.get_params(ctx)
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx))
    }
    settings = {parameter.name for parameter in command.params if parameter in parameters()}
    groups = {
        group.title.capitalize(): [records.pop(row.name) for row in rows if row.name in settings & {*records}]
        for group, rows in by_group().items()
    }
    help_option = command.get_help_option(ctx)
    names = (FILE, POOL, help_option.name if help_option else "", "help_all")
    others = [records.pop(name) for name in names if name in records]
    if records:
        with formatter.section(own_title):
            formatter.write_dl(list(records.values()))
    for title, options in groups.items():
        with formatter.section(title):
            formatter.write_dl(options)
    with formatter.section("Other"):
        formatter.write_dl(others)
    formatter.write_paragraph()
    formatter.write_text(_UNITS)


def _brief_option(row: Setting[Any]) -> str:
    metavar = "WORD" if isinstance(row.kind, Choice) else row.kind.metavar
    return f"{', '.join(row.flags):>{len('-x, ' + row.flags[-1])}} {metavar}"


def _brief_text(row: Setting[Any]) -> str:
    default = row.show_default()
    return f"{row.summary} [{default}]" if default else row.summary
