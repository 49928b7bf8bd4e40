"""The command line: argv to settings to the supervisor, nothing else. The only module that imports click.

Options are generated from the table of settings; their texts are read by config/sources.py, together with the
environment's, so that a bad value is reported alike wherever it came from.
"""

from __future__ import annotations

import difflib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from portico import __version__
from portico.config.check import check, unknown_variables
from portico.config.setting import Setting
from portico.config.settings import TABLE, by_group
from portico.config.sources import resolve
from portico.errors import EXIT_UNEXPECTED, OperatorError

_STARTED_AT_S = time.monotonic()


def main() -> None:
    """Entry point of `portico` and of `python -m portico`."""
    try:
        commands.main(prog_name="portico")
    except OperatorError as error:
        click.echo(f"portico: {error.message}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        click.echo(f"portico: {error}", err=True)
        sys.exit(EXIT_UNEXPECTED)


class Commands(click.Group):
    """A group that knows what was meant by a command it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            looks_like_application = ":" in name or "." in name
            meant = f"run {name}" if looks_like_application else near[0] if near else ""
            hint = f" Did you mean `portico {meant}`?" if meant else ""
            raise click.UsageError(f"No such command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


class RunCommand(click.Command):
    """`portico run`: shows its options under the groups of the table, and knows which one was meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            # Of so many options several are always similar; only the nearest is a hint.
            near = difflib.get_close_matches(error.option_name, error.possibilities or (), n=1)
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = {
            parameter.name: record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx))
        }
        for group, rows in by_group().items():
            with formatter.section(group.capitalize()):
                formatter.write_dl([records.pop(row.name) for row in rows if row.name in records])
        with formatter.section("Other"):
            formatter.write_dl(list(records.values()))


def _parameter(row: Setting[Any]) -> click.Parameter:
    if row.positional:
        return click.Argument([row.name], required=False, metavar=f"[{row.kind.metavar}]")
    default = row.show_default()
    notes = [f"default: {default}"] if default else []
    notes.append(", ".join(row.environment))
    return click.Option(
        [*row.flags, row.name],
        multiple=row.many,
        metavar=row.kind.metavar,
        help=f"{row.documentation.replace('`', '')}  [{'; '.join(notes)}]",
    )


def _raw_arguments(values: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Return the texts of what was given, by setting name."""
    return {
        name: (value,) if isinstance(value, str) else tuple(value)
        for name, value in values.items()
        if value is not None
    }


def _run(**values: Any) -> None:
    settings = resolve(_raw_arguments(values), os.environ)
    for sentence in unknown_variables(os.environ):
        click.echo(f"portico: {sentence}", err=True)
    check(settings)
    # Here and not above: `portico --help` needs no sockets.
    from portico.process.launch import launch

    launch(settings, started_at_s=_STARTED_AT_S)


commands = Commands(
    name="portico",
    help="portico serves WSGI applications.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
click.version_option(__version__, prog_name="portico", message="%(prog)s %(version)s")(commands)
commands.add_command(
    RunCommand(
        "run",
        callback=_run,
        params=[_parameter(row) for row in TABLE],
        help="Serve the application APP, for example shop.wsgi:application or shop:create_app().\n\n"
        "Sizes are written like 64K, 10M or 1G; durations like 500ms, 30s or 2m.",
        short_help="Serve an application.",
    )
)
