"""Where the application works, and where this process does: by the path, links kept."""

from __future__ import annotations

import os

from portico.config.settings import Settings
from portico.errors import OperatorError, quoted


def working_directory(settings: Settings) -> str:
    """Return the absolute path that the application works in, links kept.

    A deployment that switches a link (`/srv/shop/current`) and then reloads gets the new target, because
    the path, not the directory behind it, is remembered.
    """
    if os.path.isabs(settings.chdir):
        return os.path.normpath(settings.chdir)
    try:
        here = logical_directory()
    except OSError as error:
        origin = settings.origins[Settings.chdir.attribute]
        wanted = f"{origin}: {quoted(settings.chdir)} starts from" if settings.chdir else "portico runs in"
        raise OperatorError(
            f"{wanted} the working directory, which is not there any more ({error.strerror}); change to one "
            "that is, or name an absolute one by --chdir"
        ) from None
    return os.path.normpath(os.path.join(here, settings.chdir)) if settings.chdir else here


def logical_directory() -> str:
    """Return the working directory of this process, links kept. Raises OSError if it was removed."""
    logical = os.environ.get("PWD", "")
    try:
        is_here = os.path.isabs(logical) and os.path.samefile(logical, ".")
    except OSError:
        is_here = False
    return logical if is_here else os.getcwd()
