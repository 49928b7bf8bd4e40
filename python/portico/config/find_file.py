"""Which configuration file is meant, and whether there is one: a start without one imports no reader of TOML.

Receives what was given and the environment, hands on `FileValues`. Runs in the process of the command line.
"""

from __future__ import annotations

import os

from portico.config.file_names import NONE, OWN_NAME, OWN_TABLE, SHARED_NAME, VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portico.config.file import FileValues


def find_file(chosen: str | None, environment: Mapping[str, str]) -> FileValues | None:
    """Return the values of the file `chosen`, else of the working directory's; None if there is none.

    Raises OperatorError if the chosen one is not there, or is not TOML.
    """
    origin = "-c on the command line"
    if chosen is None and (chosen := environment.get(VARIABLE, "").strip() or None):
        origin = f"{VARIABLE} in the environment"
    if chosen == NONE:
        return None
    if chosen is None:
        origin = ""
        if os.path.lexists(OWN_NAME):
            chosen = OWN_NAME
        elif os.path.lexists(SHARED_NAME) and _may_have_ours(SHARED_NAME):
            chosen = SHARED_NAME
        else:
            return None
    from portico.config.file import read_file

    return read_file(chosen, environment, origin=origin)


def _may_have_ours(path: str) -> bool:
    """Say whether the file at `path` may have a table of ours: most name portico elsewhere, if at all.

    The words of its name stand in one line, or there is a table of the first alone. What cannot be read may
    have one: the reader says why.
    """
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
    except (OSError, UnicodeDecodeError):
        return True
    first, second = OWN_TABLE
    if second not in text:
        return False
    for line in text.splitlines():
        # An escape may stand for any letter.
        if first in line or "\\" in line:
            compact = "".join(line.split()).replace("'", "").replace('"', "").lstrip("\ufeff[")
            if second in line or compact.startswith((f"{first}]", f"{first}=")):
                return True
    return False
