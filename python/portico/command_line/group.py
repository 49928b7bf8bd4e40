"""A group of commands: which of them is meant, and how they are listed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

from portico.command_line.options import flags_of
from portico.command_line.settings_command import SettingsCommand

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


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
        if self.default and first.startswith("-") and first not in flags_of(self, ctx):
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
                if f"--{name}" in flags_of(self, ctx):
                    meant = f"--{name}"
                hint = f" Did you mean `{ctx.command_path} {meant}`?" if meant else ""
                raise click.UsageError(f"No such command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        command = self.get_command(ctx, self.default)
        if command is not None and incomplete.startswith("-"):
            known = [item.value for item in found]
            found += [item for item in command.shell_complete(ctx, incomplete) if item.value not in known]
        return found

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


def root_group() -> click.Group:
    """Return the group of all commands, of which one is running."""
    root = click.get_current_context().find_root().command
    assert isinstance(root, click.Group), "a command is run by way of `portico`"
    return root
