"""The command line: argv to settings to the supervisor, nothing else. The only module that imports click.

Options are generated from the table of settings; their texts are read by config/sources.py, together with the
environment's and the file's, so that a bad value is reported alike wherever it came from. Options of other
servers are put into our words first (config/old_words). `COMMANDS` is the list of all commands.
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
from click.shell_completion import CompletionItem, get_completion_class

from portico import __version__, log
from portico.config.check import check, unknown_variables, working_directory
from portico.config.file import NONE, VARIABLE, find_file
from portico.config.finding import find_application, what_was_found
from portico.config.kinds import Choice, Directory, Flag, Kind, LogFile
from portico.config.old_words.reading import NEAR, Option, understand, understand_variable
from portico.config.setting import Setting
from portico.config.settings import TABLE, Settings, by_group
from portico.config.sources import GUNICORN_VARIABLE, resolve
from portico.errors import EXIT_UNEXPECTED, OperatorError
from portico.process.standard_streams import open_standard_streams

_STARTED_AT_S = time.monotonic()
_FILE = "config_file"
_WRITTEN = f"{__name__}.written"
"""In a context's `meta`: the options of other servers that were given, by parameter."""
_SHOWS_ALL = f"{__name__}.shows_all"
"""There as well: whether help shows all options."""


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


# --- What reads a command line, and shows its help


