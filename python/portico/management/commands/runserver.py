"""`manage.py runserver`: `portico dev`, with the options, address forms and static files of Django's."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError

from portico.config.find_file import find_file
from portico.config.settings import Settings
from portico.config.sources import resolve
from portico.dev.launch import develop
from portico.dev.options import Options
from portico.errors import OperatorError
from portico.management import project

if apps.is_installed("django.contrib.staticfiles"):
    from django.contrib.staticfiles.management.commands.runserver import Command as DjangoCommand
else:
    from django.core.management.commands.runserver import Command as DjangoCommand

_STARTED_AT_S = time.monotonic()
_MANY_THREADS = str(Settings.threads.default)
_OF_THE_WORKER = ("insecure_serving", "skip_checks", "use_static_handler")
"""Options of Django's that are for the process which serves."""


class Command(DjangoCommand):  # type: ignore[misc]
    """The command. Where it is not overridden here, it is Django's."""

    help = "Serves the project to who develops it, by portico."

    def add_arguments(self, parser: Any) -> None:
        """Add portico's own options to Django's."""
        super().add_arguments(parser)
        parser.add_argument(
            "--watch",
            metavar="GLOB",
            action="append",
            default=[],
            help="Reload when such a file changes, too. May be repeated.",
        )
        parser.add_argument("--open", action="store_true", help="Open the browser.")
        parser.add_argument(
            "--show-locals", action="store_true", help="Show variables on the pages of errors."
        )

    def run(self, **options: Any) -> None:
        """Become the development server; does not return."""
        arguments = {
            Settings.bind.name: [self._address()],
            Settings.threads.name: [_MANY_THREADS if options["use_threading"] else "1"],
        }
        reloads = options["use_reloader"]
        of_worker = {name: options[name] for name in _OF_THE_WORKER if name in options}
        source = (
            "portico.management.development",
            "application",
            {"is_reloaded": reloads, "options": of_worker},
        )
        try:
            settings = resolve(arguments, os.environ, find_file(None, os.environ))
            settings.values[Settings.app.attribute] = project.name()
            settings.values[Settings.pythonpath.attribute] = (*settings.pythonpath, *project.folders())
            develop(
                settings,
                Options(
                    globs=tuple(options["watch"]),
                    opens_browser=options["open"],
                    reloads=reloads,
                    shows_locals=options["show_locals"],
                    source=source,
                ),
                started_at_s=_STARTED_AT_S,
                program=sys.argv[0],
            )
        except OperatorError as error:
            raise CommandError(error.message, returncode=error.exit_code) from None

    def _address(self) -> str:
        """Return what Django has made of the argument and of --ipv6, as `--bind` takes it."""
        host = self.addr
        if self.use_ipv6 and ":" not in host:
            host = self._resolved(host)
        if ":" in host:
            host = f"[{host}]"
        # Django's short form of all addresses.
        return f"{'0.0.0.0' if host == '0' else host}:{self.port}"

    def _resolved(self, host: str) -> str:
        try:
            return str(socket.getaddrinfo(host, None, family=socket.AF_INET6)[0][4][0])
        except OSError:
            raise CommandError(f"the host name {host} has no address of IPv6") from None
