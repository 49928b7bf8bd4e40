"""The Django project in a worker of `manage.py runserver`: checked, with its static files, as by Django."""

from __future__ import annotations

import os
from typing import Any

# By which apps find out whether they are in the process that serves (django/utils/autoreload.py).
_RELOADED_VARIABLE = "RUN_MAIN"


def application(*, is_reloaded: bool, options: dict[str, Any]) -> Any:
    """Return the WSGI application that Django's `runserver` would serve with these `options` of its own.

    Whatever is wrong with the project is raised: the page of errors shows it.
    """
    if is_reloaded:
        os.environ[_RELOADED_VARIABLE] = "true"
    import django

    django.setup()
    from django.db import connections

    from portico.management.commands.runserver import Command

    command = Command()
    if not options["skip_checks"]:
        command.stdout.write("Performing system checks...\n\n")
        command.check(display_num_errors=True)
    command.check_migrations()
    for connection in connections.all(initialized_only=True):
        connection.close()
    return command.get_handler(**options)
