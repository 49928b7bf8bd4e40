"""Which files of a folder are applications, and when they were changed.

Used by the command line, which reads them (`folder.py`), and by the supervisor, which watches them.
"""

from __future__ import annotations

import os

SUFFIX = ".toml"


def is_application(name: str) -> bool:
    """Say whether a file called `name` is an application's: editors and package managers leave others."""
    return name.endswith(SUFFIX) and not name.startswith(".")


def changed_ns(folder: str) -> dict[str, int]:
    """Return when each application's file was changed, by its name. Raises OSError if there is no folder."""
    found: dict[str, int] = {}
    for name in sorted(filter(is_application, os.listdir(folder))):
        try:
            found[name] = os.stat(os.path.join(folder, name)).st_mtime_ns
        except OSError:
            found[name] = 0  # it has gone just now, or is a link to nothing
    return found
