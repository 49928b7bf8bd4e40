"""`portico routes`: print which row of the configuration takes which requests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from portico.command_line.options import file_option
from portico.command_line.parameters import FILE

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _routes(words: tuple[str, ...], json: bool, config_file: str | None) -> None:
    from portico.config.routes import show
    from portico.config.routes.effective import effective_routes
    from portico.config.routes.request import read_request

    request = read_request(words) if words else None
    routes = effective_routes(config_file, os.environ)
    if request is None:
        text = show.table_as_json(routes) if json else show.table_as_text(routes)
    else:
        text = show.request_as_json(routes, request) if json else show.request_as_text(routes, request)
    click.echo(text, nl=False)


def _complete(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from portico.config.routes.request import METHODS

    if ctx.params.get(parameter.name or ""):
        return []
    return [CompletionItem(method) for method in METHODS if method.startswith(begun.upper())]


COMMAND = click.Command(
    "routes",
    callback=_routes,
    params=[
        click.Argument(["words"], nargs=-1, metavar="[[METHOD] URL]", shell_complete=_complete),
        file_option(),
        click.Option(["--json"], is_flag=True, help="Print JSON."),
    ],
    help="Print which requests go where, as the configuration file says: a row for each host and path, in "
    "the order in which they are tried.\n\nWith a URL, or the path of one, say which row takes that request, "
    "why, and what becomes of it: portico routes GET https://shop.example.com/a/b",
    short_help="Which request goes where.",
)
assert FILE == "config_file", "it is the name of an argument here"