class Commands(click.Group):
    """A group that knows what was meant by a command it does not have, and lists its commands in their order.

    `default` is the command that is meant where an application, or an option of its, stands in its place.
    """

    def __init__(self, *, default: str = "", **attributes: Any) -> None:
        super().__init__(**attributes)
        self.default = default

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0].partition("=")[0] if args else ""
        if self.default and first.startswith("-") and first not in _flags(self, ctx):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            if self.default and any(character in name for character in ":./"):
                args = [self.default, *args]
            elif not ctx.resilient_parsing:
                near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
                meant = near[0] if near else f"{self.default} {name}" if self.default else ""
                hint = f" Did you mean `{ctx.command_path} {meant}`?" if meant else ""
                raise click.UsageError(f"No such command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        command = self.get_command(ctx, self.default)
        if isinstance(command, SettingsCommand):
            self.format_commands(ctx, formatter)
            command.format_options(ctx, formatter)
        else:
            super().format_options(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, two in a line where there is room."""
        rows = [(name, command.get_short_help_str()) for name, command in self.commands.items()]
        first = max(len(name) for name, _ in rows) + 2
        second = max(len(text) for _, text in rows) + 2
        with formatter.section("Commands"):
            if len(rows) < 4 or 2 * (first + second) > formatter.width:
                formatter.write_dl(rows)
                return
            half = (len(rows) + 1) // 2
            for row, beside in zip(rows[:half], [*rows[half:], ("", "")], strict=False):
                line = f"{row[0]:{first}}{row[1]:{second}}{beside[0]:{first}}{beside[1]}"
                formatter.write(f"{'':>{formatter.current_indent}}{line.rstrip()}\n")


class SettingsCommand(click.Command):
    """A command that takes all settings: shows them by the groups of the table, knows which was meant.

    `is_brief`: its help is the options that most people need, unless all are asked for.
    """

    def __init__(self, name: str, *, is_brief: bool = False, **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self.is_brief = is_brief
        if is_brief:
            self.params.append(_help_all())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            understood = understand(args, _flags(self, ctx))
            ctx.meta[_WRITTEN] = understood.written
            args = understood.words
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            # Of so many options several are always similar; only the nearest is a hint, if it is near.
            near = difflib.get_close_matches(error.option_name, _flags(self, ctx), n=1, cutoff=NEAR)
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.is_brief and not ctx.meta.get(_SHOWS_ALL):
            self._format_brief(formatter)
        else:
            self._format_all(ctx, formatter)

    def _format_brief(self, formatter: click.HelpFormatter) -> None:
        with formatter.section("Options"):
            rows = [(_brief_option(row), _brief_text(row)) for row in TABLE if row.summary]
            formatter.write_dl([*rows, _BRIEF_FILE])
        with formatter.indentation():
            formatter.write_paragraph()
            formatter.write_text(
                "All options: portico run --help-all. Each is a variable, too: PORTICO_BIND, "
                "PORTICO_THREADS, PORTICO_MAX_REQUEST_BODY, PORTICO_LOG_LEVEL and so on."
            )

    def _format_all(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = {
            parameter.name: record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx))
        }
        for group, rows in by_group().items():
            with formatter.section(group.title.capitalize()):
                formatter.write_dl([records.pop(row.name) for row in rows if row.name in records])
        help_option = self.get_help_option(ctx)
        names = (_FILE, help_option.name if help_option else "", "help_all")
        others = [records.pop(name) for name in names if name in records]
        if records:
            with formatter.section("What is printed"):
                formatter.write_dl(list(records.values()))
        with formatter.section("Other"):
            formatter.write_dl(others)
        formatter.write_paragraph()
        formatter.write_text(_UNITS)


def _flags(command: click.Command, ctx: click.Context) -> dict[str, Option]:
    """Return each option of `command` as it is written."""
    return {
        flag: Option(parameter.name or "", takes_value=not (parameter.is_flag or parameter.count))
        for parameter in command.get_params(ctx)
        if isinstance(parameter, click.Option)
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }


def _help_all() -> click.Option:
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


_UNITS = "Sizes are written like 64K, 10M or 1G; durations like 500ms, 30s or 2m."
_BRIEF_FILE = (f"-c, --config FILE|{NONE}", "A configuration file. [portico.toml]")


def _brief_option(row: Setting[Any]) -> str:
    metavar = "WORD" if isinstance(row.kind, Choice) else row.kind.metavar
    return f"{', '.join(row.flags):>{len('-x, ' + row.flags[-1])}} {metavar}"


def _brief_text(row: Setting[Any]) -> str:
    default = row.show_default()
    return f"{row.summary} [{default}]" if default else row.summary


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
    return click.Option(
        [*row.flags, row.name],
        multiple=row.many,
        metavar=row.kind.metavar,
        help=text,
        shell_complete=functools.partial(_complete, row.kind),
    )


def _complete(
    kind: Kind[Any], ctx: click.Context, parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Return what a shell may complete `begun` to."""
    if isinstance(kind, Choice):
        return [CompletionItem(choice) for choice in kind.choices if choice.startswith(begun)]
    if isinstance(kind, Directory):
        return [CompletionItem(begun, type="dir")]
    return [CompletionItem(begun, type="file")] if isinstance(kind, LogFile) else []


def _complete_file(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(begun, type="file")]


@functools.cache
def _parameters() -> tuple[click.Parameter, ...]:
    """Return what every command takes that reads the settings; made once, since there are many."""
    text = (
        "The configuration file, or none.  [default: portico.toml, else tool.portico of pyproject.toml, in "
        f"the working directory; {VARIABLE}]"
    )
    file = click.Option(
        ["-c", "--config", _FILE], metavar=f"FILE|{NONE}", help=text, shell_complete=_complete_file
    )
    return (*(_parameter(row) for row in TABLE), file)


# --- From what was read to settings


def _settings(values: dict[str, Any]) -> Settings:
    """Return the settings that the command line, in `values`, the environment and the file ask for.

    If none of them names an application, it is the one that the working directory has.
    """
    ctx = click.get_current_context()
    file = find_file(values.pop(_FILE), os.environ)
    settings = resolve(
        _raw_arguments(values),
        os.environ,
        file,
        written=ctx.meta.get(_WRITTEN),
        inherited=_gunicorn_arguments(),
    )
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


def _gunicorn_arguments() -> dict[str, Sequence[str]]:
    """Return the texts in GUNICORN_CMD_ARGS, by setting name, having said that there are some."""
    text = os.environ.get(GUNICORN_VARIABLE, "").strip()
    if not text:
        return {}
    command = commands.commands["run"]
    try:
        understood = understand_variable(text, _flags(command, click.Context(command)))
        values = command.make_context("run", understood.words).params
        if values.pop(_FILE):
            raise OperatorError(f"-c is not read from here; {VARIABLE} names a configuration file")
    except (click.UsageError, OperatorError) as error:
        sentence = error.message if isinstance(error, OperatorError) else error.format_message()
        place = f"{GUNICORN_VARIABLE} in the environment: "
        raise OperatorError("\n".join(place + line for line in sentence.splitlines())) from None
    # gunicorn takes its application from the command line only.
    given = _raw_arguments({row.name: values[row.name] for row in TABLE if not row.positional})
    texts = {name: found for name, found in given.items() if found}
    own = " ".join(row.environment[0] for row in TABLE if row.name in texts)
    log.say(
        f"{GUNICORN_VARIABLE} in the environment is understood; {own} would say the same"
        if own
        else f"{GUNICORN_VARIABLE} in the environment says nothing that is needed here"
    )
    return texts


# --- The commands


def _run(**values: Any) -> None:
    settings = _settings(values)
    for sentence in _remarks(settings):
        log.say(sentence)
    check(settings)
    # Here and not above: `portico --help` needs no sockets.
    from portico.process.launch import launch

    launch(settings, started_at_s=_STARTED_AT_S)


def _dev(watch: tuple[str, ...], reload: bool, open: bool, show_locals: bool, **values: Any) -> None:
    settings = _settings(values)
    for sentence in _remarks(settings):
        log.say(sentence)
    from portico.dev.launch import develop
    from portico.dev.options import Options

    options = Options(globs=watch, reloads=reload, opens_browser=open, shows_locals=show_locals)
    develop(settings, options, started_at_s=_STARTED_AT_S)


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


def _completion(shell: str) -> None:
    made = get_completion_class(shell)
    assert made is not None, "the argument is one of those that there are"
    click.echo(made(commands, {}, "portico", "_PORTICO_COMPLETE").source(), nl=False)


def _man() -> None:
    click.echo(manual_page(), nl=False)


def manual_page() -> str:
    """Return the page for man(1)."""
    from portico.config.manual import manual

    return manual(
        {name: (command.help or "").split("\n\n")[0] for name, command in commands.commands.items()}
    )


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

_PROXY_WISHES = ("server_name", "listen", "static")
_TARGETS = {
    "nginx": ("A server of nginx.", _PROXY_WISHES),
    "apache": ("A virtual host of Apache httpd.", _PROXY_WISHES),
    "haproxy": ("A configuration of HAProxy.", _PROXY_WISHES),
    "systemd": ("A service of systemd and its sockets.", ("user",)),
    "dockerfile": ("A Dockerfile.", ("image",)),
    "k8s": ("A Deployment and a Service of Kubernetes.", ("image",)),
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


COMMANDS: tuple[click.Command, ...] = (
    SettingsCommand(
        "run",
        is_brief=True,
        callback=_run,
        params=[*_parameters()],
        help="Serve APP, such as shop.wsgi:application or shop:create_app().",
        short_help="Serve an application.",
    ),
    SettingsCommand(
        "check",
        callback=_check,
        params=[*_parameters()],
        help="Try what `portico run` would do with the same options, and serve nothing: all settings are "
        "validated, the application is imported in a process of its own, and the addresses are bound and let "
        "go. The exit code is 0 if it would serve, 2 for a setting or an address, 3 for the application.",
        short_help="Try it, serve nothing.",
    ),
    SettingsCommand(
        "dev",
        callback=_dev,
        params=[
            *_parameters(),
            click.Option(
                ["--watch"],
                metavar="GLOB",
                multiple=True,
                help="Reload when such a file changes, too. May be repeated.",
            ),
            click.Option(
                ["--reload/--no-reload"], default=True, help="Reload when a file changes.  [default: reload]"
            ),
            click.Option(["--open"], is_flag=True, help="Open the browser."),
            click.Option(["--show-locals"], is_flag=True, help="Show variables on the pages of errors."),
        ],
        help="Serve the application APP to who develops it: with one worker, which is replaced when a file "
        "that it has imported, a template or a file of --watch changes. An error is shown on the terminal "
        "and in the browser.",
        short_help="Develop with reloads.",
    ),
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
        short_help="Print all settings.",
    ),
    Commands(
        name="generate",
        commands=[_generate_command(target) for target in _TARGETS],
        help="Print the configuration of another program that agrees with portico's settings.",
        short_help="For nginx, systemd, ...",
    ),
    click.Command(
        "schema",
        callback=_schema,
        help="Print a JSON Schema of the configuration file, with which editors complete and check it.",
        short_help="Print a JSON Schema.",
    ),
    click.Command(
        "completion",
        callback=_completion,
        params=[click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]))],
        help="Print what completes portico's commands and options in a shell.\n\n"
        "\b\n"
        'bash, in ~/.bashrc:  eval "$(portico completion bash)"\n'
        'zsh, in ~/.zshrc:    eval "$(portico completion zsh)"\n'
        "fish:                portico completion fish > ~/.config/fish/completions/portico.fish",
        short_help="For bash, zsh or fish.",
    ),
    click.Command(
        "man",
        callback=_man,
        help="Print the manual page: portico man | man -l -",
        short_help="Print the manual page.",
    ),
)
"""All commands, in the order of the help."""

commands = Commands(
    name="portico",
    default="run",
    commands=COMMANDS,
    params=[_help_all()],
    options_metavar=None,
    subcommand_metavar="[COMMAND] [APP] [OPTIONS]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
click.version_option(__version__, "-V", "--version", prog_name="portico", message="%(prog)s %(version)s")(
    commands
)
