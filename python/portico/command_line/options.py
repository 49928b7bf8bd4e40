"""The rows of the table of settings as click knows them: options, arguments, and what a shell completes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from portico.command_line.parameters import FILE, POOL, POOL_WAYS
from portico.config.file_names import NONE, VARIABLE
from portico.config.kinds import Choice, Directory, Flag, Kind, LogFile
from portico.config.old_words.reading import Option
from portico.config.setting import Setting
from portico.config.settings import TABLE

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@functools.cache
def parameters() -> tuple[click.Parameter, ...]:
    """Return what every command takes that reads the settings; made once, since there are many."""
    return (*(_parameter(row) for row in TABLE), file_option(), *_pool_options())


def file_option() -> click.Option:
    """Return the option that names the configuration file."""
    text = (
        "The configuration file, or none.  [default: portico.toml, else tool.portico of pyproject.toml, in "
        f"the working directory; {VARIABLE}]"
    )
    return click.Option(
        ["-c", "--config", FILE], metavar=f"FILE|{NONE}", help=text, shell_complete=_complete_file
    )


def _pool_options() -> Iterator[click.Option]:
    text = "One pool alone of the file's several, by its name; portico routes prints these."
    yield click.Option(["--pool", POOL], metavar="NAME", help=text)
    yield click.Option(["--pool-ways", POOL_WAYS], type=(int, int, str), hidden=True)


def flags_of(command: click.Command, ctx: click.Context) -> dict[str, Option]:
    """Return each option of `command` as it is written."""
    return {
        flag: Option(parameter.name or "", takes_value=not (parameter.is_flag or parameter.count))
        for parameter in command.get_params(ctx)
        if isinstance(parameter, click.Option)
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }


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
    from click.shell_completion import CompletionItem

    if isinstance(kind, Choice):
        return [CompletionItem(choice) for choice in kind.choices if choice.startswith(begun)]
    if isinstance(kind, Directory):
        return [CompletionItem(begun, type="dir")]
    return [CompletionItem(begun, type="file")] if isinstance(kind, LogFile) else []


def _complete_file(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(begun, type="file")]
