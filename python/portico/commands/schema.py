"""`portico schema`: print a JSON Schema of the configuration file."""

from __future__ import annotations

import click


def _schema() -> None:
    from portico.config.schema import schema

    click.echo(schema(), nl=False)


COMMAND = click.Command(
    "schema",
    callback=_schema,
    help="Print a JSON Schema of the configuration file, with which editors complete and check it.",
    short_help="Print a JSON Schema.",
)
