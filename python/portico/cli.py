"""The command line: argv to settings to the supervisor, nothing else. The only module that imports click.

Options are generated from the table of settings; their texts are read by config/sources.py, together with the
environment's and the file's, so that a bad value is reported alike wherever it came from.
"""

from __future__ import annotations

import difflib
import functools
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from portico import __version__, log
from portico.config.check import check, unknown_variables, working_directory
from portico.config.file import VARIABLE, find_file
from portico.config.finding import find_application, what_was_found
from portico.config.kinds import Flag
from portico.config.setting import Setting
from portico.config.settings import TABLE, Settings, by_group
from portico.config.sources import resolve
from portico.errors import EXIT_UNEXPECTED, OperatorError
from portico.process.standard_streams import open_standard_streams

_STARTED_AT_S = time.monotonic()
_FILE = "config_file"


def main() -> None:
    """Entry point of `portico` and of `python -m portico`."""
    try:
        open_standard_streams()
        commands.main(prog_name="portico")
    except OperatorError as error:
        log.say(error.message)
        sys.exit(error.exit_code)
    except OSError as error:
        log.say(str(error))
        sys.exit(EXIT_UNEXPECTED)


class Commands(click.Group):
    """A group that knows what was meant by a command it does not have.

    `for_application` is the command that was forgotten where there is an application in its place.
    """

    def __init__(self, *, for_application: str = "", **attributes: Any) -> None:
        super().__init__(**attributes)
        self.for_application = for_application

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            if self.for_application and (":" in name or "." in name):
                near = [f"{self.for_application} {name}"]
            hint = f" Did you mean `{ctx.command_path} {near[0]}`?" if near else ""
            raise click.UsageError(f"No such command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


class SettingsCommand(click.Command):
    """A command that takes all settings: shows them by the groups of the table, knows which was meant."""

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
            with formatter.section(group.title.capitalize()):
                formatter.write_dl([records.pop(row.name) for row in rows if row.name in records])
        help_option = self.get_help_option(ctx)
        names = (_FILE, help_option.name if help_option else "")
        others = [records.pop(name) for name in names if name in records]
        if records:
            with formatter.section("What is printed"):
                formatter.write_dl(list(records.values()))
        with formatter.section("Other"):
            formatter.write_dl(others)


def _parameter(row: Setting[Any]) -> click.Parameter:
    if row.positional:
        return click.Argument([row.name], required=False, metavar=f"[{row.kind.metavar}]")
    default = row.show_default()
    notes = [f"default: {default}"] if default else []
    notes.append(", ".join(row.environment))
    text = f"{row.documentation.replace('`', '')}  [{'; '.join(notes)}]"
    if isinstance(row.kind, Flag):
        both = [f"{flag}/{row.kind.opposite(flag)}" for flag in row.flags]
        return click.Option([*both, row.name], default=None, help=text)
    return click.Option([*row.flags, row.name], multiple=row.many, metavar=row.kind.metavar, help=text)


def _parameters() -> list[click.Parameter]:
    """Return what every command takes that reads the settings."""
    text = (
        "The configuration file, or none.  [default: portico.toml, else tool.portico of pyproject.toml, in "
        f"the working directory; {VARIABLE}]"
    )
    file = click.Option(["-c", "--config", _FILE], metavar="FILE|none", help=text)
    return [*(_parameter(row) for row in TABLE), file]


def _settings(values: dict[str, Any]) -> Settings:
    """Return the settings that the command line, in `values`, the environment and the file ask for.

    If none of them names an application, it is the one that the working directory has.
    """
    file = find_file(values.pop(_FILE), os.environ)
    settings = resolve(_raw_arguments(values), os.environ, file)
    if settings.app:
        return settings
    return find_application(settings, working_directory(settings), os.environ)


def _remarks(settings: Settings) -> list[str]:
    """Return what the operator should hear of before anything is done."""
    return [*unknown_variables(os.environ), *what_was_found(settings)]


def _raw_arguments(values: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Return the texts of what was given, by setting name."""
    texts: dict[str, Sequence[str]] = {}
    for name, value in values.items():
        if isinstance(value, bool):
            texts[name] = (Flag().show(value),)
        elif value is not None:
            texts[name] = (value,) if isinstance(value, str) else tuple(value)
    return texts


def _run(**values: Any) -> None:
    settings = _settings(values)
    for sentence in _remarks(settings):
        log.say(sentence)
    check(settings)
    # Here and not above: `portico --help` needs no sockets.
    from portico.process.launch import launch

    launch(settings, started_at_s=_STARTED_AT_S)


def _config(json: bool, changed: bool, **values: Any) -> None:
    settings = _settings(values)
    from portico.config.show import as_json, as_toml

    click.echo((as_json if json else as_toml)(settings, only_changed=changed), nl=False)


def _check(**values: Any) -> None:
    settings = _settings(values)
    for sentence in _remarks(settings):
        log.say(sentence)
    from portico.process.trial import try_out

    for sentence in try_out(settings):
        click.echo(sentence)


def _schema() -> None:
    from portico.config.schema import schema

    click.echo(schema(), nl=False)


def _generate(target: str, output: str | None, force: bool, **values: Any) -> None:
    wishes = {name: values.pop(name) for name in _WISHES if name in values}
    settings = _settings(values)
    for sentence in _remarks(settings):
        click.echo(f"portico: {sentence}", err=True)
    # Here and not above: `portico run` needs none of it.
    from portico.generate.output import show, write
    from portico.generate.targets import generate

    files = generate(target, settings, wishes, output=output or "")
    if output:
        click.echo(f"portico: wrote {' and '.join(write(files, output, force=force))}", err=True)
    else:
        show(files)


_WISHES: Mapping[str, Mapping[str, Any]] = {
    "name": {
        "metavar": "NAME",
        "help": "What the service, upstream or image is called.  [default: as the application's module]",
    },
    "server_name": {
        "metavar": "HOST",
        "multiple": True,
        "help": "A name by which clients know the server. May be repeated.",
    },
    "listen": {
        "metavar": "[HOST:]PORT",
        "help": "Where the reverse proxy listens.  [default: 80 on all addresses]",
    },
    "static": {
        "metavar": "URL=DIR",
        "multiple": True,
        "help": "Files that the reverse proxy serves itself: those in DIR, below URL. May be repeated.",
    },
    "user": {
        "metavar": "USER",
        "help": "Who the service runs as.  [default: you; for root, a user that exists only meanwhile]",
    },
    "image": {"metavar": "IMAGE", "help": "The image.  [default: the name]"},
}
"""What `generate` has to know beside the settings."""

_PROXY_WISHES = ("name", "server_name", "listen", "static")
_TARGETS = {
    "nginx": ("A server of nginx.", _PROXY_WISHES),
    "apache": ("A virtual host of Apache httpd.", _PROXY_WISHES),
    "haproxy": ("A configuration of HAProxy.", _PROXY_WISHES),
    "systemd": ("A service of systemd and its sockets.", ("name", "user")),
    "dockerfile": ("A Dockerfile.", ("name", "image")),
    "k8s": ("A Deployment and a Service of Kubernetes.", ("name", "image")),
}


def _generate_command(target: str) -> SettingsCommand:
    title, wishes = _TARGETS[target]
    return SettingsCommand(
        target,
        callback=functools.partial(_generate, target),
        params=[
            *_parameters(),
            *(click.Option([f"--{name.replace('_', '-')}", name], **_WISHES[name]) for name in wishes),
            click.Option(["-o", "--output"], metavar="FILE", help="Write there, if it does not exist yet."),
            click.Option(["--force"], is_flag=True, help="Overwrite what exists."),
        ],
        help=f"{title}\n\nMade for a server that is started by `portico run` with the same APP, options and "
        "environment variables; the comment at its head says what was made of which setting.",
        short_help=title,
    )


commands = Commands(
    name="portico",
    for_application="run",
    help="portico serves WSGI applications.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
click.version_option(__version__, prog_name="portico", message="%(prog)s %(version)s")(commands)
commands.add_command(
    SettingsCommand(
        "run",
        callback=_run,
        params=_parameters(),
        help="Serve the application APP, for example shop.wsgi:application or shop:create_app().\n\n"
        "Sizes are written like 64K, 10M or 1G; durations like 500ms, 30s or 2m.",
        short_help="Serve an application.",
    )
)
commands.add_command(
    SettingsCommand(
        "config",
        callback=_config,
        params=[
            *_parameters(),
            click.Option(["--json"], is_flag=True, help="Print JSON."),
            click.Option(["--changed"], is_flag=True, help="Leave out what is at its default."),
        ],
        help="Print the settings that `portico run` would have with the same options, each with where its "
        "value comes from. What is printed is a configuration file.",
        short_help="Print the effective settings.",
    )
)
commands.add_command(
    SettingsCommand(
        "check",
        callback=_check,
        params=_parameters(),
        help="Try what `portico run` would do with the same options, and serve nothing: all settings are "
        "validated, the application is imported in a process of its own, and the addresses are bound and let "
        "go. The exit code is 0 if it would serve, 2 for a setting or an address, 3 for the application.",
        short_help="Try settings, addresses and application, and serve nothing.",
    )
)
commands.add_command(
    click.Command(
        "schema",
        callback=_schema,
        help="Print a JSON Schema of the configuration file, with which editors complete and check it.",
        short_help="Print a JSON Schema of the configuration file.",
    )
)
commands.add_command(
    Commands(
        name="generate",
        commands=[_generate_command(target) for target in _TARGETS],
        help="Print the configuration of another program that agrees with portico's settings.",
        short_help="Print a configuration of nginx, Apache, HAProxy, systemd, Docker or Kubernetes.",
    )
)
