"""`manage.py runportico`: `portico run` for the project, with all of its options."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from django.conf import settings as project_settings
from django.core.management.base import BaseCommand, CommandError

from portico.config.check import check
from portico.config.find_file import find_file
from portico.config.kinds import Flag
from portico.config.setting import Setting
from portico.config.settings import TABLE, Settings
from portico.config.sources import resolve
from portico.errors import OperatorError
from portico.management import project
from portico.process.launch import launch

_STARTED_AT_S = time.monotonic()
_DEFAULT_APPLICATION = "django.core.wsgi:get_wsgi_application()"
_OF_DJANGO = (Settings.pythonpath,)
"""Settings that an option of every command of `manage.py` is called as, which does the same."""


class Command(BaseCommand):  # type: ignore[misc]
    """The command."""

    help = "Serves the project by portico, in production: as `portico run` does."
    requires_system_checks = ()

    def add_arguments(self, parser: Any) -> None:
        """Add an address as `runserver` takes it, and the options of `portico run`."""
        parser.add_argument(
            "address", nargs="?", help="Where to listen: a port, HOST:PORT, or what --bind takes besides."
        )
        parser.add_argument("-c", "--config", metavar="FILE|none", help="The configuration file, or none.")
        for row in TABLE:
            if row.flags and row not in _OF_DJANGO:
                _add_option(parser, row)

    def handle(self, *_: Any, **options: Any) -> None:
        """Become the server; does not return."""
        arguments = {row.name: texts for row in TABLE if (texts := options.get(f"portico_{row.name}"))}
        if address := options["address"]:
            bind = f"127.0.0.1:{address}" if address.isdigit() else address
            arguments.setdefault(Settings.bind.name, []).append(bind)
        try:
            settings = resolve(arguments, os.environ, find_file(options["config"], os.environ))
            if settings.pools is not None:
                raise OperatorError("runportico serves this project alone: `portico run` serves pools")
            settings.values[Settings.app.attribute] = _application_name()
            settings.values[Settings.pythonpath.attribute] = (*settings.pythonpath, *project.folders())
            check(settings)
            launch(settings, started_at_s=_STARTED_AT_S)
        except OperatorError as error:
            raise CommandError(error.message, returncode=error.exit_code) from None


def _add_option(parser: Any, row: Setting[Any]) -> None:
    # argparse reads % as a place for a value.
    text = f"{row.documentation.replace('`', '')}  [default: {row.show_default()}]".replace("%", "%%")
    name = f"portico_{row.name}"
    if isinstance(row.kind, Flag):
        for flag in row.flags:
            parser.add_argument(flag, dest=name, action="append_const", const="true", help=text)
            parser.add_argument(
                row.kind.opposite(flag),
                dest=name,
                action="append_const",
                const="false",
                help=argparse.SUPPRESS,
            )
        return
    metavar = row.kind.metavar.replace("%", "%%")
    parser.add_argument(*row.flags, dest=name, action="append", metavar=metavar, help=text)


def _application_name() -> str:
    """Return the name of what WSGI_APPLICATION names, else of what Django makes of its settings."""
    module, _, attribute = (project_settings.WSGI_APPLICATION or "").rpartition(".")
    return f"{module}:{attribute}" if module else _DEFAULT_APPLICATION
