"""`portico completion`: print what completes commands and options in a shell."""

from __future__ import annotations

import click

from portico.command_line.group import root_group


def _completion(shell: str) -> None:
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None, "the argument is one of those that there are"
    click.echo(made(root_group(), {}, "portico", "_PORTICO_COMPLETE").source(), nl=False)


COMMAND = click.Command(
    "completion",
    callback=_completion,
    params=[click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]))],
    help="Print what completes portico's commands and options in a shell.\n\n"
    "\b\n"
    'bash, in ~/.bashrc:  eval "$(portico completion bash)"\n'
    'zsh, in ~/.zshrc:    eval "$(portico completion zsh)"\n'
    "fish:                portico completion fish > ~/.config/fish/completions/portico.fish",
    short_help="For bash, zsh or fish.",
)
