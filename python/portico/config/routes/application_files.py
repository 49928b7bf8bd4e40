"""Which files of a folder are applications, and when they were changed.

Used by the command line, which reads them (`folder.py`), and by the supervisor, which watches them.
"""

from __future__ import annotations

import os

SUFFIX = ".toml"


def is_application(name: str) -> bool:
    """Say whether a file called `name` is an application's: editors and package managers leave others."""
    return name.endswith(SUFFIX) and not name.startswith(".")


def changed_ns(folder: str) -> dict[str, list[int]]:
    """Return when each application's file was changed, by its name: its content, and the file itself, as by a
    rename or another mode. Raises OSError if there is no folder.
    """
    found: dict[str, list[int]] = {}
    for name in sorted(filter(is_application, os.listdir(folder))):
        try:
            file = os.stat(os.path.join(folder, name))
        except OSError:
            found[name] = []  # it has gone just now, or is a link to nothing
        else:
            found[name] = [file.st_mtime_ns, file.st_ctime_ns]
    return found
