"""A command that takes all settings, by our options or those of other servers."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import click

from portico.command_line.options import flags_of, parameters
from portico.command_line.parameters import WRITTEN
from portico.command_line.settings_help import format_all, format_brief, help_all, shows_all
from portico.config.old_words.reading import NEAR, understand


class SettingsCommand(click.Command):
    """A command that takes all settings: shows them by the groups of the table, knows which was meant.

    `options` are those that it has beside the settings, `own_title` is their heading. `is_brief`: its help is
    the options that most people need, unless all are asked for.
    """

    def __init__(
        self,
        name: str,
        *,
        options: Sequence[click.Option] = (),
        own_title: str = "What is printed",
        is_brief: bool = False,
        **attributes: Any,
    ) -> None:
        own = {option.name for option in options}
        # What a command calls as a setting is called means there what the command says of it.
        settings = (each for each in parameters() if each.name not in own)
        super().__init__(name, params=[*settings, *options], **attributes)
        self.own_title = own_title
        self.is_brief = is_brief
        if is_brief:
            self.params.append(help_all())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            understood = understand(args, flags_of(self, ctx))
            ctx.params[WRITTEN] = understood.written
            args = understood.words
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            # Of so many options several are always similar; only the nearest is a hint, if it is near.
            near = difflib.get_close_matches(error.option_name, flags_of(self, ctx), n=1, cutoff=NEAR)
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.is_brief and not shows_all(ctx):
            format_brief(formatter)
        else:
            format_all(self, ctx, formatter, own_title=self.own_title)
